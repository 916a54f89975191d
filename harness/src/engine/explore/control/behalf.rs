//! What the controller does on behalf of a process that stands still, through copies of its descriptors: they are of
//! the same open file descriptions, so what is done is the process's.

use std::io;
use std::os::fd::AsFd;

use super::call::{Call, LockKind, Mode};
use super::error::{ControlError, Result};
use super::locks::Holding;
use super::tracee::Tracee;

/// Takes a lock on a copy of the process's descriptor: of the same open file description, so it is the process's.
/// Nothing ever waits for a lock in the kernel.
pub(super) fn take(tracee: &Tracee, wanted: &Holding) -> Result<()> {
    let copy = tracee.descriptor(wanted.fd)?;
    let taken = match wanted.kind {
        LockKind::Flock => {
            let operation = match wanted.mode {
                Mode::Shared => rustix::fs::FlockOperation::NonBlockingLockShared,
                Mode::Exclusive => rustix::fs::FlockOperation::NonBlockingLockExclusive,
            };
            rustix::fs::flock(&copy, operation).map_err(io::Error::from)
        }
        LockKind::Ofd | LockKind::Posix => {
            let length = if wanted.range.end == i64::MAX { 0 } else { wanted.range.end - wanted.range.start };
            let kind = if wanted.mode == Mode::Shared { libc::F_RDLCK } else { libc::F_WRLCK };
            let lock = libc::flock {
                l_type: kind as i16,
                l_whence: libc::SEEK_SET as i16,
                l_start: wanted.range.start,
                l_len: length,
                l_pid: 0,
            };
            nix::fcntl::fcntl(copy.as_fd(), nix::fcntl::FcntlArg::F_OFD_SETLK(&lock))
                .map(drop)
                .map_err(io::Error::from)
        }
    };
    taken.map_err(|error| {
        let why = format!(
            "a lock that nobody under control holds cannot be had ({error}): is it held from outside?"
        );
        ControlError::from(io::Error::other(why))
    })
}

/// Gives a lock up for a process that stands before the call which begins with that.
pub(super) fn give_up(tracee: &Tracee, given: &Holding) -> Result<()> {
    let copy = tracee.descriptor(given.fd)?;
    rustix::fs::flock(&copy, rustix::fs::FlockOperation::Unlock).map_err(io::Error::from)?;
    Ok(())
}

/// Writes the first half of what a call would write, through a copy of the process's descriptor.
pub(super) fn write_half(tracee: &Tracee, call: &Call) -> Result<i64> {
    let Call::Write { fd, bytes, buffer: Some(buffer), offset } = call else { return Ok(0) };
    let mut half = vec![0; (*bytes / 2).max(1) as usize];
    let read = tracee.memory.read(*buffer, &mut half);
    let copy = tracee.descriptor(*fd)?;
    let written = match offset {
        Some(offset) => rustix::io::pwrite(&copy, &half[..read], offset.cast_unsigned()),
        None => rustix::io::write(&copy, &half[..read]),
    };
    Ok(written.map_err(io::Error::from)?.cast_signed() as i64)
}
