//! From a plan's strategy to the one that runs it.

use super::campaign::Maker;
use super::strategy::exhaustive::Exhaustive;
use crate::plan::{ExplorePlan, StrategyPlan};

/// Makes strategies as the plan wants them.
pub(super) fn maker(plan: &ExplorePlan) -> Maker {
    let strategy = plan.strategy.clone();
    Box::new(move || match &strategy {
        StrategyPlan::Exhaustive { preemptions: None } => Box::new(Exhaustive::new()),
        _ => Box::new(Exhaustive::new()),
    })
}
