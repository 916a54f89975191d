//! What was found is seen again: replayed, walked through, held, and made simpler.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use super::support::{ends_with, json, skip, stderr, stdout};
use super::workshop::{Workshop, said};

/// Loses a count: it reads, and writes what it read plus one by way of another file.
const LOSES: &str =
    "#!/bin/sh\nread -r n <state/count\necho $((n + 1)) >state/new.$$\nmv state/new.$$ state/count\n";

/// A race of so many, found under control; the path of its finding. Nothing, said by name, where nothing can be controlled.
fn found(test: &str, workshop: &Workshop, more: &[&str]) -> Option<String> {
    let words = [&["--state", "state", "--format", "json", "--seed", "3", "--"][..], more].concat();
    let scenario = json(&workshop.race(&words).output().unwrap())["scenarios"][0].clone();
    if scenario["controlled"] == false {
        skip(test, &scenario["uncontrolled"].to_string());
        return None;
    }
    Some(scenario["violations"][0]["finding"].as_str().expect("a finding").to_owned())
}

/// Runs it with these lines to read.
fn answered(mut command: Command, lines: &str) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_finding_is_replayed_walked_through_and_held() {
    let workshop = Workshop::new(LOSES);
    let Some(finding) = found("a_finding_is_replayed", &workshop, &["./tool", "./tool"]) else { return };
    let words = ["replay", "--root", "root", "--format", "json", "--times", "3", &finding];
    let report = json(&ends_with(&mut workshop.flockwork(&words), 0));
    assert_eq!((&report["times"], &report["reproduced"]), (&3.into(), &3.into()), "{report:#}");
    assert_eq!(report["class"], "not-serializable");
    // Wherever it is looked at, it is the copy that is shown, in which commands work.
    let steps = fs::read_to_string(workshop.path().join(&finding).join("finding.json")).unwrap();
    let steps: serde_json::Value = serde_json::from_str(&steps).unwrap();
    let lines = steps["race"]["control"]["schedule"].as_array().expect("steps");
    let made =
        lines.iter().position(|line| line.as_str().unwrap().contains("create")).expect("a file is made");
    let after = (made + 2).to_string();
    let walk = workshop.flockwork(&["replay", "--root", "root", "--step", &finding]);
    let walked = answered(walk, &format!("n\n{after}\nc\n"));
    assert_eq!(walked.status.code(), Some(0), "{}", said(&walked));
    let told = said(&walked);
    assert!(told.contains("step 1 of ") && told.contains(&format!("step {after} of ")), "{told}");
    assert!(told.contains("new."), "the file that was made is not shown: {told}");
    let standing = workshop.flockwork(&["replay", "--root", "root", "--hold", &after, &finding]);
    let held = answered(standing, "\n");
    assert_eq!(held.status.code(), Some(0), "{}", said(&held));
    let told = said(&held);
    assert!(told.contains(&format!("held before step {after}")) && told.contains("new."), "{told}");
    assert!(told.contains("gdb -p") && told.contains("reproduced: not-serializable"), "{told}");
    let output = ends_with(&mut workshop.flockwork(&["replay", "--hold", "1000", &finding]), 2);
    assert!(stderr(&output).contains("expected a step from 1 to"), "{}", stderr(&output));
    assert!(workshop.place.remains().is_empty());
}

#[test]
fn a_finding_is_shrunk_and_saved_as_a_regression_test() {
    let workshop = Workshop::new(LOSES);
    let Some(finding) = found("a_finding_is_shrunk", &workshop, &["./tool", "./tool"]) else { return };
    let told = stdout(&ends_with(&mut workshop.flockwork(&["shrink", "--root", "root", &finding]), 0));
    assert!(told.contains("already minimal: 2 processes, 1 preemption"), "{told}");
    let words = ["shrink", "--root", "root", "--format", "json", "--save", "lost", &finding];
    let report = json(&ends_with(&mut workshop.flockwork(&words), 0));
    assert_eq!(
        (&report["minimal"], &report["saved"]),
        (&true.into(), &"scenarios/regressions/lost.toml".into())
    );
    let saved = fs::read_to_string(workshop.path().join("scenarios/regressions/lost.toml")).unwrap();
    assert!(saved.contains("state = [\"state\"]"), "{saved}");
    let run = |code| ends_with(&mut workshop.place.run(&["scenarios/regressions/lost.toml"]), code);
    run(100);
    // With the fix it passes, and the finding shows no more.
    workshop.program("tool", super::workshop::SOUND);
    run(0);
    let output = ends_with(&mut workshop.flockwork(&["shrink", "--root", "root", &finding]), 104);
    assert!(stderr(&output).contains("not reproduced"), "{}", stderr(&output));
    ends_with(&mut workshop.flockwork(&["replay", "--root", "root", &finding]), 104);
    assert!(workshop.place.remains().is_empty());
}

#[test]
fn what_was_seen_freely_has_no_steps_to_follow() {
    let workshop = Workshop::new(super::workshop::DOOR);
    let scenario = workshop.json(&["--free", "--seed", "1"], &["./tool", "./tool"], 100);
    let finding = scenario["scenarios"][0]["violations"][0]["finding"].as_str().unwrap().to_owned();
    for command in ["replay", "shrink"] {
        let output = ends_with(&mut workshop.flockwork(&[command, &finding]), 2);
        assert!(stderr(&output).contains("Run its reproduce.sh"), "{}", stderr(&output));
    }
}
