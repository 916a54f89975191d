//! The lock itself: between processes, between threads, with each backend.

mod support;

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flockwork::{ContainerId, CreateRequest, Error, LockKind, ReadPolicy, Store, StoreOptions, Wait};
use support::{Child, Scratch, Watch, each_lock, id, role, say_ready};

/// Not a test by itself: what the children of the other tests do.
#[test]
fn child_process() {
    let Some((role, root, lock)) = role() else { return };
    match role.as_str() {
        "churn" => churn(&root, lock),
        "hold" => {
            let store = Store::options().lock(lock).open(root).unwrap();
            let id = id("c1");
            let _held = store.container(&id).lock_exclusive().unwrap();
            say_ready();
            std::thread::sleep(Duration::from_secs(60));
        }
        _ => panic!("unknown role {role}"),
    }
}

/// Marks the inside of the lock with a file that must not be there yet.
fn watched(root: &Path, lock: LockKind) -> StoreOptions {
    let inside = root.join("~inside");
    let watch = Watch::new(move |call| match call {
        "entered" => {
            File::create_new(&inside).map(|_| ()).map_err(|_| io::Error::other("two holders at once"))
        }
        "leaving" => std::fs::remove_file(&inside),
        _ => Ok(()),
    });
    Store::options().lock(lock).sandbox(watch)
}

/// Creates, uses and deletes one container against everybody else who does.
fn churn(root: &Path, lock: LockKind) {
    let store = watched(root, lock).open(root).unwrap();
    let id = id("c1");
    let container = store.container(&id);
    for round in 0..150 {
        let results = [
            store.create(&id, CreateRequest::default()).map(|_| ()),
            container.start().map(|_| ()),
            container.pause().map(|_| ()),
            container.state().map(|_| ()),
            if round % 3 == 0 {
                container.delete().map(|_| ())
            } else {
                container.force_delete().map(|_| ())
            },
        ];
        for error in results.into_iter().filter_map(Result::err) {
            assert!(error.refusal().is_some(), "{lock}: {error}");
        }
    }
}

#[test]
fn processes_exclude_each_other_while_the_container_comes_and_goes() {
    for (kind, scratch) in each_lock() {
        let children: Vec<_> = (0..4).map(|_| Child::spawn("churn", scratch.path(), kind)).collect();
        children.into_iter().for_each(Child::join);
        scratch.store.container(&id("c1")).force_delete().unwrap();
        assert!(scratch.store.list().unwrap().ids.is_empty());
        assert!(scratch.snapshot().is_empty(), "{kind}: {:?}", scratch.snapshot().keys());
    }
}

#[test]
fn threads_exclude_each_other_while_the_container_comes_and_goes() {
    for (kind, scratch) in each_lock() {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| churn(scratch.path(), kind));
            }
        });
        scratch.store.container(&id("c1")).force_delete().unwrap();
        assert!(scratch.snapshot().is_empty(), "{kind}");
    }
}

#[test]
fn a_bounded_wait_ends_and_names_the_holder() {
    for (kind, scratch) in each_lock() {
        scratch.create(&id("c1"));
        let mut holder = Child::spawn("hold", scratch.path(), kind);
        holder.wait_until_ready();
        for wait in [Wait::Try, Wait::Bounded(Duration::from_millis(20))] {
            let store = Store::options().lock(kind).wait(wait).open(scratch.path()).unwrap();
            let error = store.container(&id("c1")).pause().unwrap_err();
            let Error::Locked { path, holder: Some(found), waited } = &error else {
                panic!("{kind} {wait}: {error}")
            };
            assert_eq!(found.pid, holder.0.id(), "{kind}");
            assert!(found.command.as_ref().unwrap().contains("child_process"), "{kind}: {found}");
            assert!(error.to_string().contains(&format!("process {}", found.pid)), "{error}");
            assert_eq!(*path, scratch.file(&id("c1"), "meta.lock"));
            assert!(wait == Wait::Try || *waited >= Duration::from_millis(20), "{kind}: {waited:?}");
        }
        holder.kill();
        scratch.store.container(&id("c1")).pause().unwrap();
    }
}

#[test]
fn a_posix_lock_outlives_the_readers_of_the_same_process() {
    let scratch = Scratch::with(Store::options().lock(LockKind::Posix).wait(Wait::Try));
    scratch.create(&id("c1"));
    let id = id("c1");
    let held = scratch.store.container(&id).lock_exclusive().unwrap();
    // Each of these would open and close the lock file, and the first close would give the lock away.
    assert!(matches!(scratch.store.container(&id).state(), Err(Error::Locked { .. })));
    assert!(matches!(scratch.store.container(&id).pause(), Err(Error::Locked { .. })));
    // Not /proc/locks: it is read in pieces, and leaves lines out while others take and release locks.
    let inode = std::fs::metadata(scratch.file(&id, "meta.lock")).unwrap().ino();
    let is_ours = |line: &str| line.contains("POSIX") && line.contains(&format!(":{inode} "));
    let has_lock = |entry: std::fs::DirEntry| {
        std::fs::read_to_string(entry.path()).is_ok_and(|info| info.lines().any(is_ours))
    };
    assert!(std::fs::read_dir("/proc/self/fdinfo").unwrap().flatten().any(has_lock));
    drop(held);
    scratch.store.container(&id).pause().unwrap();
}

#[test]
fn a_reader_in_another_thread_waits_for_a_posix_lock() {
    let scratch = Scratch::with(Store::options().lock(LockKind::Posix));
    scratch.create(&id("c1"));
    let id = id("c1");
    let held = scratch.store.container(&id).lock_exclusive().unwrap();
    let has_read = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            scratch.store.container(&id).state().unwrap();
            has_read.store(true, Ordering::SeqCst);
        });
        std::thread::sleep(Duration::from_millis(20));
        assert!(!has_read.load(Ordering::SeqCst));
        drop(held);
    });
    assert!(has_read.load(Ordering::SeqCst));
}

#[test]
fn posix_is_refused_beside_another_backend_in_one_process() {
    let scratch = Scratch::with(Store::options().lock(LockKind::Posix));
    let other = Store::options().lock(LockKind::Ofd).open(scratch.path());
    assert!(matches!(other, Err(Error::Unsupported { .. })));
    assert!(Store::options().lock(LockKind::Posix).open(scratch.path()).is_ok());
    let Scratch { folder, store } = scratch;
    drop(store);
    assert!(Store::options().lock(LockKind::Ofd).open(folder.path()).is_ok());
}

#[test]
fn backends_that_cannot_be_mixed_are_told_apart_by_their_files() {
    for (lock, other) in [(LockKind::Lockfile, LockKind::Fs2), (LockKind::Fs2, LockKind::Lockfile)] {
        let scratch = Scratch::with(Store::options().lock(lock).wait(Wait::Try));
        scratch.create(&id("c1"));
        let id = id("c1");
        let _held = scratch.store.container(&id).lock_exclusive().unwrap();
        let store = Store::options().lock(other).open(scratch.path()).unwrap();
        let error = store.container(&id).pause().unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{lock} and {other}: {error}");
        assert!(error.to_string().contains("one lock backend"), "{error}");
    }
}

#[test]
fn readers_share_where_the_backend_can() {
    for (kind, scratch) in each_lock() {
        scratch.create(&id("c1"));
        let id = id("c1");
        let other = Store::options().lock(kind).wait(Wait::Try).open(scratch.path()).unwrap();
        let shared = scratch.store.container(&id).lock_shared().unwrap();
        let second = other.container(&id).lock_shared();
        // Posix locks are shared between processes, the registry between nobody; a lock file is there or not.
        let can_share = !matches!(kind, LockKind::Posix | LockKind::Lockfile);
        assert_eq!(second.is_ok(), can_share, "{kind}");
        assert!(matches!(other.container(&id).pause(), Err(Error::Locked { .. })), "{kind}");
        drop((shared, second));
        other.container(&id).pause().unwrap();
    }
}

#[test]
fn a_lock_free_reader_does_not_wait() {
    let scratch = Scratch::with(Store::options().read(ReadPolicy::LockFree).wait(Wait::Try));
    scratch.create(&id("c1"));
    let id = id("c1");
    let _held = scratch.store.container(&id).lock_exclusive().unwrap();
    scratch.store.container(&id).state().unwrap();
}

/// A killed delete leaves a folder with a lock file and no metadata.
#[test]
fn a_lock_free_reader_does_not_wait_for_what_is_absent() {
    let scratch = Scratch::with(Store::options().read(ReadPolicy::LockFree).wait(Wait::Try));
    scratch.create(&id("c1"));
    let id = id("c1");
    let _held = scratch.store.container(&id).lock_exclusive().unwrap();
    std::fs::remove_file(scratch.file(&id, "meta.json")).unwrap();
    assert!(matches!(scratch.store.container(&id).state(), Err(Error::NotFound { .. })));
}

#[test]
fn a_guard_says_what_it_is() {
    let scratch = Scratch::new();
    let id = id("c1");
    scratch.create(&id);
    let guard = scratch.store.container(&id).lock_exclusive().unwrap();
    assert!(format!("{guard:?}").contains("Guard {"), "{guard:?}");
}

#[test]
fn locks_are_not_inherited_by_children() {
    for (kind, scratch) in each_lock() {
        scratch.create(&id("c1"));
        let id: ContainerId = id("c1");
        let held = scratch.store.container(&id).lock_exclusive().unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        drop(held);
        let other = Store::options().lock(kind).wait(Wait::Try).open(scratch.path()).unwrap();
        let result = other.container(&id).pause();
        child.kill().unwrap();
        child.wait().unwrap();
        result.unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
}

#[test]
fn a_lock_file_of_a_dead_process_is_broken_by_whoever_comes() {
    let scratch = Scratch::with(Store::options().lock(LockKind::Lockfile));
    scratch.create(&id("c1"));
    let mut holder = Child::spawn("hold", scratch.path(), LockKind::Lockfile);
    holder.wait_until_ready();
    holder.kill();
    assert!(
        scratch.file(&id("c1"), "meta.lock").symlink_metadata().is_ok(),
        "the dead process left its lock"
    );
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| churn_states(&scratch));
        }
    });
    scratch.store.container(&id("c1")).delete().unwrap();
    assert!(scratch.snapshot().is_empty());
}

#[test]
fn break_locks_of_dead_processes_go_with_the_container() {
    for also_the_lock in [false, true] {
        let scratch = Scratch::with(Store::options().lock(LockKind::Lockfile));
        scratch.create(&id("c1"));
        let names = ["meta.lock.break", "meta.lock.break.break", "meta.lock"];
        for name in &names[..if also_the_lock { 3 } else { 2 }] {
            // A process of another boot.
            std::os::unix::fs::symlink(format!("1.1.{:032x}.1.1.1", 1), scratch.file(&id("c1"), name))
                .unwrap();
        }
        scratch.store.container(&id("c1")).delete().unwrap();
        assert!(scratch.snapshot().is_empty(), "{:?}", scratch.snapshot().keys());
    }
}

fn churn_states(scratch: &Scratch) {
    for _ in 0..20 {
        scratch.store.container(&id("c1")).state().unwrap();
    }
    io::stdout().flush().unwrap();
}

#[test]
fn a_lock_file_that_cannot_be_one_is_reported() {
    for kind in LockKind::ALL {
        let scratch = Scratch::with(Store::options().lock(kind));
        let lock = scratch.file(&id("c1"), "meta.lock");
        std::fs::create_dir_all(&lock).unwrap();
        OpenOptions::new().create(true).append(true).open(scratch.file(&id("c1"), "meta.json")).unwrap();
        for error in [
            scratch.store.container(&id("c1")).state().unwrap_err(),
            scratch.store.create(&id("c1"), CreateRequest::default()).unwrap_err(),
        ] {
            assert!(matches!(error, Error::Corrupt { .. }), "{kind}: {error}");
            assert_eq!(error.path(), Some(&*lock), "{kind}");
        }
        assert_eq!(scratch.store.container(&id("c1")).force_delete().unwrap(), None);
        assert!(scratch.snapshot().is_empty(), "{kind}");
        scratch.create(&id("c1"));
    }
}
