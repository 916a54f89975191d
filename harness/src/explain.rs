//! From stress to explore: a violation seen while processes ran freely becomes explorations of the few operations that
//! took part, so that a race seen once ends as a schedule that fails every time.
//!
//! Pure: it makes plans from a history and runs nothing. What it makes is a guess (which operations matter, in which
//! status the container was), so whoever runs the plans says whether the class appeared, and claims nothing else.

use std::collections::BTreeMap;
use std::path::Path;

use flockwork::{Operation, Status};

use crate::check;
use crate::engine::explore::schedule::Fault;
use crate::history::{History, Outcome, Record};
use crate::plan::{Call, ExploreBudget, ExplorePlan, RepeatPlan, StrategyPlan, StressPlan, SubjectPlan};
use crate::violation::Violation;

/// At most so many processes take part: those that decide come first.
const PROCESSES_MAX: usize = 4;
/// At most so many operations of each.
const OPERATIONS_MAX: usize = 3;
/// At most this many schedules are tried for one finding and one status.
const SCHEDULES: u64 = 20_000;
/// Bounds of the preemptions, in the order in which they are tried: most races need one.
const PREEMPTIONS: [u32; 3] = [1, 2, 3];
/// There is little time, and whatever is found is followed again when it is shrunk.
const REPEAT_ONE_IN: u64 = 50;
const STEP_NS: u64 = 5_000_000_000;
const STEPS_MAX: usize = 10_000;

/// Why a violation cannot be turned into an exploration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unexplained {
    /// It is not about one container.
    #[error("it is about no one container")]
    NoContainer,
    /// No operation shows it.
    #[error("no operation shows it")]
    NoOperation,
    /// The subject's processes have children.
    #[error("its sandbox starts processes of its own, which exploration does not control")]
    Children,
}

/// The explorations to try, the likeliest first; the class is to appear in one of them. None has a root yet.
pub fn explorations(
    stress: &StressPlan,
    history: &History,
    violation: &Violation,
) -> Result<Vec<ExplorePlan>, Unexplained> {
    let container = violation.container.ok_or(Unexplained::NoContainer)?;
    if let SubjectPlan::Library { sandbox, .. } = &stress.subject
        && sandbox != "inert"
    {
        return Err(Unexplained::Children);
    }
    let part = part(history, violation, container);
    let Some(from_ns) = part.iter().map(|record| record.invoke_ns).min() else {
        return Err(Unexplained::NoOperation);
    };
    let processes = programs(&part);
    let is_killed = part.iter().any(|record| record.outcome == Outcome::Unknown);
    let name = history.containers.get(container as usize).ok_or(Unexplained::NoContainer)?;
    let plan = |status, preemptions| ExplorePlan {
        subject: stress.subject.clone().with_workers(processes.len() as u32),
        root: Path::new("").into(),
        seed: stress.seed,
        containers: vec![name.clone()],
        setup: setup(status),
        processes: processes.clone(),
        strategy: StrategyPlan::Exhaustive { preemptions: Some(preemptions) },
        faults: if is_killed { vec![Fault::Kill] } else { Vec::new() },
        fault_bound: u32::from(is_killed),
        budget: ExploreBudget { schedules: SCHEDULES, time_ns: u64::MAX },
        repeat: RepeatPlan::one_in(REPEAT_ONE_IN),
        payload_bytes: stress.payload_bytes,
        step_ns: STEP_NS,
        steps_max: STEPS_MAX,
        lanes: std::thread::available_parallelism().map_or(1, |count| count.get() as u32),
    };
    let statuses = statuses(status_before(history, container, from_ns));
    Ok(PREEMPTIONS.iter().flat_map(|bound| statuses.iter().map(|status| plan(*status, *bound))).collect())
}

/// The operations that show the violation, and those on its container that ran at the same time.
fn part<'h>(history: &'h History, violation: &Violation, container: u32) -> Vec<&'h Record> {
    let examiner = check::examiner(history);
    let is_examiner = |record: &Record| Some(record.process) == examiner;
    let decisive: Vec<&Record> = violation
        .records
        .iter()
        .filter_map(|index| history.records.get(*index))
        .filter(|record| !is_examiner(record))
        .collect();
    let overlaps = |record: &Record| {
        decisive
            .iter()
            .any(|other| record.invoke_ns <= other.deadline_ns() && other.invoke_ns <= record.deadline_ns())
    };
    let is_decisive = |record: &Record| decisive.iter().any(|other| std::ptr::eq(*other, record));
    let mut by_process = BTreeMap::<u32, Vec<&Record>>::new();
    for record in &history.records {
        if record.container() == Some(container)
            && !is_examiner(record)
            && (is_decisive(record) || overlaps(record))
        {
            by_process.entry(record.process).or_default().push(record);
        }
    }
    let mut processes: Vec<Vec<&Record>> = by_process.into_values().collect();
    // Those that decide first, and of the others those that can change something.
    processes.sort_by_key(|records| {
        let decides = records.iter().any(|record| is_decisive(record));
        let changes = records.iter().any(|record| crate::model::can_change(record.operation));
        (!decides, !changes)
    });
    processes.truncate(PROCESSES_MAX);
    for records in &mut processes {
        // Where a process did too much at that time, what decides stays.
        records.sort_by_key(|record| (!is_decisive(record), record.invoke_ns));
        records.truncate(OPERATIONS_MAX);
    }
    processes.into_iter().flatten().collect()
}

/// What each process does, in the order in which it did. One that was killed does nothing more: whoever took its place
/// is another process.
fn programs(part: &[&Record]) -> Vec<Vec<Call>> {
    let mut by_process = BTreeMap::<u32, Vec<&Record>>::new();
    for record in part {
        by_process.entry(record.process).or_default().push(record);
    }
    let mut programs = Vec::new();
    for mut records in by_process.into_values() {
        records.sort_by_key(|record| record.invoke_ns);
        for life in records.split_inclusive(|record| record.outcome == Outcome::Unknown) {
            let call = |record: &&Record| Call { operation: record.operation, container: 0 };
            programs.push(life.iter().map(call).collect());
        }
    }
    programs
}

/// The status that the last operation to end before an instant saw or left; `None`: absent.
fn status_before(history: &History, container: u32, at_ns: u64) -> Option<Status> {
    let before = history.records.iter().filter(|record| {
        let ended = record.return_ns().is_some_and(|return_ns| return_ns < at_ns);
        record.container() == Some(container) && ended && record.outcome != Outcome::Unknown
    });
    match before.max_by_key(|record| record.deadline_ns()) {
        None => history.initial(container),
        Some(record) if is_removal(record) => None,
        Some(record) => record.status,
    }
}

fn is_removal(record: &Record) -> bool {
    matches!(record.operation, Operation::Delete | Operation::ForceDelete) && record.outcome == Outcome::Ok
}

/// The likeliest status, and after it those in which most operations have something to do.
fn statuses(likeliest: Option<Status>) -> Vec<Option<Status>> {
    let others =
        [Some(Status::Running), Some(Status::Created), Some(Status::Paused), Some(Status::Stopped), None];
    let others = others.into_iter().filter(|other| *other != likeliest);
    std::iter::once(likeliest).chain(others).collect()
}

/// The operations that bring an absent container into a status.
fn setup(status: Option<Status>) -> Vec<Call> {
    use Operation::{Create, Kill, Pause, Start};
    let operations: &[Operation] = match status {
        None => &[],
        Some(Status::Created) => &[Create],
        Some(Status::Running) => &[Create, Start],
        Some(Status::Paused) => &[Create, Start, Pause],
        Some(Status::Stopped) => &[Create, Start, Kill],
    };
    operations.iter().map(|operation| Call { operation: *operation, container: 0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Audit, Budget};
    use crate::violation::Class;
    use Operation::{Create, Pause, Resume, Start, State};

    fn stress(sandbox: &str) -> StressPlan {
        let [lock, wait, read, write, sandbox] =
            ["fs2", "block", "shared", "rename", sandbox].map(str::to_owned);
        StressPlan {
            subject: SubjectPlan::Library { lock, wait, read, write, sandbox },
            root: "/r".into(),
            seed: 7,
            processes: 8,
            auditors: 0,
            audit: Audit::LockFree,
            containers: 2,
            budget: Budget::Operations(1),
            think_ns: 0..=0,
            hold_ns: 0..=0,
            mix: Vec::new(),
            kill_every_ns: None,
            payload_bytes: 1024,
            fresh_processes: false,
            starvation_ns: 1,
            stall_ns: 1,
        }
    }

    fn history(records: &[(u32, u32, Operation, u64, u64, Status)]) -> History {
        let mut history = History::default();
        history.containers = vec!["c1".into(), "c2".into()];
        for &(process, container, operation, from, to, status) in records {
            let mut record = Record::invoked(process, Some(container), operation, from);
            record.set_return_ns(Some(to));
            record.outcome = Outcome::Ok;
            record.status = Some(status);
            history.records.push(record);
        }
        history
    }

    fn two_pauses() -> History {
        use Status::{Created, Paused, Running};
        history(&[
            (0, 1, Create, 0, 10, Created),
            (1, 1, Start, 20, 30, Running),
            (2, 1, State, 35, 38, Running),
            (3, 1, Pause, 50, 90, Paused),
            (5, 1, Pause, 60, 80, Paused),
            (6, 1, State, 70, 75, Running),
            (7, 0, Resume, 55, 85, Running),
            (0, 1, Resume, 100, 110, Running),
        ])
    }

    fn violation(records: Vec<usize>) -> Violation {
        Violation { class: Class::LostUpdate, container: Some(1), message: String::new(), records }
    }

    fn calls(operations: &[Operation]) -> Vec<Call> {
        operations.iter().map(|operation| Call { operation: *operation, container: 0 }).collect()
    }

    #[test]
    fn what_decides_and_what_ran_beside_it_is_explored_from_the_status_before() {
        let plans = explorations(&stress("inert"), &two_pauses(), &violation(vec![3, 4])).unwrap();
        let first = &plans[0];
        assert_eq!(first.containers, ["c2"]);
        assert_eq!(first.setup, calls(&[Create, Start]), "it was running");
        assert_eq!(first.processes, [calls(&[Pause]), calls(&[Pause]), calls(&[State])]);
        assert_eq!(first.strategy, StrategyPlan::Exhaustive { preemptions: Some(1) });
        assert_eq!((first.faults.len(), first.payload_bytes), (0, 1024));
        assert_eq!(plans.len(), PREEMPTIONS.len() * 5);
    }

    #[test]
    fn a_crowd_is_thinned_to_those_that_decide() {
        let mut crowd: Vec<_> = (0..40).map(|number| (number, 1, State, 50, 90, Status::Running)).collect();
        crowd.push((40, 1, Pause, 55, 85, Status::Paused));
        crowd.extend((0..9).map(|number| (41, 1, Resume, 51 + number * 3, 52 + number * 3, Status::Running)));
        let plans = explorations(&stress("inert"), &history(&crowd), &violation(vec![20, 40])).unwrap();
        let processes = &plans[0].processes;
        assert_eq!(processes.len(), PROCESSES_MAX);
        assert!(processes.contains(&calls(&[Pause])) && processes.contains(&calls(&[State])));
        assert!(processes.contains(&calls(&[Resume, Resume, Resume])), "{processes:?}");
        assert!(plans[0].setup.is_empty(), "nothing had ended before, so it is taken for absent");
    }

    #[test]
    fn who_was_killed_is_killed_again() {
        let mut history = two_pauses();
        history.records[4].outcome = Outcome::Unknown;
        let plans = explorations(&stress("inert"), &history, &violation(vec![3, 4])).unwrap();
        assert_eq!((&plans[0].faults[..], plans[0].fault_bound), (&[Fault::Kill][..], 1));
        history.records[7].process = 5;
        history.records[7].invoke_ns = 81;
        let plans = explorations(&stress("inert"), &history, &violation(vec![3, 4, 7])).unwrap();
        let apart = [calls(&[Pause]), calls(&[Pause]), calls(&[Resume]), calls(&[State])];
        assert_eq!(plans[0].processes, apart, "who takes a dead one's place is another process");
    }

    #[test]
    fn what_cannot_be_explored_is_told() {
        let explain =
            |sandbox, violation| explorations(&stress(sandbox), &two_pauses(), &violation).unwrap_err();
        assert_eq!(explain("process", violation(vec![3])), Unexplained::Children);
        assert_eq!(explain("inert", violation(vec![])), Unexplained::NoOperation);
        let nowhere = Violation { container: None, ..violation(vec![3]) };
        assert_eq!(explain("inert", nowhere), Unexplained::NoContainer);
    }
}
