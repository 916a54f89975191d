//! docs/gvisor-history.md: its matrix is the table's, and its commands do as it says.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::runs::names;
use super::table::{BUGS, REPLICAS};

fn text() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/gvisor-history.md");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The matrix, as the document must have it.
fn matrix() -> String {
    let row = |words: Vec<String>| format!("| {} |\n", words.join(" | "));
    let mut table =
        row(["bug".to_owned()].into_iter().chain(REPLICAS.map(|name| format!("`{name}`"))).collect());
    table += &"|---".repeat(REPLICAS.len() + 1);
    table += "|\n";
    for bug in &BUGS {
        let cells = bug.cells.map(|cell| cell.as_str().to_owned());
        table += &row([bug.name.to_owned()].into_iter().chain(cells).collect());
    }
    table
}

pub fn shows_the_matrix() {
    let matrix = matrix();
    assert!(text().contains(&matrix), "docs/gvisor-history.md should have this matrix:\n{matrix}");
}

/// The words of every line that is a command.
fn commands() -> Vec<Vec<String>> {
    let text = text();
    let lines = text.lines().filter(|line| line.starts_with("flockwork run "));
    lines.map(|line| line.split_whitespace().skip(1).map(str::to_owned).collect()).collect()
}

pub fn names_every_bug() {
    let (text, commands) = (text(), commands());
    for bug in &BUGS {
        let heading = format!("\n### {}\n", bug.name);
        assert!(text.contains(&heading), "no section {}", bug.name);
        assert!(text.contains(bug.stepped), "{}: {} is not named", bug.name, bug.stepped);
    }
    for name in names() {
        assert!(commands.iter().any(|words| words[1] == name), "no command shows {name}");
    }
}

pub fn commands_run() {
    let results = tempfile::tempdir().unwrap();
    for words in commands() {
        let output = Command::new(assert_cmd::cargo::cargo_bin!("flockwork"))
            .current_dir(results.path())
            .args(&words)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{words:?} ended with {}:\n{said}", output.status);
    }
}
