//! System calls as a controlled process makes them: decoded from numbers and registers, with their paths read from the
//! process's memory. Nothing here knows what the files are.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::process::sys::seccomp::{Notification, RENDEZVOUS};
use crate::tracee::class::Class;
use crate::tracee::{filter, table};

/// Longest path there is, with its end.
const PATH_BYTES_MAX: usize = 4096;
/// As long as most are.
const TEXT_BYTES: usize = 128;

/// A path, and the folder that it is relative to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct At {
    /// A descriptor of the process; [`libc::AT_FDCWD`] for its working folder.
    pub folder: i32,
    pub path: String,
}

/// How a call opens a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opening(pub i32);

impl Opening {
    pub fn has(self, flag: i32) -> bool {
        self.0 & flag == flag
    }
}

/// How a lock is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Wait for it.
    Wait,
    /// Have it at once, or fail.
    Try,
}

/// What a lock is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    Shared,
    Exclusive,
}

/// The bytes of a file that a `fcntl` lock is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub start: i64,
    /// Behind the last; `i64::MAX` for the end of the file.
    pub end: i64,
}

impl Range {
    pub const ALL: Self = Self { start: 0, end: i64::MAX };

    pub const fn covers(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    pub const fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// Which kind of lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum LockKind {
    /// `flock`.
    Flock,
    /// `fcntl` locks of an open file description.
    Ofd,
    /// `fcntl` locks of a process.
    Posix,
}

/// A system call that stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Open {
        at: At,
        opening: Opening,
    },
    Close(i32),
    CloseRange,
    /// A descriptor is copied onto another.
    DupOnto {
        from: i32,
        to: i32,
    },
    Read(i32),
    Write {
        fd: i32,
        bytes: u64,
        buffer: Option<u64>,
        offset: Option<i64>,
    },
    Truncate(At),
    Resize(i32),
    Copy {
        from: i32,
        to: i32,
    },
    Rename {
        from: At,
        to: At,
    },
    Exchange {
        from: At,
        to: At,
    },
    Link {
        from: At,
        to: At,
    },
    Unlink(At),
    RemoveFolder(At),
    Symlink(At),
    ReadLink(At),
    MakeFolder(At),
    MakeNode(At),
    List(i32),
    Look {
        at: At,
        follow: bool,
    },
    LookAt(i32),
    Change(At),
    ChangeAt(i32),
    Sync(i32),
    SyncAll,
    ChangeFolder,
    Lock {
        fd: i32,
        kind: LockKind,
        mode: Mode,
        ask: Ask,
        range: Range,
    },
    Unlock {
        fd: i32,
        kind: LockKind,
        range: Range,
    },
    QueryLock {
        fd: i32,
        kind: LockKind,
        range: Range,
    },
    /// A descriptor is copied to a number that the kernel chooses.
    Copied(i32),
    /// A file is mapped for the process alone; it still shows what others write.
    Map(i32),
    Signal {
        pid: i32,
        signal: i32,
    },
    Wait,
    Exit,
    Sleep,
    Ready,
    /// What cannot be controlled: what it is.
    Escape(Cow<'static, str>),
}

/// The `ioctl` by which one file takes over the content of another (`FICLONE`).
const CLONE_FILE: u32 = 0x4004_9409;

const fn escape(what: &'static str) -> Call {
    Call::Escape(Cow::Borrowed(what))
}

/// A call that is not foreseen, by its name: whatever is not known to be harmless is refused.
fn unforeseen(number: i64) -> Call {
    let Some(call) = table::of(number) else {
        return Call::Escape(format!("makes the system call {number}, which nobody has classified").into());
    };
    let name = call.name;
    Call::Escape(match call.class {
        Class::Refused(why) => format!("calls {name}, which {}", why.as_str()).into(),
        _ => format!("calls {name}, which exploration does not foresee").into(),
    })
}

/// Decodes a stop. The process stands still, so its memory is as the kernel will find it.
pub(super) fn decode(stop: &Notification, memory: &Memory) -> Call {
    if stop.arch != filter::ARCH {
        return escape("calls the kernel as another architecture");
    }
    let a = Arguments { stop, memory, window: Window::over(stop, memory) };
    match stop.number {
        libc::SYS_prctl if stop.args[0] as i32 == RENDEZVOUS => Call::Ready,
        libc::SYS_openat => Call::Open { at: a.at(0, 1), opening: Opening(a.int(2)) },
        libc::SYS_openat2 => Call::Open { at: a.at(0, 1), opening: Opening(a.word_at(2) as i32) },
        libc::SYS_close => Call::Close(a.int(0)),
        libc::SYS_close_range => Call::CloseRange,
        libc::SYS_dup3 => Call::DupOnto { from: a.int(0), to: a.int(1) },
        libc::SYS_dup => Call::Copied(a.int(0)),
        libc::SYS_read | libc::SYS_readv | libc::SYS_pread64 | libc::SYS_preadv | libc::SYS_preadv2 => {
            Call::Read(a.int(0))
        }
        libc::SYS_write => a.write(None),
        libc::SYS_pwrite64 => a.write(Some(stop.args[3].cast_signed())),
        libc::SYS_writev | libc::SYS_pwritev | libc::SYS_pwritev2 => {
            Call::Write { fd: a.int(0), bytes: 0, buffer: None, offset: None }
        }
        libc::SYS_ftruncate | libc::SYS_fallocate => Call::Resize(a.int(0)),
        libc::SYS_truncate => Call::Truncate(a.here(0)),
        libc::SYS_copy_file_range | libc::SYS_splice => Call::Copy { from: a.int(0), to: a.int(2) },
        libc::SYS_sendfile => Call::Copy { from: a.int(1), to: a.int(0) },
        libc::SYS_renameat2 if a.int(4).cast_unsigned() & libc::RENAME_EXCHANGE != 0 => {
            Call::Exchange { from: a.at(0, 1), to: a.at(2, 3) }
        }
        libc::SYS_renameat | libc::SYS_renameat2 => Call::Rename { from: a.at(0, 1), to: a.at(2, 3) },
        libc::SYS_linkat => Call::Link { from: a.at(0, 1), to: a.at(2, 3) },
        libc::SYS_unlinkat if a.int(2) & libc::AT_REMOVEDIR != 0 => Call::RemoveFolder(a.at(0, 1)),
        libc::SYS_unlinkat => Call::Unlink(a.at(0, 1)),
        libc::SYS_symlinkat => Call::Symlink(a.at(1, 2)),
        libc::SYS_readlinkat => Call::ReadLink(a.at(0, 1)),
        libc::SYS_mkdirat => Call::MakeFolder(a.at(0, 1)),
        libc::SYS_mknodat => Call::MakeNode(a.at(0, 1)),
        libc::SYS_getdents64 => Call::List(a.int(0)),
        libc::SYS_newfstatat => a.look(a.int(3)),
        libc::SYS_statx => a.look(a.int(2)),
        libc::SYS_faccessat | libc::SYS_faccessat2 => a.look(0),
        libc::SYS_fstat | libc::SYS_lseek | libc::SYS_fgetxattr | libc::SYS_flistxattr => {
            Call::LookAt(a.int(0))
        }
        libc::SYS_fchmod | libc::SYS_fchown => Call::ChangeAt(a.int(0)),
        libc::SYS_utimensat if stop.args[1] == 0 => Call::ChangeAt(a.int(0)),
        libc::SYS_utimensat | libc::SYS_fchmodat | libc::SYS_fchmodat2 | libc::SYS_fchownat => {
            Call::Change(a.at(0, 1))
        }
        libc::SYS_fsync | libc::SYS_fdatasync | libc::SYS_sync_file_range | libc::SYS_syncfs => {
            Call::Sync(a.int(0))
        }
        libc::SYS_sync => Call::SyncAll,
        libc::SYS_chdir | libc::SYS_fchdir => Call::ChangeFolder,
        libc::SYS_flock => a.flock(),
        libc::SYS_fcntl => a.fcntl(),
        // Attributes are read as times and owners are: nobody under control can change them.
        libc::SYS_getxattr | libc::SYS_listxattr => Call::Look { at: a.here(0), follow: true },
        libc::SYS_lgetxattr | libc::SYS_llistxattr => Call::Look { at: a.here(0), follow: false },
        libc::SYS_kill | libc::SYS_tkill | libc::SYS_rt_sigqueueinfo => {
            Call::Signal { pid: a.int(0), signal: a.int(1) }
        }
        libc::SYS_tgkill | libc::SYS_rt_tgsigqueueinfo => Call::Signal { pid: a.int(0), signal: a.int(2) },
        libc::SYS_wait4 | libc::SYS_waitid => Call::Wait,
        libc::SYS_exit | libc::SYS_exit_group => Call::Exit,
        libc::SYS_nanosleep
        | libc::SYS_clock_nanosleep
        | libc::SYS_ppoll
        | libc::SYS_pselect6
        | libc::SYS_epoll_pwait
        | libc::SYS_epoll_pwait2 => Call::Sleep,
        libc::SYS_clone | libc::SYS_clone3 => escape("starts a thread or a child"),
        libc::SYS_execve | libc::SYS_execveat => escape("starts another program"),
        libc::SYS_mmap if a.int(3) & libc::MAP_TYPE == libc::MAP_PRIVATE => Call::Map(a.int(4)),
        libc::SYS_mmap => escape("maps a file to share it"),
        libc::SYS_ioctl if a.int(1).cast_unsigned() == CLONE_FILE => {
            Call::Copy { from: a.int(2), to: a.int(0) }
        }
        libc::SYS_setxattr
        | libc::SYS_lsetxattr
        | libc::SYS_fsetxattr
        | libc::SYS_removexattr
        | libc::SYS_lremovexattr
        | libc::SYS_fremovexattr => escape("changes an extended attribute"),
        libc::SYS_io_setup => escape("uses asynchronous input and output"),
        libc::SYS_io_uring_setup => escape("uses io_uring"),
        other => old(&a, other),
    }
}

/// Calls that only old architectures have.
#[cfg(target_arch = "x86_64")]
fn old(a: &Arguments<'_>, number: i64) -> Call {
    match number {
        libc::SYS_open => Call::Open { at: a.here(0), opening: Opening(a.int(1)) },
        libc::SYS_creat => {
            Call::Open { at: a.here(0), opening: Opening(libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC) }
        }
        libc::SYS_stat | libc::SYS_access => Call::Look { at: a.here(0), follow: true },
        libc::SYS_lstat => Call::Look { at: a.here(0), follow: false },
        libc::SYS_rename => Call::Rename { from: a.here(0), to: a.here(1) },
        libc::SYS_link => Call::Link { from: a.here(0), to: a.here(1) },
        libc::SYS_unlink => Call::Unlink(a.here(0)),
        libc::SYS_rmdir => Call::RemoveFolder(a.here(0)),
        libc::SYS_symlink => Call::Symlink(a.here(1)),
        libc::SYS_readlink => Call::ReadLink(a.here(0)),
        libc::SYS_mkdir => Call::MakeFolder(a.here(0)),
        libc::SYS_mknod => Call::MakeNode(a.here(0)),
        libc::SYS_getdents => Call::List(a.int(0)),
        libc::SYS_dup2 => Call::DupOnto { from: a.int(0), to: a.int(1) },
        libc::SYS_chmod | libc::SYS_chown | libc::SYS_lchown | libc::SYS_utime | libc::SYS_utimes => {
            Call::Change(a.here(0))
        }
        libc::SYS_futimesat => Call::Change(a.at(0, 1)),
        libc::SYS_pause | libc::SYS_poll | libc::SYS_select | libc::SYS_epoll_wait => Call::Sleep,
        libc::SYS_fork | libc::SYS_vfork => escape("starts a child"),
        other => unforeseen(other),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn old(_a: &Arguments<'_>, number: i64) -> Call {
    unforeseen(number)
}

struct Arguments<'s> {
    stop: &'s Notification,
    memory: &'s Memory,
    window: Option<Window>,
}

/// A stretch of memory in which two arguments lie, read at once.
struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// Longest that is worth it.
    const BYTES_MAX: u64 = 4096;

    /// Over what the two pointers of a call lead to, where it has two, near each other.
    fn over(stop: &Notification, memory: &Memory) -> Option<Self> {
        let (one, other) = match stop.number {
            libc::SYS_openat2 => (1, 2),
            libc::SYS_renameat | libc::SYS_renameat2 | libc::SYS_linkat => (1, 3),
            _ => return None,
        };
        let (one, other) = (stop.args[one], stop.args[other]);
        let (start, last) = (one.min(other), one.max(other));
        let length = (last - start).checked_add(TEXT_BYTES as u64)?;
        if length > Self::BYTES_MAX {
            return None;
        }
        let mut bytes = vec![0; length as usize];
        let read = memory.read(start, &mut bytes);
        bytes.truncate(read);
        Some(Self { start, bytes })
    }

    /// So many bytes from an address, if all of them are in it.
    fn get(&self, address: u64, length: usize) -> Option<&[u8]> {
        let from = usize::try_from(address.checked_sub(self.start)?).ok()?;
        self.bytes.get(from..from.checked_add(length)?)
    }
}

impl Arguments<'_> {
    fn int(&self, index: usize) -> i32 {
        self.stop.args[index] as i32
    }

    /// Reads a stretch of the process's memory; gives back how much could be read.
    fn read(&self, address: u64, into: &mut [u8]) -> usize {
        match self.window.as_ref().and_then(|window| window.get(address, into.len())) {
            Some(known) => {
                into.copy_from_slice(known);
                known.len()
            }
            None => self.memory.read(address, into),
        }
    }

    /// Reads a text that ends with a zero.
    fn text(&self, address: u64) -> String {
        let mut bytes = [0; TEXT_BYTES];
        let read = self.read(address, &mut bytes);
        if let Some(end) = bytes[..read].iter().position(|&byte| byte == 0) {
            return String::from_utf8_lossy(&bytes[..end]).into_owned();
        }
        let mut bytes = vec![0; PATH_BYTES_MAX];
        let read = self.memory.read(address, &mut bytes);
        let end = bytes[..read].iter().position(|&byte| byte == 0).unwrap_or(read);
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }

    /// The word that an argument points to.
    fn word_at(&self, index: usize) -> u64 {
        let mut word = [0; 8];
        self.read(self.stop.args[index], &mut word);
        u64::from_ne_bytes(word)
    }

    fn at(&self, folder: usize, path: usize) -> At {
        At { folder: self.int(folder), path: self.text(self.stop.args[path]) }
    }

    fn here(&self, path: usize) -> At {
        At { folder: libc::AT_FDCWD, path: self.text(self.stop.args[path]) }
    }

    fn look(&self, flags: i32) -> Call {
        let at = self.at(0, 1);
        if at.path.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
            return Call::LookAt(at.folder);
        }
        Call::Look { at, follow: flags & libc::AT_SYMLINK_NOFOLLOW == 0 }
    }

    fn write(&self, offset: Option<i64>) -> Call {
        Call::Write { fd: self.int(0), bytes: self.stop.args[2], buffer: Some(self.stop.args[1]), offset }
    }

    fn flock(&self) -> Call {
        let (fd, operation) = (self.int(0), self.int(1));
        let ask = if operation & libc::LOCK_NB == 0 { Ask::Wait } else { Ask::Try };
        let lock = |mode| Call::Lock { fd, kind: LockKind::Flock, mode, ask, range: Range::ALL };
        match operation & !libc::LOCK_NB {
            libc::LOCK_SH => lock(Mode::Shared),
            libc::LOCK_EX => lock(Mode::Exclusive),
            _ => Call::Unlock { fd, kind: LockKind::Flock, range: Range::ALL },
        }
    }

    fn fcntl(&self) -> Call {
        let (fd, command) = (self.int(0), self.int(1));
        let kind = match command {
            libc::F_SETLK | libc::F_SETLKW | libc::F_GETLK => LockKind::Posix,
            libc::F_OFD_SETLK | libc::F_OFD_SETLKW | libc::F_OFD_GETLK => LockKind::Ofd,
            libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => return Call::Copied(fd),
            libc::F_SETLEASE => return escape("takes a lease"),
            _ => {
                return Call::Escape(
                    format!("calls fcntl with command {command}, which exploration does not foresee").into(),
                );
            }
        };
        let wait = matches!(command, libc::F_SETLKW | libc::F_OFD_SETLKW);
        let ask = if wait { Ask::Wait } else { Ask::Try };
        // struct flock: type and whence are 16 bits each, start and length 64, each aligned to its size.
        let mut bytes = [0; 24];
        self.read(self.stop.args[2], &mut bytes);
        let number = |at: usize| i64::from_ne_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let whence = i16::from_ne_bytes([bytes[2], bytes[3]]);
        let range = match (i32::from(whence), number(8), number(16)) {
            (libc::SEEK_SET, start, 0) => Range { start, end: i64::MAX },
            (libc::SEEK_SET, start, length @ ..0) => {
                Range { start: start.saturating_add(length), end: start }
            }
            (libc::SEEK_SET, start, length) => Range { start, end: start.saturating_add(length) },
            _ => return escape("locks a part of a file that is not told by its start"),
        };
        if matches!(command, libc::F_GETLK | libc::F_OFD_GETLK) {
            return Call::QueryLock { fd, kind, range };
        }
        match i32::from(i16::from_ne_bytes([bytes[0], bytes[1]])) {
            libc::F_RDLCK => Call::Lock { fd, kind, mode: Mode::Shared, ask, range },
            libc::F_WRLCK => Call::Lock { fd, kind, mode: Mode::Exclusive, ask, range },
            _ => Call::Unlock { fd, kind, range },
        }
    }
}

/// The memory of a process, which is read while it stands still.
#[derive(Debug)]
pub(super) struct Memory(File);

impl Memory {
    /// Of a process forked by this program, to which it must be open: what cannot be read would look empty.
    pub fn of(pid: u32) -> io::Result<Self> {
        static WORD: u64 = 0x666c_6f63_6b77_6f72;
        // Whether it may be read is asked for once, here, and not again by every read.
        let memory = Self(File::open(format!("/proc/{pid}/mem"))?);
        let mut seen = [0; 8];
        memory.0.read_exact_at(&mut seen, std::ptr::from_ref(&WORD).addr() as u64)?;
        if u64::from_ne_bytes(seen) == WORD {
            Ok(memory)
        } else {
            Err(io::Error::other("its memory reads wrong"))
        }
    }

    /// Reads a stretch; gives back how much could be read.
    pub fn read(&self, address: u64, into: &mut [u8]) -> usize {
        self.0.read_at(into, address).unwrap_or(0)
    }
}
