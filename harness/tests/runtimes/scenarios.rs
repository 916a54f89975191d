//! Scenarios of container runtimes: what they find, and what is told where they cannot run.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use flockwork_harness::process::Zygote;
use flockwork_harness::runtimes::Runtime;

use super::program;
use super::{flockwork, is_set, is_usable, run_text, said, workspace};

const UNSUPPORTED: i32 = 96;
const INCONCLUSIVE: i32 = 102;
/// What a script exits with that lacks what it needs.
const LACKING: i32 = 77;

fn text(runtime: &str, more: &str, rounds: &str) -> String {
    format!(
        "kind = \"stress\"\n[subject]\nname = \"oci\"\nruntime = \"{runtime}\"\n{more}\n\
         [rounds]\ntogether = [\"2 create c1\"]\n{rounds}\n"
    )
}

pub fn a_runtime_that_is_not_there_is_told(_: &Zygote) {
    let output = run_text(&text("runc", "path = \"/no/such/runc\"", ""));
    assert_eq!(output.status.code(), Some(UNSUPPORTED), "{}", said(&output));
    assert!(said(&output).contains("/no/such/runc is not there"), "{}", said(&output));
}

/// A program that is no runtime, by what it does.
fn program(lines: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("runc");
    program::write(&path, &format!("#!/bin/sh\n{lines}\n"));
    let path = format!("path = \"{}\"", path.display());
    (folder, path)
}

pub fn a_runtime_that_never_answers_is_told(_: &Zygote) {
    if !is_usable(Runtime::Runc) {
        return;
    }
    let (_folder, path) = program("exec sleep 1000");
    let output = run_text(&text("runc", &path, "time_limit = \"200ms\""));
    assert_eq!(output.status.code(), Some(UNSUPPORTED), "{}", said(&output));
    assert!(said(&output).contains("does not answer within 200ms"), "{}", said(&output));
}

pub fn flags_that_a_runtime_refuses_are_told(_: &Zygote) {
    if !is_usable(Runtime::Runc) {
        return;
    }
    let output = run_text(&text("runc", "flags = [\"--no-such-flag\"]", ""));
    assert_eq!(output.status.code(), Some(UNSUPPORTED), "{}", said(&output));
    assert!(said(&output).contains("no-such-flag"), "{}", said(&output));
}

/// Containers are absent before the setup, so every command is rightly refused: that shows nothing.
pub fn where_nothing_is_created_nothing_is_clean(_: &Zygote) {
    if !is_usable(Runtime::Crun) {
        return;
    }
    let text =
        text("crun", "", "budget = { rounds = 1, time = \"60s\" }").replace("2 create c1", "2 pause c1");
    let output = run_text(&text);
    assert_eq!(output.status.code(), Some(INCONCLUSIVE), "{}", said(&output));
    assert!(
        said(&output).contains("no create succeeded in any round, so nothing was verified"),
        "{}",
        said(&output)
    );
}

/// The files of a folder with this ending, in their order.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(workspace().join(folder)).expect("it is there").flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == ending));
    files.sort();
    assert!(!files.is_empty(), "{folder} has none");
    files
}

fn runtime_of(path: &std::path::Path) -> Runtime {
    let name = path.file_stem().and_then(|stem| stem.to_str()).expect("UTF-8");
    let runtime = name.split('-').next().and_then(Runtime::named);
    runtime.unwrap_or_else(|| panic!("{name} begins with the name of a runtime"))
}

pub fn every_script_shows_its_finding(_: &Zygote) {
    for script in files("docs/findings", "sh") {
        if !is_usable(runtime_of(&script)) {
            continue;
        }
        let output = Command::new("sh").arg(&script).output().expect("a shell");
        let name = script.file_name().expect("a name").display();
        match output.status.code() {
            Some(0) => println!("{name}: {}", said(&output).lines().last().unwrap_or_default()),
            Some(LACKING) => panic!("{name} lacks something: {}", said(&output)),
            _ => panic!("{name} did not show it: {}", said(&output)),
        }
    }
}

/// What shows in so few rounds (2 of 89, 1 of 67) that its budget may end before, or takes minutes on a busy machine: with
/// `FLOCKWORK_LONG=1` only, as `just findings` sets.
const RARE: [&str; 8] = [
    "crun-start-dies.toml",
    "crun-start-hangs.toml",
    "runc-create-create.toml",
    "runc-killed-create.toml",
    "runsc-two-resumes.toml",
    "youki-killed-create.toml",
    "youki-killed-delete.toml",
    "youki-lost-winner.toml",
];

pub fn every_scenario_ends_as_it_expects(_: &Zygote) {
    let results = tempfile::tempdir().expect("a folder");
    let results = results.path().to_str().expect("UTF-8");
    let mut wrong = Vec::new();
    for scenario in files("scenarios/runtimes", "toml") {
        if !is_usable(runtime_of(&scenario)) {
            continue;
        }
        if RARE.iter().any(|rare| scenario.ends_with(rare)) && !is_set("FLOCKWORK_LONG") {
            println!("skipped: {}: rare or long, with FLOCKWORK_LONG=1 only", scenario.display());
            continue;
        }
        let path = scenario.to_str().expect("UTF-8");
        let output = flockwork(&["run", path, "--results-dir", results]).output().expect("it runs");
        let told = said(&output);
        let rounds = told.lines().find(|line| line.contains(" rounds, ")).unwrap_or_default();
        println!("{}: exit {:?}: {rounds}", scenario.display(), output.status.code());
        if !output.status.success() {
            wrong.push(told);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
