//! Fresh processes: each operation in a process of its own, forked by its worker.
//!
//! The header's word `child` says who acts for the worker: 0 for nobody, [`AWAITED`] for a child that has not said its
//! pid yet, else the child's pid. The child changes AWAITED into its pid before it acts, and goes away where it cannot;
//! the zygote, once it has reaped a killed worker, takes the word away. So either the zygote knows the child and waits
//! for its death too, or the child never acts.

use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};

use super::context::Post;
use super::worker::perform_recorded;
use crate::process::clock::now_ns;
use crate::process::log::Recorder;
use crate::process::sys::{self, Forked};
use crate::process::{lifeline, region};
use crate::subject::Request;

/// A child has been or will be forked, and has not said its pid.
const AWAITED: u32 = u32::MAX;

/// Performs one operation in a new process; gives back when that had ended, or the exit code to end with.
pub(super) fn perform(post: &Post<'_>, recorder: &mut impl Recorder, request: &Request) -> Result<u64, i32> {
    let header = post.header();
    let worker = getpid();
    header.child.store(AWAITED, Ordering::Release);
    let forked = sys::fork().map_err(|error| {
        lifeline::leave_words(header, &format!("cannot fork a process for an operation: {error}"));
        lifeline::UNOPENED
    })?;
    match forked {
        Forked::Child => lifeline::live(&post.context.region, post.identity.process, || {
            act(post, recorder, request, worker).err().unwrap_or(0)
        }),
        Forked::Parent(child) => {
            let ended = wait_for(child);
            header.child.store(0, Ordering::Release);
            recorder.resume();
            match ended {
                Ok(()) => Ok(now_ns()),
                Err(end) => Err(end.follow()),
            }
        }
    }
}

/// The child's life.
fn act(post: &Post<'_>, recorder: &mut impl Recorder, request: &Request, worker: Pid) -> Result<(), i32> {
    lifeline::tie_to(worker).map_err(|_| lifeline::UNOPENED)?;
    let own = getpid().as_raw().cast_unsigned();
    let known = post.header().child.compare_exchange(AWAITED, own, Ordering::AcqRel, Ordering::Relaxed);
    if known.is_err() {
        // The worker is dead, and nobody waits for us.
        return Ok(());
    }
    perform_recorded(post.open()?.as_mut(), recorder, request);
    Ok(())
}

/// Takes away from a dead worker who acted for it; gives back the pid of a child that said its pid.
pub(super) fn take_child(header: &region::Header) -> Option<Pid> {
    match header.child.swap(0, Ordering::AcqRel) {
        0 | AWAITED => None,
        pid => Some(Pid::from_raw(pid.cast_signed())),
    }
}

/// How a child ended that should not have.
#[derive(Clone, Copy, Debug)]
enum BadEnd {
    Code(i32),
    Signal(Signal),
}

fn wait_for(child: Pid) -> Result<(), BadEnd> {
    loop {
        return match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, 0)) => Ok(()),
            Ok(WaitStatus::Exited(_, code)) => Err(BadEnd::Code(code)),
            Ok(WaitStatus::Signaled(_, signal, _)) => Err(BadEnd::Signal(signal)),
            Ok(_) | Err(Errno::EINTR) => continue,
            // Somebody else reaped it (a subject that waits for any child): how it ended is not known.
            Err(_) => Ok(()),
        };
    }
}

impl BadEnd {
    /// Ends as the child did, so that the zygote reports what really happened.
    fn follow(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => {
                if signal != Signal::SIGKILL {
                    // SIGKILL has no other disposition than the default.
                    _ = sys::restore_default(signal);
                }
                _ = kill(getpid(), signal);
                // A signal that does not end a process; it did not end the child either.
                lifeline::PANICKED
            }
        }
    }
}
