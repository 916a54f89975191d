//! Words: how operations and times are told to a person, the same in every message.

use std::fmt;

use crate::history::{Clock, FIRST_STEP, History, Outcome, Record};

/// When the first operation of a history was invoked: times are told relative to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    ns: u64,
    clock: Clock,
}

impl Origin {
    /// The history's own.
    #[must_use]
    pub fn of(history: &History) -> Self {
        let ns = history.records.iter().map(|record| record.invoke_ns).min().unwrap_or(0);
        Self { ns, clock: history.clock }
    }

    /// The time in milliseconds since the first operation.
    #[must_use]
    pub fn ms(self, at_ns: u64) -> f64 {
        at_ns.saturating_sub(self.ns) as f64 / 1e6
    }

    /// A time, in the unit of the history: `12.031 ms` since the first operation, or `step 12`.
    #[must_use]
    pub fn instant(self, at_ns: u64) -> String {
        match self.clock {
            Clock::Nanoseconds => format!("{:.3} ms", self.ms(at_ns)),
            Clock::Steps if at_ns < FIRST_STEP => "setup".into(),
            Clock::Steps => format!("step {}", at_ns - FIRST_STEP + 1),
        }
    }

    /// An interval, in the unit of the history: milliseconds since the first operation, or steps.
    #[must_use]
    pub fn span(self, record: &Record) -> String {
        if self.clock == Clock::Steps {
            let start = self.instant(record.invoke_ns);
            return match record.return_ns() {
                Some(end) if end >= FIRST_STEP && end != record.invoke_ns => {
                    format!("{start}–{}", end - FIRST_STEP + 1)
                }
                Some(_) => start,
                None => format!("{start}, open"),
            };
        }
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
