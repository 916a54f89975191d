//! Reads histories from JSON lines, as a stream. What other tools wrote is checked line by line.
//!
//! Fields that nobody knows are skipped: a later version may add some. What is there must make sense.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::num::NonZeroU64;
use std::path::Path;

use flockwork::{Operation, Status};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{FORMAT_VERSION, History, Outcome, Reason, Record};

const BUFFER_BYTES: usize = 1 << 18;

/// A history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("cannot read the history: {0}")]
    Io(#[from] io::Error),
    /// A line is not what it should be.
    #[error("line {line}: {what}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong, and what was expected.
        what: String,
    },
}

#[derive(Deserialize)]
struct Header<'a> {
    flockwork_history: u32,
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(default)]
    initial: Initial,
}

/// Names and first states, in the order in which the header has them: it is that of the records' indexes.
#[derive(Default)]
struct Initial(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Initial {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Initial;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of container names to \"absent\"")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Initial, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Initial(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    process: u32,
    #[serde(borrow, default)]
    container: Option<Cow<'a, str>>,
    op: Operation,
    invoke_ns: u64,
    return_ns: Option<u64>,
    outcome: Outcome,
    #[serde(default)]
    reason: Option<Reason>,
    #[serde(default)]
    status: Option<Status>,
    #[serde(default)]
    generation: Option<NonZeroU64>,
    #[serde(default)]
    revision: Option<NonZeroU64>,
    #[serde(borrow, default)]
    message: Option<Cow<'a, str>>,
}

/// Reads a history record by record.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    line: u64,
    buffer: Vec<u8>,
    indexes: HashMap<String, u32>,
    /// The latest container: most lines are about the one of the line before.
    latest: u32,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header. The history that comes with it holds the containers' names and no record.
    pub fn new(input: R) -> Result<(Self, History), ReadError> {
        let mut reader = Self { input, line: 0, buffer: Vec::new(), indexes: HashMap::new(), latest: 0 };
        let mut history = History::default();
        if !reader.next_line()? {
            return Err(reader.error("the file is empty; expected a header {\"flockwork_history\":1,…}"));
        }
        let header: Header<'_> = serde_json::from_slice(&reader.buffer).map_err(|error| {
            reader.error(format!(
                "{error}; expected a header {{\"flockwork_history\":1,\"model\":\"runsc\",…}}"
            ))
        })?;
        if header.flockwork_history != FORMAT_VERSION {
            let version = header.flockwork_history;
            return Err(reader.error(format!("version {version} of the format; expected {FORMAT_VERSION}")));
        }
        if header.model != "runsc" {
            return Err(reader.error(format!("unknown model {:?}; expected \"runsc\"", header.model)));
        }
        for (name, state) in header.initial.0 {
            if state != "absent" {
                return Err(reader.error(format!("{name} is {state:?} at first; expected \"absent\"")));
            }
            reader.index(&mut history, &name);
        }
        Ok((reader, history))
    }

    /// Reads the next record, and adds names and messages to the history as they turn up. `None`: the end.
    ///
    /// The record is not added to the history: that is the caller's choice.
    pub fn next(&mut self, history: &mut History) -> Result<Option<Record>, ReadError> {
        if !self.next_line()? {
            return Ok(None);
        }
        // The line borrows from the buffer while names are looked up: lend the buffer out for as long.
        let buffer = std::mem::take(&mut self.buffer);
        let record = self.parse(&buffer, history);
        self.buffer = buffer;
        record.map(Some)
    }

    fn parse(&mut self, buffer: &[u8], history: &mut History) -> Result<Record, ReadError> {
        let line: Line<'_> = serde_json::from_slice(buffer).map_err(|error| self.error(error.to_string()))?;
        if let Some(what) = nonsense(&line) {
            return Err(self.error(what));
        }
        let container = line.container.as_deref().map(|name| self.index(history, name));
        let mut record = Record::invoked(line.process, container, line.op, line.invoke_ns);
        record.set_return_ns(line.return_ns);
        record.outcome = line.outcome;
        record.reason = line.reason;
        record.status = line.status;
        record.generation = line.generation;
        record.revision = line.revision;
        if let Some(message) = line.message {
            history.attach_message(&mut record, message.into_owned());
        }
        Ok(record)
    }

    /// Fills the buffer with the next line that is not blank; false: there is none.
    fn next_line(&mut self) -> io::Result<bool> {
        loop {
            self.buffer.clear();
            self.line += 1;
            if self.input.read_until(b'\n', &mut self.buffer)? == 0 {
                return Ok(false);
            }
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    fn index(&mut self, history: &mut History, name: &str) -> u32 {
        if history.containers.get(self.latest as usize).is_some_and(|latest| latest == name) {
            return self.latest;
        }
        self.latest = self.indexes.get(name).copied().unwrap_or_else(|| {
            let index = u32::try_from(history.containers.len()).expect("fewer than 2^32 containers");
            history.containers.push(name.to_owned());
            self.indexes.insert(name.to_owned(), index);
            index
        });
        self.latest
    }

    fn error(&self, what: impl Into<String>) -> ReadError {
        ReadError::Line { line: self.line, what: what.into() }
    }
}

/// What makes no sense about a line whose fields are well-formed.
fn nonsense(line: &Line<'_>) -> Option<String> {
    let is_list = line.op == Operation::List;
    match (line.outcome, line.reason) {
        _ if line.container.is_none() && !is_list => {
            Some(format!("{} without \"container\"; only list goes without", line.op))
        }
        _ if line.return_ns.is_some_and(|return_ns| return_ns < line.invoke_ns) => {
            Some("return_ns lies before invoke_ns; expected the same or later".into())
        }
        _ if line.return_ns == Some(u64::MAX) => {
            Some("return_ns out of range; expected less than 2^64-1".into())
        }
        _ if line.return_ns.is_none() && line.outcome != Outcome::Unknown => {
            Some(format!("outcome {} with return_ns null; only \"unknown\" may lack it", line.outcome))
        }
        (Outcome::Ok | Outcome::Unknown, Some(reason)) => {
            Some(format!("outcome {} with reason {reason}; expected none", line.outcome))
        }
        (Outcome::Refused, Some(reason)) if !reason.is_refusal() => {
            Some(format!("refused for {reason}; expected exists, absent, status or ambiguous"))
        }
        (Outcome::Failed, Some(reason)) if reason.is_refusal() => {
            Some(format!("failed for {reason}; expected corrupt, locked, sandbox, io or other"))
        }
        _ => None,
    }
}

/// Reads a whole history.
pub fn read(input: impl BufRead) -> Result<History, ReadError> {
    let (mut reader, mut history) = Reader::new(input)?;
    while let Some(record) = reader.next(&mut history)? {
        history.records.push(record);
    }
    Ok(history)
}

/// Reads a whole history from a file: decompressed where the name ends in `.zst`.
pub fn read_file(path: &Path) -> Result<History, ReadError> {
    let file = File::open(path)?;
    if path.extension().is_some_and(|extension| extension == "zst") {
        let decoder = zstd::Decoder::new(file)?;
        read(BufReader::with_capacity(BUFFER_BYTES, decoder))
    } else {
        read(BufReader::with_capacity(BUFFER_BYTES, file))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::write;
    use super::*;

    const HEADER: &str = "{\"flockwork_history\":1,\"model\":\"runsc\",\"initial\":{\"c1\":\"absent\"}}\n";

    fn complaint(text: &str) -> String {
        read(text.as_bytes()).expect_err("must be refused").to_string()
    }

    #[test]
    fn the_example_of_the_design_reads() {
        let text = format!(
            "{HEADER}{}\n\n{}\n",
            r#"{"process":3,"container":"c1","op":"pause","invoke_ns":5,"return_ns":9,"outcome":"ok","later":1}"#,
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
    fn complaints_name_the_line_and_what_was_expected() {
        assert!(complaint("").contains("line 1: the file is empty; expected a header"));
        assert!(complaint("{\"flockwork_history\":2,\"model\":\"runsc\"}").contains("expected 1"));
        assert!(complaint("{\"flockwork_history\":1,\"model\":\"x\"}").contains("expected \"runsc\""));
        let started = HEADER.replace("absent", "running");
        assert!(complaint(&started).contains("expected \"absent\""));
        let cases = [
            (r#"{"process":3,"op":"pauze"}"#, "unknown variant `pauze`, expected one of `create`"),
            (r#"{"process":3,"op":"pause""#, "EOF"),
            (
                r#"{"process":3,"op":"pause","invoke_ns":1,"return_ns":2,"outcome":"ok"}"#,
                "only list goes without",
            ),
            (
                r#"{"process":3,"container":"a","op":"pause","invoke_ns":5,"return_ns":2,"outcome":"ok"}"#,
                "before invoke_ns",
            ),
            (
                r#"{"process":3,"container":"a","op":"pause","invoke_ns":5,"return_ns":null,"outcome":"ok"}"#,
                "only \"unknown\" may lack it",
            ),
            (
                r#"{"process":3,"container":"a","op":"pause","invoke_ns":5,"return_ns":6,"outcome":"refused","reason":"io"}"#,
                "expected exists, absent",
            ),
        ];
        for (line, expected) in cases {
            let complaint = complaint(&format!("{HEADER}{line}\n"));
            assert!(complaint.starts_with("line 2: ") && complaint.contains(expected), "{complaint}");
        }
    }

    fn outcome() -> impl Strategy<Value = (Outcome, Option<Reason>, bool)> {
        prop_oneof![
            Just((Outcome::Ok, None, true)),
            proptest::sample::select(vec![Reason::Exists, Reason::Absent, Reason::Status, Reason::Ambiguous])
                .prop_map(|reason| (Outcome::Refused, Some(reason), true)),
            proptest::sample::select(vec![
                Reason::Corrupt,
                Reason::Locked,
                Reason::Sandbox,
                Reason::Io,
                Reason::Other
            ])
            .prop_map(|reason| (Outcome::Failed, Some(reason), true)),
            any::<bool>().prop_map(|returned| (Outcome::Unknown, None, returned)),
        ]
    }

    prop_compose! {
        fn record()(
            process in any::<u32>(),
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
            let mut record = Record::invoked(process, container, operation, invoke_ns);
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

    proptest! {
        #[test]
        fn what_is_written_reads_back_the_same(records in proptest::collection::vec(record(), 0..40)) {
            let containers = ["c1", "weird \"name\"\n", "ü"].map(str::to_owned).to_vec();
            let mut history = History { containers, ..History::default() };
            for (mut record, message) in records {
                if let Some(message) = message {
                    history.attach_message(&mut record, message);
                }
                history.records.push(record);
            }
            let mut bytes = Vec::new();
            write::write(&history, &mut bytes).expect("memory");
            prop_assert_eq!(read(bytes.as_slice()).expect("our own"), history);
        }
    }

    #[test]
    fn compressed_files_read_back_the_same() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut history = History { containers: vec!["c1".into()], ..History::default() };
        for time in 0..1000 {
            history.records.push(Record::invoked(1, Some(0), Operation::Pause, time));
        }
        for name in ["history.jsonl", "history.jsonl.zst"] {
            let path = folder.path().join(name);
            write::write_file(&history, &path).expect("writable");
            assert_eq!(read_file(&path).expect("our own"), history, "{name}");
        }
    }
}
