//! The layout since 2019: all containers' files lie in the root itself, a state file and a lock file for each.
//!
//! Every method takes the same lock, and the lock file lies beside the state: that ended four bugs. What remained is one
//! struct's life over two locks (load lets go before the method locks anew), a destroy that removes the lock file which
//! it holds, and a create whose clean-up begins when the lock has been let go. What differed from commit to commit is
//! in [`Flat`]'s fields.
//!
//! All that holds the lock is under watch, for it is one and the same lock. A destroy stays under watch until it lets go
//! of the lock, long after it has removed the file: that is the bug `unlink-while-held`, not a mistake of the watch.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::container::{Container, RunscStatus};
use super::failure::Failure;
use super::files::{self, FileLock};
use super::folders::require_missing;
use super::invocation::Invocation;
use super::protocol::{Held, Protocol};
use crate::plan::FailCreateAt;
use crate::subject::Owner;

/// Ending of the file with the metadata.
const STATE: &str = ".state";
/// Ending of the file that is locked.
const LOCK: &str = ".lock";

/// A protocol of the flat layout.
#[derive(Clone, Copy, Debug)]
pub struct Flat {
    /// The replica's name in scenarios.
    pub name: &'static str,
    /// How files are named.
    pub names: Names,
    /// From when on a create that fails cleans up.
    pub clean_up: CleanUp,
    /// Statuses that the table of transitions lets become stopped.
    pub stops_from: &'static [RunscStatus],
}

/// How files are named, how an id is found, and what a list does with what it cannot load: all came with one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// `<id>.state`: an id that is there is meant itself, else it may be the beginning of one. A list ends with an error
    /// at the first that it cannot load.
    Plain,
    /// `<id>_sandbox:<id>.state`: an id is the beginning of one, always. A list leaves out what it cannot load.
    WithSandbox,
}

/// From when on a create that fails cleans up. It does so when it has let go of the lock, and by a destroy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CleanUp {
    /// Before it locks: a create that is refused destroys the container that is in its way.
    Always,
    /// Once it has found that there is no such container.
    OnceChecked,
}

impl Names {
    fn file(self, id: &str, ending: &str) -> String {
        match self {
            Self::Plain => format!("{id}{ending}"),
            Self::WithSandbox => format!("{id}_sandbox:{id}{ending}"),
        }
    }

    /// The id in a file's name.
    fn id(self, file: &str, ending: &str) -> Option<String> {
        let stem = file.strip_suffix(ending)?;
        let id = match self {
            Self::Plain => stem,
            Self::WithSandbox => stem.split_once("_sandbox:").filter(|(id, sandbox)| id == sandbox)?.0,
        };
        (!id.is_empty() && self.file(id, ending) == file).then(|| id.to_owned())
    }
}

impl Flat {
    fn path(&self, root: &Path, id: &str, ending: &str) -> PathBuf {
        root.join(self.names.file(id, ending))
    }

    fn lock<'a>(&self, invocation: &Invocation<'a>, id: &str) -> Result<Held<'a>, Failure> {
        let lock = FileLock::take_at(self.path(invocation.root(), id, LOCK))?;
        Ok(Held::watched(invocation.watch(id), lock))
    }

    fn find(&self, root: &Path, id: &str) -> Result<String, Failure> {
        if self.names == Names::Plain && fs::metadata(self.path(root, id, STATE)).is_ok() {
            return Ok(id.to_owned());
        }
        let mut candidates = self.list(root)?.into_iter().filter(|name| name.starts_with(id));
        match (candidates.next(), candidates.next()) {
            (None, _) => Err(Failure::Absent(id.to_owned())),
            (Some(only), None) => Ok(only),
            (Some(first), Some(second)) => Err(Failure::Ambiguous { partial: id.to_owned(), first, second }),
        }
    }

    fn load_exact(&self, invocation: &Invocation<'_>, id: &str) -> Result<Container, Failure> {
        // The bug orphan-lock: this makes the lock file of a container that is no longer there.
        let _held = self.lock(invocation, id)?;
        let path = self.path(invocation.root(), id, STATE);
        let bytes = fs::read(&path).map_err(|source| match source.kind() {
            ErrorKind::NotFound => Failure::Absent(id.to_owned()),
            _ => Failure::Io { doing: "error reading container metadata file", path: path.clone(), source },
        })?;
        serde_json::from_slice(&bytes).map_err(|error| Failure::Corrupt { path, why: error.to_string() })
    }

    /// What a create does under its lock; the lock is let go when this returns.
    fn create_locked(
        &self,
        invocation: &Invocation<'_>,
        container: &mut Container,
        check: &mut Checked,
    ) -> Result<(), Failure> {
        let lock = FileLock::take_at(self.path(invocation.root(), &container.id, LOCK))?;
        require_missing(&self.path(invocation.root(), &container.id, STATE), &container.id)?;
        *check = Checked::IsMissing;
        // Here the original starts the sandbox, which takes its time: so this is where a slow holder is slow.
        let _held = Held::watched(invocation.watch(&container.id), lock);
        invocation.fail_create(FailCreateAt::Start, &container.id)?;
        container.create_sandbox();
        container.revision = 1;
        self.save(container)?;
        invocation.fail_create(FailCreateAt::End, &container.id)
    }
}

/// How far a create got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checked {
    NotYet,
    IsMissing,
}

impl Protocol for Flat {
    fn name(&self) -> &'static str {
        self.name
    }

    fn metadata_path(&self, id: &str) -> PathBuf {
        PathBuf::from(self.names.file(id, STATE))
    }

    fn owner(&self, relative: &Path) -> Owner {
        let name = relative.to_string_lossy();
        match self.names.id(&name, STATE).or_else(|| self.names.id(&name, LOCK)) {
            Some(id) => Owner::Container(id),
            None => Owner::Nobody,
        }
    }

    fn list(&self, root: &Path) -> Result<Vec<String>, Failure> {
        let names = files::read_names(root).map_err(Failure::io("error reading root directory", root))?;
        Ok(names.iter().filter_map(|name| self.names.id(name, STATE)).collect())
    }

    fn load(&self, invocation: &Invocation<'_>, id: &str) -> Result<Container, Failure> {
        let id = self.find(invocation.root(), id)?;
        self.load_exact(invocation, &id)
    }

    fn load_listed(&self, invocation: &Invocation<'_>, id: &str) -> Result<Option<Container>, Failure> {
        match self.names {
            Names::Plain => self.load(invocation, id).map(Some),
            Names::WithSandbox => Ok(self.load_exact(invocation, id).ok()),
        }
    }

    fn create(&self, invocation: &Invocation<'_>, id: &str) -> Result<Container, Failure> {
        let mut container = Container::new(id, invocation.root().to_owned(), invocation.spec());
        let mut check = Checked::NotYet;
        let created = self.create_locked(invocation, &mut container, &mut check);
        if created.is_err() && (self.clean_up == CleanUp::Always || check == Checked::IsMissing) {
            // The bug: the lock was let go, and whose container this destroys is not asked. Its own failure is never
            // looked at.
            let _ = self.destroy(invocation, container.clone());
        }
        created.map(|()| container)
    }

    fn lock_for_change<'a>(
        &self,
        invocation: &Invocation<'a>,
        container: &Container,
    ) -> Result<Held<'a>, Failure> {
        self.lock(invocation, &container.id)
    }

    fn save(&self, container: &Container) -> Result<(), Failure> {
        // First the whole text, then the file: so the file is empty for as short a time as in the original.
        let text = serde_json::to_vec(container).expect("metadata can be serialized");
        let path = self.path(&container.root, &container.id, STATE);
        files::write_file(&path, &text).map_err(Failure::io("error writing container metadata", path))
    }

    /// # Panics
    ///
    /// As the original does where its table does not let the copy's status become stopped: the files are gone by then.
    fn destroy(&self, invocation: &Invocation<'_>, mut container: Container) -> Result<(), Failure> {
        let _held = self.lock(invocation, &container.id)?;
        for ending in [STATE, LOCK] {
            let path = self.path(&container.root, &container.id, ending);
            files::remove_if_there(&path)
                .map_err(Failure::io("error deleting container state files", path))?;
        }
        container.stop(self.stops_from);
        Ok(())
    }
}
