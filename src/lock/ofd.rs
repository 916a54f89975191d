//! `fcntl` locks that belong to the open file description: like `flock`, they last until its last descriptor closes,
//! and threads exclude each other.

use std::fs::File;
use std::io;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::descriptor::Primitive;
use super::{LockKind, Mode};

/// `fcntl` with `F_OFD_SETLK`: a lock of the open file description. Since Linux 3.15.
#[derive(Debug)]
pub(super) struct Ofd;

impl Primitive for Ofd {
    const KIND: LockKind = LockKind::Ofd;

    fn lock(&self, file: &File, mode: Mode) -> io::Result<()> {
        fcntl(file, FcntlArg::F_OFD_SETLKW(&whole_file(lock_type(mode))))?;
        Ok(())
    }

    fn try_lock(&self, file: &File, mode: Mode) -> io::Result<bool> {
        taken(fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(lock_type(mode)))))
    }

    fn unlock(&self, file: &File) -> io::Result<()> {
        fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_UNLCK)))?;
        Ok(())
    }
}

/// What a call that does not wait says: POSIX lets it answer either error when the lock is held.
pub(super) fn taken(result: nix::Result<libc::c_int>) -> io::Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

pub(super) const fn lock_type(mode: Mode) -> libc::c_int {
    match mode {
        Mode::Shared => libc::F_RDLCK,
        Mode::Exclusive => libc::F_WRLCK,
    }
}

/// A lock from the first byte to the last, however far the file grows.
pub(super) fn whole_file(lock_type: libc::c_int) -> libc::flock {
    libc::flock { l_type: lock_type as i16, l_whence: libc::SEEK_SET as i16, l_start: 0, l_len: 0, l_pid: 0 }
}
