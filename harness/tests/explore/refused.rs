//! What cannot be explored: each a clear error that says what and where, and nothing left running.

use std::sync::atomic::AtomicBool;

use flockwork_harness::engine::explore;
use flockwork_harness::explore::strategy::random::Walk;
use flockwork_harness::explore::strategy::sampling::Dice;
use flockwork_harness::plan::ExplorePlan;
use flockwork_harness::process::Zygote;

use crate::Case;
use crate::cases::open;
use crate::real::{self, Real, doing};
use crate::script::{Action, Ask, LockOwner, Script};
use crate::tidy::assert_nobody_left;

pub const ALL: &[Case] = &[
    ("what_cannot_be_controlled_is_refused", what_cannot_be_controlled_is_refused),
    ("a_process_that_never_stops_is_told", a_process_that_never_stops_is_told),
    ("a_setup_that_fails_is_told", a_setup_that_fails_is_told),
    ("more_programs_than_processes_are_refused", more_programs_than_processes_are_refused),
    ("a_whim_is_uncontrolled_nondeterminism", a_whim_is_uncontrolled_nondeterminism),
];

fn setup() -> Script {
    vec![open(0, "a", "write create"), Action::Write(0, "first".into())]
}

/// Explores, which must fail; gives back how it is told.
fn fails(
    zygote: &mut Zygote,
    setup: &Script,
    scripts: &[Script],
    change: impl FnOnce(&mut ExplorePlan),
) -> String {
    let folder = real::folder();
    let mut plan = real::plan(folder.path().to_owned(), setup, scripts);
    change(&mut plan);
    let run = explore::run(zygote, &plan, &AtomicBool::new(false), &());
    assert_nobody_left(zygote);
    let error = run.expect_err("it cannot be explored");
    assert!(!error.is_unsupported(), "the subject's fault: {error}");
    error.to_string()
}

fn what_cannot_be_controlled_is_refused(zygote: &mut Zygote) {
    let flock = Action::Flock(0, Ask::Exclusive);
    let part = |start, length| Action::Fcntl {
        slot: 0,
        owner: LockOwner::Description,
        ask: Ask::TryShared,
        start,
        length,
    };
    for (actions, told) in [
        (vec![Action::Thread], "starts a thread or a child"),
        (vec![Action::Child], "starts a "),
        (vec![Action::Program], "starts another program"),
        (vec![Action::MapShared(0)], "maps a file to share it"),
        (vec![Action::MapPrivate(0)], "maps a file"),
        (vec![Action::IoUring], "uses io_uring"),
        (vec![Action::SetAttribute(0)], "changes an extended attribute"),
        (vec![Action::Bind("socket".into())], "calls bind, which exploration does not foresee"),
        (vec![Action::TakeDescriptor], "calls pidfd_getfd, which reaches into another process"),
        (
            vec![flock.clone(), Action::Copy { from: 0, to: 1 }],
            "copies a descriptor by which it holds a lock",
        ),
        (vec![Action::Copy { from: 0, to: 1 }, flock], "locks a file while it has copies of descriptors"),
        (vec![part(0, 10), part(5, 10)], "locks parts of a file that overlap"),
    ] {
        let mut script = vec![open(0, "a", "read")];
        script.extend(actions);
        let error = fails(zygote, &setup(), &[vec![Action::Stat("a".into())], script.clone()], |_| ());
        assert!(error.starts_with("p2 ") && error.contains(told), "{script:?}: {error}");
        assert!(error.contains("in pause s2") && error.contains("cannot be explored"), "{script:?}: {error}");
    }
}

fn a_process_that_never_stops_is_told(zygote: &mut Zygote) {
    let script = vec![open(0, "a", "read"), Action::Loop];
    let error = fails(zygote, &setup(), &[script], |plan| plan.step_ns = 300_000_000);
    assert!(error.starts_with("p1 (pid ") && error.contains("ran for 0.3 s"), "{error}");
    assert!(error.contains("after open a") && error.contains("explore.step_limit"), "{error}");
}

fn a_setup_that_fails_is_told(zygote: &mut Zygote) {
    let nothing = vec![vec![Action::Stat("a".into())]];
    let error = fails(zygote, &vec![open(0, "missing", "read")], &nothing, |_| ());
    assert!(error.contains("setup: pause s0 was failed") && error.contains("ENOENT"), "{error}");
    let error = fails(zygote, &vec![Action::Panic], &nothing, |_| ());
    assert!(
        error.contains("setup: pause s0 was unanswered") && error.contains("as the script says"),
        "{error}"
    );
    let error = fails(zygote, &vec![Action::Loop], &nothing, |plan| plan.step_ns = 300_000_000);
    assert!(
        error.contains("setup: pause s0 was unanswered") && error.contains("no answer in time"),
        "{error}"
    );
}

fn more_programs_than_processes_are_refused(zygote: &mut Zygote) {
    let nothing = vec![Action::Stat("a".into())];
    let error = fails(zygote, &setup(), &[nothing], |plan| plan.processes = vec![vec![doing(1)]; 40]);
    assert!(error.contains("40 processes") && error.contains("32"), "{error}");
    let mut real = Real::open(zygote, &setup(), &[vec![Action::Stat("a".into())]]).expect("an executor");
    real.programs = vec![vec![doing(1)]; 2];
    let error = real.run(&mut Walk(Dice::of(1, 0))).expect_err("one too many").to_string();
    assert!(error.contains("2 programs are more than the exploration has processes: 1"), "{error}");
}

fn a_whim_is_uncontrolled_nondeterminism(zygote: &mut Zygote) {
    let script = vec![open(0, "a", "read"), Action::Whim("x".into())];
    let error = fails(zygote, &setup(), &[script.clone(), script], |_| ());
    assert!(error.contains("uncontrolled nondeterminism"), "{error}");
    let stats = error.matches(" stat x").count();
    assert!(stats >= 2 && error.contains("first:") && error.contains("then:"), "{error}");
}
