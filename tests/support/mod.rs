//! What the tests share. Nothing here decides what is right: it only makes stores and looks at disks.
#![expect(dead_code, reason = "each test file uses a part of it")]

pub mod marked;

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
        let reached = match status {
            Status::Paused => container.pause(),
            Status::Stopped => container.kill(),
            Status::Created | Status::Running => container.state().map(|metadata| metadata.stamp()),
        };
        assert_eq!(reached.unwrap().status, status);
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

/// What a [`Watch`] is called for.
pub type Hook = Box<dyn Fn(&str) -> std::io::Result<()> + Send + Sync>;

/// A sandbox with nothing behind it that calls back at every call: `entered`, `leaving`, `create`, `pause` and so on.
pub struct Watch(pub Hook);

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

impl Watch {
    pub fn new(hook: impl Fn(&str) -> std::io::Result<()> + Send + Sync + 'static) -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self(Box::new(hook)))
    }
}

mod watch {
    use std::io::Result;

    use flockwork::sandbox::{Fate, Observed};
    use flockwork::{ContainerId, Operation, RawValue, Sandbox, SandboxRecord, Signal, Status};

    use super::Watch;

    impl Sandbox for Watch {
        fn kind(&self) -> &'static str {
            "watch"
        }
        fn entered(&self, _: &ContainerId) {
            (self.0)("entered").unwrap();
        }
        fn leaving(&self, _: &ContainerId) {
            (self.0)("leaving").unwrap();
        }
        fn annotate(&self, _: &ContainerId, _: Operation, _: &mut SandboxRecord) -> Result<()> {
            (self.0)("annotate")
        }
        fn create(&self, _: &ContainerId, _: &mut SandboxRecord) -> Result<()> {
            (self.0)("create")
        }
        fn hold(&self, _: &ContainerId, _: &SandboxRecord) -> Result<()> {
            (self.0)("hold")
        }
        fn start(&self, _: &ContainerId, _: &SandboxRecord) -> Result<()> {
            (self.0)("start")
        }
        fn pause(&self, _: &ContainerId, _: &SandboxRecord) -> Result<()> {
            (self.0)("pause")
        }
        fn resume(&self, _: &ContainerId, _: &SandboxRecord, _: Status) -> Result<()> {
            (self.0)("resume")
        }
        fn signal(&self, _: &ContainerId, _: &SandboxRecord, _: Signal) -> Result<Fate> {
            (self.0)("signal").map(|()| Fate::Ended)
        }
        fn checkpoint(&self, _: &ContainerId, _: &SandboxRecord) -> Result<Box<RawValue>> {
            (self.0)("checkpoint")?;
            RawValue::from_string("null".to_owned()).map_err(std::io::Error::other)
        }
        fn restore(&self, _: &ContainerId, _: &mut SandboxRecord, _: &RawValue) -> Result<()> {
            (self.0)("restore")
        }
        fn destroy(&self, _: &ContainerId, _: &SandboxRecord) -> Result<()> {
            (self.0)("destroy")
        }
        fn probe(&self, _: &ContainerId, _: &SandboxRecord) -> Observed {
            Observed::AsRecorded
        }
    }
}

/// A child that runs the test `child_process` of the calling test binary, which does what `role` says. It says on its
/// standard output when it is ready; see [`Child::wait_until_ready`].
pub struct Child(pub std::process::Child);

const ROLE: &str = "FLOCKWORK_TEST_ROLE";
const ROOT: &str = "FLOCKWORK_TEST_ROOT";
const LOCK: &str = "FLOCKWORK_TEST_LOCK";
const READY: &str = "child is ready";

impl Child {
    pub fn spawn(role: &str, root: &Path, lock: LockKind) -> Self {
        Self::spawn_by(&[], role, root, lock)
    }

    /// The same, started by another command such as `unshare`.
    pub fn spawn_by(command: &[&str], role: &str, root: &Path, lock: LockKind) -> Self {
        let own = std::env::current_exe().unwrap();
        let mut line: Vec<_> = command.iter().map(std::ffi::OsStr::new).collect();
        line.push(own.as_os_str());
        let child = std::process::Command::new(line[0])
            .args(&line[1..])
            .args(["--exact", "child_process", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(ROOT, root)
            .env(LOCK, lock.as_str())
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    pub fn wait_until_ready(&mut self) {
        use std::io::BufRead as _;
        let lines = std::io::BufReader::new(self.0.stdout.as_mut().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.contains(READY)), "the child ended early");
    }

    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Waits for a child that ends by itself, and for its approval.
    pub fn join(mut self) {
        use std::io::Read as _;
        let mut said = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(self.0.wait().unwrap().success(), "the child failed: {said}");
    }
}

/// What the child that runs this test is to do; `None` where it is no child.
pub fn role() -> Option<(String, PathBuf, LockKind)> {
    let role = std::env::var(ROLE).ok()?;
    let lock = std::env::var(LOCK).unwrap().parse().unwrap();
    Some((role, std::env::var_os(ROOT).unwrap().into(), lock))
}

pub fn say_ready() {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{READY}").unwrap();
    out.flush().unwrap();
}

/// Says that a test was not run, and why. Where everything is required, that is a failure.
pub fn skip(test: &str, why: &str) {
    assert!(std::env::var_os("FLOCKWORK_REQUIRE_ALL").is_none(), "{test} cannot be run: {why}");
    println!("skipped {test}: {why}");
}
