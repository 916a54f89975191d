//! How fast a race is: `just race-speed`. What the harness costs a command that runs freely, beside a tight loop in C that does
//! nothing but start it and wait for it; and how long it takes until the fault of each broken program is found, shrunk and told.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde_json::Value;

use super::flockwork::race;
use super::pair::{By, Pair, Variant, names};

/// How often each is measured, in turn; the medians are told.
const ROUNDS: usize = 40;
/// How many commands are started in one measurement: few, so that both see the same of what else the machine does.
const COMMANDS: u32 = 200;
/// How many seeds each race is run with.
const SEEDS: u64 = 3;
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
    let rounds: Vec<(f64, f64)> =
        (0..ROUNDS).map(|_| (bare_ns(place.path()), run_ns(place.path()))).collect();
    let sorted = |of: &dyn Fn(&(f64, f64)) -> f64| {
        let mut all: Vec<f64> = rounds.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let (bare, more) = (sorted(&|round| round.0), sorted(&|round| round.1 - round.0));
    let (median, half) = (more[ROUNDS / 2], [more[ROUNDS / 4], more[ROUNDS * 3 / 4]]);
    let is_met = median <= 200_000.0 || median <= bare[ROUNDS / 2] * 0.05;
    println!(
        "a command over posix_spawn and wait: {:.1} µs more (half of {ROUNDS} rounds: {:.1} to {:.1}), {:.1}% of {:.1} µs: {}; \
         the fastest rounds differ by {:.1} µs, of {:.1} µs",
        median / 1e3,
        half[0] / 1e3,
        half[1] / 1e3,
        100.0 * median / bare[ROUNDS / 2],
        bare[ROUNDS / 2] / 1e3,
        if is_met { "met (5% or 200 µs)" } else { "not met (5% or 200 µs)" },
        (sorted(&|round| round.1)[0] - bare[0]) / 1e3,
        bare[0] / 1e3,
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
            let before_s = processor_s();
            let mut times: Vec<f64> = (1..=SEEDS)
                .map(|seed| {
                    let options = ["--budget", "120s", "--seed", &seed.to_string()].map(str::to_owned);
                    let raced = race(broken.path(), wanted, &options);
                    assert_eq!(raced.code, 100, "{name}: {raced:#?}");
                    raced.seconds
                })
                .collect();
            times.sort_by(f64::total_cmp);
            let busy_s = (processor_s() - before_s) / times.len() as f64;
            let commands = wanted.processes.concat().join(" ‖ ");
            println!(
                "{:6.2} s ({:.2} to {:.2}; {busy_s:.2} s of processor)  {name}: {commands}",
                times[1], times[0], times[2]
            );
            all.push((times[1], busy_s));
            if times[1] > RACE_S.0 {
                slow.push(name.clone());
            }
        }
    }
    all.sort_by(|one, other| one.1.total_cmp(&other.1));
    let busy_s = all[all.len() / 2].1;
    all.sort_by(|one, other| one.0.total_cmp(&other.0));
    let median = all[all.len() / 2].0;
    println!(
        "{} races, found, shrunk and told: median {median:.2} s ({}; {busy_s:.2} s of processor), over {} s: {}",
        all.len(),
        if median < RACE_S.1 { "met: under 2 s" } else { "not met: under 2 s" },
        RACE_S.0,
        if slow.is_empty() { "none".to_owned() } else { slow.join(", ") }
    );
}

/// Seconds of processor that all children used that have ended, theirs included.
fn processor_s() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("it is asked for as it must be");
    [usage.user_time(), usage.system_time()].iter().map(|time| time.num_microseconds() as f64 / 1e6).sum()
}
