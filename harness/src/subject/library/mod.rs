//! The core library as a subject: what it promises is what the suite verifies.

mod sandbox;
mod session;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use flockwork::{ContainerId, LockKind, Operation, ReadPolicy, StoreOptions, Wait, WritePolicy};

use self::sandbox::Behind;
use super::{Owner, Seat, Session, Subject, Traits};
use crate::history::Deaths;
use crate::plan::SubjectPlan;

/// The library, with the choices it offers.
#[derive(Debug)]
pub struct Library {
    options: StoreOptions,
    behind: Behind,
}

/// Builds the library as a plan wants it.
pub fn build(plan: &SubjectPlan) -> Result<Box<dyn Subject>, String> {
    let SubjectPlan::Library { lock, wait, read, write, sandbox } = plan else {
        return Err(format!("{plan:?} is not about the library"));
    };
    Ok(Box::new(Library::new(lock, wait, read, write, sandbox)?))
}

impl Library {
    fn new(lock: &str, wait: &str, read: &str, write: &str, sandbox: &str) -> Result<Self, String> {
        // A known-bad combination is something to show here, not something to be protected from.
        let options = StoreOptions::default()
            .lock(word::<LockKind>("lock", lock)?)
            .wait(word::<Wait>("wait", wait)?)
            .read(word::<ReadPolicy>("read", read)?)
            .write(word::<WritePolicy>("write", write)?)
            .even_if_unsound();
        Ok(Self { options, behind: word("sandbox", sandbox)? })
    }
}

fn word<T: FromStr<Err: std::fmt::Display>>(key: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("subject.{key}: {error}"))
}

impl Subject for Library {
    fn open(&self, seat: Seat) -> Result<Box<dyn Session>, String> {
        self.behind.check()?;
        let session = session::LibrarySession::open(self.options.clone(), self.behind, seat)?;
        Ok(Box::new(session))
    }

    fn traits(&self) -> Traits {
        let children = self.behind == Behind::Process;
        Traits {
            operations: &Operation::ALL,
            watch: true,
            children,
            deaths: Some(if children { Deaths::Free } else { Deaths::Never }),
            volatile: &["created_at"],
        }
    }

    fn owner(&self, relative: &Path) -> Owner {
        let first = relative.components().next().and_then(|part| part.as_os_str().to_str());
        match first {
            // The counter of generations, its temporary file and its lock: no container has such a name.
            Some(name) if name.starts_with("~generation") => Owner::Root,
            Some(name) if ContainerId::new(name).is_ok() => Owner::Container(name.to_owned()),
            _ => Owner::Nobody,
        }
    }

    fn allows_lock_free_audit(&self) -> bool {
        self.options.write != WritePolicy::InPlace
    }

    fn metadata_path(&self, container: &str) -> PathBuf {
        Path::new(container).join("meta.json")
    }
}

#[cfg(test)]
mod tests;
