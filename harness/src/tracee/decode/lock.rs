//! Lock calls decoded.

use super::Arguments;
use crate::books::deed::{Ask, Deed, LockKind, Mode, Range, Told};

// Numbers of `linux/fcntl.h` that the crate does not name, or not everywhere.
const F_SETSIG: i32 = 10;
const F_GETSIG: i32 = 11;
const F_SETOWN_EX: i32 = 15;
const F_GETOWNER_UIDS: i32 = 17;
const F_DUPFD_QUERY: i32 = 1027;
const F_CREATED_QUERY: i32 = 1028;
const F_GET_RW_HINT: i32 = 1035;
const F_SET_FILE_RW_HINT: i32 = 1038;

impl Arguments<'_> {
    pub(super) fn flock(&self) -> Told {
        let (file, kind, range) = (self.fd(0), LockKind::Flock, Range::ALL);
        let operation = self.int(1);
        let ask = if operation & libc::LOCK_NB != 0 { Ask::Try } else { Ask::Wait };
        match operation & !libc::LOCK_NB {
            libc::LOCK_SH => Deed::Lock { file, kind, mode: Mode::Shared, ask, range },
            libc::LOCK_EX => Deed::Lock { file, kind, mode: Mode::Exclusive, ask, range },
            libc::LOCK_UN => Deed::Unlock { file, kind, range },
            // The kernel knows no such lock.
            _ => Deed::Nothing,
        }
    }

    pub(super) fn fcntl(&self) -> Told {
        let (file, command) = (self.fd(0), self.int(1));
        let kind = match command {
            libc::F_SETLK | libc::F_SETLKW | libc::F_GETLK => LockKind::Posix,
            libc::F_OFD_SETLK | libc::F_OFD_SETLKW | libc::F_OFD_GETLK => LockKind::Ofd,
            libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => return Deed::Duplicate(file),
            // Whoever is signalled when a descriptor is ready, and hints of how long what is written will be kept.
            libc::F_SETOWN..=libc::F_GETOWN
            | F_SETSIG..=F_GETSIG
            | F_SETOWN_EX..=F_GETOWNER_UIDS
            | F_DUPFD_QUERY..=F_CREATED_QUERY
            | libc::F_ADD_SEALS
            | F_GET_RW_HINT..=F_SET_FILE_RW_HINT => return Deed::Nothing,
            libc::F_GETLEASE => return Deed::LookAt(file),
            libc::F_SETLEASE => return Deed::Control(file, "fcntl", "takes a lease (F_SETLEASE)".into()),
            libc::F_NOTIFY => return Deed::Control(file, "fcntl", "watches a folder (F_NOTIFY)".into()),
            other => {
                return Deed::Control(file, "fcntl", format!("gives the unknown command {other}"));
            }
        };
        let ask = if matches!(command, libc::F_SETLKW | libc::F_OFD_SETLKW) { Ask::Wait } else { Ask::Try };
        // struct flock: type and whence are 16 bits each, start and length 64, each aligned to its size.
        let [kinds, start, length] = self.memory.words(self.arg(2));
        let (start, length) = (start.cast_signed(), length.cast_signed());
        let [asked, whence] = [kinds as i16, (kinds >> 16) as i16].map(i32::from);
        let range = match (whence, length) {
            (libc::SEEK_SET, 0) => Range { start, end: i64::MAX },
            (libc::SEEK_SET, ..0) => Range { start: start.saturating_add(length), end: start },
            (libc::SEEK_SET, _) => Range { start, end: start.saturating_add(length) },
            _ => {
                return Deed::Refused(
                    "fcntl".into(),
                    "locks a part of a file that is not given from its start",
                );
            }
        };
        if matches!(command, libc::F_GETLK | libc::F_OFD_GETLK) {
            return Deed::QueryLock { file, kind, range };
        }
        match asked {
            libc::F_RDLCK => Deed::Lock { file, kind, mode: Mode::Shared, ask, range },
            libc::F_WRLCK => Deed::Lock { file, kind, mode: Mode::Exclusive, ask, range },
            _ => Deed::Unlock { file, kind, range },
        }
    }
}
