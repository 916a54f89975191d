//! Reads histories from JSON lines, as a stream. What other tools wrote is checked line by line.
//!
//! Fields that nobody knows are skipped: a later version may add some. What is there must make sense: an error names
//! the line, what is wrong with it and what was expected. Only records are kept, never the text; and no line, however
//! long, is read beyond a bound.

mod any;
mod exact;
mod header;
mod line;
pub(in crate::history) mod lines;
mod source;
mod turns;
pub(in crate::history) mod value;

use std::collections::HashMap;
use std::io::{self, BufRead};
use std::path::Path;
use std::time::Instant;

use super::{History, Record};
use line::Line;
use lines::Lines;
use turns::Turns;

pub use any::read_any;
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
    /// It is well-formed, but larger than it may be.
    #[error("{operations} operations need more memory than the limit of {} MB", memory_bytes >> 20)]
    TooLarge {
        /// How many operations it has.
        operations: u64,
        /// How much memory its operations may take.
        memory_bytes: usize,
    },
    /// It was not read to its end in the time that there was.
    #[error("the time budget ran out at line {line}, before the end of the history")]
    TooLate {
        /// How far it was read.
        line: u64,
    },
}

/// What reading a history may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How much memory its operations may take, with the messages and names that they bring.
    pub memory_bytes: usize,
    /// When it must have ended.
    pub until: Option<Instant>,
}

impl Limits {
    /// As long, and as much, as it takes.
    pub const NONE: Self = Self { memory_bytes: usize::MAX, until: None };
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
        Self::until(input, None)
    }

    /// Reads the header, and gives up at this time, then or later.
    fn until(input: R, until: Option<Instant>) -> Result<(Self, History), ReadError> {
        let mut lines = Lines::new(input, until);
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
        history.window = header.window;
        history.clock = header.clock;
        for (name, start) in header.initial {
            if reader.indexes.contains_key(&name) {
                return Err(reader.lines.error(format!("initial: {name:?} appears twice; expected it once")));
            }
            let index = reader.index(&mut history, &name);
            history.set_start(index, start);
        }
        Ok((reader, history))
    }

    /// Reads the next record, and adds names and messages to the history as they turn up. `None`: the end.
    ///
    /// The record is not added to the history: that is the caller's choice. That a process has one operation open at a
    /// time is checked as far as the order of the lines shows it; [`read`] checks the rest.
    pub fn next(&mut self, history: &mut History) -> Result<Option<Record>, ReadError> {
        self.with_line(|reader, line| {
            let container = line.container.as_deref().map(|name| reader.index(history, name));
            let mut record = line.record(container);
            if let Some(message) = line.message {
                history.attach_message(&mut record, message.into_owned());
            }
            record
        })
    }

    /// Reads the next line as [`Reader::next`] does, but keeps nothing of it. False: the end.
    fn skip(&mut self) -> Result<bool, ReadError> {
        Ok(self.with_line(|_, line| line.record(None))?.is_some())
    }

    /// Makes a record of the next line.
    fn with_line(
        &mut self,
        make: impl FnOnce(&mut Self, Line<'_>) -> Record,
    ) -> Result<Option<Record>, ReadError> {
        if !self.lines.advance()? {
            return Ok(None);
        }
        // The line borrows from the buffer while names are looked up: lend the lines out for as long.
        let buffer = self.lines.lend();
        let record = self.parse(&buffer).and_then(|line| {
            let record = make(self, line);
            self.turns.take(&record, self.lines.number()).map_err(|what| self.lines.error(what))?;
            Ok(record)
        });
        self.lines.give_back(buffer);
        record.map(Some)
    }

    fn parse<'b>(&self, buffer: &'b [u8]) -> Result<Line<'b>, ReadError> {
        let text = self.lines.text_of(buffer)?;
        let line = match exact::parse(text) {
            Some(line) => line,
            None => Line::parse(text).map_err(|what| self.lines.error(what))?,
        };
        line.check().map_err(|what| self.lines.error(what))?;
        Ok(line)
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
    read_within(input, Limits::NONE)
}

/// Reads a whole history within limits of memory and time.
///
/// One that needs more memory is read to its end all the same, line by line and keeping none: what is malformed is told
/// before what is too large.
pub fn read_within(input: impl BufRead, limits: Limits) -> Result<History, ReadError> {
    let memory_bytes = limits.memory_bytes;
    let (mut reader, mut history) = Reader::until(input, limits.until)?;
    while let Some(record) = reader.next(&mut history)? {
        history.records.push(record);
        if history.memory_bytes() > memory_bytes {
            let operations = history.records.len() as u64;
            drop(history);
            return Err(reader.refuse(operations, memory_bytes));
        }
    }
    reader.turns.finish(&history.records)?;
    Ok(history)
}

impl<R: BufRead> Reader<R> {
    /// Reads on to the end, and says what is malformed or else that it is too much.
    fn refuse(mut self, mut operations: u64, memory_bytes: usize) -> ReadError {
        loop {
            match self.skip() {
                Ok(true) => operations += 1,
                Ok(false) => return ReadError::TooLarge { operations, memory_bytes },
                Err(error) => return error,
            }
        }
    }
}

/// Reads a whole history from a file, or from standard input where the path is `-`: decompressed where it begins as
/// zstd does, whatever its name.
pub fn read_file(path: &Path) -> Result<History, ReadError> {
    read(open(path)?)
}

#[cfg(test)]
mod tests;
