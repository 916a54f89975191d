//! One operation under the exclusive lock, from the read to the save. Whoever has a `Transaction` holds the lock;
//! the sandbox is told when it begins and when it ends, so that it can watch.

use std::io;

use crate::folder::Folder;
use crate::lock::{Exclusive, Guard, Mode, Naming, Opening, Request, Wait};
use crate::metadata::Metadata;
use crate::read::{self, Loaded};
use crate::root::{LOCK, META};
use crate::sandbox::{Observed, reapply};
use crate::status::{Effect, Operation, Status};
use crate::store::Store;
use crate::write::{CommitError, Target, WritePolicy};
use crate::{ContainerId, Error, Result};

/// How often a container may be found without its lock file before that is taken for damage, not for a create and a
/// delete that happened in between.
const MISSING_LOCK_TRIES: usize = 100;

/// Takes the lock of a container that exists.
pub(super) fn lock<'a>(store: &'a Store, id: &'a ContainerId, mode: Mode) -> Result<Guard<'a>> {
    let request = Request { mode, ..Request::exclusive(&store.root, Some(id), LOCK, store.options.wait) };
    for _ in 0..MISSING_LOCK_TRIES {
        if let Some(guard) = request.acquire(store.backend())? {
            return Ok(guard);
        }
        if !exists(store, id)? {
            return Err(Error::NotFound { id: id.clone() });
        }
    }
    Err(Error::corrupt(
        store.path().join(id.as_str()).join("meta.lock"),
        "it is missing, though meta.json is there; delete the container with force",
    ))
}

/// Whether a container has metadata, good or bad.
pub(crate) fn exists(store: &Store, id: &ContainerId) -> Result<bool> {
    store.root.folder(id)?.map_or(Ok(false), |folder| folder.exists(META))
}

/// Removes what a killed create or delete left of a container that is gone, unless somebody is at it.
pub(crate) fn clear_ghost(store: &Store, id: &ContainerId) {
    let request =
        Request { naming: Naming::Nobody, ..Request::exclusive(&store.root, Some(id), LOCK, Wait::Try) };
    match request.acquire(store.backend()) {
        Ok(Some(guard)) => {
            let transaction = Transaction::enter(store, id, Operation::List, Exclusive(guard));
            if matches!(transaction.folder().exists(META), Ok(false)) {
                let _ = transaction.remove();
            }
        }
        // Whoever is about to create this container makes the folder again.
        Ok(None) => drop(store.root.remove_folder_if_empty(id)),
        // It is in use, or not the library's: whoever operates on it is told.
        Err(_) => (),
    }
}

/// An operation that holds the exclusive lock.
pub(super) struct Transaction<'a> {
    pub store: &'a Store,
    pub id: &'a ContainerId,
    operation: Operation,
    /// There until the transaction ends.
    lock: Option<Exclusive<'a>>,
}

impl<'a> Transaction<'a> {
    /// Takes the lock of a container that exists.
    pub fn begin(store: &'a Store, id: &'a ContainerId, operation: Operation) -> Result<Self> {
        let guard = lock(store, id, Mode::Exclusive)?;
        Ok(Self::enter(store, id, operation, Exclusive(guard)))
    }

    /// Takes the lock of a container whose folder exists; `None` if it does not.
    pub fn begin_with_new_lock(
        store: &'a Store,
        id: &'a ContainerId,
        operation: Operation,
    ) -> Result<Option<Self>> {
        let opening = if operation == Operation::ForceDelete { Opening::Force } else { Opening::Create };
        let request =
            Request { opening, ..Request::exclusive(&store.root, Some(id), LOCK, store.options.wait) };
        let guard = request.acquire(store.backend())?;
        Ok(guard.map(|guard| Self::enter(store, id, operation, Exclusive(guard))))
    }

    fn enter(store: &'a Store, id: &'a ContainerId, operation: Operation, lock: Exclusive<'a>) -> Self {
        store.sandbox().entered(id);
        Self { store, id, operation, lock: Some(lock) }
    }

    pub fn lock(&self) -> &Exclusive<'a> {
        self.lock.as_ref().expect("a transaction holds the lock until it ends")
    }

    /// The container's folder.
    pub fn folder(&self) -> &Folder<'a> {
        self.lock().folder()
    }

    pub fn target(&self) -> Target<'_> {
        Target { folder: self.folder(), policy: self.store.options.write }
    }

    /// Reads the metadata and sees to a sandbox that is not as it says. A container without metadata is absent, and
    /// what is left of it is removed.
    pub fn load(self) -> Result<(Self, Loaded)> {
        let Some(mut loaded) = read::metadata(self.folder(), self.id)? else {
            let absent = Error::NotFound { id: self.id.clone() };
            self.remove()?;
            return Err(absent);
        };
        self.reconcile(&mut loaded)?;
        Ok((self, loaded))
    }

    /// The metadata is the truth: a sandbox that is otherwise was left so by an operation that was killed before it
    /// saved, and is set right. Only death is the truth over the metadata.
    fn reconcile(&self, loaded: &mut Loaded) -> Result<()> {
        let sandbox = self.store.sandbox();
        let observed = sandbox.probe(self.id, &loaded.metadata.sandbox);
        if observed.agrees_with(loaded.metadata.status) {
            return Ok(());
        }
        if observed != Observed::Dead {
            let reapplied = reapply(sandbox, &loaded.metadata);
            // It may have been dying when it was looked at.
            let is_dead = || sandbox.probe(self.id, &loaded.metadata.sandbox) == Observed::Dead;
            if reapplied.is_ok() || loaded.metadata.status == Status::Stopped || !is_dead() {
                return self.sandbox_did(reapplied);
            }
        }
        // Its process has ended; others that it started may not have.
        self.sandbox_did(sandbox.destroy(self.id, &loaded.metadata.sandbox))?;
        loaded.metadata.become_status(Status::Stopped);
        let prepared = self.target().prepare(self.lock(), &loaded.metadata)?;
        loaded.bytes = prepared.bytes().to_vec();
        prepared.commit(self.lock()).map_err(|commit| commit.error)
    }

    /// Asks the transition table.
    pub fn permit(&self, metadata: &Metadata) -> Result<Effect> {
        self.operation.transition().apply(Some(metadata.status)).map_err(|_| {
            // A holder that changes nothing clears what a killed one left; the refusal stands either way.
            let _ = self.target().clear_leftover(self.lock());
            Error::WrongStatus {
                id: self.id.clone(),
                operation: self.operation,
                status: metadata.status,
                seen: metadata.stamp(),
            }
        })
    }

    /// Saves the changed metadata, and lets the sandbox act between the part of the save that may fail and the part
    /// that makes it visible. When the save fails all the same, `undo` takes the act back.
    pub fn save(
        &self,
        loaded: &mut Loaded,
        act: impl FnOnce(&Metadata) -> io::Result<()>,
        undo: impl FnOnce(&Metadata) -> io::Result<()>,
    ) -> Result<crate::Stamp> {
        let record = &mut loaded.metadata.sandbox;
        self.sandbox_did(self.store.sandbox().annotate(self.id, self.operation, record))?;
        let prepared = self.target().prepare(self.lock(), &loaded.metadata)?;
        self.sandbox_did(act(&loaded.metadata))?;
        prepared.commit(self.lock()).map_err(|CommitError { error, is_visible }| {
            if is_visible {
                self.put_back(loaded);
            }
            // The error that is reported is the first one; what cannot be undone the next holder sets right.
            let _ = undo(&loaded.metadata);
            error
        })?;
        Ok(loaded.metadata.stamp())
    }

    /// Saves the bytes again that were read, as well as it can be done: this happens after another error.
    pub fn put_back(&self, loaded: &Loaded) {
        if let Ok(prepared) = self.target().prepare_bytes(self.lock(), loaded.bytes.clone()) {
            let _ = prepared.commit(self.lock());
        }
    }

    /// What the sandbox did, as an error of the operation where it failed.
    pub fn sandbox_did<T>(&self, result: io::Result<T>) -> Result<T> {
        result.map_err(|source| Error::Sandbox { id: self.id.clone(), operation: self.operation, source })
    }

    /// Removes the container's files, and gives the lock back. The order is what makes it safe to be killed here,
    /// and to be met by others:
    ///
    /// 1. What a killed holder left of its save. Where it cannot be removed nothing has changed yet.
    /// 2. `meta.json`: from here on the container is absent. What a kill leaves is a folder without it, which the
    ///    next holder, a create or a list removes.
    /// 3. `meta.lock`: this gives the lock back, whatever is still open. Whoever waits for the old file finds that it
    ///    is not in its place any more and comes again; whoever comes makes a new one. All that is done after it is
    ///    the removal of the folder, which fails unless it is empty: so it cannot hit the container of somebody who
    ///    holds the new lock, and there are never two who may write.
    pub fn remove(self) -> Result<()> {
        self.remove_or_put_back(None)
    }

    /// The same for a container that was read: where it cannot be made durable that its metadata is gone, that is put
    /// back, so that a delete that fails leaves the container.
    pub fn remove_container(self, loaded: &Loaded) -> Result<()> {
        self.remove_or_put_back(Some(loaded))
    }

    fn remove_or_put_back(mut self, loaded: Option<&Loaded>) -> Result<()> {
        self.target().clear_leftover(self.lock())?;
        self.folder().unlink_if_there(META)?;
        // The container is absent: what fails from here on leaves a folder that others remove.
        let is_durable = self.store.options.write == WritePolicy::Fsync;
        let made_durable = if is_durable { self.folder().sync() } else { Ok(()) };
        if let (Err(_), Some(loaded)) = (&made_durable, loaded) {
            self.put_back(loaded);
            return made_durable;
        }
        if let Some(lock) = self.leave() {
            let _ = lock.retire();
        }
        let _ = self.store.root.remove_folder_if_empty(self.id);
        if is_durable {
            // It is durable that the container is absent. A folder that a crash brings back is empty, and removed by
            // others.
            let _ = self.store.root.sync();
        }
        made_durable
    }

    /// Tells the sandbox that the lock is about to be given back.
    fn leave(&mut self) -> Option<Exclusive<'a>> {
        let lock = self.lock.take()?;
        self.store.sandbox().leaving(self.id);
        Some(lock)
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        drop(self.leave());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::value::RawValue;

    use super::*;
    use crate::sandbox::{Fate, Sandbox, SandboxRecord};
    use crate::{CreateRequest, Signal};

    /// A sandbox of which each look says the next of these, and whose resume and removal may fail.
    #[derive(Debug, Default)]
    struct Told {
        looks: Mutex<Vec<Observed>>,
        fails: bool,
    }

    impl Told {
        fn done(&self) -> io::Result<()> {
            if self.fails { Err(io::Error::other("refused")) } else { Ok(()) }
        }
    }

    impl Sandbox for Told {
        fn kind(&self) -> &'static str {
            "told"
        }
        fn create(&self, _: &ContainerId, _: &mut SandboxRecord) -> io::Result<()> {
            Ok(())
        }
        fn hold(&self, _: &ContainerId, _: &SandboxRecord) -> io::Result<()> {
            Ok(())
        }
        fn start(&self, _: &ContainerId, _: &SandboxRecord) -> io::Result<()> {
            Ok(())
        }
        fn pause(&self, _: &ContainerId, _: &SandboxRecord) -> io::Result<()> {
            self.done()
        }
        fn resume(&self, _: &ContainerId, _: &SandboxRecord, _: Status) -> io::Result<()> {
            self.done()
        }
        fn signal(&self, _: &ContainerId, _: &SandboxRecord, _: Signal) -> io::Result<Fate> {
            Ok(Fate::Ended)
        }
        fn checkpoint(&self, _: &ContainerId, _: &SandboxRecord) -> io::Result<Box<RawValue>> {
            Err(io::Error::other("not here"))
        }
        fn restore(&self, _: &ContainerId, _: &mut SandboxRecord, _: &RawValue) -> io::Result<()> {
            Ok(())
        }
        fn destroy(&self, _: &ContainerId, _: &SandboxRecord) -> io::Result<()> {
            Ok(())
        }
        fn probe(&self, _: &ContainerId, _: &SandboxRecord) -> Observed {
            self.looks.lock().unwrap().pop().unwrap_or(Observed::AsRecorded)
        }
    }

    /// What a look at a running container comes to, of which each look says so.
    fn look(fails: bool, mut looks: Vec<Observed>) -> Result<Metadata> {
        let place = tempfile::tempdir().unwrap();
        let id = ContainerId::new("c1").unwrap();
        let store = Store::options().open(place.path()).unwrap();
        store.create(&id, CreateRequest::default()).unwrap();
        store.container(&id).start().unwrap();
        looks.reverse();
        let sandbox = Arc::new(Told { looks: Mutex::new(looks), fails });
        Store::options().sandbox(sandbox).open(place.path()).unwrap().container(&id).state()
    }

    #[test]
    fn a_sandbox_that_is_not_as_recorded_is_set_right_and_only_the_dead_is_stopped() {
        use Observed::{Dead, Going, Halted};
        let status = |fails, looks: &[Observed]| {
            look(fails, looks.to_vec()).map(|metadata| (metadata.status, metadata.revision)).ok()
        };
        assert_eq!(status(true, &[Going]), Some((Status::Running, 2)), "it is as recorded");
        assert_eq!(status(false, &[Halted, Halted, Dead]), Some((Status::Running, 2)), "it was resumed");
        assert_eq!(status(true, &[Halted, Halted, Halted]), None, "it lives, and could not be resumed");
        assert_eq!(
            status(true, &[Halted, Halted, Dead]),
            Some((Status::Stopped, 3)),
            "it was dying when it was looked at"
        );
        assert_eq!(status(true, &[Dead, Dead]), Some((Status::Stopped, 3)));
    }
}
