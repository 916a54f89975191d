//! The store: a root folder, the options that all its users agree on, and what concerns more than one container.

use std::path::Path;
use std::sync::Arc;

use rustix::fs::FileType;

use crate::container::{Container, clear_ghost, create, exists};
use crate::lock::{Combination, LockBackend, LockKind, Wait};
use crate::metadata::{CreateRequest, Metadata, Stamp};
use crate::read::ReadPolicy;
use crate::root::Root;
use crate::sandbox::{Inert, Sandbox};
use crate::write::WritePolicy;
use crate::{ContainerId, Error, Result};

/// How a store locks, waits, reads and writes. All processes that share a root must agree on `lock`, and on whether
/// `write` replaces the file when one of them reads without a lock.
///
/// ```
/// use flockwork::{LockKind, Store, Wait};
///
/// let root = tempfile::tempdir()?;
/// let store = Store::options().lock(LockKind::Ofd).wait("5s".parse::<Wait>()?).open(root.path())?;
/// assert!(store.list()?.ids.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreOptions {
    /// How the lock is taken.
    pub lock: LockKind,
    /// How long to wait for it.
    pub wait: Wait,
    /// What a reader locks.
    pub read: ReadPolicy,
    /// How a save reaches the disk.
    pub write: WritePolicy,
    /// What is in the containers.
    pub sandbox: Arc<dyn Sandbox>,
    /// Whether options are accepted that are known to go wrong together.
    pub soundness: Soundness,
}

/// What to do about options that go wrong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Soundness {
    /// Combinations of options that are known to be unsound are refused.
    #[default]
    Required,
    /// Use them: to show what goes wrong.
    Waived,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            lock: LockKind::Fs2,
            wait: Wait::Block,
            read: ReadPolicy::Shared,
            write: WritePolicy::Rename,
            sandbox: Arc::new(Inert),
            soundness: Soundness::Required,
        }
    }
}

impl StoreOptions {
    /// Sets how the lock is taken.
    #[must_use]
    pub fn lock(self, lock: LockKind) -> Self {
        Self { lock, ..self }
    }

    /// Sets how long to wait for the lock.
    #[must_use]
    pub fn wait(self, wait: Wait) -> Self {
        Self { wait, ..self }
    }

    /// Sets what a reader locks.
    #[must_use]
    pub fn read(self, read: ReadPolicy) -> Self {
        Self { read, ..self }
    }

    /// Sets how a save reaches the disk.
    #[must_use]
    pub fn write(self, write: WritePolicy) -> Self {
        Self { write, ..self }
    }

    /// Sets what is in the containers.
    #[must_use]
    pub fn sandbox(self, sandbox: Arc<dyn Sandbox>) -> Self {
        Self { sandbox, ..self }
    }

    /// Accepts reading without a lock while saves write in place, which tears reads.
    #[must_use]
    pub fn even_if_unsound(self) -> Self {
        Self { soundness: Soundness::Waived, ..self }
    }

    /// Opens the store.
    pub fn open(self, root: impl AsRef<Path>) -> Result<Store> {
        Store::open(root, self)
    }
}

/// A root folder with containers in it.
///
/// A store may be shared by threads, and used after a fork; it keeps one descriptor, of the root folder.
#[derive(Debug)]
pub struct Store {
    /// Dropped before the root closes: from then on its inode may be that of another folder.
    _combination: Combination,
    pub(crate) root: Root,
    pub(crate) options: StoreOptions,
}

impl Store {
    /// The default options, to be changed and opened.
    #[must_use]
    pub fn options() -> StoreOptions {
        StoreOptions::default()
    }

    /// Opens the root folder, which must exist.
    pub fn open(root: impl AsRef<Path>, options: StoreOptions) -> Result<Self> {
        let root = Root::open(root.as_ref())?;
        let tears = options.write == WritePolicy::InPlace && options.read == ReadPolicy::LockFree;
        if tears && options.soundness == Soundness::Required {
            return Err(Error::unsupported(
                root.path(),
                "reading lock-free while saves write in-place gives torn reads; read shared, or write by rename",
            ));
        }
        let combination = Combination::enter(&root, options.lock)?;
        options.lock.backend().probe(&root)?;
        Ok(Self { _combination: combination, root, options })
    }

    /// The root folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// How the store locks.
    #[must_use]
    pub const fn lock_kind(&self) -> LockKind {
        self.options.lock
    }

    pub(crate) fn backend(&self) -> &'static dyn LockBackend {
        self.options.lock.backend()
    }

    pub(crate) fn sandbox(&self) -> &dyn Sandbox {
        &*self.options.sandbox
    }

    /// Makes a container. One that exists already stays untouched; a create that fails leaves nothing behind.
    pub fn create(&self, id: &ContainerId, request: CreateRequest) -> Result<Stamp> {
        create(self, id, request)
    }

    /// The container with exactly this id, whether it exists or not: nothing is read before an operation is called.
    #[must_use]
    pub const fn container<'a>(&'a self, id: &'a ContainerId) -> Container<'a> {
        Container::new(self, id)
    }

    /// Finds a container by its id or, where no container has that id, by the start of its id if only one has it.
    pub fn load(&self, id_or_prefix: &str) -> Result<Metadata> {
        let id = ContainerId::new(id_or_prefix)?;
        match self.container(&id).load() {
            Err(Error::NotFound { .. }) => (),
            result => return result,
        }
        let Listing { ids: mut candidates, skipped } = self.list()?;
        candidates.extend(skipped.into_iter().map(|skipped| skipped.id));
        candidates.retain(|candidate| candidate.as_str().starts_with(id_or_prefix));
        candidates.sort_unstable();
        match candidates.as_slice() {
            [] => Err(Error::NotFound { id }),
            [only] => self.container(only).load(),
            _ => Err(Error::Ambiguous { prefix: id_or_prefix.to_owned(), candidates }),
        }
    }

    /// The ids of all containers, in order. A container whose metadata is corrupt is one of them. What killed
    /// operations left of containers that are gone is removed on the way, and a folder that cannot be looked into, such
    /// as another user's, is skipped.
    pub fn list(&self) -> Result<Listing> {
        let mut listing = Listing::default();
        let mut entries = self.root.entries()?;
        while let Some(entry) = entries.read() {
            let entry = entry.map_err(|errno| Error::io("list", self.path(), errno))?;
            if !matches!(entry.file_type(), FileType::Directory | FileType::Unknown) {
                continue;
            }
            let Some(id) = entry.file_name().to_str().ok().and_then(|name| ContainerId::new(name).ok())
            else {
                continue;
            };
            match exists(self, &id) {
                Ok(true) => listing.ids.push(id),
                Ok(false) => clear_ghost(self, &id),
                // A file, or a link that took a folder's place.
                Err(Error::Corrupt { .. }) => (),
                Err(error) => listing.skipped.push(Skipped { id, error }),
            }
        }
        listing.ids.sort_unstable();
        listing.skipped.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        Ok(listing)
    }
}

/// What [`Store::list`] found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Listing {
    /// The containers, in order.
    pub ids: Vec<ContainerId>,
    /// Folders that may be those of containers, in order, and could not be looked into.
    pub skipped: Vec<Skipped>,
}

/// A folder that could not be looked into.
#[derive(Debug)]
#[non_exhaustive]
pub struct Skipped {
    /// Whose it would be.
    pub id: ContainerId,
    /// Why it could not.
    pub error: Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_option_leaves_the_others() {
        let options = Store::options().lock(LockKind::Ofd).write(WritePolicy::InPlace).even_if_unsound();
        assert_eq!(options.soundness, Soundness::Waived);
        assert_eq!((options.lock, options.write), (LockKind::Ofd, WritePolicy::InPlace));
    }
}
