//! Whatever somebody puts in the place of a container's file, no operation hangs, crashes, or touches what lies outside;
//! and delete by force says that the id is free, or what is in the way.

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use flockwork::{Container, CreateRequest, LockKind, Store, Wait};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use support::{Scratch, id};

/// Longest that one operation may take: it waits for a lock no longer than [`WAIT`].
const PATIENCE: Duration = Duration::from_secs(20);
const WAIT: Duration = Duration::from_millis(1);

/// Makes something at a path, of which another lies outside. `false`: it cannot be made here.
type Make = fn(&Path, &Path) -> bool;

const THINGS: &[(&str, Make)] = &[
    ("nothing", |_, _| true),
    ("a folder", |path, _| fs::create_dir_all(path.join("deep/er")).is_ok()),
    ("a FIFO", |path, _| nix::unistd::mkfifo(path, Mode::S_IRWXU).is_ok()),
    ("a socket", |path, _| UnixListener::bind(path).is_ok()),
    ("a device", |path, _| mknod(path, SFlag::S_IFCHR, Mode::S_IRWXU, makedev(240, 77)).is_ok()),
    ("a link to nowhere", |path, _| symlink("/nowhere", path).is_ok()),
    ("a link to itself", |path, _| symlink(path, path).is_ok()),
    ("a link to a file outside", |path, outside| symlink(outside, path).is_ok()),
    ("a hard link to a file outside", |path, outside| fs::hard_link(outside, path).is_ok()),
    ("an empty file", |path, _| fs::write(path, "").is_ok()),
    ("a file of mode 000", |path, _| {
        let none = fs::Permissions::from_mode(0o000);
        fs::write(path, "{}").and_then(|()| fs::set_permissions(path, none)).is_ok()
    }),
    ("rubbish", |path, _| fs::write(path, [0xff; 300]).is_ok()),
    ("very deep JSON", |path, _| fs::write(path, "[".repeat(100_000)).is_ok()),
];

const NAMES: &[&str] = &["meta.json", "meta.json.tmp", "meta.lock", "meta.lock.break", ""];

type Operation = fn(&Store, &Container<'_>);

const OPERATIONS: &[(&str, Operation)] = &[
    ("create", |store, _| _ = store.create(&id("c1"), CreateRequest::default())),
    ("start", |_, container| _ = container.start()),
    ("pause", |_, container| _ = container.pause()),
    ("state", |_, container| _ = container.state()),
    ("load", |store, _| _ = store.load("c")),
    ("list", |store, _| _ = store.list()),
    ("kill", |_, container| _ = container.kill()),
    ("delete", |_, container| _ = container.delete()),
    ("force-delete", |_, container| _ = container.force_delete()),
];

/// One container in which something is put in the place of a file.
fn put(scratch: &Scratch, name: &str, make: Make, outside: &Path) -> bool {
    let folder = scratch.path().join("c1");
    let path = folder.join(name);
    match path.symlink_metadata() {
        Ok(about) if about.is_dir() => fs::remove_dir_all(&folder).unwrap(),
        Ok(_) => fs::remove_file(&path).unwrap(),
        Err(_) => {}
    }
    // The name of the folder itself ends without a slash.
    make(if name.is_empty() { &folder } else { &path }, outside)
}

/// Tries everything with some lock backends; how many objects that were.
fn try_all(locks: &[LockKind]) -> u32 {
    let (says, said) = mpsc::channel::<Option<String>>();
    let locks = locks.to_vec();
    let worker = std::thread::spawn(move || {
        let mut objects = 0;
        for lock in locks {
            for name in NAMES {
                for (what, make) in THINGS {
                    for (operation, perform) in OPERATIONS {
                        says.send(Some(format!("{operation} with {lock} locks, where {name:?} is {what}")))
                            .unwrap();
                        objects += u32::from(try_one(lock, name, *make, *perform));
                    }
                }
            }
        }
        says.send(None).unwrap();
        objects
    });
    let mut last = String::new();
    loop {
        match said.recv_timeout(PATIENCE) {
            Ok(Some(next)) => last = next,
            Ok(None) => return worker.join().unwrap(),
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("{last}: it hangs"),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let _ = worker.join();
                panic!("{last}: it panicked");
            }
        }
    }
}

fn try_one(lock: LockKind, name: &str, make: Make, perform: Operation) -> bool {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "mine").unwrap();
    let scratch = Scratch::with(Store::options().lock(lock).wait(Wait::Bounded(WAIT)));
    scratch.create(&id("c1"));
    if !put(&scratch, name, make, &victim) {
        return false;
    }
    let c1 = id("c1");
    let container = scratch.store.container(&c1);
    perform(&scratch.store, &container);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine", "what lies outside was touched");
    match container.force_delete() {
        Ok(_) => {
            assert!(
                !scratch.path().join("c1").exists(),
                "force delete said ok, and left the folder: {:?}",
                scratch.snapshot().keys()
            );
            scratch.create(&id("c1"));
            container.force_delete().unwrap();
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine", "what lies outside was touched");
    true
}

#[test]
fn whatever_lies_there_nothing_hangs_and_nothing_outside_is_touched() {
    println!("{} hostile objects", try_all(&[LockKind::Fs2, LockKind::Lockfile]));
}

#[test]
#[ignore = "the same with every lock backend: `just hostile` runs it"]
fn whatever_lies_there_nothing_hangs_and_nothing_outside_is_touched_at_length() {
    println!("{} hostile objects", try_all(&LockKind::ALL));
}
