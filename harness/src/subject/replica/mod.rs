//! Replicas: small faithful ports of historic gVisor protocols, bugs included.
//!
//! They exist so that the harness can be seen to find bugs that were once real. Each does on disk what runsc did at one
//! commit: the same files, the same locks, the same order of steps. They are written afresh from the facts of that
//! history, and must never be made correct.
//!
//! One call of `perform` is one invocation of runsc: it loads the container, and then calls one method on
//! the struct that it loaded (`invocation`). What varies from one commit to another is a `Protocol`, one file each;
//! what never varied are the container's metadata and its table of statuses (`container`) and the ways of Go's
//! standard library with files (`files`).
//!
//! Beside them is one that is no port of gVisor: the library's own protocol with one of its rules switched off (`rules`).
//!
//! # Where a replica differs from the original
//!
//! * No process stands behind a container. The sandbox is there from create to destroy, and its methods do nothing, so
//!   no container ever becomes stopped, and `kill` and `wait`, which are about that process, are answered with an error
//!   that says so. `signal` and `checkpoint` do as the original does: they demand a status, take no lock and save
//!   nothing.
//! * The metadata has two fields more, `generation` and `revision`, and its `spec` is the harness's. Nothing that the
//!   protocol decides depends on them: they are written so that a history can be ordered and a mix of two saves seen.
//!   The revision is that of the loaded struct plus one, so two savers with equally old structs claim the same one.
//! * Whatever later years added to the metadata is left out: `root` is the folder in which the state is, as in 2018.
//! * A create fails only where a scenario wants some to (`fail_create`), at its start or at its end.
//! * Answers follow the model's reasons where the original prints words; the words go into the message of a failure.

mod container;
mod failure;
mod files;
mod flat;
mod folders;
mod gvisor_2018;
mod gvisor_2019;
mod gvisor_2024;
mod gvisor_2026;
mod gvisor_unlocked;
mod invocation;
mod protocol;
mod rules;

use std::path::{Path, PathBuf};

use flockwork::Operation;

pub use self::container::RunscStatus;
use self::invocation::Runsc;
use self::protocol::Protocol;
use super::{Owner, Root, Seat, Session, Subject, Traits};
use crate::history::Deaths;
use crate::model::Builtin;
use crate::plan::schedule::FaultKind;
use crate::plan::{FailCreate, GvisorCommit, Replica};

/// What runsc did with its metadata at a commit.
fn protocol(commit: GvisorCommit) -> &'static dyn Protocol {
    match commit {
        GvisorCommit::Unlocked => &gvisor_unlocked::Unlocked,
        GvisorCommit::Of2018 => &gvisor_2018::Locked2018,
        GvisorCommit::Of2019 => &gvisor_2019::REPLICA,
        GvisorCommit::Of2024 => &gvisor_2024::REPLICA,
        GvisorCommit::Of2026 => &gvisor_2026::REPLICA,
    }
}

/// Builds a replica. Creates fail half-way as `fail_create` says; those of the library's own protocol never do.
#[must_use]
pub fn build(replica: Replica, fail_create: Option<FailCreate>) -> Box<dyn Subject> {
    match replica {
        Replica::Gvisor(commit) => Box::new(Gvisor { protocol: protocol(commit), fail_create }),
        Replica::Rules { without } => rules::build(without),
    }
}

/// A replica of gVisor's protocol as the subject of a run.
#[derive(Debug)]
struct Gvisor {
    protocol: &'static dyn Protocol,
    fail_create: Option<FailCreate>,
}

/// What all replicas are: nothing stands behind their containers. What differs from run to run decides which life of a
/// container is meant, so it counts. Those of gVisor save in place: between the truncation and the write the file is empty.
fn traits(lock_free_reads: bool) -> Traits {
    Traits {
        operations: &Operation::ALL,
        tokens: true,
        counts_generations: false,
        watch: true,
        children: false,
        lock_free_reads,
        deaths: Some(Deaths::Never),
        model: Some(Builtin::Runsc),
        roots: &[Root::Seat],
        faults: FaultKind::ALL,
        volatile: &[],
    }
}

impl Subject for Gvisor {
    fn open(&self, seat: Seat) -> Result<Box<dyn Session>, String> {
        if !seat.root.is_dir() {
            return Err(format!("the root {} is not a folder", seat.root.display()));
        }
        Ok(Box::new(Runsc::new(self.protocol, seat, self.fail_create)))
    }

    fn traits(&self) -> Traits {
        traits(false)
    }

    fn owner(&self, relative: &Path) -> Owner {
        self.protocol.owner(relative)
    }

    fn metadata_path(&self, container: &str) -> PathBuf {
        self.protocol.metadata_path(container)
    }
}

#[cfg(test)]
mod tests;
