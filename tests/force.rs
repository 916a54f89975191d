//! Force delete is the way out of everything: when it says ok nothing is left and the id is free, and else it says what is
//! in the way and leaves the container.

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use flockwork::{CreateRequest, Error, LockKind, Store};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use rustix::fs::inotify;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use support::marked::Marked;
use support::{Scratch, each_lock, id};

/// Makes something at a path. `false`: it cannot be made here.
type Make = fn(&Path) -> bool;

const FOLDER: (&str, Make) = ("a folder", |path| fs::create_dir_all(path.join("deep/er")).is_ok());
const FIFO: (&str, Make) = ("a FIFO", |path| nix::unistd::mkfifo(path, Mode::S_IRWXU).is_ok());
const SOCKET: (&str, Make) = ("a socket", |path| UnixListener::bind(path).is_ok());
const DEVICE: (&str, Make) =
    ("a device", |path| mknod(path, SFlag::S_IFCHR, Mode::S_IRWXU, makedev(240, 77)).is_ok());
const LINK: (&str, Make) = ("a link", |path| symlink("/nowhere", path).is_ok());
const UNREADABLE: (&str, Make) =
    ("mode 000", |path| fs::set_permissions(path, fs::Permissions::from_mode(0o000)).is_ok());

fn put(scratch: &Scratch, name: &str, (what, make): (&str, Make)) -> bool {
    let path = scratch.file(&id("c1"), name);
    if what != UNREADABLE.0 && path.symlink_metadata().is_ok() {
        fs::remove_file(&path).unwrap();
    }
    let is_made = make(&path);
    if !is_made {
        support::skip("force delete", &format!("{what} cannot be made here"));
    }
    is_made
}

/// Force deletes, and uses the id again.
fn check_free(scratch: &Scratch, what: &str) {
    let id = id("c1");
    let container = scratch.store.container(&id);
    container.force_delete().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(scratch.snapshot().is_empty(), "{what}: {:?}", scratch.snapshot().keys());
    scratch.create(&id);
    container.pause().unwrap_or_else(|error| panic!("{what}: {error}"));
    container.resume().unwrap();
    container.delete().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(scratch.snapshot().is_empty(), "{what}");
}

#[test]
fn whatever_lies_in_the_place_of_a_file_is_removed() {
    for (name, things) in [
        ("meta.json", &[FOLDER, FIFO, SOCKET, DEVICE, LINK, UNREADABLE][..]),
        ("meta.json.tmp", &[FOLDER, FIFO, SOCKET, DEVICE, LINK]),
        ("meta.lock", &[FOLDER, FIFO, SOCKET, DEVICE]),
        ("meta.lock.break", &[FOLDER, FIFO, SOCKET, DEVICE]),
    ] {
        for thing in things {
            for (kind, scratch) in each_lock() {
                scratch.create(&id("c1"));
                if put(&scratch, name, *thing) {
                    check_free(&scratch, &format!("{name} is {}, {kind} locks", thing.0));
                }
            }
        }
    }
}

/// To open a device may do anything: rewind a tape, arm a watchdog.
#[test]
fn what_is_no_file_is_removed_without_being_opened() {
    for thing in [FIFO, DEVICE] {
        let scratch = Scratch::new();
        scratch.create(&id("c1"));
        if !put(&scratch, "meta.json", thing) {
            continue;
        }
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        let path = scratch.file(&id("c1"), "meta.json");
        inotify::add_watch(&watch, &path, inotify::WatchFlags::OPEN).unwrap();
        scratch.store.container(&id("c1")).force_delete().unwrap();
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&watch, &mut buffer);
        while let Ok(event) = events.next() {
            assert!(!event.events().contains(inotify::ReadFlags::OPEN), "{} was opened", thing.0);
        }
    }
}

#[test]
fn what_can_be_no_lock_file_is_told_as_corrupt() {
    for thing in [SOCKET, DEVICE, FIFO, FOLDER] {
        for kind in [LockKind::Fs2, LockKind::Std, LockKind::Ofd, LockKind::Posix] {
            let scratch = Scratch::with(Store::options().lock(kind));
            scratch.create(&id("c1"));
            if put(&scratch, "meta.lock", thing) {
                let error = scratch.store.container(&id("c1")).state().unwrap_err();
                assert!(matches!(error, Error::Corrupt { .. }), "{}, {kind}: {error}", thing.0);
                assert!(error.to_string().contains("delete the container with force"), "{error}");
            }
        }
    }
}

#[test]
fn a_dead_owners_lock_below_a_folder_in_the_place_of_its_break_lock_is_broken() {
    let scratch = Scratch::with(Store::options().lock(LockKind::Lockfile));
    scratch.create(&id("c1"));
    symlink("4294967295.1", scratch.file(&id("c1"), "meta.lock")).unwrap();
    assert!(put(&scratch, "meta.lock.break", FOLDER));
    assert!(matches!(scratch.store.container(&id("c1")).state(), Err(Error::Corrupt { .. })));
    check_free(&scratch, "meta.lock.break is a folder");
}

#[test]
fn metadata_that_its_owner_may_not_read_is_removed_with_its_sandbox() {
    let scratch = Marked::with(Store::options());
    scratch.create(&id("c1"));
    let process = scratch.state(&id("c1")).sandbox.process.unwrap();
    put(&scratch, "meta.json", UNREADABLE);
    std::thread::scope(|scope| {
        let unprivileged = scope.spawn(|| {
            // Root may read anything, by two capabilities that this thread alone gives up.
            let mut sets = capabilities(None).unwrap();
            sets.effective.remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
            set_capabilities(None, sets).unwrap();
            assert!(matches!(scratch.store.container(&id("c1")).state(), Err(Error::Io { .. })));
            scratch.store.container(&id("c1")).force_delete().unwrap();
        });
        unprivileged.join().unwrap();
    });
    assert!(scratch.snapshot().is_empty());
    assert!(!process.is_alive(), "its process was found and ended");
}

#[test]
fn a_record_of_a_process_that_cannot_be_is_no_obstacle() {
    let scratch = Marked::with(Store::options());
    for pid in ["0", "1", "4294967295"] {
        scratch.create(&id("c1"));
        let process = scratch.state(&id("c1")).sandbox.process.unwrap();
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(process.pid.cast_signed()),
            flockwork::Signal::SIGKILL,
        )
        .unwrap();
        let path = scratch.file(&id("c1"), "meta.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace(&format!("\"pid\":{}", process.pid), &format!("\"pid\":{pid}")))
            .unwrap();
        scratch.store.container(&id("c1")).force_delete().unwrap();
        assert!(scratch.snapshot().is_empty(), "{pid}");
    }
}

/// Makes files immutable, and mutable again at the end.
struct Immutable(Vec<std::path::PathBuf>);

impl Immutable {
    fn make(path: std::path::PathBuf) -> Option<Self> {
        let done = Command::new("chattr").arg("+i").arg(&path).output();
        if done.is_ok_and(|output| output.status.success()) {
            return Some(Self(vec![path]));
        }
        support::skip("force delete", "chattr +i is not possible here");
        None
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = Command::new("chattr").arg("-i").arg(path).output();
        }
    }
}

#[test]
fn what_cannot_be_removed_is_named_and_the_container_stays() {
    for (name, kind) in [
        ("meta.json.tmp", LockKind::Fs2),
        ("strange", LockKind::Ofd),
        ("meta.lock.break", LockKind::Std),
        ("meta.json.tmp", LockKind::Lockfile),
    ] {
        let scratch = Scratch::with(Store::options().lock(kind));
        scratch.create(&id("c1"));
        let path = scratch.file(&id("c1"), name);
        fs::write(&path, "").unwrap();
        let Some(immutable) = Immutable::make(path.clone()) else { return };
        let before = scratch.snapshot();
        let container_id = id("c1");
        let container = scratch.store.container(&container_id);
        let error = container.force_delete().unwrap_err();
        assert_eq!(error.path(), Some(&*path), "{error}");
        let deleted = container.delete().unwrap_err();
        assert_eq!(deleted.path(), Some(&*path), "{deleted}");
        assert_eq!(scratch.snapshot(), before, "{name}: nothing was changed");
        drop(immutable);
        check_free(&scratch, name);
    }
}

#[test]
fn a_folder_in_the_place_of_the_next_metadata_stops_a_delete() {
    let scratch = Scratch::new();
    scratch.create(&id("c1"));
    assert!(put(&scratch, "meta.json.tmp", FOLDER));
    let before = scratch.snapshot();
    let error = scratch.store.container(&id("c1")).delete().unwrap_err();
    assert!(
        error.to_string().contains("strange") && error.path().unwrap().ends_with("meta.json.tmp"),
        "{error}"
    );
    assert_eq!(scratch.snapshot(), before);
}

#[test]
fn ten_thousand_folders_in_each_other_are_removed() {
    // In memory where that can be had: a disk takes long to forget so many.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let store = Store::options().open(folder.path()).unwrap();
    let scratch = Scratch { folder, store };
    scratch.create(&id("c1"));
    let mut at = fs::File::open(scratch.file(&id("c1"), "")).unwrap();
    for depth in 0..10_000 {
        rustix::fs::mkdirat(&at, c"d", rustix::fs::Mode::RWXU).unwrap();
        if depth % 1000 == 0 {
            rustix::fs::symlinkat("/etc", &at, c"link").unwrap();
            rustix::fs::mkdirat(&at, c"beside", rustix::fs::Mode::RWXU).unwrap();
        }
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
        at = rustix::fs::openat(&at, c"d", flags, rustix::fs::Mode::empty()).unwrap().into();
    }
    drop(at);
    // A thread with little stack, as those that a runtime starts have.
    std::thread::scope(|scope| {
        let small = std::thread::Builder::new().stack_size(128 << 10);
        let deleter =
            small.spawn_scoped(scope, || scratch.store.container(&id("c1")).force_delete().unwrap());
        deleter.unwrap().join().unwrap();
    });
    assert!(
        fs::read_dir(scratch.path())
            .unwrap()
            .all(|entry| { entry.unwrap().file_name().to_string_lossy().starts_with('~') })
    );
    assert!(Path::new("/etc/passwd").exists(), "no link was followed");
}

#[test]
fn folders_that_are_called_as_those_that_are_lifted_are_removed_too() {
    let scratch = Scratch::new();
    scratch.create(&id("c1"));
    for path in ["s/a/b/c", "s/~lifted1/x", "s/~lifted2", "s/a/~lifted1/y/z", "s/a/b2/c"] {
        fs::create_dir_all(scratch.file(&id("c1"), path)).unwrap();
        fs::write(scratch.file(&id("c1"), path).join("file"), "").unwrap();
    }
    scratch.store.container(&id("c1")).force_delete().unwrap();
    assert!(scratch.snapshot().is_empty(), "{:?}", scratch.snapshot().keys());
}

#[test]
fn a_lock_file_with_two_names_is_refused_and_not_waited_for() {
    for kind in [LockKind::Fs2, LockKind::Std, LockKind::Ofd, LockKind::Posix] {
        let scratch = Scratch::with(Store::options().lock(kind));
        scratch.create(&id("c1"));
        // The counter's lock as a container's: whoever held the one would wait for the other, and so for itself.
        fs::create_dir(scratch.path().join("c2")).unwrap();
        let lock = scratch.file(&id("c2"), "meta.lock");
        fs::hard_link(scratch.path().join("~generation.lock"), &lock).unwrap();
        let error = scratch.store.create(&id("c2"), CreateRequest::default()).unwrap_err();
        assert!(
            matches!(error, Error::Corrupt { .. }) && error.to_string().contains("hard links"),
            "{error}"
        );
        assert_eq!(error.path(), Some(&*lock));
        assert_eq!(fs::metadata(&lock).unwrap().nlink(), 2, "{kind}: it was left");
        // Any other create is told of it too, and force clears it.
        assert!(matches!(
            scratch.store.create(&id("c3"), CreateRequest::default()),
            Err(Error::Corrupt { .. })
        ));
        scratch.store.container(&id("c2")).force_delete().unwrap();
        scratch.create(&id("c2"));
        scratch.create(&id("c3"));
    }
}
