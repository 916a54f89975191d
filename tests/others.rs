//! What other people put into a root that is shared with them: it is skipped, and nobody is stopped by it.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use flockwork::{Error, Listing, LockKind, Store, Wait};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use support::{Child, Scratch, id, role, say_ready};

/// Runs as somebody for whom permissions hold, though root runs the test.
fn without_privileges<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let unprivileged = scope.spawn(|| {
            let mut sets = capabilities(None).unwrap();
            sets.effective.remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
            set_capabilities(None, sets).unwrap();
            run()
        });
        unprivileged.join().unwrap()
    })
}

#[test]
fn a_folder_that_may_not_be_looked_into_is_skipped_and_told() {
    let scratch = Scratch::new();
    scratch.create(&id("mine"));
    scratch.create(&id("web-1"));
    // As another user's is to this one.
    for name in ["theirs", "web-2"] {
        fs::create_dir(scratch.path().join(name)).unwrap();
        fs::set_permissions(scratch.path().join(name), fs::Permissions::from_mode(0o000)).unwrap();
    }
    without_privileges(|| {
        let Listing { ids, skipped, .. } = scratch.store.list().unwrap();
        assert_eq!(ids, [id("mine"), id("web-1")]);
        let skipped: Vec<_> =
            skipped.iter().map(|skipped| (skipped.id.as_str(), skipped.error.to_string())).collect();
        assert_eq!(skipped.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ["theirs", "web-2"]);
        assert!(skipped[0].1.contains("theirs") && skipped[0].1.contains("denied"), "{skipped:?}");
        assert_eq!(scratch.store.load("mi").unwrap().id, id("mine"));
        assert_eq!(scratch.store.load("web-1").unwrap().id, id("web-1"));
        let ambiguous = scratch.store.load("web").unwrap_err();
        assert!(matches!(ambiguous, Error::Ambiguous { .. }), "it may be a container: {ambiguous}");
        let denied = scratch.store.load("the").unwrap_err();
        assert!(matches!(denied, Error::Io { .. }), "the only one that may be meant: {denied}");
        assert!(matches!(scratch.store.load("x"), Err(Error::NotFound { .. })));
    });
    for name in ["theirs", "web-2"] {
        fs::set_permissions(scratch.path().join(name), fs::Permissions::from_mode(0o700)).unwrap();
    }
}

/// Not a test by itself: a child that holds the lock, under a name that is not to be shown as it is.
#[test]
fn child_process() {
    let Some((_, root, lock)) = role() else { return };
    fs::write("/proc/self/comm", "\u{1b}[2Jx\u{7}").unwrap();
    let store = Store::options().lock(lock).open(root).unwrap();
    let id = id("c1");
    let _held = store.container(&id).lock_exclusive().unwrap();
    say_ready();
    std::thread::sleep(std::time::Duration::from_secs(60));
}

#[test]
fn names_that_others_gave_are_shown_without_what_a_terminal_obeys() {
    const EVIL: &str = "\u{1b}]0;owned\u{7}\u{202e}\n";
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join(EVIL);
    fs::create_dir(&root).unwrap();
    let store = Store::options().wait(Wait::Try).open(&root).unwrap();
    let c1 = id("c1");
    store.create(&c1, flockwork::CreateRequest::default()).unwrap();
    let mut holder = Child::spawn(&format!("hold{EVIL}"), &root, LockKind::Fs2);
    holder.wait_until_ready();
    let locked = store.container(&c1).pause().unwrap_err();
    holder.kill();
    fs::write(root.join("c1").join(EVIL), "").unwrap();
    let strange = store.container(&c1).delete().unwrap_err();
    let meta = root.join("c1/meta.json");
    let text = fs::read_to_string(&meta).unwrap();
    fs::write(&meta, text.replace("\"created\"", "\"\\u001b[2J\"")).unwrap();
    let corrupt = store.container(&c1).state().unwrap_err();
    let missing = Store::options().open(root.join("missing")).unwrap_err();
    for error in [locked, strange, corrupt, missing] {
        let shown = error.to_string();
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}', '\n']), "{shown:?}");
        assert!(shown.contains("\\u{1b}"), "{shown}");
    }
    let holder = flockwork::Holder { pid: 1, command: Some(format!("sh -c {EVIL}")) };
    assert_eq!(holder.to_string(), "process 1 (sh -c \\u{1b}]0;owned\\u{7}\\u{202e}\\n)");
}
