//! The command line before anything runs: usage, bad input, and what needs no engine.

use std::fs;
use std::io::pipe;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::{BROKEN, Place, SOUND, ends_with, json, stderr, stdout};

#[test]
fn without_a_command_there_is_help_and_a_usage_error() {
    let output = ends_with(&mut Place::new().flockwork(&[]), 2);
    assert!(stderr(&output).contains("Usage: flockwork"));
    assert!(output.stdout.is_empty());
}

#[test]
fn usage_errors_exit_with_2() {
    let cases: [&[&str]; 8] = [
        &["rum"],
        &["run", "--sed", "1"],
        &["run", "--seed", "x"],
        &["run", "--seed", "-1"],
        &["run", "--format", "xml"],
        &["run", "-q", "-v"],
        &["run", "--duration", "1s", "--operations", "1"],
        &["completions", "csh"],
    ];
    for words in cases {
        let output = ends_with(&mut Place::new().flockwork(words), 2);
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{words:?}");
    }
}

#[test]
fn help_and_version_go_to_stdout_and_name_the_exit_codes() {
    let place = Place::new();
    for words in [&["--help"] as &[&str], &["run", "--help"]] {
        let help = stdout(&ends_with(&mut place.flockwork(words), 0));
        for code in ["  0  every", "  1  the", "  2  usage", "  4  ", " 96  ", "100  ", "102  "] {
            assert!(help.contains(code), "{code:?} in {help}");
        }
    }
    let version = stdout(&ends_with(&mut place.flockwork(&["--version"]), 0));
    assert_eq!(version, format!("flockwork {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn references_are_written() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(
            stdout(&ends_with(&mut place.flockwork(&["completions", shell]), 0)).contains("keep-history")
        );
    }
    let man = stdout(&ends_with(&mut place.flockwork(&["man"]), 0));
    assert!(
        man.contains(".TH flockwork 1") && man.contains("COMMAND RUN") && man.contains("Exit codes"),
        "{man}"
    );
    assert!(!man.to_lowercase().contains("hold-lock"), "what is hidden stays hidden");
}

#[test]
fn each_mistake_in_a_scenario_is_told_with_its_line() {
    let place = Place::new();
    let cases = [
        ("processes = 4", "proceses = 4", "s.toml:9:1: unknown key \"proceses\" in [stress]"),
        ("processes = 4", "processes = -4", "s.toml:9:13: processes: expected a whole number"),
        ("processes = 4", "processes = 100_000", "the limit is 4096 processes"),
        ("operations = 2_000", "operations = -1", "s.toml:10:14: operations: expected"),
        ("operations = 2_000", "duration = \"10\"", "expected a duration with a unit"),
        ("operations = 2_000", "operations = 1\nduration = \"1s\"", "contradict each other"),
        ("operations = 2_000", "", "[stress] needs operations or duration"),
        ("mix = {", "mix = { jump = 1,", "unknown operation \"jump\""),
        ("mix = {", "mix = { wait = 1,", "wait cannot be in a mix"),
        ("mix = {", "mix = {} #", "it is empty"),
        ("kind = \"stress\"", "kind = \"bench\"", "[bench] needs processes"),
        ("kind = \"stress\"", "kind = \"stress", "not valid TOML"),
        ("name = \"library\"", "name = \"library\"\nlock = \"odf\"", "the nearest is \"ofd\""),
        ("name = \"library\"", "name = \"replica\"\nreplica = \"gvisor-1999\"", "gvisor-2018"),
        ("about = \"Four processes.\"", "abuot = \"\"", "the nearest known key is \"about\""),
    ];
    for (from, to, expected) in cases {
        place.file("s.toml", &SOUND.replace(from, to));
        let output = ends_with(&mut place.run(&["s.toml"]), 2);
        let said = stderr(&output);
        assert!(
            said.contains("s.toml:") && said.contains(expected),
            "{to:?} should say {expected:?}:\n{said}"
        );
        assert!(output.stdout.is_empty() && !said.contains("seed:"), "nothing ran:\n{said}");
        assert!(place.runs().is_empty());
    }
}

#[test]
fn every_problem_of_every_file_is_told_at_once() {
    let place = Place::new();
    place.file("all/a.toml", &SOUND.replace("processes = 4", "processes = 0"));
    place.file("all/deep/b.toml", &SOUND.replace("processes", "proceses"));
    place.file("all/notes.txt", "no scenario");
    let said = stderr(&ends_with(&mut place.run(&["all"]), 2));
    assert!(said.contains("all/a.toml:9") && said.contains("all/deep/b.toml:9"), "{said}");
}

#[test]
fn overrides_are_checked_like_the_file_and_told_once() {
    let place = Place::new();
    place.file("s/a.toml", SOUND);
    place.file("s/b.toml", SOUND);
    let cases: [(&[&str], &str); 7] = [
        (&["--set", "stress.proceses=4"], "unknown key \"proceses\" in [stress]"),
        (&["--set", "subject.lock=odf"], "the nearest is \"ofd\""),
        (&["--set", "stress"], "expected key.path=value"),
        (&["--processes", "100000"], "the limit is 4096 processes"),
        (&["--operations", "-5"], "operations: expected a whole number"),
        (&["--duration", "10"], "expected a duration with a unit"),
        (&["--set", "stress.mix={}"], "it is empty"),
    ];
    for (words, expected) in cases {
        let said = stderr(&ends_with(place.run(&["s"]).args(words), 2));
        assert_eq!(said.matches(expected).count(), 1, "{words:?} should say {expected:?} once:\n{said}");
        assert!(said.contains(words[0]), "the flag is named:\n{said}");
    }
}

#[test]
fn paths_that_lead_nowhere() {
    let place = Place::new();
    let said = stderr(&ends_with(&mut place.run(&["create-raec"]), 2));
    assert!(said.contains("no such file or folder") && said.contains("\"create-race\""), "{said}");
    fs::create_dir(place.path().join("empty")).unwrap();
    ends_with(&mut place.run(&["empty"]), 4);
    ends_with(&mut place.flockwork(&["list", "empty"]), 4);
    fs::write(place.path().join("latin.toml"), b"kind = 1\nabout = \"\xe9\"").unwrap();
    assert!(stderr(&ends_with(&mut place.run(&["latin.toml"]), 2)).contains("line 2 is not UTF-8"));
    place.file("large.toml", &"#".repeat((1 << 20) + 1));
    assert!(stderr(&ends_with(&mut place.run(&["large.toml"]), 2)).contains("larger than the limit"));
    symlink("nowhere", place.path().join("dangling.toml")).unwrap();
    assert!(stderr(&ends_with(&mut place.run(&["dangling.toml"]), 2)).contains("dangling.toml"));
    symlink(".", place.path().join("empty/circle")).unwrap();
    ends_with(&mut place.run(&["empty"]), 4);
}

#[test]
fn a_root_that_is_no_folder_is_a_usage_error() {
    let place = Place::new();
    place.file("s.toml", BROKEN);
    for root in ["nowhere", "s.toml"] {
        let said = stderr(&ends_with(&mut place.flockwork(&["run", "s.toml", "--root", root]), 2));
        assert!(said.contains("--root"), "{said}");
        ends_with(&mut place.flockwork(&["doctor", "--root", root]), 2);
    }
}

#[test]
fn results_that_cannot_be_written_are_known_before_the_run_starts() {
    let place = Place::new();
    place.file("s.toml", BROKEN);
    for words in [&["s.toml", "--results-dir", "s.toml"], &["s.toml", "--results-dir", "s.toml/deeper"]] {
        let said = stderr(&ends_with(&mut place.run(words), 1));
        assert!(said.contains("results folder s.toml") && said.contains("--results-dir"), "{said}");
        assert!(!said.contains("seed:"), "nothing ran:\n{said}");
    }
    assert!(place.remains().is_empty());
}

#[test]
fn the_list_names_what_is_built_in_and_what_is_given() {
    let place = Place::new();
    let listed = json(&ends_with(&mut place.flockwork(&["list", "--format", "json"]), 0));
    let names: Vec<_> =
        listed["scenarios"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"create-pause-resume") && names.contains(&"no-lock"), "{names:?}");
    let human = stdout(&ends_with(&mut place.flockwork(&["list"]), 0));
    assert!(names.iter().all(|name| human.contains(name)), "{human}");

    place.file("mine.toml", BROKEN);
    let given = json(&ends_with(&mut place.flockwork(&["list", "mine.toml", "no-lock", "--format=json"]), 0));
    assert_eq!(given["schema_version"], 1);
    assert_eq!(given["scenarios"][0]["subject"], "gvisor-unlocked");
    assert_eq!(given["scenarios"][1]["name"], "no-lock");
}

#[test]
fn a_file_goes_before_a_built_in_scenario_of_its_name() {
    let place = Place::new();
    place.file("no-lock", SOUND);
    let listed = json(&ends_with(&mut place.flockwork(&["list", "no-lock", "--format", "json"]), 0));
    assert_eq!(listed["scenarios"][0]["about"], "Four processes.");
}

/// Stdout is a pipe whose reader has gone: what cannot be told is not told, and that is all.
fn with_closed_stdout(command: &mut Command) -> &mut Command {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    command.stdout(writer)
}

#[test]
fn a_reader_that_has_gone_away_is_no_error() {
    let place = Place::new();
    for words in [
        &["list"] as &[&str],
        &["list", "--format", "json"],
        &["--help"],
        &["--version"],
        &["man"],
        &["completions", "bash"],
    ] {
        let output = ends_with(with_closed_stdout(&mut place.flockwork(words)), 0);
        assert_eq!(stderr(&output), "", "{words:?}");
    }
}

#[test]
fn a_stdout_that_is_full_is_an_error() {
    let place = Place::new();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = ends_with(place.flockwork(&["list"]).stdout(full), 1);
    assert!(stderr(&output).contains("stdout cannot be written"));
}
