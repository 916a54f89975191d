//! Races of a runtime's operations, with no model: what no sequential order of them gives is found, under control as well; and
//! what a runtime keeps comes out as nothing found.

use std::process::Output;

use flockwork_harness::process::Zygote;
use flockwork_harness::runtimes::Runtime;

use super::{flockwork, is_set, is_usable, said, scenario};

const VIOLATION: i32 = 100;
const UNSUPPORTED: i32 = 96;
const USAGE: i32 = 2;

/// Runs a race of a runtime's operations, with its results in a folder of their own.
fn race(words: &[&str]) -> (tempfile::TempDir, Output) {
    let folder = tempfile::tempdir().expect("a folder");
    let results = folder.path().join("results");
    let mut command = flockwork(&["race", "--seed", "7", "--results-dir", results.to_str().expect("UTF-8")]);
    let output = command.args(words).output().expect("it runs");
    (folder, output)
}

/// Under control where the machine can hold processes: then it is followed again.
pub fn two_deletes_of_runc_are_found(_: &Zygote) {
    if !is_usable(Runtime::Runc) {
        return;
    }
    if !is_set("FLOCKWORK_LONG") {
        println!(
            "skipped: on a machine with many others at work it ended otherwise once: with FLOCKWORK_LONG=1 only"
        );
        return;
    }
    let words =
        ["--subject", "runc", "--setup", "create c1", "--format", "json", "--", "delete c1", "delete c1"];
    let (_folder, output) = race(&words);
    assert_eq!(output.status.code(), Some(VIOLATION), "{}", said(&output));
    let scenario = scenario(&output);
    assert_eq!(scenario["subject"], "runc", "{scenario}");
    let violation = &scenario["violations"][0];
    assert_eq!(violation["class"], "not-serializable", "{violation}");
    let message = violation["message"].as_str().expect("a text");
    assert!(message.contains("exit code 0 rather than exit code 1"), "{message}");
    if scenario["controlled"] != true {
        println!("not under control: {}", scenario["uncontrolled"]);
        return;
    }
    let finding = std::path::Path::new(violation["finding"].as_str().expect("a path"));
    let table = std::fs::read_to_string(finding.join("table.txt")).expect("it is kept");
    assert!(table.contains("p1: delete c1") && table.contains("c1/state.json"), "{table}");
}

/// No winner, two winners, or a winner whose container is gone: whichever comes first.
pub fn two_creates_of_runc_are_found(_: &Zygote) {
    if !is_usable(Runtime::Runc) {
        return;
    }
    if !is_set("FLOCKWORK_LONG") {
        println!("skipped: it takes some dozen executions: with FLOCKWORK_LONG=1 only");
        return;
    }
    for how in [&[][..], &["--perturb", "0..2ms"]] {
        let words =
            [&["--subject", "runc", "--budget", "300s"], how, &["--", "create c1", "create c1"]].concat();
        let (_folder, output) = race(&words);
        assert_eq!(output.status.code(), Some(VIOLATION), "{}", said(&output));
        assert!(said(&output).contains("not-serializable"), "{}", said(&output));
    }
}

pub fn two_creates_of_crun_are_not_found_to_differ(_: &Zygote) {
    if !is_usable(Runtime::Crun) {
        return;
    }
    let creates = ["--", "create c1", "create c1"];
    let free = [&["--subject", "crun", "--perturb", "0..2ms", "--executions", "5"], &creates[..]].concat();
    let (_folder, output) = race(&free);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("each of 5 executions "), "{}", said(&output));
    let held = ["--subject", "crun", "--executions", "5", "--format", "json"];
    let (_folder, output) = race(&[&held[..], &creates[..]].concat());
    let scenario = scenario(&output);
    assert_eq!(scenario["violations"].as_array().map(Vec::len), Some(0), "{scenario}");
    // What a runtime does beside files is not held, so nothing is claimed of all executions.
    assert_eq!(scenario["verdict"], "inconclusive", "{scenario}");
}

/// A kill takes effect after it has returned: that another succeeds in between is no fault.
pub fn two_kills_are_not_found_to_differ(_: &Zygote) {
    if !is_usable(Runtime::Crun) {
        return;
    }
    let words = ["--subject", "crun", "--setup", "create c1", "--executions", "4", "--format", "json"];
    for way in [&[][..], &["--perturb", "0..1ms"]] {
        let (_folder, output) = race(&[&words[..], way, &["--", "kill c1", "kill c1"]].concat());
        let scenario = scenario(&output);
        assert_eq!(scenario["violations"].as_array().map(Vec::len), Some(0), "{scenario}");
        // Under control one may be all that there is: who reads first concerns nobody.
        assert!(scenario["executions"].as_u64().is_some_and(|executions| executions > 0), "{scenario}");
    }
}

/// The container was set up beforehand: a kill or a delete must reach its init, which may not carry the run's marker yet.
pub fn what_was_set_up_can_be_killed(_: &Zygote) {
    for runtime in [Runtime::Runc, Runtime::Crun, Runtime::Youki, Runtime::Runsc] {
        if !is_usable(runtime) {
            continue;
        }
        let subject = runtime.to_string();
        for operation in ["kill c1", "delete c1"] {
            for way in [&[][..], &["--perturb", "0..1ms"]] {
                let words = ["--subject", &subject, "--setup", "create c1", "--executions", "1"];
                let more = ["--format", "json", "--", operation, "state c2"];
                let (_folder, output) = race(&[&words[..], way, &more].concat());
                let scenario = scenario(&output);
                assert_eq!(scenario["violations"].as_array().map(Vec::len), Some(0), "{runtime} {scenario}");
                assert_eq!(scenario["controlled"], way.is_empty(), "{runtime} {scenario}");
                assert_eq!(scenario["executions"], 1, "{runtime} {scenario}");
            }
        }
    }
}

/// A container that sleeps again and again, and one that is frozen while it is created, stand still as others do.
pub fn containers_that_sleep_and_frozen_ones_are_controlled(_: &Zygote) {
    for (runtime, other) in [(Runtime::Crun, "start c1"), (Runtime::Runc, "pause c1")] {
        if !is_usable(runtime) {
            continue;
        }
        let subject = runtime.to_string();
        let words = ["--subject", &subject, "--executions", "4", "--format", "json"];
        let (_folder, output) = race(&[&words[..], &["--", "create c1", other]].concat());
        let scenario = scenario(&output);
        assert_eq!(scenario["controlled"], true, "{runtime} {scenario}");
        assert_eq!(scenario["executions"], 4, "{runtime} {scenario}");
    }
}

/// The start that came late looks every tenth of a second whether the container lives, which it does.
pub fn a_start_of_runc_that_hangs_is_found(_: &Zygote) {
    if !is_usable(Runtime::Runc) {
        return;
    }
    let words = ["--subject", "runc", "--setup", "create c1", "--budget", "300s", "--time-limit", "2s"];
    let (_folder, output) = race(&[&words[..], &["--format", "json", "--", "start c1", "start c1"]].concat());
    let scenario = scenario(&output);
    assert_eq!(scenario["controlled"], true, "{scenario}");
    let violation = &scenario["violations"][0];
    assert_eq!(violation["class"], "deadlock", "{scenario}");
    let message = violation["message"].as_str().expect("told");
    assert!(message.contains("it has looked in vain for 2 s"), "{message}");
}

/// A kill leaves what the runtime itself must be able to delete.
pub fn a_killed_operation_leaves_an_id_that_can_be_used(_: &Zygote) {
    if !is_usable(Runtime::Crun) {
        return;
    }
    let words = ["--subject", "crun", "--setup", "create c1", "--faults", "kill", "--perturb", "0..1ms"];
    let (_folder, output) =
        race(&[&words[..], &["--executions", "4", "--", "start c1", "state c1"]].concat());
    let told = said(&output);
    assert!(matches!(output.status.code(), Some(0 | VIOLATION)), "{told}");
    assert!(!told.contains("setup does not succeed"), "each begins with a container of its own: {told}");
}

pub fn a_race_that_makes_no_sense_is_told(_: &Zygote) {
    let creates = ["--", "create c1", "create c1"];
    for (words, told) in [
        (
            &["--subject", "rnuc"][..],
            "expected one of runc, crun, youki, runsc, found \"rnuc\"; the nearest is \"runc\"",
        ),
        (&["--subject", "runc", "--state", "."], "--state is for commands of your own"),
        (&["--subject", "runc", "--observe", "true"], "--observe is for commands of your own"),
        (&["--path", "/usr/sbin/runc"], "--subject"),
        (&["--subject", "runc", "--setup", "crate c1"], "the nearest is \"create\""),
    ] {
        let (_folder, output) = race(&[words, &creates[..]].concat());
        assert_eq!(output.status.code(), Some(USAGE), "{words:?}: {}", said(&output));
        assert!(said(&output).contains(told), "{words:?}: {}", said(&output));
    }
    for (commands, told) in [
        (&["create", "create c1"][..], "expected an operation and one container"),
        (&["list c1", "create c1"], "the operations are create"),
        (&["create ../c1", "create c1"], "../c1"),
    ] {
        let (_folder, output) = race(&[&["--subject", "runc", "--"], commands].concat());
        assert_eq!(output.status.code(), Some(USAGE), "{commands:?}: {}", said(&output));
        assert!(said(&output).contains(told), "{commands:?}: {}", said(&output));
    }
    let (_folder, output) =
        race(&["--subject", "runc", "--process", "kill c1", "delete c1", "--process", "create c1"]);
    assert_eq!(output.status.code(), Some(USAGE), "{}", said(&output));
    assert!(said(&output).contains("make it the last command of its process"), "{}", said(&output));
    let (_folder, output) = race(&[&["--subject", "runc", "--path", "/no/such/runc"], &creates[..]].concat());
    assert_eq!(output.status.code(), Some(UNSUPPORTED), "{}", said(&output));
    assert!(said(&output).contains("/no/such/runc is not there"), "{}", said(&output));
}

/// What is saved is a scenario with the runtime as its subject, and runs as one.
pub fn a_saved_race_runs_as_a_scenario(_: &Zygote) {
    if !is_usable(Runtime::Crun) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let saved = folder.path().join("states.toml");
    let saved = saved.to_str().expect("UTF-8");
    // As many as it takes for two commands to meet, whatever else the machine does.
    let words =
        ["--subject", "crun", "--setup", "create c1", "--free", "--executions", "20", "--save", saved];
    let (_results, output) = race(&[&words[..], &["--", "state c1", "state c1"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = std::fs::read_to_string(saved).expect("it was saved");
    assert!(text.contains("[subject]\nname = \"oci\"\nruntime = \"crun\"\n"), "{text}");
    let results = folder.path().join("results");
    let output = flockwork(&["run", saved, "--results-dir", results.to_str().expect("UTF-8")]).output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}
