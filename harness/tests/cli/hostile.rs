//! A hostile and unlucky world, by numbers: the harness is killed, inputs are broken, errors are injected, and the machine is
//! busy. A little of it in every run of the tests, and as much as was once tried by hand in `just hostile`.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::random::Random;
use crate::signals::{LongRun, inhabitants, sandboxes, until};
use crate::support::{Place, SOUND, json, stderr, stdout};

/// SIGKILL at a random time of a run, which leaves nothing once the next has begun.
fn kill_harnesses(times: u64) {
    let mut random = Random::new(times);
    for time in 0..times {
        let place = Place::new();
        let run = if time % 2 == 0 { LongRun::with_sandboxes(&place) } else { LongRun::start(&place) };
        let marker = run.marker();
        std::thread::sleep(Duration::from_micros(random.below(300_000)));
        run.signal(Signal::SIGKILL);
        run.end();
        let next = place.run(&["s.toml", "--operations", "50"]).output().unwrap();
        assert!(matches!(next.status.code(), Some(0 | 102)), "{}", stderr(&next));
        until("every sandbox ends", || sandboxes(&marker).is_empty());
        until("every process ends", || inhabitants(place.path()).is_empty());
        assert!(place.remains().is_empty(), "{:?}", place.remains());
    }
    println!("{times} SIGKILLs of the harness: 0 processes, 0 folders after the next start");
}

/// What a person or another program writes for the binary to read.
const INPUTS: [(&str, &str, &str); 3] = [
    (
        "check",
        "jsonl",
        concat!(
            r#"{"flockwork_history":1,"model":"runsc","initial":{"c1":"absent"}}"#,
            "\n",
            r#"{"process":3,"container":"c1","op":"create","invoke_ns":5,"return_ns":9,"outcome":"ok","status":"created"}"#,
            "\n",
            r#"{"process":4,"container":"c1","op":"pause","invoke_ns":6,"return_ns":19,"outcome":"ok"}"#,
            "\n",
            r#"{"process":3,"container":"c1","op":"start","invoke_ns":20,"return_ns":null,"outcome":"unknown"}"#,
            "\n",
        ),
    ),
    ("list", "toml", SOUND),
    (
        "replay",
        "json",
        r#"{"schema_version":1,"class":"lost-update","message":"x","exploration":{"schedule":["p1 begin"]}}"#,
    ),
];

/// Puts, drops, repeats and flips bytes.
fn broken(random: &mut Random, text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() as u64) as usize;
        let end = (at + 1 + random.below(40) as usize).min(bytes.len());
        match random.below(4) {
            0 if random.percent(50) => bytes[at] ^= 1 << random.below(8),
            1 => _ = bytes.drain(at..end),
            2 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            _ => {
                let token = random.one_of(&[
                    "\"",
                    "{",
                    "]",
                    "\0",
                    "\u{1b}[2J",
                    "9e999",
                    "null",
                    "\\ud800",
                    "=",
                    "\n",
                ]);
                bytes.splice(at..at, token.bytes());
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

/// Each is read or refused, and none breaks the binary or keeps it for long. Many go into one call where that may be.
fn mutate_inputs(batches: u64, each: u64) {
    let mut random = Random::new(batches);
    for batch in 0..batches {
        let (command, extension, text) = INPUTS[(batch % 3) as usize];
        let place = Place::new();
        let count = if command == "replay" { 1 } else { each };
        let names: Vec<String> = (0..count).map(|number| format!("f{number}.{extension}")).collect();
        for name in &names {
            fs::write(place.path().join(name), broken(&mut random, text)).unwrap();
        }
        let mut words = vec![command];
        words.extend(names.iter().map(String::as_str));
        let since = Instant::now();
        let output = place.flockwork(&words).output().unwrap();
        let said = format!("{}{}", stdout(&output), stderr(&output));
        assert!(matches!(output.status.code(), Some(0 | 2 | 4 | 100 | 102)), "{words:?}: {output:?}");
        assert!(!said.contains("panicked") && !said.contains('\u{1b}'), "{words:?}: {said}");
        assert!(since.elapsed() < Duration::from_secs(60), "{words:?} took {:?}", since.elapsed());
    }
    let inputs = (0..batches).map(|batch| if batch % 3 == 2 { 1 } else { each }).sum::<u64>();
    println!("{inputs} mutated inputs of the binary: each read, or refused in words");
}

/// Explorations of the library in which calls fail: nothing is broken by it.
fn inject_errors(schedules: u64) {
    let place = Place::new();
    place.file(
        "faults.toml",
        &format!(
            "about = \"Errors everywhere.\"\nkind = \"explore\"\n\n[subject]\nname = \"library\"\n\n[explore]\n\
             setup = [\"create c1\"]\nprocesses = [[\"start c1\", \"pause c1\"], [\"kill c1\", \"force-delete c1\"]]\n\
             strategy = \"random\"\nfaults = [\"ENOSPC\", \"EIO\", \"EINTR\", \"short-write\", \"kill\"]\n\
             budget = {{ schedules = {schedules}, time = \"10m\" }}\n"
        ),
    );
    let output = place.run(&["faults.toml", "--format", "json"]).output().unwrap();
    if output.status.code() == Some(96) {
        crate::support::skip("inject_errors", "the kernel lacks seccomp user notification");
        return;
    }
    let report = json(&output);
    let scenario = &report["scenarios"][0];
    assert!(scenario["violations"].as_array().is_some_and(Vec::is_empty), "{scenario:#}");
    let injected = scenario["faulted"].as_u64().unwrap();
    assert!(injected > schedules / 4, "{scenario:#}");
    println!("{injected} schedules with injected errors and kills: 0 violations");
}

/// Keeps the processors busy.
struct Load(Vec<Child>);

impl Load {
    fn start() -> Self {
        let busy = 2 * std::thread::available_parallelism().map_or(2, usize::from);
        let burn =
            || Command::new("sh").args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn().unwrap();
        Self((0..busy).map(|_| burn()).collect())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
            let _ = child.wait();
        }
    }
}

/// A sound subject on a busy machine: no false alarm.
fn run_under_load(runs: u64) {
    let _load = Load::start();
    for run in 0..runs {
        let place = Place::new();
        place.file("s.toml", SOUND);
        let output =
            place.run(&["s.toml", "--operations", "400", "--seed", &run.to_string()]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "seed {run}: {}{}", stdout(&output), stderr(&output));
    }
    println!("{runs} runs under load: 0 false alarms");
}

#[test]
fn a_little() {
    kill_harnesses(4);
    mutate_inputs(6, 40);
    inject_errors(200);
    run_under_load(4);
}

#[test]
#[ignore = "as much as `just hostile` runs: some minutes"]
fn at_length() {
    kill_harnesses(130);
    mutate_inputs(90, 500);
    inject_errors(16_000);
    run_under_load(110);
}
