//! Trials on the real thing: processes under control.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use super::{Case, Shown, Trials};
use crate::engine::EngineError;
use crate::engine::explore::follow::{Followed, Following};
use crate::engine::explore::{self, Executor};
use crate::plan::{Call, ExploreBudget, ExplorePlan, RepeatPlan, StrategyPlan};
use crate::process::Zygote;
use crate::scratch::Scratch;
use crate::violation::{Class, Violation};

/// How many schedules a brief exploration tries.
const BRIEF_SCHEDULES: u64 = 300;
/// A bug that needs more preemptions than these, a brief exploration does not find.
const BRIEF_PREEMPTIONS: u32 = 2;
const BRIEF_NS: u64 = 1_000_000_000;

/// Tries candidates with real processes.
#[derive(Debug)]
pub struct RealTrials<'z> {
    zygote: &'z mut Zygote,
    plan: ExplorePlan,
    class: Class,
    base: PathBuf,
    stop: &'z AtomicBool,
    open: Option<Open>,
    error: Option<EngineError>,
}

/// The processes of the executor, for as long as what comes before stays the same.
#[derive(Debug)]
struct Open {
    setup: Vec<Call>,
    // In this order: the processes go before the folder in which they work.
    executor: Executor,
    _scratch: Scratch,
}

impl<'z> RealTrials<'z> {
    /// Tries candidates made from this plan, below this folder; only what shows the class is kept.
    #[must_use]
    pub fn new(
        zygote: &'z mut Zygote,
        plan: ExplorePlan,
        class: Class,
        base: PathBuf,
        stop: &'z AtomicBool,
    ) -> Self {
        Self { zygote, plan, class, base, stop, open: None, error: None }
    }

    /// Why the last candidate could not be tried, where it could not: a setup that fails, or the machine's fault.
    pub fn take_error(&mut self) -> Option<EngineError> {
        self.error.take()
    }

    /// The plan of a candidate in a folder.
    fn plan_of(&self, case: &Case, scratch: &Scratch) -> ExplorePlan {
        ExplorePlan { root: scratch.root(), setup: case.setup.clone(), lanes: 1, ..self.plan.clone() }
    }

    fn scratch(&self) -> Result<Scratch, EngineError> {
        Scratch::create(&self.base).map_err(|error| EngineError::Failed(error.to_string()))
    }

    fn try_follow(&mut self, case: &Case) -> Result<Followed, EngineError> {
        if self.open.as_ref().is_none_or(|open| open.setup != case.setup) {
            self.open = None;
            let scratch = self.scratch()?;
            let executor = Executor::open(self.zygote, &self.plan_of(case, &scratch))?;
            self.open = Some(Open { setup: case.setup.clone(), executor, _scratch: scratch });
        }
        let open = self.open.as_mut().expect("it was just opened");
        open.executor.follow(&case.programs, &case.schedule, Following::Loose, &mut ())
    }

    fn try_explore(&mut self, case: &Case) -> Result<Option<Shown>, EngineError> {
        let scratch = self.scratch()?;
        let mut faults: Vec<_> = case.schedule.lines.iter().filter_map(|line| line.fault).collect();
        let fault_bound = faults.len() as u32;
        faults.sort_unstable();
        faults.dedup();
        let plan = ExplorePlan {
            processes: case.programs.clone(),
            strategy: StrategyPlan::Exhaustive { preemptions: Some(BRIEF_PREEMPTIONS) },
            faults,
            fault_bound,
            // What it finds is followed again by every move that comes after.
            repeat: RepeatPlan::one_in(BRIEF_SCHEDULES),
            budget: ExploreBudget { schedules: BRIEF_SCHEDULES, time_ns: BRIEF_NS },
            ..self.plan_of(case, &scratch)
        };
        let run = explore::run(self.zygote, &plan, self.stop, &())?;
        let class = self.class;
        let simplest = run
            .discoveries
            .into_iter()
            .filter(|discovery| shows(&discovery.violations, class))
            .min_by_key(|discovery| (discovery.preemptions, discovery.number));
        Ok(simplest.map(Shown::from))
    }
}

impl Trials for RealTrials<'_> {
    fn follow(&mut self, case: &Case) -> Option<Shown> {
        match self.try_follow(case) {
            Ok(followed) => shows(&followed.violations, self.class).then(|| followed.into()),
            Err(error) => {
                // Whatever the executor holds cannot be trusted any more.
                self.open = None;
                self.error = Some(error);
                None
            }
        }
    }

    fn explore_briefly(&mut self, case: &Case) -> Option<Shown> {
        self.try_explore(case).unwrap_or_else(|error| {
            self.error = Some(error);
            None
        })
    }
}

fn shows(violations: &[Violation], class: Class) -> bool {
    violations.iter().any(|violation| violation.class == class)
}
