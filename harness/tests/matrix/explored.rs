//! Every bug under control: how many schedules it takes until its class shows, and the same operations on the library.
//!
//! One lane: then an exhaustive exploration takes its schedules in the same order every time.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use flockwork_harness::conduct;
use flockwork_harness::engine::explore::{self, ExploreRun};
use flockwork_harness::explore::strategy::Coverage;
use flockwork_harness::plan::{ExplorePlan, RepeatPlan, StrategyPlan};
use flockwork_harness::process::Zygote;
use flockwork_harness::report::verdict::Verdict;
use flockwork_harness::scenario::{BUILTIN, Expect, Kind, Plan, Scenario};
use flockwork_harness::violation::Class;

use super::runs::{Sighting, on_library, scenario};
use super::table::{BUGS, Bug};

/// A bug must show within so many schedules.
const SCHEDULES_MAX: u64 = 1_000;
/// The library's spaces are tried to their end.
const SCHEDULES_ALL: u64 = 200_000;
/// Strategies that choose at random get so many, first few and then, where that was not enough, many.
const SCHEDULES_SAMPLED: [u64; 2] = [50, 1_000];
/// What is measured is how many schedules it takes, and tests see to it that they repeat.
const REPEAT_ONE_IN: u64 = 50;
const SEEDS: u64 = 20;
/// No process that is explored here computes for long.
const STEP_NS: u64 = 120_000_000_000;

/// The scenario that explores a bug: that of its name, where it is one, and else one beside it.
pub fn scenario_of(bug: &Bug) -> Scenario {
    if BUILTIN.iter().any(|builtin| builtin.name() == bug.name) {
        let named = scenario(bug.name);
        if named.kind() == Kind::Explore {
            return named;
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/explore-history");
    scenario(folder.join(format!("{}-explored.toml", bug.name)))
}

/// Acts on the plan of an exploration, which has a folder in memory, where there is one: it is about the order of calls, not
/// about the disk.
pub fn with_plan<T>(scenario: &Scenario, act: impl FnOnce(ExplorePlan) -> T) -> T {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = tempfile::Builder::new().prefix("flockwork-matrix-").tempdir_in(parent).unwrap();
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    let Plan::Explore(mut plan) = scenario.plan(&root, 1) else {
        panic!("{} is no exploration", scenario.name)
    };
    plan.lanes = 1;
    // However busy the machine is: a verdict must not depend on it.
    plan.step_ns = STEP_NS;
    act(plan)
}

/// Explores, after a change to the plan.
pub fn explore(
    zygote: &mut Zygote,
    scenario: &Scenario,
    change: impl FnOnce(&mut ExplorePlan),
) -> ExploreRun {
    with_plan(scenario, |mut plan| {
        change(&mut plan);
        explore::run(zygote, &plan, &AtomicBool::new(false), &()).unwrap_or_else(|error| {
            panic!("{}: {error}", scenario.name);
        })
    })
}

/// Of each class the number of the first schedule that showed it.
fn first_schedules(run: &ExploreRun) -> BTreeMap<Class, u64> {
    let mut first = BTreeMap::new();
    for discovery in &run.discoveries {
        for violation in &discovery.violations {
            let number = first.entry(violation.class).or_insert(discovery.number);
            *number = discovery.number.min(*number);
        }
    }
    first
}

/// What an exploration showed, as a run does; there are schedules in place of operations, and no time.
pub fn sight(run: &ExploreRun) -> Sighting {
    let first = first_schedules(run).into_iter().map(|(class, number)| (class, (number as usize, 0)));
    let violations = run.discoveries.iter().flat_map(|discovery| &discovery.violations);
    let doubt =
        |(name, examination): &(flockwork_harness::check::CheckId, flockwork_harness::check::Examination)| {
            Some(format!("{name}: {}", examination.inconclusive.as_ref()?))
        };
    Sighting {
        first: first.collect(),
        words: violations.map(|violation| violation.message.clone()).collect(),
        doubts: run.examinations.iter().filter_map(doubt).collect(),
    }
}

/// Each bug shows its class, and whatever else its scenario expects, in the first thousand schedules.
pub fn every_bug_is_found(zygote: &mut Zygote) {
    for bug in &BUGS {
        let scenario = scenario_of(bug);
        assert!(scenario.expect.violations.contains(&bug.class), "{} expects its own class", scenario.name);
        let run = explore(zygote, &scenario, |plan| plan.budget.schedules = SCHEDULES_MAX);
        let first = first_schedules(&run);
        println!("  {}: {first:?} of {}", bug.name, run.schedules);
        for class in &scenario.expect.violations {
            assert!(first.contains_key(class), "{}: no {class} in {} schedules", bug.name, run.schedules);
        }
        for class in first.keys() {
            assert!(scenario.expect.covers(*class), "{}: {class} was not expected", bug.name);
        }
    }
}

/// Every order of the same operations, with the same faults, breaks no promise of the library.
pub fn library_is_clean(zygote: &mut Zygote) {
    for bug in &BUGS {
        let scenario = on_library(&scenario_of(bug));
        let trial = with_plan(&scenario, |mut plan| {
            plan.budget.schedules = SCHEDULES_ALL;
            conduct::explore::run(zygote, &Expect::default(), &plan, &AtomicBool::new(false), &()).unwrap()
        });
        let (run, judgement) = (trial.run, trial.judgement);
        println!("  {} on the library: {} schedules", bug.name, run.schedules);
        assert_eq!(judgement.verdict, Verdict::Clean, "{}: {:?}", bug.name, judgement.reasons);
        assert_eq!(run.coverage, Coverage::Exhausted, "{}", bug.name);
    }
}

/// Prints the table of schedules to the first that shows the class, for the bugs wanted.
pub fn print(zygote: &mut Zygote, is_wanted: impl Fn(&str) -> bool) {
    println!("| bug | class | exhaustive | random | PCT, depth 3 | POS |");
    println!("|---|---|---|---|---|---|");
    for bug in BUGS.iter().filter(|bug| is_wanted(bug.name)) {
        let scenario = scenario_of(bug);
        let run = explore(zygote, &scenario, |plan| {
            plan.budget.schedules = SCHEDULES_MAX;
            plan.repeat = RepeatPlan::one_in(REPEAT_ONE_IN);
        });
        let exhaustive = first_schedules(&run);
        let sampled = [StrategyPlan::Random, StrategyPlan::Pct { depth: 3 }, StrategyPlan::Pos]
            .map(|strategy| Sampled::with(zygote, &scenario, &strategy));
        for class in &scenario.expect.violations {
            let exhaustive = exhaustive.get(class).map_or_else(|| "–".to_owned(), u64::to_string);
            let [random, pct, pos] = sampled.each_ref().map(|sampled| sampled.cell(*class));
            println!("| {} | `{class}` | {exhaustive} | {random} | {pct} | {pos} |", bug.name);
        }
    }
}

/// What a strategy that chooses at random found with each seed.
struct Sampled(Vec<BTreeMap<Class, u64>>);

impl Sampled {
    fn with(zygote: &mut Zygote, scenario: &Scenario, strategy: &StrategyPlan) -> Self {
        Self((1..=SEEDS).map(|seed| Self::one(zygote, scenario, strategy, seed)).collect())
    }

    fn one(
        zygote: &mut Zygote,
        scenario: &Scenario,
        strategy: &StrategyPlan,
        seed: u64,
    ) -> BTreeMap<Class, u64> {
        let mut first = BTreeMap::new();
        for schedules in SCHEDULES_SAMPLED {
            let run = explore(zygote, scenario, |plan| {
                (plan.seed, plan.strategy) = (seed, strategy.clone());
                plan.budget.schedules = schedules;
                plan.repeat = RepeatPlan::one_in(REPEAT_ONE_IN);
            });
            first = first_schedules(&run);
            if scenario.expect.violations.iter().all(|class| first.contains_key(class)) {
                break;
            }
        }
        first
    }

    /// The median; and with how many seeds it was found at all, where that is not all of them.
    fn cell(&self, class: Class) -> String {
        let mut numbers: Vec<u64> = self.0.iter().filter_map(|first| first.get(&class).copied()).collect();
        numbers.sort_unstable();
        // What was not found would have taken more than any.
        let median = numbers.get(SEEDS as usize / 2).map_or_else(|| "–".to_owned(), u64::to_string);
        if numbers.len() as u64 == SEEDS {
            median
        } else {
            format!("{median} ({} of {SEEDS})", numbers.len())
        }
    }
}
