//! When a worker begins its next operation.

use super::clock::Clock;
use crate::plan::bench::Load;

/// Longest sleep without a look at whether the round is over.
const NAP_NS_MAX: u64 = 10_000_000;

/// The beginning of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// When it was due: what the whole operation is measured from.
    pub due_ns: u64,
    /// When it really began.
    pub asked_ns: u64,
}

/// One worker's pace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// It does not wait at all: the next operation follows at once.
    Restless,
    /// It waits this long after each operation, in nanoseconds.
    Thinking { think_ns: u64 },
    /// At fixed times, whatever has become of the operations before: those that are late are late.
    Due { first_ns: f64, interval_ns: f64, next: u64 },
}

impl Pace {
    /// The pace of one of the processes that share a load, from a time on. Under open load they take turns.
    pub fn new(load: Load, (process, processes): (u32, u32), from_ns: u64) -> Self {
        match load {
            Load::Closed(0) => Self::Restless,
            Load::Closed(think_ns) => Self::Thinking { think_ns },
            Load::Open(rate) => {
                let apart_ns = 1e9 / rate;
                let first_ns = from_ns as f64 + apart_ns * f64::from(process);
                Self::Due { first_ns, interval_ns: apart_ns * f64::from(processes), next: 0 }
            }
        }
    }

    /// Waits for the next operation to begin; `None` where the round is over before it.
    ///
    /// `done_ns` is when the last one ended, just now: where nothing is waited for, that is the time.
    #[inline]
    pub fn next(&mut self, clock: &impl Clock, done_ns: u64, is_over: impl Fn(u64) -> bool) -> Option<Start> {
        let due_ns = match self {
            Self::Restless => return Some(Start { due_ns: done_ns, asked_ns: done_ns }),
            Self::Thinking { think_ns } => done_ns + *think_ns,
            #[expect(clippy::cast_sign_loss, reason = "times and numbers are not negative")]
            Self::Due { first_ns, interval_ns, next } => {
                let due_ns = (*first_ns + *interval_ns * *next as f64) as u64;
                *next += 1;
                due_ns
            }
        };
        let mut now_ns = done_ns;
        while now_ns < due_ns {
            if is_over(now_ns) {
                return None;
            }
            clock.sleep_until(due_ns.min(now_ns + NAP_NS_MAX));
            now_ns = clock.now_ns();
        }
        // Thinking that took longer than it should is no part of the operation.
        let is_thinking = matches!(self, Self::Thinking { .. });
        Some(Start { due_ns: if is_thinking { now_ns } else { due_ns }, asked_ns: now_ns })
    }
}
