//! The core library as a subject: what it promises is what the suite verifies.

mod sandbox;
mod session;

use std::path::{Path, PathBuf};

use flockwork::{ContainerId, Operation, StoreOptions, WritePolicy};

use self::session::IMAGES;
use super::{Owner, Root, Seat, Session, Subject, Traits};
use crate::history::Deaths;
use crate::model::Builtin;
use crate::plan::schedule::FaultKind;
use crate::plan::{LibraryPlan, SandboxKind};

/// The library, with the choices it offers.
#[derive(Debug)]
pub struct Library {
    options: StoreOptions,
    behind: SandboxKind,
}

/// Builds the library with these choices.
#[must_use]
pub fn build(plan: &LibraryPlan) -> Box<dyn Subject> {
    // A known-bad combination is something to show here, not something to be protected from.
    let options = StoreOptions::default()
        .lock(plan.lock)
        .wait(plan.wait)
        .read(plan.read)
        .write(plan.write)
        .even_if_unsound();
    Box::new(Library { options, behind: plan.sandbox })
}

impl Subject for Library {
    fn open(&self, seat: Seat) -> Result<Box<dyn Session>, String> {
        sandbox::check(self.behind)?;
        let session = session::LibrarySession::open(self.options.clone(), self.behind, seat)?;
        Ok(Box::new(session))
    }

    fn traits(&self) -> Traits {
        let children = self.behind == SandboxKind::Process;
        Traits {
            operations: &Operation::ALL,
            tokens: true,
            counts_generations: true,
            watch: true,
            children,
            lock_free_reads: self.options.write != WritePolicy::InPlace,
            deaths: Some(if children { Deaths::Free } else { Deaths::Never }),
            model: Some(Builtin::Runsc),
            roots: &[Root::Seat, Root::Beside(IMAGES)],
            faults: FaultKind::ALL,
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

    fn metadata_path(&self, container: &str) -> PathBuf {
        Path::new(container).join("meta.json")
    }
}

#[cfg(test)]
mod tests;
