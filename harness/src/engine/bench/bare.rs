//! Work of one kind: takes a lock, spins, gives it back.

use super::clock::Clock;
use super::door::Door;
use super::job::{Job, Performed, Timing};
use super::locker::Locker;

/// Takes a lock, and does next to nothing under it.
#[derive(Debug)]
pub(super) struct Bare<'a, L> {
    pub locker: L,
    pub door: &'a Door,
    pub spin_ns: u64,
}

impl<L: Locker> Job for Bare<'_, L> {
    #[inline]
    fn perform(&mut self, clock: &impl Clock, container: u32, timing: Timing) -> Result<Performed, String> {
        self.locker.acquire(clock, container)?;
        let got_ns = match timing {
            Timing::Parts => Some(clock.now_ns()),
            Timing::Whole => None,
        };
        self.door.enter(container);
        if self.spin_ns > 0 {
            clock.spin(self.spin_ns);
        }
        self.door.leave(container);
        self.locker.release(container)?;
        let done_ns = clock.now_ns();
        let held_ns = got_ns.map(|got_ns| (got_ns, done_ns));
        Ok(Performed { held_ns, done_ns, is_read: false, is_refused: false })
    }
}
