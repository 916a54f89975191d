//! Strategies: which executions to run, and in which order. One trait, one file per strategy.

use super::machine::{Chooser, Execution};

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
    /// Some.
    Partial,
}

/// Decides which executions to run.
///
/// Several machines may work for one strategy: each takes a [`Chooser`] by `next`, runs it, and gives it back with what
/// happened; in between others may do the same.
pub trait Strategy: Send {
    /// The next execution to run; `None` when there is nothing left to do, or nothing before an execution that is under
    /// way has been learned.
    fn next(&mut self) -> Option<Box<dyn Chooser + Send>>;

    /// Learns what came of a chooser that [`Strategy::next`] gave.
    fn learn(&mut self, chooser: Box<dyn Chooser + Send>, execution: &Execution<()>);

    /// What has been seen so far.
    fn coverage(&self) -> Coverage;
}
