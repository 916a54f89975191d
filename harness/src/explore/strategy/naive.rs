//! Every interleaving: what the reductions are measured against, and must agree with.

use crate::explore::machine::Execution;

use super::Coverage;
use super::frontier::FrontierOrder;
use super::guide::Notes;
use super::search::{Growth, Reduction, Search};

/// Runs every interleaving, equivalent or not: what reductions are held against.
pub type Naive = Search<NoReduction>;

/// Leaves nothing out: every interleaving is tried. It is what the reductions are held against.
pub struct NoReduction {
    preemptions_max: u32,
}

impl Naive {
    /// A search without a bound of preemptions.
    #[must_use]
    pub fn new() -> Self {
        Self::with_at_most(u32::MAX)
    }

    /// Those in which at most so many times a process is interrupted that could have gone on.
    #[must_use]
    pub fn with_at_most(preemptions: u32) -> Self {
        Self::of(NoReduction { preemptions_max: preemptions }, FrontierOrder::Deepest)
    }
}

impl Default for Naive {
    fn default() -> Self {
        Self::new()
    }
}

impl Reduction for NoReduction {
    fn heed(&self, execution: &Execution<()>, _: &Notes, growth: &mut Growth<'_>) {
        for depth in growth.given()..execution.events.len() {
            execution.enabled[depth].iter().for_each(|process| growth.want(depth, process));
        }
    }

    fn preemptions_max(&self) -> u32 {
        self.preemptions_max
    }

    fn coverage(&self, _: bool) -> Coverage {
        match self.preemptions_max {
            u32::MAX => Coverage::Exhausted,
            preemptions => Coverage::ExhaustedTo { preemptions },
        }
    }
}
