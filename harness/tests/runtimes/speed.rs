//! How fast runtimes are driven, beside the same commands run plain: the table of docs/runtimes.md. `just runtime-speed` runs it; without
//! `FLOCKWORK_MEASURE=1` it is skipped.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flockwork::Operation;
use flockwork_harness::process::Zygote;
use flockwork_harness::runtimes::{Host, Runtime, clean};
use serde_json::Value;

use super::{Place, flockwork, is_set, is_usable, scenario};

/// Commands of each kind, in turns.
const COMMANDS: usize = 200;
/// Rounds of each kind, in turns.
const ROUNDS: u64 = 40;
/// Free pairs of a kind.
const PAIRS: usize = 40;
/// Controlled executions of the short race and of the long one: what is between them is no start.
const EXECUTIONS: [u64; 2] = [10, 110];

pub fn measure(zygote: &Zygote) {
    if !is_set("FLOCKWORK_MEASURE") {
        println!("skipped: `just runtime-speed` measures");
        return;
    }
    let load = std::fs::read_to_string("/proc/loadavg").expect("procfs");
    println!("load before: {}", load.trim());
    for runtime in [Runtime::Runc, Runtime::Youki].into_iter().filter(|runtime| is_usable(*runtime)) {
        command(zygote, runtime);
    }
    if is_usable(Runtime::Runc) {
        rounds(zygote);
    }
    for (runtime, setup, commands) in [
        (Runtime::Crun, None, ["create c1", "create c1"]),
        (Runtime::Runc, Some("create c1"), ["start c1", "state c2"]),
        (Runtime::Runc, None, ["create c1", "state c2"]),
    ] {
        if is_usable(runtime) {
            controlled(runtime, setup, commands);
            free(zygote, runtime, setup, commands);
        }
    }
}

/// One command by the harness, and started and waited for, in turns.
fn command(zygote: &Zygote, runtime: Runtime) {
    let place = Place::new();
    let mut host = place.host(zygote, runtime);
    let id = format!("fw{}-speed", std::process::id());
    host.bundles.write(&id).expect("a bundle");
    host.perform(Operation::Create, &id).expect("it runs");
    let (mut driven, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..COMMANDS {
        let begun = Instant::now();
        host.perform(Operation::State, &id).expect("it runs");
        driven.push(begun.elapsed());
        let begun = Instant::now();
        run_plain(&host, place.0.path(), &[(Operation::State, 1)], &id);
        plain.push(begun.elapsed());
    }
    host.perform(Operation::ForceDelete, &id).expect("it runs");
    assert!(host.close().is_empty());
    let (driven, plain) = (median(driven), median(plain));
    println!("{runtime} state: {driven:?} by the harness, {plain:?} plain, medians of {COMMANDS}");
}

/// Starts so many commands of each operation at once, one operation after the other, and waits for them.
fn run_plain(host: &Host, folder: &Path, operations: &[(Operation, usize)], id: &str) {
    for &(operation, count) in operations {
        let start = |number: usize| {
            let words = host.words(operation, id);
            let output =
                |kind: &str| File::create(folder.join(format!("{number}.{kind}"))).expect("writable");
            let mut command = Command::new(&host.program);
            command.args(&words[1..]).envs(host.environment.iter().cloned());
            command
                .stdin(Stdio::null())
                .stdout(output("out"))
                .stderr(output("err"))
                .spawn()
                .expect("it starts")
        };
        let children: Vec<_> = (0..count).map(start).collect();
        for mut child in children {
            child.wait().expect("our child");
        }
    }
}

/// Rounds of eight creates with all that the harness asks the runtime afterwards, and the same commands plain.
fn rounds(zygote: &Zygote) {
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = folder.path().join("creates.toml");
    let text = format!(
        "kind = \"stress\"\n[subject]\nname = \"oci\"\nruntime = \"runc\"\n[rounds]\ntogether = [\"8 create c1\"]\n\
         budget = {{ rounds = {ROUNDS}, time = \"300s\" }}\n"
    );
    std::fs::write(&scenario, text).expect("writable");
    let report = report(&["run", scenario.to_str().expect("UTF-8")], folder.path());
    let driven = report["duration_s"].as_f64().expect("a number") / ROUNDS as f64;
    let place = Place::new();
    let host = place.host(zygote, Runtime::Runc);
    let begun = Instant::now();
    for round in 0..ROUNDS {
        let id = format!("fw{}-{round}", std::process::id());
        host.bundles.write(&id).expect("a bundle");
        let all = [
            (Operation::Create, 8),
            (Operation::State, 1),
            (Operation::ForceDelete, 1),
            (Operation::Create, 1),
            (Operation::ForceDelete, 1),
        ];
        run_plain(&host, place.0.path(), &all, &id);
        // What runc itself left must go here, too.
        _ = clean::away(&host.ground, Some(&id));
        host.clear(&id).expect("it is removed");
    }
    let plain = begun.elapsed().as_secs_f64() / ROUNDS as f64;
    assert!(host.close().is_empty());
    println!(
        "runc, round of 8 creates with what follows: {:.0} ms by the harness, {:.0} ms plain: {:.2} of its speed",
        driven * 1e3,
        plain * 1e3,
        plain / driven
    );
}

/// Executions of a pair under control, with what puts the ground back.
fn controlled(runtime: Runtime, setup: Option<&str>, commands: [&str; 2]) {
    let folder = tempfile::tempdir().expect("a folder");
    let took = EXECUTIONS.map(|executions| {
        let executions = executions.to_string();
        let mut words =
            vec!["race", "--subject", runtime.as_str(), "--budget", "600s", "--strategy", "random"];
        words.extend(["--executions", &executions]);
        words.extend(setup.iter().flat_map(|setup| ["--setup", setup]));
        words.push("--");
        words.extend(commands);
        let report = report(&words, folder.path());
        assert_eq!(report["controlled"], true, "{report}");
        (report["duration_s"].as_f64().expect("a number"), report["executions"].as_u64().expect("a number"))
    });
    let rate = (took[1].1 - took[0].1) as f64 / (took[1].0 - took[0].0);
    println!("{runtime}, {} and {}: {rate:.1} controlled pairs a second", commands[0], commands[1]);
}

/// The same pair free, with what puts the ground back and nothing that looks at it: no control can be faster than that, one pair after
/// the other.
fn free(zygote: &Zygote, runtime: Runtime, setup: Option<&str>, commands: [&str; 2]) {
    let place = Place::new();
    let mut host = place.host(zygote, runtime);
    let read = |text: &str| {
        let (operation, name) = text.split_once(' ').expect("an operation and a container");
        let operation = Runtime::operations().find(|one| one.as_str() == operation).expect("it is known");
        (operation, format!("fw{}-{name}", std::process::id()))
    };
    let pair = commands.map(read);
    let mut ids = pair.each_ref().map(|(_, id)| id.clone()).to_vec();
    ids.dedup();
    let limit = host.limit();
    let begun = Instant::now();
    for _ in 0..PAIRS {
        for id in &ids {
            host.bundles.write(id).expect("a bundle");
        }
        if let Some((operation, id)) = setup.map(read) {
            host.perform(operation, &id).expect("it runs");
        }
        let words = pair.iter().map(|(operation, id)| host.words(*operation, id)).collect();
        for _ in host.start(words).expect("they start") {
            host.spawner.ended(limit).expect("it runs").expect("in time");
        }
        for operation in [Operation::State, Operation::ForceDelete] {
            for id in &ids {
                host.perform(operation, id).expect("it runs");
            }
        }
    }
    let rate = PAIRS as f64 / begun.elapsed().as_secs_f64();
    assert!(host.close().is_empty());
    println!("{runtime}, {} and {}: {rate:.1} free pairs a second", commands[0], commands[1]);
}

/// The one scenario of the report of a run.
fn report(words: &[&str], folder: &Path) -> Value {
    let results = folder.join("results");
    let own = ["--seed", "7", "--format", "json", "--results-dir", results.to_str().expect("UTF-8")];
    let words: Vec<&str> = words[..1].iter().chain(&own).chain(&words[1..]).copied().collect();
    scenario(&flockwork(&words).output().expect("it runs"))
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all[all.len() / 2]
}
