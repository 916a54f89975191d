//! The protocol of gVisor's first lock, three times: as a replica, as a shell script and as a Go program. Two pauses race in each,
//! and the same interleaving must come out, shrunk to the same decisive steps.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::flockwork::race;
use super::pair::{Pair, Variant};

const REPLICA: &str = r#"about = "Two pauses of one running container."
kind = "explore"

[subject]
name = "replica"
replica = "gvisor-2018"

[explore]
setup = ["create c1", "start c1"]
processes = [["pause c1"], ["pause c1"]]

[expect]
violations = ["torn-read"]
also = ["lost-update", "not-linearizable", "unrecoverable"]
"#;

/// What every one of them must come to: one pause has emptied the file that it saves to, under a lock that loading does not
/// take, and the other loads it.
const DECISIVE: [&str; 9] = [
    "p1 flock c1/meta.lock exclusive",
    "p1 open c1/meta.json",
    "p1 read c1/meta.json",
    "p1 flock c1/c1/meta.lock exclusive",
    "p1 open c1/meta.json create truncate",
    "p2 flock c1/meta.lock exclusive",
    "p2 open c1/meta.json",
    "p2 read c1/meta.json",
    "p1 write c1/meta.json",
];

#[test]
fn the_interleaving_of_the_replica_is_found_in_a_shell_script() {
    is_found_in("19-gvisor-2018-shell");
}

#[test]
fn the_interleaving_of_the_replica_is_found_in_a_go_program() {
    is_found_in("20-gvisor-2018-go");
}

#[test]
fn the_replica_shows_its_interleaving() {
    let place = tempfile::tempdir().expect("a temporary folder");
    fs::write(place.path().join("pauses.toml"), REPLICA).expect("written");
    let done = Command::new(assert_cmd::cargo::cargo_bin!("flockwork"))
        .args(["run", "--results-dir", "results", "--root", ".", "pauses.toml"])
        .current_dir(place.path())
        .output()
        .expect("flockwork runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let (folder, finding) = finding(place.path(), "torn-read");
    let schedule = fs::read_to_string(folder.join("schedule.toml")).expect("a schedule");
    let schedule: toml::Value = toml::from_str(&schedule).expect("TOML");
    let lines = schedule["explore"]["schedule"].as_array().expect("steps");
    let lines: Vec<&str> = lines.iter().filter_map(toml::Value::as_str).collect();
    assert_eq!(decisive(&lines), DECISIVE, "{finding}");
}

fn is_found_in(name: &str) {
    let pair = Pair::read(name);
    if pair.is_skipped("gvisor", &[]) {
        return;
    }
    let pauses = pair.races.iter().find(|race| race.processes == [["./tool pause c1"], ["./tool pause c1"]]);
    let place = pair.build(Variant::Broken);
    let raced = race(place.path(), pauses.expect("two pauses"), &["--budget".into(), "600s".into()]);
    assert_eq!(raced.code, 100, "{raced:#?}");
    let (_, finding) = finding(place.path(), "not-serializable");
    let control = &finding["race"]["control"];
    let lines = control["schedule"].as_array().expect("steps");
    let lines: Vec<&str> = lines.iter().filter_map(Value::as_str).collect();
    assert_eq!(decisive(&lines), DECISIVE, "{finding}");
    assert_eq!(control["preemptions"], 1, "{finding}");
    assert_eq!(
        (&finding["race"]["tried_again"], &finding["race"]["shown_again"]),
        (&3.into(), &3.into()),
        "{finding}"
    );
}

/// The folder of the finding of a class in the newest results, and what it says.
fn finding(place: &Path, class: &str) -> (std::path::PathBuf, Value) {
    let entries = fs::read_dir(place.join("results/latest/findings")).expect("findings");
    let folders = entries.map(|entry| entry.expect("readable").path());
    let is_of_class = |folder: &std::path::PathBuf| {
        folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(class))
    };
    let folder = folders.into_iter().find(is_of_class).unwrap_or_else(|| panic!("no finding of {class}"));
    let text = fs::read_to_string(folder.join("finding.json")).expect("a finding");
    (folder, serde_json::from_str(&text).expect("JSON"))
}

/// The steps that any implementation of the protocol takes: locks taken, and the metadata opened, read and written. How often
/// a program reads until it has all is its own affair, and so is how it finds its files.
fn decisive(schedule: &[&str]) -> Vec<String> {
    let of_protocol = |line: &&str| {
        let step = line.split_once(' ').map_or("", |(_, step)| step);
        step.starts_with("flock ")
            || ["open", "read", "write"].iter().any(|call| step.starts_with(&format!("{call} c1/meta.json")))
    };
    let lines = schedule.iter().filter(|line| of_protocol(line));
    // A step that is taken again carries its number.
    let mut lines: Vec<String> =
        lines.map(|line| line.split(" #").next().unwrap_or(line).to_owned()).collect();
    lines.dedup();
    lines
}
