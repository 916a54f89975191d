//! What varies from one historic commit to the next.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use super::container::Container;
use super::failure::Failure;
use super::files::FileLock;
use super::invocation::Invocation;
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

    /// Creates a container.
    fn create(&self, invocation: &Invocation<'_>, id: &str) -> Result<Container, Failure>;

    /// Takes the lock under which start, restore, pause and resume look at the copy that was loaded, and save it.
    fn lock_for_change(&self, container: &Container) -> Result<Option<FileLock>, Failure>;

    /// Saves the whole copy.
    fn save(&self, container: &Container) -> Result<(), Failure>;

    /// Removes all there is of the container.
    fn destroy(&self, container: Container) -> Result<(), Failure>;
}
