//! A pid namespace for clones: in it a clone can have the pid that its program had when it started.
//!
//! Its first process does nothing but be there: it reaps, without being told, whoever loses its parent. When it ends, the
//! kernel ends everybody in it.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::Signal;

use crate::process::lifeline;
use crate::process::sys::{self, Forked};

/// What the first process of such a namespace is called in lists of processes.
const NAME: &str = "fw-nest";

/// Makes one; gives back its first process. The calling process has one thread, and stays where it is. `line` is the
/// caller's alone.
pub(super) fn make(line: BorrowedFd<'_>) -> io::Result<u32> {
    let own = File::open("/proc/self/ns/pid")?;
    unshare(CloneFlags::CLONE_NEWPID)?;
    match sys::fork()? {
        Forked::Parent(first) => {
            setns(&own, CloneFlags::CLONE_NEWPID)?;
            Ok(first.as_raw().cast_unsigned())
        }
        Forked::Child => {
            sys::close_parents_copy(line);
            // Who its parent is cannot be asked from here. Should that be dead already, the warden ends all that it leaves.
            let tied = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).is_ok();
            lifeline::call_oneself(NAME);
            if !tied || sys::ignore(Signal::SIGCHLD).is_err() {
                sys::exit_now(1);
            }
            loop {
                nix::unistd::pause();
            }
        }
    }
}
