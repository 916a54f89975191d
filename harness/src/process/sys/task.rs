//! Tasks that are not our own: the class they are scheduled in, whether two of them share their memory, and signals for them.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// The kernel's `struct sched_param`: that of musl has more fields, and musl's `sched_setscheduler` always fails.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct SchedParam {
    /// The priority within the class.
    pub priority: c_int,
}

/// Has a task scheduled as everybody is, and with it what it starts later.
pub(crate) fn demote(task: u32) -> io::Result<()> {
    schedule(task, libc::SCHED_OTHER, SchedParam { priority: 0 })
}

/// Has the calling thread run before every program under control, on any processor.
pub(crate) fn watch_over_all() -> io::Result<()> {
    schedule(0, libc::SCHED_FIFO, SchedParam { priority: 2 })
}

/// Puts a task into a class; 0 is the calling one.
fn schedule(task: u32, class: c_int, parameter: SchedParam) -> io::Result<()> {
    let (task, class) = (libc::c_long::from(task), libc::c_long::from(class));
    // SAFETY: the kernel reads one `struct sched_param`, and there it is.
    let done = unsafe { libc::syscall(libc::SYS_sched_setscheduler, task, class, &raw const parameter) };
    Errno::result(done)?;
    Ok(())
}

/// Whether two processes share their memory, as a child does that has not executed its program yet with the parent that
/// waits for it (`CLONE_VFORK`); an error where the kernel does not tell.
pub(crate) fn share_memory(one: u32, other: u32) -> io::Result<bool> {
    const KCMP_VM: libc::c_long = 1;
    compare(one, other, KCMP_VM, 0)
}

/// Whether a descriptor of this number is of one open file description in two processes; an error where it is not open in
/// both, or the kernel does not tell.
pub(crate) fn share_file(one: u32, other: u32, number: i32) -> io::Result<bool> {
    const KCMP_FILE: libc::c_long = 0;
    compare(one, other, KCMP_FILE, number.into())
}

fn compare(one: u32, other: u32, what: libc::c_long, number: libc::c_long) -> io::Result<bool> {
    let [one, other] = [one, other].map(libc::c_long::from);
    // SAFETY: the call takes numbers and touches no memory of ours.
    let told = unsafe { libc::syscall(libc::SYS_kcmp, one, other, what, number, number) };
    Ok(Errno::result(told)? == 0)
}

/// Sends a signal of any number to a process.
pub(crate) fn signal_process(process: BorrowedFd<'_>, number: i32) -> io::Result<()> {
    let (process, number) = (libc::c_long::from(process.as_raw_fd()), libc::c_long::from(number));
    let nothing = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: without information about the signal, the kernel reads no memory of ours.
    let done = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process, number, nothing, 0_u64) };
    Errno::result(done)?;
    Ok(())
}

/// Sends a signal of any number to all processes of a group.
pub(crate) fn signal_group(group: u32, number: i32) -> io::Result<()> {
    // Below two it would be our own group, or everybody.
    let group = i32::try_from(group).ok().filter(|group| *group > 1).ok_or(io::ErrorKind::InvalidInput)?;
    // SAFETY: the call takes numbers.
    let done = unsafe { libc::kill(-group, number) };
    Errno::result(done)?;
    Ok(())
}

/// The kernel's `siginfo_t` of a signal by a timer.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
struct ByTimer {
    signal: c_int,
    error: c_int,
    code: c_int,
    gap: c_int,
    timer: c_int,
    overruns: c_int,
    value: u64,
    rest: [u64; 12],
}

/// Sends a signal to a process as a timer of its own does that has this number and this word.
pub(crate) fn signal_by_timer(
    process: BorrowedFd<'_>,
    number: i32,
    timer: i32,
    value: u64,
) -> io::Result<()> {
    const { assert!(size_of::<ByTimer>() == size_of::<libc::siginfo_t>()) };
    let code = libc::SI_TIMER;
    let information =
        ByTimer { signal: number, error: 0, code, gap: 0, timer, overruns: 0, value, rest: [0; 12] };
    let (process, number) = (libc::c_long::from(process.as_raw_fd()), libc::c_long::from(number));
    // SAFETY: the kernel reads one `siginfo_t`, and there is something of its size.
    let done =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process, number, &raw const information, 0_u64) };
    Errno::result(done)?;
    Ok(())
}
