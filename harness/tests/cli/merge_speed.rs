//! What merging takes, and what sharding costs. Measured, not judged: `just merge-speed`.

use std::fs;
use std::path::Path;
use std::time::Instant;

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

#[test]
#[ignore = "it measures"]
fn four_shards() {
    let place = Place::new();
    let scenario = "about = \"Creates with kills.\"\nkind = \"explore\"\n[subject]\nname = \"library\"\n[explore]\n\
                    processes = [[\"create c1\", \"pause c1\"], [\"create c1\", \"force-delete c1\"]]\nfaults = [\"kill\", \"EIO\"]\npreemptions = 2\n";
    place.file("faulty.toml", scenario);
    let words = ["faulty.toml", "--seed", "7", "--set", "explore.budget.time=30m"];
    let begun = Instant::now();
    ends_with(&mut place.run(&words), 0);
    let whole = begun.elapsed();
    let begun = Instant::now();
    let running: Vec<_> = (1..=4)
        .map(|number| {
            let mut command = place.run(&words);
            command.args(["--shard", &format!("{number}/4"), "--results-dir", &format!("shards/{number}")]);
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut shard in running {
        shard.wait().unwrap();
    }
    ends_with(&mut place.flockwork(&["merge", "shards"]), 0);
    let shared = begun.elapsed();
    println!("unsharded {whole:?}, four shards side by side and merged {shared:?}");
}
