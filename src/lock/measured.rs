//! The parts of a lock one by one, for who measures what each of them costs. No part of the promises of this crate.

use std::fs::File;
use std::path::Path;

use super::descriptor;
use super::wait::Patience;
use super::{Held, LockKind, Mode, Naming, Opening, Request, Wait, flock_fs2, flock_std, ofd, posix};
use crate::folder::Folder;
use crate::root::{LOCK, Root};
use crate::{ContainerId, Error, Result};

/// The lock file of one container, and a backend to lock it with.
///
/// A lock that one of these calls took guards nothing that the rest of the library does: there is no guard, and
/// whoever calls them keeps the rules of the backend.
#[derive(Debug)]
pub struct Parts<'r> {
    root: &'r Root,
    id: &'r ContainerId,
    kind: LockKind,
}

/// A root folder, opened to be measured.
#[derive(Debug)]
pub struct Place(Root);

impl Place {
    /// Opens a root folder, which must exist, and asks whether the filesystem knows such locks.
    pub fn open(folder: &Path, kind: LockKind) -> Result<Self> {
        let root = Root::open(folder)?;
        kind.backend().probe(&root)?;
        Ok(Self(root))
    }

    /// The lock of a container, whose folder must exist.
    #[must_use]
    pub fn lock_of<'r>(&'r self, id: &'r ContainerId, kind: LockKind) -> Parts<'r> {
        Parts { root: &self.0, id, kind }
    }
}

/// The container's folder, opened.
#[derive(Debug)]
pub struct OpenFolder<'r>(Folder<'r>);

/// Calls the same function of whichever backend locks an open file.
macro_rules! call {
    ($parts:expr, $name:ident($($argument:expr),*)) => {
        match $parts.kind {
            LockKind::Fs2 => descriptor::$name(&flock_fs2::Fs2, $($argument),*),
            LockKind::Std => descriptor::$name(&flock_std::Std, $($argument),*),
            LockKind::Ofd => descriptor::$name(&ofd::Ofd, $($argument),*),
            LockKind::Posix => descriptor::$name(&posix::Calls, $($argument),*),
            LockKind::Lockfile => unreachable!("a lockfile has no descriptor"),
        }
    };
}

impl<'r> Parts<'r> {
    fn request(&self, wait: Wait) -> Request<'r> {
        let Self { root, id, .. } = *self;
        let (mode, opening) = (Mode::Exclusive, Opening::Create);
        Request { root, id: Some(id), name: LOCK, mode, opening, wait, naming: Naming::Nobody }
    }

    /// Opens the container's folder.
    #[inline]
    pub fn folder(&self) -> Result<OpenFolder<'r>> {
        self.root.folder(self.id)?.map(OpenFolder).ok_or_else(|| self.missing())
    }

    /// Opens the lock file in it, and makes it where it is missing.
    #[inline]
    pub fn open_in(&self, folder: &OpenFolder<'_>) -> Result<File> {
        descriptor::open(&self.request(Wait::Block), &folder.0)?.ok_or_else(|| self.missing())
    }

    /// Opens the lock file, by way of its folder.
    #[inline]
    pub fn open(&self) -> Result<File> {
        self.open_in(&self.folder()?)
    }

    /// Waits for the lock of an open file.
    #[inline]
    pub fn wait(&self, file: &File) -> Result<()> {
        let request = self.request(Wait::Block);
        call!(self, wait_for(&request, file, &mut Patience::new(Wait::Block)))
    }

    /// Takes the lock of an open file if it is free.
    #[inline]
    pub fn try_lock(&self, file: &File) -> Result<bool> {
        let request = self.request(Wait::Try);
        unless_held(call!(self, wait_for(&request, file, &mut Patience::new(Wait::Try))))
    }

    /// Gives the lock of an open file back.
    #[inline]
    pub fn unlock(&self, file: &File) {
        call!(self, unlock(file));
    }

    /// Whether an open file is the one that lies in its place now.
    #[inline]
    pub fn is_in_place(&self, folder: &OpenFolder<'_>, file: &File) -> Result<bool> {
        descriptor::is_in_place(&self.request(Wait::Block), &folder.0, file)
    }

    /// Makes the link that is the lock of the backend `lockfile`, and gives back the folder that it is in; `None` where
    /// it is there already. Waits where `wait` says so.
    #[inline]
    pub fn make_link(&self, wait: Wait) -> Result<Option<OpenFolder<'r>>> {
        match LockKind::Lockfile.backend().acquire(&self.request(wait)) {
            Ok(Some((folder, _))) => Ok(Some(OpenFolder(folder))),
            Ok(None) => Err(self.missing()),
            Err(Error::Locked { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes that link.
    #[inline]
    pub fn remove_link(&self, folder: &OpenFolder<'_>) {
        LockKind::Lockfile.backend().release(&folder.0, LOCK, Held::Link);
    }

    #[cold]
    fn missing(&self) -> Error {
        Error::corrupt(self.root.path_of(self.id), "it is missing")
    }
}

#[inline]
fn unless_held(result: Result<()>) -> Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(Error::Locked { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
