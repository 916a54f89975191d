//! Every way in which a history can be malformed, and what its author is told; and that what is read is what was
//! written.

use std::num::NonZeroU64;

use flockwork::{Operation, Status};
use proptest::prelude::*;

use super::super::{Deaths, Outcome, Reason, write};
use super::*;
use crate::history::Start;
use crate::model::Builtin;

const HEADER: &str = "{\"flockwork_history\":1,\"model\":\"runsc\",\"initial\":{\"c1\":\"absent\"}}\n";
const GOOD: &str =
    r#"{"process":3,"container":"c1","op":"pause","invoke_ns":5,"return_ns":9,"outcome":"ok"}"#;

#[track_caller]
fn complaint(text: impl AsRef<[u8]>) -> String {
    read(text.as_ref()).expect_err("must be refused").to_string()
}

#[test]
fn the_example_of_the_design_reads() {
    let text = format!(
        "{HEADER}{}\n\n{}\n",
        GOOD.replace('}', r#","later":{"deep":[1]}}"#),
        r#"{"process":3,"op":"list","invoke_ns":10,"return_ns":null,"outcome":"unknown"}"#
    );
    let history = read(text.as_bytes()).expect("well-formed");
    assert_eq!(history.containers, ["c1"]);
    assert_eq!(history.records.len(), 2);
    assert_eq!(history.records[0].return_ns(), Some(9));
    assert_eq!(history.records[1].container(), None);
    assert_eq!(history.records[1].deadline_ns(), u64::MAX);
}

#[test]
fn fields_come_in_any_order_and_spacing_and_the_last_line_needs_no_end() {
    let text = format!(
        "\r\n{}\r\n{}",
        r#" { "initial": {}, "written_by": "x", "flockwork_history": 1 } "#,
        r#"{ "outcome": "refused", "op":"pause", "reason":null, "return_ns": 9, "container":"\u00fc\n", "invoke_ns":5 , "process" : 3}"#
    );
    let history = read(text.as_bytes()).expect("well-formed");
    assert_eq!(history.model, None, "the header names none");
    assert_eq!(history.containers, ["ü\n"]);
    assert_eq!((history.records[0].process, history.records[0].outcome), (3, Outcome::Refused));
}

#[test]
fn models_and_first_statuses_are_carried() {
    let text = HEADER.replace("runsc", "oci").replace("\"absent\"", "\"paused\",\"c2\":\"absent\"");
    let history = read(text.as_bytes()).expect("well-formed");
    assert_eq!(history.model, Some(Builtin::Oci));
    assert_eq!(
        [0, 1, 7].map(|container| history.start(container)),
        [Start::At(Status::Paused), Start::Absent, Start::Absent]
    );
    let mut bytes = Vec::new();
    write::write(&history, &mut bytes).expect("memory");
    assert_eq!(read(bytes.as_slice()).expect("our own"), history);
    assert_eq!(String::from_utf8(bytes).expect("JSON"), text);
}

#[test]
fn complaints_about_the_header() {
    let cases: &[(&str, &[&str])] = &[
        ("", &["line 1: the file is empty; expected a header {\"flockwork_history\":1"]),
        ("\n \n", &["line 1: the file is empty"]),
        (GOOD, &["line 1: found an operation; expected a header"]),
        ("{}", &["an object without flockwork_history; expected a header"]),
        ("[1]", &["line 1: column", "expected a header"]),
        ("\u{feff}{}", &["a byte order mark; expected JSON without one"]),
        ("{\"flockwork_history\":1", &["line 1: the line is truncated"]),
        (
            &HEADER.replace(":1", ":3"),
            &["version 3 of the format is newer than this flockwork, which reads up to version 2"],
        ),
        (&HEADER.replace(":1", ":0"), &["version 0 of the format; expected 1 or 2"]),
        (&HEADER.replace(":1", ":1.0"), &["flockwork_history: expected a whole number", "found 1.0"]),
        (&HEADER.replace(":1", ":\"1\""), &["flockwork_history: expected a whole number", "found \"1\""]),
        (
            &HEADER.replace("runsc", "runc"),
            &["model: unknown \"runc\"; the nearest is \"runsc\"", "leave it out"],
        ),
        (&HEADER.replace("runsc", "mine"), &["model: unknown \"mine\"; expected one of runsc, oci"]),
        (&HEADER.replace("\"runsc\"", "7"), &["model: expected a text, found 7"]),
        (
            &HEADER.replace("absent", "stoped"),
            &["initial: c1: unknown \"stoped\"; the nearest is \"stopped\""],
        ),
        (&HEADER.replace("\"absent\"", "1"), &["initial: c1: expected a text, found 1"]),
        (
            &HEADER.replace("{\"c1\":\"absent\"}", "[\"c1\"]"),
            &["initial: expected containers", "found a list"],
        ),
        (&HEADER.replace("\"c1\":", "\"c1\":\"absent\",\"c1\":"), &["initial: \"c1\" appears twice"]),
        (&HEADER.replace("\"model\"", "\"model\":\"oci\",\"model\""), &["duplicate field `model`"]),
    ];
    for (text, expected) in cases {
        let complaint = complaint(text);
        assert!(complaint.starts_with("line 1: "), "{complaint}");
        for part in *expected {
            assert!(complaint.contains(part), "{text:?} should say {part:?}, said {complaint}");
        }
    }
}

#[test]
fn complaints_about_a_line() {
    let with = |from: &str, to: &str| GOOD.replace(from, to);
    let cases: &[(String, &[&str])] = &[
        (GOOD[..40].into(), &["the line is truncated"]),
        (with("\"ok\"}", "\"ok\""), &["the line is truncated"]),
        (with("\"ok\"}", "\"ok\"}}"), &["column 87: trailing characters; expected one JSON object per line"]),
        (with("\"ok\"}", "\"ok\"} x"), &["trailing characters"]),
        ("\0\0\0\0".into(), &["column 1: expected value"]),
        ("[]".into(), &["column"]),
        ("7".into(), &["expected one JSON object per line"]),
        ("{'process':3}".into(), &["column 2: key must be a string"]),
        (with("\"op\":\"pause\",", ""), &["op is missing; expected process, container, op"]),
        (with("pause", "pauze"), &["op: unknown \"pauze\"; the nearest is \"pause\""]),
        (with("pause", "xyzzy"), &["op: unknown \"xyzzy\"; expected one of create, start"]),
        (with("\"pause\"", "null"), &["op is missing"]),
        (with("\"ok\"", "\"okay\""), &["outcome: unknown \"okay\"; the nearest is \"ok\""]),
        (with("\"ok\"", "true"), &["outcome: expected a text, found true"]),
        (with("\"container\":\"c1\",", ""), &["pause without \"container\"; only list goes without"]),
        (with("\"c1\"", "1"), &["container: expected a text, found 1"]),
        (with("\"c1\"", "\"\\ud800\""), &["container: expected a text"]),
        (with("9", "2"), &["return_ns is earlier than invoke_ns; expected the same or later"]),
        (with("9", "null"), &["outcome ok without return_ns; only \"unknown\" may lack it"]),
        (with("9", "-9"), &["return_ns: expected a whole number from 0 to 18446744073709551614, found -9"]),
        (with("9", "9.0"), &["return_ns: expected a whole number", "found 9.0"]),
        (with("9", "9e3"), &["return_ns: expected a whole number", "found 9e3"]),
        (with("9", "\"9\""), &["return_ns: expected a whole number", "found \"9\""]),
        (
            with("9", "18446744073709551615"),
            &["return_ns: expected a whole number from 0 to 18446744073709551614"],
        ),
        (with("5", "18446744073709551616"), &["invoke_ns: expected a whole number"]),
        (with("5", &"5".repeat(400)), &["invoke_ns: expected a whole number", "found 5555555555", "…"]),
        (with("5", "[5]"), &["invoke_ns: expected a whole number", "found a list"]),
        (with("5", "05"), &["column"]),
        (with("3", "-3"), &["process: expected a whole number from 0 to 4294967295, found -3"]),
        (with("3", "4294967296"), &["process: expected a whole number"]),
        (with("3", "3,\"process\":3"), &["duplicate field `process`"]),
        (with("}", ",\"generation\":0}"), &["generation: expected a whole number from 1"]),
        (with("}", ",\"revision\":1.5}"), &["revision: expected a whole number from 1", "found 1.5"]),
        (with("}", ",\"status\":\"gone\"}"), &["status: unknown \"gone\"; expected one of created, running"]),
        (with("}", ",\"reason\":\"status\"}"), &["outcome ok with reason status; expected none"]),
        (with("}", ",\"reason\":\"statis\"}"), &["reason: unknown \"statis\"; the nearest is \"status\""]),
        (with("ok\"", "refused\",\"reason\":\"io\""), &["refused for io; expected exists, absent"]),
        (with("ok\"", "failed\",\"reason\":\"exists\""), &["failed for exists; expected corrupt, locked"]),
        (with("}", ",\"message\":{}}"), &["message: expected a text, found an object"]),
        ("[".repeat(100_000), &["line 4: "]),
        (format!("{{\"later\":{}", "[".repeat(100_000)), &["the line is truncated"]),
    ];
    for (line, expected) in cases {
        let complaint = complaint(format!("{HEADER}\n{}\n{line}\n{GOOD}\n", GOOD.replace('3', "4")));
        assert!(complaint.starts_with("line 4: "), "{complaint}");
        assert!(complaint.len() < 400, "{complaint}");
        for part in *expected {
            assert!(complaint.contains(part), "{line:.200} should say {part:?}, said {complaint}");
        }
    }
}

#[test]
fn a_cut_file_and_what_is_no_text_are_told_with_their_line() {
    let text = format!("{HEADER}{GOOD}\n{}", &GOOD[..30]);
    assert_eq!(complaint(&text), "line 3: the line is truncated; expected a whole JSON object");
    let mut bytes = format!("{HEADER}{GOOD}\n").into_bytes();
    bytes.extend_from_slice(b"{\"process\":\xff\xfe}\n");
    assert_eq!(complaint(&bytes), "line 3: byte 12 of the line is not UTF-8; expected JSON in UTF-8");
    assert_eq!(complaint(b"\xff"), "line 1: byte 1 of the line is not UTF-8; expected JSON in UTF-8");
}

#[test]
fn a_line_of_a_hundred_megabytes_is_refused_without_being_read() {
    /// Endless, and counts what is taken.
    struct Endless(u64);
    impl io::Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            buffer.fill(b' ');
            self.0 += buffer.len() as u64;
            assert!(self.0 < 100 << 20, "it reads on and on");
            Ok(buffer.len())
        }
    }
    let endless = io::Read::chain(io::Cursor::new(HEADER), Endless(0));
    let error = read(io::BufReader::new(endless)).expect_err("too long").to_string();
    assert_eq!(error, "line 2: the line is longer than 16 MiB; expected one operation per line");
}

/// One operation: invoke, return, outcome.
type Short = (u64, Option<u64>, &'static str);

/// Reads these operations of process 3.
fn of_one_process(operations: &[Short]) -> Result<History, ReadError> {
    let line = |(invoke_ns, return_ns, outcome): &Short| {
        let return_ns = return_ns.map_or("null".into(), |ns| ns.to_string());
        format!(
            "{{\"process\":3,\"container\":\"c1\",\"op\":\"state\",\"invoke_ns\":{invoke_ns},\
             \"return_ns\":{return_ns},\"outcome\":\"{outcome}\"}}\n\n"
        )
    };
    let text = HEADER.to_owned() + &operations.iter().map(line).collect::<String>();
    read(text.as_bytes())
}

#[test]
fn a_process_has_one_operation_open() {
    let (ok, unknown) = ("ok", "unknown");
    let legal: &[&[Short]] = &[
        &[(1, Some(3), ok), (3, Some(5), ok), (5, Some(5), ok), (5, Some(5), ok), (5, Some(6), ok)],
        &[(7, Some(9), ok), (1, Some(3), ok), (3, Some(7), ok)],
        &[(5, Some(9), ok), (5, Some(5), ok), (9, Some(9), ok)],
        // An unknown one may act on while its process goes on.
        &[(1, Some(9), unknown), (2, Some(3), ok), (3, None, unknown), (4, Some(5), "refused")],
    ];
    for operations in legal {
        of_one_process(operations).unwrap_or_else(|error| panic!("{operations:?}: {error}"));
    }
    let overlapping: &[(&[Short], u64, u64)] = &[
        (&[(1, Some(5), ok), (3, Some(7), ok)], 4, 2),
        (&[(1, Some(5), ok), (3, Some(4), ok)], 4, 2),
        (&[(3, Some(4), ok), (1, Some(5), ok)], 4, 2),
        (&[(1, Some(5), ok), (3, Some(7), unknown)], 4, 2),
        (&[(3, Some(7), unknown), (1, Some(5), ok)], 4, 2),
        // Out of order: only the whole shows it.
        (&[(10, Some(20), ok), (1, Some(5), ok), (4, Some(6), ok)], 6, 4),
        (&[(10, Some(20), ok), (1, Some(5), ok), (30, Some(40), ok), (2, Some(6), ok)], 8, 4),
    ];
    for &(operations, line, other) in overlapping {
        let error = of_one_process(operations).expect_err("overlap").to_string();
        assert!(error.starts_with(&format!("line {line}: process 3 has two operations open")), "{error}");
        assert!(error.contains(&format!("that of line {other},")), "{error}");
    }
}

fn outcome() -> impl Strategy<Value = (Outcome, Option<Reason>, bool)> {
    let reasons = |is_refusal: bool| {
        let fitting = Reason::ALL.into_iter().filter(move |reason| reason.is_refusal() == is_refusal);
        proptest::option::of(proptest::sample::select(fitting.collect::<Vec<_>>()))
    };
    prop_oneof![
        Just((Outcome::Ok, None, true)),
        reasons(true).prop_map(|reason| (Outcome::Refused, reason, true)),
        reasons(false).prop_map(|reason| (Outcome::Failed, reason, true)),
        any::<bool>().prop_map(|returned| (Outcome::Unknown, None, returned)),
    ]
}

prop_compose! {
    fn record()(
        container in 0u32..3,
        operation in proptest::sample::select(Operation::ALL.to_vec()),
        invoke_ns in any::<u64>(),
        took_ns in 0u64..1_000_000,
        (outcome, reason, returned) in outcome(),
        status in proptest::option::of(proptest::sample::select(Status::ALL.to_vec())),
        generation in any::<u64>(),
        revision in any::<u64>(),
        message in proptest::option::of(".*"),
    ) -> (Record, Option<String>) {
        let container = (operation != Operation::List).then_some(container);
        let mut record = Record::invoked(0, container, operation, invoke_ns);
        let return_ns = invoke_ns.saturating_add(took_ns).min(u64::MAX - 1).max(invoke_ns);
        record.set_return_ns((returned && return_ns < u64::MAX).then_some(return_ns));
        if record.return_ns().is_some() || outcome == Outcome::Unknown {
            (record.outcome, record.reason) = (outcome, reason);
        }
        record.status = status;
        record.generation = NonZeroU64::new(generation);
        record.revision = NonZeroU64::new(revision);
        (record, message)
    }
}

prop_compose! {
    /// Every record is another process's: their times are at random.
    fn history()(
        processes in any::<u32>(),
        records in proptest::collection::vec(record(), 0..40),
        initial in proptest::collection::vec(
            proptest::option::of(proptest::sample::select(Status::ALL.to_vec())), 3),
        model in proptest::option::of(proptest::sample::select(Builtin::ALL.to_vec())),
        deaths in proptest::option::of(proptest::sample::select(Deaths::ALL.to_vec())),
    ) -> History {
        let containers = ["c1", "weird \"name\"\n", "ü"].map(str::to_owned).to_vec();
        let mut history = History { model, deaths, containers, ..History::default() };
        for (index, status) in (0..).zip(initial) {
            history.set_initial(index, status);
        }
        for (number, (mut record, message)) in (0..).zip(records) {
            record.process = processes.wrapping_add(number);
            if let Some(message) = message {
                history.attach_message(&mut record, message);
            }
            history.records.push(record);
        }
        history
    }
}

fn written(history: &History) -> String {
    let mut bytes = Vec::new();
    write::write(history, &mut bytes).expect("memory");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

proptest! {
    #[test]
    fn what_is_written_reads_back_the_same(history in history()) {
        prop_assert_eq!(read(written(&history).as_bytes()).expect("our own"), history);
    }

    #[test]
    fn lines_by_hand_are_those_of_serde(history in history()) {
        let text = written(&history);
        for (line, record) in text.lines().skip(1).zip(&history.records) {
            let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
            prop_assert_eq!(&value, &write::to_json(&history, record));
            let by_serde = serde_json::to_string(&write::Line::of(&history, record)).expect("JSON");
            prop_assert_eq!(line, by_serde);
        }
    }

    #[test]
    fn both_ways_to_parse_a_line_agree(
        history in history(),
        cut in any::<prop::sample::Index>(),
        put in prop::sample::select(vec!["", " ", "0", "9", "-", "\"", "\\", "{", "}", "null", "ü", "\u{1}", "\u{c}"]),
    ) {
        for line in written(&history).lines().skip(1) {
            let at = (0..=cut.index(line.len())).rev().find(|&at| line.is_char_boundary(at)).unwrap_or(0);
            let mutated = format!("{}{put}{}", &line[..at], &line[at..]);
            for text in [line, &mutated, &line[at..], &line[..at]] {
                if let Some(fast) = exact::parse(text) {
                    prop_assert_eq!(Line::parse(text), Ok(fast));
                }
            }
            // Most lines go the fast way: none of those that need no escape is left out.
            prop_assert!(line.contains('\\') || exact::parse(line).is_some(), "{}", line);
        }
    }
}

#[test]
fn files_read_back_the_same_compressed_or_not_whatever_their_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut history = History { containers: vec!["c1".into()], ..History::default() };
    for time in 0..1000 {
        history.records.push(Record::invoked(1, Some(0), Operation::Pause, time));
    }
    for name in ["history.jsonl", "history.jsonl.zst"] {
        let path = folder.path().join(name);
        write::write_file(&history, &path).expect("writable");
        assert_eq!(read_file(&path).expect("our own"), history, "{name}");
        let renamed = folder.path().join("renamed");
        std::fs::rename(path, &renamed).expect("writable");
        assert_eq!(read_file(&renamed).expect("our own"), history, "{name}");
    }
}

#[test]
fn compressed_files_that_are_damaged_are_told_as_such() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("history.jsonl.zst");
    let text = format!("{HEADER}{GOOD}\n{}\n", GOOD.replace('3', "4"));
    let whole = zstd::encode_all(text.as_bytes(), 3).expect("memory");
    let complaint_about = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("writable");
        read_file(&path).map(|_| ()).map_err(|error| error.to_string())
    };
    let early = "the compressed file ends early: it is truncated, or still being written";
    for length in [5, whole.len() / 2, whole.len() - 1] {
        let complaint = complaint_about(&whole[..length]).expect_err("cut");
        assert!(complaint.starts_with("line ") && complaint.ends_with(early), "{length}: {complaint}");
    }
    let complaint = complaint_about(&[&whole[..], b"garbage"].concat()).expect_err("garbage");
    assert!(complaint.contains("cannot read further"), "{complaint}");
    // A frame after the other is how compressed files are concatenated, or written in parts.
    let parts = [HEADER, GOOD].map(|part| zstd::encode_all(part.as_bytes(), 3).expect("memory"));
    complaint_about(&parts.concat()).expect("well-formed");
    assert!(complaint_about(b"").expect_err("empty").contains("the file is empty"));
}

/// A line of process 3, at its turn.
fn line_at(turn: u64, rest: &str) -> String {
    let (invoke_ns, return_ns) = (10 * turn, 10 * turn + 5);
    format!(
        "{{\"process\":3,\"container\":\"c1\",\"op\":\"state\",\"invoke_ns\":{invoke_ns},\"return_ns\":{return_ns},\
         \"outcome\":\"ok\"{rest}}}\n"
    )
}

/// A history that is made while it is read: so many operations, and then what comes last.
struct Streamed {
    operations: u64,
    made: u64,
    rest: io::Cursor<Vec<u8>>,
    last: Vec<u8>,
}

impl Streamed {
    fn new(operations: u64, last: &str) -> io::BufReader<Self> {
        let (rest, last) = (io::Cursor::new(HEADER.into()), last.into());
        io::BufReader::new(Self { operations, made: 0, rest, last })
    }
}

impl io::Read for Streamed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.rest.read(out)?;
        if length > 0 {
            return Ok(length);
        }
        let next = if self.made < self.operations {
            line_at(self.made, "").into_bytes()
        } else {
            std::mem::take(&mut self.last)
        };
        self.made += 1;
        self.rest = io::Cursor::new(next);
        self.rest.read(out)
    }
}

#[test]
fn what_is_too_large_is_read_to_its_end_and_not_kept() {
    const OPERATIONS: u64 = 50_000;
    let memory_bytes = 1000 * size_of::<Record>();
    let complaint = |last: &str| {
        let input = Streamed::new(OPERATIONS, last);
        read_within(input, within(memory_bytes)).expect_err("too large").to_string()
    };
    assert_eq!(complaint(""), "50000 operations need more memory than the limit of 0 MB");
    let whole = line_at(OPERATIONS, "");
    let cut = complaint(&whole[..whole.len() / 2]);
    assert!(cut.starts_with("line 50002: ") && cut.contains("truncated"), "{cut}");
    let again = complaint(&line_at(OPERATIONS - 1, ""));
    assert!(again.contains("two operations open") && again.contains("that of line 50001"), "{again}");
    let history = read_within(Streamed::new(900, ""), within(memory_bytes)).expect("it is within");
    assert_eq!(history.records.len(), 900);
}

#[test]
fn messages_and_names_count_as_memory() {
    let long = format!(",\"message\":\"{}\"", "x".repeat(10_000));
    let with_messages: String = (0..3).map(|turn| line_at(turn, &long)).collect();
    let with_names: String =
        (0..300).map(|turn| line_at(turn, "").replace("\"c1\"", &format!("\"c{turn}\""))).collect();
    for (lines, memory_bytes) in [(with_messages, 20_000), (with_names, 300 * size_of::<Record>())] {
        let text = HEADER.to_owned() + &lines;
        let error = read_within(text.as_bytes(), within(memory_bytes)).expect_err("too large");
        assert!(matches!(error, ReadError::TooLarge { .. }), "{error}");
        assert!(read_within(text.as_bytes(), within(1 << 20)).is_ok(), "a megabyte is enough");
    }
}

#[test]
fn nothing_is_read_beyond_a_malformed_line() {
    struct Forbidden;
    impl io::Read for Forbidden {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("the malformed line is all that is needed")
        }
    }
    let start = io::Cursor::new(format!("{HEADER}{GOOD}\nno JSON\n"));
    let input = io::BufReader::new(io::Read::chain(start, Forbidden));
    let error = read(input).expect_err("malformed").to_string();
    assert!(error.starts_with("line 3: "), "{error}");
}

fn within(memory_bytes: usize) -> Limits {
    Limits { memory_bytes, ..Limits::NONE }
}

/// However little a line holds, and however much of it a compressed file makes, the time is kept.
#[test]
fn a_time_that_is_over_ends_the_reading() {
    let now = Instant::now();
    let limits = Limits { until: Some(now), ..Limits::NONE };
    let header = "{\"flockwork_history\":1}\n".to_owned();
    for text in ["\n".repeat(1 << 20), " \n".repeat(1 << 18), String::new()] {
        let error = read_within((header.clone() + &text).as_bytes(), limits).expect_err("late").to_string();
        assert!(error.contains("the time budget ran out at line "), "{error}");
    }
    // What is malformed at once is told all the same.
    let later = Limits { until: Some(now + std::time::Duration::from_secs(600)), ..Limits::NONE };
    assert!(read_within((header + "\n\n").as_bytes(), later).is_ok());
}
