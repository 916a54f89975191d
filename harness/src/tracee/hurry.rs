//! Whoever holds programs goes before others on its processor.

use rustix::process::{getpriority_process, setpriority_process};

use crate::process::slot::FIRST;

/// The calling thread goes before everybody of the class `SCHED_OTHER`, until this is dropped: commands wait for it at every
/// stop, and others may keep the processor busy. It still runs only when all of the class `SCHED_FIFO` sleep.
pub(super) struct Hurry(i32);

impl Hurry {
    /// None where it may not.
    pub(super) fn begin() -> Option<Self> {
        let before = getpriority_process(None).ok()?;
        setpriority_process(None, FIRST).ok().map(|()| Self(before))
    }
}

impl Drop for Hurry {
    fn drop(&mut self) {
        // To give way is always allowed.
        _ = setpriority_process(None, self.0);
    }
}
