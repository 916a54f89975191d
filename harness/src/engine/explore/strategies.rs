//! From a plan's strategy to the one that runs it.

use super::campaign::Maker;
use crate::explore::strategy::bounded::Bounded;
use crate::explore::strategy::exhaustive::Exhaustive;
use crate::explore::strategy::pct::Pct;
use crate::explore::strategy::pos::Pos;
use crate::explore::strategy::random::Random;
use crate::plan::{ExplorePlan, StrategyPlan};

/// Where faults are tried too, strategies that choose at random share the schedules: this many sets of faults can be
/// tried.
const FAULT_SETS: u64 = 64;

/// Makes strategies as the plan wants them.
pub(super) fn maker(plan: &ExplorePlan) -> Maker {
    let (strategy, seed) = (plan.strategy.clone(), plan.seed);
    let share = if plan.faults.is_empty() { 1 } else { FAULT_SETS };
    let executions = (plan.budget.schedules / share).max(1);
    Box::new(move || match &strategy {
        StrategyPlan::Exhaustive { preemptions: None } | StrategyPlan::Replay(_) => {
            Box::new(Exhaustive::new())
        }
        StrategyPlan::Exhaustive { preemptions: Some(most) } => Box::new(Bounded::with_at_most(*most)),
        StrategyPlan::Random => Box::new(Random::new(seed, executions)),
        StrategyPlan::Pct { depth } => Box::new(Pct::new(seed, executions, *depth)),
        StrategyPlan::Pos => Box::new(Pos::new(seed, executions)),
    })
}
