//! deadlock: no process can go on. The engine sees it: no operation ended for the plan's stall time.

use super::collect::Collector;
use super::tell::Origin;
use super::{Check, CheckId, Examination};
use crate::evidence::Evidence;
use crate::violation::{Class, Violation};

/// Reports a standstill: no operation ended for the plan's stall time.
#[derive(Debug)]
pub(super) struct Deadlock;

impl Check for Deadlock {
    fn id(&self) -> CheckId {
        CheckId::Of(Class::Deadlock)
    }

    fn examine(&self, evidence: &Evidence<'_>) -> Examination {
        let records = &evidence.history.records;
        let stall = match &evidence.stall {
            Ok(stall) => *stall,
            Err(why) => return Examination::without(why),
        };
        let mut collector = Collector::of(records.len() as u64);
        if let Some(stall) = stall {
            collector.add(stall.since_ns, || {
                let since = Origin::of(evidence.history).instant(stall.since_ns);
                let open = records
                    .iter()
                    .enumerate()
                    .filter(|(_, record)| record.return_ns().is_none())
                    .map(|(index, _)| index);
                Violation {
                    class: Class::Deadlock,
                    container: None,
                    message: format!(
                        "no operation ended after {since}; all processes wait: {}.",
                        stall.waiting.join("; ")
                    ),
                    records: open.collect(),
                }
            });
        }
        collector.finish()
    }
}

#[cfg(test)]
mod tests {
    use flockwork::Operation::{Create, Pause};

    use super::super::fixture::{Case, ok};
    use super::*;
    use crate::evidence::Stall;
    use crate::history::Record;

    #[test]
    fn a_stall_fails() {
        let mut case = Case::of([ok(0, Create, 1..=2), Record::invoked(1, Some(0), Pause, 3000)]);
        case.stall =
            Some(Stall { since_ns: 2000, waiting: vec!["p1 (pid 9) pause for 5 s in flock".into()] });
        let message = case.must_fail(&Deadlock);
        assert!(message.contains("after 0.001 ms") && message.contains("pid 9"), "{message}");
        assert_eq!(case.examine(&Deadlock).violations[0].records, [1]);
    }

    #[test]
    fn a_run_that_goes_on_passes() {
        Case::of([ok(0, Create, 1..=2)]).must_pass(&Deadlock);
    }
}
