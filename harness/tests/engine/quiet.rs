//! What is looked at when all is quiet, and which plans come to nothing.

use std::fs;
use std::sync::atomic::AtomicBool;

use flockwork::Operation;
use flockwork_harness::engine::StressRun;
use flockwork_harness::engine::stress::run;
use flockwork_harness::evidence::Reply;
use flockwork_harness::history::Outcome;
use flockwork_harness::plan::{Budget, SubjectPlan};
use flockwork_harness::process::{Zygote, procfs};
use flockwork_harness::subject::Answer;

use super::Case;
use super::cases::{assert_nothing_left, assert_sound, go, setting};

pub const ALL: &[Case] = &[
    ("the_root_is_examined", the_root_is_examined),
    ("littered_processes_are_found_and_killed", littered_processes_are_found_and_killed),
    ("a_stuck_examiner_is_cut_short", a_stuck_examiner_is_cut_short),
    ("a_subject_that_does_not_open_is_an_error", a_subject_that_does_not_open_is_an_error),
    ("impossible_plans_are_refused", impossible_plans_are_refused),
    ("sixty_four_workers_start_soon", sixty_four_workers_start_soon),
];

/// What the examiner was answered of a container's state.
pub fn state_of(run: &StressRun, container: usize) -> &Answer {
    run.quiet.containers[container].answer().expect("it answered")
}

fn the_root_is_examined(zygote: &mut Zygote) {
    let setting = setting("locked");
    fs::write(setting.plan.root.join("stray"), "whose?").expect("a stray");
    let run = go(zygote, &setting.plan);
    let quiet = &run.quiet;
    let is_ok = |reply: &Reply| reply.answer().is_some_and(|answer| answer.outcome == Outcome::Ok);
    assert!(quiet.list.as_ref().is_ok_and(is_ok), "{:?}", quiet.list);
    assert_eq!(quiet.containers.len(), 2);
    for (container, name) in quiet.containers.iter().zip(["c1.json", "c2.json"]) {
        let state = container.answer().expect("it answered");
        assert_eq!(state.outcome, Outcome::Ok);
        assert!(state.revision.is_some());
        assert_eq!(container.files, Ok(vec![name.to_owned()]));
        let recovery = container.recovery.as_ref().expect("tried");
        let created = recovery.create.answer().and_then(|answer| answer.revision);
        assert_eq!(created, Some(1), "absent before, so the delete came first");
        assert!(is_ok(&recovery.delete_again));
    }
    assert_eq!(quiet.strays, Ok(vec!["stray".to_owned()]));
    assert_eq!(quiet.remains, Ok(vec!["stray".to_owned()]));
    assert_eq!(quiet.processes, Ok(Vec::new()));
    let left = setting.folder.path().join("root.left");
    let before = fs::read_to_string(left.join("c1.json")).expect("as it was left");
    assert_eq!(before.trim().parse().ok(), state_of(&run, 0).revision);
    let examiner = run.history.records.iter().filter(|record| record.process == 4);
    assert_eq!(examiner.count(), 3, "list and two states are on record");
}

fn littered_processes_are_found_and_killed(zygote: &mut Zygote) {
    for subject in ["litters", "litters-unmarked"] {
        let mut setting = setting(subject);
        setting.plan.budget = Budget::Operations(40);
        let run = go(zygote, &setting.plan);
        let created = run.history.records.iter().filter(|record| record.operation == Operation::Create);
        let processes = run.quiet.processes.as_ref().expect("looked for");
        assert_eq!(processes.len(), created.count() + 2, "those of the examiner's creates too");
        for process in processes {
            assert!(process.starts_with("sleep (pid "), "{process}");
            let pid = process.trim_start_matches("sleep (pid ").split(',').next();
            let pid = pid.and_then(|pid| pid.parse().ok()).expect("a pid");
            assert_eq!(procfs::Stat::of(pid), None, "killed and reaped");
        }
        assert_nothing_left(zygote);
    }
}

fn a_stuck_examiner_is_cut_short(zygote: &mut Zygote) {
    let mut setting = setting("locked");
    setting.plan.budget = Budget::Operations(10);
    setting.plan.stall_ns = 1_000_000_000;
    // The root's lock for c2 is held for ever, by this very process.
    setting.plan.containers = 2;
    setting.plan.mix = vec![(Operation::List, 1)];
    let lock = fs::File::create(setting.plan.root.join("c2.lock")).expect("the lock file");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("the lock");
    let run = go(zygote, &setting.plan);
    let [free, stuck] = &run.quiet.containers[..] else { panic!("two containers") };
    let is_ok = |reply: &Reply| reply.answer().is_some_and(|answer| answer.outcome == Outcome::Ok);
    assert!(free.state.as_ref().is_ok_and(is_ok));
    assert!(free.recovery.as_ref().is_ok_and(|recovery| is_ok(&recovery.delete_again)));
    let silence = Reply::Silent("no answer in time".into());
    assert_eq!(stuck.state, Ok(silence.clone()));
    let recovery = stuck.recovery.as_ref().expect("tried");
    for reply in [&recovery.delete, &recovery.create, &recovery.delete_again] {
        assert_eq!(*reply, silence);
    }
    assert_sound(&run, &setting.plan);
}

fn a_subject_that_does_not_open_is_an_error(zygote: &mut Zygote) {
    let mut setting = setting("unopened");
    let stop = AtomicBool::new(false);
    let error = run(zygote, &setting.plan, &stop, &()).expect_err("no run").to_string();
    assert!(error.contains("process 1") && error.contains("out of paper"), "{error}");
    setting.plan.subject = SubjectPlan::Custom { word: "never heard of".into() };
    let error = run(zygote, &setting.plan, &stop, &()).expect_err("no run").to_string();
    assert!(error.contains("never heard of"), "{error}");
    assert_nothing_left(zygote);
}

fn impossible_plans_are_refused(zygote: &mut Zygote) {
    let mut setting = setting("locked");
    setting.plan.processes = 100_000_000;
    let error = run(zygote, &setting.plan, &AtomicBool::new(false), &()).expect_err("no run").to_string();
    assert!(error.contains("100000002 processes"), "{error}");
}

fn sixty_four_workers_start_soon(zygote: &mut Zygote) {
    let mut setting = setting("nothing");
    setting.plan.processes = 64;
    setting.plan.budget = Budget::Operations(6400);
    let mut startups = [0; 5].map(|_| go(zygote, &setting.plan).startup_ns / 1000);
    startups.sort_unstable();
    println!("startup of 64 workers, 5 runs: {startups:?} µs");
    // The reach is 100 ms; a test on a busy machine leaves room.
    assert!(startups[0] < 1_000_000);
}
