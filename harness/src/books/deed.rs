//! Deeds: what one system call does to files, locks and processes, as a value.
//!
//! A deed is told twice. As it is decoded from registers and memory it names files as the caller does, by paths and
//! descriptors ([`Told`]); once it is known which files these are, it names places ([`Known`]). What lies outside the
//! state folders is [`None`] then: nobody's concern.

mod facets;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::places::{File, Place};

/// A path as the caller gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// The descriptor of the folder that it is relative to; [`libc::AT_FDCWD`] for the caller's own.
    pub folder: i32,
    /// The path. Empty where the descriptor itself is meant.
    pub path: String,
}

/// A descriptor of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fd(pub i32);

/// A deed as it was decoded.
pub type Told = Deed<At, Fd>;

/// A deed of which it is known what its files are; none for those outside.
pub type Known = Deed<Option<Arc<Place>>, Option<File>>;

/// How a call opens a file: the flags of `open`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening(pub i32);

impl Opening {
    /// Whether a flag is there.
    #[must_use]
    pub const fn has(self, flag: i32) -> bool {
        self.0 & flag == flag
    }

    /// Whether what is opened can be written.
    #[must_use]
    pub const fn writes(self) -> bool {
        self.0 & libc::O_ACCMODE != libc::O_RDONLY
    }
}

/// How a lock is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The call blocks until the lock is free.
    Wait,
    /// Have it at once, or fail.
    Try,
}

/// What a lock is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// With others that share it.
    Shared,
    /// Nobody else may hold the file, shared or not: a writer's lock.
    Exclusive,
}

/// The bytes of a file that a lock is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first byte that is locked, from the start of the file.
    pub start: i64,
    /// Behind the last; `i64::MAX` for the end of the file.
    pub end: i64,
}

impl Range {
    /// The whole file.
    pub const ALL: Self = Self { start: 0, end: i64::MAX };

    /// Whether it holds all of another.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Whether it holds a byte of another.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// The three families of file locks that Linux has; they do not see each other, but for the last two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LockKind {
    /// `flock`: of the whole file, and of the open file description rather than the process.
    Flock,
    /// `fcntl` locks of an open file description.
    Ofd,
    /// `fcntl` locks of a process.
    Posix,
}

/// Where in a file something is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offset {
    /// Where the descriptor stands, or at the end if it was opened so.
    Current,
    /// From this byte on.
    At(i64),
}

/// The bytes that a call writes, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writing {
    /// How many bytes.
    pub length: u64,
    /// Where in the file the bytes go.
    pub offset: Offset,
    /// Where they lie in the caller's memory: address and length of each part.
    pub parts: Vec<(u64, u64)>,
    /// The bytes, where they are recorded.
    pub bytes: Option<Arc<[u8]>>,
}

/// The bytes that a call copies within the kernel, and where from and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copying {
    /// Where they are read.
    pub from: Offset,
    /// Where they are written.
    pub to: Offset,
    /// How many at the most; what is there may be less.
    pub length: u64,
    /// How they are copied.
    pub by: CopiedBy,
}

/// How bytes are copied within the kernel, on which it depends between which files they can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopiedBy {
    /// `copy_file_range`: within a filesystem.
    Range,
    /// `FICLONE` and `FICLONERANGE`: within a filesystem whose files can share blocks.
    Clone,
    /// `sendfile` and `splice`: between any two.
    Pipe,
}

/// How a name is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renaming {
    /// What has the new name loses it.
    Replace,
    /// Only if nobody has the new name.
    Keep,
    /// Both names are exchanged.
    Exchange,
}

/// How a file's length or allocation changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resizing {
    /// To this many bytes.
    Length(i64),
    /// `fallocate` with this mode, on these bytes.
    Allocate {
        /// The flags of `fallocate`, as the call got them.
        mode: i32,
        /// The first byte.
        offset: i64,
        /// How many bytes are allocated or punched out.
        length: i64,
    },
}

/// What is told to be on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SyncKind {
    /// A file with all that is known of it: `fsync`.
    File,
    /// A file's content: `fdatasync`.
    Data,
    /// Some of its bytes: `sync_file_range`, which promises little.
    Range,
    /// All of its filesystem: `syncfs`.
    Filesystem,
}

/// What is changed of a file beside its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// Who may do what with it, on which it depends what can be reached.
    Permissions,
    /// When it was read and written.
    Times,
    /// An extended attribute or a flag.
    Extended,
}

/// What is made by `mknod`, or by binding a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// A regular file.
    File,
    /// A named pipe.
    Fifo,
    /// The name of a socket that was bound there.
    Socket,
    /// A character or block device.
    Device,
}

/// How a file is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mapping {
    /// For the caller alone: it still shows what others write.
    Private,
    /// For all, to be read.
    Shared,
    /// For all, to be written.
    SharedWritable,
}

/// Whom a signal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A process or a thread, by its number.
    Task(i32),
    /// A group of processes; the caller's own where it is 0.
    Group(i32),
    /// Every process that the caller may signal, as `kill(-1)` says.
    All,
}

/// What one system call does. `P` is how it names files by path, `F` by descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed<P, F> {
    /// Opens a file, and may make or empty it.
    Open(P, Opening),
    /// Reads what a file holds, or the target of a link.
    Read(F),
    /// Writes to a file: how many bytes, and where.
    Write(F, Writing),
    /// Copies content from one file to another.
    Copy {
        /// The file whose bytes are copied.
        from: F,
        /// The file that gets them.
        to: F,
        /// Which bytes, and how.
        what: Copying,
    },
    /// Changes the length of an open file.
    Resize(F, Resizing),
    /// Changes the length of a file by its path.
    Truncate(P, i64),
    /// Gives a file another name, in the same folder or another.
    Rename {
        /// The name that is gone afterwards.
        from: P,
        /// The name that the file has afterwards; whatever had it before is gone.
        to: P,
        /// Whether the new name may be taken, and what happens to it then.
        how: Renaming,
    },
    /// Gives a file one more name.
    Link {
        /// A name that it has.
        from: P,
        /// The name that is added.
        to: P,
        /// Whether a link at the end of the old one is followed.
        follow: bool,
    },
    /// Takes a name from a file.
    Unlink(P),
    /// Removes a folder.
    RemoveFolder(P),
    /// Makes a folder.
    MakeFolder(P),
    /// Makes a FIFO, a socket, a device or a file.
    MakeNode(P, Node),
    /// Makes a symbolic link to this text.
    Symlink(String, P),
    /// Reads a symbolic link.
    ReadLink(P),
    /// Lists a folder.
    List(F),
    /// Looks at a file by its path; whether a link at its end is followed.
    Look(P, bool),
    /// Looks at an open file.
    LookAt(F),
    /// Changes what is known of a file, by its path; whether a link at its end is followed.
    Change(P, bool, Attribute),
    /// Changes what is known of an open file.
    ChangeAt(F, Attribute),
    /// Has something written to disk.
    Sync(F, SyncKind),
    /// Has everything written to disk.
    SyncAll,
    /// Goes to another working folder.
    ChangeFolder(P),
    /// Goes to an open folder.
    ChangeFolderTo(F),
    /// Asks for the path of the working folder.
    AskFolder,
    /// Takes a lock.
    Lock {
        /// The file that the descriptor is open on.
        file: F,
        /// Which of the three families of locks: locks of different families may not conflict.
        kind: LockKind,
        /// Whether others may hold the file at the same time.
        mode: Mode,
        /// Whether the call waits where the lock is held.
        ask: Ask,
        /// The bytes that are locked: those of `flock` are all.
        range: Range,
    },
    /// Gives a lock up.
    Unlock {
        /// The file that the descriptor is open on.
        file: F,
        /// Which of the three families of locks is let go.
        kind: LockKind,
        /// The bytes whose lock is let go.
        range: Range,
    },
    /// Asks who holds a lock.
    QueryLock {
        /// The file that the descriptor is open on.
        file: F,
        /// Which of the two families that can be asked about.
        kind: LockKind,
        /// The bytes that are asked about.
        range: Range,
    },
    /// Closes a descriptor.
    Close(F),
    /// Closes the descriptors from the first to the last of these numbers.
    CloseRange(u32, u32),
    /// Puts a descriptor in the place of another, which is closed.
    Replace {
        /// The one that is copied.
        from: F,
        /// The one that is closed.
        to: F,
    },
    /// Gives a descriptor a second number.
    Duplicate(F),
    /// Controls an open file in a way that cannot be held: the system call, and what it does, in words that a file's name may follow.
    Control(F, &'static str, String),
    /// Maps a file.
    Map(F, Mapping),
    /// Sends a signal; 0 only asks whether somebody is there.
    Signal(Target, i32),
    /// Sends a signal by a descriptor of a process.
    SignalBy(F, i32),
    /// Sleeps for so many nanoseconds.
    Sleep(u64),
    /// Waits until one of some descriptors is ready, or so many nanoseconds have passed.
    Await(Vec<(i32, i16)>, u64),
    /// Starts a thread or a child, with these flags of `clone`.
    Start(u64),
    /// Becomes another program.
    Exec(P),
    /// Ends the thread, or the whole process with this code.
    Exit(Option<i32>),
    /// Connects to a socket; its path, where it has one.
    Connect(Option<P>),
    /// Gives a socket a name in the filesystem.
    Bind(P),
    /// Asks to be told of changes to what is there, as `inotify` does.
    Watch(P),
    /// Says where it stands, and what it was told to say.
    Ready,
    /// Nothing that is of anybody's concern.
    Nothing,
    /// What is answered without being done: it would loosen the controller's hold.
    Pretend,
    /// What this kernel is said not to have.
    Absent(&'static str),
    /// What cannot be foreseen: the call, and what it does.
    Refused(String, &'static str),
}

impl<P, F> Deed<P, F> {
    /// The places that it opens or changes by their paths: one, or both of a rename or a link.
    pub fn changed_places(&self) -> impl Iterator<Item = &P> {
        let places = match self {
            Self::Open(at, _)
            | Self::Truncate(at, _)
            | Self::Unlink(at)
            | Self::RemoveFolder(at)
            | Self::MakeFolder(at)
            | Self::MakeNode(at, _)
            | Self::Symlink(_, at)
            | Self::Change(at, ..) => [Some(at), None],
            Self::Rename { from, to, .. } | Self::Link { from, to, .. } => [Some(from), Some(to)],
            _ => [None, None],
        };
        places.into_iter().flatten()
    }

    /// Whether it changes what lies at the paths that it names.
    pub fn changes_what_it_names(&self) -> bool {
        match self {
            Self::Open(_, how) => how.writes() || how.has(libc::O_TRUNC),
            Self::Truncate(..)
            | Self::MakeNode(..)
            | Self::Change(..)
            | Self::Rename { .. }
            | Self::Link { .. }
            | Self::Symlink(..)
            | Self::Unlink(_)
            | Self::MakeFolder(_)
            | Self::RemoveFolder(_) => true,
            _ => false,
        }
    }

    /// The same deed, its files named in another way. Paths are translated with whether a link at their end is followed.
    pub fn map<Q, G>(self, mut path: impl FnMut(P, bool) -> Q, mut file: impl FnMut(F) -> G) -> Deed<Q, G> {
        match self {
            Self::Open(at, how) => {
                let is_new = how.has(libc::O_CREAT) && how.has(libc::O_EXCL);
                Deed::Open(path(at, !is_new && !how.has(libc::O_NOFOLLOW)), how)
            }
            Self::Read(fd) => Deed::Read(file(fd)),
            Self::Write(fd, writing) => Deed::Write(file(fd), writing),
            Self::Copy { from, to, what } => Deed::Copy { from: file(from), to: file(to), what },
            Self::Resize(fd, how) => Deed::Resize(file(fd), how),
            Self::Truncate(at, length) => Deed::Truncate(path(at, true), length),
            Self::Rename { from, to, how } => {
                Deed::Rename { from: path(from, false), to: path(to, false), how }
            }
            Self::Link { from, to, follow } => {
                Deed::Link { from: path(from, follow), to: path(to, false), follow }
            }
            Self::Unlink(at) => Deed::Unlink(path(at, false)),
            Self::RemoveFolder(at) => Deed::RemoveFolder(path(at, false)),
            Self::MakeFolder(at) => Deed::MakeFolder(path(at, false)),
            Self::MakeNode(at, node) => Deed::MakeNode(path(at, false), node),
            Self::Symlink(target, at) => Deed::Symlink(target, path(at, false)),
            Self::ReadLink(at) => Deed::ReadLink(path(at, false)),
            Self::List(fd) => Deed::List(file(fd)),
            Self::Look(at, follow) => Deed::Look(path(at, follow), follow),
            Self::LookAt(fd) => Deed::LookAt(file(fd)),
            Self::Change(at, follow, what) => Deed::Change(path(at, follow), follow, what),
            Self::ChangeAt(fd, what) => Deed::ChangeAt(file(fd), what),
            Self::Sync(fd, kind) => Deed::Sync(file(fd), kind),
            Self::SyncAll => Deed::SyncAll,
            Self::ChangeFolder(at) => Deed::ChangeFolder(path(at, true)),
            Self::ChangeFolderTo(fd) => Deed::ChangeFolderTo(file(fd)),
            Self::AskFolder => Deed::AskFolder,
            Self::Lock { file: fd, kind, mode, ask, range } => {
                Deed::Lock { file: file(fd), kind, mode, ask, range }
            }
            Self::Unlock { file: fd, kind, range } => Deed::Unlock { file: file(fd), kind, range },
            Self::QueryLock { file: fd, kind, range } => Deed::QueryLock { file: file(fd), kind, range },
            Self::Close(fd) => Deed::Close(file(fd)),
            Self::CloseRange(first, last) => Deed::CloseRange(first, last),
            Self::Replace { from, to } => Deed::Replace { from: file(from), to: file(to) },
            Self::Duplicate(fd) => Deed::Duplicate(file(fd)),
            Self::Control(fd, call, how) => Deed::Control(file(fd), call, how),
            Self::Map(fd, how) => Deed::Map(file(fd), how),
            Self::Signal(target, signal) => Deed::Signal(target, signal),
            Self::SignalBy(fd, signal) => Deed::SignalBy(file(fd), signal),
            Self::Sleep(time) => Deed::Sleep(time),
            Self::Await(what, time) => Deed::Await(what, time),
            Self::Start(flags) => Deed::Start(flags),
            Self::Exec(at) => Deed::Exec(path(at, true)),
            Self::Exit(code) => Deed::Exit(code),
            Self::Connect(at) => Deed::Connect(at.map(|at| path(at, true))),
            Self::Bind(at) => Deed::Bind(path(at, false)),
            Self::Watch(at) => Deed::Watch(path(at, true)),
            Self::Ready => Deed::Ready,
            Self::Nothing => Deed::Nothing,
            Self::Pretend => Deed::Pretend,
            Self::Absent(name) => Deed::Absent(name),
            Self::Refused(name, why) => Deed::Refused(name, why),
        }
    }
}

pub(in crate::books) use facets::shown;
pub use facets::{Entry, Faults};
