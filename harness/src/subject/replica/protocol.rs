//! What varies from one historic commit to the next.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use super::container::Container;
use super::failure::Failure;
use super::files::FileLock;
use super::invocation::{Invocation, Watched};
use crate::subject::Owner;

/// A historic protocol: where it keeps its files, and which steps it takes under which lock.
pub trait Protocol: Debug + Send + Sync {
    /// The replica's name in scenarios.
    fn name(&self) -> &'static str;

    /// The file with a container's metadata, relative to the root.
    fn metadata_path(&self, id: &str) -> PathBuf;

    /// Whose a path is, relative to the root.
    fn owner(&self, relative: &Path) -> Owner;

    /// Names of all containers of a root.
    fn list(&self, root: &Path) -> Result<Vec<String>, Failure>;

    /// Loads a container by its id or the beginning of one. Whatever lock that takes is let go before it returns.
    fn load(&self, invocation: &Invocation<'_>, id: &str) -> Result<Container, Failure>;

    /// Loads a container that a list named; `None` where a list leaves out what it cannot load.
    fn load_listed(&self, invocation: &Invocation<'_>, id: &str) -> Result<Option<Container>, Failure> {
        self.load(invocation, id).map(Some)
    }

    /// Creates a container.
    fn create(&self, invocation: &Invocation<'_>, id: &str) -> Result<Container, Failure>;

    /// Takes the lock under which start, restore, pause and resume look at the copy that was loaded, and save it.
    fn lock_for_change<'a>(
        &self,
        invocation: &Invocation<'a>,
        container: &Container,
    ) -> Result<Held<'a>, Failure>;

    /// Saves the whole copy.
    fn save(&self, container: &Container) -> Result<(), Failure>;

    /// Removes all there is of the container.
    fn destroy(&self, invocation: &Invocation<'_>, container: Container) -> Result<(), Failure>;
}

/// What an invocation holds while it changes a container. The watch ends before the lock does: fields are dropped in
/// their order.
#[derive(Debug, Default)]
#[expect(dead_code, reason = "they are held, and dropped")]
pub struct Held<'a> {
    watched: Option<Watched<'a>>,
    lock: Option<FileLock>,
}

impl<'a> Held<'a> {
    /// The container's own lock, under watch where it is a container of the run.
    pub fn watched(watched: Option<Watched<'a>>, lock: FileLock) -> Self {
        Self { watched, lock: Some(lock) }
    }

    /// A lock that is no container's own, so that no watch is told of it.
    pub fn unwatched(lock: FileLock) -> Self {
        Self { watched: None, lock: Some(lock) }
    }
}
