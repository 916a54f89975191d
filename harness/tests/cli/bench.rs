//! `flockwork bench`: what is measured, what is refused, and what is left when somebody dies or wants to stop.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use flockwork_harness::measure::{Axis, BenchRecord, Cell, Round, Value};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Place, ends_with, hearing, json, json_file, skip, stderr};

const PATIENCE: Duration = Duration::from_secs(60);

/// Short rounds: what is tested is not how fast anything is.
fn scenario(axes: &str) -> String {
    format!("kind = \"bench\"\n[bench]\nwarm_up = \"2ms\"\nduration = \"30ms\"\nrounds = 2\n{axes}\n")
}

impl Place {
    fn bench(&self, axes: &str, words: &[&str]) -> Command {
        self.file("b.toml", &scenario(axes));
        let mut command = self.flockwork(&["bench", "b.toml", "--root", "root"]);
        command.args(words);
        command
    }

    fn record(&self) -> BenchRecord {
        let text = fs::read_to_string(self.runs()[0].join("bench.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

fn word(cell: &Cell, axis: Axis) -> String {
    cell.point.get(axis).map_or_else(String::new, Value::to_string)
}

fn overlaps(cell: &Cell) -> u64 {
    cell.rounds.iter().map(|round| round.exclusion.overlaps).sum()
}

#[test]
fn every_lock_is_measured_and_excludes_in_every_way_to_wait_and_to_open() {
    let place = Place::new();
    let axes = r#"lock = ["fs2", "std", "ofd", "posix", "lockfile", "mutex"]
wait = ["block", "poll 100us", "back-off 50us..1ms"]
descriptor = ["kept", "opened", "checked"]
work = "spin 2us"
processes = [1, 4]
containers = [1, 3]
skew = "zipf 1.0""#;
    let output = ends_with(&mut place.bench(axes, &["--seed", "7", "--set", "bench.rounds=1"]), 0);
    let record = place.record();
    // Four locks of files with three descriptors each, and two without, by waits, processes and containers.
    assert_eq!(record.cells.len(), (4 * 3 + 2) * 3 * 2 * 2);
    assert_eq!(record.left_out, (6 * 3 * 3 * 2 * 2) - record.cells.len() as u64);
    assert!(stderr(&output).contains("left out"), "{}", stderr(&output));
    assert!(record.complete && record.seed == 7 && record.scenario == "b");
    for cell in &record.cells {
        assert_eq!((cell.rounds.len(), &cell.invalid), (1, &None), "{}", cell.point);
        assert_eq!(overlaps(cell), 0, "{}", cell.point);
        let round = &cell.rounds[0];
        let acquisitions = round.acquisitions();
        assert_eq!(round.shares.len().to_string(), word(cell, Axis::Processes));
        assert_eq!(round.whole.count(), acquisitions, "{}", cell.point);
        assert_eq!(round.hold.count(), round.wait.count());
        assert!(round.exclusion.watched >= acquisitions);
        let told: u64 = round.handoff_matrix.iter().flatten().sum();
        assert!(told >= round.handoffs, "the matrix has those that stayed as well");
        assert_eq!(
            round.handoffs,
            told - (0..round.shares.len()).map(|i| round.handoff_matrix[i][i]).sum::<u64>()
        );
    }
    let total: u64 = record.cells.iter().flat_map(|cell| &cell.rounds).map(Round::acquisitions).sum();
    assert!(total > 0, "not every round gets a turn on a busy machine, but all of them together do");
    let mut orders: Vec<u32> =
        record.cells.iter().flat_map(|cell| &cell.rounds).map(|round| round.order).collect();
    assert!(!orders.is_sorted(), "rounds run in random order");
    orders.sort_unstable();
    assert!(orders.iter().zip(0..).all(|(order, number)| *order == number));
    assert!(place.remains().is_empty(), "{:?}", place.remains());
    assert_eq!(json_file(&place.runs()[0].join("run.json"))["status"], "complete");
    assert_eq!(json_file(&place.runs()[0].join("summary.json"))["verdict"], "clean");
}

#[test]
fn operations_on_containers_are_measured_with_every_policy() {
    let place = Place::new();
    let axes = r#"subject = ["library", "gvisor-2018"]
work = ["read", "pause", "mixed"]
read = ["shared", "exclusive", "lock-free"]
write = ["rename", "in-place"]
reads = [1, 3]
payload = ["1KiB", "16KiB"]
processes = 3
containers = 2"#;
    ends_with(&mut place.bench(axes, &["--set", "bench.rounds=1"]), 0);
    let record = place.record();
    for cell in &record.cells {
        assert_eq!((cell.rounds.len(), &cell.invalid), (1, &None), "{}", cell.point);
        assert_eq!(overlaps(cell), 0, "{}", cell.point);
        let round = &cell.rounds[0];
        assert_eq!(round.whole.count(), round.acquisitions(), "{}", cell.point);
        match word(cell, Axis::Work).as_str() {
            "read" => {
                assert_eq!(round.reads, round.acquisitions());
                let timed = if word(cell, Axis::Read) == "lock-free" { 0 } else { round.acquisitions() };
                assert_eq!((round.wait.count(), round.hold.count()), (timed, timed), "{}", cell.point);
            }
            "pause" => assert_eq!(round.reads, 0),
            _ => assert!(round.reads <= round.acquisitions(), "{}", cell.point),
        }
    }
    let torn = |cell: &Cell| word(cell, Axis::Read) == "lock-free" && word(cell, Axis::Write) == "in-place";
    assert!(!record.cells.iter().any(torn), "such reads would be torn");
}

#[test]
fn open_load_comes_at_its_rate() {
    let place = Place::new();
    let axes = "load = [\"open 2000/s\", \"closed 1ms\"]\nprocesses = 2";
    ends_with(&mut place.bench(axes, &["--set", "bench.duration=200ms"]), 0);
    for cell in &place.record().cells {
        for round in &cell.rounds {
            let due = round.duration_ns * 2000 / 1_000_000_000;
            let shown = format!("{}: {} of {due}", cell.point, round.acquisitions());
            // What was late at the beginning is caught up with; thinking processes do a millisecond or more each.
            assert!(round.acquisitions() <= due + due / 4 + 2, "{shown}");
        }
    }
}

#[test]
fn without_a_lock_overlaps_are_seen() {
    let place = Place::new();
    ends_with(&mut place.bench("lock = \"none\"\nwork = \"spin 20us\"\nprocesses = 8", &[]), 0);
    assert!(overlaps(&place.record().cells[0]) > 0);
}

#[test]
fn processes_that_share_an_inherited_descriptor_are_caught() {
    for lock in ["fs2", "ofd"] {
        let place = Place::new();
        let axes =
            format!("lock = \"{lock}\"\ndescriptor = \"inherited\"\nwork = \"spin 20us\"\nprocesses = 8");
        let output = ends_with(&mut place.bench(&axes, &[]), 100);
        assert!(stderr(&output).contains("did not exclude each other"), "{}", stderr(&output));
        assert!(overlaps(&place.record().cells[0]) > 0);
        assert_eq!(json_file(&place.runs()[0].join("summary.json"))["verdict"], "violation");
    }
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_runs() {
    let cases: &[(&str, &[&str])] = &[
        (
            "lock = \"none\"\nwork = \"pause\"\nprocesses = 1",
            &["b.toml:2:", "the grid is empty", "none and mutex go with"],
        ),
        ("lock = []\nprocesses = 1", &["b.toml:6:8", "an empty list", "the grid is empty"]),
        ("descriptor = \"kept\"\nwork = \"pause\"\nprocesses = 1", &["the grid is empty", "\"checked\""]),
        (
            "proceses = 1",
            &[
                "unknown key \"proceses\" in [bench]",
                "nearest known key is \"processes\"",
                "[bench] needs processes",
            ],
        ),
        ("lock = \"fs3\"\nprocesses = 1", &["expected one of fs2, std", "nearest is \"fs2\""]),
        ("wait = \"poll\"\nprocesses = 1", &["wait: expected \"block\", \"poll 10ms\""]),
        ("load = \"open 0/s\"\nprocesses = 1", &["load: expected", "open 1000/s"]),
        ("skew = \"zipf 9\"\nprocesses = 1", &["skew: expected"]),
        ("work = \"spin\"\nprocesses = 1", &["work: expected"]),
        ("processes = [1, 0]", &["processes: expected a whole number from 1 to 4096, found 0"]),
        ("payload = \"2MiB\"\nprocesses = 1", &["payload: expected 0 (none) or a size"]),
        ("processes = 1\n[thresholds]\n\"wait.p99\" = 5", &["wait.p99: expected a bound as a text"]),
        ("processes = 1\n[subject]\nname = \"library\"", &["unknown key \"subject\""]),
    ];
    for (axes, expected) in cases {
        let place = Place::new();
        let said = stderr(&ends_with(&mut place.bench(axes, &[]), 2));
        for part in *expected {
            assert!(said.contains(part), "{axes}\nshould say {part:?}, said:\n{said}");
        }
        assert!(place.runs().is_empty());
    }
}

#[test]
fn what_would_take_long_says_how_long_and_asks() {
    let place = Place::new();
    let list = |count: u32| (1..=count).map(|number| number.to_string()).collect::<Vec<_>>().join(", ");
    let million = format!("processes = [{}]\ncontainers = [{}]", list(1000), list(1000));
    let said = stderr(&ends_with(&mut place.bench(&million, &["--yes"]), 2));
    assert!(said.contains("1,000,000 combinations") && said.contains("would take up to 17h"), "{said}");
    let long = "processes = [1, 2]\nbudget = \"5m\"";
    let said = stderr(&ends_with(&mut place.bench(long, &["--duration", "10m"]), 2));
    assert!(said.contains("2 cells with 2 rounds each would take about 40m"), "{said}");
    assert!(said.contains("the budget is 5m 00s") && said.contains("--yes"), "{said}");
    assert!(place.runs().is_empty());
}

#[test]
fn a_file_of_another_kind_is_nothing_to_measure() {
    let place = Place::new();
    place.file("s.toml", crate::support::SOUND);
    let said = stderr(&ends_with(&mut place.flockwork(&["bench", "s.toml"]), 2));
    assert!(said.contains("flockwork run"), "{said}");
    fs::create_dir(place.path().join("empty")).unwrap();
    ends_with(&mut place.flockwork(&["bench", "empty"]), 4);
}

#[test]
fn the_default_benchmark_says_first_how_long_it_takes() {
    let place = Place::new();
    let words = [
        "bench",
        "--root",
        "root",
        "--duration",
        "1ms",
        "--rounds",
        "1",
        "--processes",
        "1,2",
        "--format",
        "json",
    ];
    let output = ends_with(&mut place.flockwork(&words), 0);
    assert!(
        stderr(&output).contains("default: ") && stderr(&output).contains("about "),
        "{}",
        stderr(&output)
    );
    let (document, record) = (json(&output), place.record());
    assert_eq!(document["kind"], "bench");
    assert_eq!(document["cells"].as_array().unwrap().len(), record.cells.len());
    assert_eq!(document["started_at"], record.started_at);
    assert!(place.runs()[0].join("report.html").is_file());
}

#[test]
fn a_run_measures_benchmarks_too() {
    let place = Place::new();
    place.file("b.toml", &scenario("processes = 2"));
    let report = json(&ends_with(&mut place.run(&["b.toml", "--format", "json"]), 0));
    let scenario = &report["scenarios"][0];
    assert_eq!((&scenario["kind"], &scenario["verdict"]), (&"bench".into(), &"clean".into()));
    assert!(scenario["operations"].as_u64().unwrap() > 0);
    assert!(place.runs()[0].join("bench.json").is_file());
}

/// A benchmark that lasts for minutes, and is measuring.
fn long(place: &Place, axes: &str) -> std::process::Child {
    let mut command = hearing(&place.bench(axes, &["--duration", "2s", "--rounds", "40", "--yes"]));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[track_caller]
fn until<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        sleep(Duration::from_millis(5));
    }
}

/// A process of this place that calls itself by this name.
fn inhabitant(place: &Path, name: &str) -> Option<u32> {
    let processes: Vec<PathBuf> =
        fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()).collect();
    processes.into_iter().find_map(|process| {
        let is_here = fs::read_link(process.join("cwd")).is_ok_and(|folder| folder.starts_with(place));
        let is_named = fs::read_to_string(process.join("comm")).is_ok_and(|comm| comm.trim() == name);
        (is_here && is_named).then(|| process.file_name()?.to_str()?.parse().ok())?
    })
}

#[test]
fn a_worker_that_is_killed_invalidates_its_cell_and_no_other() {
    let place = Place::new();
    let axes = "lock = [\"fs2\", \"mutex\", \"lockfile\"]\nprocesses = 3";
    let mut command = place.bench(axes, &["--duration", "500ms", "--rounds", "2"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Whichever cell is measured first.
    let victim = until("a worker works", || inhabitant(place.path(), "fw-1"));
    kill(Pid::from_raw(victim.cast_signed()), Signal::SIGKILL).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(102), "{}", stderr(&output));
    let record = place.record();
    let invalid: Vec<&Cell> = record.cells.iter().filter(|cell| cell.invalid.is_some()).collect();
    assert_eq!(invalid.len(), 1, "{}", stderr(&output));
    let why = invalid[0].invalid.as_ref().unwrap();
    assert_eq!(why, &format!("in round 1 process 1 (pid {victim}) was killed by SIGKILL"));
    assert!(!record.complete);
    for cell in &record.cells {
        assert_eq!(cell.rounds.len(), if cell.invalid.is_some() { 1 } else { 2 }, "{}", cell.point);
    }
    assert!(place.remains().is_empty(), "{:?}", place.remains());
}

#[test]
fn interrupted_it_writes_what_was_measured() {
    let place = Place::new();
    let child = long(&place, "lock = [\"fs2\", \"ofd\"]\nprocesses = 2");
    until("the second round is measured", || {
        let worker = inhabitant(place.path(), "fw-1")?;
        // The first round's workers are gone once there are others.
        until("it ends", || inhabitant(place.path(), "fw-1").filter(|other| *other != worker)).into()
    });
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(102), "{}", stderr(&output));
    let record = place.record();
    let rounds: usize = record.cells.iter().map(|cell| cell.rounds.len()).sum();
    assert!(!record.complete && (1..80).contains(&rounds), "{rounds}");
    assert!(stderr(&output).contains("interrupted"), "{}", stderr(&output));
    assert_eq!(json_file(&place.runs()[0].join("run.json"))["status"], "complete");
    assert!(place.remains().is_empty(), "{:?}", place.remains());
    until("every process ends", || inhabitant(place.path(), "fw-zygote").is_none().then_some(()));
}

#[test]
fn several_roots_are_values_of_an_axis() {
    let place = Place::new();
    for folder in ["one", "other"] {
        fs::create_dir(place.path().join(folder)).unwrap();
    }
    place.file("b.toml", &scenario("processes = 1"));
    ends_with(&mut place.flockwork(&["bench", "b.toml", "--root", "one", "--root", "other"]), 0);
    let record = place.record();
    let roots: Vec<String> = record.cells.iter().map(|cell| word(cell, Axis::Root)).collect();
    let named: Vec<String> = record.filesystems.iter().map(|filesystem| filesystem.root.clone()).collect();
    assert_eq!(roots, named);
    // Both lie on one filesystem, so that its type does not tell them apart.
    assert!(roots[0].ends_with("/one") && roots[1].ends_with("/other"), "{roots:?}");
    for folder in ["one", "other"] {
        assert_eq!(fs::read_dir(place.path().join(folder)).unwrap().count(), 0);
    }
}

#[test]
fn a_root_that_cannot_be_used_is_said_so() {
    let place = Place::new();
    place.file("b.toml", &scenario("processes = 1"));
    let said = stderr(&ends_with(&mut place.flockwork(&["bench", "b.toml", "--root", "/proc"]), 96));
    assert!(said.contains("no folder can be made below /proc") && said.contains("--root"), "{said}");
    let said = stderr(&ends_with(&mut place.flockwork(&["bench", "b.toml", "--root", "nowhere"]), 2));
    assert!(said.contains("nowhere"), "{said}");
}

/// A filesystem with next to no room, for as long as this lives.
struct Narrow(PathBuf);

impl Narrow {
    fn mount(folder: PathBuf) -> Option<Self> {
        let words = ["-t", "tmpfs", "-o", "size=256k", "narrow"];
        let mounted = Command::new("mount").args(words).arg(&folder).stderr(Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(folder))
    }
}

impl Drop for Narrow {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_root_without_room_is_said_so() {
    let place = Place::new();
    let Some(narrow) = Narrow::mount(place.root()) else {
        return skip("a_root_without_room_is_said_so", "no filesystem can be mounted");
    };
    let axes = "work = \"pause\"\npayload = \"64KiB\"\ncontainers = 100\nprocesses = 1";
    let said = stderr(&ends_with(&mut place.bench(axes, &[]), 96));
    assert!(said.contains("No space left on device") && said.contains("--root"), "{said}");
    assert!(place.remains().is_empty(), "{:?}", place.remains());
    drop(narrow);
}
