//! What power losses cost: states judged in a second, on the library and by a program that comes after, beside plain runs of it;
//! how long a shell one-liner takes until it is found, shrunk and told; what the journal adds to an execution under control; and the
//! memory that an execution of 100 MB takes. `just crash-speed`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use flockwork::{Operation, WritePolicy};
use flockwork_harness::explore::machine::End;
use flockwork_harness::plan::{Call, LibraryPlan, PowerPlan, StrategyPlan, SubjectPlan};
use flockwork_harness::process::{Marker, Zygote};
use flockwork_harness::tracee::{CommandLine, ForkServer, Machine, Options, Settings};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::Value;

use super::programs::Mixed;
use super::{explored, row};

const ROUNDS: usize = 7;
/// Plain runs, and executions of each kind, that one round measures.
const RUNS: u32 = 200;

/// Writes and syncs two files over and over, so that a power loss may leave many states.
const WRITER: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
  if (chdir(argv[1]) != 0) return 1;
  char bytes[1500];
  for (int round = 0; round < 40; round++) {
    memset(bytes, 'a' + round % 20, sizeof bytes);
    for (int file = 0; file < 2; file++) {
      int fd = open(file ? "g" : "f", O_RDWR | O_CREAT, 0644);
      if (pwrite(fd, bytes, sizeof bytes, round * 100) != sizeof bytes) return 2;
      if (file) fsync(fd);
      close(fd);
    }
  }
  return 0;
}
"#;

/// Reads what it finds, and is content with it.
const READER: &str = r#"
#include <fcntl.h>
#include <unistd.h>
int main(int argc, char **argv) {
  char bytes[4096];
  if (chdir(argv[1]) != 0) return 1;
  int fd = open("f", O_RDONLY);
  while (read(fd, bytes, sizeof bytes) > 0) {}
  return 0;
}
"#;

/// Replaces a file by one of 100 MB, a megabyte a call.
const LARGE: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static char bytes[1 << 20];
int main(int argc, char **argv) {
  if (chdir(argv[1]) != 0) return 1;
  int fd = open("f.tmp", O_RDWR | O_CREAT | O_TRUNC, 0644);
  for (int call = 0; call < 100; call++) {
    for (unsigned at = 0; at < sizeof bytes; at++) bytes[at] = 1 + (at * 2654435761u + call * 40503u >> 13) % 251;
    if (write(fd, bytes, sizeof bytes) != sizeof bytes) return 2;
  }
  fsync(fd);
  close(fd);
  return rename("f.tmp", "f") != 0;
}
"#;

/// All of these.
pub fn crash(zygote: &mut Zygote) {
    memory();
    library(zygote);
    comes_after();
    one_liner();
    journal(zygote);
}

fn compile(folder: &Path, name: &str, text: &str) -> PathBuf {
    let (source, program) = (folder.join(format!("{name}.c")), folder.join(name));
    fs::write(&source, text).expect("written");
    let status = Command::new("cc").args(["-O2", "-o"]).arg(&program).arg(&source).status();
    assert!(status.expect("cc runs").success());
    program
}

/// A folder in memory with a state folder in it.
fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    fs::create_dir(place.path().join("state")).expect("made");
    fs::write(place.path().join("state/f"), "old\n").expect("written");
    place
}

/// The one scenario of `flockwork crash` with these words.
fn flockwork(place: &Path, words: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_flockwork"))
        .args(["crash", "--state", "state", "--format", "json", "--seed", "1", "--results-dir", "results"])
        .args(words)
        .current_dir(place)
        .stdin(Stdio::null())
        .output()
        .expect("flockwork runs");
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    report["scenarios"][0].clone()
}

/// States a second of the library beside another process, on a folder in memory: judging alone, and with the executions and the
/// count of interleavings that each exploration ends with.
fn library(zygote: &mut Zygote) {
    let pairs = [("pause beside state", Operation::Pause), ("kill beside start", Operation::Kill)];
    for ((name, first), second) in pairs.into_iter().zip([Operation::State, Operation::Start]) {
        let [mut judging, mut all] = [const { Vec::new() }; 2];
        let mut states = 0;
        for _ in 0..ROUNDS {
            let run = explored(zygote, 2, StrategyPlan::Exhaustive { preemptions: None }, 100_000, |plan| {
                let call = |operation| vec![Call { operation, container: 0 }];
                plan.processes = vec![call(first), call(second)];
                plan.subject =
                    SubjectPlan::Library(LibraryPlan { write: WritePolicy::Fsync, ..LibraryPlan::default() });
                plan.power = Some(PowerPlan {
                    disk: "posix".into(),
                    is_durable: true,
                    without_fsync: Vec::new(),
                    late_fsync: Vec::new(),
                });
            });
            let power = run.power.expect("power losses were judged");
            assert_eq!(power.unjudged, None);
            states = power.states;
            judging.push(states as f64 / (power.judging_ns as f64 / 1e9));
            all.push(states as f64 / (run.duration_ns as f64 / 1e9));
        }
        row(&format!("library, {name}: states/s judged ({states} states)"), judging);
        row("the same with the executions and the count of orders", all);
    }
}

/// States a second that a program judges, beside plain runs of it.
fn comes_after() {
    let place = place();
    let [writer, reader] =
        [("writer", WRITER), ("reader", READER)].map(|(name, text)| compile(place.path(), name, text));
    let [writer, reader] = [writer, reader].map(|path| format!("{} {{state}}", path.display()));
    let [mut judged, mut plain, mut ratios] = [const { Vec::new() }; 3];
    let mut states = 0.0;
    for _ in 0..ROUNDS {
        let words = ["--power", "--disk", "posix", "--compare", "output", "--then", &reader, "--", &writer];
        let scenario = flockwork(place.path(), &words);
        states = scenario["states"].as_u64().unwrap_or_else(|| panic!("{scenario:#}")) as f64;
        let ours = states / scenario["duration_s"].as_f64().expect("a duration");
        let begun = Instant::now();
        for _ in 0..RUNS {
            let mut command = Command::new(place.path().join("reader"));
            command.arg(place.path().join("state")).stdin(Stdio::null());
            assert!(command.status().expect("it runs").success());
        }
        let theirs = f64::from(RUNS) / begun.elapsed().as_secs_f64();
        judged.push(ours);
        plain.push(theirs);
        ratios.push(ours / theirs);
    }
    row(&format!("--then of a C program: states judged/s ({states} states)"), judged);
    row("the C program, plain runs/s", plain);
    row("states judged over plain runs", ratios);
}

/// Seconds until a shell one-liner is found, shrunk and told.
fn one_liner() {
    let place = place();
    let seconds = (0..ROUNDS).map(|_| {
        let begun = Instant::now();
        let words = ["--disk", "ext4", "--", "printf 'new\n' >state/f.tmp && mv state/f.tmp state/f"];
        let scenario = flockwork(place.path(), &words);
        assert_eq!(scenario["verdict"], "violation", "{scenario:#}");
        begun.elapsed().as_secs_f64()
    });
    row("a shell one-liner found, shrunk and told, s", seconds.collect());
}

/// How much longer an execution under control takes with a journal.
fn journal(zygote: &mut Zygote) {
    let place = place();
    let state = place.path().join("state");
    let open = |name: &str, has_journal| {
        let scratch = place.path().join(name);
        fs::create_dir(&scratch).expect("made");
        let line = CommandLine {
            program: "/bin/sh".into(),
            words: ["sh", "-c", "printf 'new\n' >f.tmp && mv f.tmp f"].map(str::to_owned).to_vec(),
            environment: Vec::new(),
            folder: state.clone(),
            stdin: None,
        };
        let settings = Settings {
            network: flockwork_harness::process::spawner::Network::Shared,
            marker: Marker::next().to_string(),
            environment: Vec::new(),
            binds: Vec::new(),
            processes: vec![vec![line]],
            folders: vec![state.clone()],
            scratch,
            processor: None,
            options: Options {
                fork_server: ForkServer::Off,
                keeps_journal: has_journal,
                records_bytes: has_journal,
                ..Options::default()
            },
        };
        Machine::open(zygote, settings).expect("a machine")
    };
    let (mut without, mut with) = (open("without", false), open("with", true));
    let us = |machine: &mut Machine| {
        let begun = Instant::now();
        let execution = machine.run(&[], &mut Mixed::default(), &mut ()).expect("an execution");
        assert_eq!(execution.end, End::Completed);
        begun.elapsed().as_secs_f64() * 1e6
    };
    let [mut plain, mut kept, mut more] = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        // In turn, so that both see the same of what else the machine does.
        let [mut one, mut other] = [const { Vec::new() }; 2];
        for _ in 0..RUNS {
            one.push(us(&mut without));
            other.push(us(&mut with));
        }
        let [one, other] = [one, other].map(|mut all| {
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        });
        more.push((other / one - 1.0) * 100.0);
        plain.push(one);
        kept.push(other);
    }
    row("an execution under control, us", plain);
    row("the same with a journal, us", kept);
    row("what the journal adds, %", more);
}

/// The most memory that anything took which crashes a program that writes 100 MB.
fn memory() {
    let place = place();
    let large = format!("{} {{state}}", compile(place.path(), "large", LARGE).display());
    let words = ["--disk", "ext4", "--budget", "30s", "--", &large];
    let scenario = flockwork(place.path(), &words);
    let most = getrusage(UsageWho::RUSAGE_CHILDREN).expect("usage").max_rss();
    println!(
        "100 MB written: {} and {} in {:.1} s, {}",
        scenario["kills"],
        scenario["states"],
        scenario["duration_s"].as_f64().unwrap_or_default(),
        scenario["unjudged"]
    );
    row("100 MB written: most memory, MB", vec![most as f64 / 1024.0]);
}
