//! One exploration a case, and what it must show.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::AtomicBool;

use flockwork_harness::engine::explore;
use flockwork_harness::explore::machine::End;
use flockwork_harness::explore::strategy::Strategy;
use flockwork_harness::explore::strategy::exhaustive::Exhaustive;
use flockwork_harness::explore::strategy::random::Random;
use flockwork_harness::history::Outcome;
use flockwork_harness::plan::schedule::{Fault, Injected, Line};
use flockwork_harness::plan::{ExplorePlan, RepeatPlan};
use flockwork_harness::process::Zygote;
use flockwork_harness::violation::Class;

use crate::Case;
use crate::real::{self, Explored, Real, answers};
use crate::script::{Action, Ask, BAD_TOKEN, GOOD_TOKEN, LockOwner, Script, TOKEN};
use crate::tidy::assert_nobody_left;

pub const ALL: &[Case] = &[
    ("blocking_locks_never_block_in_the_kernel", blocking_locks_never_block_in_the_kernel),
    ("two_locks_in_two_orders_are_a_deadlock", two_locks_in_two_orders_are_a_deadlock),
    ("two_that_raise_their_flock_pass", two_that_raise_their_flock_pass),
    ("a_poll_waits_for_a_change", a_poll_waits_for_a_change),
    ("a_kill_lets_go_of_locks_at_every_step", a_kill_lets_go_of_locks_at_every_step),
    ("errors_reach_the_process", errors_reach_the_process),
    ("a_short_write_writes_half", a_short_write_writes_half),
    ("the_folder_is_put_back", the_folder_is_put_back),
    ("a_lock_held_from_outside_is_told", a_lock_held_from_outside_is_told),
    ("a_panic_is_a_crash_of_the_subject", a_panic_is_a_crash_of_the_subject),
    ("an_abort_is_a_crash_of_the_subject", an_abort_is_a_crash_of_the_subject),
    ("a_seed_gives_the_same_schedules", a_seed_gives_the_same_schedules),
    ("two_lanes_find_what_one_finds", two_lanes_find_what_one_finds),
    ("a_bug_in_a_long_number_is_seen", a_bug_in_a_long_number_is_seen),
    ("every_schedule_is_run_once_more_in_any_lane", every_schedule_is_run_once_more_in_any_lane),
];

pub fn open(slot: usize, path: &str, how: &str) -> Action {
    Action::Open { slot, path: path.into(), how: how.into() }
}

fn file(path: &str) -> Script {
    vec![open(0, path, "write create"), Action::Write(0, "first".into())]
}

fn lock(owner: Option<LockOwner>, ask: Ask) -> Action {
    match owner {
        Some(owner) => Action::Fcntl { slot: 0, owner, ask, start: 0, length: 0 },
        None => Action::Flock(0, ask),
    }
}

/// Explores all of it.
fn explore(zygote: &mut Zygote, setup: &Script, scripts: &[Script]) -> Explored {
    let mut real = Real::open(zygote, setup, scripts).expect("an executor");
    let explored = real.explore(&mut Exhaustive::new(), 10_000).expect("it ends");
    drop(real);
    assert_nobody_left(zygote);
    explored
}

/// The process of this number's only answer, in all that was seen.
fn answers_of(explored: &Explored, process: u32) -> BTreeSet<Option<String>> {
    explored.seen.iter().map(|seen| seen.answers[&process][0].clone()).collect()
}

fn blocking_locks_never_block_in_the_kernel(zygote: &mut Zygote) {
    for owner in [None, Some(LockOwner::Description), Some(LockOwner::Process)] {
        let script = vec![
            open(0, "a", "append"),
            lock(owner, Ask::Exclusive),
            Action::Read(0),
            Action::Write(0, "+".into()),
            lock(owner, Ask::Unlock),
        ];
        let explored = explore(zygote, &file("a"), &[script.clone(), script]);
        let seen: BTreeSet<_> = [r#""first""#, r#""first+""#].into_iter().collect();
        let both = answers_of(&explored, 1);
        let read: BTreeSet<_> =
            both.iter().map(|answer| answer.as_ref().unwrap().split(';').nth(2).unwrap()).collect();
        assert_eq!(read, seen, "{owner:?}: both orders were tried");
        for seen in &explored.seen {
            assert!(!seen.deadlock && seen.files["a"].contains("first++"), "{owner:?}: {seen:?}");
        }
    }
}

fn two_locks_in_two_orders_are_a_deadlock(zygote: &mut Zygote) {
    let both = |first: &str, second: &str| {
        vec![
            open(0, first, "write create"),
            open(1, second, "write create"),
            Action::Flock(0, Ask::Exclusive),
            Action::Flock(1, Ask::Exclusive),
        ]
    };
    let setup = vec![open(0, "a", "write create"), open(0, "b", "write create")];
    let mut real = Real::open(zygote, &setup, &[both("a", "b"), both("b", "a")]).expect("an executor");
    let mut ends = BTreeSet::new();
    let mut chains = BTreeSet::new();
    let mut strategy = Exhaustive::new();
    while let Some(mut assignment) = strategy.next() {
        let execution = real.run(&mut *assignment.chooser).expect("an execution");
        ends.insert(format!("{:?}", execution.end));
        chains.extend(execution.outcome.stall.clone());
        strategy.learn(assignment.ticket, &execution.split().0);
    }
    assert!(ends.contains("Deadlock") && ends.contains("Completed"), "{ends:?}");
    let told = ["p1 waits at flock b exclusive, held by p2", "p2 waits at flock a exclusive, held by p1"];
    assert_eq!(chains.into_iter().collect::<Vec<_>>(), [told.map(str::to_owned).to_vec()]);
    drop(real);
    assert_nobody_left(zygote);
}

/// Each gives its shared lock up as it asks for the exclusive one, so neither waits for ever.
fn two_that_raise_their_flock_pass(zygote: &mut Zygote) {
    let script = vec![open(0, "a", "read"), Action::Flock(0, Ask::Shared), Action::Flock(0, Ask::Exclusive)];
    let explored = explore(zygote, &file("a"), &[script.clone(), script]);
    assert!(explored.seen.iter().all(|seen| !seen.deadlock));
    let description = |ask| lock(Some(LockOwner::Description), ask);
    let script = vec![open(0, "a", "write"), description(Ask::Shared), description(Ask::Exclusive)];
    let explored = explore(zygote, &file("a"), &[script.clone(), script]);
    assert!(explored.seen.iter().any(|seen| seen.deadlock), "by fcntl it is kept, and they do");
}

fn a_poll_waits_for_a_change(zygote: &mut Zygote) {
    let waits = vec![Action::Await("b".into())];
    let makes = vec![Action::Sleep, open(0, "b", "write create")];
    let explored = explore(zygote, &file("a"), &[waits.clone(), makes]);
    assert_eq!(answers_of(&explored, 1), [Some("there;".to_owned())].into());
    assert!(explored.statistics.depth_max < 10, "{:?}", explored.statistics);
    let explored = explore(zygote, &file("a"), &[waits, vec![Action::Stat("a".into())]]);
    assert!(explored.seen.iter().all(|seen| seen.deadlock), "nobody makes the file");
}

/// Two executions that differ in nothing but a long number left behind: the second is not passed over for the first.
fn a_bug_in_a_long_number_is_seen(zygote: &mut Zygote) {
    let made = |path: &str| open(1, path, "write create");
    let written = |token: &str| [open(0, TOKEN, "write"), Action::Write(0, token.into())];
    // Each begins before the other ends, so that no history tells who wrote last.
    let [bad, good] = [written(BAD_TOKEN), written(GOOD_TOKEN)].map(Vec::from);
    let first = [vec![made("first")], bad, vec![Action::Await("second".into())]].concat();
    let second = [vec![Action::Await("first".into()), made("second")], good].concat();
    let setup = vec![open(0, TOKEN, "write create"), Action::Write(0, GOOD_TOKEN.into())];
    let folder = real::folder();
    let plan = real::plan(folder.path().to_owned(), &setup, &[first, second]);
    let run = explore::run(zygote, &plan, &AtomicBool::new(false), &()).expect("an exploration");
    let found = run.discoveries.iter().flat_map(|found| &found.violations);
    let classes: BTreeSet<Class> = found.map(|violation| violation.class).collect();
    assert_eq!(classes, [Class::TornRead].into(), "{} schedules", run.schedules);
    assert_nobody_left(zygote);
}

/// What the steps touch is named alike in every lane, so a schedule repeats in a lane that it was not first run in.
fn every_schedule_is_run_once_more_in_any_lane(zygote: &mut Zygote) {
    let script = vec![
        open(0, "a", "append"),
        Action::Flock(0, Ask::Exclusive),
        Action::Write(0, "x".into()),
        Action::Rename("a".into(), "b".into()),
        open(1, "a", "write create"),
    ];
    let folder = real::folder();
    let mut plan = real::plan(folder.path().to_owned(), &file("a"), &[script.clone(), script]);
    (plan.lanes, plan.faults) = (2, vec![Fault::Kill]);
    let run = explore::run(zygote, &plan, &AtomicBool::new(false), &()).expect("a run");
    assert!(run.schedules > 100 && run.faulted > 50, "{} schedules", run.schedules);
    assert_eq!(run.repeated, run.schedules);
    plan.repeat = RepeatPlan::one_in(50);
    let sampled = explore::run(zygote, &plan, &AtomicBool::new(false), &()).expect("a run");
    assert_eq!((sampled.schedules, sampled.repeated), (run.schedules, 1 + run.schedules / 50));
    assert_nobody_left(zygote);
}

/// Kills the first process at each of its steps: the second always gets the lock, and the descriptors are gone.
fn a_kill_lets_go_of_locks_at_every_step(zygote: &mut Zygote) {
    for owner in [None, Some(LockOwner::Description), Some(LockOwner::Process)] {
        let script = vec![open(0, "a", "write"), lock(owner, Ask::Exclusive), Action::Write(0, "x".into())];
        let mut real = Real::open(zygote, &file("a"), &[script.clone(), script]).expect("an executor");
        let whole = real.run(&mut Along(0)).expect("an execution");
        let steps: Vec<Line> =
            whole.outcome.schedule.lines.iter().filter(|line| line.process == 0).cloned().collect();
        assert!(steps.len() >= 4, "{steps:?}");
        for line in steps {
            real.faults = vec![Line { fault: Some(Fault::Kill), ..line.clone() }];
            let killed = real.run(&mut Along(0)).expect("an execution");
            assert_eq!(killed.end, End::Completed, "{line}");
            assert_eq!(killed.outcome.exits.len(), 1, "{line}");
            let answers = answers(&killed.outcome.history);
            assert_eq!(answers[&1], [None], "{line}");
            assert_eq!(answers[&2], [Some("ok;ok;1;".to_owned())], "{owner:?} {line}");
        }
        drop(real);
        assert_nobody_left(zygote);
    }
}

/// Has the process of this number go first, as long as it can.
struct Along(usize);

impl flockwork_harness::explore::machine::Chooser for Along {
    fn choose(
        &mut self,
        point: &flockwork_harness::explore::machine::Point<'_>,
    ) -> flockwork_harness::explore::machine::Pick {
        let first = if point.enabled.has(self.0) { Some(self.0) } else { point.enabled.lowest() };
        flockwork_harness::explore::machine::Pick::Step(first.expect("somebody is enabled"))
    }

    fn happened(&mut self, _: &flockwork_harness::explore::step::Event) {}
}

fn errors_reach_the_process(zygote: &mut Zygote) {
    let script = vec![
        open(0, "a", "append"),
        Action::Flock(0, Ask::Exclusive),
        Action::Write(0, "xy".into()),
        Action::Rename("a".into(), "b".into()),
        open(1, "c", "write create"),
    ];
    let mut real = Real::open(zygote, &file("a"), &[script]).expect("an executor");
    for (label, error, index) in [
        ("open a", Injected::Io, 0),
        ("open a", Injected::TooManyFiles, 0),
        ("open a", Injected::Access, 0),
        ("flock a exclusive", Injected::Interrupted, 1),
        ("write a", Injected::NoSpace, 2),
        ("write a", Injected::Io, 2),
        ("rename a to b", Injected::NoSpace, 3),
        ("open c create", Injected::NoSpace, 4),
        ("open c create", Injected::Interrupted, 4),
    ] {
        real.faults = vec![Line { process: 0, label: label.into(), fault: Some(Fault::Error(error)) }];
        let execution = real.run(&mut Along(0)).expect("an execution");
        let answers = answers(&execution.outcome.history);
        let answer = answers[&1][0].clone().expect("it lives");
        assert_eq!(answer.split(';').nth(index), Some(error.as_str()), "{label}: {answer}");
        let files = real::lies_in(real.executor.root());
        assert_eq!(files.values().any(|file| file.contains("firstxy")), index != 2 && index != 0, "{label}");
        assert_eq!(files.contains_key("a"), index == 3, "{label} {files:?}");
    }
    real.faults.clear();
    let execution = real.run(&mut Along(0)).expect("an execution");
    assert_eq!(answers(&execution.outcome.history)[&1], [Some("ok;ok;2;ok;ok;".to_owned())]);
    drop(real);
    assert_nobody_left(zygote);
}

fn a_short_write_writes_half(zygote: &mut Zygote) {
    let script = vec![open(0, "a", "append"), Action::Write(0, "123456".into())];
    let mut real = Real::open(zygote, &file("a"), &[script]).expect("an executor");
    for (fault, answer) in [(Fault::ShortWrite, Some("ok;3;".to_owned())), (Fault::ShortWriteKill, None)] {
        real.faults = vec![Line { process: 0, label: "write a".into(), fault: Some(fault) }];
        let execution = real.run(&mut Along(0)).expect("an execution");
        assert_eq!(answers(&execution.outcome.history)[&1], [answer], "{fault}");
        let files = real::lies_in(real.executor.root());
        assert!(files["a"].ends_with(r#""first123""#), "{fault}: {files:?}");
    }
}

/// Whatever an execution does, the next one begins as the first did.
fn the_folder_is_put_back(zygote: &mut Zygote) {
    let mut setup = file("a");
    setup.extend([
        Action::Link("a".into(), "twin".into()),
        Action::MakeFolder("d".into()),
        open(1, "d/x", "write create"),
        Action::Symlink { target: "a".into(), path: "l".into() },
        Action::Link("a".into(), "d/third".into()),
    ]);
    let name = |name: &str| name.to_owned();
    let scripts: Vec<Script> = vec![
        vec![Action::Unlink(name("a"))],
        vec![open(0, "twin", "append"), Action::Write(0, name("more"))],
        vec![Action::Rename(name("d"), name("e"))],
        vec![Action::Chmod(name("d"), 0o700), Action::Chmod(name("a"), 0o600)],
        vec![Action::Unlink(name("l")), Action::Symlink { target: name("b"), path: name("l") }],
        vec![Action::Rename(name("twin"), name("d/x")), open(0, "d/x", "write truncate")],
        vec![Action::Unlink(name("d/third")), Action::Unlink(name("d/x")), Action::RemoveFolder(name("d"))],
        vec![Action::Exchange(name("a"), name("d"))],
        vec![
            Action::MakeFolder(name("new")),
            Action::MakeFolder(name("new/deep")),
            Action::Chmod(name("new"), 0),
        ],
    ];
    // The last one looks on: it takes no step that changes anything.
    let mut all = scripts.clone();
    all.push(vec![Action::Stat(name("a"))]);
    let mut real = Real::open(zygote, &setup, &all).expect("an executor");
    let programs = std::mem::take(&mut real.programs);
    let look_on = vec![programs.last().unwrap().clone()];
    real.programs.clone_from(&look_on);
    real.run(&mut Along(0)).expect("an execution");
    let first = real::lies_in(real.executor.root());
    assert_eq!(first["a"], first["twin"].replace("twin", "a"), "{first:?}");
    for (program, script) in programs.iter().zip(&scripts) {
        real.programs = vec![program.clone()];
        let execution = real.run(&mut Along(0)).expect("an execution");
        assert_eq!(execution.outcome.history.records.last().unwrap().outcome, Outcome::Ok, "{script:?}");
        real.programs.clone_from(&look_on);
        real.run(&mut Along(0)).expect("an execution");
        assert_eq!(real::lies_in(real.executor.root()), first, "after {script:?}");
    }
}

fn a_lock_held_from_outside_is_told(zygote: &mut Zygote) {
    let script = vec![open(0, "a", "read"), Action::Flock(0, Ask::Exclusive)];
    let mut real = Real::open(zygote, &file("a"), &[script]).expect("an executor");
    let outsider = fs::File::open(real.executor.root().join("a")).expect("the file");
    rustix::fs::flock(&outsider, rustix::fs::FlockOperation::LockExclusive).expect("the lock");
    let error = real.run(&mut Along(0)).expect_err("it cannot be had").to_string();
    assert!(error.contains("is it held from outside?"), "{error}");
    rustix::fs::flock(&outsider, rustix::fs::FlockOperation::Unlock).expect("unlocked");
    real.run(&mut Along(0)).expect("and the executor goes on as if nothing had been");
}

/// The plan for a whole exploration, judged.
fn judged(root: &std::path::Path, scripts: &[Script]) -> ExplorePlan {
    real::plan(root.to_owned(), &file("a"), scripts)
}

fn crash(zygote: &mut Zygote, action: Action) {
    let folder = real::folder();
    let plan = judged(folder.path(), &[vec![open(0, "a", "read"), action], vec![Action::Stat("a".into())]]);
    let run = explore::run(zygote, &plan, &AtomicBool::new(false), &()).expect("an exploration");
    let crashed = run.discoveries.iter().flat_map(|found| &found.violations);
    assert!(crashed.clone().any(|violation| violation.class == Class::SubjectCrash), "{run:?}");
    assert_nobody_left(zygote);
}

fn a_panic_is_a_crash_of_the_subject(zygote: &mut Zygote) {
    crash(zygote, Action::Panic);
}

fn an_abort_is_a_crash_of_the_subject(zygote: &mut Zygote) {
    crash(zygote, Action::Abort);
}

/// Two that lose an update now and then, and leave a bad token where the second is the last to write it.
fn racy() -> Vec<Script> {
    let script = |token: &str| {
        vec![
            open(0, "a", "write"),
            Action::Read(0),
            Action::Flock(0, Ask::Exclusive),
            Action::Write(0, "x".into()),
            Action::Flock(0, Ask::Unlock),
            Action::Rename("a".into(), "b".into()),
            open(1, TOKEN, "write create truncate"),
            Action::Write(1, token.into()),
        ]
    };
    vec![script(GOOD_TOKEN), script(BAD_TOKEN)]
}

fn explored(
    zygote: &mut Zygote,
    change: impl FnOnce(&mut ExplorePlan),
) -> (Vec<u64>, Vec<String>, BTreeSet<Class>) {
    let folder = real::folder();
    let mut plan = judged(folder.path(), &racy());
    change(&mut plan);
    let run = explore::run(zygote, &plan, &AtomicBool::new(false), &()).expect("an exploration");
    let numbers = vec![run.schedules, run.faulted, run.redundant, run.operations, run.steps, run.blocked];
    let classes = run.discoveries.iter().flat_map(|found| &found.violations).map(|violation| violation.class);
    let found =
        run.discoveries.iter().map(|found| format!("{} {:?}", found.number, found.schedule)).collect();
    (numbers, found, classes.collect())
}

fn a_seed_gives_the_same_schedules(zygote: &mut Zygote) {
    for faults in [Vec::new(), vec![Fault::Kill]] {
        let first = explored(zygote, |plan| plan.faults.clone_from(&faults));
        let again = explored(zygote, |plan| plan.faults.clone_from(&faults));
        assert_eq!(first, again);
        assert!(first.0[0] > 1 && !first.1.is_empty(), "{first:?}");
    }
    let at_random = |zygote: &mut Zygote, seed| {
        let mut real = Real::open(zygote, &file("a"), &racy()).expect("an executor");
        real.explore(&mut Random::new(seed, 20), 20).expect("20").seen
    };
    assert_eq!(at_random(zygote, 1), at_random(zygote, 1));
}

fn two_lanes_find_what_one_finds(zygote: &mut Zygote) {
    let one = explored(zygote, |plan| plan.faults = vec![Fault::Kill]);
    let two = explored(zygote, |plan| {
        plan.faults = vec![Fault::Kill];
        plan.lanes = 2;
    });
    assert_eq!(one.2, two.2, "classes");
    assert!(!one.2.is_empty());
    assert_nobody_left(zygote);
}
