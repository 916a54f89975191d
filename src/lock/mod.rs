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

use std::fmt;
use std::fs::File;

pub use self::holder::Holder;
pub use self::wait::Wait;

pub(crate) use self::combination::Combination;
use crate::root::{RelPath, Root};
use crate::words::words;
use crate::{Error, Result};

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
    /// Nobody may.
    Exclusive,
}

/// Whether a lock file that is missing is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// It is not: what is missing is absent.
    Existing,
    /// It is.
    Create,
}

/// Whether the error for a lock that is held says by whom. To find out costs a look at many processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// It does.
    Holder,
    /// Nobody will read it.
    Nobody,
}

/// A lock that is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a, 'p> {
    pub root: &'a Root,
    pub path: &'p RelPath,
    pub mode: Mode,
    pub opening: Opening,
    pub wait: Wait,
    pub naming: Naming,
}

impl<'a, 'p> Request<'a, 'p> {
    /// Asks for the exclusive lock of a file that exists, waits as long as `wait` says, and names the holder.
    pub(crate) const fn exclusive(root: &'a Root, path: &'p RelPath, wait: Wait) -> Self {
        Self { root, path, mode: Mode::Exclusive, opening: Opening::Existing, wait, naming: Naming::Holder }
    }

    /// Asks for the lock. `None`: the file is missing and not to be made, or its folder is missing.
    pub(crate) fn acquire(&self, backend: &'static dyn LockBackend) -> Result<Option<Guard<'a>>> {
        let held = backend.acquire(self)?;
        let guard = |held| Guard { backend, root: self.root, held: Some(held) };
        Ok(held.map(guard))
    }

    /// The error for a lock that another holds.
    fn held_elsewhere(&self, patience: &wait::Patience, holder: impl FnOnce() -> Option<Holder>) -> Error {
        let holder = match self.naming {
            Naming::Holder => holder(),
            Naming::Nobody => None,
        };
        Error::Locked { path: self.root.full(self.path), holder, waited: patience.waited() }
    }
}

/// What a backend keeps while it holds a lock.
#[derive(Debug)]
pub(crate) enum Held {
    /// An open lock file.
    File(File),
    /// An open lock file that this process may not open a second time.
    Registered(File, posix::Entry),
    /// A link that is there. Its path is kept apart: other guards are the smaller for it, and the faster.
    Link(Box<RelPath>),
}

/// One way to lock: one file of this module each.
pub(crate) trait LockBackend: fmt::Debug + Send + Sync {
    /// Takes the lock. `None`: the file is missing and not to be made, or its folder is missing.
    fn acquire(&self, request: &Request<'_, '_>) -> Result<Option<Held>>;

    /// Gives the lock back.
    fn release(&self, root: &Root, held: Held);

    /// Removes the lock file of a container that is gone, and gives the lock back. Nothing may be done under the
    /// lock from here on: whoever comes next makes a lock file of its own.
    fn retire(&self, root: &Root, path: &RelPath, held: Held) -> Result<()>;

    /// Whether this filesystem has such locks, found out without making anything.
    fn probe(&self, root: &Root) -> Result<()>;
}

/// A lock that is held until this is dropped.
pub(crate) struct Guard<'a> {
    backend: &'static dyn LockBackend,
    root: &'a Root,
    held: Option<Held>,
}

impl Guard<'_> {
    fn retire(mut self, path: &RelPath) -> Result<()> {
        match self.held.take() {
            Some(held) => self.backend.retire(self.root, path, held),
            None => Ok(()),
        }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            self.backend.release(self.root, held);
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
#[must_use = "the lock is given back when this is dropped"]
pub struct Exclusive<'a>(pub(crate) Guard<'a>);

impl Exclusive<'_> {
    /// Removes the lock file, which gives the lock back; see [`LockBackend::retire`].
    pub(crate) fn retire(self, path: &RelPath) -> Result<()> {
        self.0.retire(path)
    }
}

/// Proof that a shared lock is held: enough to read, never to write.
#[derive(Debug)]
#[must_use = "the lock is given back when this is dropped"]
pub struct Shared<'a>(#[expect(dead_code, reason = "held for its drop")] pub(crate) Guard<'a>);
