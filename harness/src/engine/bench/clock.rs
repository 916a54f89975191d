//! The clock that a worker reads. A trait, so that the instrument can be held against a clock that is only a number.

use rustix::thread::{ClockId, clock_nanosleep_absolute};

use crate::process::clock;

/// Nanoseconds, and ways to let them pass.
pub(super) trait Clock {
    /// The time, in nanoseconds from an arbitrary start that all processes share.
    fn now_ns(&self) -> u64;

    /// Sleeps until then.
    fn sleep_until(&self, at_ns: u64);

    /// Works this long.
    fn spin(&self, duration_ns: u64);
}

/// The run's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Monotonic;

/// Sleeps shorter than this cost more to enter than to spin through.
const SLEEP_NS_MIN: u64 = 2_000;

impl Clock for Monotonic {
    #[inline]
    fn now_ns(&self) -> u64 {
        clock::now_ns()
    }

    fn sleep_until(&self, at_ns: u64) {
        let now_ns = clock::now_ns();
        if at_ns > now_ns + SLEEP_NS_MIN {
            // A signal ends it early only where there is a handler, and workers have none.
            _ = clock_nanosleep_absolute(ClockId::Monotonic, &clock::timespec(at_ns));
        } else {
            self.spin(at_ns.saturating_sub(now_ns));
        }
    }

    #[inline]
    fn spin(&self, duration_ns: u64) {
        let until_ns = clock::now_ns() + duration_ns;
        while clock::now_ns() < until_ns {
            std::hint::spin_loop();
        }
    }
}
