//! What a task's descriptors are open on, remembered from stop to stop: to ask `/proc` was most of what a stop cost.
//!
//! What is remembered must never be out of date, as steps would be taken for independent that are not. So:
//!
//! - Only that a descriptor is open is remembered, never that it is not: calls that do not stop open some (`pipe`,
//!   `recvmsg`), and they take numbers that are free.
//! - A number that is in use gets another meaning only by a call that stops: `close`, `close_range`, `dup2`, `dup3`, `execve`.
//!   What such a call may close is forgotten when its task stops the next time: by then it has been made, or has failed.
//! - That holds for a process with a table of its own. From the moment that a tree starts somebody who shares a table with
//!   another, a thread or a child by `vfork`, nothing of that tree is remembered any more.
//! - Where calls are let through that cannot be foreseen, nothing is remembered: `io_uring` closes descriptors without a stop.
//! - A descriptor is shown under the path that its file has now: what a rename may move is forgotten ([`Moved`]).

use super::machine::Machine;
use crate::books::deed::{Deed, Known, Told};
use crate::books::locks::Owner;
use crate::books::places::{File, Inode, Place};

/// The descriptors of one process, as far as they are known.
#[derive(Debug)]
pub(crate) struct Descriptors {
    remembers: bool,
    open: Vec<(i32, Open)>,
    /// What the call at which the task stopped last may close.
    closes: Closes,
}

/// What a descriptor is open on.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    /// The file, where that lies in a state folder.
    pub file: Option<File>,
    /// The file, wherever it lies.
    pub lockable: Lockable,
    /// Whether it may read and write: the access mode among the flags of `open`; nothing where nobody has asked.
    pub access: Option<i32>,
    /// By which owner of locks its open file description took one last, if it did by this descriptor.
    pub locked_as: Option<Owner>,
}

/// What there is to lock.
#[derive(Clone, Debug)]
pub(crate) enum Lockable {
    /// Nobody has asked.
    Unknown,
    /// Nothing: it is no file.
    Nothing,
    File(File),
}

impl Lockable {
    /// Of what was found.
    pub fn of(file: Option<File>) -> Self {
        file.map_or(Self::Nothing, Self::File)
    }

    fn file(&self) -> Option<&File> {
        match self {
            Self::File(file) => Some(file),
            Self::Unknown | Self::Nothing => None,
        }
    }
}

/// Which descriptors a call may close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closes {
    Nothing,
    One(i32),
    /// From this number to that one.
    Range(u32, u32),
    All,
}

impl Descriptors {
    /// Of a task that was just heard of; of one that shares its table nothing is remembered.
    pub fn new(remembers: bool) -> Self {
        Self { remembers, open: Vec::new(), closes: Closes::Nothing }
    }

    /// From now on nothing is remembered: somebody else may change the table.
    pub fn give_up(&mut self) {
        self.remembers = false;
        self.open.clear();
    }

    /// Whatever is known may be out of date.
    pub fn forget(&mut self) {
        self.open.clear();
    }

    /// The task stopped before this call. The one before was made meanwhile, or failed.
    pub fn stopped(&mut self, told: &Told) {
        match std::mem::replace(&mut self.closes, closes(told)) {
            Closes::Nothing => {}
            Closes::One(fd) => self.open.retain(|(open, _)| *open != fd),
            Closes::Range(first, last) => {
                self.open.retain(|(open, _)| !(first..=last).contains(&open.cast_unsigned()));
            }
            Closes::All => self.open.clear(),
        }
    }

    pub fn get(&self, fd: i32) -> Option<&Open> {
        self.open.iter().find(|(open, _)| *open == fd).map(|(_, what)| what)
    }

    pub fn get_mut(&mut self, fd: i32) -> Option<&mut Open> {
        self.open.iter_mut().find(|(open, _)| *open == fd).map(|(_, what)| what)
    }

    /// Remembers what a descriptor is open on that was just looked at.
    pub fn remember(&mut self, fd: i32, what: Open) {
        if self.remembers {
            self.open.push((fd, what));
        }
    }

    /// Names were moved, or are about to be.
    pub fn moved(&mut self, moved: &Moved) {
        match moved {
            Moved::Nothing => {}
            Moved::Files(inodes) => self.open.retain(|(_, open)| {
                let is_of = |file: &File| inodes.contains(&file.inode);
                !open.file.as_ref().or(open.lockable.file()).is_some_and(is_of)
            }),
            Moved::Anything => self.open.clear(),
        }
    }
}

/// Whose paths a call changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    Nothing,
    /// Those of these files alone.
    Files(Vec<Inode>),
    /// A folder's, and so those of all that lies below it; or those of files that are not known.
    Anything,
}

impl Moved {
    /// What this deed moves.
    pub fn by(known: &Known) -> Self {
        let Deed::Rename { from, to, .. } = known else { return Self::Nothing };
        let of = |place: &Option<std::sync::Arc<Place>>| {
            let place = place.as_ref()?;
            let is_whole = place.folder.is_some() && !place.file.as_ref().is_some_and(File::is_folder);
            is_whole.then(|| place.file.as_ref().map(|file| file.inode))
        };
        match (of(from), of(to)) {
            (Some(Some(from)), Some(to)) => Self::Files(std::iter::once(from).chain(to).collect()),
            _ => Self::Anything,
        }
    }
}

impl Machine {
    /// Names move, or have just been moved: what is known of descriptors on what they name is out of date.
    pub(super) fn move_names(&mut self, moved: &Moved) {
        if *moved == Moved::Nothing {
            return;
        }
        for task in self.trees.iter_mut().flat_map(|tree| &mut tree.tasks) {
            task.open.moved(moved);
            if *moved == Moved::Anything {
                task.folder = None;
            }
        }
    }
}

/// What a call may close. Every deed is named here, so that whoever adds one has to say what it closes.
const fn closes(told: &Told) -> Closes {
    match told {
        Deed::Close(fd) => Closes::One(fd.0),
        Deed::Replace { to, .. } => Closes::One(to.0),
        Deed::CloseRange(first, last) => Closes::Range(*first, *last),
        // Those that are closed on exec; a call that is not known is let through only where nothing is remembered, but it
        // costs nothing to forget.
        Deed::Exec(_) | Deed::Exit(_) | Deed::Absent(_) | Deed::Refused(..) | Deed::Control(..) => {
            Closes::All
        }
        Deed::Open(..)
        | Deed::Read(_)
        | Deed::Write(..)
        | Deed::Copy { .. }
        | Deed::Resize(..)
        | Deed::Truncate(..)
        | Deed::Rename { .. }
        | Deed::Link { .. }
        | Deed::Unlink(_)
        | Deed::RemoveFolder(_)
        | Deed::MakeFolder(_)
        | Deed::MakeNode(..)
        | Deed::Symlink(..)
        | Deed::ReadLink(_)
        | Deed::List(_)
        | Deed::Look(..)
        | Deed::LookAt(_)
        | Deed::Change(..)
        | Deed::ChangeAt(..)
        | Deed::Sync(..)
        | Deed::SyncAll
        | Deed::ChangeFolder(_)
        | Deed::ChangeFolderTo(_)
        | Deed::AskFolder
        | Deed::Lock { .. }
        | Deed::Unlock { .. }
        | Deed::QueryLock { .. }
        | Deed::Duplicate(_)
        | Deed::Map(..)
        | Deed::Signal(..)
        | Deed::SignalBy(..)
        | Deed::Sleep(_)
        | Deed::Await(..)
        | Deed::Start(_)
        | Deed::Connect(_)
        | Deed::Bind(_)
        | Deed::Watch(_)
        | Deed::Ready
        | Deed::Nothing
        | Deed::Pretend => Closes::Nothing,
    }
}
