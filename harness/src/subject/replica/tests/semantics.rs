//! What one process alone sees of a replica.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flockwork::Operation::{
    self, Create, Delete, ForceDelete, Kill, List, Load, Pause, Resume, Signal, Start,
};
use flockwork::Operation::{State, Wait};
use flockwork::Status;
use flockwork::status::{Effect, Refusal};

use super::names;
use super::{Sections, Yard, assert_ended};
use crate::history::{Outcome, Reason};
use crate::plan::SubjectPlan;
use crate::subject::{Owner, build};

/// Each status that a container can have on disk, and how it gets there.
const WAYS: [(Option<Status>, &[Operation]); 4] = [
    (None, &[]),
    (Some(Status::Created), &[Create]),
    (Some(Status::Running), &[Create, Start]),
    (Some(Status::Paused), &[Create, Start, Pause]),
];

/// Those whose list leaves out what it cannot load.
const LENIENT: [&str; 2] = ["gvisor-2024", "gvisor-2026"];

/// Where a replica does not do what the library's table says.
fn differs(replica: &str, operation: Operation, status: Option<Status>) -> bool {
    match operation {
        // There is no process that they could be about.
        Kill | Wait => true,
        // The original signals running containers only.
        Signal => matches!(status, Some(Status::Created | Status::Paused)),
        // The original dies on its table of transitions.
        Pause => status == Some(Status::Created),
        // That of 2019 deletes what is in its way.
        Create => status.is_some() && replica == "gvisor-2019",
        // Until 2019 it dies over a paused one.
        ForceDelete => status == Some(Status::Paused) && !LENIENT.contains(&replica),
        _ => false,
    }
}

#[test]
fn the_replicas_follow_the_table_where_the_original_did() {
    for replica in names() {
        for (status, way) in WAYS {
            for operation in
                Operation::ALL.into_iter().filter(|operation| !differs(replica, *operation, status))
            {
                let yard = Yard::with(replica, way);
                let before = yard.worker(1).audit();
                let answer = yard.worker(2).perform(operation, "c1");
                let after = yard.worker(1).audit();
                let case = format!("{replica}: {operation} of {status:?}: {answer:?}");
                match operation.transition().apply(status) {
                    Ok(effect) => {
                        assert_ended(&answer, Outcome::Ok, None);
                        let expected = match effect {
                            Effect::Creates(status) | Effect::Becomes(status) => Some(status),
                            Effect::Unpauses => Some(Status::Running),
                            Effect::Removes => None,
                            Effect::Nothing => status,
                        };
                        assert_eq!(after.status, expected, "{case}");
                    }
                    Err(refusal) => {
                        let reason = match refusal {
                            Refusal::Exists => Reason::Exists,
                            Refusal::Absent => Reason::Absent,
                            Refusal::Status => Reason::Status,
                        };
                        assert_ended(&answer, Outcome::Refused, Some(reason));
                        assert_eq!(after, before, "{case}");
                    }
                }
            }
        }
    }
}

#[test]
fn answers_carry_generation_and_revision() {
    for replica in names() {
        let yard = Yard::new(replica);
        let mut worker = yard.worker(1);
        let generation = worker.perform(Create, "c1").generation;
        assert!(generation.is_some());
        let revisions = [Start, Pause, State, Pause, Resume, Delete, Load].map(|operation| {
            let answer = worker.perform(operation, "c1");
            assert_eq!(answer.generation, generation);
            answer.revision.unwrap()
        });
        assert_eq!(revisions, [2, 3, 3, 3, 4, 4, 4]);
        let deleted = worker.perform(ForceDelete, "c1");
        assert_eq!((deleted.status, deleted.generation, deleted.revision), (None, generation, Some(5)));
        assert!(worker.perform(Create, "c1").generation > generation, "{replica}: each life has its own");
    }
}

#[test]
fn what_needs_a_process_says_so() {
    for replica in names() {
        for operation in [Kill, Wait] {
            let answer = Yard::with(replica, &[Create, Start]).worker(1).perform(operation, "c1");
            assert_ended(&answer, Outcome::Failed, Some(Reason::Other));
            assert!(answer.message.unwrap().contains("leave"), "it names the way out");
        }
    }
}

#[test]
fn signals_go_to_running_containers_only() {
    for replica in names() {
        for way in [&[Create][..], &[Create, Start, Pause]] {
            let answer = Yard::with(replica, way).worker(1).perform(Signal, "c1");
            assert_ended(&answer, Outcome::Refused, Some(Reason::Status));
        }
    }
}

#[test]
fn a_pause_of_a_created_container_dies_before_it_saves() {
    for replica in names() {
        let yard = Yard::with(replica, &[Create]);
        let before = yard.worker(1).audit();
        let words = last_words(|| yard.worker(1).perform(Pause, "c1"));
        assert_eq!(words, "invalid state transition: created => paused");
        assert_eq!(yard.worker(1).audit(), before);
        // The lock went with it.
        assert_ended(&yard.worker(1).perform(Start, "c1"), Outcome::Ok, None);
    }
}

#[test]
fn a_destroy_of_a_paused_container_dies_after_it_removed_it() {
    for replica in ["gvisor-unlocked", "gvisor-2018", "gvisor-2019"] {
        let yard = Yard::with(replica, &[Create, Start, Pause]);
        let words = last_words(|| yard.worker(1).perform(ForceDelete, "c1"));
        assert_eq!(words, "invalid state transition: paused => stopped");
        assert_eq!(yard.files(), [""; 0]);
    }
    for replica in ["gvisor-2024", "gvisor-2026"] {
        let yard = Yard::with(replica, &[Create, Start, Pause]);
        assert_ended(&yard.worker(1).perform(ForceDelete, "c1"), Outcome::Ok, None);
        assert_eq!(yard.files(), [""; 0]);
    }
}

fn last_words<T: std::fmt::Debug>(dies: impl FnOnce() -> T) -> String {
    let words = catch_unwind(AssertUnwindSafe(dies)).expect_err("it dies");
    *words.downcast().expect("its words are formatted")
}

#[test]
fn the_files_are_those_of_the_original() {
    let yard = Yard::with("gvisor-2018", &[Create]);
    let mode = |path: &str| fs::metadata(yard.path(path)).unwrap().permissions().mode() & 0o7777;
    // The umask may take more away.
    assert_eq!(mode("c1") & !0o711, 0);
    assert_eq!(mode("c1/meta.lock") & !0o600, 0);
    assert_eq!(mode("c1/meta.json") & !0o640, 0);
    assert!(!yard.path("c1/c1").exists());
    yard.worker(1).perform(Start, "c1");
    assert!(yard.path("c1/c1/meta.lock").exists(), "the id once too often");

    let yard = Yard::with("gvisor-unlocked", &[Create, Start]);
    let names: Vec<_> =
        fs::read_dir(yard.path("c1")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["meta.json"]);
}

#[test]
fn the_metadata_has_the_fields_of_the_original() {
    let yard = Yard::with("gvisor-2018", &[Create, Start]);
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(yard.path("c1/meta.json")).unwrap()).unwrap();
    for field in ["id", "spec", "bundleDir", "root", "createdAt", "owner", "status", "goferPid", "sandbox"] {
        assert!(json.get(field).is_some(), "{field}");
    }
    assert_eq!(json["status"], 3);
    assert_eq!(json["sandbox"], serde_json::json!({"id": "c1", "pid": 0, "chroot": ""}));
    assert_eq!(json["spec"]["writer"], 9);
    assert_eq!(json["spec"]["sequence"], 2);
}

#[test]
fn a_beginning_stands_for_the_only_id_that_begins_so() {
    for replica in names() {
        let yard = Yard::new(replica);
        let mut worker = yard.worker(1);
        let other = worker.perform(Create, "c12");
        // This is the bug prefix-retarget: c1 was never created.
        assert_eq!(worker.perform(State, "c1").generation, other.generation);
        worker.perform(Create, "c13");
        assert_ended(&worker.perform(State, "c1"), Outcome::Refused, Some(Reason::Ambiguous));
    }
}

#[test]
fn metadata_that_is_no_json_is_corrupt_to_all() {
    for replica in names() {
        for text in ["", "{", "{}", "null"] {
            let yard = Yard::with(replica, &[Create]);
            let metadata = yard.metadata("c1");
            fs::write(&metadata, text).unwrap();
            let mut worker = yard.worker(1);
            assert_ended(&worker.audit(), Outcome::Failed, Some(Reason::Corrupt));
            for operation in [State, Load, Start, Delete, ForceDelete, List] {
                let answer = worker.perform(operation, "c1");
                if operation == List && LENIENT.contains(&replica) {
                    assert_ended(&answer, Outcome::Ok, None);
                    continue;
                }
                assert_ended(&answer, Outcome::Failed, Some(Reason::Corrupt));
                assert!(answer.message.unwrap().contains(metadata.file_name().unwrap().to_str().unwrap()));
            }
        }
    }
}

#[test]
fn metadata_of_two_saves_is_corrupt_to_readers_only() {
    for replica in names() {
        let yard = Yard::with(replica, &[Create]);
        let text = fs::read_to_string(yard.metadata("c1")).unwrap();
        let mixed = text.replace("\"sequence\":1", "\"sequence\":2");
        assert_ne!(mixed, text);
        fs::write(yard.metadata("c1"), mixed).unwrap();
        let mut worker = yard.worker(1);
        assert_ended(&worker.audit(), Outcome::Failed, Some(Reason::Corrupt));
        assert_ended(&worker.perform(State, "c1"), Outcome::Failed, Some(Reason::Corrupt));
        // The original would not have noticed, and so goes on.
        assert_ended(&worker.perform(Start, "c1"), Outcome::Ok, None);
        assert_ended(&worker.audit(), Outcome::Ok, None);
    }
}

#[test]
fn only_the_containers_own_lock_is_under_watch() {
    let sections = Arc::new(Sections::default());
    let yard = Yard::new("gvisor-2018");
    let mut worker = yard.worker_under(1, sections.clone());
    for (operation, entered) in [(Create, 1), (Create, 1), (State, 2), (Start, 3), (Pause, 4), (List, 5)] {
        worker.perform(operation, "c1");
        assert_eq!(sections.entered.load(Ordering::SeqCst), entered, "{operation}");
    }
    assert_eq!(sections.inside.load(Ordering::SeqCst), 0);
    assert_eq!(sections.inside_max.load(Ordering::SeqCst), 1);
}

#[test]
fn a_replica_is_built_by_its_name() {
    for replica in names() {
        let subject =
            build(&SubjectPlan::Replica { replica: replica.parse().unwrap(), fail_create: None }).unwrap();
        let (metadata, files, stray) = match replica {
            "gvisor-unlocked" | "gvisor-2018" => ("c1/meta.json", ["c1/meta.json", "c1/c1/meta.lock"], ""),
            "gvisor-2019" => ("c1.state", ["c1.state", "c1.lock"], "c1.stat"),
            _ => {
                ("c1_sandbox:c1.state", ["c1_sandbox:c1.state", "c1_sandbox:c1.lock"], "c1_sandbox:c2.state")
            }
        };
        assert_eq!(subject.metadata_path("c1"), std::path::Path::new(metadata));
        for file in files {
            assert_eq!(subject.owner(file.as_ref()), Owner::Container("c1".to_owned()));
        }
        assert_eq!(subject.owner(stray.as_ref()), Owner::Nobody);
        assert!(!subject.traits().lock_free_reads);
    }
}
