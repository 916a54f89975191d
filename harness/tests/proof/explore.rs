//! One case, explored; and what several came to.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use flockwork::Operation;
use flockwork_harness::engine::explore::{self, Discovery, ExploreRun};
use flockwork_harness::explore::strategy::Coverage;
use flockwork_harness::plan::parts::Parts;
use flockwork_harness::plan::{Call, ExploreBudget, ExplorePlan, PowerPlan, RepeatPlan, StrategyPlan};
use flockwork_harness::process::Zygote;
use tempfile::TempDir;

use super::spaces::{Case, Space};

/// Longest that one case may take, with every schedule run once more.
const CASE_TIME: Duration = Duration::from_secs(300);
const STEP_TIME: Duration = Duration::from_secs(60);

/// What a space came to.
#[derive(Debug, Default)]
pub struct Sum {
    pub cases: u64,
    pub schedules: u64,
    /// About how many schedules an enumeration of all interleavings without faults would have run.
    pub naive: f64,
    pub faulted: u64,
    /// Schedules that were run once more, at a random time, and repeated step by step.
    pub repeated: u64,
    pub steps: u64,
    pub blocked: u64,
    pub duration_ns: u64,
    /// Cases of which not all was seen.
    pub partial: Vec<String>,
    /// What was not clean, in words.
    pub broken: Vec<String>,
}

impl Sum {
    pub fn is_clean(&self) -> bool {
        self.partial.is_empty() && self.broken.is_empty()
    }

    fn add(&mut self, case: &Case, run: &ExploreRun, is_whole: bool) {
        self.cases += 1;
        self.schedules += run.schedules;
        self.naive += run.naive.unwrap_or(0.0);
        self.faulted += run.faulted;
        self.repeated += run.repeated;
        self.steps += run.steps;
        self.blocked += run.blocked;
        self.duration_ns += run.duration_ns;
        if !is_whole {
            self.partial.push(format!("{}: {} schedules, {:?}", case.words(), run.schedules, run.coverage));
        }
        self.broken.extend(run.discoveries.iter().map(|discovery| tell(case, discovery)));
    }
}

/// Explores every case of a space. `progress` hears how far it is, each time that a case ends.
pub fn space(zygote: &mut Zygote, space: &Space, mut progress: impl FnMut(&Sum)) -> Sum {
    let mut sum = Sum::default();
    for case in &space.cases {
        progress(&sum);
        let run = one(zygote, space, case);
        let is_whole = match (run.coverage, space.preemptions_max) {
            (Coverage::Exhausted, _) => true,
            (Coverage::ExhaustedTo { preemptions }, Some(most)) => preemptions >= most,
            _ => false,
        };
        sum.add(case, &run, is_whole);
    }
    sum
}

fn one(zygote: &mut Zygote, space: &Space, case: &Case) -> ExploreRun {
    explored(zygote, space, case, None)
}

/// Explores one case of a space, and has the power go after each execution where that is asked for.
pub fn explored(zygote: &mut Zygote, space: &Space, case: &Case, power: Option<PowerPlan>) -> ExploreRun {
    let folder = folder();
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    let calls = |operations: &[Operation]| -> Vec<Call> {
        operations.iter().map(|&operation| Call { operation, container: 0 }).collect()
    };
    let faults = space.faults.list();
    let plan = ExplorePlan {
        subject: space.setting.subject(),
        root,
        seed: 1,
        containers: vec!["c1".into()],
        setup: calls(case.setup),
        processes: case.programs.iter().map(|program| calls(program)).collect(),
        strategy: StrategyPlan::Exhaustive { preemptions: space.preemptions_max },
        fault_bound: u32::from(!faults.is_empty()),
        faults,
        budget: ExploreBudget { schedules: 10_000_000, time_ns: ns(CASE_TIME) },
        // What power losses leave follows from the same executions, which are repeated elsewhere.
        repeat: if power.is_some() { RepeatPlan::one_in(50) } else { RepeatPlan::All },
        payload_bytes: 64,
        step_ns: ns(STEP_TIME),
        steps_max: 10_000,
        lanes: 1,
        parts: Parts::ALL,
        power,
    };
    explore::run(zygote, &plan, &AtomicBool::new(false), &())
        .unwrap_or_else(|error| panic!("{} on {}: {error}", case.words(), space.name()))
}

/// A folder in memory, where there is one: an exploration is about the order of calls, not about the disk.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("flockwork-proof-").tempdir_in(parent).unwrap()
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("it is short")
}

pub fn tell(case: &Case, discovery: &Discovery) -> String {
    let violations: Vec<_> = discovery
        .violations
        .iter()
        .map(|violation| format!("  {}: {}", violation.class, violation.message))
        .collect();
    let lines: Vec<_> = discovery.schedule.lines.iter().map(|line| format!("    {line}")).collect();
    let number = discovery.number;
    format!("{}, schedule {number}:\n{}\n{}", case.words(), violations.join("\n"), lines.join("\n"))
}
