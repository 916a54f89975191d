//! What a subject answered to one operation, and what the library returns as such an answer.

use flockwork::status::Refusal;
use flockwork::{Error, Metadata, Stamp, Status, Tombstone};

use crate::history::{Outcome, Reason};

/// What the subject answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How it ended; never [`Outcome::Unknown`].
    pub outcome: Outcome,
    /// Why it was refused or failed.
    pub reason: Option<Reason>,
    /// Status it saw or left.
    pub status: Option<Status>,
    /// Generation it saw or left.
    pub generation: Option<u64>,
    /// Revision it saw or left.
    pub revision: Option<u64>,
    /// The subject's own words, for failures.
    pub message: Option<String>,
}

impl Answer {
    /// It did what it is for, and there is nothing more to tell.
    #[must_use]
    pub const fn done() -> Self {
        Self {
            outcome: Outcome::Ok,
            reason: None,
            status: None,
            generation: None,
            revision: None,
            message: None,
        }
    }

    /// It failed.
    pub fn failed(reason: Reason, message: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, reason: Some(reason), message: Some(message.into()), ..Self::done() }
    }

    fn at(self, stamp: Stamp) -> Self {
        Self {
            status: Some(stamp.status),
            generation: Some(stamp.generation),
            revision: Some(stamp.revision),
            ..self
        }
    }
}

impl From<Stamp> for Answer {
    fn from(stamp: Stamp) -> Self {
        Self::done().at(stamp)
    }
}

impl From<Tombstone> for Answer {
    fn from(tombstone: Tombstone) -> Self {
        Self { generation: Some(tombstone.generation), revision: Some(tombstone.revision), ..Self::done() }
    }
}

impl From<&Metadata> for Answer {
    fn from(metadata: &Metadata) -> Self {
        metadata.stamp().into()
    }
}

impl From<Error> for Answer {
    fn from(error: Error) -> Self {
        let refused = |reason| Self { outcome: Outcome::Refused, reason: Some(reason), ..Self::done() };
        let answer = match error.refusal() {
            Some(Refusal::Exists) => refused(Reason::Exists),
            Some(Refusal::Absent) => refused(Reason::Absent),
            Some(Refusal::Status) => refused(Reason::Status),
            None => match error {
                Error::Ambiguous { .. } => refused(Reason::Ambiguous),
                _ => Self::failed(failure(&error), error.to_string()),
            },
        };
        match error.seen() {
            Some(stamp) => answer.at(stamp),
            None => answer,
        }
    }
}

const fn failure(error: &Error) -> Reason {
    match error {
        Error::Corrupt { .. } => Reason::Corrupt,
        Error::Locked { .. } => Reason::Locked,
        Error::Sandbox { .. } => Reason::Sandbox,
        Error::Io { .. } => Reason::Io,
        _ => Reason::Other,
    }
}
