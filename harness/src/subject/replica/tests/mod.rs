//! Tests of the replicas: that each does what the original did, and that each of its bugs shows.

mod bugs;
mod semantics;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use flockwork::Operation;
use tempfile::TempDir;

use super::invocation::Runsc;
use super::protocol;
use super::protocol::Protocol;
use crate::history::{Outcome, Reason};
use crate::plan::{FailCreate, GvisorCommit, Replica};
use crate::subject::{Answer, Request, Seat, Session, Watch};

/// A root folder, and workers that all use the same replica in it.
struct Yard {
    replica: &'static str,
    root: TempDir,
    fail_create: Option<FailCreate>,
}

/// One request after the other: each worker's sequence goes on where it was.
struct Worker {
    runsc: Runsc,
    sequence: u64,
}

const CONTAINERS: [&str; 4] = ["c1", "c2", "c12", "c13"];

/// The names of all replicas of gVisor, the oldest first: each protocol answers to that of its commit.
fn names() -> [&'static str; GvisorCommit::ALL.len()] {
    GvisorCommit::ALL.map(|commit| {
        assert_eq!(protocol(commit).name(), Replica::Gvisor(commit).as_str());
        protocol(commit).name()
    })
}

/// Those that keep a container in a folder of its own.
const WITH_FOLDERS: [&str; 2] = ["gvisor-unlocked", "gvisor-2018"];

/// Those that keep all files in the root.
const FLAT: [&str; 3] = ["gvisor-2019", "gvisor-2024", "gvisor-2026"];

impl Yard {
    fn new(replica: &'static str) -> Self {
        Self { replica, root: tempfile::tempdir().unwrap(), fail_create: None }
    }

    fn worker(&self, process: u32) -> Worker {
        self.worker_under(process, Arc::new(Sections::default()))
    }

    fn worker_under(&self, process: u32, watch: Arc<dyn Watch>) -> Worker {
        let seat = Seat {
            root: self.root.path().to_owned(),
            process,
            containers: CONTAINERS.map(str::to_owned).to_vec().into(),
            payload_bytes: 64,
            marker: "test".to_owned(),
            watch,
        };
        Worker { runsc: Runsc::new(self.protocol(), seat, self.fail_create), sequence: 0 }
    }

    fn path(&self, relative: impl AsRef<Path>) -> std::path::PathBuf {
        self.root.path().join(relative)
    }

    fn protocol(&self) -> &'static dyn Protocol {
        let protocols = GvisorCommit::ALL.map(protocol);
        protocols.into_iter().find(|protocol| protocol.name() == self.replica).unwrap()
    }

    /// The file with a container's metadata.
    fn metadata(&self, id: &str) -> std::path::PathBuf {
        self.path(self.protocol().metadata_path(id))
    }

    /// Everything below the root.
    fn files(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut folders = vec![self.root.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                names.push(path.strip_prefix(self.root.path()).unwrap().display().to_string());
                if path.is_dir() {
                    folders.push(path);
                }
            }
        }
        names.sort();
        names
    }

    /// A container in the status that these operations bring it to.
    fn with(replica: &'static str, operations: &[Operation]) -> Self {
        let yard = Self::new(replica);
        let mut worker = yard.worker(9);
        for operation in operations {
            assert_eq!(worker.perform(*operation, "c1").outcome, Outcome::Ok, "{operation}");
        }
        yard
    }
}

impl Worker {
    fn perform(&mut self, operation: Operation, container: &str) -> Answer {
        let container = CONTAINERS.iter().position(|name| *name == container).unwrap();
        self.sequence += 1;
        self.runsc.perform(&Request {
            operation,
            container: u32::try_from(container).unwrap(),
            sequence: self.sequence,
        })
    }

    fn audit(&mut self) -> Answer {
        self.runsc.audit(0)
    }
}

/// Counts what is inside, and how many were at most.
#[derive(Debug, Default)]
struct Sections {
    entered: AtomicU32,
    inside: AtomicU32,
    inside_max: AtomicU32,
}

impl Watch for Sections {
    fn enter(&self, _container: u32) {
        self.entered.fetch_add(1, Ordering::SeqCst);
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.inside_max.fetch_max(inside, Ordering::SeqCst);
    }

    fn leave(&self, _container: u32) {
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

fn assert_ended(answer: &Answer, outcome: Outcome, reason: Option<Reason>) {
    assert_eq!((answer.outcome, answer.reason), (outcome, reason), "{answer:?}");
}
