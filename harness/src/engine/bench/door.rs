//! The door of the critical section: each process says there that it comes in and goes out, and sees who was inside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::clock::{Clock, Monotonic};
use crate::process::arena::{Arena, MATRIX_PROCESSES_MAX, Mark, Tally};
use crate::subject::Watch;

/// One process's view of the door. Atomic only because subjects want what they hold to be `Sync`: nobody else counts here.
#[derive(Debug)]
pub(super) struct Door {
    arena: Arc<Arena>,
    process: u32,
    watched: AtomicU64,
    overlaps: AtomicU64,
    handoffs: AtomicU64,
    came_from: [AtomicU64; MATRIX_PROCESSES_MAX as usize],
}

#[inline]
fn count(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Relaxed);
}

impl Door {
    pub fn new(arena: Arc<Arena>, process: u32) -> Self {
        Self {
            arena,
            process,
            watched: AtomicU64::new(0),
            overlaps: AtomicU64::new(0),
            handoffs: AtomicU64::new(0),
            came_from: [const { AtomicU64::new(0) }; MATRIX_PROCESSES_MAX as usize],
        }
    }

    #[inline]
    fn mark(&self, container: u32) -> &Mark {
        &self.arena.marks()[container as usize]
    }

    /// The process has the container's lock.
    #[inline]
    pub fn enter(&self, container: u32) {
        let entered = self.mark(container).enter(self.process);
        count(&self.watched, 1);
        if entered.overlaps {
            count(&self.overlaps, 1);
        }
        if let Some(before) = entered.before {
            if before != self.process {
                count(&self.handoffs, 1);
            }
            if let Some(came) = self.came_from.get(before as usize) {
                count(came, 1);
            }
        }
    }

    /// The process is about to give the lock back.
    #[inline]
    pub fn leave(&self, container: u32) {
        if self.mark(container).leave(self.process) {
            count(&self.overlaps, 1);
        }
    }

    /// Forgets what was counted so far.
    pub fn forget(&self) {
        let counters = [&self.watched, &self.overlaps, &self.handoffs];
        counters.into_iter().chain(&self.came_from).for_each(|counter| counter.store(0, Ordering::Relaxed));
    }

    /// Writes down what was counted. A section may see an overlap at both of its ends, and counts once.
    pub fn write(&self, tally: &Tally) {
        let copy =
            |from: &AtomicU64, to: &AtomicU64| to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        let watched = self.watched.load(Ordering::Relaxed);
        tally.overlaps.store(self.overlaps.load(Ordering::Relaxed).min(watched), Ordering::Relaxed);
        copy(&self.watched, &tally.watched);
        copy(&self.handoffs, &tally.handoffs);
        self.came_from.iter().zip(&tally.came_from).for_each(|(from, to)| copy(from, to));
    }
}

/// A door that remembers when the last section began and ended: for subjects that take their locks themselves.
#[derive(Debug)]
pub(super) struct TimedDoor {
    pub door: Arc<Door>,
    entered_ns: AtomicU64,
    left_ns: AtomicU64,
}

impl TimedDoor {
    pub fn new(door: Arc<Door>) -> Self {
        Self { door, entered_ns: AtomicU64::new(0), left_ns: AtomicU64::new(0) }
    }

    /// When the last section began and ended, since this was last asked.
    pub fn take(&self) -> Option<(u64, u64)> {
        let entered_ns = self.entered_ns.swap(0, Ordering::Relaxed);
        (entered_ns > 0).then(|| (entered_ns, self.left_ns.load(Ordering::Relaxed)))
    }
}

impl Watch for TimedDoor {
    fn enter(&self, container: u32) {
        self.entered_ns.store(Monotonic.now_ns(), Ordering::Relaxed);
        self.door.enter(container);
    }

    fn leave(&self, container: u32) {
        self.door.leave(container);
        self.left_ns.store(Monotonic.now_ns(), Ordering::Relaxed);
    }

    // Readers are timed too; whom they share the lock with is nobody's business.

    fn enter_shared(&self, _container: u32) {
        self.entered_ns.store(Monotonic.now_ns(), Ordering::Relaxed);
    }

    fn leave_shared(&self, _container: u32) {
        self.left_ns.store(Monotonic.now_ns(), Ordering::Relaxed);
    }
}
