//! Tasks that are not our own: the class they are scheduled in.

use std::io;

use nix::errno::Errno;

/// Has a task scheduled as everybody is, and with it what it starts later.
pub(crate) fn demote(task: u32) -> io::Result<()> {
    let parameter = libc::sched_param { sched_priority: 0 };
    // SAFETY: the kernel reads one `sched_param`, and there it is.
    let done =
        unsafe { libc::sched_setscheduler(task.cast_signed(), libc::SCHED_OTHER, &raw const parameter) };
    Errno::result(done)?;
    Ok(())
}
