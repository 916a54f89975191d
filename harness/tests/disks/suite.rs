//! Which cases are watched on which filesystems, and what must come of it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use super::cases::{ANOMALIES, Case, by_hand, random};
use super::device::{Device, Served, enter};
use super::filesystem::{ALL, Filesystem, is_installed};
use super::images::{Breadth, Choice, Flushes, Tearing};
use super::publish;
use super::watch::{Seen, watch};
use super::worker;

/// For how long replies to writes of data are held back, in milliseconds: longer where that was not enough to see what must be
/// seen.
const DELAYS_MS: [u32; 5] = [10, 40, 160, 640, 2560];
/// The filesystems of the short form.
const SHORT: [&str; 3] = ["ext4", "xfs", "btrfs"];
/// Without flushes this case must break its promise: it is the one that keeps it.
const CONTROL: &str = "fsync, rename over a file, fsync of the folder";

/// Runs one form in a process of its own, and tells what it tells.
pub fn run(form: &str) -> ExitCode {
    let status = worker(form).status().expect("this binary starts");
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The work itself, in a process of its own.
pub fn work(form: &str) -> ExitCode {
    // New files have the permissions that the models say.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let is_long = form == "long";
    let wanted = ALL.into_iter().filter(|filesystem| is_long || SHORT.contains(&filesystem.model));
    let wanted: Vec<Filesystem> = wanted.filter(|filesystem| !is_skipped(*filesystem)).collect();
    let served: Vec<Served> =
        wanted.iter().map(|filesystem| Served::start(filesystem.size).expect("a server")).collect();
    enter().expect("a mount namespace of its own");
    let mut results = Results::default();
    for (filesystem, served) in wanted.into_iter().zip(served) {
        let device = Device::open(served).expect("a watched disk");
        println!("watching {} by {}", device.path, device.server());
        filesystem.make(&device).expect("a filesystem");
        results.of(&device, filesystem, is_long);
    }
    for wrong in &results.wrong {
        println!("WRONG: {wrong}");
    }
    if is_long && results.wrong.is_empty() {
        publish::publish(&results.rows, &results.torn);
    }
    if results.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether what makes it is not installed: that is told, and with `FLOCKWORK_REQUIRE_ALL=1` a failure.
fn is_skipped(filesystem: Filesystem) -> bool {
    let (model, maker) = (filesystem.model, filesystem.maker());
    let lacks = !is_installed(&maker);
    assert!(!lacks || std::env::var_os("FLOCKWORK_REQUIRE_ALL").is_none(), "{model} needs {maker}");
    if lacks {
        println!("skipped: {model} needs {maker}");
    }
    lacks
}

/// What was seen of a case on a filesystem.
pub struct Row {
    pub model: &'static str,
    pub case: String,
    pub seen: Seen,
}

#[derive(Default)]
struct Results {
    rows: Vec<Row>,
    torn: Vec<Row>,
    wrong: Vec<String>,
}

impl Results {
    fn of(&mut self, device: &Device, filesystem: Filesystem, is_long: bool) {
        let begun = Instant::now();
        let breadth = if is_long { Breadth::Wide { random: 4 } } else { Breadth::Narrow };
        let usual = Choice { flushes: Flushes::Kept, tearing: Tearing::Blocks, breadth };
        let cases = by_hand();
        for (case, _) in cases.iter().filter(|(_, is_short)| is_long || *is_short) {
            let seen = self.until_seen(device, filesystem, case, usual);
            self.wrong.extend(seen.outside.iter().cloned());
            self.rows.push(Row { model: filesystem.model, case: case.name.clone(), seen });
        }
        let control = cases.iter().find(|(case, _)| case.name == CONTROL).expect("it is there");
        let ignoring = Choice { flushes: Flushes::Ignored, ..usual };
        let seen = watch(device, filesystem, &control.0, DELAYS_MS[0], ignoring).expect("it can be watched");
        if seen.outside.is_empty() {
            let model = filesystem.model;
            self.wrong.push(format!(
                "{model}: a disk that ignores flushes breaks no promise, so this finds nothing"
            ));
        }
        if is_long {
            self.at_length(device, filesystem, &cases, usual);
        }
        let mine = || self.rows.iter().filter(|row| row.model == filesystem.model).map(|row| &row.seen);
        println!(
            "{}: {} disks mounted in {:.1} s, {} of {} states seen",
            filesystem.model,
            mine().map(|seen| seen.images).sum::<usize>(),
            begun.elapsed().as_secs_f64(),
            mine().map(|seen| seen.reached).sum::<usize>(),
            mine().map(|seen| seen.allowed).sum::<usize>()
        );
    }

    fn at_length(&mut self, device: &Device, filesystem: Filesystem, cases: &[(Case, bool)], usual: Choice) {
        let sectors = Choice { tearing: Tearing::Sectors, breadth: Breadth::Narrow, ..usual };
        for (case, _) in cases {
            let seen = watch(device, filesystem, case, DELAYS_MS[0], sectors).expect("it can be watched");
            self.torn.push(Row { model: filesystem.model, case: case.name.clone(), seen });
        }
        let count = std::env::var("FLOCKWORK_DISKS_RANDOM").ok().and_then(|count| count.parse().ok());
        for seed in 1..=count.unwrap_or(20) {
            let case = random(seed);
            let seen = watch(device, filesystem, &case, DELAYS_MS[0], usual).expect("it can be watched");
            self.wrong.extend(seen.outside.iter().map(|outside| format!("{outside}; all: {:?}", case.ops)));
            self.rows.push(Row { model: filesystem.model, case: "random calls".into(), seen });
        }
    }

    /// Watches a case, with longer delays as long as what must be seen of it is not.
    fn until_seen(&mut self, device: &Device, filesystem: Filesystem, case: &Case, choice: Choice) -> Seen {
        let wanted: Vec<&str> = ANOMALIES
            .iter()
            .filter(|(of, model, _)| *of == case.name && *model == filesystem.model)
            .map(|(_, _, anomaly)| *anomaly)
            .collect();
        let mut all = Seen::default();
        for delay_ms in DELAYS_MS {
            let seen = watch(device, filesystem, case, delay_ms, choice).expect("it can be watched");
            all.images += seen.images;
            all.reached = all.reached.max(seen.reached);
            all.allowed = seen.allowed;
            all.words.extend(seen.words);
            all.shown.extend(seen.shown);
            all.outside.extend(seen.outside);
            if missing(&wanted, &all.words).is_none() {
                return all;
            }
        }
        let anomaly = missing(&wanted, &all.words).unwrap_or_default();
        self.wrong.push(format!(
            "{} on {}: {anomaly} was never seen: {:?}",
            case.name, filesystem.model, all.words
        ));
        all
    }
}

/// The first of these that no state shows.
fn missing<'a>(wanted: &[&'a str], words: &BTreeSet<String>) -> Option<&'a str> {
    let is_seen = |anomaly: &str| {
        words.iter().any(|state| {
            let files: Vec<&str> = state.split(' ').collect();
            anomaly.split(' ').all(|part| files.contains(&part))
        })
    };
    wanted.iter().find(|anomaly| !is_seen(anomaly)).copied()
}

/// Kills the process that does the work while it does it: its disk, its mounts and its server go with it.
pub fn a_killed_watch_leaves_nothing() {
    for after_ms in [200, 500, 900] {
        kill_after(Duration::from_millis(after_ms));
    }
}

fn kill_after(wait: Duration) {
    let mut child = worker("short").stdout(Stdio::piped()).spawn().expect("this binary starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let first = lines.next().expect("a line").expect("text");
    let (device, server) = first
        .strip_prefix("watching ")
        .and_then(|rest| rest.split_once(" by "))
        .unwrap_or_else(|| panic!("the worker says what it uses: {first}"));
    // Somewhere in the middle of it.
    std::thread::sleep(wait);
    child.kill().expect("a kill");
    child.wait().expect("its end");
    let backing = device.replace("/dev/", "/sys/block/") + "/loop/backing_file";
    let holds = || {
        let stays = std::fs::read_to_string(&backing).is_ok_and(|file| file.contains("fuse/disk"));
        let is_alive = std::fs::read_to_string(format!("/proc/{server}/cmdline"))
            .is_ok_and(|command| command.contains("serve"));
        (stays || is_alive).then(|| format!("loop device {device}: {stays}, server {server}: {is_alive}"))
    };
    let until = Instant::now() + Duration::from_secs(60);
    while let Some(what) = holds() {
        assert!(Instant::now() < until, "it stays: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
