//! `fcntl` locks that belong to the process. Two things would make them useless, and this backend prevents both.
//!
//! Such a lock is lost as soon as the process closes *any* descriptor of the file, and it does not hold between
//! threads. So a registry lets a process have at most one descriptor of a lock file open through this library: its
//! threads, readers among them, wait for each other before they open it. Other backends open lock files without
//! asking the registry; [`super::Combination`] keeps them off the roots that this one uses.

use std::collections::HashSet;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::descriptor::{self, Primitive};
use super::ofd::{lock_type, taken, whole_file};
use super::wait::Patience;
use super::{Held, Holder, LockBackend, LockKind, Mode, Request};
use crate::folder::Folder;
use crate::root::Root;
use crate::{ContainerId, Result};

/// The calls themselves, without the registry.
#[derive(Debug)]
pub(super) struct Calls;

impl Primitive for Calls {
    const KIND: LockKind = LockKind::Posix;

    fn lock(&self, file: &File, mode: Mode) -> io::Result<()> {
        fcntl(file, FcntlArg::F_SETLKW(&whole_file(lock_type(mode))))?;
        Ok(())
    }

    fn try_lock(&self, file: &File, mode: Mode) -> io::Result<bool> {
        taken(fcntl(file, FcntlArg::F_SETLK(&whole_file(lock_type(mode)))))
    }

    fn unlock(&self, file: &File) -> io::Result<()> {
        fcntl(file, FcntlArg::F_SETLK(&whole_file(libc::F_UNLCK)))?;
        Ok(())
    }
}

/// The calls behind the registry.
#[derive(Debug)]
pub(super) struct Posix;

impl LockBackend for Posix {
    fn acquire<'a>(&self, request: &Request<'a>) -> Result<Option<(Folder<'a>, Held)>> {
        let mut patience = Patience::new(request.wait);
        let entry = Entry::enter(request, &mut patience)?;
        let taken = descriptor::acquire(&Calls, request, &mut patience)?;
        Ok(taken.map(|(folder, file)| (folder, Held::Registered(file, entry))))
    }

    fn release(&self, _folder: &Folder<'_>, _name: &CStr, held: Held) {
        if let Held::Registered(file, entry) = held {
            descriptor::unlock(&Calls, &file);
            // In this order: as soon as the entry is gone another thread opens the file, and this close would take
            // its lock away.
            drop(file);
            drop(entry);
        }
    }

    fn retire(&self, folder: &Folder<'_>, name: &CStr, held: Held) -> Result<()> {
        let unlinked = folder.unlink_if_there(name);
        self.release(folder, name, held);
        unlinked
    }

    fn probe(&self, root: &Root) -> Result<()> {
        descriptor::probe(&Calls, root)
    }
}

/// Which lock file: device and inode of the root, the container, and the file's name.
type Key = ((u64, u64), Option<ContainerId>, &'static CStr);

/// The lock files that this process has open.
#[derive(Debug, Default)]
struct Registry {
    /// Whose registry this is: a child of a fork inherits neither the locks nor the threads that would leave.
    pid: u32,
    open: HashSet<Key>,
}

impl Registry {
    /// Forgets what another process had open.
    fn renew(&mut self, pid: u32) {
        if self.pid != pid {
            *self = Self { pid, open: HashSet::new() };
        }
    }
}

static REGISTRY: LazyLock<Mutex<Registry>> = LazyLock::new(Mutex::default);
static LEFT: Condvar = Condvar::new();

fn registry() -> MutexGuard<'static, Registry> {
    let mut registry = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
    registry.renew(std::process::id());
    registry
}

/// The right to have one lock file open, until this is dropped.
#[derive(Debug)]
pub(crate) struct Entry(Key);

impl Entry {
    fn enter(request: &Request<'_>, patience: &mut Patience) -> Result<Self> {
        let key: Key = (request.root.identity(), request.id.cloned(), request.name);
        let mut registry = registry();
        while !registry.open.insert(key.clone()) {
            registry = if patience.is_endless() {
                LEFT.wait(registry).unwrap_or_else(PoisonError::into_inner)
            } else if let Some(pause) = patience.next_pause() {
                LEFT.wait_timeout(registry, pause).unwrap_or_else(PoisonError::into_inner).0
            } else {
                return Err(request.held_elsewhere(patience, || Some(Holder::new(std::process::id()))));
            };
        }
        Ok(Self(key))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        registry().open.remove(&self.0);
        LEFT.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::{Opening, Wait};

    /// The kernel would give the lock to the same process twice.
    #[test]
    fn a_process_has_the_lock_once() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::open(place.path()).unwrap();
        let request = || Request {
            opening: Opening::Create,
            ..Request::exclusive(&root, None, c"meta.lock", Wait::Try)
        };
        let (folder, held) = Posix.acquire(&request()).unwrap().expect("it is free");
        let error = Posix.acquire(&request()).expect_err("it is held").to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        Posix.release(&folder, c"meta.lock", held);
        assert!(Posix.acquire(&request()).unwrap().is_some(), "it is free again");
    }

    /// A child of a fork has none of its parent's locks, and none of the threads that would give them back.
    #[test]
    fn a_child_of_a_fork_begins_with_an_empty_registry() {
        let mut registry = Registry { pid: 7, open: HashSet::from([((1, 2), None, c"meta.lock")]) };
        registry.renew(7);
        assert_eq!(registry.open.len(), 1, "it is the same process");
        registry.renew(8);
        assert!(registry.open.is_empty() && registry.pid == 8, "it is another one");
    }
}
