//! The only unsafe code of these tests: system calls that no crate wraps, or wraps as unsafe.

use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;

use nix::sys::mman::{MapFlags, ProtFlags};
use rustix::io::Errno;

/// How a file is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    Shared,
    Private,
}

/// Maps the first bytes of a file, and leaves the mapping where it is.
pub fn map_file(file: &OwnedFd, how: Map) -> Result<(), Errno> {
    let flags = match how {
        Map::Shared => MapFlags::MAP_SHARED,
        Map::Private => MapFlags::MAP_PRIVATE,
    };
    let length = NonZeroUsize::new(4096).expect("a page");
    // SAFETY: a new mapping, where the kernel likes, that nobody reads or writes.
    let mapped = unsafe { nix::sys::mman::mmap(None, length, ProtFlags::PROT_READ, flags, file, 0) };
    mapped.map(drop).map_err(|error| Errno::from_raw_os_error(error as i32))
}

/// Asks the kernel for an `io_uring`.
pub fn set_up_io_uring() -> Result<(), Errno> {
    let mut parameters = [0_u64; 15];
    // SAFETY: the kernel reads and writes at most the 120 bytes of `struct io_uring_params` that are there.
    let made = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) };
    nix::errno::Errno::result(made).map(drop).map_err(|error| Errno::from_raw_os_error(error as i32))
}

/// What is taken from a process and its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deprivation {
    /// A system call fails with this error.
    Denied(i64, i32),
    /// Somebody else hears of its stops already.
    Controlled,
}

/// Takes something from the calling process and all its children, for ever.
pub fn deprive(of: Deprivation) -> std::io::Result<()> {
    nix::sys::prctl::set_no_new_privs()?;
    let act = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let allow = act(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW);
    let (filter, flags) = match of {
        Deprivation::Controlled => (vec![allow], libc::SECCOMP_FILTER_FLAG_NEW_LISTENER),
        Deprivation::Denied(number, error) => {
            let load = act(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0);
            let test = act(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number.cast_unsigned() as u32);
            let deny =
                act(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | error.cast_unsigned());
            (vec![load, test, deny, allow], 0)
        }
    };
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the kernel reads the program and the instructions that it points to, which live until the call returns.
    let listener =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    let listener = nix::errno::Errno::result(listener)? as i32;
    if of == Deprivation::Controlled {
        // SAFETY: the kernel made this descriptor for us just now. It is to live as long as the process, so it is leaked.
        let listener = unsafe { std::os::fd::BorrowedFd::borrow_raw(listener) };
        rustix::io::fcntl_setfd(listener, rustix::io::FdFlags::empty())?;
    }
    Ok(())
}
