//! `gvisor-unlocked`: before there was any lock (b63c4bfe02d1, September 2018).
//!
//! Create looks whether the folder is there, and makes it later, with the save. Every save makes the folder where it is
//! missing. There is no lock, so no section is under watch.

use std::path::{Path, PathBuf};

use super::container::Container;
use super::failure::Failure;
use super::files;
use super::folders;
use super::invocation::Invocation;
use super::protocol::{Held, Protocol};
use crate::plan::FailCreateAt;
use crate::subject::Owner;

/// The protocol without locks.
#[derive(Debug)]
pub struct Unlocked;

impl Protocol for Unlocked {
    fn name(&self) -> &'static str {
        "gvisor-unlocked"
    }

    fn metadata_path(&self, id: &str) -> PathBuf {
        folders::metadata_path(id)
    }

    fn owner(&self, relative: &Path) -> Owner {
        folders::owner(relative)
    }

    fn list(&self, root: &Path) -> Result<Vec<String>, Failure> {
        folders::list(root)
    }

    fn load(&self, invocation: &Invocation<'_>, id: &str) -> Result<Container, Failure> {
        let id = folders::find(invocation.root(), id)?;
        folders::read(&invocation.root().join(id))
    }

    fn create(&self, invocation: &Invocation<'_>, id: &str) -> Result<Container, Failure> {
        let folder = invocation.root().join(id);
        folders::require_missing(&folder, id)?;
        let mut container = Container::new(id, folder, invocation.spec());
        // Nothing was made yet, and nothing is cleaned up.
        invocation.fail_create(FailCreateAt::Start, id)?;
        container.create_sandbox();
        container.revision = 1;
        let saved = self.save(&container).and_then(|()| invocation.fail_create(FailCreateAt::End, id));
        saved.inspect_err(|_| {
            // The clean-up's own failure is never looked at.
            let _ = self.destroy(invocation, container.clone());
        })?;
        Ok(container)
    }

    fn lock_for_change<'a>(&self, _: &Invocation<'a>, _: &Container) -> Result<Held<'a>, Failure> {
        Ok(Held::default())
    }

    fn save(&self, container: &Container) -> Result<(), Failure> {
        files::mkdir_all(&container.root)
            .map_err(Failure::io("error creating container root directory", &container.root))?;
        folders::write(container)
    }

    fn destroy(&self, _: &Invocation<'_>, container: Container) -> Result<(), Failure> {
        folders::destroy(container)
    }
}
