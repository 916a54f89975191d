//! One run a case, and what it must show.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flockwork::Operation;
use flockwork_harness::engine::stress::{Terms, run, run_with};
use flockwork_harness::engine::{Ended, Progress, StressRun};
use flockwork_harness::evidence::ExitHow;
use flockwork_harness::history::{Outcome, Reason, Record};
use flockwork_harness::plan::{Audit, Budget, StressPlan, SubjectPlan};
use flockwork_harness::process::{Zygote, procfs};
use tempfile::TempDir;

use super::Case;
use super::quiet::state_of;

pub const ALL: &[Case] = &[
    ("a_sound_run_is_recorded_whole", a_sound_run_is_recorded_whole),
    ("a_zygote_serves_run_after_run", a_zygote_serves_run_after_run),
    ("the_seed_decides_the_operations", the_seed_decides_the_operations),
    ("overlaps_are_seen", overlaps_are_seen),
    ("a_panic_leaves_its_words", a_panic_leaves_its_words),
    ("a_crash_is_told_by_its_signal", a_crash_is_told_by_its_signal),
    ("killed_workers_are_replaced_and_bounded", killed_workers_are_replaced_and_bounded),
    ("fresh_processes_do_the_same", fresh_processes_do_the_same),
    ("fresh_processes_survive_kills", fresh_processes_survive_kills),
    ("a_fresh_process_that_crashes_is_told", a_fresh_process_that_crashes_is_told),
    ("a_stall_is_found", a_stall_is_found),
    ("a_stall_is_found_at_the_end_of_the_time", a_stall_is_found_at_the_end_of_the_time),
    ("stop_ends_a_run_soon", stop_ends_a_run_soon),
    ("a_duration_is_kept", a_duration_is_kept),
    ("a_full_log_ends_the_run", a_full_log_ends_the_run),
    ("no_zygote_is_forked_from_threads", no_zygote_is_forked_from_threads),
    ("think_time_is_no_part_of_an_operation", think_time_is_no_part_of_an_operation),
    ("auditors_look_on", auditors_look_on),
    ("torn_reads_show_in_progress_and_messages", torn_reads_show_in_progress_and_messages),
];

/// A plan with a folder of its own.
pub struct Setting {
    pub plan: StressPlan,
    pub folder: TempDir,
}

pub fn setting(subject: &str) -> Setting {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("root");
    fs::create_dir(&root).expect("a root");
    Setting { plan: plan(subject, root), folder }
}

pub fn plan(subject: &str, root: PathBuf) -> StressPlan {
    StressPlan {
        subject: SubjectPlan::Custom { word: subject.into() },
        root,
        seed: 1,
        processes: 4,
        auditors: 0,
        audit: Audit::Locked,
        containers: 2,
        budget: Budget::Operations(2000),
        think_ns: 0..=0,
        hold_ns: 0..=0,
        mix: vec![(Operation::Create, 1), (Operation::Pause, 4), (Operation::List, 1)],
        kill_every_ns: None,
        payload_bytes: 64,
        fresh_processes: false,
        starvation_ns: 5_000_000_000,
        stall_ns: 20_000_000_000,
    }
}

pub fn go(zygote: &mut Zygote, plan: &StressPlan) -> StressRun {
    run(zygote, plan, &AtomicBool::new(false), &()).expect("a run")
}

fn of_workers(run: &StressRun, plan: &StressPlan) -> Vec<Record> {
    run.history.records.iter().filter(|record| record.process < plan.processes).copied().collect()
}

/// What must hold of every history.
pub fn assert_sound(run: &StressRun, plan: &StressPlan) {
    let mut last_return = BTreeMap::<u32, u64>::new();
    for record in &run.history.records {
        let return_ns = record.return_ns().expect("everybody was reaped, so every outcome is bounded");
        assert!(record.invoke_ns <= return_ns);
        let last = last_return.insert(record.process, return_ns).unwrap_or(0);
        assert!(last <= record.invoke_ns, "a process does one thing at a time");
        assert!(record.process <= plan.processes + plan.auditors);
        assert_eq!(record.container().is_none(), record.operation == Operation::List);
        if record.outcome == Outcome::Unknown {
            assert!(record.revision.is_none() && record.reason.is_none() && record.status.is_none());
            let reaped = run.exits.iter().filter(|exit| exit.process == record.process);
            assert!(reaped.clone().any(|exit| exit.reaped_ns == return_ns), "bounded by a reaping");
        }
    }
}

pub fn assert_nothing_left(zygote: &Zygote) {
    let child = |pid| procfs::Stat::of(pid).is_some_and(|stat| stat.parent == zygote.pid());
    assert_eq!(
        procfs::pids().into_iter().filter(|&pid| child(pid)).count(),
        0,
        "the zygote has no child left"
    );
}

fn a_sound_run_is_recorded_whole(zygote: &mut Zygote) {
    let setting = setting("locked");
    let run = go(zygote, &setting.plan);
    assert_sound(&run, &setting.plan);
    let records = of_workers(&run, &setting.plan);
    assert_eq!(records.len(), 2000);
    assert!(records.iter().all(|record| record.outcome == Outcome::Ok));
    assert_eq!(run.ended, Ended::Completed);
    assert!(run.overlaps.is_empty() && run.stall.is_none() && run.kills == 0);
    let listed = records.iter().filter(|record| record.operation == Operation::List).count();
    // Those of the examiner too: two states, and three operations a container to recover.
    assert_eq!(run.entered, Ok(2000 - listed as u64 + 2 + 6));
    assert_eq!(run.exits.len(), 5, "four workers and the examiner");
    assert!(run.exits.iter().all(|exit| exit.how == ExitHow::Code(0) && exit.last_words.is_none()));
    // Under a lock every number is given out once.
    for container in 0..2 {
        let counted = records.iter().filter(|record| record.container() == Some(container));
        let mut counts = counted.map(|record| record.revision.expect("a number").get()).collect::<Vec<_>>();
        counts.sort_unstable();
        assert!(counts.iter().copied().eq(1..=counts.len() as u64));
    }
    assert_nothing_left(zygote);
}

fn a_zygote_serves_run_after_run(zygote: &mut Zygote) {
    for seed in 0..3 {
        let mut setting = setting("locked");
        setting.plan.seed = seed;
        setting.plan.budget = Budget::Operations(100);
        assert_eq!(of_workers(&go(zygote, &setting.plan), &setting.plan).len(), 100);
    }
}

fn chosen(run: &StressRun, plan: &StressPlan) -> Vec<Vec<(Operation, Option<u32>)>> {
    let of = |process| {
        let records = run.history.records.iter().filter(move |record| record.process == process);
        records.map(|record| (record.operation, record.container())).collect()
    };
    (0..plan.processes).map(of).collect()
}

fn the_seed_decides_the_operations(zygote: &mut Zygote) {
    let mut runs = [7, 7, 8].map(|seed| {
        let mut setting = setting("locked");
        setting.plan.seed = seed;
        // Kills and replacements must not change what is chosen.
        setting.plan.kill_every_ns = Some(2_000_000);
        chosen(&go(zygote, &setting.plan), &setting.plan)
    });
    let [first, second, third] = &mut runs;
    assert_eq!(first, second);
    assert_ne!(first, third);
    assert_ne!(first[0], first[1]);
}

fn overlaps_are_seen(zygote: &mut Zygote) {
    let mut setting = setting("unlocked");
    setting.plan.hold_ns = 10_000..=50_000;
    let run = go(zygote, &setting.plan);
    assert!(!run.overlaps.is_empty());
    for overlap in &run.overlaps {
        assert_ne!(overlap.inside, overlap.entered);
        assert!(overlap.container < 2 && overlap.inside < 4 && overlap.entered < 4);
        assert_eq!(overlap.inside_killed_ns, None);
    }
}

fn a_panic_leaves_its_words(zygote: &mut Zygote) {
    let setting = setting("panics");
    let run = go(zygote, &setting.plan);
    assert_sound(&run, &setting.plan);
    let exit = run.exits.iter().find(|exit| exit.process == 1).expect("worker 1 ended");
    assert_eq!(exit.how, ExitHow::Code(101));
    assert!(exit.last_words.as_deref().is_some_and(|words| words.contains("nine is enough")));
    let records = of_workers(&run, &setting.plan);
    let of_panicked = records.iter().filter(|record| record.process == 1).collect::<Vec<_>>();
    assert_eq!(of_panicked.len(), 10);
    assert_eq!(of_panicked[9].outcome, Outcome::Unknown);
    assert_eq!(records.len(), 10 + 1500, "the others did their share");
}

fn a_crash_is_told_by_its_signal(zygote: &mut Zygote) {
    let setting = setting("aborts");
    let run = go(zygote, &setting.plan);
    let exit = run.exits.iter().find(|exit| exit.process == 1).expect("worker 1 ended");
    assert_eq!((exit.how, exit.killed_ns), (ExitHow::Signal(libc::SIGABRT), None));
}

fn assert_killed_and_replaced(run: &StressRun, plan: &StressPlan) {
    assert_sound(run, plan);
    assert!(run.kills > 3, "{} kills", run.kills);
    assert_eq!(run.ended, Ended::Completed);
    let killed = run.exits.iter().filter(|exit| exit.how == ExitHow::Signal(libc::SIGKILL));
    for exit in killed.clone() {
        assert!(exit.killed_ns.is_some_and(|killed_ns| killed_ns <= exit.reaped_ns));
    }
    assert!(killed.count() as u64 >= run.kills);
    let Budget::Operations(operations) = plan.budget else { panic!("operations") };
    assert_eq!(of_workers(run, plan).len() as u64, operations, "a killed operation is part of the share");
    let excused = |killed_ns: Option<u64>, at_ns| killed_ns.is_some_and(|killed_ns| killed_ns < at_ns);
    assert!(run.overlaps.iter().all(|overlap| excused(overlap.inside_killed_ns, overlap.at_ns)));
}

fn killed_workers_are_replaced_and_bounded(zygote: &mut Zygote) {
    let mut setting = setting("locked");
    setting.plan.hold_ns = 0..=100_000;
    setting.plan.kill_every_ns = Some(3_000_000);
    let run = go(zygote, &setting.plan);
    assert_killed_and_replaced(&run, &setting.plan);
    assert!(
        run.history.records.iter().any(|record| record.outcome == Outcome::Unknown),
        "killed in the midst"
    );
    assert_nothing_left(zygote);
}

fn fresh_processes_do_the_same(zygote: &mut Zygote) {
    let [long_lived, fresh] = [false, true].map(|fresh_processes| {
        let mut setting = setting("locked");
        setting.plan.fresh_processes = fresh_processes;
        setting.plan.budget = Budget::Operations(400);
        let run = go(zygote, &setting.plan);
        assert_sound(&run, &setting.plan);
        assert!(of_workers(&run, &setting.plan).iter().all(|record| record.outcome == Outcome::Ok));
        assert!(run.overlaps.is_empty());
        chosen(&run, &setting.plan)
    });
    assert_eq!(long_lived, fresh);
    assert_nothing_left(zygote);
}

fn fresh_processes_survive_kills(zygote: &mut Zygote) {
    let mut setting = setting("locked");
    setting.plan.fresh_processes = true;
    setting.plan.hold_ns = 0..=1_000_000;
    setting.plan.kill_every_ns = Some(5_000_000);
    setting.plan.budget = Budget::Operations(800);
    assert_killed_and_replaced(&go(zygote, &setting.plan), &setting.plan);
    assert_nothing_left(zygote);
}

fn a_fresh_process_that_crashes_is_told(zygote: &mut Zygote) {
    for (subject, how) in [("aborts", ExitHow::Signal(libc::SIGABRT)), ("panics", ExitHow::Code(101))] {
        let mut setting = setting(subject);
        setting.plan.fresh_processes = true;
        setting.plan.budget = Budget::Operations(100);
        let run = go(zygote, &setting.plan);
        assert_sound(&run, &setting.plan);
        let exit = run.exits.iter().find(|exit| exit.process == 1).expect("worker 1 ended");
        assert_eq!(exit.how, how);
        assert_eq!(exit.last_words.is_some(), subject == "panics");
    }
}

fn assert_stalled(run: &StressRun, plan: &StressPlan) {
    assert_sound(run, plan);
    assert_eq!(run.ended, Ended::Stalled);
    let stall = run.stall.as_ref().expect("told");
    assert_eq!(stall.waiting.len(), 4);
    assert!(stall.waiting.iter().all(|line| line.contains("kill c") && line.contains("pid")), "{stall:?}");
    let records = of_workers(run, plan);
    let returned = records.iter().filter(|record| record.outcome == Outcome::Ok);
    if let Some(last_ns) = returned.filter_map(Record::return_ns).max() {
        assert_eq!(stall.since_ns, last_ns);
    }
    let unknown = of_workers(run, plan).iter().filter(|record| record.outcome == Outcome::Unknown).count();
    assert_eq!(unknown, 4, "everybody hung");
}

fn a_stall_is_found(zygote: &mut Zygote) {
    let mut setting = setting("sleeps");
    setting.plan.mix = vec![(Operation::Pause, 10), (Operation::Kill, 1)];
    setting.plan.stall_ns = 500_000_000;
    assert_stalled(&go(zygote, &setting.plan), &setting.plan);
    assert_nothing_left(zygote);
}

fn a_stall_is_found_at_the_end_of_the_time(zygote: &mut Zygote) {
    let mut setting = setting("sleeps");
    setting.plan.mix = vec![(Operation::Kill, 1)];
    setting.plan.stall_ns = 2_500_000_000;
    setting.plan.budget = Budget::DurationNs(100_000_000);
    assert_stalled(&go(zygote, &setting.plan), &setting.plan);
}

fn stop_ends_a_run_soon(zygote: &mut Zygote) {
    // One thinks for hours, the other hangs in its operation.
    for (subject, think_ns) in [("locked", 3_600_000_000_000), ("sleeps", 0)] {
        let mut setting = setting(subject);
        setting.plan.mix = vec![(Operation::Kill, 1)];
        setting.plan.think_ns = think_ns..=think_ns;
        let stop = AtomicBool::new(false);
        let begun = Instant::now();
        let run = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(300));
                stop.store(true, Ordering::Relaxed);
            });
            run(zygote, &setting.plan, &stop, &()).expect("a run")
        });
        assert!(begun.elapsed() < Duration::from_secs(60), "took {:?}", begun.elapsed());
        assert_eq!(run.ended, Ended::Interrupted);
        assert_sound(&run, &setting.plan);
        assert!(of_workers(&run, &setting.plan).len() >= 4);
    }
}

fn a_duration_is_kept(zygote: &mut Zygote) {
    let mut setting = setting("locked");
    setting.plan.budget = Budget::DurationNs(300_000_000);
    let run = go(zygote, &setting.plan);
    assert_sound(&run, &setting.plan);
    assert_eq!(run.ended, Ended::Completed);
    assert!((250_000_000..5_000_000_000).contains(&run.duration_ns), "{} ns", run.duration_ns);
    assert!(of_workers(&run, &setting.plan).len() > 10);
}

fn a_full_log_ends_the_run(zygote: &mut Zygote) {
    for (budget, ended) in [
        (Budget::Operations(2000), Ended::LogFull),
        (Budget::DurationNs(60_000_000_000), Ended::LogFull),
        (Budget::Operations(200), Ended::Completed),
    ] {
        let mut setting = setting("locked");
        setting.plan.budget = budget;
        let terms = Terms { log_entries_max: Some(50), ..Terms::default() };
        let run = run_with(zygote, &setting.plan, &terms, &AtomicBool::new(false), &()).expect("a run");
        assert_sound(&run, &setting.plan);
        assert_eq!(run.ended, ended);
        let counts = (0..4).map(|process| chosen(&run, &setting.plan)[process].len());
        assert_eq!(counts.max(), Some(50));
    }
}

fn no_zygote_is_forked_from_threads(_: &mut Zygote) {
    let attempt = std::thread::spawn(Zygote::fork).join().expect("no panic");
    assert!(attempt.expect_err("no zygote").to_string().contains("thread"));
}

fn think_time_is_no_part_of_an_operation(zygote: &mut Zygote) {
    let mut setting = setting("nothing");
    setting.plan.processes = 1;
    setting.plan.budget = Budget::Operations(50);
    setting.plan.think_ns = 2_000_000..=3_000_000;
    let run = go(zygote, &setting.plan);
    let mut records = of_workers(&run, &setting.plan);
    records.sort_by_key(|record| record.invoke_ns);
    for pair in records.windows(2) {
        assert!(pair[1].invoke_ns - pair[0].return_ns().expect("returned") >= 2_000_000);
    }
    let mut spent = records.iter().map(|record| record.deadline_ns() - record.invoke_ns).collect::<Vec<_>>();
    spent.sort_unstable();
    assert!(spent[25] < 1_000_000, "the median operation took {} ns", spent[25]);
}

fn auditors_look_on(zygote: &mut Zygote) {
    for audit in [Audit::LockFree, Audit::Locked] {
        let mut setting = setting("locked");
        setting.plan.auditors = 2;
        setting.plan.audit = audit;
        setting.plan.budget = Budget::DurationNs(200_000_000);
        // On a busy machine an auditor may hardly be given the processor: runs are added up until it has looked enough.
        let mut looks = 0;
        let mut runs = 0;
        while looks <= 20 {
            assert!(runs < 50, "{looks} looks in {runs} runs");
            let run = go(zygote, &setting.plan);
            assert_sound(&run, &setting.plan);
            for record in run.history.records.iter().filter(|record| [4, 5].contains(&record.process)) {
                assert_eq!(record.operation, Operation::State);
                let absent = record.outcome == Outcome::Refused && record.reason == Some(Reason::Absent);
                assert!(absent || (record.outcome == Outcome::Ok && record.revision.is_some()), "{record:?}");
                looks += 1;
            }
            runs += 1;
        }
    }
}

#[derive(Default)]
struct Seen {
    operations: AtomicU64,
    violations: AtomicU64,
}

impl Progress for Seen {
    fn update(&self, operations: u64, violations: u64) {
        assert!(operations >= self.operations.swap(operations, Ordering::Relaxed));
        self.violations.store(violations, Ordering::Relaxed);
    }
}

fn torn_reads_show_in_progress_and_messages(zygote: &mut Zygote) {
    let mut setting = setting("torn");
    setting.plan.mix = vec![(Operation::Pause, 1), (Operation::State, 1)];
    let seen = Seen::default();
    let run = run(zygote, &setting.plan, &AtomicBool::new(false), &seen).expect("a run");
    assert_eq!(seen.operations.into_inner(), 2000);
    let torn = run.history.records.iter().filter(|record| record.reason == Some(Reason::Corrupt));
    assert_eq!(seen.violations.into_inner(), torn.clone().count() as u64);
    assert!(torn.clone().count() > 100);
    assert!(torn.clone().all(|record| run.history.message(record) == Some("half a file")));
    assert_eq!(state_of(&run, 1).reason, Some(Reason::Corrupt));
}
