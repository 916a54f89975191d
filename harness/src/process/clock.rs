//! The run's clock: nanoseconds of `CLOCK_MONOTONIC`, the same for all processes of a machine.

use std::time::Duration;

use rustix::thread::{ClockId, clock_nanosleep_relative};
use rustix::time::{Timespec, clock_gettime};

/// Sleeps shorter than this cost more to enter than to spin through.
const SPIN_NS_MAX: u64 = 2_000;

/// Now. Never 0, which entries of the log use for "not yet". No system call: the vDSO answers.
#[inline]
#[must_use]
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// What a clock of the kernel shows, by its number; 0 for one that nobody knows.
#[must_use]
pub fn of(clock: i32) -> u64 {
    let clock = nix::time::ClockId::from_raw(clock);
    let shown = nix::time::clock_gettime(clock).map(Duration::from);
    shown.map_or(0, |shown| shown.as_nanos() as u64)
}

/// Waits at least this long: spins for the shortest of waits, sleeps otherwise. A signal may end the sleep early.
pub fn wait_ns(duration_ns: u64) {
    if duration_ns == 0 {
        return;
    }
    if duration_ns < SPIN_NS_MAX {
        let until_ns = now_ns() + duration_ns;
        while now_ns() < until_ns {
            std::hint::spin_loop();
        }
        return;
    }
    // Interrupted only by a handler, and workers have none: whoever stops a worker kills it.
    _ = clock_nanosleep_relative(ClockId::Monotonic, &timespec(duration_ns));
}

/// A duration as the kernel wants it.
#[must_use]
pub fn timespec(duration_ns: u64) -> Timespec {
    Timespec::try_from(Duration::from_nanos(duration_ns)).expect("2^64 ns fit")
}
