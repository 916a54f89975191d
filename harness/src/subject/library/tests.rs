//! The library as a session: answers, signatures, and whose files are whose.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use flockwork::{Operation, Status};

use super::*;
use crate::history::{Outcome, Reason};
use crate::subject::{Answer, Request, Watch};

#[derive(Debug, Default)]
struct Counter {
    inside: AtomicU32,
    sections: AtomicU32,
}

impl Watch for Counter {
    fn enter(&self, container: u32) {
        assert_eq!(container, 0);
        assert_eq!(self.inside.fetch_add(1, Ordering::Relaxed), 0, "sections do not nest");
        self.sections.fetch_add(1, Ordering::Relaxed);
    }

    fn leave(&self, _container: u32) {
        assert_eq!(self.inside.fetch_sub(1, Ordering::Relaxed), 1);
    }
}

struct Bench {
    folder: tempfile::TempDir,
    watch: Arc<Counter>,
    session: Box<dyn Session>,
    sequence: u64,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let watch = Arc::new(Counter::default());
        let seat = Seat {
            root,
            process: 3,
            containers: ["c1".to_owned()].into(),
            payload_bytes: 2048,
            marker: "test".to_owned(),
            watch: Arc::<Counter>::clone(&watch),
        };
        let library = build(&LibraryPlan::default());
        let session = library.open(seat).unwrap();
        Self { folder, watch, session, sequence: 0 }
    }

    fn perform(&mut self, operation: Operation) -> Answer {
        self.sequence += 1;
        self.session.perform(&Request { operation, container: 0, sequence: self.sequence })
    }
}

#[test]
fn answers_carry_what_was_seen() {
    let mut bench = Bench::new();
    let created = bench.perform(Operation::Create);
    assert_eq!(
        (created.outcome, created.status, created.revision),
        (Outcome::Ok, Some(Status::Created), Some(1))
    );
    let again = bench.perform(Operation::Create);
    assert_eq!((again.outcome, again.reason), (Outcome::Refused, Some(Reason::Exists)));
    assert_eq!((again.generation, again.revision), (created.generation, Some(1)));
    let resumed = bench.perform(Operation::Resume);
    assert_eq!((resumed.reason, resumed.status), (Some(Reason::Status), Some(Status::Created)));
    assert_eq!(bench.perform(Operation::Restore).status, Some(Status::Running));
    assert_eq!(bench.perform(Operation::Checkpoint).revision, Some(2));
    assert_eq!(bench.perform(Operation::Kill).status, Some(Status::Stopped));
    let deleted = bench.perform(Operation::Delete);
    assert_eq!(
        (deleted.outcome, deleted.generation, deleted.revision),
        (Outcome::Ok, created.generation, Some(4))
    );
    assert_eq!(bench.perform(Operation::State).reason, Some(Reason::Absent));
    assert_eq!(bench.watch.inside.load(Ordering::Relaxed), 0);
    assert!(bench.watch.sections.load(Ordering::Relaxed) >= 7);
}

#[test]
fn a_mix_of_two_saves_is_corrupt_though_it_parses() {
    let mut bench = Bench::new();
    bench.perform(Operation::Create);
    let path = bench.folder.path().join("root/c1/meta.json");
    let first = std::fs::read_to_string(&path).unwrap();
    assert_eq!(bench.session.audit(0).outcome, Outcome::Ok);
    bench.perform(Operation::Start);
    let second = std::fs::read_to_string(&path).unwrap();
    let middle = second.find(r#""sequence":2"#).expect("the second save is signed") + 1000;
    let mixed = second[..middle].to_owned() + &first[middle..];
    serde_json::from_str::<serde_json::Value>(&mixed).expect("the mix parses");
    std::fs::write(&path, mixed).unwrap();
    assert_eq!(bench.session.audit(0).reason, Some(Reason::Corrupt));
    assert_eq!(bench.perform(Operation::State).reason, Some(Reason::Corrupt));
}

#[test]
fn files_have_owners() {
    let library = build(&LibraryPlan::default());
    assert_eq!(library.owner(Path::new("~generation")), Owner::Root);
    assert_eq!(library.owner(Path::new("c1/meta.json")), Owner::Container("c1".to_owned()));
    assert_eq!(library.owner(Path::new("what's this")), Owner::Nobody);
}
