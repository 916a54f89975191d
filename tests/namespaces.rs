//! Processes of other time and pid namespaces share a root: the living are never taken for dead, and a number that
//! means another process is never signalled.
//!
//! Each test starts a child in a namespace of its own, by `unshare` (util-linux), which needs privileges.

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use flockwork::{Container, CreateRequest, Error, LockKind, Standing, Status, Store, StoreOptions, Wait};
use support::marked::{Marked, with_processes};
use support::{Child, id, role, say_ready};

/// A time namespace in which the machine booted 5,000 s earlier: start times are other numbers there.
const OTHER_TIME: &[&str] = &["unshare", "--time", "--boottime", "5000", "--fork", "--kill-child"];
/// A pid namespace with the `/proc` of the one above it.
const FOREIGN_PROC: &[&str] = &["unshare", "--pid", "--fork", "--kill-child"];
/// A pid namespace with its own `/proc`.
const OTHER_PIDS: &[&str] = &["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];

fn is_possible(test: &str, unshare: &[&str]) -> bool {
    let done = Command::new(unshare[0]).args(&unshare[1..]).arg("true").output();
    let is_possible = done.is_ok_and(|output| output.status.success());
    if !is_possible {
        support::skip(test, &format!("{} is not permitted here", unshare.join(" ")));
    }
    is_possible
}

fn options() -> StoreOptions {
    Store::options().wait(Wait::Try)
}

/// A store whose sandboxes are ended with the test, also where a child of it made them.
fn open(options: StoreOptions, root: &Path) -> Store {
    with_processes(options, root).open(root).unwrap()
}

/// A store with a running container.
struct Running(Marked);

impl Running {
    fn new(lock: LockKind) -> Self {
        let scratch = Marked::with(options().lock(lock));
        scratch.create_as(&id("c1"), Status::Running, None);
        Self(scratch)
    }

    /// It runs still, and its metadata was not changed.
    fn check(&self) {
        let metadata = self.0.state(&id("c1"));
        assert_eq!((metadata.status, metadata.revision), (Status::Running, 2));
        let standing = metadata.sandbox.process.unwrap().standing();
        assert!(matches!(standing, Standing::Lives(_)), "{standing:?}");
    }
}

/// Not a test by itself: what the children do in their namespaces.
#[test]
fn child_process() {
    let Some((role, root, lock)) = role() else { return };
    match role.as_str() {
        "use the sandbox" => in_another_time(&root),
        "must not touch it" => must_not_touch_it(&root),
        "has no /proc" => has_no_proc(&root),
        "find the lock taken" => find_the_lock_taken(&root, lock),
        "hold" => {
            let store = open(options().lock(lock), &root);
            let id = id("c2");
            let _held = store.container(&id).lock_exclusive().unwrap();
            say_ready();
            std::thread::sleep(Duration::from_secs(60));
        }
        _ => panic!("unknown role {role}"),
    }
}

fn in_another_time(root: &Path) {
    let store = open(options(), root);
    let id = id("c1");
    let container = store.container(&id);
    let metadata = container.state().unwrap();
    assert_eq!((metadata.status, metadata.revision), (Status::Running, 2), "it is not taken for dead");
    // Where the kernel numbers processes it is known for certain, and else it is left alone.
    let process = metadata.sandbox.process.unwrap();
    match process.standing() {
        Standing::Lives(_) => {
            container.pause().unwrap();
            container.resume().unwrap();
        }
        standing => {
            assert_eq!(standing, Standing::Unknown);
            assert_refused(&container, "time namespace");
        }
    }
    // What is made here is known here.
    let other = support::id("c3");
    store.create(&other, CreateRequest::default()).unwrap();
    store.container(&other).start().unwrap();
    assert_eq!(store.container(&other).state().unwrap().status, Status::Running);
}

fn must_not_touch_it(root: &Path) {
    let store = open(options(), root);
    let id = id("c1");
    assert_eq!(store.container(&id).state().unwrap().status, Status::Running);
    assert_refused(&store.container(&id), "pid namespace");
}

fn has_no_proc(root: &Path) {
    must_not_touch_it(root);
    let store = open(options(), root);
    let c2 = id("c2");
    let error = store.create(&c2, CreateRequest::default()).unwrap_err();
    assert!(matches!(error, Error::Sandbox { .. }) && error.to_string().contains("/proc"), "{error}");
    assert!(!root.join("c2").exists(), "a failed create leaves nothing");
    let error = Store::options().lock(LockKind::Lockfile).open(root).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }) && error.to_string().contains("/proc"), "{error}");
}

fn assert_refused(container: &Container<'_>, why: &str) {
    for result in [
        container.pause().map(|_| ()),
        container.kill().map(|_| ()),
        container.signal(flockwork::Signal::SIGTERM).map(|_| ()),
        container.force_delete().map(|_| ()),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Sandbox { .. }) && error.to_string().contains(why), "{error}");
    }
}

fn find_the_lock_taken(root: &Path, lock: LockKind) {
    let store = open(options().lock(lock), root);
    let id = id("c2");
    let result = store.container(&id).lock_exclusive();
    assert!(matches!(result, Err(Error::Locked { .. })), "two holders: {result:?}");
}

#[test]
fn in_another_time_namespace_the_living_are_alive() {
    if !is_possible("in_another_time_namespace_the_living_are_alive", OTHER_TIME) {
        return;
    }
    let running = Running::new(LockKind::Fs2);
    Child::spawn_by(OTHER_TIME, "use the sandbox", running.0.path(), LockKind::Fs2).join();
    // The other way round as well: what was made there.
    let metadata = running.0.state(&id("c3"));
    assert_eq!((metadata.status, metadata.revision), (Status::Running, 2));
    match metadata.sandbox.process.unwrap().standing() {
        Standing::Lives(_) => drop(running.0.store.container(&id("c3")).force_delete().unwrap()),
        standing => assert_eq!(standing, Standing::Unknown),
    }
    let status = running.0.state(&id("c1")).status;
    assert_eq!(status, Status::Running);
}

#[test]
fn in_another_pid_namespace_a_sandbox_is_left_alone() {
    for (unshare, role) in [(OTHER_PIDS, "must not touch it"), (FOREIGN_PROC, "has no /proc")] {
        if !is_possible("in_another_pid_namespace_a_sandbox_is_left_alone", unshare) {
            return;
        }
        let running = Running::new(LockKind::Fs2);
        Child::spawn_by(unshare, role, running.0.path(), LockKind::Fs2).join();
        running.check();
    }
}

#[test]
fn a_lock_file_is_not_broken_from_another_namespace() {
    for unshare in [OTHER_TIME, OTHER_PIDS] {
        if !is_possible("a_lock_file_is_not_broken_from_another_namespace", unshare) {
            return;
        }
        let scratch = Marked::with(options().lock(LockKind::Lockfile));
        scratch.create(&id("c2"));
        let c2 = id("c2");
        let held = scratch.store.container(&c2).lock_exclusive().unwrap();
        Child::spawn_by(unshare, "find the lock taken", scratch.path(), LockKind::Lockfile).join();
        drop(held);
        // The other way round.
        let mut holder = Child::spawn_by(unshare, "hold", scratch.path(), LockKind::Lockfile);
        holder.wait_until_ready();
        let result = scratch.store.container(&c2).lock_exclusive();
        assert!(matches!(result, Err(Error::Locked { .. })), "{unshare:?}: two holders: {result:?}");
        drop(result);
        holder.kill();
    }
}
