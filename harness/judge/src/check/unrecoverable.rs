//! unrecoverable: after a kill or an injected error a container can be neither used nor deleted and re-created.
//!
//! The examiner deletes each container by force, creates it anew and deletes that: each must succeed.

use flockwork::Operation;

use super::collect::Collector;
use super::{Check, Examination};
use crate::answer::Answer;
use crate::evidence::Evidence;
use crate::history::{Outcome, Reason};
use crate::violation::{Class, Violation};

/// The check.
#[derive(Debug)]
pub(super) struct Unrecoverable;

impl Check for Unrecoverable {
    fn name(&self) -> &'static str {
        Class::Unrecoverable.as_str()
    }

    fn examine(&self, evidence: &Evidence<'_>) -> Examination {
        let mut collector = Collector::default();
        for (container, quiet) in evidence.quiet.containers.iter().enumerate() {
            let Some(recovery) = &quiet.recovery else { continue };
            collector.examined += 1;
            let steps = [
                ("to delete it by force", &recovery.delete),
                (CREATE, &recovery.create),
                ("to delete that by force", &recovery.delete_again),
            ];
            let Some((step, answer)) = steps.into_iter().find(|(_, answer)| answer.outcome != Outcome::Ok)
            else {
                continue;
            };
            if step == CREATE && never_could_be_created(evidence, container as u32, answer) {
                continue;
            }
            collector.add(container as u64, || {
                let name = evidence.history.containers.get(container).map_or("a container", String::as_str);
                let reason = answer.reason.map_or_else(String::new, |reason| format!(" ({reason})"));
                let words = answer.message.as_deref().map_or_else(String::new, |text| format!(": {text}"));
                Violation {
                    class: Class::Unrecoverable,
                    container: Some(container as u32),
                    message: format!(
                        "{name}: when all was quiet, the attempt {step} was {}{reason}{words}.",
                        answer.outcome
                    ),
                    records: Vec::new(),
                }
            });
        }
        collector.finish()
    }
}

const CREATE: &str = "to create it anew";

/// Whether no create of it ever came through, and files are what failed: a full filesystem, say. Then there was no
/// container to recover.
fn never_could_be_created(evidence: &Evidence<'_>, container: u32, answer: &Answer) -> bool {
    let records = evidence.history.records.iter();
    let mut creates = records
        .filter(|record| record.operation == Operation::Create && record.container() == Some(container))
        .peekable();
    answer.reason == Some(Reason::Io)
        && creates.peek().is_some()
        && creates.all(|create| (create.outcome, create.reason) == (Outcome::Failed, Some(Reason::Io)))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Case, absent, answer};
    use super::*;
    use crate::evidence::Recovery;
    use crate::history::Record;

    fn case(create: Outcome) -> Case {
        let ok = || answer(Outcome::Ok, None, None);
        let reason = (create == Outcome::Failed).then_some(Reason::Io);
        let mut case = Case::of([]).quiet(absent(), &[]);
        case.quiet.containers[0].recovery =
            Some(Recovery { delete: ok(), create: answer(create, reason, None), delete_again: ok() });
        case
    }

    #[test]
    fn a_container_that_cannot_be_created_anew_fails() {
        let message = case(Outcome::Failed).must_fail(&Unrecoverable);
        assert_eq!(message, "c1: when all was quiet, the attempt to create it anew was failed (io).");
    }

    #[test]
    fn one_that_never_could_be_created_passes() {
        let mut case = case(Outcome::Failed);
        case.history.records.push(create(Outcome::Failed, Some(Reason::Io)));
        case.must_pass(&Unrecoverable);
        case.history.records.push(create(Outcome::Ok, None));
        case.must_fail(&Unrecoverable);
    }

    fn create(outcome: Outcome, reason: Option<Reason>) -> Record {
        let mut record = Record::invoked(0, Some(0), Operation::Create, 1);
        (record.outcome, record.reason) = (outcome, reason);
        record
    }

    #[test]
    fn a_container_that_recovers_passes() {
        case(Outcome::Ok).must_pass(&Unrecoverable);
    }
}
