//! How a process that forked others learns that one of them ended.

use std::io;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// A descriptor that can be read when a child of the calling process has ended, without blocking. SIGCHLD is blocked from
/// then on, for the calling thread and whatever it forks.
pub(crate) fn watch() -> io::Result<SignalFd> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.thread_block()?;
    Ok(SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}
