//! Histories: every operation of a run: who, what, invoked when, returned when, outcome, what it saw.
//!
//! [`mod@read`] and [`mod@write`] hold the stored form: JSON lines, one operation a line.

pub mod holds;
pub mod jepsen;
pub mod object;
pub mod read;
pub mod write;

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use flockwork::{Operation, Status};
use serde::{Deserialize, Serialize};
use strum::{EnumCount, VariantArray};

use crate::model::Builtin;
use crate::words::every;

/// Version of the stored form.
pub const FORMAT_VERSION: u32 = 1;

/// How an operation ended.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, EnumCount, VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Outcome {
    /// It did what it is for.
    Ok,
    /// The subject declined, for a [`Reason`] of the model.
    Refused,
    /// The subject reported an error.
    Failed,
    /// It was killed or timed out before it answered.
    Unknown,
}

impl Outcome {
    /// All four outcomes, in the order of the words of a history.
    pub const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// The outcome as histories spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an operation was refused, or what kind of error it failed with.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, EnumCount, VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Reason {
    /// Refused: the container exists.
    Exists,
    /// Refused: the container is absent.
    Absent,
    /// Refused: the container's status forbids it.
    Status,
    /// Refused: the id is a prefix of several.
    Ambiguous,
    /// Failed: the metadata was empty, cut, unparsable, or mixed from two saves.
    Corrupt,
    /// Failed: the lock was not had in time.
    Locked,
    /// Failed: the sandbox could not do it.
    Sandbox,
    /// Failed: a file operation went wrong.
    Io,
    /// Failed: anything else.
    Other,
}

impl Reason {
    /// All reasons that a history may give.
    pub const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// The reason as histories spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exists => "exists",
            Self::Absent => "absent",
            Self::Status => "status",
            Self::Ambiguous => "ambiguous",
            Self::Corrupt => "corrupt",
            Self::Locked => "locked",
            Self::Sandbox => "sandbox",
            Self::Io => "io",
            Self::Other => "other",
        }
    }

    /// Whether it is a refusal's reason, rather than a failure's.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::Exists | Self::Absent | Self::Status | Self::Ambiguous)
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether containers may stop by themselves: because what stands behind them died, and no operation ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumCount, VariantArray)]
pub enum Deaths {
    /// They do not: what ends, an operation ended.
    Never,
    /// They may, at any moment.
    Free,
}

impl Deaths {
    /// All ways in which containers may die, as a header spells them.
    pub const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// As histories and models spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Free => "free",
        }
    }
}

/// One operation of a history. Compact, because a soak holds tens of millions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it was invoked, nanoseconds of the run's monotonic clock.
    pub invoke_ns: u64,
    return_ns: u64,
    /// Generation it saw or left, where the subject tells.
    pub generation: Option<NonZeroU64>,
    /// Revision it saw or left, where the subject tells. A delete has the last revision + 1.
    pub revision: Option<NonZeroU64>,
    /// Who: workers from 0, then auditors, then the examiner that looks when all is quiet.
    pub process: u32,
    container: u32,
    message: u32,
    /// What was asked of the subject.
    pub operation: Operation,
    /// Whether it succeeded, was refused, failed, or nobody knows.
    pub outcome: Outcome,
    /// Why it was refused or failed.
    pub reason: Option<Reason>,
    /// Status it saw or left; `None` where there was none to see.
    pub status: Option<Status>,
}

const NEVER: u64 = u64::MAX;
const NONE: u32 = u32::MAX;

impl Record {
    /// An operation that has been invoked and has not returned: outcome unknown, and it may still act.
    #[must_use]
    pub fn invoked(process: u32, container: Option<u32>, operation: Operation, invoke_ns: u64) -> Self {
        Self {
            invoke_ns,
            return_ns: NEVER,
            generation: None,
            revision: None,
            process,
            container: container.unwrap_or(NONE),
            message: NONE,
            operation,
            outcome: Outcome::Unknown,
            reason: None,
            status: None,
        }
    }

    /// When it returned; for an unknown outcome, from when on it could no longer act. `None`: it may still act.
    #[must_use]
    pub fn return_ns(&self) -> Option<u64> {
        (self.return_ns != NEVER).then_some(self.return_ns)
    }

    /// The latest instant at which it can have acted; `u64::MAX` where that is open.
    #[must_use]
    pub fn deadline_ns(&self) -> u64 {
        self.return_ns
    }

    /// Sets when it returned.
    pub fn set_return_ns(&mut self, return_ns: Option<u64>) {
        self.return_ns = return_ns.unwrap_or(NEVER);
    }

    /// Index of the container in [`History::containers`]; `None` for operations about the whole root.
    #[must_use]
    pub fn container(&self) -> Option<u32> {
        (self.container != NONE).then_some(self.container)
    }
}

/// What the times of a history count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumCount, VariantArray)]
pub enum Clock {
    /// Nanoseconds of a monotonic clock.
    #[default]
    Nanoseconds,
    /// Steps of a controlled execution, of which the first has the number [`FIRST_STEP`]; what lies before is setup.
    Steps,
}

impl Clock {
    /// Either.
    pub const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// As histories spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nanoseconds => "nanoseconds",
            Self::Steps => "steps",
        }
    }
}

/// The time of the first step, where a history counts steps.
pub const FIRST_STEP: u64 = 1_000;

/// A history, whatever it is of.
#[derive(Clone, Debug)]
pub enum AnyHistory {
    /// Containers, by a table of statuses.
    Table(History),
    /// Objects that hold values.
    Object(Box<object::ObjectHistory>),
}

/// The operations of one run, in no particular order, with the names they refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The model that the file's header names. `None`: it names none, so whoever judges has to say.
    pub model: Option<Builtin>,
    /// Whether its containers may stop by themselves. `None`: it does not say, so that is for the model to say.
    pub deaths: Option<Deaths>,
    /// The containers' names; a record's container is an index into it.
    pub containers: Vec<String>,
    /// All operations, in no particular order: their times say what came before what.
    pub records: Vec<Record>,
    /// What its times count.
    pub clock: Clock,
    messages: Vec<String>,
    /// How much memory the texts of the messages take.
    messages_bytes: usize,
    /// How the containers begin that are not absent at the start.
    starts: BTreeMap<u32, Start>,
    /// Which part of a run's time it holds; `None`: all of it.
    pub window: Option<Window>,
}

/// What a container is before any operation of a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// There is none.
    #[default]
    Absent,
    /// It has this status.
    At(Status),
    /// Nobody knows: any state of the model is possible.
    Unknown,
}

impl Start {
    /// As histories spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::At(status) => status.as_str(),
            Self::Unknown => "unknown",
        }
    }
}

/// The part of a run's time that a history was cut from.
///
/// An operation that was invoked before it, or returned after it, may have acted outside, with the help of others that
/// are no part of the history: so it need not act within.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The first instant of the window, in nanoseconds.
    pub from_ns: u64,
    /// The last instant of the window, in nanoseconds.
    pub to_ns: u64,
}

impl Default for History {
    /// No operations, to be judged by the model of the library.
    fn default() -> Self {
        Self {
            model: Some(Builtin::Runsc),
            deaths: None,
            containers: Vec::new(),
            records: Vec::new(),
            clock: Clock::Nanoseconds,
            messages: Vec::new(),
            messages_bytes: 0,
            starts: BTreeMap::new(),
            window: None,
        }
    }
}

impl History {
    /// What the subject said about the record, where it said anything.
    #[must_use]
    pub fn message(&self, record: &Record) -> Option<&str> {
        self.messages.get(record.message as usize).map(String::as_str)
    }

    /// Attaches what the subject said to a record that is (or will be) part of this history.
    pub fn attach_message(&mut self, record: &mut Record, message: String) {
        record.message = u32::try_from(self.messages.len()).expect("fewer than 2^32 messages");
        self.messages_bytes += size_of::<String>() + message.len();
        self.messages.push(message);
    }

    /// How much memory the operations take, and with them the messages, and the containers' names, which a reader looks up.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        /// A name's share of both lists of names, about.
        const NAME_BYTES: usize = 96;
        self.records.len() * size_of::<Record>() + self.messages_bytes + self.containers.len() * NAME_BYTES
    }

    /// Name of a record's container; empty for operations about the whole root.
    #[must_use]
    pub fn container_name(&self, record: &Record) -> &str {
        record.container().map_or("", |index| &self.containers[index as usize])
    }

    /// The same without any operation: names, messages and what the header says.
    #[must_use]
    pub fn without_records(&self) -> Self {
        Self {
            records: Vec::new(),
            containers: self.containers.clone(),
            messages: self.messages.clone(),
            starts: self.starts.clone(),
            ..*self
        }
    }

    /// What a container is before any operation of this history.
    #[must_use]
    pub fn start(&self, container: u32) -> Start {
        self.starts.get(&container).copied().unwrap_or_default()
    }

    /// Sets what a container is before any operation; absent is the default.
    pub fn set_start(&mut self, container: u32, start: Start) {
        match start {
            Start::Absent => _ = self.starts.remove(&container),
            Start::At(_) | Start::Unknown => _ = self.starts.insert(container, start),
        }
    }

    /// Sets the status that a container has before any operation; `None`: it is absent.
    pub fn set_initial(&mut self, container: u32, status: Option<Status>) {
        self.set_start(container, status.map_or(Start::Absent, Start::At));
    }

    /// Whether an operation must have a place in every order: it answered, and all of it lies within the window.
    #[must_use]
    pub fn must_act(&self, record: &Record) -> bool {
        let is_whole = self
            .window
            .is_none_or(|window| record.invoke_ns >= window.from_ns && record.deadline_ns() <= window.to_ns);
        record.outcome != Outcome::Unknown && is_whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_compact() {
        // Ninety million operations, 10 GB of text, then take 4.3 GB.
        assert_eq!(size_of::<Record>(), 48);
    }
}
