//! What the library costs over the system calls it has to make: `cargo bench -p flockwork`.
//!
//! Both sides run in turn, batch by batch, on the same tmpfs, and what counts is the ratio of each pair of batches, and
//! its median. Time is that of the thread on a processor, kernel included: nothing here ever sleeps, and so what else
//! the machine does is left out. The hand-written side makes the same calls with the same bytes, and neither parses
//! nor checks anything.
//!
//! How a process lies in memory favours one side or the other by some percent. So several processes measure, one after
//! the other, and the median of theirs is the result.

use std::ffi::CStr;
use std::fs::File;
use std::hint::black_box;
use std::os::fd::OwnedFd;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use flockwork::{ContainerId, CreateRequest, Store};
use rustix::fs::{self, AtFlags, FlockOperation, Mode, OFlags};
use rustix::time::{ClockId, clock_gettime};

/// How many processes measure.
const RUNS: usize = 11;

/// Pairs of batches of each, and how long one batch should take.
const PAIRS: usize = 501;
const BATCH_NS: u128 = 500_000;

/// Tells a process that it is one of those that measure.
const MEASURE: &str = "FLOCKWORK_BENCH_MEASURE";

/// A ratio that is to be kept.
struct Target {
    name: &'static str,
    ratio_max: f64,
}

const TARGETS: [Target; 2] = [
    Target { name: "lock and unlock", ratio_max: 1.1 },
    Target { name: "pause transaction", ratio_max: 1.15 },
];

/// The medians of one process: the ratio, and the times of one call of either side.
type Medians = [f64; 3];

fn main() -> ExitCode {
    // `cargo test` runs benches too, to see that they work: then a few pairs are enough.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    if !is_bench || std::env::var_os(MEASURE).is_some() {
        for medians in measure(if is_bench { PAIRS } else { 3 }) {
            println!("{} {} {}", medians[0], medians[1], medians[2]);
        }
        return ExitCode::SUCCESS;
    }
    let runs: Vec<_> = (0..RUNS).map(|_| measure_elsewhere()).collect();
    let mut all_kept = true;
    for (index, target) in TARGETS.iter().enumerate() {
        let column = |of: usize| runs.iter().map(|run| run[index][of]).collect::<Vec<_>>();
        let mut ratios = column(0);
        let ratio = quantile(&mut ratios, 50);
        println!(
            "{:<18} library {:>6.0} ns, system calls {:>6.0} ns, ratio {ratio:.3} ({:.3} to {:.3} in {RUNS} runs), \
             target {}",
            target.name,
            quantile(&mut column(1), 50),
            quantile(&mut column(2), 50),
            quantile(&mut ratios, 0),
            quantile(&mut ratios, 100),
            target.ratio_max,
        );
        all_kept &= ratio <= target.ratio_max;
    }
    if all_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Lets another process measure.
fn measure_elsewhere() -> Vec<Medians> {
    let own = std::env::current_exe().expect("this program");
    let output = Command::new(own).arg("--bench").env(MEASURE, "1").stderr(Stdio::inherit()).output();
    let text = String::from_utf8(output.expect("a run").stdout).expect("numbers");
    let number = |word: &str| word.parse::<f64>().expect("a number");
    let runs: Vec<Medians> = text
        .lines()
        .map(|line| line.split(' ').map(number).collect::<Vec<_>>().try_into().expect("three numbers"))
        .collect();
    assert_eq!(runs.len(), TARGETS.len(), "a run failed");
    runs
}

/// Measures each target in turn.
fn measure(pairs: usize) -> [Medians; 2] {
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

    let take_and_drop = || drop(store.container(&id).lock_exclusive().expect("the lock"));
    let mut toggle = Toggle::default();
    let pause_or_resume = || {
        let container = store.container(&id);
        let stamp = if toggle.flip() { container.pause() } else { container.resume() };
        black_box(stamp.expect("pauses and resumes take turns"));
    };
    [
        compare(pairs, take_and_drop, || raw.lock_and_unlock()),
        compare(pairs, pause_or_resume, || raw.transaction()),
    ]
}

#[derive(Default)]
struct Toggle(bool);

impl Toggle {
    fn flip(&mut self) -> bool {
        self.0 = !self.0;
        self.0
    }
}

/// Runs both sides in turn.
fn compare(pairs: usize, mut library: impl FnMut(), mut raw: impl FnMut()) -> Medians {
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
    [&mut ratios, &mut times.0, &mut times.1].map(|values| quantile(values, 50))
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

const CONTAINER: &CStr = c"c1";
const LOCK: &CStr = c"meta.lock";
const META: &CStr = c"meta.json";
const TEMPORARY: &CStr = c"meta.json.tmp";

impl Raw {
    fn new(path: &std::path::Path) -> Self {
        let root = fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let json = std::fs::read(path.join("c1/meta.json")).expect("the container's metadata");
        Self { root: root.expect("the root"), json }
    }

    /// The container's folder: without it, each name would be a path that a link can lead out of the root.
    fn folder(&self) -> OwnedFd {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fs::openat(&self.root, CONTAINER, flags, Mode::empty()).expect("the container's folder")
    }

    /// open of the folder, open, flock, fstat, stat, flock, and both closed.
    fn lock_and_unlock(&self) {
        let folder = self.folder();
        let lock = open(&folder, LOCK, OFlags::RDWR | OFlags::NONBLOCK, Mode::empty());
        take(&folder, &lock);
        fs::flock(&lock, FlockOperation::Unlock).expect("an unlock");
    }

    fn transaction(&self) {
        let folder = self.folder();
        let lock = open(&folder, LOCK, OFlags::RDWR | OFlags::NONBLOCK, Mode::empty());
        take(&folder, &lock);
        let meta = open(&folder, META, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty());
        let size = fs::fstat(&meta).expect("its size").st_size;
        let mut bytes = Vec::with_capacity(usize::try_from(size).expect("a size") + 1);
        rustix::io::read(&meta, rustix::buffer::spare_capacity(&mut bytes)).expect("its bytes");
        black_box(&bytes);
        drop(meta);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let temporary = open(&folder, TEMPORARY, flags, Mode::RUSR | Mode::WUSR | Mode::RGRP);
        let written = rustix::io::write(&temporary, black_box(&self.json)).expect("a write");
        assert_eq!(written, self.json.len());
        drop(File::from(temporary));
        fs::renameat(&folder, TEMPORARY, &folder, META).expect("a rename");
        fs::flock(&lock, FlockOperation::Unlock).expect("an unlock");
    }
}

fn open(folder: &OwnedFd, name: &CStr, flags: OFlags, mode: Mode) -> OwnedFd {
    fs::openat(folder, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, mode).expect("the file")
}

fn take(folder: &OwnedFd, lock: &OwnedFd) {
    fs::flock(lock, FlockOperation::LockExclusive).expect("the lock");
    let locked = fs::fstat(lock).expect("its inode");
    let there = fs::statat(folder, LOCK, AtFlags::SYMLINK_NOFOLLOW).expect("the inode in its place");
    assert_eq!(locked.st_ino, there.st_ino);
}
