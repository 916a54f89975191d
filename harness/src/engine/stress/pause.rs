//! Waiting between operations: never part of one, and never longer than the run.

use std::sync::atomic::Ordering;

use crate::process::clock;
use crate::process::region::Control;

/// Longest sleep without a look at whether the run is over.
const NAP_NS_MAX: u64 = 10_000_000;

/// Whether everybody is to leave.
pub(super) fn is_over(control: &Control) -> bool {
    control.end.load(Ordering::Relaxed) != 0
}

/// Waits this long, or until the run is over.
pub(super) fn pause(duration_ns: u64, control: &Control) {
    if duration_ns <= NAP_NS_MAX {
        clock::wait_ns(duration_ns);
        return;
    }
    let until_ns = clock::now_ns() + duration_ns;
    let until_ns = until_ns.min(control.deadline_ns.load(Ordering::Relaxed));
    while !is_over(control) {
        match until_ns.saturating_sub(clock::now_ns()) {
            0 => break,
            left_ns => clock::wait_ns(left_ns.min(NAP_NS_MAX)),
        }
    }
}
