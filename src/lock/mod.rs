//! The lock, `meta.lock`: every lock call of the library is made in this module.
//!
//! What it promises, with every backend: whoever holds an [`Exclusive`] guard of a path is alone, also while the
//! file at that path is deleted and made again, because the locked inode is compared with the one at the path
//! before the guard is handed out. What it must never do: upgrade a shared lock, hand a descriptor to another
//! process, or go on without a lock where the filesystem has none.

mod combination;
mod descriptor;
mod flock_fs2;
mod flock_std;
mod holder;
mod lockfile;
#[doc(hidden)]
pub mod measured;
mod ofd;
mod posix;
mod wait;

use std::ffi::{CStr, OsStr};
use std::fmt;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

pub use self::holder::Holder;
pub use self::wait::Wait;

pub(crate) use self::combination::Combination;
pub(crate) use self::lockfile::{is_break_lock, names_an_owner};
use crate::folder::Folder;
use crate::root::Root;
use crate::words::words;
use crate::{ContainerId, Error, Result};

words! {
    /// How the lock is taken. Processes that share a root must agree on it.
    pub enum LockKind, "lock backend" {
        /// `flock` by way of the fs2 crate: the default.
        Fs2 = "fs2",
        /// `flock` by way of the standard library.
        Std = "std",
        /// `fcntl` locks that belong to the open file description.
        Ofd = "ofd",
        /// `fcntl` locks that belong to the process, kept safe from the close of another descriptor.
        Posix = "posix",
        /// The lock is that the file is there. It has no shared mode: readers exclude each other.
        Lockfile = "lockfile",
    }
}

impl LockKind {
    pub(crate) fn backend(self) -> &'static dyn LockBackend {
        match self {
            Self::Fs2 => &flock_fs2::Fs2,
            Self::Std => &flock_std::Std,
            Self::Ofd => &ofd::Ofd,
            Self::Posix => &posix::Posix,
            Self::Lockfile => &lockfile::Lockfile,
        }
    }
}

/// Whether others may hold the lock too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Other readers may.
    Shared,
    /// Nobody else may hold it at the same time, shared or not.
    Exclusive,
}

/// Whether a lock file that is missing is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// It is not: what is missing is absent.
    Existing,
    /// It is made, and the container's folder with it.
    Create,
    /// It is, and one that has several names, which is refused to all others, is taken too: to remove it.
    Force,
}

/// Whether the error for a lock that is held says by whom. To find out costs a look at many processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// The error names whoever holds it, as far as the kernel tells.
    Holder,
    /// Nobody will read it.
    Nobody,
}

/// A lock that is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub root: &'a Root,
    /// In whose folder the lock file is; `None`: in the root itself.
    pub id: Option<&'a ContainerId>,
    pub name: &'static CStr,
    pub mode: Mode,
    pub opening: Opening,
    pub wait: Wait,
    pub naming: Naming,
}

impl<'a> Request<'a> {
    /// Asks for the exclusive lock of a file that exists, waits as long as `wait` says, and names the holder.
    pub(crate) const fn exclusive(
        root: &'a Root,
        id: Option<&'a ContainerId>,
        name: &'static CStr,
        wait: Wait,
    ) -> Self {
        let (mode, opening, naming) = (Mode::Exclusive, Opening::Existing, Naming::Holder);
        Self { root, id, name, mode, opening, wait, naming }
    }

    /// Asks for the lock. `None`: the file is missing and not to be made, or its folder is missing.
    pub(crate) fn acquire(&self, backend: &'static dyn LockBackend) -> Result<Option<Guard<'a>>> {
        let taken = backend.acquire(self)?;
        Ok(taken.map(|(folder, held)| Guard { backend, folder, name: self.name, held: Some(held) }))
    }

    /// Opens the folder in which the lock file is; `None` if there is none.
    #[inline]
    fn folder(&self) -> Result<Option<Folder<'a>>> {
        match self.id {
            Some(id) => self.root.folder(id),
            None => Ok(Some(Folder::of_root(self.root))),
        }
    }

    /// The path of the lock file, for errors.
    fn path(&self) -> PathBuf {
        let folder = self.id.map_or_else(|| self.root.path().to_owned(), |id| self.root.path_of(id));
        folder.join(OsStr::from_bytes(self.name.to_bytes()))
    }

    /// The error for a lock that another holds.
    fn held_elsewhere(&self, patience: &wait::Patience, holder: impl FnOnce() -> Option<Holder>) -> Error {
        let holder = match self.naming {
            Naming::Holder => holder(),
            Naming::Nobody => None,
        };
        Error::Locked { path: self.path(), holder, waited: patience.waited() }
    }
}

/// What a backend keeps while it holds a lock.
#[derive(Debug)]
pub(crate) enum Held {
    /// An open lock file.
    File(File),
    /// An open lock file that this process may not open a second time.
    Registered(File, posix::Entry),
    /// A link that is there.
    Link,
}

/// One way to lock: one file of this module each.
pub(crate) trait LockBackend: fmt::Debug + Send + Sync {
    /// Takes the lock of the file that is there when this returns, and opens the folder that it is in. `None`: the file
    /// is missing and not to be made, or its folder is missing.
    fn acquire<'a>(&self, request: &Request<'a>) -> Result<Option<(Folder<'a>, Held)>>;

    /// Gives the lock back.
    fn release(&self, folder: &Folder<'_>, name: &CStr, held: Held);

    /// Removes the lock file of a container that is gone, and gives the lock back. Nothing may be done under the
    /// lock from here on: whoever comes next makes a lock file of its own.
    fn retire(&self, folder: &Folder<'_>, name: &CStr, held: Held) -> Result<()>;

    /// Whether this filesystem has such locks, found out without making anything.
    fn probe(&self, root: &Root) -> Result<()>;
}

/// A lock that is held until this is dropped, and the folder that it guards.
pub(crate) struct Guard<'a> {
    backend: &'static dyn LockBackend,
    folder: Folder<'a>,
    name: &'static CStr,
    held: Option<Held>,
}

impl Guard<'_> {
    fn retire(mut self) -> Result<()> {
        match self.held.take() {
            Some(held) => self.backend.retire(&self.folder, self.name, held),
            None => Ok(()),
        }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            self.backend.release(&self.folder, self.name, held);
        }
    }
}

impl fmt::Debug for Guard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("held", &self.held).finish_non_exhaustive()
    }
}

/// Proof that the exclusive lock is held. Whatever needs the lock takes it.
///
/// There is no way to have one but to take the lock:
///
/// ```compile_fail
/// # fn guard() -> flockwork::lock::Shared<'static> { unimplemented!() }
/// let exclusive = flockwork::lock::Exclusive(guard().0);
/// ```
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct Exclusive<'a>(pub(crate) Guard<'a>);

impl<'a> Exclusive<'a> {
    /// The folder whose lock this is.
    #[inline]
    pub(crate) fn folder(&self) -> &Folder<'a> {
        &self.0.folder
    }

    /// Removes the lock file, which gives the lock back; see [`LockBackend::retire`].
    pub(crate) fn retire(self) -> Result<()> {
        self.0.retire()
    }
}

/// Proof that a shared lock is held: enough to read, never to write.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct Shared<'a>(pub(crate) Guard<'a>);

impl<'a> Shared<'a> {
    /// The folder whose lock this is.
    #[inline]
    pub(crate) fn folder(&self) -> &Folder<'a> {
        &self.0.folder
    }
}
