//! A pid namespace for clones: in it a clone can have the pid that its program had when it started.
//!
//! Its first process does nothing but be there: it reaps, without being told, whoever loses its parent. When it ends, the
//! kernel ends everybody in it.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::BorrowedFd;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::Signal;

use crate::process::lifeline;
use crate::process::sys::{self, Forked};

/// What the first process of such a namespace is called in lists of processes.
const NAME: &str = "fw-nest";

/// Makes one; gives back its first process, which is ready to reap: who died before that would stay a zombie, and keep the
/// numbers of its process group and its session. The calling process has one thread, and stays where it is. `line` is the
/// caller's alone.
pub(super) fn make(line: BorrowedFd<'_>) -> io::Result<u32> {
    let own = File::open("/proc/self/ns/pid")?;
    let (ready, says_ready) = io::pipe()?;
    unshare(CloneFlags::CLONE_NEWPID)?;
    match sys::fork()? {
        Forked::Parent(first) => {
            setns(&own, CloneFlags::CLONE_NEWPID)?;
            drop(says_ready);
            // Its end closes that of the pipe as well.
            (&ready).read_exact(&mut [0])?;
            Ok(first.as_raw().cast_unsigned())
        }
        Forked::Child => {
            sys::close_parents_copy(line);
            // Who its parent is cannot be asked from here. Should that be dead already, the warden ends all that it leaves.
            let tied = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).is_ok();
            lifeline::call_oneself(NAME);
            let is_ready =
                tied && sys::ignore(Signal::SIGCHLD).is_ok() && (&says_ready).write_all(&[0]).is_ok();
            if !is_ready {
                sys::exit_now(1);
            }
            drop((ready, says_ready));
            loop {
                nix::unistd::pause();
            }
        }
    }
}
