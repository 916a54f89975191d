//! Signals that ask for an end, once and twice, and SIGKILL: what is left, and who clears it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Place, SOUND, ends_with, hearing, json, json_file, started_by, stderr};

const PATIENCE: Duration = Duration::from_secs(60);

/// A run that would last for minutes, and has begun.
pub struct LongRun {
    child: Child,
}

impl LongRun {
    pub fn start(place: &Place) -> Self {
        Self::start_of(place, SOUND)
    }

    /// Containers with processes in them, that are in sessions of their own.
    pub fn with_sandboxes(place: &Place) -> Self {
        let run = Self::start_of(place, &SOUND.replace("\"library\"", "\"library\"\nsandbox = \"process\""));
        until("sandboxes run", || !sandboxes(&run.marker()).is_empty());
        run
    }

    fn start_of(place: &Place, scenario: &str) -> Self {
        place.file("s.toml", scenario);
        let mut command = hearing(&place.run(&["s.toml", "s.toml", "--duration", "10m", "--format", "json"]));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        until("containers appear", || containers(place) > 0);
        Self { child }
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// The marker in the environment of what the run's containers started.
    pub fn marker(&self) -> String {
        format!("FLOCKWORK_RUN=flockwork2-{}.", self.child.id())
    }

    /// The process between the harness and its zygote.
    fn warden(&self) -> Pid {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let children = fs::read_to_string(children).unwrap();
        Pid::from_raw(children.trim().parse().expect("the harness has one child"))
    }

    fn stop_the_zygote(&self) {
        let warden = self.warden();
        let children = fs::read_to_string(format!("/proc/{warden}/task/{warden}/children")).unwrap();
        for child in children.split_whitespace() {
            kill(Pid::from_raw(child.parse().unwrap()), Signal::SIGSTOP).unwrap();
        }
    }

    #[track_caller]
    pub fn end(self) -> std::process::Output {
        let started = Instant::now();
        let output = self.child.wait_with_output().unwrap();
        assert!(started.elapsed() < PATIENCE, "it took {:?}", started.elapsed());
        output
    }
}

#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
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
pub fn inhabitants(place: &Path) -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    processes
        .filter(|process| fs::read_link(process.join("cwd")).is_ok_and(|folder| folder.starts_with(place)))
        .collect()
}

/// Living processes that carry this marker.
pub fn sandboxes(marker: &str) -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let carries = |process: &PathBuf| {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(marker.as_bytes()))
    };
    processes.filter(carries).collect()
}

#[test]
fn interrupted_once_it_writes_what_was_seen() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
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

/// timeout(1) signals its child and its child's group; a closed terminal does likewise.
#[test]
fn two_signals_at_once_are_one_request() {
    for [one, other] in [[Signal::SIGTERM; 2], [Signal::SIGINT, Signal::SIGTERM], [Signal::SIGHUP; 2]] {
        let place = Place::new();
        let run = LongRun::with_sandboxes(&place);
        let marker = run.marker();
        run.signal(one);
        sleep(Duration::from_millis(5));
        run.signal(other);
        let output = run.end();
        assert_eq!(output.status.code(), Some(102), "{one} {other}: {}", stderr(&output));
        assert!(place.runs()[0].join("summary.json").is_file());
        assert!(place.remains().is_empty(), "{:?}", place.remains());
        assert!(sandboxes(&marker).is_empty());
    }
}

#[test]
fn started_by_nohup_it_does_not_hear_that_the_terminal_has_gone() {
    let place = Place::new();
    place.file("s.toml", SOUND);
    let mut command = started_by(&["nohup"], &place.run(&["s.toml", "--duration", "10m"]));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut run = LongRun { child };
    until("containers appear", || containers(&place) > 0);
    run.signal(Signal::SIGHUP);
    sleep(Duration::from_millis(300));
    assert_eq!(run.child.try_wait().unwrap(), None, "it goes on");
    run.signal(Signal::SIGTERM);
    assert_eq!(run.end().status.code(), Some(102));
}

#[test]
fn interrupted_twice_it_says_so_and_leaves_at_once_and_nothing_stays() {
    let place = Place::new();
    let run = LongRun::with_sandboxes(&place);
    let marker = run.marker();
    // So that it cannot end by the first: whoever would tell it stands still.
    kill(run.warden(), Signal::SIGSTOP).unwrap();
    let warden = run.warden();
    run.stop_the_zygote();
    run.signal(Signal::SIGINT);
    sleep(Duration::from_millis(700));
    run.signal(Signal::SIGTERM);
    kill(warden, Signal::SIGCONT).unwrap();
    let output = run.end();
    assert_eq!(output.status.code(), Some(143), "{output:?}");
    assert!(stderr(&output).contains("stopped at once"), "{}", stderr(&output));
    nothing_stays(&place, &marker);
}

#[test]
fn killed_it_leaves_a_readable_incomplete_run_and_nothing_else() {
    for _ in 0..3 {
        let place = Place::new();
        let run = LongRun::with_sandboxes(&place);
        let marker = run.marker();
        run.signal(Signal::SIGKILL);
        run.end();
        nothing_stays(&place, &marker);
    }
}

/// No process and no folder, though nothing was started since.
#[track_caller]
fn nothing_stays(place: &Place, marker: &str) {
    until("every sandbox ends", || sandboxes(marker).is_empty());
    until("every process ends", || inhabitants(place.path()).is_empty());
    until("the folder goes", || place.remains().is_empty());
    let record = json_file(&place.runs()[0].join("run.json"));
    assert_eq!((&record["status"], &record["ended_at"]), (&"incomplete".into(), &serde_json::Value::Null));
    assert!(!place.runs()[0].join("summary.json").exists());
}

/// Whatever kills both at once, such as the lack of memory.
#[test]
fn killed_with_its_warden_it_is_cleared_up_after_by_the_next_run_which_is_not_told_where() {
    let place = Place::new();
    let run = LongRun::with_sandboxes(&place);
    let marker = run.marker();
    run.signal(Signal::SIGSTOP);
    kill(run.warden(), Signal::SIGKILL).unwrap();
    run.signal(Signal::SIGKILL);
    run.end();
    until("every process ends", || inhabitants(place.path()).is_empty());
    assert_eq!(place.remains().len(), 1, "{:?}", place.remains());
    let said = stderr(&ends_with(
        &mut place.flockwork(&["run", "--no-explain", "s.toml", "--operations", "500"]),
        0,
    ));
    assert!(said.contains("left behind by a killed run"), "{said}");
    assert!(place.remains().is_empty(), "{:?}", place.remains());
    assert!(sandboxes(&marker).is_empty());
}
