//! Somebody exchanges a container's folder for a symbolic link, again and again, while every operation runs: nothing
//! outside the root may be touched by it.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use flockwork::{ContainerId, CreateRequest, LockKind, ReadPolicy, Store, StoreOptions, Wait, WritePolicy};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use support::id;

/// How often all operations run against each combination.
const ROUNDS: usize = 150;

/// What lies outside: two folders that look like those of containers.
struct Outside {
    folder: tempfile::TempDir,
    before: BTreeMap<PathBuf, (u64, i64, Option<Vec<u8>>)>,
}

impl Outside {
    fn new(metadata: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["full", "empty"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let full = folder.path().join("full");
        for name in ["meta.json.tmp", "meta.lock", "meta.lock.break", "mine"] {
            fs::write(full.join(name), name).unwrap();
        }
        fs::write(full.join("meta.json"), metadata).unwrap();
        fs::create_dir_all(full.join("deep/er")).unwrap();
        let before = Self::look(folder.path());
        Self { folder, before }
    }

    /// Every file, with its inode, the time of its last change, and its bytes.
    fn look(folder: &Path) -> BTreeMap<PathBuf, (u64, i64, Option<Vec<u8>>)> {
        let mut found = BTreeMap::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let metadata = path.symlink_metadata().unwrap();
                if metadata.is_dir() {
                    folders.push(path.clone());
                }
                let bytes = metadata.is_file().then(|| fs::read(&path).unwrap());
                found.insert(path, (metadata.ino(), metadata.ctime_nsec(), bytes));
            }
        }
        found
    }
}

fn every_operation(store: &Store, id: &ContainerId, image: &Path) {
    let container = store.container(id);
    let _ = store.create(id, CreateRequest::default());
    let _ = container.start();
    let _ = container.pause();
    let _ = container.state();
    let _ = container.resume();
    let _ = container.checkpoint(image);
    let _ = container.restore(image);
    let _ = store.load("c");
    let _ = store.list();
    let _ = container.wait(Some(std::time::Duration::ZERO));
    let _ = container.kill();
    let _ = container.delete();
    let _ = store.create(id, CreateRequest::default());
    let _ = container.force_delete();
}

fn check(options: impl Fn() -> StoreOptions, what: &str) {
    let root = tempfile::tempdir().unwrap();
    let store = options().wait(Wait::Bounded(std::time::Duration::from_millis(2))).open(root.path()).unwrap();
    let id = id("c1");
    store.create(&id, CreateRequest::default()).unwrap();
    let metadata = fs::read(root.path().join("c1/meta.json")).unwrap();
    let outside = Outside::new(&metadata);
    let image = root.path().join("~image");
    let has_ended = AtomicBool::new(false);
    let exchanges = std::thread::scope(|scope| {
        let exchanger = scope.spawn(|| {
            let links = ["full", "empty"].map(|name| {
                let link = root.path().join(format!("~{name}"));
                symlink(outside.folder.path().join(name), &link).unwrap();
                link
            });
            let folder = root.path().join("c1");
            let mut exchanges = 0;
            while !has_ended.load(Ordering::Relaxed) {
                for link in &links {
                    // There and back: the folder may be missing just now.
                    for _ in 0..2 {
                        let done = renameat_with(CWD, &folder, CWD, link, RenameFlags::EXCHANGE);
                        exchanges += usize::from(done.is_ok());
                    }
                }
            }
            exchanges
        });
        for _ in 0..ROUNDS {
            every_operation(&store, &id, &image);
        }
        has_ended.store(true, Ordering::Relaxed);
        exchanger.join().unwrap()
    });
    assert!(exchanges > 0, "{what}: nothing was ever exchanged");
    assert_eq!(Outside::look(outside.folder.path()), outside.before, "{what}: something outside was touched");
}

#[test]
fn with_every_lock() {
    for lock in LockKind::ALL {
        check(|| Store::options().lock(lock), lock.as_str());
    }
}

#[test]
fn with_every_way_to_write_and_read() {
    for write in WritePolicy::ALL {
        for read in ReadPolicy::ALL {
            let options = || Store::options().write(write).read(read).even_if_unsound();
            check(options, &format!("{write}, {read}"));
        }
    }
}

/// The permissions of what is outside are not changed either: force delete makes metadata readable.
#[test]
fn permissions_of_what_a_link_points_to_stay() {
    let scratch = support::Scratch::new();
    scratch.create(&id("c1"));
    let outside = tempfile::NamedTempFile::new().unwrap();
    fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o000)).unwrap();
    let meta = scratch.file(&id("c1"), "meta.json");
    fs::remove_file(&meta).unwrap();
    symlink(outside.path(), &meta).unwrap();
    scratch.store.container(&id("c1")).force_delete().unwrap();
    assert_eq!(fs::metadata(outside.path()).unwrap().permissions().mode() & 0o777, 0);
    assert!(scratch.snapshot().is_empty());
}
