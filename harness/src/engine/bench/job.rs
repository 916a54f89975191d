//! What a worker does again and again: one trait, one file per kind of work.

use super::clock::Clock;

/// How much of an operation is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timing {
    /// When it ends.
    Whole,
    /// When it got the lock as well.
    Parts,
}

/// One operation that was performed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Performed {
    /// When it got the lock and when it gave it back, where that was timed.
    pub held_ns: Option<(u64, u64)>,
    /// When the operation ended, in nanoseconds of the shared clock.
    pub done_ns: u64,
    /// Whether it only read.
    pub is_read: bool,
    /// Whether it was refused.
    pub is_refused: bool,
}

/// A kind of work.
pub(super) trait Job {
    /// Does it once, on one container.
    fn perform(&mut self, clock: &impl Clock, container: u32, timing: Timing) -> Result<Performed, String>;
}
