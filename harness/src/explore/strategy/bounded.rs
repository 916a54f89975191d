//! Every execution with at most so many preemptions, or one that is equivalent to it.
//!
//! Source: Coons and others, *Bounded partial-order reduction* (OOPSLA 2013). A reduction that looks only at
//! races is not sound under a bound: of two equivalent executions one may be within it and the other not, and the search
//! may have settled for the other. So, for each race,
//!
//! - whose step is the later is wanted before the earlier (everybody, where it cannot go on there), although another
//!   might lead to the same; and
//! - the same is wanted, conservatively, where the earlier one's process was switched to: there a switch may cost nothing.
//!
//! Nobody sleeps: what is asleep may have been seen beyond the bound only. So executions come up that are equivalent to
//! others, which is the price.
//!
//! Conflicts count here that are no races, such as that of a lock's release with who takes it next: the release cannot
//! come later, but the earlier it comes the sooner can a waiting process be interrupted.
//!
//! Why it is enough, in short. Take an execution `w` within the bound from a point at which nobody wanted leads to it. Let
//! `c` be wanted there; let it run until it cannot go on, or, where it was running already, take one step. If nothing in
//! `w` before these steps conflicts with them, and nobody in `w` waits before them for what they do, they can be moved to
//! the front of `w`, and no switch becomes a preemption that was none: so `c` does lead to it. Else let `e` be the first
//! step, taken or waited for, that conflicts. The execution that runs `c`'s steps and then `w` up to `e` has no more
//! preemptions than `w`, is run, and shows the conflict; so `e`'s process is wanted at the point, too, and either leads to
//! `w` or conflicts with something earlier in it than `e`. In the end this comes to the process that begins `w`.
//!
//! The tests set this against naive enumeration within the bound, on thousands of random programs.

use crate::explore::machine::Execution;
use crate::explore::step::Mask;

use super::Coverage;
use super::frontier::FrontierOrder;
use super::guide::Notes;
use super::happens_before::HappensBefore;
use super::race::Races;
use super::search::{Growth, Reduction, Search};

/// Runs every execution with at most so many preemptions, or one that is equivalent to it.
pub type Bounded = Search<PreemptionBound>;

/// For each race the later step's process, where it can be had within the bound.
pub struct PreemptionBound {
    preemptions_max: u32,
}

impl Bounded {
    /// With at most so many preemptions.
    #[must_use]
    pub fn with_at_most(preemptions: u32) -> Self {
        Self::ordered(preemptions, FrontierOrder::default())
    }

    /// The same, in this order.
    #[must_use]
    pub fn ordered(preemptions: u32, order: FrontierOrder) -> Self {
        Self::of(PreemptionBound { preemptions_max: preemptions }, order)
    }
}

impl PreemptionBound {
    fn want(execution: &Execution<()>, depth: usize, process: usize, growth: &mut Growth<'_>) {
        let enabled = execution.enabled[depth];
        let wanted = if enabled.has(process) { Mask::default().with(process) } else { enabled };
        wanted.iter().for_each(|process| growth.want(depth, process));
    }
}

impl Reduction for PreemptionBound {
    fn heed(&self, execution: &Execution<()>, notes: &Notes, growth: &mut Growth<'_>) {
        let order = HappensBefore::of(&execution.events, execution.processes);
        for (event, process) in Races::new(execution, &order, notes).all_conflicts() {
            Self::want(execution, event, process, growth);
            Self::want(execution, switched_to(execution, event), process, growth);
        }
    }

    fn preemptions_max(&self) -> u32 {
        self.preemptions_max
    }

    fn coverage(&self, has_tasks: bool) -> Coverage {
        // The argument above is about processes that have nothing to choose by themselves.
        if has_tasks {
            Coverage::Partial
        } else {
            Coverage::ExhaustedTo { preemptions: self.preemptions_max }
        }
    }
}

/// Where the process of this event was switched to.
fn switched_to(execution: &Execution<()>, event: usize) -> usize {
    let process = execution.events[event].process;
    let others = execution.events[..event].iter().rposition(|earlier| earlier.process != process);
    others.map_or(0, |other| other + 1)
}
