//! From histories to plans.

use super::*;
use crate::plan::{Audit, Budget, SubjectPlan};
use crate::plan::{FailCreate, FailCreateAt, LibraryPlan};
use crate::violation::Class;
use Operation::{Create, Kill, Pause, Resume, Start, State};
use part::PROCESSES_MAX;

fn stress(sandbox: &str) -> StressPlan {
    let sandbox = sandbox.parse().expect("a sandbox");
    StressPlan {
        subject: SubjectPlan::Library(LibraryPlan { sandbox, ..LibraryPlan::default() }),
        root: "/r".into(),
        seed: 7,
        processes: 8,
        auditors: 0,
        audit: Audit::LockFree,
        containers: 2,
        budget: Budget::Operations(1),
        think_ns: 0..=0,
        hold_ns: 0..=0,
        mix: [Create, Start, Pause, Kill].map(|operation| (operation, 1)).to_vec(),
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
    assert_eq!((first.faults.len(), first.payload_bytes), (0, 1024));
    // Two guesses, each from every status: first sampled, then with more and more preemptions.
    assert_eq!(plans.len(), (1 + PREEMPTIONS.len()) * 2 * 5);
    assert!(plans[..10].iter().all(|plan| plan.strategy == StrategyPlan::Pos));
    assert_eq!(plans[10].strategy, StrategyPlan::Exhaustive { preemptions: Some(1) });
    assert_eq!((&plans[10].processes, &plans[10].setup), (&first.processes, &first.setup));
}

#[test]
fn what_ran_between_and_the_last_change_before_are_the_second_guess() {
    let mut history = two_pauses();
    // Neither ran beside the pauses that decide, and both can have changed what they found.
    history.records[3].set_return_ns(Some(52));
    history.records[5].operation = Kill;
    (history.records[5].invoke_ns, history.records[4].invoke_ns) = (54, 70);
    history.records[5].set_return_ns(Some(58));
    let plans = explorations(&stress("inert"), &history, &violation(vec![3, 4])).unwrap();
    assert_eq!(plans[0].processes, [calls(&[Pause]), calls(&[Pause])]);
    let wide = [calls(&[Start]), calls(&[Pause]), calls(&[Pause]), calls(&[Kill])];
    assert_eq!(plans[5].processes, wide);
    assert_eq!(plans[5].setup, calls(&[Create]), "the start is done by a process, so it was not running");
}

#[test]
fn only_statuses_that_the_run_leads_to_are_tried() {
    let mut stress = stress("inert");
    stress.mix = vec![(Create, 1), (State, 1)];
    let plans = explorations(&stress, &two_pauses(), &violation(vec![3, 4])).unwrap();
    let setups: Vec<_> = plans[..3].iter().map(|plan| plan.setup.len()).collect();
    assert_eq!(setups, [2, 1, 0], "it was running, and else created or absent");
}

#[test]
fn what_shows_when_all_is_quiet_came_of_the_last_operations() {
    let mut history = two_pauses();
    let unseen = violation(vec![]);
    let plans = explorations(&stress("inert"), &history, &unseen).unwrap();
    let alone: Vec<_> = plans.iter().take_while(|plan| plan.processes.len() == 1).collect();
    assert_eq!(alone.len(), 3 * 5, "each of the last three alone, from every status");
    let mut last: Vec<_> = plans[alone.len()].processes.concat();
    last.sort_by_key(|call| call.operation.as_str());
    assert_eq!(last, calls(&[Pause, Pause, Resume, State]));
    history.records[4].outcome = Outcome::Unknown;
    let plans = explorations(&stress("inert"), &history, &unseen).unwrap();
    assert_eq!(plans[0].processes, [calls(&[Pause])]);
    assert_eq!(plans[0].faults, [Fault::Kill, Fault::ShortWriteKill], "who was killed left it");
    let alone = plans.iter().take_while(|plan| plan.processes.len() == 1).count();
    assert_eq!(alone, 5, "nobody else is a suspect");
}

#[test]
fn files_that_no_container_owns_are_about_whom_they_are_named_after() {
    let stray = |message: &str| {
        let stray = Violation { container: None, message: message.into(), ..violation(vec![]) };
        explorations(&stress("inert"), &two_pauses(), &stray).map(|plans| plans[0].containers.clone())
    };
    assert_eq!(stray("c2/meta.lock belongs to no container."), Ok(vec!["c2".to_owned()]));
    assert_eq!(stray("\"c2.lock\" is still there."), Ok(vec!["c2".to_owned()]));
    assert_eq!(stray("c20 is still there."), Err(Unexplained::NoContainer));
}

/// The lots of processes under control are others than those of the run, and yet the same creates fail.
#[test]
fn creates_that_failed_fail_again() {
    let mut stress = stress("inert");
    let fail = FailCreate { share: 0.9, at: FailCreateAt::Start, workers: 8 };
    stress.subject =
        SubjectPlan::Replica { replica: "gvisor-2024".parse().expect("a replica"), fail_create: Some(fail) };
    let lot = |process: u32, at: u64| {
        let sequence = crate::engine::explore::FIRST_SEQUENCE + at;
        subject::payload::Stamp { writer: process, sequence }.lot()
    };
    for failed in 0..4 {
        let created = Status::Created;
        let mut history = history(&[
            (0, 1, Create, 0, 10, created),
            (1, 1, Create, 1, 11, created),
            (2, 1, Create, 2, 12, created),
            (3, 1, Create, 3, 13, created),
        ]);
        history.records[failed].outcome = Outcome::Failed;
        let plans = explorations(&stress, &history, &violation(vec![0, 1, 2, 3])).unwrap();
        let SubjectPlan::Replica { fail_create: Some(fail), .. } = &plans[0].subject else {
            panic!("the same subject")
        };
        let fails = (0..4).filter(|&process| lot(process, 0) < fail.share).count();
        assert_eq!((fails, fail.workers, fail.at), (1, 4, FailCreateAt::Start));
    }
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
    assert_eq!((&plans[0].faults[..], plans[0].fault_bound), (&[Fault::Kill, Fault::ShortWriteKill][..], 1));
    history.records[7].process = 5;
    history.records[7].invoke_ns = 81;
    let plans = explorations(&stress("inert"), &history, &violation(vec![3, 4, 7])).unwrap();
    let apart = [calls(&[Pause]), calls(&[Pause]), calls(&[Resume]), calls(&[State])];
    assert_eq!(plans[0].processes, apart, "who takes a dead one's place is another process");
}

#[test]
fn what_cannot_be_explored_is_told() {
    let explain = |sandbox, violation| explorations(&stress(sandbox), &two_pauses(), &violation).unwrap_err();
    assert_eq!(explain("process", violation(vec![3])), Unexplained::Children);
    let nowhere = Violation { container: None, ..violation(vec![3]) };
    assert_eq!(explain("inert", nowhere), Unexplained::NoContainer);
    let untouched = Violation { container: Some(0), ..violation(vec![]) };
    let mut history = two_pauses();
    history.records.retain(|record| record.container() == Some(1));
    let why = explorations(&stress("inert"), &history, &untouched).unwrap_err();
    assert_eq!(why, Unexplained::NoOperation);
}
