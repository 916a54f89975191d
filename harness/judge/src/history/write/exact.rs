//! Lines by hand: byte for byte what serde makes of [`super::Line`], several times as fast. A test holds the two
//! together.

use crate::history::{History, Record};

/// Makes lines, and remembers how names are spelled in JSON.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    history: &'a History,
    /// Each container's field, as it is written.
    fields: Vec<Vec<u8>>,
    line: Vec<u8>,
}

impl<'a> Lines<'a> {
    pub fn of(history: &'a History) -> Self {
        let field = |name: &String| {
            let mut field = b",\"container\":".to_vec();
            text(&mut field, name);
            field
        };
        let fields = history.containers.iter().map(field).collect();
        Self { history, fields, line: Vec::with_capacity(256) }
    }

    /// The record's line, with its end.
    pub fn line(&mut self, record: &Record) -> &[u8] {
        let line = &mut self.line;
        line.clear();
        number(line, "{\"process\":", record.process.into());
        if let Some(container) = record.container() {
            line.extend_from_slice(&self.fields[container as usize]);
        }
        word(line, ",\"op\":\"", record.operation.as_str());
        number(line, ",\"invoke_ns\":", record.invoke_ns);
        match record.return_ns() {
            Some(return_ns) => number(line, ",\"return_ns\":", return_ns),
            None => line.extend_from_slice(b",\"return_ns\":null"),
        }
        word(line, ",\"outcome\":\"", record.outcome.as_str());
        if let Some(reason) = record.reason {
            word(line, ",\"reason\":\"", reason.as_str());
        }
        if let Some(status) = record.status {
            word(line, ",\"status\":\"", status.as_str());
        }
        if let Some(generation) = record.generation {
            number(line, ",\"generation\":", generation.get());
        }
        if let Some(revision) = record.revision {
            number(line, ",\"revision\":", revision.get());
        }
        if let Some(message) = self.history.message(record) {
            line.extend_from_slice(b",\"message\":");
            text(line, message);
        }
        line.extend_from_slice(b"}\n");
        line
    }
}

/// A key and a number.
#[inline]
fn number(line: &mut Vec<u8>, key: &str, number: u64) {
    line.extend_from_slice(key.as_bytes());
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// A key with the opening quote, and a word that needs no escape.
#[inline]
fn word(line: &mut Vec<u8>, key: &str, word: &str) {
    line.extend_from_slice(key.as_bytes());
    line.extend_from_slice(word.as_bytes());
    line.push(b'"');
}

/// A text as JSON, with its quotes.
fn text(line: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(line, text).expect("texts become JSON, and memory takes them");
}
