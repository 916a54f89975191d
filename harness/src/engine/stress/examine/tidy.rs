//! Tidying: at the end of a run none of its processes may be left.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use super::process::of_run;
use crate::engine::stress::context::RunContext;
use crate::process::attention::Deadline;
use crate::process::clock::wait_ns;
use crate::process::marker::Handle;

/// How long the run's processes may take to die of SIGKILL.
const DEATH_MAX: Duration = Duration::from_secs(5);

/// Kills and reaps, in the zygote, all that descends from it or carries the run's marker.
pub(in crate::engine::stress) fn tidy(context: &RunContext) {
    let mut deadline = Deadline::after(DEATH_MAX);
    while !deadline.is_over() {
        let handles: BTreeMap<_, _> = of_run(context).into_iter().map(|pid| (pid, Handle::of(pid))).collect();
        // Looked at again: a number may have become another's before the handle was had.
        let left = of_run(context);
        for handle in left.iter().filter_map(|pid| handles.get(pid)) {
            // It may have ended by itself.
            _ = handle.kill();
        }
        let childless = reap_all();
        if left.is_empty() && childless {
            return;
        }
        wait_ns(1_000_000);
    }
}

/// Reaps whoever has ended; whether no child is left.
fn reap_all() -> bool {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::EINTR) => {}
            Err(_) => return true,
            Ok(WaitStatus::StillAlive) => return false,
            Ok(_) => {}
        }
    }
}
