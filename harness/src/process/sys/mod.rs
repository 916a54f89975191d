//! The harness's only unsafe code: the system calls that have no safe wrapper elsewhere.
//!
//! Everything here is small, and safe to call as its documentation says; nothing here knows what it is used for.

pub(crate) mod child;
pub(crate) mod mutex;
#[cfg(target_arch = "x86_64")]
pub(crate) mod ptrace;
pub(crate) mod seccomp;
pub(crate) mod slot;
pub(crate) mod task;

use std::ffi::c_void;
use std::io;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering};

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags};
use nix::sys::signal::{SigHandler, Signal};
use nix::unistd::{ForkResult, Pid};

/// Which side of a fork the caller is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forked {
    /// The old process; the new one has this pid.
    Parent(Pid),
    /// The new process.
    Child,
}

/// Forks the calling process, which must be single-threaded: [`super::Zygote::fork`] checks that it is, and neither
/// the zygote nor its children ever start a thread of their own.
///
/// The child must not return from the function that forked: it ends with [`exit_now`].
pub(crate) fn fork() -> io::Result<Forked> {
    // SAFETY: the process has one thread (see above), so no lock can be held by a thread that the child lacks, and
    // the child may go on as if it had always been a process of its own.
    let forked = unsafe { nix::unistd::fork() }?;
    Ok(match forked {
        ForkResult::Parent { child } => Forked::Parent(child),
        ForkResult::Child => Forked::Child,
    })
}

/// Ends the process at once: no destructor, no exit handler, no flush of what the parent had buffered.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit takes any code and returns never.
    unsafe { libc::_exit(code) }
}

/// Closes, in a forked child, its copy of a descriptor that only the parent uses.
///
/// The borrow stays: the child must neither use the descriptor nor drop its owner. It cannot, as it leaves by
/// [`exit_now`] from below the frame that owns it.
pub(crate) fn close_parents_copy(descriptor: BorrowedFd<'_>) {
    // SAFETY: closing a descriptor number is sound; that nobody uses the number afterwards is the caller's promise.
    unsafe { libc::close(descriptor.as_raw_fd()) };
}

/// Lets a signal do nothing, here and in what is forked from here.
pub(crate) fn ignore(signal: Signal) -> io::Result<()> {
    // SAFETY: to ignore a signal runs no code of ours.
    unsafe { nix::sys::signal::signal(signal, SigHandler::SigIgn) }?;
    Ok(())
}

/// Lets a signal do what it does to a process that never heard of it.
pub(crate) fn restore_default(signal: Signal) -> io::Result<()> {
    // SAFETY: the default disposition runs no code of ours.
    unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }?;
    Ok(())
}

/// The signal that came last of those that are noted.
static NOTED: AtomicI32 = AtomicI32::new(0);

extern "C" fn note(signal: libc::c_int) {
    NOTED.store(signal, Ordering::Relaxed);
}

/// Has signals noted that would end or stop the calling process, as far as anybody may handle them; its own faults still end it.
/// Programs that it starts find them as they are by default.
pub(crate) fn note_signals() -> io::Result<()> {
    const OWN: [i32; 12] = [
        libc::SIGKILL,
        libc::SIGSTOP,
        libc::SIGCHLD,
        libc::SIGCONT,
        libc::SIGPIPE,
        libc::SIGILL,
        libc::SIGTRAP,
        libc::SIGABRT,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGSEGV,
        libc::SIGSYS,
    ];
    for signal in (1..32).chain(libc::SIGRTMIN()..=libc::SIGRTMAX()).filter(|signal| !OWN.contains(signal)) {
        // SAFETY: a `sigaction` of zeros is one, without flags and with an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = note as extern "C" fn(libc::c_int) as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: the kernel reads one `sigaction`, and there it is; the handler does nothing but to store into an atomic.
        Errno::result(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) })?;
    }
    Ok(())
}

/// Whether a signal was noted that nobody has taken.
pub(crate) fn has_noted_signal() -> bool {
    NOTED.load(Ordering::Relaxed) != 0
}

/// The signal that was noted last, once.
pub(crate) fn noted_signal() -> Option<i32> {
    Some(NOTED.swap(0, Ordering::Relaxed)).filter(|signal| *signal != 0)
}

/// Takes ownership of a descriptor that has just come in over a socket.
pub(super) fn own_received(descriptor: RawFd) -> OwnedFd {
    // SAFETY: the kernel made this descriptor for the message just read, so nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// Types that may be viewed in shared memory.
///
/// # Safety
///
/// Any bytes must be a valid value, and every field must be atomic: other processes write at any time.
pub(crate) unsafe trait Shared: Sync {}

// SAFETY: an atomic integer, valid whatever its bytes.
unsafe impl Shared for AtomicU8 {}
// SAFETY: an atomic integer, valid whatever its bytes.
unsafe impl Shared for AtomicU32 {}
// SAFETY: an atomic integer, valid whatever its bytes.
unsafe impl Shared for AtomicU64 {}
// SAFETY: `repr(C)`, of atomic integers only.
unsafe impl Shared for super::region::Control {}
// SAFETY: `repr(C)`, of atomic integers only.
unsafe impl Shared for super::region::Header {}
// SAFETY: `repr(C)`, of atomic integers only.
unsafe impl Shared for super::region::Word {}
// SAFETY: `repr(C)`, of atomic integers only.
unsafe impl Shared for super::region::OverlapCell {}
// SAFETY: `repr(C)`, of atomic integers only.
unsafe impl Shared for super::region::HoldCell {}
// SAFETY: `repr(C)`, of atomic integers only.
unsafe impl Shared for super::log::Entry {}

// SAFETY: `repr(C)`, of atomic integers only.
unsafe impl Shared for super::arena::Mark {}
// SAFETY: `repr(C)`, of atomic integers only.
unsafe impl Shared for super::arena::Tally {}

/// A stretch of memory shared with other processes. Its pages exist once they are touched.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<c_void>,
    bytes: usize,
    owner: PhantomData<*mut c_void>,
}

// SAFETY: the mapping is plain memory, owned by this value alone, and all access goes through atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above: all access goes through atomics.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `bytes` of a memory file, shared, without reserving memory for it.
    pub(crate) fn of(memory: impl AsFd, bytes: usize) -> io::Result<Self> {
        let length = NonZeroUsize::new(bytes).ok_or(io::ErrorKind::InvalidInput)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice disturbs no memory of ours.
        let base = unsafe { nix::sys::mman::mmap(None, length, protection, flags, memory, 0) }?;
        Ok(Self { base, bytes, owner: PhantomData })
    }

    /// The `count` values that start `offset` bytes into the mapping.
    ///
    /// # Panics
    ///
    /// Where they would not lie within it, or not be aligned.
    #[inline]
    pub(crate) fn view<T: Shared>(&self, offset: usize, count: usize) -> &[T] {
        let end = size_of::<T>().checked_mul(count).and_then(|size| size.checked_add(offset));
        assert!(end.is_some_and(|end| end <= self.bytes), "view beyond the mapping");
        assert!(offset.is_multiple_of(align_of::<T>()), "view not aligned");
        // SAFETY: `offset` is within the mapping, as asserted.
        let first = unsafe { self.base.byte_add(offset) }.cast::<T>();
        // SAFETY: the values lie within the mapping and are aligned (the base is aligned to a page), which lives as
        // long as `self`; `Shared` says that any bytes are valid and that others may write them meanwhile.
        unsafe { std::slice::from_raw_parts(first.as_ptr(), count) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `of` made the mapping with this very base and length, and no view outlives `self`.
        let unmapped = unsafe { nix::sys::mman::munmap(self.base, self.bytes) };
        debug_assert!(unmapped.is_ok(), "munmap of our own mapping: {unmapped:?}");
    }
}
