//! A kill in the midst of a replica's save leaves metadata that is empty or cut: with real processes and a real kill.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flockwork::Operation;
use flockwork_harness::history::{Outcome, Reason};
use flockwork_harness::plan::{GvisorCommit, Replica, SubjectPlan};
use flockwork_harness::subject::{Answer, Request, Seat, Session, Watch, build};

const ROOT: &str = "FLOCKWORK_TEST_ROOT";
const REPLICA: &str = "FLOCKWORK_TEST_REPLICA";
const PATIENCE: Duration = Duration::from_secs(60);

/// Large, so that the write takes long enough to be killed in.
const PAYLOAD_BYTES: u32 = 1 << 20;

#[derive(Debug)]
struct Unwatched;

impl Watch for Unwatched {
    fn enter(&self, _container: u32) {}
    fn leave(&self, _container: u32) {}
}

fn open(replica: Replica, root: &Path) -> Box<dyn Session> {
    let subject = build(&SubjectPlan::Replica { replica, fail_create: None }).unwrap();
    let seat = Seat {
        root: root.to_owned(),
        process: 1,
        containers: vec!["c1".to_owned()].into(),
        payload_bytes: PAYLOAD_BYTES,
        marker: "test".to_owned(),
        watch: Arc::new(Unwatched),
    };
    subject.open(seat).unwrap()
}

fn perform(session: &mut dyn Session, operation: Operation, sequence: u64) -> Answer {
    session.perform(&Request { operation, container: 0, sequence })
}

/// The process to be killed: not a test, but how a test binary starts itself anew.
#[test]
#[ignore = "the other test starts it"]
fn saves_until_it_is_killed() {
    let (Ok(replica), Ok(root)) = (std::env::var(REPLICA), std::env::var(ROOT)) else { return };
    let mut session = open(replica.parse().unwrap(), Path::new(&root));
    perform(&mut *session, Operation::Create, 1);
    perform(&mut *session, Operation::Start, 2);
    let deadline = Instant::now() + PATIENCE;
    for sequence in (3..).step_by(2).take_while(|_| Instant::now() < deadline) {
        perform(&mut *session, Operation::Pause, sequence);
        perform(&mut *session, Operation::Resume, sequence + 1);
    }
}

fn start_saving(replica: Replica, root: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "saves_until_it_is_killed", "--ignored", "--quiet"])
        .env(REPLICA, replica.as_str())
        .env(ROOT, root)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills it as soon as the file is seen shorter than its payload: that is while it is being written.
fn kill_within_a_save(mut child: Child, metadata: &Path) {
    let deadline = Instant::now() + PATIENCE;
    while !fs::metadata(metadata).is_ok_and(|found| found.len() < u64::from(PAYLOAD_BYTES)) {
        assert!(Instant::now() < deadline, "never seen within a save");
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_kill_within_a_save_leaves_a_container_that_nobody_can_use_or_remove() {
    for replica in GvisorCommit::ALL.map(Replica::Gvisor) {
        let deadline = Instant::now() + PATIENCE;
        let root = loop {
            assert!(Instant::now() < deadline, "{replica}: each kill came too late");
            let root = tempfile::tempdir().unwrap();
            let subject = build(&SubjectPlan::Replica { replica, fail_create: None }).unwrap();
            let metadata = root.path().join(subject.metadata_path("c1"));
            kill_within_a_save(start_saving(replica, root.path()), &metadata);
            if open(replica, root.path()).audit(0).outcome == Outcome::Failed {
                break root;
            }
        };
        let mut session = open(replica, root.path());
        for (operation, outcome, reason) in [
            (Operation::State, Outcome::Failed, Reason::Corrupt),
            (Operation::ForceDelete, Outcome::Failed, Reason::Corrupt),
            (Operation::Create, Outcome::Refused, Reason::Exists),
        ] {
            let answer = perform(&mut *session, operation, 9);
            assert_eq!((answer.outcome, answer.reason), (outcome, Some(reason)), "{replica}: {answer:?}");
        }
    }
}
