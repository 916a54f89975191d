//! `flockwork check -` on a pipe: a malformed line is told at once, and what is held stays within `--memory` however
//! much there is to read.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

const HEADER: &str = "{\"flockwork_history\":1,\"model\":\"runsc\",\"initial\":{\"c1\":\"absent\"}}\n";
/// How many operations: 50 MB of text, and 20 MB once read.
const OPERATIONS: u64 = 400_000;

fn check(arguments: &[&str]) -> (Child, ChildStdin) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_flockwork"))
        .args(["check", "-"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("our own binary");
    let input = child.stdin.take().expect("a pipe");
    (child, input)
}

/// Exit code and output, once it has ended by itself.
fn ended(child: &mut Child) -> (Option<i32>, String) {
    let code = child.wait().expect("it is ours").code();
    let mut text = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut text).expect("UTF-8");
    (code, text)
}

fn line(turn: u64) -> String {
    let (invoke_ns, return_ns) = (1000 + 10 * turn, 1005 + 10 * turn);
    format!(
        "{{\"process\":3,\"container\":\"c1\",\"op\":\"state\",\"invoke_ns\":{invoke_ns},\"return_ns\":{return_ns},\
         \"outcome\":\"refused\",\"reason\":\"absent\"}}\n"
    )
}

/// Streams the operations and gives back by how much the peak of the reader's memory grew after the first thousand, in
/// bytes: how large the program itself is says nothing.
fn stream(child: &Child, input: &mut ChildStdin) -> u64 {
    input.write_all(HEADER.as_bytes()).expect("it reads");
    let mut before = None;
    for from in (0..OPERATIONS).step_by(1000) {
        let lines: String = (from..from + 1000).map(line).collect();
        input.write_all(lines.as_bytes()).expect("it reads");
        before.get_or_insert_with(|| peak_bytes(child));
    }
    peak_bytes(child) - before.expect("there was a first thousand")
}

fn peak_bytes(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it waits for more");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells");
    peak.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

#[test]
fn a_malformed_line_is_told_while_the_pipe_stays_open() {
    let (mut child, mut input) = check(&[]);
    writeln!(input, "{HEADER}{}{{\"process\":3,", line(0)).expect("it reads");
    // It ends although nobody says that the input does.
    let (code, text) = ended(&mut child);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.starts_with("-:3: "), "{text}");
    drop(input);
}

#[test]
fn what_is_too_large_is_read_within_bounds_and_its_last_line_is_told() {
    let (mut child, mut input) = check(&["--memory", "1MB"]);
    let peak_bytes = stream(&child, &mut input);
    let cut = line(OPERATIONS);
    input.write_all(&cut.as_bytes()[..cut.len() / 2]).expect("it reads");
    drop(input);
    let (code, text) = ended(&mut child);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.starts_with("-:400002: "), "{text}");
    assert!(peak_bytes < 6 << 20, "{peak_bytes} bytes");
}

#[test]
fn what_is_too_large_is_inconclusive_where_it_is_well_formed() {
    let (mut child, mut input) = check(&["--memory", "1MB"]);
    stream(&child, &mut input);
    drop(input);
    let (code, text) = ended(&mut child);
    assert_eq!(code, Some(102), "{text}");
    assert!(
        text.starts_with("-: inconclusive: 400000 operations need more memory than the limit of 1 MB"),
        "{text}"
    );
    assert!(text.contains("--memory"), "{text}");
}
