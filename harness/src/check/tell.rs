//! Words: how operations and times are told to a person, the same in every message.

use std::fmt;

use crate::history::{History, Outcome, Record};

/// When the first operation of a history was invoked: times are told relative to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    ns: u64,
}

impl Origin {
    /// The history's own.
    #[must_use]
    pub fn of(history: &History) -> Self {
        Self { ns: history.records.iter().map(|record| record.invoke_ns).min().unwrap_or(0) }
    }

    /// The time in milliseconds since the first operation.
    #[must_use]
    pub fn ms(self, at_ns: u64) -> f64 {
        at_ns.saturating_sub(self.ns) as f64 / 1e6
    }

    /// An interval in milliseconds since the first operation.
    #[must_use]
    pub fn span(self, record: &Record) -> String {
        let start_ms = self.ms(record.invoke_ns);
        match record.return_ns() {
            Some(return_ns) => format!("{start_ms:.3}–{:.3} ms", self.ms(return_ns)),
            None => format!("{start_ms:.3} ms, open"),
        }
    }
}

/// A duration in the unit that a person would choose.
#[must_use]
pub fn duration(ns: u64) -> String {
    match ns {
        0..1_000_000 => format!("{:.1} µs", ns as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.1} s", ns as f64 / 1e9),
    }
}

/// A record as a few words: who, what, when, how it ended, what it saw.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    history: &'a History,
    record: &'a Record,
    origin: Origin,
}

/// Tells a record.
#[must_use]
pub fn told<'a>(history: &'a History, record: &'a Record, origin: Origin) -> Told<'a> {
    Told { history, record, origin }
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.record;
        write!(f, "p{} {} ({}): ", record.process, record.operation, self.origin.span(record))?;
        write!(f, "{}", Ending(record))?;
        match self.history.message(record) {
            Some(message) => write!(f, " {message:?}"),
            None => Ok(()),
        }
    }
}

/// How a record ended and what it saw.
#[derive(Clone, Copy, Debug)]
pub struct Ending<'a>(pub &'a Record);

impl fmt::Display for Ending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.0;
        match (record.outcome, record.return_ns()) {
            (Outcome::Unknown, Some(_)) => f.write_str("killed before it answered")?,
            (Outcome::Unknown, None) => f.write_str("never answered")?,
            _ => record.outcome.fmt(f)?,
        }
        if let Some(reason) = record.reason {
            write!(f, " ({reason})")?;
        }
        if let Some(status) = record.status {
            write!(f, ", {status}")?;
        }
        match (record.generation, record.revision) {
            (Some(generation), Some(revision)) => write!(f, ", generation {generation} revision {revision}"),
            (Some(generation), None) => write!(f, ", generation {generation}"),
            _ => Ok(()),
        }
    }
}
