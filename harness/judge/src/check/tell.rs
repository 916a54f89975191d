//! Words: how operations and times are told to a person, the same in every message.

use std::fmt;

use crate::history::{Clock, FIRST_STEP, History, Outcome, Record};
use crate::words::Unit;

/// When the first operation of a history was invoked: times are told relative to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    ns: u64,
    clock: Clock,
    unit: Unit,
}

impl Origin {
    /// The history's own.
    #[must_use]
    pub fn of(history: &History) -> Self {
        /// Where a history is shorter than this, milliseconds tell nothing.
        const SHORT_NS: u64 = 1_000;
        let ns = history.records.iter().map(|record| record.invoke_ns).min().unwrap_or(0);
        let ends = history.records.iter().map(|record| record.return_ns().unwrap_or(record.invoke_ns));
        let is_short = ends.max().is_none_or(|end_ns| end_ns.saturating_sub(ns) < SHORT_NS);
        let unit = if is_short { Unit::Nanoseconds } else { Unit::Milliseconds };
        Self { ns, clock: history.clock, unit }
    }

    /// The time in milliseconds since the first operation.
    #[must_use]
    pub fn ms(self, at_ns: u64) -> f64 {
        at_ns.saturating_sub(self.ns) as f64 / 1e6
    }

    /// A time without its unit, for a table: `12.031`, `31`, a number of steps, or `setup`.
    #[must_use]
    pub fn cell(self, at_ns: u64) -> String {
        match self.clock {
            Clock::Nanoseconds => self.number(at_ns),
            Clock::Steps if at_ns < FIRST_STEP => "setup".into(),
            Clock::Steps => (at_ns - FIRST_STEP + 1).to_string(),
        }
    }

    /// The unit of a table's times.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self.clock {
            Clock::Nanoseconds => self.unit.as_str(),
            Clock::Steps => "steps",
        }
    }

    /// A time of a monotonic clock as a number of the unit.
    fn number(self, at_ns: u64) -> String {
        self.unit.number(at_ns.saturating_sub(self.ns))
    }

    /// A time, in the unit of the history: `12.031 ms` or, where all of it is short, `31 ns` since the first operation, or `step 12`.
    #[must_use]
    pub fn instant(self, at_ns: u64) -> String {
        match self.clock {
            Clock::Nanoseconds => format!("{} {}", self.number(at_ns), self.unit.as_str()),
            Clock::Steps if at_ns < FIRST_STEP => "setup".into(),
            Clock::Steps => format!("step {}", at_ns - FIRST_STEP + 1),
        }
    }

    /// An interval, in the unit of the history: since the first operation, or steps.
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
        let (start, unit) = (self.number(record.invoke_ns), self.unit.as_str());
        match record.return_ns() {
            Some(return_ns) => format!("{start}–{} {unit}", self.number(return_ns)),
            None => format!("{start} {unit}, open"),
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
