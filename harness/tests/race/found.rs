//! What is broken is found, and what is sound is not blamed.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::support::{ends_with, json_file, stdout};
use super::workshop::{DOOR, SOUND, Workshop};

#[test]
fn what_no_order_gives_is_found_and_told() {
    let workshop = Workshop::new(DOOR);
    let report = workshop.json(&["--free", "--seed", "7"], &["./tool", "./tool"], 100);
    let scenario = &report["scenarios"][0];
    assert_eq!(scenario["kind"], "race");
    assert_eq!((&scenario["controlled"], &scenario["coverage"]), (&false.into(), &"sampled".into()));
    assert_eq!(scenario["sequential_orders"], 2);
    let violation = &scenario["violations"][0];
    assert_eq!(violation["class"], "not-serializable");
    let message = violation["message"].as_str().unwrap();
    assert!(message.contains("printed \"second\" rather than \"first\""), "{message}");
}

#[test]
fn a_finding_keeps_all_that_is_needed_to_see_it_again() {
    let workshop = Workshop::new(DOOR);
    let report = workshop.json(&["--free"], &["./tool", "./tool"], 100);
    let path = report["scenarios"][0]["violations"][0]["finding"].as_str().unwrap();
    let finding = workshop.path().join(path);
    let kept = json_file(&finding.join("finding.json"));
    assert_eq!(kept["race"]["processes"], serde_json::json!([["./tool"], ["./tool"]]));
    assert!(kept["race"]["differences"].as_array().is_some_and(|all| !all.is_empty()), "{kept}");
    for name in ["before/count", "after/count", "outputs/p1.1.stdout", "outputs/p2.1.status", "table.txt"] {
        assert!(finding.join(name).is_file(), "{name}");
    }
    let script = finding.join("reproduce.sh");
    assert_eq!(script.metadata().unwrap().permissions().mode() & 0o777, 0o755);
    let binary = assert_cmd::cargo::cargo_bin!("flockwork");
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let again = ends_with(Command::new(&script).current_dir("/").env("PATH", path), 100);
    assert!(stdout(&again).contains("not-serializable"), "{}", stdout(&again));
}

#[test]
fn what_is_sound_is_not_blamed_and_a_sample_is_called_one() {
    let workshop = Workshop::new(SOUND);
    let report = workshop.json(&["--free", "--executions", "12"], &["./tool", "./tool"], 0);
    assert_eq!(report["verdict"], "clean");
    assert_eq!(report["scenarios"][0]["executions"], 12);
    let words = ["--state", "state", "--free", "--executions", "12", "--", "./tool", "./tool"];
    let text = stdout(&ends_with(&mut workshop.race(&words), 0));
    assert!(text.contains("that is a sample, not a proof"), "{text}");
    // Nobody said how many are enough.
    let report = workshop.json(&["--free", "--budget", "500ms"], &["./tool", "./tool"], 102);
    let reasons = report["scenarios"][0]["reasons"].to_string();
    assert!(reasons.contains("ran freely, which proves nothing"), "{reasons}");
}

#[test]
fn a_hang_is_a_deadlock_and_told_where_it_shows_alone() {
    let daemon = "#!/bin/sh\nexec 9>>state/lock\nflock 9\nsleep 600 >/dev/null 2>&1 &\n";
    let workshop = Workshop::new(daemon);
    let report = workshop.json(&["--free", "--time-limit", "500ms"], &["./tool", "./tool"], 100);
    let violation = &report["scenarios"][0]["violations"][0];
    assert_eq!(violation["class"], "deadlock");
    let message = violation["message"].as_str().unwrap();
    assert!(message.contains("(flock) waits for the lock on lock, held by sleep"), "{message}");
    assert!(message.contains("also alone"), "{message}");
}

#[test]
fn who_says_that_it_did_not_run_must_have_left_nothing() {
    let polite = "#!/bin/sh\nexec 9>>door\nflock -n 9 || exit 75\nsleep 0.3\necho $1 >state/$1\n";
    let workshop = Workshop::new(polite);
    let busy = ["--free", "--executions", "12"];
    let report = workshop.json(&busy, &["./tool a", "./tool b"], 100);
    assert_eq!(report["scenarios"][0]["violations"][0]["class"], "not-serializable");
    let with_rule = [&busy[..], &["--busy", "exit:75"]].concat();
    workshop.json(&with_rule, &["./tool a", "./tool b"], 0);
    // It says that it did not run, and did something all the same.
    workshop.program("tool", &polite.replace("|| exit 75", "|| { echo x >state/litter; exit 75; }"));
    let report = workshop.json(&["--free", "--busy", "exit:75"], &["./tool a", "./tool b"], 100);
    let message = report["scenarios"][0]["violations"][0]["message"].as_str().unwrap();
    assert!(message.contains("said that it did not run") && message.contains("litter is there"), "{message}");
}

#[test]
fn several_commands_of_a_process_keep_their_order() {
    let log = "#!/bin/sh\nexec 9>>state/lock\nflock 9\nsleep 0.1\necho $1 >>state/log\n";
    let workshop = Workshop::new(log);
    let words = [
        "--state",
        "state",
        "--free",
        "--executions",
        "4",
        "--format",
        "json",
        "--process",
        "./tool a",
        "./tool b",
        "--process",
        "./tool c",
    ];
    let output = ends_with(&mut workshop.race(&words), 0);
    let report = super::support::json(&output);
    assert_eq!(report["scenarios"][0]["sequential_orders"], 3);
}

#[test]
fn a_race_that_is_saved_is_a_scenario() {
    let workshop = Workshop::new(SOUND);
    let words =
        ["--state", "state", "--free", "--executions", "12", "--save", "two-turns", "--", "./tool", "./tool"];
    ends_with(&mut workshop.race(&words), 0);
    let scenario = workshop.path().join("scenarios/two-turns.toml");
    assert!(scenario.is_file());
    let run = ["run", "--root", "root", "scenarios/two-turns.toml", "--format", "json"];
    let report = super::support::json(&ends_with(&mut workshop.flockwork(&run), 0));
    assert_eq!(report["scenarios"][0]["executions"], 12);
    let list = ends_with(&mut workshop.flockwork(&["list", "scenarios"]), 0);
    assert!(stdout(&list).contains("two-turns"), "{}", stdout(&list));
}

#[test]
fn what_comes_after_and_what_is_observed_are_part_of_it() {
    let workshop = Workshop::new(DOOR);
    // The files do not tell, nor does what the commands print.
    let quiet = "exec 9>>door; if flock -n 9; then sleep 0.3; else echo x >>hidden; fi";
    let commands = [quiet, quiet];
    workshop.json(&["--free", "--executions", "12"], &commands, 0);
    for flag in ["--observe", "--then"] {
        std::fs::remove_file(workshop.path().join("hidden")).unwrap_or_default();
        let flags = ["--free", flag, "cat hidden 2>/dev/null; rm -f hidden; true"];
        let report = workshop.json(&flags, &commands, 100);
        assert_eq!(report["scenarios"][0]["violations"][0]["class"], "not-serializable", "{flag}");
    }
}

#[test]
fn who_stops_when_a_child_is_stopped_is_not_blamed_for_it() {
    // As some programs do: whoever sees its child stopped stops as well, and wants to be told to go on.
    let workshop = Workshop::new(
        "#!/usr/bin/env python3\nimport os, signal\npid = os.fork()\nif pid == 0:\n    for _ in range(40):\n        open('state/count').read()\n    \
         os._exit(0)\nwhile True:\n    _, status = os.waitpid(pid, os.WUNTRACED)\n    if not os.WIFSTOPPED(status):\n        break\n    \
         os.kill(os.getpid(), signal.SIGSTOP)\n    os.kill(pid, signal.SIGCONT)\n",
    );
    if !std::path::Path::new("/usr/bin/python3").exists() {
        return super::support::skip(
            "who_stops_when_a_child_is_stopped_is_not_blamed_for_it",
            "there is no python3",
        );
    }
    let flags = ["--perturb", "0..2ms", "--executions", "40", "--time-limit", "5s", "--budget", "40s"];
    let words = [&["--state", "state", "--format", "json"], &flags[..], &["--", "./tool", "./tool"]].concat();
    let report = super::support::json(&workshop.race(&words).output().unwrap());
    assert_eq!(report["scenarios"][0]["violations"], serde_json::json!([]), "{report}");
}
