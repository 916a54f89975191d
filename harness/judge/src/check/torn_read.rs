//! torn-read: a reader got metadata that is empty, cut, unparsable or mixed from two saves.
//!
//! Subjects say so themselves, of every read: a worker's, an auditor's, the examiner's.

use super::collect::Collector;
use super::tell::{Origin, told};
use super::{Check, CheckId, Examination};
use crate::evidence::Evidence;
use crate::history::{Outcome, Reason};
use crate::violation::{Class, Violation};

/// Looks for reads that found metadata empty, cut, unparsable or mixed from two saves.
#[derive(Debug)]
pub(super) struct TornRead;

impl Check for TornRead {
    fn id(&self) -> CheckId {
        CheckId::Of(Class::TornRead)
    }

    fn examine(&self, evidence: &Evidence<'_>) -> Examination {
        let history = evidence.history;
        let mut collector = Collector::of(history.records.len() as u64);
        let mut seen = vec![false; history.containers.len()];
        for (index, record) in history.records.iter().enumerate() {
            if (record.outcome, record.reason) != (Outcome::Failed, Some(Reason::Corrupt)) {
                continue;
            }
            if let Some(container) = record.container() {
                seen[container as usize] = true;
            }
            collector.add(record.invoke_ns, || {
                let told = told(history, record, Origin::of(history));
                let name = history.container_name(record);
                Violation {
                    class: Class::TornRead,
                    container: record.container(),
                    message: format!(
                        "{name}: p{} read metadata that no single save wrote: {told}.",
                        record.process
                    ),
                    records: vec![index],
                }
            });
        }
        collector.merge(of_the_examiner(evidence, &seen)).finish()
    }
}

/// What the examiner read after the run, where no record tells of it.
fn of_the_examiner(evidence: &Evidence<'_>, seen: &[bool]) -> Collector {
    let mut collector = Collector::default();
    for (container, quiet) in evidence.containers() {
        let Some(state) = quiet.answer() else { continue };
        collector.examined += 1;
        let is_torn = (state.outcome, state.reason) == (Outcome::Failed, Some(Reason::Corrupt));
        if !is_torn || seen.get(container).copied().unwrap_or(false) {
            continue;
        }
        collector.add(u64::MAX, || {
            let name = evidence.history.containers.get(container).map_or("a container", String::as_str);
            let why = state.message.as_deref().unwrap_or("no reason given");
            Violation {
                class: Class::TornRead,
                container: Some(container as u32),
                message: format!("{name}: after the run, its metadata was torn: {why}."),
                records: Vec::new(),
            }
        });
    }
    collector
}

#[cfg(test)]
mod tests {
    use flockwork::Operation::{Create, Pause, State};
    use flockwork::Status::Created;

    use super::super::fixture::{Case, Saw, answer, failed, ok};
    use super::*;

    #[test]
    fn a_corrupt_read_fails() {
        let case =
            Case::of([ok(0, Create, 1..=2).saw(Created, 1, 1), failed(7, State, 5..=6, Reason::Corrupt)])
                .quiet(answer(Outcome::Failed, Some(Reason::Corrupt), None), &[]);
        let message = case.must_fail(&TornRead);
        assert!(message.contains("c1: p7 read metadata that no single save wrote"), "{message}");
        assert!(message.contains("0.004–0.005 ms"), "{message}");
    }

    #[test]
    fn what_only_the_examiner_read_fails_too() {
        let case = Case::of([ok(0, Create, 1..=2).saw(Created, 1, 1)])
            .quiet(answer(Outcome::Failed, Some(Reason::Corrupt), None), &[]);
        assert!(case.must_fail(&TornRead).contains("after the run"));
    }

    #[test]
    fn other_failures_pass() {
        let create = ok(0, Create, 1..=2).saw(Created, 1, 1);
        Case::of([create, failed(1, Pause, 3..=4, Reason::Locked)]).must_pass(&TornRead);
    }
}
