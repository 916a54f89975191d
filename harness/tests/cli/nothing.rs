//! Runs that verify nothing, that meet the machine's limits, or in which the harness itself is at fault: none is clean,
//! and none is the subject's fault.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::support::{Place, SOUND, ends_with, json, skip, stderr, stdout};

/// An exploration of these programs.
fn exploration(subject: &str, processes: &str) -> String {
    format!(
        "about = \"Nothing to race for.\"\nkind = \"explore\"\n\n[subject]\n{subject}\n\n[explore]\nprocesses = {processes}\n"
    )
}

const LIBRARY: &str = "name = \"library\"";

fn can_explore(place: &Place, test: &str) -> bool {
    place.file("probe.toml", &exploration(LIBRARY, "[[\"create c1\"], [\"delete c1\"]]"));
    let can = place.run(&["probe.toml"]).output().unwrap().status.code() != Some(96);
    if !can {
        skip(test, "the kernel lacks seccomp user notification");
    }
    can
}

/// Where every create fails there is nothing to race for, and the failures are counted.
#[test]
fn an_exploration_whose_every_create_fails_is_inconclusive() {
    let place = Place::new();
    if !can_explore(&place, "an_exploration_whose_every_create_fails_is_inconclusive") {
        return;
    }
    let subject = "name = \"replica\"\nreplica = \"gvisor-2026\"\nfail_create = 1.0";
    place.file("s.toml", &exploration(subject, "[[\"create c1\"], [\"create c1\"]]"));
    let report = json(&ends_with(&mut place.run(&["s.toml", "--format", "json"]), 102));
    let scenario = &report["scenarios"][0];
    assert_eq!(scenario["verdict"], "inconclusive", "{scenario:#}");
    assert!(scenario["failed"].as_u64().unwrap() > 0, "{scenario:#}");
    let told = scenario["reasons"].to_string();
    assert!(
        told.contains("no create succeeded in any schedule") && told.contains("the first failure"),
        "{told}"
    );
}

/// No container is named at all: nothing panics, and nothing is verified.
#[test]
fn lists_alone_panic_nowhere_and_verify_nothing() {
    let place = Place::new();
    if !can_explore(&place, "lists_alone_panic_nowhere_and_verify_nothing") {
        return;
    }
    for subject in [
        LIBRARY,
        "name = \"replica\"\nreplica = \"gvisor-2018\"",
        "name = \"replica\"\nreplica = \"rules-without-recheck\"",
    ] {
        place.file("s.toml", &exploration(subject, "[[\"list\"], [\"list\"]]"));
        let output = place.run(&["s.toml", "--format", "json"]).output().unwrap();
        assert_eq!(output.status.code(), Some(102), "{subject}: {}{}", stderr(&output), stdout(&output));
        let told = json(&output)["scenarios"][0].to_string();
        assert!(told.contains("no create succeeded") && !told.contains("panicked"), "{told}");
    }
}

#[test]
fn a_run_that_is_to_kill_and_kills_nobody_is_inconclusive() {
    let place = Place::new();
    place.file("s.toml", &SOUND.replace("handoff_min = 0.0", "handoff_min = 0.0\nkill_every = \"1h\""));
    let report = json(&ends_with(&mut place.run(&["s.toml", "--format", "json"]), 102));
    let told = report["scenarios"][0]["reasons"].to_string();
    assert!(told.contains("no worker was killed"), "{told}");
}

/// The machine has no descriptors left, or no program to stand behind containers: that is no fault of the subject.
#[test]
fn what_the_machine_lacks_is_not_the_subjects_fault() {
    let place = Place::new();
    place.file("s.toml", SOUND);
    for descriptors in [6, 8, 10, 12] {
        let mut command = place.run(&["s.toml"]);
        // The harness raises its soft limit where it may, so this is the hard one.
        let limited = limit(&mut command, descriptors).output().unwrap();
        let told = format!("{}{}", stdout(&limited), stderr(&limited));
        let code = limited.status.code();
        assert!(matches!(code, Some(0 | 1 | 96 | 102)), "{descriptors} descriptors: {code:?}\n{told}");
        assert!(!told.contains("violation"), "{told}");
        assert!(code == Some(0) || told.contains("os error 24") || told.contains("descriptors"), "{told}");
    }
    place.file("p.toml", &SOUND.replace("name = \"library\"", "name = \"library\"\nsandbox = \"process\""));
    let output = place.run(&["p.toml"]).env("PATH", "/nowhere").output().unwrap();
    let told = format!("{}{}", stdout(&output), stderr(&output));
    assert!(matches!(output.status.code(), Some(1 | 96 | 102)), "{:?}\n{told}", output.status.code());
    assert!(told.contains("setsid"), "{told}");
}

fn limit(command: &mut Command, descriptors: u32) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"")).arg(command.get_program());
    shell.args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.process_group(0);
    shell
}

/// Whatever panics in the harness's own code, the exit code is that of the harness's failure, and the subject is accused
/// of nothing.
#[test]
fn a_panic_of_the_harness_is_its_own_failure() {
    if !cfg!(debug_assertions) {
        return skip("a_panic_of_the_harness_is_its_own_failure", "only a debug build panics on demand");
    }
    let place = Place::new();
    place.file("h.jsonl", "{\"flockwork_history\":1,\"model\":\"runsc\"}\n");
    let mut check = place.flockwork(&["check", "h.jsonl"]);
    let output = check.env("FLOCKWORK_PANIC", "command").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("asks for a panic in the command"), "{}", stderr(&output));
    place.file("stress.toml", SOUND);
    place.file("explore.toml", &exploration(LIBRARY, "[[\"create c1\"], [\"delete c1\"]]"));
    let can_explore = can_explore(&place, "a_panic_of_the_harness_is_its_own_failure (explored)");
    for scenario in
        ["stress.toml", "explore.toml"].into_iter().filter(|name| can_explore || *name == "stress.toml")
    {
        let mut run = place.run(&[scenario, "--format", "json"]);
        let output = run.env("FLOCKWORK_PANIC", "process").output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{scenario}: {}{}", stderr(&output), stdout(&output));
        let report = json(&output);
        assert_eq!(report["scenarios"][0]["verdict"], "error", "{scenario}: {report:#}");
        assert!(report.to_string().contains("asks for a panic in the process"), "{scenario}: {report:#}");
    }
}

/// Faults that were asked for and never met a schedule: what they do was not looked at.
#[test]
fn an_exploration_that_injects_none_of_its_faults_is_inconclusive() {
    let place = Place::new();
    if !can_explore(&place, "an_exploration_that_injects_none_of_its_faults_is_inconclusive") {
        return;
    }
    let keys = "strategy = \"exhaustive\"\nfaults = [\"ENOSPC\"]";
    let explored = |schedules: u64| {
        let programs =
            format!("[[\"create c1\"], [\"delete c1\"]]\n{keys}\nbudget = {{ schedules = {schedules} }}");
        place.file("s.toml", &exploration(LIBRARY, &programs));
        let report = json(&ends_with(&mut place.run(&["s.toml", "--format", "json"]), 102));
        report["scenarios"][0]["reasons"].to_string()
    };
    // The first schedule is without a fault.
    let told = explored(1);
    assert!(told.contains("no fault was injected in any schedule"), "{told}");
    let told = explored(40);
    assert!(!told.contains("no fault was injected") && told.contains("budget"), "{told}");
}
