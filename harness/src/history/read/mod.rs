//! Reads histories from JSON lines, as a stream. What other tools wrote is checked line by line.
//!
//! Fields that nobody knows are skipped: a later version may add some. What is there must make sense: an error names
//! the line, what is wrong with it and what was expected. Only records are kept, never the text; and no line, however
//! long, is read beyond a bound.

mod exact;
mod header;
mod line;
mod lines;
mod source;
mod turns;
mod value;

use std::collections::HashMap;
use std::io::{self, BufRead};
use std::path::Path;

use super::{History, Record};
use line::Line;
use lines::Lines;
use turns::Turns;

pub use lines::LINE_BYTES_MAX;
pub use source::{decoded, open};

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

/// Reads a history record by record.
#[derive(Debug)]
pub struct Reader<R> {
    lines: Lines<R>,
    indexes: HashMap<String, u32>,
    /// The latest container: most lines are about the one of the line before.
    latest: u32,
    turns: Turns,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header. The history that comes with it holds the containers' names and first statuses, and no record.
    pub fn new(input: R) -> Result<(Self, History), ReadError> {
        let mut lines = Lines::new(input);
        let mut history = History::default();
        if !lines.advance()? {
            return Err(ReadError::Line {
                line: 1,
                what: format!("the file is empty; {}", header::EXPECTED),
            });
        }
        let header = header::parse(lines.text()?).map_err(|what| lines.error(what))?;
        let mut reader = Self { lines, indexes: HashMap::new(), latest: 0, turns: Turns::default() };
        history.model = header.model;
        history.deaths = header.deaths;
        for (name, status) in header.initial {
            if reader.indexes.contains_key(&name) {
                return Err(reader
                    .lines
                    .error(format!("initial: {name:?} is there twice; expected it once")));
            }
            let index = reader.index(&mut history, &name);
            history.set_initial(index, status);
        }
        Ok((reader, history))
    }

    /// Reads the next record, and adds names and messages to the history as they turn up. `None`: the end.
    ///
    /// The record is not added to the history: that is the caller's choice. That a process has one operation open at a
    /// time is checked as far as the order of the lines shows it; [`read`] checks the rest.
    pub fn next(&mut self, history: &mut History) -> Result<Option<Record>, ReadError> {
        if !self.lines.advance()? {
            return Ok(None);
        }
        // The line borrows from the buffer while names are looked up: lend the lines out for as long.
        let buffer = self.lines.lend();
        let record = self.parse(&buffer, history);
        self.lines.give_back(buffer);
        record.map(Some)
    }

    fn parse(&mut self, buffer: &[u8], history: &mut History) -> Result<Record, ReadError> {
        let text = self.lines.text_of(buffer)?;
        let line = match exact::parse(text) {
            Some(line) => line,
            None => Line::parse(text).map_err(|what| self.lines.error(what))?,
        };
        line.check().map_err(|what| self.lines.error(what))?;
        let container = line.container.as_deref().map(|name| self.index(history, name));
        let mut record = Record::invoked(line.process, container, line.op, line.invoke_ns);
        record.set_return_ns(line.return_ns);
        record.outcome = line.outcome;
        record.reason = line.reason;
        record.status = line.status;
        record.generation = line.generation;
        record.revision = line.revision;
        self.turns.take(&record, self.lines.number()).map_err(|what| self.lines.error(what))?;
        if let Some(message) = line.message {
            history.attach_message(&mut record, message.into_owned());
        }
        Ok(record)
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
}

/// Reads a whole history.
pub fn read(input: impl BufRead) -> Result<History, ReadError> {
    let (mut reader, mut history) = Reader::new(input)?;
    while let Some(record) = reader.next(&mut history)? {
        history.records.push(record);
    }
    reader.turns.finish(&history.records)?;
    Ok(history)
}

/// Reads a whole history from a file, or from standard input where the path is `-`: decompressed where it begins as
/// zstd does, whatever its name.
pub fn read_file(path: &Path) -> Result<History, ReadError> {
    read(open(path)?)
}

#[cfg(test)]
mod tests;
