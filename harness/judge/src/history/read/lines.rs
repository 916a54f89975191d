//! Lines of bounded length, with their numbers. Blank ones are skipped.

use std::io::{self, BufRead, Read};
use std::time::Instant;

use super::ReadError;

/// Longest line. A header names every container, so it is generous; what is longer is no history.
pub const LINE_BYTES_MAX: usize = 16 << 20;

#[derive(Debug)]
pub(in crate::history) struct Lines<R> {
    input: R,
    number: u64,
    buffer: Vec<u8>,
    /// When reading must have ended.
    until: Option<Instant>,
    /// How many bytes may pass before the next look at the clock.
    unwatched_bytes: usize,
}

/// How many bytes pass between two looks at the clock: a small part of a second's reading.
const LOOK_EVERY_BYTES: usize = 1 << 18;

impl<R: BufRead> Lines<R> {
    /// `until`: when reading must have ended.
    pub fn new(input: R, until: Option<Instant>) -> Self {
        Self { input, number: 0, buffer: Vec::new(), until, unwatched_bytes: 0 }
    }

    /// Looks at the clock from time to time.
    fn watch(&mut self) -> Result<(), ReadError> {
        let Some(until) = self.until else { return Ok(()) };
        // A line end counts as much as a few bytes: a line of nothing takes time as well.
        let read_bytes = self.buffer.len() + 16;
        match self.unwatched_bytes.checked_sub(read_bytes) {
            Some(left) => self.unwatched_bytes = left,
            None if Instant::now() >= until => return Err(ReadError::TooLate { line: self.number }),
            None => self.unwatched_bytes = LOOK_EVERY_BYTES,
        }
        Ok(())
    }

    /// Goes on to the next line that is not blank; false: there is none.
    pub fn advance(&mut self) -> Result<bool, ReadError> {
        loop {
            self.buffer.clear();
            self.number += 1;
            let mut bounded = (&mut self.input).take(LINE_BYTES_MAX as u64 + 1);
            let length = bounded.read_until(b'\n', &mut self.buffer).map_err(|error| self.cannot(&error))?;
            if length == 0 {
                return Ok(false);
            }
            if self.buffer.len() > LINE_BYTES_MAX && self.buffer.last() != Some(&b'\n') {
                return Err(self.error(format!(
                    "the line is longer than {} MiB; expected one operation per line",
                    LINE_BYTES_MAX >> 20
                )));
            }
            self.watch()?;
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }
}

impl<R> Lines<R> {
    /// Number of the current line, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The current line.
    pub fn text(&self) -> Result<&str, ReadError> {
        self.text_of(&self.buffer)
    }

    /// The bytes of the current line as text, without its end.
    pub fn text_of<'a>(&self, bytes: &'a [u8]) -> Result<&'a str, ReadError> {
        std::str::from_utf8(bytes).map(|text| text.trim_end_matches(['\n', '\r'])).map_err(|error| {
            let byte = error.valid_up_to();
            self.error(format!("byte {} of the line is not UTF-8; expected JSON in UTF-8", byte + 1))
        })
    }

    /// Lends the current line out, until it is given back.
    pub fn lend(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    pub fn give_back(&mut self, buffer: Vec<u8>) {
        self.buffer = buffer;
    }

    /// Something is wrong with the current line.
    pub fn error(&self, what: impl Into<String>) -> ReadError {
        ReadError::Line { line: self.number, what: what.into() }
    }

    fn cannot(&self, error: &io::Error) -> ReadError {
        cannot(self.number, error)
    }
}

/// The input cannot be read on.
pub(super) fn cannot(line: u64, error: &io::Error) -> ReadError {
    if error.kind() == io::ErrorKind::TimedOut {
        return ReadError::TooLate { line };
    }
    let what = match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            "the compressed file ends early: it is truncated, or still being written".to_owned()
        }
        _ => format!("cannot read further: {error}"),
    };
    ReadError::Line { line, what }
}
