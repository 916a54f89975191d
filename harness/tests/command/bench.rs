//! A user's command, measured.

use super::support::{ends_with, json, stderr, stdout};
use super::workshop::{LOCKED, Workshop};

const BENCH: &str = r#"
about = "A counter."
kind = "bench"

[bench]
subject = "command"
command = ["./tool", "add", "1"]
env = { STATE = "{state}" }
setup = ["sh -c 'echo 7 > $STATE/count'"]
processes = [1, 2]
warm_up = "20ms"
duration = "100ms"
rounds = 3
"#;

#[test]
fn commands_are_measured_from_their_start_to_their_end() {
    let workshop = Workshop::new(LOCKED, BENCH);
    let words = ["bench", "it.toml", "--root", "root", "--format", "json"];
    let report = json(&ends_with(&mut workshop.place.flockwork(&words), 0));
    let cells = report["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 2, "{report:#}");
    for cell in cells {
        assert_eq!(cell["point"]["subject"], "command");
        assert!(cell["invalid"].is_null(), "{cell:#}");
    }
    let answer = report["answer"][0].as_str().expect("an answer");
    let page = std::fs::read_to_string(workshop.place.runs()[0].join("report.html")).unwrap();
    assert!(answer.starts_with("answer: ") && page.contains(answer), "{answer}");
    let human = ends_with(&mut workshop.place.flockwork(&["bench", "it.toml", "--root", "root"]), 0);
    assert!(stdout(&human).contains("answer: "), "{}", stdout(&human));
    assert!(workshop.place.remains().is_empty());
}

#[test]
fn a_command_line_is_enough_and_failures_are_counted() {
    let workshop = Workshop::new("#!/bin/sh\nexit 3\n", "");
    let words = [
        "bench",
        "--root",
        "root",
        "--processes",
        "1,2",
        "--duration",
        "50ms",
        "--rounds",
        "2",
        "--",
        "./tool",
        "x",
    ];
    let told = stdout(&ends_with(&mut workshop.place.flockwork(&words), 0));
    assert!(told.contains("were refused or failed"), "{told}");
    let words = ["bench", "--root", "root", "--", "./toll"];
    let told = stderr(&ends_with(&mut workshop.place.flockwork(&words), 2));
    assert!(told.contains("./toll: no such program"), "{told}");
}

#[test]
fn a_command_that_does_not_end_makes_its_cell_invalid() {
    let bench = BENCH.replace("[1, 2]", "1\ntime_limit = \"100ms\"");
    let workshop = Workshop::new("#!/bin/sh\nsleep 1000\n", &bench);
    let output = workshop.place.flockwork(&["bench", "it.toml", "--root", "root"]).output().unwrap();
    assert_ne!(output.status.code(), Some(0));
    let told = format!("{}{}", stdout(&output), stderr(&output));
    assert!(told.contains("did not end"), "{told}");
}
