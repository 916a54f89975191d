//! How fast a race is: `just race-speed`. What the harness costs a command that runs freely, beside a tight loop in C that does
//! nothing but start it and wait for it; and how long it takes until the fault of each broken program is found, shrunk and told.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::flockwork::race;
use super::pair::{By, Pair, Variant, names};

/// How often each is measured; the medians are told.
const ROUNDS: usize = 5;
/// How many commands are started in one measurement.
const COMMANDS: u32 = 2000;
/// A race may take this long, in seconds; and the median of all.
const RACE_S: (f64, f64) = (5.0, 2.0);

/// Starts `/bin/true` again and again, in a process group of its own and with its output in files, as the harness does.
const LOOP: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

int main(int argc, char **argv) {
  int count = atoi(argv[argc - 1]);
  char *words[] = {"/bin/true", NULL};
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  struct timespec begun, ended;
  clock_gettime(CLOCK_MONOTONIC, &begun);
  for (int number = 0; number < count; number++) {
    pid_t pid;
    int status;
    if (posix_spawn(&pid, words[0], NULL, &attributes, words, environ) != 0) return 1;
    if (waitpid(pid, &status, 0) != pid || status != 0) return 2;
  }
  clock_gettime(CLOCK_MONOTONIC, &ended);
  printf("%.0f\n", ((ended.tv_sec - begun.tv_sec) * 1e9 + (ended.tv_nsec - begun.tv_nsec)) / count);
  return 0;
}
"#;

/// The same by the harness: one process that runs one command after the other.
const SCENARIO: &str = r#"
about = "One process starts a command again and again."
kind = "stress"

[subject]
name = "command"
model = { kind = "register", initial = 0 }
answers = [{ exit = 0, outcome = "ok", saw = 0 }]

[subject.operations.read]
command = ["/bin/true"]

[stress]
processes = 1
operations = COUNT
overlap_min = 0.0
"#;

#[test]
#[ignore = "measures for some minutes, on a quiet machine: just race-speed"]
fn measure() {
    overhead();
    races();
}

fn overhead() {
    let place = tempfile::tempdir().expect("a temporary folder");
    fs::write(place.path().join("loop.c"), LOOP).expect("written");
    fs::write(place.path().join("it.toml"), SCENARIO.replace("COUNT", &COMMANDS.to_string()))
        .expect("written");
    let built = Command::new("cc").args(["-O2", "-o", "loop", "loop.c"]).current_dir(place.path()).status();
    assert!(built.expect("cc runs").success());
    let mut rounds: Vec<(f64, f64)> =
        (0..ROUNDS).map(|_| (bare_ns(place.path()), run_ns(place.path()))).collect();
    rounds.sort_by(|one, other| one.0.total_cmp(&other.0));
    let bare = rounds[ROUNDS / 2].0;
    rounds.sort_by(|one, other| (one.1 - one.0).total_cmp(&(other.1 - other.0)));
    let more: Vec<f64> = rounds.iter().map(|(bare, run)| run - bare).collect();
    let median = more[ROUNDS / 2];
    let is_met = median <= 200_000.0 || median <= bare * 0.05;
    println!(
        "a command over posix_spawn and wait: {:.1} µs more ({:.1} to {:.1} in {ROUNDS} rounds), {:.1}% of {:.1} µs: {}",
        median / 1e3,
        more[0] / 1e3,
        more[ROUNDS - 1] / 1e3,
        100.0 * median / bare,
        bare / 1e3,
        if is_met { "met (5% or 200 µs)" } else { "not met (5% or 200 µs)" }
    );
}

/// Nanoseconds a command in the loop.
fn bare_ns(place: &Path) -> f64 {
    let output = Command::new(place.join("loop")).arg(COMMANDS.to_string()).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
}

/// Nanoseconds a command by the harness, from the first that is started to the last that has ended.
fn run_ns(place: &Path) -> f64 {
    let output = Command::new(assert_cmd::cargo::cargo_bin!("flockwork"))
        .args(["run", "it.toml", "--format", "json", "--seed", "1", "--results-dir", "results"])
        .current_dir(place)
        .output()
        .expect("flockwork runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    let scenario = &report["scenarios"][0];
    assert_eq!(scenario["operations"], COMMANDS, "{scenario:#}");
    scenario["duration_s"].as_f64().expect("a duration") * 1e9 / f64::from(COMMANDS)
}

fn races() {
    let mut all = Vec::new();
    let mut slow = Vec::new();
    for name in names() {
        let pair = Pair::read(&name);
        if pair.is_skipped("speed", &[]) {
            continue;
        }
        let broken = pair.build(Variant::Broken);
        for wanted in pair.races.iter().filter(|wanted| wanted.by != By::Crash) {
            let mut times: Vec<f64> = (1..=3)
                .map(|seed| {
                    let options = ["--budget", "120s", "--seed", &seed.to_string()].map(str::to_owned);
                    let raced = race(broken.path(), wanted, &options);
                    assert_eq!(raced.code, 100, "{name}: {raced:#?}");
                    raced.seconds
                })
                .collect();
            times.sort_by(f64::total_cmp);
            let commands = wanted.processes.concat().join(" ‖ ");
            println!("{:6.2} s ({:.2} to {:.2})  {name}: {commands}", times[1], times[0], times[2]);
            all.push(times[1]);
            if times[1] > RACE_S.0 {
                slow.push(name.clone());
            }
        }
    }
    all.sort_by(f64::total_cmp);
    let median = all[all.len() / 2];
    println!(
        "{} races, found, shrunk and told: median {median:.2} s ({}), over {} s: {}",
        all.len(),
        if median < RACE_S.1 { "met: under 2 s" } else { "not met: under 2 s" },
        RACE_S.0,
        if slow.is_empty() { "none".to_owned() } else { slow.join(", ") }
    );
}
