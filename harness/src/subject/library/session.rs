//! One worker's use of the library.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use flockwork::{
    Container, ContainerId, CreateRequest, Error, Metadata, Operation, Signal, Store, StoreOptions,
};

use super::sandbox::{self, Watched};
use crate::history::Reason;
use crate::plan::SandboxKind;
use crate::subject::payload::Spec;
use crate::subject::{Answer, Request, Seat, Session};

/// A signal that by default does nothing to a process: `signal` is the operation that ends nothing, `kill` the other.
const HARMLESS: Signal = Signal::SIGWINCH;

/// How long the operation wait waits: a stress run must go on.
const WAIT: std::time::Duration = std::time::Duration::from_millis(10);

#[derive(Debug)]
pub struct LibrarySession {
    store: Store,
    ids: Vec<ContainerId>,
    watched: Arc<Watched>,
    payload_bytes: u32,
    root: PathBuf,
    images: Images,
}

impl LibrarySession {
    pub fn open(options: StoreOptions, behind: SandboxKind, seat: Seat) -> Result<Self, String> {
        let ids = seat.containers.iter().map(|name| ContainerId::new(name.as_str()));
        let ids = ids.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        let sandbox = sandbox::sandbox(behind, &seat.marker);
        let watched = Arc::new(Watched::new(Arc::clone(&sandbox), &seat, &ids));
        let images = Images::of(&seat, options.clone().sandbox(sandbox));
        let store = options.sandbox(Arc::<Watched>::clone(&watched)).open(&seat.root);
        let store = store.map_err(|error| error.to_string())?;
        Ok(Self { store, ids, watched, payload_bytes: seat.payload_bytes, root: seat.root, images })
    }

    fn create(&self, id: &ContainerId) -> Result<Answer, Error> {
        let mut request = CreateRequest::default();
        if let Some(signature) = self.watched.signature() {
            match signature {
                Ok(spec) => request.spec = spec,
                Err(error) => return Ok(Answer::failed_by(Reason::Other, &error)),
            }
        }
        self.store.create(id, request).map(Answer::from)
    }

    fn checkpoint(&self, container: Container<'_>) -> Result<Answer, Error> {
        match self.images.folder() {
            Ok(()) => container.checkpoint(&self.images.own()).map(Answer::from),
            Err(error) => Ok(Answer::failed_by(Reason::Io, &error)),
        }
    }

    fn restore(&self, container: Container<'_>) -> Result<Answer, Error> {
        match self.images.any() {
            Ok(image) => container.restore(&image).map(Answer::from),
            Err(error) => {
                let message = Some(format!("no image to restore from: {error}"));
                Ok(Answer { message, ..Answer::failed_by(Reason::Other, error.as_ref()) })
            }
        }
    }

    /// What a reader saw, where it is whole.
    fn saw(&self, metadata: &Metadata) -> Answer {
        if self.payload_bytes > 0 {
            let signed = [Some(&metadata.spec), metadata.sandbox.data.as_ref()];
            for json in signed.into_iter().flatten() {
                if let Err(torn) = Spec::from_json(json.get()) {
                    return Answer::failed(Reason::Corrupt, torn.to_string());
                }
            }
        }
        metadata.into()
    }

    /// Loads by the full id. Where no container has it, the library takes it for the start of others' ids (`c1` for
    /// `c10`): what the history is to know of this container is that it was absent.
    fn load(&self, id: &ContainerId) -> Result<Answer, Error> {
        match self.store.load(id.as_str()) {
            Ok(metadata) if metadata.id == *id => Ok(self.saw(&metadata)),
            Ok(_) | Err(Error::Ambiguous { .. }) => Err(Error::NotFound { id: id.clone() }),
            Err(error) => Err(error),
        }
    }

    /// All folders of the root are ours: one that cannot be looked into is a failure.
    fn list(&self) -> Result<Answer, Error> {
        match self.store.list()?.skipped.into_iter().next() {
            Some(skipped) => Err(skipped.error),
            None => Ok(Answer::done()),
        }
    }

    fn attempt(&self, request: &Request) -> Result<Answer, Error> {
        // About the whole root: there may be no container at all.
        if request.operation == Operation::List {
            return self.list();
        }
        let id = &self.ids[request.container as usize];
        let container = self.store.container(id);
        Ok(match request.operation {
            Operation::Create => self.create(id)?,
            Operation::Start => container.start()?.into(),
            Operation::Restore => self.restore(container)?,
            Operation::Pause => container.pause()?.into(),
            Operation::Resume => container.resume()?.into(),
            Operation::Kill => container.kill()?.into(),
            Operation::Signal => container.signal(HARMLESS)?.into(),
            Operation::Checkpoint => self.checkpoint(container)?,
            Operation::Wait => container.wait(Some(WAIT))?.into(),
            Operation::State => self.saw(&container.state()?),
            Operation::Load => self.load(id)?,
            Operation::List => self.list()?,
            Operation::Delete => container.delete()?.into(),
            Operation::ForceDelete => container.force_delete()?.map_or_else(Answer::done, Answer::from),
        })
    }
}

impl Session for LibrarySession {
    fn perform(&mut self, request: &Request) -> Answer {
        self.watched.set_sequence(request.sequence);
        self.attempt(request).unwrap_or_else(Answer::from)
    }

    fn audit(&mut self, container: u32) -> Answer {
        let path = self.root.join(self.ids[container as usize].as_str()).join("meta.json");
        match std::fs::read(&path) {
            Ok(bytes) => match Metadata::from_json(&bytes) {
                Ok(metadata) => self.saw(&metadata),
                Err(error) => Answer::failed(
                    Reason::Corrupt,
                    format!("meta.json of {} bytes does not parse: {error}", bytes.len()),
                ),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Answer::done(),
            Err(error) => {
                let message = Some(format!("meta.json cannot be read: {error}"));
                Answer { message, ..Answer::failed_by(Reason::Io, &error) }
            }
        }
    }
}

/// What the folder of the images is called, behind the root's name.
pub(super) const IMAGES: &str = ".images";

/// Images of checkpoints, beside the root: inside they would be nobody's files.
#[derive(Debug)]
struct Images {
    folder: PathBuf,
    process: u32,
    options: StoreOptions,
}

impl Images {
    fn of(seat: &Seat, options: StoreOptions) -> Self {
        let mut folder = seat.root.as_os_str().to_owned();
        folder.push(IMAGES);
        Self { folder: folder.into(), process: seat.process, options }
    }

    fn folder(&self) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)
    }

    /// The image that this worker's checkpoints write.
    fn own(&self) -> PathBuf {
        self.folder.join(format!("{}.json", self.process))
    }

    /// An image to restore from: that of this worker's last checkpoint or, before there is one, of a container
    /// made for the purpose in a root of its own.
    fn any(&self) -> Result<PathBuf, Box<dyn std::error::Error>> {
        let image = self.own();
        if !image.exists() {
            self.make(&image)?;
        }
        Ok(image)
    }

    fn make(&self, image: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
        let root = self.folder.join(format!("{}.root", self.process));
        std::fs::create_dir_all(&root)?;
        let store = self.options.clone().open(&root)?;
        let id = ContainerId::new("image")?;
        store.container(&id).force_delete()?;
        store.create(&id, CreateRequest::default())?;
        store.container(&id).checkpoint(image)?;
        store.container(&id).force_delete()?;
        Ok(())
    }
}
