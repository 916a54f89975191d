//! Each bug of gVisor's history, stepped by hand: what makes it is done in the order that makes it.

use std::fs::{self, File};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use flockwork::Operation::{Create, ForceDelete, List, Pause, Resume, Start, State};
use flockwork::Status;

use super::names;
use super::{FLAT, Sections, WITH_FOLDERS, Worker, Yard, assert_ended};
use crate::history::{Outcome, Reason};
use crate::plan::{FailCreate, FailCreateAt};
use crate::subject::Watch;
use crate::subject::replica::files::{self, FileLock};

/// Longer than anything here takes that does not hang.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn no_lock_lets_two_creates_pass_the_check() {
    let yard = Yard::new("gvisor-unlocked");
    let barrier = Barrier::new(2);
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let creates = thread::scope(|scope| {
            let create = |process| {
                let (yard, barrier) = (&yard, &barrier);
                scope.spawn(move || {
                    let mut worker = yard.worker(process);
                    barrier.wait();
                    worker.perform(Create, "c1").outcome
                })
            };
            [create(1), create(2)].map(|thread| thread.join().unwrap())
        });
        if creates == [Outcome::Ok; 2] {
            return;
        }
        files::remove_all(&yard.path("c1")).unwrap();
    }
    panic!("never did two creates both succeed");
}

#[test]
fn wrong_lock_file_lets_a_load_read_what_a_pause_has_truncated() {
    let yard = Yard::with("gvisor-2018", &[Create, Start]);
    // A pause that has its lock, and is between the truncation and the write.
    let _lock = FileLock::take(&yard.path("c1/c1"), "meta.lock").unwrap();
    File::create(yard.path("c1/meta.json")).unwrap();
    assert_ended(&yard.worker(1).perform(State, "c1"), Outcome::Failed, Some(Reason::Corrupt));
}

#[test]
fn the_right_lock_file_keeps_a_load_out() {
    let yard = Yard::with("gvisor-2018", &[Create, Start]);
    let lock = FileLock::take(&yard.path("c1"), "meta.lock").unwrap();
    thread::scope(|scope| {
        let load = scope.spawn(|| yard.worker(1).perform(State, "c1"));
        wait_until_someone_waits(&yard, "c1/meta.lock");
        assert!(!load.is_finished());
        drop(lock);
        assert_ended(&load.join().unwrap(), Outcome::Ok, None);
    });
}

#[test]
fn stale_status_lets_two_pauses_succeed() {
    for replica in names() {
        let yard = Yard::with(replica, &[Create, Start]);
        let (first, second) = (yard.worker(1), yard.worker(2));
        let (first, second) = (first.runsc.invocation(1), second.runsc.invocation(1));
        let (first_copy, second_copy) = (first.load("c1").unwrap(), second.load("c1").unwrap());
        let answers = [first.act(Pause, first_copy).unwrap(), second.act(Pause, second_copy).unwrap()];
        assert_eq!(answers[0], answers[1], "both claim the same revision");
        assert_eq!(answers[0].revision, Some(3));
    }
}

#[test]
fn stale_status_lets_a_pause_undo_a_resume() {
    for replica in names() {
        let yard = Yard::with(replica, &[Create, Start]);
        let late = yard.worker(1);
        let late = late.runsc.invocation(1);
        let copy = late.load("c1").unwrap();
        let mut other = yard.worker(2);
        other.perform(Pause, "c1");
        assert_eq!(other.perform(Resume, "c1").revision, Some(4));
        late.act(Pause, copy).unwrap();
        let left = yard.worker(3).audit();
        assert_eq!((left.status, left.revision), (Some(Status::Paused), Some(3)), "the resume is lost");
    }
}

#[test]
fn resurrection_an_operation_brings_back_what_was_deleted() {
    for replica in names() {
        let yard = Yard::with(replica, &[Create]);
        let late = yard.worker(1);
        let late = late.runsc.invocation(1);
        let copy = late.load("c1").unwrap();
        assert_ended(&yard.worker(2).perform(ForceDelete, "c1"), Outcome::Ok, None);
        assert_eq!(yard.files(), [""; 0]);
        late.act(Start, copy).unwrap();
        assert_eq!(yard.worker(3).audit().status, Some(Status::Running));
    }
}

#[test]
fn resurrection_a_refused_operation_leaves_a_folder() {
    let yard = Yard::with("gvisor-2018", &[Create, Start]);
    let late = yard.worker(1);
    let late = late.runsc.invocation(1);
    let copy = late.load("c1").unwrap();
    yard.worker(2).perform(ForceDelete, "c1");
    late.act(Start, copy).unwrap_err();
    assert!(yard.path("c1/c1/meta.lock").exists());
    // And whoever lists the containers from now on fails.
    assert_ended(&yard.worker(3).perform(List, "c1"), Outcome::Failed, Some(Reason::Io));
}

#[test]
fn a_ghost_is_absent_and_yet_in_the_way() {
    for replica in WITH_FOLDERS {
        let yard = Yard::new(replica);
        fs::create_dir(yard.path("c1")).unwrap();
        let mut worker = yard.worker(1);
        assert_ended(&worker.perform(List, "c1"), Outcome::Failed, Some(Reason::Io));
        assert_ended(&worker.perform(State, "c1"), Outcome::Refused, Some(Reason::Absent));
        assert_ended(&worker.perform(ForceDelete, "c1"), Outcome::Ok, None);
        assert!(yard.path("c1").exists(), "deleted by force, and still there");
        let create = worker.perform(Create, "c1");
        match replica {
            "gvisor-unlocked" => assert_ended(&create, Outcome::Refused, Some(Reason::Exists)),
            _ => assert_ended(&create, Outcome::Ok, None),
        }
    }
}

#[test]
fn a_queued_create_finds_its_folder_gone() {
    let yard = Yard::new("gvisor-2018");
    let lock = FileLock::take(&yard.path("c1"), "meta.lock").unwrap();
    thread::scope(|scope| {
        let create = scope.spawn(|| yard.worker(1).perform(Create, "c1"));
        wait_until_someone_waits(&yard, "c1/meta.lock");
        files::remove_all(&yard.path("c1")).unwrap();
        drop(lock);
        let answer = create.join().unwrap();
        assert_ended(&answer, Outcome::Failed, Some(Reason::Io));
        assert!(answer.message.unwrap().contains("error writing container metadata"));
    });
}

/// Lets whoever enters wait inside until it is told to go on.
#[derive(Debug)]
struct Gate {
    sections: Arc<Sections>,
    inside: AtomicBool,
    open: Barrier,
}

impl Watch for Gate {
    fn enter(&self, container: u32) {
        self.sections.enter(container);
        self.inside.store(true, Ordering::SeqCst);
        self.open.wait();
    }

    fn leave(&self, container: u32) {
        self.sections.leave(container);
    }
}

#[test]
fn unlocked_destroy_leads_to_two_holders_and_two_creates() {
    let yard = Yard::new("gvisor-2018");
    let sections = Arc::new(Sections::default());
    let gate = || {
        let (sections, inside, open) = (sections.clone(), AtomicBool::new(false), Barrier::new(2));
        Arc::new(Gate { sections, inside, open })
    };
    let gates = [gate(), gate()];
    let lock = FileLock::take(&yard.path("c1"), "meta.lock").unwrap();
    let creates = thread::scope(|scope| {
        let create = |process: u32| {
            let (yard, gate) = (&yard, gates[process as usize].clone());
            scope.spawn(move || yard.worker_under(process, gate).perform(Create, "c1"))
        };
        // One waits for the lock, its file is removed, and another takes the one that comes after it.
        let waiter = create(0);
        wait_until_someone_waits(&yard, "c1/meta.lock");
        files::remove_all(&yard.path("c1")).unwrap();
        let newcomer = create(1);
        wait_until("the newcomer is inside", || gates[1].inside.load(Ordering::SeqCst));
        drop(lock);
        wait_until("the waiter is inside", || gates[0].inside.load(Ordering::SeqCst));
        for gate in &gates {
            gate.open.wait();
        }
        [waiter, newcomer].map(|thread| thread.join().unwrap())
    });
    assert_eq!(sections.inside_max.load(Ordering::SeqCst), 2);
    assert!(creates.iter().all(|create| create.outcome == Outcome::Ok), "{creates:?}");
    assert_ne!(creates[0].generation, creates[1].generation);
}

#[test]
fn torn_by_kill_leaves_a_container_that_nobody_can_use_or_remove() {
    for replica in names() {
        let yard = Yard::with(replica, &[Create]);
        // What a kill between the truncation and the write leaves.
        File::create(yard.metadata("c1")).unwrap();
        let mut worker = yard.worker(1);
        assert_ended(&worker.perform(State, "c1"), Outcome::Failed, Some(Reason::Corrupt));
        assert_ended(&worker.perform(ForceDelete, "c1"), Outcome::Failed, Some(Reason::Corrupt));
        assert_ended(&worker.perform(Create, "c1"), Outcome::Refused, Some(Reason::Exists));
    }
}

/// Waits until the kernel has someone in line for the lock on this file.
fn wait_until_someone_waits(yard: &Yard, lock_file: &str) {
    use std::os::unix::fs::MetadataExt;
    let inode = format!(":{} ", fs::metadata(yard.path(lock_file)).unwrap().ino());
    wait_until("someone waits for the lock", || {
        fs::read_to_string("/proc/locks")
            .unwrap()
            .lines()
            .any(|line| line.contains("-> FLOCK") && line.contains(&inode))
    });
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn the_flat_layout_locks_one_file_and_makes_no_folder() {
    for replica in FLAT {
        let yard = Yard::new(replica);
        let sections = Arc::new(Sections::default());
        let mut worker = yard.worker_under(1, sections.clone());
        let state = yard.protocol().metadata_path("c1").display().to_string();
        let lock = state.replace(".state", ".lock");
        let entered = [(Create, 1), (State, 2), (Start, 4), (Pause, 6), (Resume, 8), (List, 9)];
        for (operation, entered) in entered {
            assert_ended(&worker.perform(operation, "c1"), Outcome::Ok, None);
            assert_eq!(sections.entered.load(Ordering::SeqCst), entered, "{replica}: {operation}");
            assert_eq!(yard.files(), [lock.clone(), state.clone()], "{replica}: {operation}");
        }
        // A change waits for the very file that a load locks: no load reads what a pause is saving.
        let held = FileLock::take_at(yard.path(&lock)).unwrap();
        thread::scope(|scope| {
            let pause = yard.worker(2);
            let late = scope.spawn(move || {
                let invocation = pause.runsc.invocation(1);
                let copy = invocation.load("c1").unwrap();
                invocation.act(Pause, copy).unwrap()
            });
            wait_until_someone_waits(&yard, &lock);
            drop(held);
            assert_eq!(late.join().unwrap().status, Some(Status::Paused));
        });
        assert_ended(&worker.perform(ForceDelete, "c2"), Outcome::Ok, None);
        assert_eq!(yard.files(), [lock, state], "{replica}");
    }
}

#[test]
fn a_refused_create_deletes_the_container_in_its_way_until_2024() {
    for replica in names() {
        let yard = Yard::with(replica, &[Create, Start]);
        assert_ended(&yard.worker(1).perform(Create, "c1"), Outcome::Refused, Some(Reason::Exists));
        let is_there = yard.metadata("c1").exists();
        assert_eq!(is_there, replica != "gvisor-2019", "{replica}");
    }
}

/// Fails every create of the processes 0 and 1.
fn failing(replica: &'static str, at: FailCreateAt) -> Yard {
    let fail_create = Some(FailCreate { share: 1.0, at, workers: 2 });
    Yard { fail_create, ..Yard::new(replica) }
}

#[test]
fn a_failed_create_leaves_a_ghost_in_2018_only() {
    for replica in names() {
        let yard = failing(replica, FailCreateAt::Start);
        let mut worker = yard.worker(1);
        assert_ended(&worker.perform(Create, "c1"), Outcome::Failed, Some(Reason::Other));
        let list = worker.perform(List, "c1");
        if replica == "gvisor-2018" {
            assert_eq!(yard.files(), ["c1", "c1/meta.lock"]);
            assert_ended(&list, Outcome::Failed, Some(Reason::Io));
        } else {
            assert_eq!(yard.files(), [""; 0], "{replica}");
            assert_ended(&list, Outcome::Ok, None);
        }
        let yard = failing(replica, FailCreateAt::End);
        yard.worker(1).perform(Create, "c1");
        assert_eq!(yard.files(), [""; 0], "{replica}");
    }
}

#[test]
fn who_is_no_worker_makes_no_create_fail() {
    let yard = failing("gvisor-2026", FailCreateAt::Start);
    assert_ended(&yard.worker(2).perform(Create, "c1"), Outcome::Ok, None);
}

#[test]
fn own_cleanup_removes_the_held_lock_in_2018_and_an_unheld_one_since() {
    // The file that a waiter waits for is gone when it gets the lock, in all of them. Since 2019 the lock was let go
    // first: so what removes the file is a destroy, as any other.
    for (replica, watched) in [("gvisor-2018", 1), ("gvisor-2019", 2), ("gvisor-2026", 2)] {
        let yard = failing(replica, FailCreateAt::End);
        let sections = Arc::new(Sections::default());
        yard.worker_under(1, sections.clone()).perform(Create, "c1");
        assert_eq!(sections.entered.load(Ordering::SeqCst), watched, "{replica}");
        assert_eq!(sections.inside_max.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn cleanup_after_unlock_destroys_the_container_of_a_create_that_slipped_in() {
    for replica in FLAT {
        let yard = failing(replica, FailCreateAt::Start);
        let barrier = Barrier::new(2);
        let deadline = Instant::now() + PATIENCE;
        let is_lost = || {
            thread::scope(|scope| {
                let create = |mut worker: Worker| {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        barrier.wait();
                        worker.perform(Create, "c1").outcome
                    })
                };
                let creates = [create(yard.worker(1)), create(yard.worker(2))];
                let [failing, sound] = creates.map(|thread| thread.join().unwrap());
                failing == Outcome::Failed && sound == Outcome::Ok && !yard.metadata("c1").exists()
            })
        };
        while !is_lost() {
            assert!(Instant::now() < deadline, "{replica}: no container was ever lost");
            files::remove_if_there(&yard.metadata("c1")).unwrap();
        }
    }
}

#[test]
fn a_destroy_waits_for_the_lock_since_2019() {
    for replica in names() {
        let yard = Yard::with(replica, &[Create]);
        let lock_file = match replica {
            "gvisor-unlocked" | "gvisor-2018" => "c1/meta.lock".to_owned(),
            _ => yard.protocol().metadata_path("c1").display().to_string().replace(".state", ".lock"),
        };
        let copy = yard.worker(1).runsc.invocation(1).load("c1").unwrap();
        let held = FileLock::take_at(yard.path(&lock_file)).unwrap();
        if WITH_FOLDERS.contains(&replica) {
            // It does not wait, and removes the file that is held.
            yard.worker(1).runsc.invocation(1).act(ForceDelete, copy).unwrap();
            assert!(!yard.path(&lock_file).exists());
            continue;
        }
        thread::scope(|scope| {
            let worker = yard.worker(1);
            let destroy = scope.spawn(move || worker.runsc.invocation(1).act(ForceDelete, copy));
            wait_until_someone_waits(&yard, &lock_file);
            assert!(yard.metadata("c1").exists());
            drop(held);
            destroy.join().unwrap().unwrap();
        });
        // The file was removed under the destroy's own lock: that is the bug unlink-while-held.
        assert_eq!(yard.files(), [""; 0], "{replica}");
    }
}

#[test]
fn orphan_lock_a_load_makes_the_lock_file_of_what_is_gone() {
    for replica in FLAT {
        let yard = Yard::with(replica, &[Create]);
        let late = yard.worker(1);
        let late = late.runsc.invocation(1);
        let copy = late.load("c1").unwrap();
        yard.worker(2).perform(ForceDelete, "c1");
        // Resume has locked before it looks at its copy's status.
        late.act(Resume, copy).unwrap_err();
        let lock = yard.protocol().metadata_path("c1").display().to_string().replace(".state", ".lock");
        assert_eq!(yard.files(), [lock], "{replica}");
    }
}

#[test]
fn prefix_retarget_an_operation_on_what_is_gone_hits_what_begins_so() {
    for replica in names() {
        let yard = Yard::with(replica, &[Create]);
        let mut worker = yard.worker(1);
        worker.perform(Create, "c12");
        let first = worker.perform(ForceDelete, "c1");
        // Since December 2020 an id that is there may be ambiguous too.
        if FLAT[1..].contains(&replica) {
            assert_ended(&first, Outcome::Refused, Some(Reason::Ambiguous));
            fs::remove_file(yard.metadata("c1")).unwrap();
        } else {
            assert_ended(&first, Outcome::Ok, None);
        }
        assert_ended(&worker.perform(ForceDelete, "c1"), Outcome::Ok, None);
        assert!(!yard.metadata("c12").exists(), "{replica}");
    }
}
