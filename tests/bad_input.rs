//! What people and accidents put in the library's way, and what they are told.

mod support;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::thread;

use flockwork::{
    ContainerId, CreateRequest, Error, MAX_METADATA_BYTES, ReadPolicy, Status, Store, WritePolicy,
};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use support::{Scratch, id};

/// Every operation reports the file as corrupt and leaves it; force delete clears it.
fn check_corrupt(scratch: &Scratch, why: &str) {
    let id = id("c1");
    let container = scratch.store.container(&id);
    let before = scratch.snapshot();
    let results = [
        ("create", scratch.store.create(&id, CreateRequest::default()).map(|_| ())),
        ("state", container.state().map(|_| ())),
        ("load", scratch.store.load("c1").map(|_| ())),
        ("start", container.start().map(|_| ())),
        ("pause", container.pause().map(|_| ())),
        ("kill", container.kill().map(|_| ())),
        ("delete", container.delete().map(|_| ())),
    ];
    for (operation, result) in results {
        let error = result.expect_err(operation);
        assert!(matches!(error, Error::Corrupt { .. }), "{operation} of {why}: {error}");
        let text = error.to_string();
        assert!(
            text.contains("meta.json") && text.contains(why) && text.contains("force"),
            "{operation}: {text}"
        );
    }
    assert_eq!(scratch.snapshot(), before, "{why}: nothing was changed");
    assert_eq!(
        scratch.store.list().unwrap().ids,
        std::slice::from_ref(&id),
        "{why}: it is there, and blocks its id"
    );
    container.force_delete().unwrap();
    assert!(scratch.snapshot().is_empty(), "{why}");
    scratch.create(&id);
}

#[test]
fn corrupt_metadata_is_reported_with_its_place_and_only_force_clears_it() {
    let good = {
        let scratch = Scratch::new();
        scratch.create(&id("c1"));
        fs::read_to_string(scratch.file(&id("c1"), "meta.json")).unwrap()
    };
    for (text, why) in [
        (String::new(), "it is empty"),
        (good[..good.len() / 2].to_owned(), "EOF while parsing"),
        (good.replace("\"version\":1", "\"version\":7"), "version 7, but this build reads 1"),
        (good.replace("\"created\"", "\"creating\""), "unknown variant `creating`"),
        (
            good.replace("\"revision\":1", "\"revision\":1,\n\"revision\":1"),
            "duplicate field `revision` at line 2 column",
        ),
        (good.replace("\"owner\":\"\",", ""), "missing field `owner` at line 1 column"),
        (good.replace("\"c1\"", "\"c2\""), "it belongs to container c2"),
        (good.replace('{', "\u{0}"), "expected value at line 1 column 1"),
        (format!("{good}{good}"), "trailing characters at line 2 column 1"),
        ("null".to_owned(), "expected the metadata of a container at line 1"),
    ] {
        for write in WritePolicy::ALL {
            let scratch = Scratch::with(Store::options().write(write));
            scratch.create(&id("c1"));
            fs::write(scratch.file(&id("c1"), "meta.json"), &text).unwrap();
            check_corrupt(&scratch, why);
        }
    }
}

#[test]
fn metadata_that_is_no_regular_file_is_reported_and_not_followed() {
    /// Makes something of a path that may point to the other one.
    type Make = fn(&Path, &Path);
    let outside = tempfile::NamedTempFile::new().unwrap();
    let make: [(&str, Make); 3] = [
        ("not a regular file", |path, _| fs::create_dir_all(path.join("deep/er")).unwrap()),
        ("not a regular file", |path, _| {
            nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        }),
        ("symbolic link", |path, outside| symlink(outside, path).unwrap()),
    ];
    for (why, make) in make {
        let scratch = Scratch::new();
        scratch.create(&id("c1"));
        let path = scratch.file(&id("c1"), "meta.json");
        let good = fs::read(&path).unwrap();
        fs::write(outside.path(), &good).unwrap();
        fs::remove_file(&path).unwrap();
        make(&path, outside.path());
        let state = scratch.store.container(&id("c1")).state().unwrap_err();
        assert!(matches!(state, Error::Corrupt { .. }) && state.to_string().contains(why), "{state}");
        let pause = scratch.store.container(&id("c1")).pause().unwrap_err();
        assert!(matches!(pause, Error::Corrupt { .. }), "{pause}");
        scratch.store.container(&id("c1")).force_delete().unwrap();
        assert!(scratch.snapshot().is_empty());
        assert_eq!(fs::read(outside.path()).unwrap(), good, "what the link points to is untouched");
    }
}

#[test]
fn metadata_of_a_hundred_megabytes_is_not_read() {
    let scratch = Scratch::new();
    scratch.create(&id("c1"));
    let file = fs::OpenOptions::new().write(true).open(scratch.file(&id("c1"), "meta.json")).unwrap();
    file.set_len(100 << 20).unwrap();
    let error = scratch.store.container(&id("c1")).state().unwrap_err();
    assert!(
        matches!(error, Error::Corrupt { .. }) && error.to_string().contains("104857600 bytes"),
        "{error}"
    );
    scratch.store.container(&id("c1")).force_delete().unwrap();
    assert!(scratch.snapshot().is_empty());
}

#[test]
fn a_spec_that_could_not_be_read_back_is_refused() {
    let scratch = Scratch::new();
    let huge = CreateRequest::with_spec(&"x".repeat(MAX_METADATA_BYTES as usize)).unwrap();
    let error = scratch.store.create(&id("c1"), huge).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }) && error.to_string().contains("too large"), "{error}");
    assert!(scratch.snapshot().is_empty());
    let large = CreateRequest::with_spec(&"x".repeat(MAX_METADATA_BYTES as usize - 1000)).unwrap();
    scratch.store.create(&id("c1"), large).unwrap();
    scratch.store.container(&id("c1")).pause().unwrap();
}

#[test]
fn a_folder_that_is_a_link_or_a_file_is_refused_and_left() {
    let outside = Scratch::new();
    outside.create(&id("c1"));
    let before = outside.snapshot();
    let scratch = Scratch::new();
    symlink(outside.path().join("c1"), scratch.path().join("c1")).unwrap();
    fs::write(scratch.path().join("c2"), "not a folder").unwrap();
    for name in ["c1", "c2"] {
        let id = id(name);
        let container = scratch.store.container(&id);
        for result in [
            scratch.store.create(&id, CreateRequest::default()).map(|_| ()),
            container.state().map(|_| ()),
            container.pause().map(|_| ()),
            container.delete().map(|_| ()),
            container.force_delete().map(|_| ()),
        ] {
            let error = result.expect_err(name);
            assert!(matches!(error, Error::Corrupt { .. }), "{name}: {error}");
            assert_eq!(error.path(), Some(&*scratch.path().join(name)), "{error}");
        }
    }
    assert!(scratch.store.list().unwrap().ids.is_empty(), "neither is a container");
    assert_eq!(outside.snapshot(), before, "nothing was followed");
    assert!(scratch.path().join("c1").is_symlink() && scratch.path().join("c2").is_file());
}

#[test]
fn a_root_that_is_none_is_an_error_at_open() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let missing = folder.path().join("missing");
    for (path, why) in [(&missing, "make it first"), (&file, "it is not a folder")] {
        let error = Store::options().open(path).unwrap_err();
        assert!(matches!(error, Error::Io { .. }) && error.to_string().contains(why), "{error}");
        assert_eq!(error.path(), Some(&**path));
    }
}

#[test]
fn a_root_that_was_removed_is_an_error_and_is_not_made_again() {
    let scratch = Scratch::new();
    fs::remove_dir(scratch.path()).unwrap();
    let error = scratch.store.create(&id("c1"), CreateRequest::default()).unwrap_err();
    assert!(
        matches!(error, Error::Io { .. }) && error.to_string().contains("root folder was removed"),
        "{error}"
    );
    assert!(matches!(scratch.store.container(&id("c1")).state(), Err(Error::NotFound { .. })));
    assert!(!scratch.path().exists());
}

/// Mounts a filesystem for a test, and unmounts it. `None`, and a line that says so, where that is not possible.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn tmpfs(test: &str, options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "flockwork"])
            .arg(folder.path())
            .output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        support::skip(test, "mounting a tmpfs is not permitted here");
        None
    }

    fn remount(&self, options: &str) {
        let status = Command::new("mount").args(["-o", options]).arg(self.0.path()).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_read_only_root_says_so() {
    let Some(mounted) = Mounted::tmpfs("a_read_only_root_says_so", "size=1m") else { return };
    let store = Store::options().open(mounted.0.path()).unwrap();
    store.create(&id("c1"), CreateRequest::default()).unwrap();
    mounted.remount("remount,ro");
    for result in [
        store.create(&id("c2"), CreateRequest::default()).map(|_| ()),
        store.container(&id("c1")).pause().map(|_| ()),
        store.container(&id("c1")).delete().map(|_| ()),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("read-only"), "{error}");
    }
    let reader = Store::options().read(ReadPolicy::LockFree).open(mounted.0.path()).unwrap();
    assert_eq!(reader.container(&id("c1")).state().unwrap().status, Status::Created);
}

/// Appends page by page until the filesystem has really none left: it counts per processor, and refuses early.
fn fill(path: &Path) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    let mut refused = 0;
    while refused < 100 {
        refused += usize::from(file.write_all(&[0; 4096]).is_err());
    }
}

#[test]
fn a_full_root_says_so_and_nothing_is_changed() {
    let Some(mounted) = Mounted::tmpfs("a_full_root_says_so_and_nothing_is_changed", "size=64k,nr_inodes=64")
    else {
        return;
    };
    let store = Store::options().open(mounted.0.path()).unwrap();
    let spec = CreateRequest::with_spec(&"x".repeat(9000)).unwrap();
    store.create(&id("c1"), spec).unwrap();
    let filler = mounted.0.path().join("~filler");
    fill(&filler);
    let before = support::snapshot(mounted.0.path());
    for result in [
        store.create(&id("c2"), CreateRequest::default()).map(|_| ()),
        store.container(&id("c1")).pause().map(|_| ()),
    ] {
        let error = result.unwrap_err();
        assert!(
            matches!(error, Error::Io { .. }) && error.to_string().contains("free some space"),
            "{error}"
        );
        assert_eq!(support::snapshot(mounted.0.path()), before);
    }
    // Cut first: a child that another test forked meanwhile may hold the file open a little longer than its name is
    // there, and as long as it does its blocks are taken.
    fs::write(&filler, "").unwrap();
    fs::remove_file(filler).unwrap();
    store.container(&id("c1")).pause().unwrap();
}

#[test]
fn a_root_that_may_not_be_written_to_says_so() {
    let scratch = Scratch::new();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let created = thread::scope(|scope| {
        let creator = scope.spawn(|| {
            // Root may write anywhere, by two capabilities that this thread alone gives up.
            let mut sets = capabilities(None).unwrap();
            sets.effective.remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
            set_capabilities(None, sets).unwrap();
            scratch.store.create(&id("c1"), CreateRequest::default())
        });
        creator.join().unwrap()
    });
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let error = created.unwrap_err();
    assert!(error.to_string().contains("owner of the root"), "{error}");
}

#[test]
fn strange_files_stop_a_delete_but_not_force() {
    let scratch = Scratch::new();
    scratch.create(&id("c1"));
    fs::create_dir_all(scratch.file(&id("c1"), "strange/deep")).unwrap();
    fs::write(scratch.file(&id("c1"), "strange/deep/file"), "mine").unwrap();
    symlink("/etc", scratch.file(&id("c1"), "strange/etc")).unwrap();
    let before = scratch.snapshot();
    let error = scratch.store.container(&id("c1")).delete().unwrap_err();
    assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("strange"), "{error}");
    assert_eq!(scratch.snapshot(), before);
    scratch.store.container(&id("c1")).force_delete().unwrap().unwrap();
    assert!(scratch.snapshot().is_empty());
    assert!(Path::new("/etc/passwd").exists(), "no link was followed");
}

#[test]
fn a_container_whose_lock_file_is_missing_is_damaged_not_absent() {
    let scratch = Scratch::new();
    scratch.create(&id("c1"));
    fs::remove_file(scratch.file(&id("c1"), "meta.lock")).unwrap();
    let error = scratch.store.container(&id("c1")).state().unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }) && error.to_string().contains("meta.lock"), "{error}");
    scratch.store.container(&id("c1")).force_delete().unwrap().unwrap();
    assert!(scratch.snapshot().is_empty());
}

#[test]
fn images_that_are_none_are_refused_and_change_nothing() {
    let scratch = Scratch::new();
    let image = scratch.path().join("~image");
    let id = id("c1");
    scratch.create(&id);
    let container = scratch.store.container(&id);
    assert!(matches!(container.restore(&image), Err(Error::Io { .. })), "missing");
    container.checkpoint(&image).unwrap();
    let good = fs::read_to_string(&image).unwrap();
    for bad in [
        String::new(),
        good[..good.len() - 3].to_owned(),
        good.replace("\"flockwork_image\":1", "\"flockwork_image\":2"),
        good.replace("\"sandbox\":\"inert\"", "\"sandbox\":\"process\""),
        "[]".to_owned(),
    ] {
        fs::write(&image, &bad).unwrap();
        let error = container.restore(&image).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{bad}: {error}");
        assert_eq!(error.path(), Some(&*image));
    }
    assert!(matches!(container.restore(scratch.path()), Err(Error::Corrupt { .. })), "a folder");
    assert_eq!(scratch.state(&id).stamp().revision, 1);
    let nowhere = scratch.path().join("~missing/image");
    assert!(matches!(container.checkpoint(&nowhere), Err(Error::Io { .. })));
    fs::write(&image, good).unwrap();
    container.restore(&image).unwrap();
}

#[test]
fn a_prefix_finds_the_only_container_that_has_it() {
    let scratch = Scratch::new();
    for name in ["foo", "foo1", "foo2", "bar"] {
        scratch.create(&id(name));
    }
    let load = |prefix: &str| scratch.store.load(prefix).map(|metadata| metadata.id.to_string());
    assert_eq!(load("foo").unwrap(), "foo", "an exact id is not ambiguous");
    assert_eq!(load("b").unwrap(), "bar");
    let error = load("fo").unwrap_err();
    let Error::Ambiguous { prefix, candidates } = &error else { panic!("{error}") };
    assert_eq!((prefix.as_str(), candidates.len()), ("fo", 3));
    assert!(error.to_string().contains("foo, foo1, foo2"), "{error}");
    assert!(matches!(load("x"), Err(Error::NotFound { .. })));
    for bad in ["", "..", "a/b", "~"] {
        assert!(matches!(load(bad), Err(Error::InvalidId { .. })), "{bad:?}");
    }
}

#[test]
fn unknown_fields_and_the_spec_survive_every_save() {
    let scratch = Scratch::new();
    let id: ContainerId = id("c1");
    scratch.create(&id);
    let path = scratch.file(&id, "meta.json");
    let text = fs::read_to_string(&path).unwrap();
    let spec = "{ \"z\":1 , \"a\" : [1.50, 1e400] }";
    let text = text.replace("\"spec\":{}", &format!("\"spec\":{spec},\"annotations\":{{\"x\" : null}}"));
    let text = text.replace("\"sandbox\":{}", "\"sandbox\":{\"cgroup\": \"/a\"}");
    fs::write(&path, text).unwrap();
    let container = scratch.store.container(&id);
    container.pause().unwrap();
    container.resume().unwrap();
    container.start().unwrap();
    container.kill().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    for kept in [spec, "\"annotations\":{\"x\" : null}", "\"cgroup\":\"/a\""] {
        assert!(text.contains(kept), "{kept} in {text}");
    }
}

#[test]
fn reading_without_a_lock_what_is_written_in_place_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = Store::options().read(ReadPolicy::LockFree).write(WritePolicy::InPlace);
    assert!(matches!(options.clone().open(folder.path()), Err(Error::Unsupported { .. })));
    assert!(options.even_if_unsound().open(folder.path()).is_ok());
}

/// What is written in place is changed under every name that it has.
#[test]
fn metadata_that_has_another_name_is_not_written_in_place() {
    let outside = tempfile::tempdir().unwrap();
    let other = outside.path().join("mine");
    let scratch = Scratch::with(Store::options().write(WritePolicy::InPlace));
    scratch.create(&id("c1"));
    fs::hard_link(scratch.file(&id("c1"), "meta.json"), &other).unwrap();
    let before = fs::read(&other).unwrap();
    let error = scratch.store.container(&id("c1")).start().unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }) && error.to_string().contains("2 names"), "{error}");
    assert_eq!(fs::read(&other).unwrap(), before);
    assert_eq!(scratch.state(&id("c1")).status, Status::Created, "nothing was changed");
    // By rename the name alone is given to the new metadata.
    let by_rename = Store::options().open(scratch.path()).unwrap();
    by_rename.container(&id("c1")).start().unwrap();
    assert_eq!(fs::read(&other).unwrap(), before);
    scratch.store.container(&id("c1")).kill().unwrap();
    fs::hard_link(scratch.file(&id("c1"), "meta.json"), outside.path().join("again")).unwrap();
    scratch.store.container(&id("c1")).force_delete().unwrap();
    assert_eq!(fs::read(&other).unwrap(), before);
}

/// Not a test by itself: a child whose close of the next metadata fails.
#[test]
fn child_process() {
    let Some((_, root, _)) = support::role() else { return };
    let store = Store::options().open(&root).unwrap();
    for result in [
        store.container(&id("c1")).pause().map(|_| ()),
        store.create(&id("c2"), CreateRequest::default()).map(|_| ()),
    ] {
        let error = result.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Io { .. }) && text.contains("free some space"), "{text}");
    }
}

/// Filesystems that write late say only at the close that they could not.
#[test]
fn a_close_that_fails_is_an_error_and_changes_nothing() {
    let scratch = Scratch::new();
    scratch.create(&id("c1"));
    let paths = ["c1", "c2"].map(|id| scratch.path().join(id).join("meta.json.tmp"));
    let [first, second] = paths.each_ref().map(|path| path.to_str().unwrap());
    let inject = "inject=close:error=EDQUOT";
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", first, "-P", second, "-e", inject];
    if !Command::new(strace[0])
        .args(&strace[1..])
        .arg("true")
        .output()
        .is_ok_and(|done| done.status.success())
    {
        support::skip("a_close_that_fails_is_an_error_and_changes_nothing", "strace cannot be used here");
        return;
    }
    let before = scratch.snapshot();
    support::Child::spawn_by(&strace, "fail", scratch.path(), flockwork::LockKind::Fs2).join();
    assert_eq!(scratch.snapshot(), before);
}
