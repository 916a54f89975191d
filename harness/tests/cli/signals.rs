//! Ctrl-C once and twice, and SIGKILL: what is left, and who clears it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Place, SOUND, ends_with, json, json_file, stderr};

const PATIENCE: Duration = Duration::from_secs(20);

/// A run that would last for minutes, and has begun.
struct LongRun {
    child: Child,
}

impl LongRun {
    fn start(place: &Place) -> Self {
        place.file("s.toml", SOUND);
        let mut command = place.run(&["s.toml", "s.toml", "--duration", "10m", "--format", "json"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        until("containers appear", || containers(place) > 0);
        Self { child }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    #[track_caller]
    fn end(self) -> std::process::Output {
        let started = Instant::now();
        let output = self.child.wait_with_output().unwrap();
        assert!(started.elapsed() < PATIENCE, "it took {:?}", started.elapsed());
        output
    }
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        sleep(Duration::from_millis(10));
    }
}

fn containers(place: &Place) -> usize {
    let roots = place.remains().into_iter().map(|folder| folder.join("root"));
    roots.filter_map(|root| fs::read_dir(root).ok()).map(Iterator::count).sum()
}

/// Processes that have something of this place open or as their working folder, this one aside.
fn inhabitants(place: &Path) -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    processes
        .filter(|process| fs::read_link(process.join("cwd")).is_ok_and(|folder| folder.starts_with(place)))
        .collect()
}

#[test]
fn interrupted_once_it_writes_what_was_seen() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let place = Place::new();
        let run = LongRun::start(&place);
        run.signal(signal);
        let output = run.end();
        assert_eq!(output.status.code(), Some(102), "{}", stderr(&output));
        let folder = &place.runs()[0];
        let summary = json_file(&folder.join("summary.json"));
        assert_eq!((&summary["interrupted"], &summary["verdict"]), (&true.into(), &"inconclusive".into()));
        assert_eq!(json_file(&folder.join("run.json"))["status"], "complete");
        assert!(folder.join("history.jsonl.zst").is_file());
        let report = json(&output);
        assert_eq!((&report["interrupted"], &report["not_run"]), (&true.into(), &serde_json::json!(["s"])));
        assert!(place.remains().is_empty(), "{:?}", place.remains());
        until("every process ends", || inhabitants(place.path()).is_empty());
    }
}

#[test]
fn interrupted_twice_it_leaves_at_once_and_the_next_run_clears_up() {
    let place = Place::new();
    let run = LongRun::start(&place);
    run.signal(Signal::SIGINT);
    // Another signal: two of one kind may be delivered as one.
    run.signal(Signal::SIGTERM);
    let output = run.end();
    assert!(matches!(output.status.code(), Some(130 | 143)), "{output:?}");
    the_next_run_clears_up(&place);
}

#[test]
fn killed_it_leaves_a_readable_incomplete_run_and_the_next_run_clears_up() {
    let place = Place::new();
    let run = LongRun::start(&place);
    run.signal(Signal::SIGKILL);
    run.end();
    the_next_run_clears_up(&place);
}

#[track_caller]
fn the_next_run_clears_up(place: &Place) {
    until("every process ends", || inhabitants(place.path()).is_empty());
    let record = json_file(&place.runs()[0].join("run.json"));
    assert_eq!((&record["status"], &record["ended_at"]), (&"incomplete".into(), &serde_json::Value::Null));
    assert!(!place.runs()[0].join("summary.json").exists());
    assert_eq!(place.remains().len(), 1, "{:?}", place.remains());
    let said = stderr(&ends_with(&mut place.run(&["s.toml", "--operations", "500"]), 0));
    assert!(said.contains("left by a run that was killed"), "{said}");
    assert!(place.remains().is_empty(), "{:?}", place.remains());
}
