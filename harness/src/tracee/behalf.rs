//! What a controller does on behalf of a task that stands still, through copies of its descriptors: they are of the same
//! open file descriptions, so what is done is the task's.

use std::io;
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::memory::Memory;
use super::task::Task;
use crate::books::deed::{LockKind, Mode, Offset, Writing};
use crate::books::locks::Holding;

/// Takes a lock on a copy of the task's descriptor. Nothing ever waits for a lock in the kernel.
pub(crate) fn take(copy: impl AsFd, wanted: &Holding) -> io::Result<()> {
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
            "a lock that no controlled process holds cannot be taken ({error}): is it held from outside?"
        );
        io::Error::other(why)
    })
}

/// Gives a lock up for a task that stands before the call which begins with that.
pub(crate) fn give_up(copy: impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::flock(&copy, rustix::fs::FlockOperation::Unlock)?)
}

/// Writes the first half of what a call would write, which lies in this memory.
pub(crate) fn write_half(copy: impl AsFd, memory: Memory, writing: &Writing) -> io::Result<i64> {
    let mut half = Vec::new();
    let mut left = (writing.length / 2).max(1);
    for (address, length) in &writing.parts {
        let mut part = vec![0; (*length).min(left) as usize];
        let read = memory.read(*address, &mut part);
        half.extend_from_slice(&part[..read]);
        left -= part.len() as u64;
    }
    let written = match writing.offset {
        Offset::At(offset) => rustix::io::pwrite(&copy, &half, offset.cast_unsigned()),
        Offset::Current => rustix::io::write(&copy, &half),
    };
    Ok(written?.cast_signed() as i64)
}

/// Whether one of the descriptors that a task waits for is ready.
pub(crate) fn is_ready(task: &Task, waited: &[(i32, i16)]) -> bool {
    waited.iter().any(|(fd, events)| {
        // A descriptor that is not open is told at once.
        let Ok(copy) = task.descriptor(*fd) else { return true };
        let mut polled = [PollFd::new(copy.as_fd(), PollFlags::from_bits_truncate(*events))];
        poll(&mut polled, PollTimeout::ZERO).is_ok_and(|count| count > 0)
    })
}
