//! The operations on one container. Each takes the lock itself, reads the metadata under it, decides by the
//! transition table, acts, and saves: nothing that was read before the lock is ever saved.

mod create;
mod delete;
mod transaction;

use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) use self::create::create;
use self::transaction::{Transaction, lock};
pub(crate) use self::transaction::{clear_ghost, exists};
use crate::image::Image;
use crate::lock::{Exclusive, Mode, Shared};
use crate::metadata::{Metadata, Stamp, Tombstone};
use crate::pauses::Pauses;
use crate::read::{self, Loaded, ReadPolicy};
use crate::sandbox::{Fate, Signal};
use crate::status::{Operation, Status};
use crate::store::Store;
use crate::{ContainerId, Error, Result};

/// The first and the longest pause between two looks of [`Container::wait`].
const LOOK_PAUSE_MIN: Duration = Duration::from_micros(500);
const LOOK_PAUSE_MAX: Duration = Duration::from_millis(10);

/// A container, by its id. It need not exist.
///
/// ```
/// use flockwork::{ContainerId, CreateRequest, Error, Status, Store};
///
/// let root = tempfile::tempdir()?;
/// let store = Store::options().open(root.path())?;
/// let id: ContainerId = "web".parse()?;
/// store.create(&id, CreateRequest::default())?;
///
/// let web = store.container(&id);
/// web.start()?;
/// assert_eq!(web.pause()?.status, Status::Paused);
/// assert!(matches!(web.pause(), Err(Error::WrongStatus { status: Status::Paused, .. })));
/// web.kill()?;
/// web.delete()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Container<'a> {
    store: &'a Store,
    id: &'a ContainerId,
}

impl<'a> Container<'a> {
    pub(crate) const fn new(store: &'a Store, id: &'a ContainerId) -> Self {
        Self { store, id }
    }

    /// The id that the container was opened by.
    #[must_use]
    pub const fn id(&self) -> &'a ContainerId {
        self.id
    }

    /// Lets a created container go.
    pub fn start(&self) -> Result<Stamp> {
        let (transaction, mut loaded) = Transaction::begin(self.store, self.id, Operation::Start)?.load()?;
        transaction.permit(&loaded.metadata)?;
        self.let_go(&transaction, &mut loaded)
    }

    /// Lets a created container go on from an image that [`checkpoint`](Self::checkpoint) wrote.
    pub fn restore(&self, image: &Path) -> Result<Stamp> {
        let (transaction, mut loaded) =
            Transaction::begin(self.store, self.id, Operation::Restore)?.load()?;
        transaction.permit(&loaded.metadata)?;
        let image = Image::read(image, self.store.sandbox().kind())?;
        let record = &mut loaded.metadata.sandbox;
        transaction.sandbox_did(self.store.sandbox().restore(self.id, record, &image.data))?;
        self.let_go(&transaction, &mut loaded)
    }

    /// Saves "running" and then lets the sandbox go, for that cannot be undone: a kill in between leaves a sandbox
    /// that is held though its metadata says that it runs, and the next holder lets it go.
    fn let_go(&self, transaction: &Transaction<'_>, loaded: &mut Loaded) -> Result<Stamp> {
        loaded.metadata.become_status(Status::Running);
        transaction.save(loaded, |_| Ok(()), |_| Ok(()))?;
        if let Err(error) = self.store.sandbox().start(self.id, &loaded.metadata.sandbox) {
            transaction.put_back(loaded);
            return transaction.sandbox_did(Err(error));
        }
        Ok(loaded.metadata.stamp())
    }

    /// Makes a created or running container stand still.
    pub fn pause(&self) -> Result<Stamp> {
        let (transaction, mut loaded) = Transaction::begin(self.store, self.id, Operation::Pause)?.load()?;
        transaction.permit(&loaded.metadata)?;
        let from = loaded.metadata.status;
        loaded.metadata.become_status(Status::Paused);
        let sandbox = self.store.sandbox();
        transaction.save(
            &mut loaded,
            |metadata| sandbox.pause(self.id, &metadata.sandbox),
            |metadata| sandbox.resume(self.id, &metadata.sandbox, from),
        )
    }

    /// Undoes a pause: the container is again what it was.
    pub fn resume(&self) -> Result<Stamp> {
        let (transaction, mut loaded) = Transaction::begin(self.store, self.id, Operation::Resume)?.load()?;
        transaction.permit(&loaded.metadata)?;
        let to = loaded.metadata.paused_from.unwrap_or(Status::Running);
        loaded.metadata.become_status(to);
        let sandbox = self.store.sandbox();
        transaction.save(
            &mut loaded,
            |metadata| sandbox.resume(self.id, &metadata.sandbox, to),
            |metadata| sandbox.pause(self.id, &metadata.sandbox),
        )
    }

    /// Ends the sandbox with SIGKILL. It has ended when this returns.
    pub fn kill(&self) -> Result<Stamp> {
        let (transaction, mut loaded) = Transaction::begin(self.store, self.id, Operation::Kill)?.load()?;
        transaction.permit(&loaded.metadata)?;
        loaded.metadata.become_status(Status::Stopped);
        let sandbox = self.store.sandbox();
        let kill =
            |metadata: &Metadata| sandbox.signal(self.id, &metadata.sandbox, Signal::SIGKILL).map(|_| ());
        // There is no undoing it. A save that fails leaves a dead sandbox, which the next holder finds.
        transaction.save(&mut loaded, kill, |_| Ok(()))
    }

    /// Sends the sandbox a signal. If that ends it, the container is stopped and the stamp says so.
    pub fn signal(&self, signal: Signal) -> Result<Stamp> {
        if signal == Signal::SIGKILL {
            return self.kill();
        }
        let (transaction, mut loaded) = Transaction::begin(self.store, self.id, Operation::Signal)?.load()?;
        transaction.permit(&loaded.metadata)?;
        let sent = self.store.sandbox().signal(self.id, &loaded.metadata.sandbox, signal);
        match transaction.sandbox_did(sent)? {
            Fate::Alive => Ok(loaded.metadata.stamp()),
            Fate::Ended => {
                loaded.metadata.become_status(Status::Stopped);
                transaction.save(&mut loaded, |_| Ok(()), |_| Ok(()))
            }
        }
    }

    /// Writes an image of the container, which changes nothing about it.
    ///
    /// What an image can bring back depends on the sandbox; see its documentation.
    pub fn checkpoint(&self, image: &Path) -> Result<Stamp> {
        let (transaction, loaded) = Transaction::begin(self.store, self.id, Operation::Checkpoint)?.load()?;
        transaction.permit(&loaded.metadata)?;
        let sandbox = self.store.sandbox();
        let data = transaction.sandbox_did(sandbox.checkpoint(self.id, &loaded.metadata.sandbox))?;
        Image::new(sandbox.kind(), data, &loaded.metadata)
            .map_err(|error| Error::unsupported(image, error))?
            .write(image, self.store.options.write)?;
        Ok(loaded.metadata.stamp())
    }

    /// Returns once the container is stopped; `None` waits without end. The life that is waited for is the one that
    /// is there at the call: when it is deleted the container is not found, also if it is created again.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Stamp> {
        let since = Instant::now();
        let generation = self.look(Operation::Wait)?.generation;
        let mut pauses = Pauses::between(LOOK_PAUSE_MIN, LOOK_PAUSE_MAX);
        loop {
            let seen = self.look(Operation::Wait)?.stamp();
            if seen.generation != generation {
                return Err(Error::NotFound { id: self.id.clone() });
            }
            if seen.status == Status::Stopped {
                return Ok(seen);
            }
            let waited = since.elapsed();
            let left = timeout.map_or(Duration::MAX, |timeout| timeout.saturating_sub(waited));
            if left.is_zero() {
                return Err(Error::TimedOut { id: self.id.clone(), waited, seen });
            }
            std::thread::sleep(pauses.take().min(left));
        }
    }

    /// Reads the metadata. A sandbox that is found dead makes the container stopped, and that is saved.
    pub fn state(&self) -> Result<Metadata> {
        self.look(Operation::State)
    }

    pub(crate) fn load(&self) -> Result<Metadata> {
        self.look(Operation::Load)
    }

    /// Reads as the policy says, and sees to a sandbox that is not as the metadata says. That needs the exclusive
    /// lock, and a shared one is given back before it is asked for: two readers that both wanted to upgrade would
    /// wait for each other for ever.
    fn look(&self, operation: Operation) -> Result<Metadata> {
        let Self { store, id } = *self;
        let loaded = match store.options.read {
            ReadPolicy::Exclusive => None,
            ReadPolicy::Shared => {
                let shared = self.lock_shared()?;
                store.sandbox().entered_shared(id);
                let loaded = read::metadata(shared.folder(), id);
                store.sandbox().leaving_shared(id);
                Some(loaded?)
            }
            ReadPolicy::LockFree => {
                let folder = store.root.folder(id)?;
                Some(folder.map_or(Ok(None), |folder| read::metadata(&folder, id))?)
            }
        };
        match loaded {
            Some(None) => Err(Error::NotFound { id: id.clone() }),
            Some(Some(Loaded { metadata, .. }))
                if store.sandbox().probe(id, &metadata.sandbox).agrees_with(metadata.status) =>
            {
                Ok(metadata)
            }
            _ => {
                let (_transaction, loaded) = Transaction::begin(store, id, operation)?.load()?;
                Ok(loaded.metadata)
            }
        }
    }

    /// Removes a created or stopped container: when this returns, nothing of it is left. Files in its folder that
    /// this library did not make are not deleted with it: they are an error, and then nothing is changed.
    pub fn delete(&self) -> Result<Tombstone> {
        delete::delete(self.store, self.id)
    }

    /// Removes a container whatever its status, whatever is in its folder, and however corrupt its metadata. `None`:
    /// there was none, or its metadata could not be read.
    pub fn force_delete(&self) -> Result<Option<Tombstone>> {
        delete::force_delete(self.store, self.id)
    }

    /// Takes the container's lock and does nothing: while the guard lives, every operation on the container waits,
    /// those of the calling thread too.
    pub fn lock_exclusive(&self) -> Result<Exclusive<'a>> {
        lock(self.store, self.id, Mode::Exclusive).map(Exclusive)
    }

    /// Takes the container's lock together with other readers; see [`lock_exclusive`](Self::lock_exclusive).
    pub fn lock_shared(&self) -> Result<Shared<'a>> {
        lock(self.store, self.id, Mode::Shared).map(Shared)
    }
}
