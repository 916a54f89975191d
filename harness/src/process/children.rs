//! How a process that forked others learns that one of them ended.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeSpec;

use super::Channel;

/// A descriptor that can be read when a child of the calling process has ended, without blocking. SIGCHLD is blocked from
/// then on, for the calling thread and whatever it forks.
pub(crate) fn watch() -> io::Result<SignalFd> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.thread_block()?;
    Ok(SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}

/// Waits until a child may have ended, a message has come from the harness, or the time has passed; children are then to
/// be reaped. That the harness is gone is an error.
pub(crate) fn wait(signals: &SignalFd, channel: &Channel, at_most: Duration) -> io::Result<()> {
    let mut polled =
        [PollFd::new(signals.as_fd(), PollFlags::POLLIN), PollFd::new(channel.as_fd(), PollFlags::POLLIN)];
    match ppoll(&mut polled, Some(TimeSpec::from_duration(at_most)), None) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    let hung_up = PollFlags::POLLHUP | PollFlags::POLLERR;
    if polled[1].revents().is_some_and(|events| events.intersects(hung_up)) {
        return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the harness is gone"));
    }
    while signals.read_signal()?.is_some() {}
    Ok(())
}
