//! What the tests share. Nothing here decides what is right: it only makes stores and looks at disks.
#![expect(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use flockwork::{ContainerId, CreateRequest, LockKind, Metadata, Status, Store, StoreOptions};
use tempfile::TempDir;

/// A store in a folder of its own.
pub struct Scratch {
    pub folder: TempDir,
    pub store: Store,
}

impl Scratch {
    pub fn new() -> Self {
        Self::with(Store::options())
    }

    pub fn with(options: StoreOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = options.open(folder.path()).unwrap();
        Self { folder, store }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(&self, id: &ContainerId, name: &str) -> PathBuf {
        self.path().join(id.as_str()).join(name)
    }

    pub fn create(&self, id: &ContainerId) {
        self.store.create(id, CreateRequest::default()).unwrap();
    }

    /// Makes a container with this status, and for paused from this one.
    pub fn create_as(&self, id: &ContainerId, status: Status, paused_from: Option<Status>) {
        self.create(id);
        let container = self.store.container(id);
        if status == Status::Running || paused_from == Some(Status::Running) {
            container.start().unwrap();
        }
        match status {
            Status::Paused => drop(container.pause().unwrap()),
            Status::Stopped => drop(container.kill().unwrap()),
            Status::Created | Status::Running => (),
        }
    }

    pub fn state(&self, id: &ContainerId) -> Metadata {
        self.store.container(id).state().unwrap()
    }

    /// Every file of every container with its bytes. The library's own files in the root are left out.
    pub fn snapshot(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        snapshot(self.path())
    }
}

pub fn snapshot(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with('~') {
                continue;
            }
            let kind = path.symlink_metadata().unwrap();
            if kind.is_dir() {
                folders.push(path.clone());
            }
            let bytes = kind.is_file().then(|| std::fs::read(&path).unwrap());
            files.insert(path, bytes);
        }
    }
    files
}

pub fn id(text: &str) -> ContainerId {
    text.parse().unwrap()
}

/// A store of each lock backend.
pub fn each_lock() -> impl Iterator<Item = (LockKind, Scratch)> {
    LockKind::ALL.iter().map(|kind| (*kind, Scratch::with(Store::options().lock(*kind))))
}

/// Small random numbers for tests, from a seed that is printed when the test fails.
pub struct Random(u64);

impl Random {
    pub fn new() -> Self {
        static CALLS: AtomicU32 = AtomicU32::new(0);
        let calls = u64::from(CALLS.fetch_add(1, Ordering::Relaxed));
        let seed = u64::from(std::process::id()) << 20 | calls;
        println!("random seed {seed}");
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
