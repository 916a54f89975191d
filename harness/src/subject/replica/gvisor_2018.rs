//! `gvisor-2018`: the first lock (b4321f444727, September 2018), and what was wrong with it.
//!
//! Load and create lock `<root>/<id>/meta.lock`. Start, restore, pause and resume mean to lock the same file, but add
//! the id once more to a path that ends with it already, and lock `<root>/<id>/<id>/meta.lock`. Destroy locks nothing,
//! and removes both files. Taking a lock makes its folder, whoever has just removed it.
//!
//! # What is under watch
//!
//! Only what holds `<root>/<id>/meta.lock`: that is the container's lock, and a word that says "two hold it at once"
//! must be about one lock. The sections under the other file are not under watch. Were they, every pause during a load
//! would count as an overlap, where nobody holds a lock that another one holds: that bug shows in what the load reads.
//! What is left are the true overlaps: destroy removes the lock file, and a process that waited for it goes on under
//! the file that is gone while another takes the one that came after it.

use std::path::{Path, PathBuf};

use super::container::Container;
use super::failure::Failure;
use super::files::FileLock;
use super::folders;
use super::invocation::Invocation;
use super::protocol::{Held, Protocol};
use crate::plan::FailCreateAt;
use crate::subject::Owner;

/// The lock file, in whichever folder.
const LOCK: &str = "meta.lock";

/// The protocol of the first lock.
#[derive(Debug)]
pub struct Locked2018;

impl Protocol for Locked2018 {
    fn name(&self) -> &'static str {
        "gvisor-2018"
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
        let folder = invocation.root().join(&id);
        // The guards are dropped in reverse: the watch ends before the lock does.
        let _lock = FileLock::take(&folder, LOCK)?;
        let _watched = invocation.watch(&id);
        folders::read(&folder)
    }

    fn create(&self, invocation: &Invocation<'_>, id: &str) -> Result<Container, Failure> {
        let folder = invocation.root().join(id);
        let _lock = FileLock::take(&folder, LOCK)?;
        folders::require_missing(&folder.join(folders::METADATA), id)?;
        let mut container = Container::new(id, folder, invocation.spec());
        // Here the original starts the sandbox, which takes its time: so this is where a slow holder is slow.
        let _watched = invocation.watch(id);
        // The bug ghost: the lock has made the folder, and nothing is cleaned up.
        invocation.fail_create(FailCreateAt::Start, id)?;
        container.create_sandbox();
        container.revision = 1;
        let saved = self.save(&container).and_then(|()| invocation.fail_create(FailCreateAt::End, id));
        saved.inspect_err(|_| {
            // The clean-up's own failure is never looked at. It removes the lock file that this process holds.
            let _ = self.destroy(invocation, container.clone());
        })?;
        Ok(container)
    }

    fn lock_for_change<'a>(&self, _: &Invocation<'a>, container: &Container) -> Result<Held<'a>, Failure> {
        // The bug: root is `<root>/<id>` already.
        let lock = FileLock::take(&container.root.join(&container.id), LOCK)?;
        Ok(Held::unwatched(lock))
    }

    fn save(&self, container: &Container) -> Result<(), Failure> {
        folders::write(container)
    }

    fn destroy(&self, _: &Invocation<'_>, container: Container) -> Result<(), Failure> {
        folders::destroy(container)
    }
}
