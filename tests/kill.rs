//! A process is killed at random points of a tight loop, and the next process recovers: whatever is there is
//! readable and usable, can be deleted, and leaves nothing.

mod support;

use std::path::Path;
use std::time::Duration;

use flockwork::{CreateRequest, Error, LockKind, Status, Store, StoreOptions, WritePolicy};
use support::{Child, Random, Scratch, id, role, say_ready};

const ROUNDS: usize = 40;

fn options(role: &str, lock: LockKind) -> StoreOptions {
    let write = if role == "fsync" { WritePolicy::Fsync } else { WritePolicy::Rename };
    Store::options().lock(lock).write(write)
}

/// Not a test by itself: what the children of the other tests do.
#[test]
fn child_process() {
    let Some((role, root, lock)) = role() else { return };
    let store = options(&role, lock).open(root).unwrap();
    let id = id("c1");
    let container = store.container(&id);
    say_ready();
    // Errors are what the killed process before left, or what the other loops do: the parent judges.
    loop {
        let _ = store.create(&id, CreateRequest::with_spec(&"x".repeat(5000)).unwrap());
        let _ = container.start();
        for _ in 0..3 {
            let _ = container.pause();
            let _ = container.resume();
        }
        let _ = container.kill();
        let _ = container.delete();
        let _ = container.force_delete();
    }
}

fn kill_and_recover(role: &str, lock: LockKind, children: usize) {
    let scratch = Scratch::with(options(role, lock));
    let mut random = Random::new();
    let mut generation = 0;
    let mut found = 0;
    for round in 0..ROUNDS {
        let mut children: Vec<_> = (0..children).map(|_| Child::spawn(role, scratch.path(), lock)).collect();
        children.iter_mut().for_each(Child::wait_until_ready);
        std::thread::sleep(Duration::from_micros(random.below(4000)));
        children.iter_mut().for_each(Child::kill);
        found += usize::from(scratch.file(&id("c1"), "meta.json").exists());
        generation = recover(&scratch, round, generation);
    }
    println!("{role} {lock}: of {ROUNDS} kills {found} left a container");
}

/// Uses what is there, deletes it, and makes it again.
fn recover(scratch: &Scratch, round: usize, earlier: u64) -> u64 {
    let id = id("c1");
    let container = scratch.store.container(&id);
    match container.state() {
        Ok(metadata) => {
            assert!(metadata.generation > earlier, "round {round}");
            assert_eq!(metadata.spec.get().len(), 5002, "round {round}");
            let usable = match metadata.status {
                Status::Created | Status::Running => container.pause(),
                Status::Paused => container.resume(),
                Status::Stopped => Ok(metadata.stamp()),
            };
            assert!(usable.unwrap().revision >= metadata.revision, "round {round}");
            assert!(!scratch.file(&id, "meta.json.tmp").exists(), "round {round}: a holder clears leftovers");
            container.force_delete().unwrap().unwrap();
        }
        Err(Error::NotFound { .. }) => (),
        Err(error) => panic!("round {round}: {error}"),
    }
    assert!(scratch.store.list().unwrap().ids.is_empty(), "round {round}");
    assert!(scratch.snapshot().is_empty(), "round {round}: {:?}", scratch.snapshot().keys());
    let stamp = scratch.store.create(&id, CreateRequest::default()).unwrap();
    assert!(stamp.generation > earlier, "round {round}");
    container.delete().unwrap();
    assert!(!Path::exists(&scratch.path().join("c1")), "round {round}");
    stamp.generation
}

#[test]
fn fs2() {
    kill_and_recover("rename", LockKind::Fs2, 1);
}

#[test]
fn std() {
    kill_and_recover("rename", LockKind::Std, 1);
}

#[test]
fn ofd() {
    kill_and_recover("rename", LockKind::Ofd, 1);
}

#[test]
fn posix() {
    kill_and_recover("rename", LockKind::Posix, 1);
}

#[test]
fn lockfile() {
    kill_and_recover("rename", LockKind::Lockfile, 1);
}

#[test]
fn fsync() {
    kill_and_recover("fsync", LockKind::Fs2, 1);
}

#[test]
fn two_at_once_with_flock() {
    kill_and_recover("rename", LockKind::Fs2, 2);
}

#[test]
fn two_at_once_with_a_lock_file() {
    kill_and_recover("rename", LockKind::Lockfile, 2);
}
