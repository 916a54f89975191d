//! What merging takes, and what sharding costs. Measured, not judged: `just merge-speed`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Place, SOUND, ends_with, json_file};

/// Copies of one shard's run, each of another seed, with so many findings of its own.
fn shards(place: &Place, count: u64, findings: u64) {
    place.file("sound.toml", &SOUND.replace("2_000", "200"));
    let words =
        ["sound.toml", "--seed", "0", "--seeds", &count.to_string(), "--shard", &format!("1/{count}")];
    ends_with(&mut place.run(&words), 0);
    let run = place.runs().pop().unwrap();
    let (record, summary) = (json_file(&run.join("run.json")), json_file(&run.join("summary.json")));
    for number in 0..count {
        let folder = place.path().join(format!("shards/{number}/run"));
        fs::create_dir_all(&folder).unwrap();
        let mut record = record.clone();
        record["seed"] = number.into();
        record["share"]["unit"]["seed"] = number.into();
        record["share"]["shard"] = format!("{}/{count}", number + 1).into();
        fs::write(folder.join("run.json"), record.to_string()).unwrap();
        let mut summary = summary.clone();
        let violations: Vec<Value> =
            (0..findings).map(|it| violation(&folder, number * findings + it)).collect();
        summary["violations_total"] = violations.len().into();
        summary["violations"] = violations.into();
        fs::write(folder.join("summary.json"), summary.to_string()).unwrap();
    }
}

fn violation(run: &Path, number: u64) -> Value {
    let signature = format!("lost-update-{number:08x}");
    let folder = run.join("findings").join(&signature);
    fs::create_dir_all(&folder).unwrap();
    for (name, bytes) in [("finding.json", 8_000), ("history.jsonl", 4_000), ("reproduce.sh", 60)] {
        fs::write(folder.join(name), "x".repeat(bytes)).unwrap();
    }
    json!({"class": "lost-update", "signature": signature, "message": "c1: two saves claim one revision",
        "container": "c1", "expected": false, "finding": folder, "reproduce": "flockwork run sound.toml --seed 7",
        "control": null, "explained": null})
}

#[test]
#[ignore = "it measures"]
fn merging_a_hundred_shards() {
    let place = Place::new();
    shards(&place, 100, 10);
    let begun = Instant::now();
    ends_with(&mut place.flockwork(&["merge", "shards", "--format", "json", "--junit", "out.xml"]), 100);
    println!("100 shards with 1,000 findings merged in {:?}", begun.elapsed());
}

/// How four shards are started side by side.
#[derive(Clone, Copy, Debug)]
enum Side {
    /// All in the session of whoever starts them, as a shell does.
    OneSession,
    /// Each in a session of its own, as Slurm and Kubernetes do: the kernel then gives each a turn of some milliseconds.
    Sessions,
}

/// Runs the four shards of an exploration and merges them; how long that takes.
fn shared(place: &Place, words: &[&str], side: Side) -> Duration {
    let begun = Instant::now();
    let running: Vec<_> = (1..=4)
        .map(|number| {
            let shard = format!("{number}/4");
            let results = format!("{side:?}/{number}");
            let mut words = words.to_vec();
            words.extend(["--shard", &shard, "--results-dir", &results]);
            let flockwork = place.run(&words);
            let mut command = match side {
                Side::OneSession => flockwork,
                Side::Sessions => within("setsid", &flockwork),
            };
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut shard in running {
        assert!(shard.wait().unwrap().success());
    }
    ends_with(&mut place.flockwork(&["merge", &format!("{side:?}")]), 0);
    begun.elapsed()
}

/// The same command, executed by another.
fn within(program: &str, command: &Command) -> Command {
    let mut outer = Command::new(program);
    outer.arg(command.get_program()).args(command.get_args());
    outer.current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

#[test]
#[ignore = "it measures"]
fn four_shards() {
    let place = Place::new();
    let scenario = "about = \"Creates with kills.\"\nkind = \"explore\"\n[subject]\nname = \"library\"\n[explore]\n\
                    processes = [[\"create c1\", \"pause c1\"], [\"create c1\", \"force-delete c1\"]]\nfaults = [\"kill\", \"EIO\"]\npreemptions = 2\n";
    place.file("faulty.toml", scenario);
    let words = ["faulty.toml", "--seed", "7", "--set", "explore.budget.time=30m"];
    for _ in 0..5 {
        fs::remove_dir_all(place.path().join("OneSession")).ok();
        fs::remove_dir_all(place.path().join("Sessions")).ok();
        let begun = Instant::now();
        ends_with(&mut place.run(&words), 0);
        let whole = begun.elapsed();
        for side in [Side::Sessions, Side::OneSession] {
            let took = shared(&place, &words, side);
            println!(
                "unsharded {whole:.2?}; four shards, {side:?}: {took:.2?}, {:.3} times",
                took.div_duration_f64(whole)
            );
        }
    }
}
