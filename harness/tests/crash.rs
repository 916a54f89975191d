//! `flockwork crash`, by its binary: real commands, killed at their steps, and the states that a power loss may leave.

#[path = "cli/support.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod support;

use std::fs;

use serde_json::Value;
use support::{Place, ends_with, json, stderr, stdout};

/// Writes a temporary file and renames it.
const RENAME: &str = "printf 'new new\\n' >state/f.tmp && mv state/f.tmp state/f";
/// The same, with an fsync of the file between.
const SYNCED: &str = "printf 'new new\\n' >state/f.tmp && sync state/f.tmp && mv state/f.tmp state/f";
/// The same, with an fsync of the folder at the end.
const LASTING: &str =
    "printf 'new new\\n' >state/f.tmp && sync state/f.tmp && mv state/f.tmp state/f && sync state";
/// Cuts the file and writes it anew.
const IN_PLACE: &str = "printf 'new new\\n' >state/f";

struct Workshop(Place);

impl Workshop {
    fn new() -> Self {
        let place = Place::new();
        place.file("state/f", "old\n");
        Self(place)
    }

    /// The one scenario of `flockwork crash` with these words, which must end with this code.
    fn crash(&self, words: &[&str], command: &str, code: i32) -> Value {
        let head = ["crash", "--root", "root", "--state", "state", "--format", "json"];
        let words = [&head[..], words, &["--", command]].concat();
        let report = json(&ends_with(&mut self.0.flockwork(&words), code));
        report["scenarios"][0].clone()
    }

    fn says(&self, words: &[&str], command: &str, code: i32) -> String {
        let head = ["crash", "--root", "root", "--state", "state"];
        let words = [&head[..], words, &["--", command]].concat();
        let output = ends_with(&mut self.0.flockwork(&words), code);
        stdout(&output) + &stderr(&output)
    }
}

fn message(scenario: &Value) -> String {
    scenario["violations"][0]["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_rename_without_fsync_is_found_on_every_disk_and_told_with_its_mend() {
    let workshop = Workshop::new();
    for (disk, left) in [("posix", ""), ("ext4", "8 zero bytes"), ("xfs", "nothing"), ("btrfs", "nothing")] {
        let scenario = workshop.crash(&["--power", "--disk", disk], RENAME, 100);
        assert_eq!(scenario["violations"][0]["class"], "lost-by-crash", "{disk}");
        assert_eq!((&scenario["disk"], &scenario["coverage"]), (&disk.into(), &"exhausted".into()));
        let message = message(&scenario);
        assert!(message.contains("before the"), "{disk}: {message}");
        assert!(message.contains("which was never fsynced"), "{disk}: {message}");
        assert!(message.contains(left), "{disk}: {message}");
        let story = scenario["violations"][0]["story"].to_string();
        assert!(story.contains("fsync of f.tmp before `rename f.tmp f` makes all"), "{disk}: {story}");
    }
    assert_eq!(fs::read_to_string(workshop.0.path().join("state/f")).unwrap(), "old\n");
    assert!(!workshop.0.path().join("state/f.tmp").exists());
}

#[test]
fn with_fsync_before_the_rename_every_disk_and_every_kill_is_clean() {
    let workshop = Workshop::new();
    for disk in ["posix", "ext4", "ext4-dioread-lock", "ext4-writeback", "xfs", "btrfs"] {
        let scenario = workshop.crash(&["--disk", disk], SYNCED, 0);
        assert_eq!(scenario["verdict"], "clean", "{disk}");
        assert!(scenario["states"].as_u64().is_some_and(|states| states > 2), "{disk}");
        assert!(scenario["kills"].as_u64().is_some_and(|kills| kills > 2), "{disk}");
        // A temporary file may stay, and harms nobody.
        assert_eq!(scenario["left_over"], serde_json::json!(["f.tmp"]), "{disk}");
    }
    let scenario = workshop.crash(&["--disk", "posix", "--strict"], SYNCED, 100);
    assert_eq!(scenario["violations"][0]["class"], "leftover");
}

#[test]
fn what_is_acknowledged_lasts_only_with_an_fsync_of_the_folder() {
    let workshop = Workshop::new();
    for disk in ["posix", "ext4", "xfs", "btrfs"] {
        let scenario = workshop.crash(&["--power", "--durable", "--disk", disk], SYNCED, 100);
        let message = message(&scenario);
        assert!(message.contains("what was acknowledged is gone"), "{disk}: {message}");
        workshop.crash(&["--power", "--durable", "--disk", disk], LASTING, 0);
    }
    // It says that it is done before it is.
    let early =
        "echo saved; printf 'new\\n' >state/f.tmp; sync state/f.tmp; mv state/f.tmp state/f; sync state";
    workshop.crash(&["--power", "--durable=saved", "--disk", "posix"], early, 100);
    let late = format!("{LASTING}; echo saved");
    workshop.crash(&["--power", "--durable=saved", "--disk", "posix"], &late, 0);
    workshop.crash(&["--power", "--durable=never said", "--disk", "posix"], &late, 102);
}

#[test]
fn a_write_in_place_is_torn_by_a_kill_and_by_a_power_loss() {
    let workshop = Workshop::new();
    let scenario = workshop.crash(&["--kill"], IN_PLACE, 100);
    assert!(message(&scenario).starts_with("killed before"), "{}", message(&scenario));
    assert!(scenario["states"].is_null());
    let scenario = workshop.crash(&["--power", "--disk", "ext4"], IN_PLACE, 100);
    assert!(scenario["kills"].is_null());
    let told = workshop.says(&["--disk", "ext4"], IN_PLACE, 100);
    assert!(told.contains("run it again: flockwork crash"), "{told}");
}

#[test]
fn what_comes_after_decides_what_is_right() {
    let workshop = Workshop::new();
    // Whoever reads it forgives an empty file.
    let reader = "test -s state/f && echo whole || echo none; rm -f state/f state/f.tmp";
    workshop.crash(&["--kill", "--then", reader], "printf x >>state/f", 0);
    let told = workshop.says(&["--then", "grep -q nothing state/f"], IN_PLACE, 102);
    assert!(told.contains("fails before any crash"), "{told}");
}

#[test]
fn what_comes_after_finds_nothing_of_what_it_did_in_another_state() {
    let workshop = Workshop::new();
    let synced = "printf new >state/f.tmp && sync state/f.tmp && mv state/f.tmp state/f";
    // It changes some of the states, and not the others: each must be laid out whole whatever was done in the one before.
    let reader = "test ! -e state/mark && cat state/f && { ! grep -q new state/f || { touch state/mark; rm state/f; }; }";
    let scenario = workshop.crash(&["--power", "--disk", "posix", "--then", reader], synced, 0);
    assert!(scenario["states"].as_u64().is_some_and(|states| states > 4), "{scenario:#}");
}

#[test]
fn what_verifies_nothing_is_inconclusive_and_bad_input_is_told() {
    let workshop = Workshop::new();
    let told = workshop.says(&["--power"], "cat state/f", 102);
    assert!(told.contains("changes nothing in the state folder"), "{told}");
    for (words, told) in [
        (&["--disk", "ext5"][..], "the nearest is \"ext4\""),
        (&["--kill", "--durable"], "leave out --kill"),
        (&["--state", "missing"], "no such folder"),
    ] {
        assert!(workshop.says(words, "true", 2).contains(told), "{words:?}");
    }
}

#[test]
fn a_copy_within_the_kernel_is_recorded() {
    let workshop = Workshop::new();
    workshop.0.file("state/new", "new new\n");
    let scenario = workshop.crash(&["--power", "--disk", "posix"], "cp state/new state/f", 100);
    assert!(scenario["unjudged"].is_null(), "{scenario:#}");
    let synced = "cp state/new state/f.tmp && sync state/f.tmp && mv state/f.tmp state/f";
    workshop.crash(&["--power", "--disk", "posix"], synced, 0);
}

#[test]
fn a_path_that_leads_nowhere_changes_nothing() {
    let workshop = Workshop::new();
    let tries = format!("cat state/none/x 2>/dev/null; rm -f state/none/x; {SYNCED}");
    workshop.crash(&["--power", "--disk", "posix"], &tries, 0);
}

#[test]
fn a_rename_across_the_edge_is_judged_only_where_it_is_no_rename() {
    let workshop = Workshop::new();
    let beside = "printf 'new\n' >beside && mv beside state/f";
    let told = workshop.says(&["--disk", "ext4"], beside, 102);
    assert!(told.contains("lies on the same filesystem"), "{told}");
}

#[test]
fn names_drawn_at_random_hinder_no_kill() {
    let workshop = Workshop::new();
    let command = "for i in 1 2 3 4; do f=$(mktemp -p state); g=$(mktemp -p state); rm \"$f\" \"$g\"; done; \
                   f=$(mktemp -p state) && printf 'new\n' >\"$f\" && mv \"$f\" state/f";
    let scenario = workshop.crash(&["--kill"], command, 0);
    assert!(scenario["unjudged"].is_null(), "{scenario:#}");
    // One that leads nowhere, as git's first try in a folder that is still to be made.
    let nowhere = format!("mktemp state/none/XXXXXXXX 2>/dev/null; {RENAME}");
    let scenario = workshop.crash(&["--kill"], &nowhere, 0);
    assert!(scenario["unjudged"].is_null(), "{scenario:#}");
}

#[test]
fn a_temporary_name_that_stays_is_left_over_whichever_name_comes_first() {
    let workshop = Workshop::new();
    // `a` comes before `f`, so that of two names of one file it is the first.
    let lasting = "printf 'new new\\n' >state/a && sync state/a && mv state/a state/f && sync state";
    let scenario = workshop.crash(&["--power", "--durable", "--disk", "posix"], lasting, 0);
    assert_eq!(scenario["left_over"], serde_json::json!(["a"]), "{scenario:#}");
    // A link beside the name that counts, and a kill between the two.
    let linked = "printf 'new new\\n' >state/a && ln -f state/a state/f && rm state/a";
    let scenario = workshop.crash(&["--kill"], linked, 0);
    let left_over = scenario["left_over"].as_array().unwrap();
    assert!(left_over.contains(&"a".into()), "{scenario:#}");
}

#[test]
fn two_fsyncs_that_are_missing_are_named_together() {
    let workshop = Workshop::new();
    for disk in ["posix", "ext4", "btrfs"] {
        let scenario = workshop.crash(&["--power", "--durable", "--disk", disk], RENAME, 100);
        let story = scenario["violations"][0]["story"].to_string();
        let both =
            "fsync of f.tmp before `rename f.tmp f` and of the state folder at the end together make all";
        assert!(story.contains(both), "{disk}: {story}");
    }
    // No fsync keeps two files alike.
    let two = "printf 'new\\n' >state/f; printf 'new\\n' >state/g";
    let scenario = workshop.crash(&["--power", "--disk", "posix"], two, 100);
    let story = scenario["violations"][0]["story"].to_string();
    assert!(story.contains("no fsync makes every state right, nor do two together"), "{story}");
}

/// Whether there is no such program: then that is told, or with `FLOCKWORK_REQUIRE_ALL=1` a failure.
fn lacks(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    assert!(is_there || std::env::var_os("FLOCKWORK_REQUIRE_ALL").is_none(), "it needs {program}");
    if !is_there {
        println!("skipped: it needs {program}");
    }
    !is_there
}

#[test]
fn what_no_journal_sees_is_refused_by_name_or_ignored_and_told() {
    if lacks("python3") {
        return;
    }
    let workshop = Workshop::new();
    let mapped = "python3 -S -I -c \"import mmap,os
m = mmap.mmap(os.open('state/f', os.O_RDWR), 4)
m[0:3] = b'new'
open('state/g', 'w').write('x')\"";
    let told = workshop.says(&["--disk", "posix"], mapped, 102);
    assert!(told.contains("mmap shares memory through f, which flockwork cannot record"), "{told}");
    assert!(!told.contains("--allow-uncontrolled"), "{told}");
    let scenario = workshop.crash(&["--disk", "posix", "--ignore", "f"], mapped, 0);
    assert_eq!(scenario["mapped"], serde_json::json!(["f"]), "{scenario:#}");
    assert!(workshop.says(&["--disk", "posix", "--ignore", "g"], mapped, 102).contains("through f"));
    let unnamed = "python3 -S -I -c \"import os; os.open('state', os.O_TMPFILE | os.O_RDWR)\"";
    let told = workshop.says(&["--power", "--disk", "posix"], unnamed, 102);
    assert!(told.contains("O_TMPFILE, which no disk model knows"), "{told}");
}

#[test]
fn a_file_that_is_mostly_a_hole_costs_what_it_holds_and_one_too_long_is_told() {
    let workshop = Workshop::new();
    let long = "printf x >state/g; truncate -s 4M state/g; sync state/g";
    let scenario = workshop.crash(&["--power", "--disk", "posix", "--then", "wc -c state/f"], long, 0);
    assert!(scenario["states"].as_u64().is_some_and(|states| states > 2), "{scenario:#}");
    let longer = "truncate -s 3G state/g; printf x >>state/g; sync state/g";
    let scenario = workshop.crash(&["--disk", "posix", "--then", "cat state/f"], longer, 0);
    assert_eq!(scenario["coverage"], "exhausted", "{scenario:#}");
    let told = workshop.says(&["--power"], "truncate -s 1T state/g", 102);
    assert!(told.contains("g: it is 1099511627776 bytes long"), "{told}");
}

#[test]
fn what_there_was_no_time_for_is_told_of_kills_and_of_power_losses() {
    let workshop = Workshop::new();
    let told = workshop.says(&["--disk", "posix", "--budget", "1ms"], RENAME, 102);
    assert!(told.contains("the command was killed at only 0 of "), "{told}");
    assert!(told.contains("the time ran out after 0 states of a power loss: raise --budget"), "{told}");
    assert!(!told.contains("none of its steps") && !told.contains("killed at each"), "{told}");
}

#[test]
fn a_filesystem_mounted_within_the_state_folder_is_refused_by_its_path() {
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var_os("FLOCKWORK_REQUIRE_ALL").is_none(), "it needs root");
        println!("skipped: it needs root");
        return;
    }
    if lacks("unshare") || lacks("mount") {
        return;
    }
    let workshop = Workshop::new();
    workshop.0.file("state/sub/g", "old\n");
    // In a mount namespace of its own: the mount ends with it.
    let script = "mount -t tmpfs none state/sub && exec \"$0\" crash --root root --state state --disk posix -- 'echo x >>state/f'";
    let output = std::process::Command::new("unshare")
        .args(["-m", "sh", "-c", script, env!("CARGO_BIN_EXE_flockwork")])
        .current_dir(workshop.0.path())
        .output()
        .expect("unshare runs");
    let told =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(102), "{told}");
    assert!(told.contains("state/sub: another filesystem is mounted there, within --state"), "{told}");
}

#[test]
fn where_nothing_is_compared_nothing_is_clean() {
    let workshop = Workshop::new();
    for (flags, told) in [
        (["--ignore", "f*"], "nothing that the commands change is compared (f)"),
        (["--observe", "true"], "--observe \"true\" prints nothing, whether the commands run or not"),
    ] {
        let words = [&["--kill"][..], &flags].concat();
        let said = workshop.says(&words, RENAME, 102);
        assert!(said.contains(told), "{said}");
    }
    workshop.crash(&["--kill", "--observe", "cat state/f"], RENAME, 0);
}
