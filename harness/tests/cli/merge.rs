//! Shards, and what is merged from them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Place, SOUND, ends_with, json, json_file, stderr, stdout};

/// Creates that may be killed at any step: sets of faults enough for several shards.
const FAULTY: &str = r#"
about = "Two creates, one of which may be killed."
kind = "explore"

[subject]
name = "library"

[explore]
processes = [["create c1"], ["create c1"]]
faults = ["kill", "EIO"]
preemptions = 1
"#;

/// A protocol with a known bug, which shows in some parts only.
const KNOWN_BUG: &str = r#"
about = "A protocol without locks."
kind = "explore"

[subject]
name = "replica"
replica = "gvisor-unlocked"

[explore]
setup = ["create c1", "start c1"]
processes = [["pause c1"], ["pause c1"]]
faults = ["kill"]
preemptions = 1

[expect]
violations = ["not-linearizable"]
also = ["lost-update", "torn-read", "unrecoverable", "leftover", "collateral", "status-mismatch"]
"#;

/// Runs the shards, each with its results in a folder of its own.
fn shards(place: &Place, scenarios: &[&str], of: u32, code: impl Fn(i32) -> bool) -> Vec<PathBuf> {
    let folders = (1..=of).map(|number| {
        let (shard, folder) = (format!("{number}/{of}"), format!("shard-{number}"));
        let words = ["--seed", "7", "--shard", &shard, "--results-dir", &folder];
        let output = place.run(&[scenarios, &words].concat()).output().unwrap();
        assert!(code(output.status.code().unwrap()), "shard {shard}: {}{}", stdout(&output), stderr(&output));
        place.path().join(folder)
    });
    folders.collect()
}

fn merge(place: &Place, runs: &[&Path], words: &[&str], code: i32) -> Value {
    let mut command = place.flockwork(&["merge", "--format", "json", "--results-dir", "merged"]);
    json(&ends_with(command.args(runs).args(words), code))
}

/// What must be the same however the work is shared.
fn figures(scenario: &Value) -> Value {
    // What a shard saw first it shrank, and that may end elsewhere: the classes are the same, the simplest schedules may not.
    let violations = scenario["violations"].as_array().unwrap().iter();
    let classes: std::collections::BTreeSet<String> =
        violations.map(|violation| violation["class"].to_string()).collect();
    serde_json::json!({
        "name": scenario["name"], "verdict": scenario["verdict"], "expected": scenario["expected"],
        "schedules": scenario["schedules"], "faulted": scenario["faulted"], "operations": scenario["operations"],
        "coverage": scenario["coverage"], "steps": scenario["steps"], "classes": classes,
    })
}

#[test]
fn merged_shards_come_to_what_one_machine_comes_to() {
    let place = Place::new();
    place.file("faulty.toml", FAULTY);
    place.file("known.toml", KNOWN_BUG);
    let scenarios = ["faulty.toml", "known.toml"];
    let whole = json(&ends_with(
        &mut place.run(&["faulty.toml", "known.toml", "--seed", "7", "--format", "json"]),
        0,
    ));
    // A shard that lacks what is expected cannot decide; all together do.
    let folders = shards(&place, &scenarios, 4, |code| code == 0 || code == 102);
    let runs: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
    let merged = merge(&place, &runs, &["--junit", "merged.xml"], 0);
    let all =
        |report: &Value| report["scenarios"].as_array().unwrap().iter().map(figures).collect::<Vec<_>>();
    assert_eq!(all(&merged), all(&whole));
    let parts: u64 = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.is_symlink() && path.to_string_lossy().contains("-faulty-"))
        .map(|path| json_file(&path.join("summary.json"))["schedules"].as_u64().unwrap())
        .sum();
    assert_eq!(Value::from(parts), whole["scenarios"][0]["schedules"], "no schedule twice, none left out");
    let junit = fs::read_to_string(place.path().join("merged.xml")).unwrap();
    assert!(junit.contains("name=\"faulty\"") && junit.contains("name=\"known\""), "{junit}");
    // The order means nothing, nor does naming one twice.
    let turned = [runs[2], runs[0], runs[3], runs[1], runs[0], runs[2]];
    let again = merge(&place, &turned, &[], 0);
    assert_eq!(all(&again), all(&merged));
    let findings =
        |report: &Value| report["scenarios"][1]["violations"][0]["finding"].as_str().unwrap().to_owned();
    assert!(place.path().join(findings(&again)).join("finding.json").is_file());
}

#[test]
fn a_missing_shard_is_named_and_nothing_is_clean_without_it() {
    let place = Place::new();
    place.file("faulty.toml", FAULTY);
    let folders = shards(&place, &["faulty.toml"], 4, |code| code == 0 || code == 102);
    let mut command = place.flockwork(&["merge", "--results-dir", "merged"]);
    let output = ends_with(command.args([&folders[0], &folders[1], &folders[3]]), 102);
    assert!(stderr(&output).contains("missing: shard 3/4 (faulty with seed 7)"), "{}", stderr(&output));
    // One that was cut short counts as missing too, until it is run again; what is done is not done again.
    let run =
        fs::read_dir(&folders[2]).unwrap().map(|entry| entry.unwrap().path()).find(|it| !it.is_symlink());
    let record = run.unwrap().join("run.json");
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text.replace("\"complete\"", "\"incomplete\"")).unwrap();
    let runs: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
    assert_eq!(merge(&place, &runs, &[], 102)["verdict"], "inconclusive");
    let words = ["faulty.toml", "--seed", "7", "--resume", "--shard"];
    for (shard, is_done) in [("3/4", false), ("3/4", true), ("1/4", true)] {
        let folder = format!("shard-{}", &shard[..1]);
        let output = place.run(&[&words[..], &[shard, "--results-dir", &folder]].concat()).output().unwrap();
        assert_eq!(stderr(&output).contains("done before"), is_done, "{shard}: {}", stderr(&output));
    }
    assert_eq!(merge(&place, &runs, &[], 0)["verdict"], "clean");
}

#[test]
fn seeds_are_cases_and_a_finding_says_how_many_runs_showed_it() {
    let place = Place::new();
    let scenario = SOUND.replace("2_000", "200");
    place.file("sound.toml", &scenario);
    let words = ["sound.toml", "--seed", "7", "--seeds", "3", "--format", "json"];
    let report = json(&ends_with(&mut place.run(&words), 0));
    assert_eq!(report["scenarios"].as_array().unwrap().len(), 1);
    assert_eq!(report["scenarios"][0]["operations"], 600);
    assert_eq!(place.runs().len(), 3, "a folder for each seed");
    let merged = merge(&place, &[&place.path().join("results")], &[], 0);
    assert_eq!(merged["scenarios"][0]["operations"], 600);
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let place = Place::new();
    let small = SOUND.replace("2_000", "100");
    place.file("a/s.toml", &small);
    place.file("b/s.toml", &small.replace("processes = 4", "processes = 3"));
    place.file("c/t.toml", &small);
    let run = |path: &str, folder: &str, more: &[&str]| {
        let words = [path, "--seed", "7", "--results-dir", folder];
        ends_with(&mut place.run(&[&words[..], more].concat()), 0);
    };
    run("a/s.toml", "ra", &[]);
    run("a/s.toml", "ra2", &[]);
    run("b/s.toml", "rb", &[]);
    run("c/t.toml", "rc", &[]);
    run("a/s.toml", "rp", &["--processes", "2"]);
    for (other, told) in [
        ("ra2", "did the same work (shard 1 of 1, seed 7) with different results"),
        ("rb", "the text of scenario s is not the same"),
        ("rc", "it runs t, which the other does not"),
        ("rp", "for s it sets stress.processes=2, and the other nothing"),
    ] {
        let output = ends_with(&mut place.flockwork(&["merge", "ra", other]), 2);
        assert!(stderr(&output).contains(told), "{other}: {}", stderr(&output));
    }
    let mut record = fs::read_dir(place.path().join("ra")).unwrap().map(|entry| entry.unwrap().path());
    let record = record.find(|path| !path.is_symlink()).unwrap().join("run.json");
    let text = fs::read_to_string(&record).unwrap();
    for (broken, told) in [
        (
            text.replace("\"schema_version\": 1", "\"schema_version\": 9"),
            "schema version 9, and this flockwork reads 1",
        ),
        (text[..text.len() / 2].to_owned(), "it is truncated: it ends at line"),
        (text.replace(env!("CARGO_PKG_VERSION"), "9.9.9"), "was made by flockwork"),
    ] {
        fs::write(&record, broken).unwrap();
        let output = ends_with(&mut place.flockwork(&["merge", "ra", "rb"]), 2);
        assert!(stderr(&output).contains(told), "{}", stderr(&output));
    }
}

#[test]
fn there_must_be_something_to_merge() {
    let place = Place::new();
    fs::create_dir(place.path().join("empty")).unwrap();
    ends_with(&mut place.flockwork(&["merge", "empty"]), 4);
    assert!(stderr(&ends_with(&mut place.flockwork(&["merge", "absent"]), 2)).contains("absent"));
}

#[test]
fn a_shard_that_cannot_be_is_refused_and_one_without_a_case_has_nothing_to_run() {
    let place = Place::new();
    place.file("sound.toml", SOUND);
    for (shard, told) in [("7/4", "no shard 7 of 4"), ("0/4", "no shard 0"), ("x", "expected I/N")] {
        let output = ends_with(&mut place.run(&["sound.toml", "--seed", "1", "--shard", shard]), 2);
        assert!(stderr(&output).contains(told), "{}", stderr(&output));
    }
    let output = ends_with(&mut place.run(&["sound.toml", "--shard", "1/4"]), 2);
    assert!(stderr(&output).contains("need one seed"), "{}", stderr(&output));
    let output = ends_with(&mut place.run(&["sound.toml", "--seed", "1", "--shard", "2/4"]), 4);
    assert!(stderr(&output).contains("has none of the 1 case"), "{}", stderr(&output));
}

#[test]
fn the_environment_says_which_shard_this_is_and_the_command_line_overrules_it() {
    let place = Place::new();
    place.file("sound.toml", &SOUND.replace("2_000", "100"));
    let words = ["sound.toml", "--seed", "1", "--seeds", "4"];
    let slurm =
        [("SLURM_ARRAY_TASK_ID", "12"), ("SLURM_ARRAY_TASK_MIN", "10"), ("SLURM_ARRAY_TASK_COUNT", "4")];
    let output = ends_with(place.run(&words).envs(slurm), 0);
    assert!(stderr(&output).contains("shard 3/4, from Slurm"), "{}", stderr(&output));
    assert_eq!(place.runs().len(), 1);
    let run = json_file(&place.runs()[0].join("run.json"));
    assert_eq!((&run["seed"], &run["share"]["shard"]), (&3.into(), &"3/4".into()));
    ends_with(place.run(&[&words[..], &["--shard", "1/1"]].concat()).envs(slurm), 0);
    assert_eq!(place.runs().len(), 5);
    let bad = [("CI_NODE_INDEX", "7"), ("CI_NODE_TOTAL", "4")];
    assert!(
        stderr(&ends_with(place.run(&words).envs(bad), 2)).contains("CI_NODE_INDEX=7, but CI_NODE_TOTAL=4")
    );
    // Bazel fails a test that does not say that it shares its work, by a file.
    let told = place.path().join("told");
    let bazel = [("TEST_SHARD_INDEX", "1"), ("TEST_TOTAL_SHARDS", "4")];
    let output = ends_with(place.run(&words).envs(bazel).env("TEST_SHARD_STATUS_FILE", &told), 0);
    assert!(stderr(&output).contains("shard 2/4, from Bazel") && told.is_file(), "{}", stderr(&output));
    // A number without the number of all is no shard; somebody may have meant one.
    let output = ends_with(place.run(&["sound.toml", "--seed", "1"]).env("JOB_COMPLETION_INDEX", "1"), 0);
    assert!(
        stderr(&output).contains("FLOCKWORK_SHARDS does not say how many jobs there are"),
        "{}",
        stderr(&output)
    );
}
