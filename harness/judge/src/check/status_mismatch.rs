//! status-mismatch: metadata and the real process disagree when all is quiet.
//!
//! An operation that was killed between the process and the metadata may leave a live process running or stopped
//! against its status: that is excused. A dead process is not: whoever finds it dead saves that it is stopped.

use flockwork::Status;

use super::collect::Collector;
use super::lives::by_container;
use super::tell::{Origin, told};
use super::{Check, CheckId, Examination};
use crate::evidence::{Evidence, ProcessState};
use crate::history::{History, Outcome};
use crate::model;
use crate::violation::{Class, Violation};

/// Compares the status in the metadata with what the real process does once all is quiet.
#[derive(Debug)]
pub(super) struct StatusMismatch;

impl Check for StatusMismatch {
    fn id(&self) -> CheckId {
        CheckId::Of(Class::StatusMismatch)
    }

    fn examine(&self, evidence: &Evidence<'_>) -> Examination {
        let history = evidence.history;
        if let Err(why) = &evidence.quiet {
            return Examination::without(why);
        }
        let mut collector = Collector::default();
        let mut indexes = None;
        for (container, quiet) in evidence.containers() {
            let status = quiet.answer().and_then(|answer| answer.status);
            let (process, status) = match (&quiet.process, status) {
                (Ok(process), Some(status)) => (*process, status),
                (Err(why), _) => {
                    collector.lacks(why);
                    continue;
                }
                (Ok(_), None) => continue,
            };
            collector.examined += 1;
            if process.agrees_with(status) {
                continue;
            }
            let indexes = indexes.get_or_insert_with(|| by_container(history));
            let latest = indexes.get(container).and_then(|indexes| latest_change(history, indexes));
            let both_live = status != Status::Stopped && process != ProcessState::Dead;
            if both_live
                && indexes.get(container).is_some_and(|indexes| is_half_done(history, indexes, latest))
            {
                continue;
            }
            collector.add(container as u64, || {
                let name = history.containers.get(container).map_or("a container", String::as_str);
                let change = latest.map_or_else(String::new, |index| {
                    format!(
                        "; the last that changed it: {}",
                        told(history, &history.records[index], Origin::of(history))
                    )
                });
                Violation {
                    class: Class::StatusMismatch,
                    container: Some(container as u32),
                    message: format!(
                        "{name}: after the run, its status was {status}, but its process was {}{change}.",
                        words(process)
                    ),
                    records: latest.into_iter().collect(),
                }
            });
        }
        collector.finish()
    }
}

fn words(process: ProcessState) -> &'static str {
    match process {
        ProcessState::Running => "running",
        ProcessState::Held => "held: it waited for its start, or was frozen or stopped by a signal",
        ProcessState::Dead => "dead",
    }
}

fn latest_change(history: &History, indexes: &[u32]) -> Option<usize> {
    indexes
        .iter()
        .map(|&index| index as usize)
        .filter(|&index| model::changes((&history.records[index]).into()))
        .max_by_key(|&index| history.records[index].invoke_ns)
}

/// Whether a killed operation can have acted after the latest change.
fn is_half_done(history: &History, indexes: &[u32], latest: Option<usize>) -> bool {
    let since_ns = latest.map_or(0, |index| history.records[index].invoke_ns);
    indexes.iter().any(|&index| {
        let record = &history.records[index as usize];
        record.outcome == Outcome::Unknown
            && model::can_change(record.operation)
            && record.deadline_ns() >= since_ns
    })
}

#[cfg(test)]
mod tests {
    use flockwork::Operation::{Create, Pause, Start};
    use flockwork::Status::{Created, Running};

    use super::super::fixture::{Case, Saw, answer, killed, ok};
    use super::*;
    use crate::history::Record;

    fn case(process: ProcessState, last: Option<Record>) -> Case {
        let mut records =
            vec![ok(0, Create, 1..=2).saw(Created, 1, 1), ok(0, Start, 3..=4).saw(Running, 1, 2)];
        records.extend(last);
        let mut case = Case::of(records).quiet(answer(Outcome::Ok, None, Some(Running)), &["c1/meta.json"]);
        case.quiet.containers[0].process = Ok(process);
        case
    }

    #[test]
    fn a_running_container_with_a_stopped_process_fails() {
        let message = case(ProcessState::Held, None).must_fail(&StatusMismatch);
        assert!(message.contains("its status was running, but its process was held: "), "{message}");
        assert!(message.contains("p0 start (0.002–0.003 ms)"), "{message}");
    }

    #[test]
    fn a_dead_process_fails_whatever_was_killed() {
        case(ProcessState::Dead, Some(killed(1, Pause, 5..=6))).must_fail(&StatusMismatch);
    }

    #[test]
    fn agreement_and_a_pause_killed_underway_pass() {
        case(ProcessState::Running, None).must_pass(&StatusMismatch);
        case(ProcessState::Held, Some(killed(1, Pause, 5..=6))).must_pass(&StatusMismatch);
    }
}
