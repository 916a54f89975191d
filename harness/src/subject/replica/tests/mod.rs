//! Tests of the replicas: that each does what the original did, and that each of its bugs shows.

mod bugs;
mod semantics;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use flockwork::Operation;
use tempfile::TempDir;

use super::PROTOCOLS;
use super::invocation::Runsc;
use crate::history::{Outcome, Reason};
use crate::subject::{Answer, Request, Seat, Session, Watch};

/// A root folder, and workers that all use the same replica in it.
struct Yard {
    replica: &'static str,
    root: TempDir,
}

/// One request after the other: each worker's sequence goes on where it was.
struct Worker {
    runsc: Runsc,
    sequence: u64,
}

const CONTAINERS: [&str; 3] = ["c1", "c2", "c12"];

impl Yard {
    fn new(replica: &'static str) -> Self {
        Self { replica, root: tempfile::tempdir().unwrap() }
    }

    fn worker(&self, process: u32) -> Worker {
        self.worker_under(process, Arc::new(Sections::default()))
    }

    fn worker_under(&self, process: u32, watch: Arc<dyn Watch>) -> Worker {
        let protocol = PROTOCOLS.iter().find(|protocol| protocol.name() == self.replica).unwrap();
        let seat = Seat {
            root: self.root.path().to_owned(),
            process,
            containers: CONTAINERS.map(str::to_owned).to_vec().into(),
            payload_bytes: 64,
            marker: "test".to_owned(),
            watch,
        };
        Worker { runsc: Runsc::new(*protocol, seat), sequence: 0 }
    }

    fn path(&self, relative: impl AsRef<Path>) -> std::path::PathBuf {
        self.root.path().join(relative)
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
