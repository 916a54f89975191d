//! What tasks must share with each other, and what they must not: paths mean the same to all, and a number the same descriptor to
//! all threads of a process.

use super::machine::{Machine, Result};
use crate::process::procfs;
use crate::process::sys::seccomp::Notification;

/// Namespaces that a child may be started into.
const NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP) as u64;

impl Machine {
    /// A number means one descriptor to all threads of a process.
    pub(super) fn judge_apart(&mut self, process: usize, stop: &Notification) -> Result<()> {
        let is_apart = stop.number == libc::SYS_close_range
            && stop.args[2] & u64::from(libc::CLOSE_RANGE_UNSHARE) != 0
            && self.trees[process].shares;
        let pid = self.trees[process].task(stop.task).map(|task| task.pid);
        if is_apart && pid.and_then(procfs::thread_count) != Some(1) {
            return self.refuse(process, stop.task, "close_range", "gives a thread descriptors of its own");
        }
        Ok(())
    }

    pub(super) fn judge_start(&mut self, process: usize, tid: u32, flags: u64) -> Result<()> {
        if flags & NAMESPACES != 0 {
            return self.refuse(process, tid, "clone", "starts a child in a namespace of its own");
        }
        let shares = flags & libc::CLONE_FILES as u64 != 0;
        if shares && flags & (libc::CLONE_THREAD | libc::CLONE_VFORK) as u64 == 0 {
            return self.refuse(process, tid, "clone", "shares its descriptors with a child");
        }
        if !shares && flags & libc::CLONE_THREAD as u64 != 0 {
            return self.refuse(process, tid, "clone", "starts a thread with descriptors of its own");
        }
        Ok(())
    }
}
