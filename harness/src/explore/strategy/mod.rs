//! Strategies: which executions to run, and in which order. One trait, one file per strategy.
//!
//! A strategy never runs anything. It hands out choosers, each under a ticket, and learns by the ticket what came of
//! them; so several machines can work for one strategy, and what a strategy knows stays with it.

pub mod bounded;
pub mod exhaustive;
pub mod frontier;
pub mod guide;
pub mod happens_before;
pub mod naive;
pub mod pct;
pub mod pos;
pub mod promise;
pub mod race;
pub mod random;
pub mod replay;
pub mod sampling;
pub mod search;
pub mod size;
pub mod tree;

use super::machine::{Chooser, Execution};
use promise::Promise;

/// Which part of the space has been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Every execution there is, or one that is equivalent to it.
    Exhausted,
    /// Every execution with at most this many preemptions, or one that is equivalent to it.
    ExhaustedTo {
        /// How many times a process may be interrupted that could have gone on.
        preemptions: u32,
    },
    /// Some of them: the budget or the sampling left others untried.
    Partial,
}

impl Coverage {
    /// What can be said of two parts together.
    #[must_use]
    pub fn least(self, other: Self) -> Self {
        match (self, other) {
            (Self::Partial, _) | (_, Self::Partial) => Self::Partial,
            (Self::Exhausted, bound) | (bound, Self::Exhausted) => bound,
            (Self::ExhaustedTo { preemptions: one }, Self::ExhaustedTo { preemptions: other }) => {
                Self::ExhaustedTo { preemptions: one.min(other) }
            }
        }
    }
}

/// Names one execution that a strategy wants run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// One execution to run.
pub struct Assignment {
    /// By what its outcome is learned.
    pub ticket: Ticket,
    /// Makes its choices, once; it may be dropped before or after they are learned.
    pub chooser: Box<dyn Chooser + Send>,
}

/// What a strategy can say of itself while it works and at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Executions learned, redundant ones among them.
    pub executions: u64,
    /// Executions abandoned because all that could follow is equivalent to something already seen.
    pub redundant: u64,
    /// Executions in which a forced step was not possible, though the same steps had come before: the machine does not
    /// repeat itself, and nothing can be claimed.
    pub diverged: u64,
    /// Executions cut off because they took more steps than the machine allows: what follows was not seen.
    pub cut: u64,
    /// The most steps of an execution.
    pub depth_max: usize,
    /// Executions that are known to be wanted and not yet handed out.
    pub waiting: usize,
    /// The fewest preemptions that a prefix still to be run, or under way, begins with; none when there is none.
    pub preemptions: Option<u32>,
}

/// Decides which executions to run.
///
/// Several machines may work for one strategy: each takes an [`Assignment`] by `next`, runs it, and gives back what
/// happened under its ticket; in between others may do the same.
pub trait Strategy: Send {
    /// The next execution to run; `None` when there is nothing left to do, or nothing before an execution that is under
    /// way has been learned.
    fn next(&mut self) -> Option<Assignment>;

    /// Learns what came of the assignment with this ticket.
    fn learn(&mut self, ticket: Ticket, execution: &Execution<()>);

    /// What has been seen so far.
    fn coverage(&self) -> Coverage;

    /// How far it is.
    fn statistics(&self) -> Statistics;

    /// What it promises to have found, by the executions so far; none where its algorithm promises nothing.
    fn promise(&self) -> Option<Promise> {
        None
    }
}
