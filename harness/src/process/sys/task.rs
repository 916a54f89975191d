//! Tasks that are not our own: the class they are scheduled in.

use std::io;

use nix::errno::Errno;

/// How a task is scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheduling {
    /// As everybody is.
    Other,
    /// Before everybody who is scheduled as everybody is.
    Fifo,
}

/// Has a task scheduled in another class; 0 means the caller. What it starts later is scheduled likewise.
pub(crate) fn schedule(task: u32, class: Scheduling) -> io::Result<()> {
    let (policy, priority) = match class {
        Scheduling::Other => (libc::SCHED_OTHER, 0),
        Scheduling::Fifo => (libc::SCHED_FIFO, 1),
    };
    let parameter = libc::sched_param { sched_priority: priority };
    // SAFETY: the kernel reads one `sched_param`, and there it is.
    let done = unsafe { libc::sched_setscheduler(task.cast_signed(), policy, &raw const parameter) };
    Errno::result(done)?;
    Ok(())
}

/// The class of a task; an error says that it is gone.
pub(crate) fn scheduling(task: u32) -> io::Result<Scheduling> {
    // SAFETY: the call takes a number and touches no memory.
    let policy = Errno::result(unsafe { libc::sched_getscheduler(task.cast_signed()) })?;
    Ok(if policy == libc::SCHED_FIFO { Scheduling::Fifo } else { Scheduling::Other })
}
