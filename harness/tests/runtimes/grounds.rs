//! Rounds whose leftovers are watched while others are played: each is told as if it had been alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use flockwork_harness::process::Zygote;
use flockwork_harness::runtimes::{Runtime, find};

use super::{is_usable, program, run_for_report};

/// The text of a scenario whose runtime is runc, but for a delete by force: in rounds whose number ends in one of these digits it
/// leaves a file behind, beside which the id can be used. What is done to which id in which root is written to a log.
pub fn leaking(folder: &Path, digits: &str, rounds: u64) -> String {
    let runc = find(Runtime::Runc, None).expect("it is usable").program;
    let (path, log) = (folder.join("runc"), folder.join("log"));
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --root ] || exec {runc} \"$@\"\nfor id; do :; done\n\
         echo \"$3 $id $2\" >>{log}\n{runc} \"$@\"; code=$?\n\
         case $3$id in delete*[{digits}]-c1) : >\"$2/$id.stale\" ;; esac\nexit $code\n",
        runc = runc.display(),
        log = log.display(),
    );
    program::write(&path, &script);
    format!(
        "kind = \"stress\"\n[subject]\nname = \"oci\"\nruntime = \"runc\"\npath = \"{}\"\n[rounds]\n\
         setup = [\"create c1\"]\ntogether = [\"2 state c1\"]\nbudget = {{ rounds = {rounds}, time = \"600s\" }}\n\
         [expect]\nalso = [\"leftover\"]\n",
        path.display()
    )
}

/// The commands of rounds in the log: the operation, the number of the round, the root.
fn commands(folder: &Path) -> Vec<(String, u64, String)> {
    let log = fs::read_to_string(folder.join("log")).expect("it is written");
    let command = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        // A kill has a signal in its place: rounds have none.
        let round = words[1].split('-').nth(1)?.parse().expect("a number");
        Some((words[0].to_owned(), round, words[2].to_owned()))
    };
    log.lines().filter_map(command).collect()
}

pub fn what_a_round_leaves_is_told_of_it_while_others_are_played(_: &Zygote) {
    if !is_usable(Runtime::Runc) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    // Of the last one, too, after which no other is played.
    let scenario = run_for_report(&leaking(folder.path(), "26", 6));
    let rounds = &scenario["rounds"];
    assert_eq!((&rounds["rounds"], scenario["ended"].as_str()), (&6.into(), Some("completed")), "{scenario}");
    let broken = serde_json::json!({ "leftover": { "rounds": 2, "first": 2 } });
    assert_eq!(rounds["broken"], broken, "{scenario}");
    let messages: Vec<String> = scenario["violations"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["message"].to_string())
        .collect();
    assert!(messages.iter().all(|message| message.contains(".stale")), "{messages:?}");
    for number in [2, 6] {
        let own = format!("-{number}-c1.stale");
        assert!(messages.iter().any(|message| message.contains(&own)), "{own}: {messages:?}");
    }

    let commands = commands(folder.path());
    let roots_of = |number: u64| -> BTreeSet<&String> {
        commands.iter().filter(|(_, round, _)| *round == number).map(|(_, _, root)| root).collect()
    };
    assert!((1..=6).all(|number| roots_of(number).len() == 1), "{commands:?}");
    assert_ne!(roots_of(2), roots_of(3), "the next round was not played while what was left was watched");
    // A round that leaves nothing is played and examined before another begins.
    let of = |number: u64| commands.iter().enumerate().filter(move |(_, (_, round, _))| *round == number);
    let (last, next) = (of(1).next_back().expect("played"), of(2).next().expect("played"));
    assert!(last.0 < next.0, "{commands:?}");
    // Once it was watched, it is created anew and deleted like any other.
    let done: Vec<&str> = of(2).map(|(_, (operation, ..))| operation.as_str()).collect();
    assert_eq!(done, ["create", "state", "state", "state", "delete", "create", "delete"]);
}
