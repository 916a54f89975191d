//! `flockwork run`: verdicts, exit codes, reports and evidence of real runs.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::explore::{TWO_PAUSES, place as controllable};
use crate::support::{BROKEN, Place, SOUND, ends_with, json, json_file, skip, stderr, stdout};

fn only(report: &Value) -> &Value {
    let scenarios = report["scenarios"].as_array().unwrap();
    assert_eq!(scenarios.len(), 1);
    &scenarios[0]
}

#[test]
fn a_sound_run_is_clean_and_leaves_only_its_evidence() {
    let place = Place::new();
    place.file("s.toml", SOUND);
    let output = ends_with(&mut place.run(&["s.toml", "--seed", "7", "--format", "json"]), 0);
    let report = json(&output);
    assert_eq!((&report["schema_version"], &report["seed"]), (&1.into(), &7.into()));
    assert_eq!(report["verdict"], "clean");
    let scenario = only(&report);
    assert_eq!((&scenario["name"], &scenario["kind"]), (&"s".into(), &"stress".into()));
    assert_eq!((&scenario["verdict"], &scenario["expected"]), (&"clean".into(), &true.into()));
    assert!(scenario["operations"].as_u64().unwrap() >= 2_000, "{scenario:#}");
    assert!(scenario["duration_s"].as_f64().unwrap() > 0.0 && scenario["handoff_ratio"].is_f64());
    assert_eq!((&scenario["processes"], &scenario["schedules"]), (&4.into(), &Value::Null));
    assert!(!scenario["checks"].as_array().unwrap().is_empty());
    assert!(stderr(&output).contains("seed: 7"));
    assert!(place.remains().is_empty(), "{:?}", place.remains());

    let run = &place.runs()[0];
    let record = json_file(&run.join("run.json"));
    assert_eq!((&record["status"], &record["seed"]), (&"complete".into(), &7.into()));
    assert_eq!(record["scenario"]["text"], SOUND);
    for key in ["argv", "version", "kernel", "filesystem", "processors", "started_at", "ended_at"] {
        assert!(!record[key].is_null(), "{key} in {record:#}");
    }
    assert_eq!(json_file(&run.join("summary.json"))["verdict"], "clean");
    assert!(!run.join("history.jsonl.zst").exists(), "kept for failures only");
    let latest = place.path().join("results/latest").canonicalize().unwrap();
    assert_eq!(latest, run.canonicalize().unwrap());
}

#[test]
fn overrides_reach_the_plan_and_the_record() {
    let place = Place::new();
    place.file("s.toml", BROKEN);
    let words =
        ["s.toml", "--processes=3", "--duration=100ms", "--set", "stress.containers=2", "--format=json"];
    let output = place.run(&words).args(["--set", "stress.mix={ create = 1, state = 1 }"]).output().unwrap();
    let report = json(&output);
    assert_eq!(only(&report)["processes"], 3, "{report:#}");
    let record = json_file(&place.runs()[0].join("run.json"));
    let overrides = record["scenario"]["overrides"].as_array().unwrap();
    assert!(overrides.contains(&"stress.duration=100ms".into()) && overrides.len() == 4, "{record:#}");
}

#[test]
fn a_violation_is_told_and_the_printed_command_shows_it_again() {
    let place = Place::new();
    place.file("it's broken.toml", BROKEN);
    let words = ["it's broken.toml", "--set", "stress.think=0us..60us"];
    let output = ends_with(&mut place.run(&words), 100);
    let told = stdout(&output);
    let command = told.lines().find_map(|line| line.trim().strip_prefix("run it again: ")).expect(&told);
    assert!(command.contains("--seed") && command.contains("--root=root"), "{command}");
    assert!(told.contains("violation: "), "{told}");

    let path = Path::new(assert_cmd::cargo::cargo_bin!("flockwork")).parent().unwrap().display().to_string();
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(place.path());
    ends_with(shell.env("PATH", format!("{path}:{}", std::env::var("PATH").unwrap())), 100);

    let runs = place.runs();
    assert_eq!(runs.len(), 2);
    let (one, two) = (json_file(&runs[0].join("run.json")), json_file(&runs[1].join("run.json")));
    assert_eq!(one["seed"], two["seed"]);
    assert_eq!(one["scenario"]["overrides"], two["scenario"]["overrides"]);
    assert!(runs[0].join("history.jsonl.zst").is_file(), "failures keep their history");
}

#[test]
fn every_violation_has_a_finding() {
    let place = Place::new();
    place.file("s.toml", BROKEN);
    let report = json(&ends_with(&mut place.run(&["s.toml", "--format", "json"]), 100));
    assert_eq!(report["verdict"], "violation");
    let violations = only(&report)["violations"].as_array().unwrap();
    assert!(!violations.is_empty());
    for violation in violations {
        for key in ["class", "signature", "message", "reproduce"] {
            assert!(violation[key].is_string(), "{key} in {violation:#}");
        }
        let finding = place.path().join(violation["finding"].as_str().unwrap());
        assert_eq!(json_file(&finding.join("finding.json"))["class"], violation["class"]);
    }
}

#[test]
fn what_is_expected_and_does_not_appear_is_told() {
    let Some(place) = controllable("what_is_expected_and_does_not_appear_is_told") else { return };
    let (head, _) = TWO_PAUSES.split_once("[expect]").expect("it expects something");
    let seen = r#""lost-update", "not-linearizable", "torn-read", "collateral", "unrecoverable", "subject-crash", "status-mismatch""#;
    place.file(
        "pauses.toml",
        &format!("{head}[expect]\nviolations = [\"duplicate-create\"]\nalso = [{seen}]\n"),
    );
    let told = stdout(&ends_with(&mut place.run(&["pauses.toml"]), 100));
    assert!(
        told.contains("expected duplicate-create did not appear") && !told.contains("violation: lost"),
        "{told}"
    );
}

#[test]
fn what_is_expected_is_no_failure() {
    let place = Place::new();
    let report = json(&ends_with(&mut place.run(&["no-lock", "--format", "json"]), 0));
    assert_eq!(report["verdict"], "clean");
    let scenario = only(&report);
    assert_eq!((&scenario["verdict"], &scenario["expected"]), (&"violation".into(), &true.into()));
    assert!(!place.runs()[0].join("history.jsonl.zst").exists());
}

#[test]
fn an_expected_violation_that_does_not_appear_is_a_failure() {
    let place = Place::new();
    place.file("s.toml", SOUND);
    let words = ["s.toml", "--set", "expect.violations=[\"torn-read\"]"];
    let told = stdout(&ends_with(&mut place.run(&words), 100));
    assert!(told.contains("expected torn-read did not appear"), "{told}");
}

#[test]
fn processes_that_hardly_met_prove_nothing() {
    let place = Place::new();
    place.file("s.toml", SOUND);
    let words = ["s.toml", "--set", "stress.handoff_min=1.0", "--keep-history"];
    let told = stdout(&ends_with(&mut place.run(&words), 102));
    assert!(told.contains("handoff ratio") && told.contains("more think time"), "{told}");
    assert!(place.runs()[0].join("history.jsonl.zst").is_file());
}

#[test]
fn the_gravest_of_several_scenarios_decides() {
    let place = Place::new();
    place.file("s/a.toml", SOUND);
    place.file("s/b.toml", BROKEN);
    place.file("s/c.toml", &SOUND.replace("handoff_min = 0.0", "handoff_min = 1.0"));
    let output = ends_with(&mut place.run(&["s", "--format", "json", "--seed", "3"]), 100);
    let report = json(&output);
    let verdicts: Vec<_> =
        report["scenarios"].as_array().unwrap().iter().map(|scenario| &scenario["verdict"]).collect();
    assert_eq!(verdicts, ["clean", "violation", "inconclusive"]);
    assert_eq!(place.runs().len(), 3);
}

#[test]
fn verbose_shows_checks_and_reach_and_quiet_shows_neither_progress() {
    let place = Place::new();
    place.file("s.toml", SOUND);
    let told = stdout(&ends_with(&mut place.run(&["s.toml", "-v"]), 0));
    assert!(told.contains("first operation after") && told.contains("examined"), "{told}");
    assert!(told.contains("pairs of processes"), "{told}");
    let quiet = ends_with(&mut place.run(&["s.toml", "-q", "--seed", "5"]), 0);
    assert_eq!(stderr(&quiet), "seed: 5\n");
    assert_eq!(stdout(&quiet), "passed: s ended as expected, seed 5\n");
}

#[test]
fn a_root_where_nothing_can_be_made_is_unsupported() {
    let place = Place::new();
    place.file("s.toml", SOUND);
    let output =
        ends_with(&mut place.flockwork(&["run", "s.toml", "--root", "/proc", "--format", "json"]), 96);
    let report = json(&output);
    assert_eq!((&report["verdict"], &only(&report)["verdict"]), (&"error".into(), &"error".into()));
    assert!(only(&report)["reasons"][0].as_str().unwrap().contains("below /proc"), "{report:#}");
}

#[test]
fn a_reader_that_goes_away_during_a_run_changes_no_verdict() {
    let place = Place::new();
    place.file("s.toml", BROKEN);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = ends_with(place.run(&["s.toml", "-q"]).stdout(writer), 100);
    assert_eq!(stderr(&output).lines().count(), 1, "the seed and no more: {}", stderr(&output));
    assert_eq!(json_file(&place.runs()[0].join("run.json"))["status"], "complete");
}

/// strace makes the kernel's answer to flock what a filesystem without locks answers.
#[test]
fn a_filesystem_without_locks_is_unsupported() {
    if Command::new("strace").arg("--version").output().is_err() {
        return skip("a_filesystem_without_locks_is_unsupported", "strace is not installed");
    }
    let place = Place::new();
    place.file("s.toml", SOUND);
    let mut traced = Command::new("strace");
    traced.args(["-f", "-o", "/dev/null", "-e", "trace=flock", "-e", "inject=flock:error=ENOLCK"]);
    traced.arg(env!("CARGO_BIN_EXE_flockwork")).args(["run", "s.toml"]).current_dir(place.path());
    let output = ends_with(&mut traced, 96);
    assert!(stdout(&output).contains("gives no fs2 locks"), "{}", stdout(&output));
}

#[test]
fn on_a_full_filesystem_nothing_is_called_clean() {
    let place = Place::new();
    let full = place.path().join("full");
    std::fs::create_dir(&full).unwrap();
    let mount =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "flockwork"]).arg(&full).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        return skip("on_a_full_filesystem_nothing_is_called_clean", "mounting a tmpfs is not permitted");
    }
    place.file("s.toml", SOUND);
    let output =
        place.flockwork(&["run", "s.toml", "--root", "full", "--set", "stress.payload=\"512KiB\""]).output();
    let unmounted = Command::new("umount").arg(&full).status();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(102), "{}", stdout(&output));
    let told = stdout(&output);
    assert!(told.contains("no create succeeded") && told.contains("free some space"), "{told}");
    assert!(unmounted.unwrap().success());
}
