//! The warden: the process between the harness and its zygote, which outlives both and sees to it that nothing else does.
//!
//! A harness that is killed cannot tidy up, and what subjects start (sandboxes in sessions of their own, commands and
//! what they leave running) is tied to nobody. So all of it is below the warden: it is the subreaper of everything that
//! the zygote and its children fork, and so becomes the parent of whoever loses theirs. When the harness has ended,
//! however, or the zygote has, the warden ends every child it has, and those that come to it by that, until there is none;
//! then it clears the temporary folders of its harness. It only ever signals its own children, whose numbers nobody else
//! can have before it reaps them.
//!
//! It never does anything else: what is killed together with it is left to the next start of any harness.

use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getppid};

use super::attention::Deadline;
use super::{lifeline, procfs};

/// How long children may take to die of SIGKILL: one may be in a call that cannot be interrupted.
const DEATH_MAX: Duration = Duration::from_secs(10);

/// Why the warden's children are to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The zygote has ended, with this exit code.
    Zygote(i32),
    /// The harness has.
    Harness,
}

/// Makes the process, just forked by the harness, fit to be the warden.
pub(super) fn settle() -> io::Result<()> {
    lifeline::call_oneself("fw-warden");
    // A group of its own: what is typed at the terminal goes to the harness.
    nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    nix::sys::prctl::set_child_subreaper(true)?;
    Ok(())
}

/// Hears of the end of its harness and of its children; from before there is any.
pub(super) struct Listener {
    harness: Pid,
    signals: SignalFd,
}

impl Listener {
    pub fn new(harness: Pid) -> io::Result<Self> {
        let mut mask = SigSet::empty();
        // TERM is what the kernel sends when the harness ends. What comes from elsewhere is for the harness to hear.
        for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
            mask.add(signal);
        }
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
        Ok(Self { harness, signals })
    }

    /// Waits until either has ended. Orphans that end meanwhile are reaped.
    fn wait(&self, zygote: Pid) -> End {
        loop {
            loop {
                match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                    Ok(WaitStatus::Exited(pid, code)) if pid == zygote => return End::Zygote(code),
                    Ok(WaitStatus::Signaled(pid, signal, _)) if pid == zygote => {
                        return End::Zygote(128 + signal as i32);
                    }
                    Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => break,
                    Ok(_) | Err(_) => {}
                }
            }
            if getppid() != self.harness {
                return End::Harness;
            }
            let mut ready = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            _ = poll(&mut ready, PollTimeout::NONE);
            while let Ok(Some(_)) = self.signals.read_signal() {}
        }
    }
}

/// The rest of the warden's life; gives back its exit code. `clear` removes what the harness had on disk.
pub(super) fn watch(listener: &Listener, zygote: Pid, clear: impl FnOnce()) -> i32 {
    let end = listener.wait(zygote);
    end_all(listener);
    match end {
        End::Zygote(code) => {
            // The harness may have gone meanwhile: nobody else would clear up after it then.
            if getppid() != listener.harness {
                clear();
            }
            code
        }
        End::Harness => {
            clear();
            0
        }
    }
}

/// Ends every child, and those that come to this process by their parents' end, until there is none.
fn end_all(listener: &Listener) {
    let mut deadline = Deadline::after(DEATH_MAX);
    let own = nix::unistd::getpid();
    while !deadline.is_over() {
        for child in procfs::children(own.as_raw().cast_unsigned()) {
            _ = kill(Pid::from_raw(child.cast_signed()), Signal::SIGKILL);
        }
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => break,
                Err(Errno::ECHILD) => return,
                Ok(_) | Err(_) => {}
            }
        }
        let mut ready = [PollFd::new(listener.signals.as_fd(), PollFlags::POLLIN)];
        // Some kernels tell of no children in /proc while one is being reaped: look again soon.
        _ = poll(&mut ready, PollTimeout::from(20_u8));
        while let Ok(Some(_)) = listener.signals.read_signal() {}
    }
}
