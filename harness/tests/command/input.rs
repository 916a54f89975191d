//! Bad input: each mistake is told with its place and the way out, and nothing is run.

use super::support::{ends_with, stderr, stdout};
use super::workshop::{LOCKED, OPERATIONS, SUBJECT, Workshop};

/// What is said of a scenario in which something was replaced.
fn told(what: &str, by: &str) -> String {
    let scenario = format!("{SUBJECT}{OPERATIONS}");
    assert!(scenario.contains(what), "{what}");
    let workshop = Workshop::new(LOCKED, &scenario.replace(what, by));
    let output = ends_with(&mut workshop.place.run(&["it.toml"]), 2);
    assert!(workshop.place.remains().is_empty());
    format!("{}{}", stdout(&output), stderr(&output))
}

#[test]
fn each_mistake_is_told_with_the_way_out() {
    for (what, by, expected) in [
        ("{value}", "{vale}", "{vale} is not a placeholder; the nearest is {value}"),
        ("{state}", "{object}", "env.STATE: {object} stands for nothing here; expected {state}"),
        ("operations.add]", "operations.increment]", "\"increment\" is no operation of the model counter"),
        (r"(?<saw>-?\d+)", r"(?<saw>-?\d+", "is not a regular expression: unclosed group"),
        (
            r"(?<saw>-?\d+)",
            r"(?<seen>-?\d+)",
            "the group \"seen\" means nothing; expected saw, value, status, reason",
        ),
        ("model = \"counter\"", "model = \"conter\"", "the nearest is \"counter\""),
        ("outcome = \"ok\"", "outcome = \"okay\"", "outcome: expected one of ok, refused, failed, unknown"),
        ("outcome = \"ok\"", "outcome = \"refused\", reason = \"exist\"", "the nearest is \"exists\""),
        ("./tool read", "./toll read", "./toll: no such program"),
        ("\"./tool\", \"add\"", "\"./it.toml\", \"add\"", "it is not executable; chmod +x"),
        ("time_limit", "watch = [\"*.dat\"]\ntime_limit", "what \"*.dat\" holds cannot be told by its name"),
        ("time_limit", "cwd = \"nowhere\"\ntime_limit", "nowhere: no such folder"),
        ("time_limit", "state = \"nowhere\"\ntime_limit", "nowhere: no such folder"),
        (
            "time_limit",
            "setup = [\"sh -c 'echo no way >&2; exit 3'\"]\ntime_limit",
            "exit code 3; it said: no way",
        ),
        ("processes = 4", "processes = 4\nmix = { ad = 1 }", "mix: there is no operation \"ad\""),
        ("command = \"./tool read\"", "comand = \"./tool read\"", "the nearest known key is \"command\""),
        ("command = \"./tool read\"", "command = \"./tool 'read\"", "a quote is never closed"),
    ] {
        let told = told(what, by);
        assert!(told.contains(expected), "{by}: expected {expected:?} in:\n{told}");
    }
}

#[test]
fn a_command_that_writes_without_end_is_stopped() {
    let workshop = Workshop::counter("#!/bin/sh\nyes\n", "");
    let scenario = workshop.run(&["--operations", "1", "--processes", "1"], 102);
    assert!(scenario["reasons"].to_string().contains("never succeeded"), "{scenario:#}");
}

#[test]
fn a_command_finds_neither_a_terminal_nor_anything_to_read() {
    let tool = "#!/bin/sh\nread -r line && exit 7\n[ -t 0 ] && exit 8\n(: </dev/tty) 2>/dev/null && exit 9\necho 1\n";
    let subject = SUBJECT.replace("counter", "register");
    let scenario = format!(
        "{subject}[subject.operations.read]\ncommand = \"./tool\"\n[stress]\nprocesses = 1\noperations = 1\n"
    );
    let scenario = scenario.replace("model = \"register\"", "model = { kind = \"register\", initial = 1 }");
    Workshop::new(tool, &scenario).run(&[], 0);
}

#[test]
fn what_stands_on_stdin_is_read() {
    let tool = "#!/bin/sh\nread -r line\necho \"$line\"\n";
    let scenario = format!(
        "{SUBJECT}[subject.operations.add]\ncommand = [\"./tool\"]\nstdin = \"{{n}}\\n\"\n[stress]\nprocesses = 1\noperations = 3\n"
    );
    Workshop::new(tool, &scenario).run(&[], 0);
}
