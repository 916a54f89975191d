//! Writes histories as JSON lines, plain or compressed. Knows nothing of what they mean.
//!
//! The first line is a header; then follows one operation a line. Nothing is allocated per operation: a soak writes
//! tens of millions.

mod exact;

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::num::NonZeroU64;
use std::path::Path;

use flockwork::{Operation, Status};
use serde::Serialize;
use serde::ser::SerializeMap;

use super::{Clock, Deaths, FORMAT_VERSION, History, Outcome, Reason, Record, Window};
use crate::model::Builtin;

const BUFFER_BYTES: usize = 1 << 18;
/// zstd's own default: a soak's history shrinks about tenfold, at the speed of a disk.
const COMPRESSION_LEVEL: i32 = 3;

#[derive(Serialize)]
struct Header<'a> {
    flockwork_history: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deaths: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<Window>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock: Option<&'static str>,
    initial: Initial<'a>,
}

impl<'a> Header<'a> {
    fn of(history: &'a History) -> Self {
        let model = history.model.map(Builtin::as_str);
        let deaths = history.deaths.map(Deaths::as_str);
        Self {
            flockwork_history: FORMAT_VERSION,
            model,
            deaths,
            window: history.window,
            clock: Some(history.clock).filter(|clock| *clock != Clock::default()).map(Clock::as_str),
            initial: Initial(history),
        }
    }
}

struct Initial<'a>(&'a History);

impl Serialize for Initial<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.containers.len()))?;
        for (index, name) in (0..).zip(&self.0.containers) {
            map.serialize_entry(name, self.0.start(index).as_str())?;
        }
        map.end()
    }
}

/// One line, in the order in which the fields are written.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    process: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<&'a str>,
    op: Operation,
    invoke_ns: u64,
    return_ns: Option<u64>,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<NonZeroU64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<NonZeroU64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Cow<'a, str>>,
}

impl<'a> Line<'a> {
    pub(super) fn of(history: &'a History, record: &Record) -> Self {
        Self {
            process: record.process,
            container: record.container().map(|index| history.containers[index as usize].as_str()),
            op: record.operation,
            invoke_ns: record.invoke_ns,
            return_ns: record.return_ns(),
            outcome: record.outcome,
            reason: record.reason,
            status: record.status,
            generation: record.generation,
            revision: record.revision,
            message: history.message(record).map(Cow::Borrowed),
        }
    }
}

/// One record as the JSON object that a history's line holds.
#[must_use]
pub fn to_json(history: &History, record: &Record) -> serde_json::Value {
    serde_json::to_value(Line::of(history, record)).expect("plain values become JSON")
}

/// Writes the whole history. The writer should be buffered.
pub fn write(history: &History, out: impl Write) -> io::Result<()> {
    write_some(history, history.records.iter(), out)
}

/// Writes the header and the given records of the history.
pub fn write_some<'r>(
    history: &History,
    records: impl Iterator<Item = &'r Record>,
    mut out: impl Write,
) -> io::Result<()> {
    serde_json::to_writer(&mut out, &Header::of(history))?;
    out.write_all(b"\n")?;
    let mut lines = exact::Lines::of(history);
    for record in records {
        out.write_all(lines.line(record))?;
    }
    out.flush()
}

/// Writes the whole history compressed, as one zstd frame.
pub fn write_compressed(history: &History, out: impl Write) -> io::Result<()> {
    let mut encoder = zstd::Encoder::new(out, COMPRESSION_LEVEL)?;
    write(history, BufWriter::with_capacity(BUFFER_BYTES, &mut encoder))?;
    encoder.finish()?.flush()
}

/// Writes the history to a file: compressed where the name ends in `.zst`.
pub fn write_file(history: &History, path: &Path) -> io::Result<()> {
    let file = BufWriter::with_capacity(BUFFER_BYTES, File::create(path)?);
    if path.extension().is_some_and(|extension| extension == "zst") {
        write_compressed(history, file)
    } else {
        write(history, file)
    }
}
