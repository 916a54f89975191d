//! Ended children with what they used: the standard library and nix tell only how they ended.

use std::io;
use std::time::Duration;

use nix::errno::Errno;

/// A child that ended, and is reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reaped {
    /// Its pid, free from now on.
    pub pid: u32,
    /// Its exit code, where it exited.
    pub code: Option<i32>,
    /// The signal that ended it, where one did.
    pub signal: Option<i32>,
    /// Time on a processor, its own and that of its reaped children.
    pub processor: Duration,
    /// The most memory that it had at once, in bytes.
    pub memory_bytes_max: u64,
}

/// Reaps a child that has ended, if there is one; never waits. Without children that is an error: `ECHILD`.
pub(crate) fn reap() -> io::Result<Option<Reaped>> {
    let mut status = 0;
    // SAFETY: all zeros is a valid value of this structure of integers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let pid = loop {
        // SAFETY: the kernel writes one status and one `rusage`, and there they are.
        let done = unsafe { libc::wait4(-1, &raw mut status, libc::WNOHANG, &raw mut usage) };
        match Errno::result(done) {
            Err(Errno::EINTR) => {}
            done => break done?,
        }
    };
    if pid == 0 {
        return Ok(None);
    }
    let code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
    let signal = libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status));
    Ok(Some(Reaped {
        pid: pid.cast_unsigned(),
        code,
        signal,
        processor: duration(usage.ru_utime) + duration(usage.ru_stime),
        memory_bytes_max: usage.ru_maxrss.cast_unsigned() * 1024,
    }))
}

fn duration(time: libc::timeval) -> Duration {
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_usec.cast_unsigned() as u32 * 1000)
}
