//! Every bug under control, shrunk: how long it takes, what is left, and how often that reproduces.
//!
//! An exhaustive exploration finds a simple schedule first, and a random one hardly ever does: both are shrunk.

use std::fs;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use flockwork_harness::engine::explore::follow::Following;
use flockwork_harness::engine::explore::{self, Discovery, Executor};
use flockwork_harness::plan::{ExplorePlan, StrategyPlan};
use flockwork_harness::process::Zygote;
use flockwork_harness::shrink::{Case, RealTrials, Shrunk, shrink};
use flockwork_harness::violation::Class;

use super::explored::{scenario_of, with_plan};
use super::table::{BUGS, Bug};

/// A schedule that shows the class is sought among so many.
const SCHEDULES: u64 = 1_000;
/// Random schedules of so many seeds are shrunk, beside the first of an exhaustive exploration.
const SEEDS: u64 = 5;
/// Longest that one shrinking may take.
const TIME: Duration = Duration::from_secs(60);
/// No known bug needs more of either.
const PROCESSES_MAX: usize = 2;
const PREEMPTIONS_MAX: u32 = 2;
/// So often is what is left followed again.
const REPLAYS: usize = 100;

/// One schedule, shrunk.
struct Trial {
    took: Duration,
    shrunk: Shrunk,
    /// How many of [`REPLAYS`] could be followed to the letter and showed the class.
    replayed: usize,
}

/// The first schedule of this strategy that shows the class.
fn discover(
    zygote: &mut Zygote,
    plan: &ExplorePlan,
    class: Class,
    strategy: (StrategyPlan, u64),
) -> Option<Discovery> {
    let (strategy, seed) = strategy;
    let mut plan = ExplorePlan { strategy, seed, ..plan.clone() };
    plan.budget.schedules = SCHEDULES;
    let run = explore::run(zygote, &plan, &AtomicBool::new(false), &()).unwrap();
    let shows = |discovery: &Discovery| discovery.violations.iter().any(|it| it.class == class);
    run.discoveries.into_iter().find(shows)
}

fn shrink_one(zygote: &mut Zygote, plan: &ExplorePlan, class: Class, discovery: Discovery) -> Trial {
    let case =
        Case { setup: plan.setup.clone(), programs: plan.processes.clone(), schedule: discovery.schedule };
    let base = plan.root.parent().expect("it lies in a folder").to_owned();
    let stop = AtomicBool::new(false);
    let begun = Instant::now();
    let mut trials = RealTrials::new(zygote, plan.clone(), class, base, &stop);
    let shrunk = shrink(&mut trials, case, TIME).expect("the schedule shows the class again");
    let took = begun.elapsed();
    drop(trials);
    let replayed = replay(zygote, plan, class, &shrunk.case);
    Trial { took, shrunk, replayed }
}

fn replay(zygote: &Zygote, plan: &ExplorePlan, class: Class, case: &Case) -> usize {
    let plan = ExplorePlan { setup: case.setup.clone(), processes: case.programs.clone(), ..plan.clone() };
    fs::remove_dir_all(&plan.root).unwrap();
    fs::create_dir(&plan.root).unwrap();
    let mut executor = Executor::open(zygote, &plan).unwrap();
    let mut reproduces = || {
        let followed = executor.follow(&plan.processes, &case.schedule, Following::Strict, &mut ()).unwrap();
        followed.divergence.is_none() && followed.violations.iter().any(|it| it.class == class)
    };
    (0..REPLAYS).filter(|_| reproduces()).count()
}

/// Shrinks what each of these strategies finds first.
fn trials(
    zygote: &mut Zygote,
    bug: &Bug,
    class: Class,
    strategies: impl IntoIterator<Item = (StrategyPlan, u64)>,
) -> Vec<Trial> {
    let scenario = scenario_of(bug);
    strategies
        .into_iter()
        .filter_map(|strategy| {
            with_plan(&scenario, |plan| {
                let discovery = discover(zygote, &plan, class, strategy)?;
                fs::remove_dir_all(&plan.root).unwrap();
                fs::create_dir(&plan.root).unwrap();
                Some(shrink_one(zygote, &plan, class, discovery))
            })
        })
        .collect()
}

const EXHAUSTIVE: (StrategyPlan, u64) = (StrategyPlan::Exhaustive { preemptions: None }, 1);

/// What an exhaustive exploration finds of each bug shrinks to no more than two processes and two preemptions, and that
/// reproduces every time.
pub fn every_bug_shrinks(zygote: &mut Zygote) {
    for bug in &BUGS {
        let trials = trials(zygote, bug, bug.class, [EXHAUSTIVE]);
        let [Trial { took, shrunk, replayed }] = &trials[..] else { panic!("{}: not found", bug.name) };
        let size = shrunk.size;
        println!("  {}: {size:?} in {took:?}", bug.name);
        assert!(size.processes <= PROCESSES_MAX && size.preemptions <= PREEMPTIONS_MAX, "{}", bug.name);
        assert_eq!(*replayed, REPLAYS, "{}", bug.name);
    }
}

/// Prints the table, for the bugs wanted.
pub fn print(zygote: &mut Zygote, is_wanted: impl Fn(&str) -> bool) {
    println!(
        "| bug | class | shrunk | time | candidates | processes | operations | preemptions | replayed |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|--:|");
    let mut times = Vec::new();
    for bug in BUGS.iter().filter(|bug| is_wanted(bug.name)) {
        for &class in &scenario_of(bug).expect.violations {
            let random = (1..=SEEDS).map(|seed| (StrategyPlan::Random, seed));
            let trials = trials(zygote, bug, class, std::iter::once(EXHAUSTIVE).chain(random));
            println!("{}", row(bug.name, class, &trials));
            times.extend(trials.iter().map(|trial| trial.took));
        }
    }
    times.sort_unstable();
    if let (Some(middle), Some(most)) = (times.get(times.len() / 2), times.last()) {
        println!("\n{} shrinkings: median {}, at most {}", times.len(), shown(*middle), shown(*most));
    }
}

fn row(name: &str, class: Class, trials: &[Trial]) -> String {
    let mut times: Vec<Duration> = trials.iter().map(|trial| trial.took).collect();
    times.sort_unstable();
    let time = match (times.get(times.len() / 2), times.last()) {
        (Some(middle), Some(most)) => format!("{}, at most {}", shown(*middle), shown(*most)),
        _ => "–".to_owned(),
    };
    let sizes = |size: fn(&Trial) -> usize| {
        let sizes: Vec<usize> = trials.iter().map(size).collect();
        match (sizes.iter().min(), sizes.iter().max()) {
            (Some(least), Some(most)) if least == most => least.to_string(),
            (Some(least), Some(most)) => format!("{least} to {most}"),
            _ => "–".to_owned(),
        }
    };
    let processes = sizes(|trial| trial.shrunk.size.processes);
    let operations = sizes(|trial| trial.shrunk.size.operations);
    let preemptions = sizes(|trial| trial.shrunk.size.preemptions as usize);
    let tried = sizes(|trial| trial.shrunk.tried as usize);
    let replayed: usize = trials.iter().map(|trial| trial.replayed).sum();
    let minimal = trials.iter().filter(|trial| trial.shrunk.is_minimal).count();
    format!(
        "| {name} | `{class}` | {minimal} of {} | {time} | {tried} | {processes} | {operations} | {preemptions} \
         | {replayed} of {} |",
        trials.len(),
        trials.len() * REPLAYS
    )
}

fn shown(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
