//! Who watches may stand still himself: stopped, or asleep with the machine. That is no proof that the commands hang.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::program;

/// Once it finds `stall` it says so by `stalled`, and takes a while.
const TOOL: &str =
    "#!/bin/sh\nif rm stall 2>/dev/null; then echo $$ >stalled.new; mv stalled.new stalled; sleep 0.3; fi\n";
/// The time limit, and how long the watcher stands still.
const LIMIT: &str = "2s";
const STALL: Duration = Duration::from_millis(2_500);

#[test]
fn a_delayed_command_does_not_hang_because_its_watcher_did() {
    stall(&["--perturb", "0..1us", "--executions", "150"]);
}

#[test]
fn a_free_command_does_not_hang_because_its_watcher_did() {
    stall(&["--free", "--executions", "150"]);
}

/// Stops the watcher in a sequential order, and when commands overlap, while a command is at work; no deadlock may be told.
fn stall(words: &[&str]) {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("state")).unwrap();
    program::write(&place.path().join("tool"), TOOL);
    let mut race = Command::new(assert_cmd::cargo::cargo_bin!("flockwork"))
        .args(["race", "--state", "state", "--results-dir", "results", "--time-limit", LIMIT])
        .args(words)
        .args(["--budget", "600s", "--", "./tool", "./tool"])
        .current_dir(place.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("flockwork runs");
    for _ in 0..3 {
        stop_while_a_command_works(&place, &mut race);
    }
    let output = race.wait_with_output().expect("ours");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(!told.contains("deadlock") && !told.contains("did not end"), "{told}");
    assert!(matches!(output.status.code(), Some(0 | 102)), "{:?}: {told}", output.status);
}

fn stop_while_a_command_works(place: &TempDir, race: &mut Child) {
    let at = |name: &str| place.path().join(name);
    fs::write(at("stall"), "").unwrap();
    wait_for(&at("stalled"), race);
    let pid = Pid::from_raw(race.id().cast_signed());
    kill(pid, Signal::SIGSTOP).unwrap();
    std::thread::sleep(STALL);
    kill(pid, Signal::SIGCONT).unwrap();
    fs::remove_file(at("stalled")).unwrap();
}

fn wait_for(path: &Path, race: &mut Child) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(race.try_wait().expect("ours").is_none(), "it ended before");
        assert!(begun.elapsed() < Duration::from_secs(60), "no command comes to {}", path.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}
