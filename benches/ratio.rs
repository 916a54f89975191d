//! What the library costs over the system calls it has to make: `cargo bench -p flockwork`.
//!
//! Both sides run in turn, batch by batch, on the same tmpfs, and what counts is the ratio of each pair of batches, and
//! its median. Time is that of the thread on a processor, kernel included: nothing here ever sleeps, and so what else
//! the machine does is left out. The hand-written side makes the same calls with the same bytes, and neither parses
//! nor checks anything.

use std::ffi::CStr;
use std::fs::File;
use std::hint::black_box;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::time::Duration;

use flockwork::{ContainerId, CreateRequest, Store};
use rustix::fs::{self, AtFlags, FlockOperation, Mode, OFlags, ResolveFlags};
use rustix::time::{ClockId, clock_gettime};

/// Pairs of batches, and how long one batch should take.
const PAIRS: usize = 1001;
const BATCH_NS: u128 = 500_000;

/// A ratio that is to be kept.
struct Target {
    name: &'static str,
    ratio_max: f64,
}

fn main() -> ExitCode {
    // `cargo test` runs benches too, to see that they work: then a few pairs are enough.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let pairs = if is_bench { PAIRS } else { 3 };
    let folder = tempfile::tempdir_in("/dev/shm").expect("a tmpfs at /dev/shm");
    let store = Store::options().open(folder.path()).expect("a store");
    let id: ContainerId = "c1".parse().expect("an id");
    let spec = serde_json::json!({
        "process": {"args": ["sleep", "1000"], "cwd": "/", "env": ["PATH=/usr/bin:/bin", "TERM=xterm"]},
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "flockwork",
        "annotations": {"filler": "x".repeat(768)},
    });
    store.create(&id, CreateRequest::with_spec(&spec).expect("JSON")).expect("a container");
    store.container(&id).start().expect("a running container");
    let raw = Raw::new(folder.path());

    let mut all_kept = true;
    let locking = Target { name: "lock and unlock", ratio_max: 1.1 };
    let take_and_drop = || drop(store.container(&id).lock_exclusive().expect("the lock"));
    all_kept &= compare(&locking, pairs, take_and_drop, || raw.lock_with_openat());
    let pausing = Target { name: "pause transaction", ratio_max: 1.15 };
    let mut toggle = Toggle::default();
    all_kept &= compare(
        &pausing,
        pairs,
        || {
            let container = store.container(&id);
            let stamp = if toggle.flip() { container.pause() } else { container.resume() };
            black_box(stamp.expect("pauses and resumes take turns"));
        },
        || raw.transaction(),
    );
    if all_kept || !is_bench { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Default)]
struct Toggle(bool);

impl Toggle {
    fn flip(&mut self) -> bool {
        self.0 = !self.0;
        self.0
    }
}

/// Runs both sides in turn, prints what they took, and tells whether the target is kept.
fn compare(target: &Target, pairs: usize, mut library: impl FnMut(), mut raw: impl FnMut()) -> bool {
    let once = time(100, &mut library).max(1) / 100;
    // An even number, so that a batch ends as it began.
    let batch = u32::try_from(BATCH_NS / once.max(1)).unwrap_or(u32::MAX).max(2) & !1;
    let mut ratios = Vec::with_capacity(pairs);
    let mut times = (Vec::with_capacity(pairs), Vec::with_capacity(pairs));
    for pair in 0..pairs {
        let (library_ns, raw_ns) = if pair % 2 == 0 {
            let library_ns = time(batch, &mut library);
            (library_ns, time(batch, &mut raw))
        } else {
            let raw_ns = time(batch, &mut raw);
            (time(batch, &mut library), raw_ns)
        };
        ratios.push(library_ns as f64 / raw_ns as f64);
        times.0.push(library_ns as f64 / f64::from(batch));
        times.1.push(raw_ns as f64 / f64::from(batch));
    }
    let ratio = quantile(&mut ratios, 50);
    println!(
        "{:<18} library {:>6.0} ns, system calls {:>6.0} ns, ratio {ratio:.3} (p10 {:.3}, p90 {:.3}), target {}",
        target.name,
        quantile(&mut times.0, 50),
        quantile(&mut times.1, 50),
        quantile(&mut ratios, 10),
        quantile(&mut ratios, 90),
        target.ratio_max,
    );
    ratio <= target.ratio_max
}

fn time(times: u32, run: &mut impl FnMut()) -> u128 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or_default())
    };
    let since = now();
    for _ in 0..times {
        run();
    }
    now().saturating_sub(since).as_nanos()
}

fn quantile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) * percent / 100]
}

/// The hand-written side.
struct Raw {
    root: OwnedFd,
    json: Vec<u8>,
}

const LOCK: &CStr = c"c1/meta.lock";
const META: &CStr = c"c1/meta.json";
const TEMPORARY: &CStr = c"c1/meta.json.tmp";

impl Raw {
    fn new(path: &std::path::Path) -> Self {
        let root = fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let json = std::fs::read(path.join("c1/meta.json")).expect("the container's metadata");
        Self { root: root.expect("the root"), json }
    }

    /// open, flock, fstat, stat, flock, close: with a plain open, the cheapest there is.
    fn lock_with_openat(&self) {
        let lock = fs::openat(&self.root, LOCK, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .expect("the lock file");
        self.lock(&lock);
        fs::flock(&lock, FlockOperation::Unlock).expect("an unlock");
    }

    fn lock(&self, lock: &OwnedFd) {
        fs::flock(lock, FlockOperation::LockExclusive).expect("the lock");
        let locked = fs::fstat(lock).expect("its inode");
        let there = fs::statat(&self.root, LOCK, AtFlags::SYMLINK_NOFOLLOW).expect("the inode at its path");
        assert_eq!(locked.st_ino, there.st_ino);
    }

    /// The library opens with openat2, which costs a little more and follows no link: the same here.
    fn open(&self, path: &CStr, flags: OFlags, mode: Mode) -> OwnedFd {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, mode, resolve).expect("the file")
    }

    fn transaction(&self) {
        let lock = self.open(LOCK, OFlags::RDWR | OFlags::NONBLOCK, Mode::empty());
        self.lock(&lock);
        let meta = self.open(META, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty());
        let size = fs::fstat(&meta).expect("its size").st_size;
        let mut bytes = Vec::with_capacity(usize::try_from(size).expect("a size") + 1);
        rustix::io::read(&meta, rustix::buffer::spare_capacity(&mut bytes)).expect("its bytes");
        black_box(&bytes);
        drop(meta);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let temporary = self.open(TEMPORARY, flags, Mode::RUSR | Mode::WUSR | Mode::RGRP);
        let written = rustix::io::write(&temporary, black_box(&self.json)).expect("a write");
        assert_eq!(written, self.json.len());
        drop(File::from(temporary));
        fs::renameat(&self.root, TEMPORARY, &self.root, META).expect("a rename");
        fs::flock(&lock, FlockOperation::Unlock).expect("an unlock");
    }
}
