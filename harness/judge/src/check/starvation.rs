//! starvation: one process waits for one operation beyond the scenario's bound.
//!
//! `wait` is meant to wait, and what was killed cannot be blamed for its length.

use flockwork::Operation;

use super::collect::Collector;
use super::tell::{Origin, duration, told};
use super::{Check, CheckId, Examination};
use crate::evidence::Evidence;
use crate::history::{Outcome, Record};
use crate::violation::{Class, Violation};

/// Looks for operations that took longer than the scenario's bound.
#[derive(Debug)]
pub(super) struct Starvation;

impl Check for Starvation {
    fn id(&self) -> CheckId {
        CheckId::Of(Class::Starvation)
    }

    fn examine(&self, evidence: &Evidence<'_>) -> Examination {
        let history = evidence.history;
        let bound_ns = match &evidence.starvation_ns {
            Ok(bound_ns) => *bound_ns,
            Err(why) => return Examination::without(why),
        };
        let end_ns = history
            .records
            .iter()
            .map(|record| record.return_ns().unwrap_or(record.invoke_ns))
            .max()
            .unwrap_or(0);
        let took_ns = |record: &Record| match (record.return_ns(), record.outcome) {
            _ if record.operation == Operation::Wait => None,
            (Some(_), Outcome::Unknown) => None,
            (Some(return_ns), _) => Some(return_ns.saturating_sub(record.invoke_ns)),
            (None, _) => Some(end_ns - record.invoke_ns),
        };
        let mut collector = Collector::default();
        for (index, record) in history.records.iter().enumerate() {
            let Some(took_ns) = took_ns(record) else { continue };
            collector.examined += 1;
            if took_ns <= bound_ns {
                continue;
            }
            collector.add(record.invoke_ns, || Violation {
                class: Class::Starvation,
                container: record.container(),
                message: format!(
                    "{}: p{} waited {} for one {}, longer than the bound of {}: {}.",
                    history.container_name(record),
                    record.process,
                    duration(took_ns),
                    record.operation,
                    duration(bound_ns),
                    told(history, record, Origin::of(history)),
                ),
                records: vec![index],
            });
        }
        collector.finish()
    }
}

#[cfg(test)]
mod tests {
    use flockwork::Operation::{Create, Pause, Wait};

    use super::super::fixture::{Case, killed, ok};
    use super::*;

    #[test]
    fn an_operation_beyond_the_bound_fails() {
        let message = Case::of([ok(0, Create, 1..=2), ok(1, Pause, 3..=1004)]).must_fail(&Starvation);
        assert!(
            message.contains("p1 waited 1.0 ms for one pause, longer than the bound of 1.0 ms"),
            "{message}"
        );
    }

    #[test]
    fn an_operation_that_is_still_open_fails() {
        let open = Record::invoked(1, Some(0), Pause, 2000);
        Case::of([ok(0, Create, 1..=2), open, ok(0, Pause, 2000..=2001)]).must_fail(&Starvation);
    }

    #[test]
    fn at_the_bound_and_killed_and_waiting_pass() {
        Case::of([ok(0, Create, 1..=1001), killed(1, Pause, 3..=5000), ok(2, Wait, 3..=5000)])
            .must_pass(&Starvation);
    }
}
