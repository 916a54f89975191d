//! What exploring costs: schedules in a second, what a second lane adds, and a controlled step beside a bare notification.
//!
//! `cargo bench -p flockwork-harness --bench control`, with `-- steps`, `exhaustive`, `rates`, `kills`,
//! `programs` or `crash` for a part. `-- profile PAIR EXECUTIONS [off|auto]` runs a pair of commands, started or as
//! clones, for whoever counts calls or samples.
//!
//! A `main` of its own: the zygote must be forked before there is a thread.

#[path = "control/crash.rs"]
mod crash;
#[path = "control/programs.rs"]
mod programs;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use flockwork::Operation;
use flockwork_harness::engine::explore::{ExploreRun, Pace, pace, run};
use flockwork_harness::explore::strategy::Coverage;
use flockwork_harness::plan::parts::Parts;
use flockwork_harness::plan::schedule::Fault;
use flockwork_harness::plan::{
    Call, ExploreBudget, ExplorePlan, LibraryPlan, RepeatPlan, StrategyPlan, SubjectPlan,
};
use flockwork_harness::process::Zygote;

const ROUNDS: usize = 9;

/// A part of the benchmark.
type Part = fn(&mut Zygote);

fn main() {
    let mut zygote = Zygote::fork().expect("a zygote");
    println!("{:<58} {:>10} {:>10} {:>10}", "what", "least", "median", "most");
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let [first, pair, executions, how @ ..] = asked.as_slice()
        && first == "profile"
    {
        let executions = executions.parse().expect("a number of executions");
        programs::profile(&mut zygote, pair, executions, how.first().map(String::as_str));
        return;
    }
    let parts: [(&str, Part); 6] = [
        ("steps", steps),
        ("exhaustive", exhaustive),
        ("rates", rates),
        ("kills", kills),
        ("programs", programs::programs),
        ("crash", crash::crash),
    ];
    for (name, measure) in parts {
        if asked.is_empty() || asked.iter().any(|word| word == name) {
            measure(&mut zygote);
        }
    }
}

/// Shows a row.
fn row(what: &str, mut samples: Vec<f64>) {
    samples.sort_by(f64::total_cmp);
    let [least, median, most] = [0, samples.len() / 2, samples.len() - 1].map(|index| samples[index]);
    println!("{what:<58} {least:>10.3} {median:>10.3} {most:>10.3}");
}

fn plan(root: &Path, processes: usize, strategy: StrategyPlan, schedules: u64) -> ExplorePlan {
    let call = |operation| Call { operation, container: 0 };
    ExplorePlan {
        subject: SubjectPlan::Library(LibraryPlan::default()),
        root: root.to_owned(),
        seed: 1,
        containers: vec!["c1".into()],
        setup: vec![call(Operation::Create), call(Operation::Start)],
        processes: vec![vec![call(Operation::Pause)]; processes],
        strategy,
        faults: Vec::new(),
        fault_bound: 0,
        budget: ExploreBudget { schedules, time_ns: 600_000_000_000 },
        repeat: RepeatPlan::one_in(50),
        payload_bytes: 0,
        step_ns: 5_000_000_000,
        steps_max: 10_000,
        lanes: 1,
        parts: Parts::ALL,
        power: None,
    }
}

/// Explores in a folder in memory, which is gone afterwards.
fn explored(
    zygote: &mut Zygote,
    processes: usize,
    strategy: StrategyPlan,
    schedules: u64,
    change: impl FnOnce(&mut ExplorePlan),
) -> ExploreRun {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let mut plan = plan(folder.path(), processes, strategy, schedules);
    change(&mut plan);
    run(zygote, &plan, &AtomicBool::new(false), &()).expect("an exploration")
}

fn per_second(run: &ExploreRun) -> f64 {
    (run.schedules + run.redundant) as f64 / (run.duration_ns as f64 / 1e9)
}

/// How many schedules make a sample.
const SCHEDULES: u64 = 2_000;

/// Schedules a second, each round one of each kind; and how much a second lane adds, round by round.
fn rates(zygote: &mut Zygote) {
    let [mut two, mut three, mut ratio] = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        let random = || StrategyPlan::Random;
        let one_lane = per_second(&explored(zygote, 2, random(), SCHEDULES, |_| {}));
        let two_lanes = per_second(&explored(zygote, 2, random(), 2 * SCHEDULES, |plan| plan.lanes = 2));
        ratio.push(two_lanes / one_lane);
        two.push(one_lane);
        three.push(per_second(&explored(zygote, 3, random(), SCHEDULES, |_| {})));
    }
    row("two processes, one pause each, schedules/s", two);
    row("three processes, one pause each, schedules/s", three);
    row("two lanes over one", ratio);
}

/// Schedules a second with a kill in each: another process has to be forked for the next.
fn kills(zygote: &mut Zygote) {
    let mut killed = Vec::new();
    for _ in 0..ROUNDS {
        let run = explored(zygote, 2, StrategyPlan::Random, SCHEDULES, |plan| {
            (plan.faults, plan.fault_bound) = (vec![Fault::Kill], 1);
        });
        killed.push(run.faulted as f64 / (run.duration_ns as f64 / 1e9));
    }
    row("two processes, one of them killed, schedules/s", killed);
}

/// What a stop takes in a controlled execution, over a bare notification, on the same processes.
fn steps(zygote: &mut Zygote) {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let plan = plan(folder.path(), 2, StrategyPlan::Random, 1);
    let paces = pace(zygote, &plan, 21, 500).expect("a measure");
    let each = |of: fn(&Pace) -> (Duration, u64)| {
        let us = |pace| {
            let (time, count) = of(pace);
            time.as_secs_f64() * 1e6 / count as f64
        };
        paces.iter().map(us).collect()
    };
    row("bare notification, us", each(|pace| (pace.bare, pace.stops)));
    row("stop in a controlled execution, us", each(|pace| (pace.controlled, pace.stops)));
    row("step, with the stops that concern nobody, us", each(|pace| (pace.controlled, pace.steps)));
    let ratio = |pace: &Pace| pace.controlled.as_secs_f64() / pace.bare.as_secs_f64();
    row("stop in a controlled execution over a bare notification", paces.iter().map(ratio).collect());
}

/// Every order of two pauses on the library.
fn exhaustive(zygote: &mut Zygote) {
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        let run = explored(zygote, 2, StrategyPlan::Exhaustive { preemptions: None }, 200_000, |_| {});
        assert_eq!(run.coverage, Coverage::Exhausted, "two pauses are exhausted");
        seconds.push(run.duration_ns as f64 / 1e9);
    }
    row("pause and pause, exhaustive, s", seconds);
}
