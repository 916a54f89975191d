//! Whatever is killed, nothing is left, and the user's folder is as it was.

use std::fs;

use super::support::{ends_with, stderr};
use super::workshop::{COUNTER, LOCKED, OPERATIONS, SUBJECT, Workshop, check, classes};

/// Whether a process with this word among its arguments is there.
pub fn is_there(word: &str) -> bool {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .any(|line| String::from_utf8_lossy(&line).split('\0').any(|argument| argument == word))
}

#[test]
fn a_kill_takes_the_whole_group_and_what_it_left_undone_is_unknown() {
    let word = format!("1000.{}", std::process::id());
    let tool = LOCKED
        .replace("n=$(", &format!("sleep {word} 9>&- & \nsleep 0.01\nn=$("))
        .replace("mv new count\n", "mv new count\nkill $!\n");
    let workshop = Workshop::counter(&tool, "kill_every = \"10ms\"\n");
    let scenario = workshop.run(&["--keep-history"], 0);
    assert!(scenario["kills"].as_u64().unwrap() > 0, "{scenario:#}");
    assert!(!is_there(&word), "a child of a killed command lives on");
    assert!(workshop.place.remains().is_empty());
}

#[test]
fn a_process_that_is_left_over_is_told_where_that_is_forbidden() {
    let word = format!("1001.{}", std::process::id());
    let tool = LOCKED.replace(
        "echo $((n + $2))\n",
        &format!("echo $((n + $2))\nsetsid sleep {word} 9>&- >/dev/null 2>&1 &\n"),
    );
    let subject = SUBJECT.replace("time_limit", "strays = \"forbidden\"\ntime_limit");
    let workshop = Workshop::new(&tool, &format!("{subject}{OPERATIONS}"));
    let scenario = workshop.run(&["--operations", "8"], 100);
    assert_eq!(classes(&scenario), ["leftover"]);
    assert!(!is_there(&word), "it is reaped all the same");
    let allowed = Workshop::new(&tool, &format!("{SUBJECT}{OPERATIONS}"));
    let output = ends_with(&mut allowed.place.run(&["it.toml", "--seed", "5", "--operations", "8"]), 0);
    let told = "left running in the background by commands, and killed: sleep";
    assert!(stderr(&output).contains(told), "{}", stderr(&output));
    assert!(!is_there(&word));
}

#[test]
fn the_users_folder_lies_in_its_place_for_commands_and_stays_as_it_was() {
    let tool = COUNTER.replace("cd \"$STATE\"", "cd ./mine");
    let subject = SUBJECT.replace("env = { STATE = \"{state}\" }", "state = \"mine\"");
    let workshop = Workshop::new(&tool, &format!("{subject}{OPERATIONS}"));
    workshop.place.file("mine/count", "7\n");
    let scenario = workshop.run(&["--set", "subject.model={ kind = \"counter\", initial = 7 }"], 100);
    assert_eq!(classes(&scenario), ["not-linearizable"]);
    assert_eq!(fs::read_to_string(workshop.path().join("mine/count")).unwrap(), "7\n");
    assert_eq!(fs::read_dir(workshop.path().join("mine")).unwrap().count(), 1);
}

#[test]
fn perturbed_commands_are_still_judged_by_what_they_did() {
    let scenario = Workshop::counter(LOCKED, "perturb = \"0..2ms\"\n").run(&[], 0);
    assert_eq!(check(&scenario, "not-linearizable"), "clean");
}
