//! Seccomp user notification: a process stops at a system call, and another answers for it.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

/// The `prctl` option that no kernel has: with it a controlled process says where it stands.
pub(crate) const RENDEZVOUS: i32 = 0x464c_4f43;

/// What the kernel calls it within itself that a signal interrupted a call.
const ERESTARTSYS: i32 = 512;

/// Where a filter finds the call's number, its architecture and its arguments: offsets into `struct seccomp_data`.
pub(crate) const NUMBER_AT: u32 = 0;
pub(crate) const ARCH_AT: u32 = 4;
pub(crate) const ARGS_AT: u32 = 16;

/// One instruction of a filter (classic BPF).
pub(crate) type Instruction = libc::sock_filter;

/// A process that stopped at a system call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notification {
    /// Names this stop until it is answered.
    pub id: u64,
    /// The task that stopped.
    pub task: u32,
    /// The call's number.
    pub number: i64,
    /// Its architecture, as `AUDIT_ARCH_*`.
    pub arch: u32,
    /// The call's six arguments, as the registers held them.
    pub args: [u64; 6],
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Do the call.
    Continue,
    /// The call is done for you, and gave this.
    Value(i64),
    /// The call failed with this error, without having been done.
    Error(Errno),
    /// A signal interrupted the call before it was done: as that signal's handler wants, it fails or is made again. Only for a
    /// task that has such a signal to take, or that a tracer stops: nobody else would understand the answer.
    Interrupted,
}

/// Where stopped processes are heard of.
#[derive(Debug)]
pub(crate) struct Listener {
    descriptor: OwnedFd,
    /// The stop that was heard of last: the kernel counts them.
    last: Cell<Option<u64>>,
    missed: Cell<bool>,
}

impl Listener {
    /// A listener whose descriptor came from the process that installed the filter.
    pub(crate) fn from_fd(fd: OwnedFd) -> Self {
        Self { descriptor: fd, last: Cell::new(None), missed: Cell::new(false) }
    }

    /// Asks the kernel to wake whoever is answered on the answerer's processor, where it can: then a step is one switch
    /// between processes there and one back.
    pub(crate) fn wake_in_step(&self) -> io::Result<()> {
        const SYNC_WAKE_UP: u64 = 1;
        // SAFETY: this request takes a number and touches no memory.
        let done = unsafe {
            libc::ioctl(self.descriptor.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP)
        };
        Errno::result(done)?;
        Ok(())
    }

    /// Waits for a process to stop.
    pub(crate) fn receive(&self) -> io::Result<Notification> {
        // SAFETY: all zeros is a valid value, and what the kernel demands to find.
        let mut stopped: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel writes one `seccomp_notif`, and there it is.
        let done = unsafe {
            libc::ioctl(self.descriptor.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut stopped)
        };
        Errno::result(done)?;
        let last = self.last.replace(Some(stopped.id));
        let is_next = last.is_none_or(|last| stopped.id == last.wrapping_add(1));
        self.missed.set(self.missed.get() || !is_next);
        Ok(Notification {
            id: stopped.id,
            task: stopped.pid,
            number: i64::from(stopped.data.nr),
            arch: stopped.data.arch,
            args: stopped.data.args,
        })
    }

    /// Whether a stop was gone before it was heard of, since the last [`Self::start_over`]: its task was killed, or a signal
    /// interrupted the call, which then failed or was made again.
    pub(crate) const fn has_missed(&self) -> bool {
        self.missed.get()
    }

    /// A stop that is missed before the next is nobody's affair.
    pub(crate) fn expect_gap(&self) {
        self.last.set(None);
    }

    /// What was missed until now, or is missed until the next stop, is nobody's affair.
    pub(crate) fn start_over(&self) {
        self.last.set(None);
        self.missed.set(false);
    }

    /// Whether a stop can still be answered: its task may have been killed, or a signal may have interrupted its call.
    pub(crate) fn is_there(&self, id: u64) -> bool {
        // SAFETY: the kernel reads one number, and there it is.
        let done = unsafe {
            libc::ioctl(self.descriptor.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id)
        };
        done == 0
    }

    /// Puts a copy of a descriptor into a process that stopped: under this number, in the place of what is there, or under
    /// the lowest that is free. Gives back the number. It is closed on exec where that is wanted.
    pub(crate) fn give(
        &self,
        id: u64,
        descriptor: BorrowedFd<'_>,
        number: Option<u32>,
        closes_on_exec: bool,
    ) -> io::Result<i32> {
        let given = libc::seccomp_notif_addfd {
            id,
            flags: if number.is_some() { libc::SECCOMP_ADDFD_FLAG_SETFD as u32 } else { 0 },
            srcfd: descriptor.as_raw_fd().cast_unsigned(),
            newfd: number.unwrap_or(0),
            newfd_flags: if closes_on_exec { libc::O_CLOEXEC.cast_unsigned() } else { 0 },
        };
        // SAFETY: the kernel reads one `seccomp_notif_addfd`, and there it is.
        let done = unsafe {
            libc::ioctl(self.descriptor.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw const given)
        };
        Ok(Errno::result(done)?)
    }

    /// Answers. A process that was killed meanwhile is no error of the answerer: it is told as `NotFound`.
    pub(crate) fn answer(&self, id: u64, reply: Reply) -> io::Result<()> {
        let (val, error, flags) = match reply {
            Reply::Continue => (0, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
            Reply::Value(value) => (value, 0, 0),
            Reply::Error(errno) => (0, -(errno as i32), 0),
            Reply::Interrupted => (0, -ERESTARTSYS, 0),
        };
        let mut answer = libc::seccomp_notif_resp { id, val, error, flags };
        // SAFETY: the kernel reads one `seccomp_notif_resp`, and there it is.
        let done = unsafe {
            libc::ioctl(self.descriptor.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer)
        };
        Errno::result(done)?;
        Ok(())
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Installs a filter in the calling process, and gives back where its stops are heard of. The filter is inherited by
/// every child, and nobody can take it off again. No privilege is needed: the process gives up gaining any.
pub(crate) fn install(filter: &[Instruction]) -> io::Result<OwnedFd> {
    install_with(filter, 0)
}

/// The same, but that only SIGKILL takes a process out of a stop that was heard of: other signals wait until it is answered.
/// Else a call that never fails so, such as `close`, fails with `EINTR` where a handler is run meanwhile. Nobody can attach to
/// a process that is stopped so. Since Linux 5.19; before, it is [`install`]. Gives back besides whether signals wait.
pub(crate) fn install_uninterrupted(filter: &[Instruction]) -> io::Result<(OwnedFd, bool)> {
    match install_with(filter, libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok((install(filter)?, false)),
        installed => Ok((installed?, true)),
    }
}

/// Installs a filter that notifies nobody in the calling process, which keeps its right to gain privileges: an error where it has not
/// the privilege for that.
pub(crate) fn restrict(filter: &[Instruction]) -> io::Result<()> {
    set(filter, 0).map(drop)
}

fn install_with(filter: &[Instruction], flags: libc::c_ulong) -> io::Result<OwnedFd> {
    nix::sys::prctl::set_no_new_privs()?;
    let fd = set(filter, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | flags)?;
    // SAFETY: the kernel made this descriptor for us just now.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Sets a filter with these flags; gives back what the kernel does.
fn set(filter: &[Instruction], flags: libc::c_ulong) -> io::Result<libc::c_long> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(io::Error::other)?,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel reads the program and the instructions that it points to, which live until the call returns.
    let set =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    Ok(Errno::result(set)?)
}

/// Stops at the controller, and gives back what it answers: for a process under a filter that notifies of
/// [`RENDEZVOUS`]. Without one the kernel answers that it knows no such option.
pub(crate) fn rendezvous(word: u64) -> io::Result<i32> {
    // SAFETY: the option is unknown to the kernel, so it reads and writes no memory.
    let answer = unsafe { libc::prctl(RENDEZVOUS, word, 0_u64, 0_u64, 0_u64) };
    Ok(Errno::result(answer)?)
}
