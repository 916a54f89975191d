//! The eight rules of the design, a test each. Each was seen to fail with its rule broken.

mod support;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use flockwork::{
    Container, CreateRequest, Error, LockKind, Operation, Result, Signal, Status, Store, Wait, WritePolicy,
};
use support::{Child, Scratch, Watch, each_lock, id, role, say_ready};

/// Not a test by itself: a child that holds the lock.
#[test]
fn child_process() {
    let Some((_, root, lock)) = role() else { return };
    let store = Store::options().lock(lock).open(root).unwrap();
    let id = id("c1");
    let _held = store.container(&id).lock_exclusive().unwrap();
    say_ready();
    std::thread::sleep(Duration::from_secs(60));
}

/// Every operation on the container c1 that takes its lock, with its name.
fn operations(store: &Store) -> Vec<(Operation, Result<()>)> {
    let id = id("c1");
    let container = store.container(&id);
    let image = store.path().join("~image");
    vec![
        (Operation::Create, store.create(&id, CreateRequest::default()).map(|_| ())),
        (Operation::Start, container.start().map(|_| ())),
        (Operation::Restore, container.restore(&image).map(|_| ())),
        (Operation::Pause, container.pause().map(|_| ())),
        (Operation::Resume, container.resume().map(|_| ())),
        (Operation::Signal, container.signal(Signal::SIGTERM).map(|_| ())),
        (Operation::Kill, container.kill().map(|_| ())),
        (Operation::Checkpoint, container.checkpoint(&image).map(|_| ())),
        (Operation::Wait, container.wait(Some(Duration::ZERO)).map(|_| ())),
        (Operation::State, container.state().map(|_| ())),
        (Operation::Load, store.load("c1").map(|_| ())),
        (Operation::Delete, container.delete().map(|_| ())),
        (Operation::ForceDelete, container.force_delete().map(|_| ())),
    ]
}

#[test]
fn rule_1_every_operation_takes_the_same_lock() {
    for (kind, scratch) in each_lock() {
        scratch.create(&id("c1"));
        let before = scratch.snapshot();
        let mut holder = Child::spawn("hold", scratch.path(), kind);
        holder.wait_until_ready();
        let store = Store::options().lock(kind).wait(Wait::Try).open(scratch.path()).unwrap();
        for (operation, result) in operations(&store) {
            let Err(Error::Locked { path, .. }) = result else { panic!("{kind} {operation}: {result:?}") };
            assert_eq!(path, scratch.file(&id("c1"), "meta.lock"), "{kind} {operation}");
        }
        holder.kill();
        let _ = store.container(&id("c1")).state();
        assert_eq!(scratch.snapshot(), before, "{kind}");
    }
}

#[test]
fn rule_1_the_lock_is_held_from_the_read_to_the_save() {
    // Whenever the sandbox is called, another store finds the lock taken.
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let calls = Arc::new(Mutex::new(Vec::new()));
    let (in_hook, seen) = (folder.clone(), calls.clone());
    let watch = Watch::new(move |call| {
        let other = Store::options().wait(Wait::Try).open(in_hook.path()).map_err(io::Error::other)?;
        let is_locked = matches!(other.container(&id("c1")).lock_shared(), Err(Error::Locked { .. }));
        seen.lock().unwrap().push((call.to_owned(), is_locked));
        Ok(())
    });
    let store = Store::options().sandbox(watch).open(folder.path()).unwrap();
    let id = id("c1");
    let container = store.container(&id);
    let image = folder.path().join("~image");
    store.create(&id, CreateRequest::default()).unwrap();
    container.checkpoint(&image).unwrap();
    container.restore(&image).unwrap();
    container.pause().unwrap();
    container.pause().unwrap_err();
    container.resume().unwrap();
    container.kill().unwrap();
    container.delete().unwrap();
    let calls = calls.lock().unwrap();
    for name in
        ["entered", "create", "hold", "start", "pause", "resume", "signal", "destroy", "annotate", "leaving"]
    {
        assert!(calls.iter().any(|(call, _)| call == name), "{name} was called");
    }
    for (call, is_locked) in calls.iter() {
        assert!(is_locked, "{call} was called without the lock");
    }
    assert_eq!(calls.iter().filter(|(call, _)| call == "entered").count(), 8, "refused operations enter too");
    assert_eq!(calls.iter().filter(|(call, _)| call == "leaving").count(), 8);
}

#[test]
fn rule_2_the_status_is_read_under_the_lock_and_nothing_older_is_saved() {
    for (kind, scratch) in each_lock() {
        let id = id("c1");
        scratch.create(&id);
        let container = scratch.store.container(&id);
        let other = Store::options().lock(kind).open(scratch.path()).unwrap();
        let path = scratch.file(&id, "meta.json");
        let held = container.lock_exclusive().unwrap();
        let started = Barrier::new(2);
        let result = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                started.wait();
                other.container(&id).start()
            });
            started.wait();
            // Time for a waiter that reads before it locks to do so; one that locks first cannot go wrong.
            std::thread::sleep(Duration::from_millis(30));
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.replace("\"revision\":1", "\"label\":\"new\",\"revision\":5")).unwrap();
            drop(held);
            waiter.join().unwrap()
        });
        assert_eq!(result.unwrap().revision, 6, "{kind}");
        assert!(fs::read_to_string(&path).unwrap().contains("\"label\":\"new\""), "{kind}");
        // The same with a status that forbids the operation.
        let held = container.lock_exclusive().unwrap();
        let result = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| other.container(&id).pause());
            std::thread::sleep(Duration::from_millis(30));
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.replace("\"running\"", "\"stopped\"")).unwrap();
            drop(held);
            waiter.join().unwrap()
        });
        assert!(
            matches!(result, Err(Error::WrongStatus { status: Status::Stopped, .. })),
            "{kind}: {result:?}"
        );
    }
}

#[test]
fn rule_3_a_lock_whose_file_was_replaced_is_not_a_lock() {
    for (kind, scratch) in each_lock() {
        // A lock file is not waited for by its inode, and posix locks of one process do not exclude each other
        // here: both are covered by the tests of coming and going in locks.rs.
        if matches!(kind, LockKind::Lockfile | LockKind::Posix) {
            continue;
        }
        let id = id("c1");
        scratch.create(&id);
        let lock = scratch.file(&id, "meta.lock");
        let first = scratch.store.container(&id).lock_exclusive().unwrap();
        let patient = Store::options().lock(kind).open(scratch.path()).unwrap();
        let has_lock = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _lock = patient.container(&id).lock_exclusive().unwrap();
                has_lock.store(true, Ordering::SeqCst);
            });
            std::thread::sleep(Duration::from_millis(30));
            // As a delete and a create by others would: the waiter waits for a file that is not there any more.
            fs::remove_file(&lock).unwrap();
            fs::File::create_new(&lock).unwrap();
            let second = scratch.store.container(&id).lock_exclusive().unwrap();
            drop(first);
            std::thread::sleep(Duration::from_millis(30));
            assert!(!has_lock.load(Ordering::SeqCst), "{kind}: two holders");
            drop(second);
        });
        assert!(has_lock.load(Ordering::SeqCst), "{kind}");
    }
}

#[test]
fn rule_3_only_create_makes_files() {
    for (kind, scratch) in each_lock() {
        let id = id("c1");
        let container = scratch.store.container(&id);
        let operations: [fn(&Container<'_>) -> Result<()>; 6] = [
            |container| container.start().map(|_| ()),
            |container| container.resume().map(|_| ()),
            |container| container.kill().map(|_| ()),
            |container| container.state().map(|_| ()),
            |container| container.delete().map(|_| ()),
            |container| container.force_delete().map(|_| ()).and(container.pause().map(|_| ())),
        ];
        for operation in operations {
            let result = operation(&container);
            assert!(matches!(result, Err(Error::NotFound { .. })), "{kind}: {result:?}");
            assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "{kind}");
        }
        assert!(matches!(scratch.store.load("c"), Err(Error::NotFound { .. })));
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "{kind}");
    }
}

#[test]
fn rule_4_a_save_replaces_the_file_as_a_whole() {
    for write in [WritePolicy::Rename, WritePolicy::Fsync] {
        let scratch = Scratch::with(Store::options().write(write));
        let id = id("c1");
        scratch.create(&id);
        let path = scratch.file(&id, "meta.json");
        // A second name for the old file: whoever reads it sees the old metadata, whole.
        let old_name = scratch.path().join("~old");
        fs::hard_link(&path, &old_name).unwrap();
        let old = fs::read(&path).unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        // What a killed holder left, and longer than what is saved now.
        fs::write(scratch.file(&id, "meta.json.tmp"), "x".repeat(9999)).unwrap();
        scratch.store.container(&id).pause().unwrap();
        assert_ne!(fs::metadata(&path).unwrap().ino(), inode);
        assert_eq!(fs::read(&old_name).unwrap(), old);
        assert_eq!(scratch.state(&id).status, Status::Paused);
        assert!(!scratch.file(&id, "meta.json.tmp").exists());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        // A holder that is refused clears it as well.
        fs::write(scratch.file(&id, "meta.json.tmp"), "{").unwrap();
        scratch.store.container(&id).pause().unwrap_err();
        assert!(!scratch.file(&id, "meta.json.tmp").exists());
    }
}

/// A store whose sandbox fails at one kind of call.
fn failing(at: &'static str) -> Scratch {
    let calls = AtomicUsize::new(0);
    let watch = Watch::new(move |call| {
        calls.fetch_add(1, Ordering::Relaxed);
        if call == at { Err(io::Error::other("out of order")) } else { Ok(()) }
    });
    Scratch::with(Store::options().sandbox(watch))
}

#[test]
fn rule_5_a_failed_operation_changes_nothing() {
    for at in ["create", "hold", "annotate"] {
        let scratch = failing(at);
        let error = scratch.store.create(&id("c1"), CreateRequest::default()).unwrap_err();
        assert!(matches!(error, Error::Sandbox { operation: Operation::Create, .. }), "{at}: {error}");
        assert!(scratch.snapshot().is_empty(), "{at}: a failed create leaves nothing");
    }
    for at in ["start", "pause", "signal", "destroy"] {
        let scratch = failing(at);
        let id = id("c1");
        scratch.create(&id);
        let before = scratch.snapshot();
        let container = scratch.store.container(&id);
        let result = match at {
            "start" => container.start().map(|_| ()),
            "pause" => container.pause().map(|_| ()),
            "signal" => container.kill().map(|_| ()),
            _ => container.delete().map(|_| ()),
        };
        assert!(matches!(result, Err(Error::Sandbox { .. })), "{at}: {result:?}");
        assert_eq!(scratch.snapshot(), before, "{at}");
    }
}

#[test]
fn rule_5_a_save_that_fails_takes_back_what_the_sandbox_did() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let calls = Arc::new(Mutex::new(Vec::new()));
    let (in_hook, seen) = (folder.clone(), calls.clone());
    // The temporary file vanishes while the sandbox acts: the rename that follows fails.
    let watch = Watch::new(move |call| {
        seen.lock().unwrap().push(call.to_owned());
        if call == "pause" { fs::remove_file(in_hook.path().join("c1/meta.json.tmp")) } else { Ok(()) }
    });
    let store = Store::options().sandbox(watch).open(folder.path()).unwrap();
    let id = id("c1");
    store.create(&id, CreateRequest::default()).unwrap();
    let before = support::snapshot(folder.path());
    calls.lock().unwrap().clear();
    let error = store.container(&id).pause().unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert_eq!(*calls.lock().unwrap(), ["entered", "annotate", "pause", "resume", "leaving"]);
    assert_eq!(support::snapshot(folder.path()), before);
}

#[test]
fn rule_5_what_a_killed_delete_or_create_leaves_is_no_container_and_is_cleared() {
    /// Does one thing to a store in which a ghost is.
    type Clear = fn(&Scratch);
    let clears: [Clear; 4] = [
        |scratch| assert!(scratch.store.list().unwrap().ids.is_empty()),
        |scratch| assert!(matches!(scratch.store.container(&id("c1")).delete(), Err(Error::NotFound { .. }))),
        |scratch| assert_eq!(scratch.store.container(&id("c1")).force_delete().unwrap(), None),
        |scratch| {
            scratch.create(&id("c1"));
            scratch.store.container(&id("c1")).delete().unwrap();
        },
    ];
    for leftovers in [&[][..], &["meta.lock"], &["meta.lock", "meta.json.tmp"]] {
        for clear in clears {
            let scratch = Scratch::new();
            fs::create_dir(scratch.path().join("c1")).unwrap();
            for name in leftovers {
                fs::write(scratch.file(&id("c1"), name), "").unwrap();
            }
            let state = scratch.store.container(&id("c1")).state();
            assert!(matches!(state, Err(Error::NotFound { .. })), "{leftovers:?}: {state:?}");
            clear(&scratch);
            // Without a lock file there is nothing to hold: a delete of what is absent leaves the empty folder.
            scratch.store.list().unwrap();
            assert!(scratch.snapshot().is_empty(), "{leftovers:?}: {:?}", scratch.snapshot().keys());
        }
    }
}

#[test]
fn rule_6_whatever_writes_takes_the_guard() {
    let text = include_str!("../src/write.rs");
    let functions: Vec<_> = text.split("fn ").skip(1).collect();
    let mut checked = 0;
    for name in ["prepare(", "prepare_bytes(", "clear_leftover(", "commit(", "write_new(", "write_in_place("]
    {
        let function = functions.iter().find(|function| function.starts_with(name)).expect(name);
        let signature = &function[..function.find('{').expect(name)];
        assert!(signature.contains("lock: &Exclusive<'_>"), "{name}{signature}");
        checked += 1;
    }
    // Whoever adds a function that writes adds it here: the calls that write are in these, and nowhere else.
    assert_eq!(checked, 6);
    let calls = [".rename(META_TEMPORARY", "write_all(&file", "ftruncate(&file"]
        .map(|call| text.matches(call).count());
    assert_eq!(calls, [1, 2, 1]);
}

#[test]
fn rule_7_a_wait_can_be_bounded_and_the_error_names_the_holder() {
    let scratch = Scratch::new();
    scratch.create(&id("c1"));
    let mut holder = Child::spawn("hold", scratch.path(), LockKind::Fs2);
    holder.wait_until_ready();
    // A process that is stopped holds its locks for ever.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(holder.0.id().cast_signed()), Signal::SIGSTOP).unwrap();
    let bound = Duration::from_millis(30);
    let store = Store::options().wait(Wait::Bounded(bound)).open(scratch.path()).unwrap();
    let error = store.container(&id("c1")).state().unwrap_err();
    let Error::Locked { holder: Some(found), waited, .. } = &error else { panic!("{error}") };
    assert!(*waited >= bound);
    assert_eq!(found.pid, holder.0.id());
    assert!(found.command.as_ref().unwrap().contains("child_process"), "{error}");
    holder.kill();
}

#[test]
fn rule_8_every_mutation_is_ordered_by_generation_and_revision() {
    let scratch = Scratch::new();
    let id = id("c1");
    let container = scratch.store.container(&id);
    let mut stamps = Vec::new();
    for _ in 0..3 {
        stamps.push(scratch.store.create(&id, CreateRequest::default()).unwrap());
        stamps.push(container.pause().unwrap());
        stamps.push(container.resume().unwrap());
        stamps.push(container.start().unwrap());
        stamps.push(container.signal(Signal::SIGTERM).unwrap());
        let gone = container.delete().unwrap();
        let last = stamps.last().unwrap();
        assert_eq!((gone.generation, gone.revision), (last.generation, last.revision + 1));
        // Other containers take generations of the same counter.
        scratch.create(&"other".parse().unwrap());
        scratch.store.container(&"other".parse().unwrap()).delete().unwrap();
    }
    let order: Vec<_> = stamps.iter().map(|stamp| (stamp.generation, stamp.revision)).collect();
    assert!(order.is_sorted_by(|a, b| a < b), "{order:?}");
    for life in stamps.chunks(5) {
        assert_eq!(life.iter().map(|stamp| stamp.revision).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert!(life.iter().all(|stamp| stamp.generation == life[0].generation));
    }
}
