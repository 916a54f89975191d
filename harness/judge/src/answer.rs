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

    /// What the machine lacked when this failed; `None` where it did not fail, or not for the machine's sake.
    ///
    /// Such a failure says nothing of the subject. It is told by the number that the operating system gave, which errors
    /// of files end with: subjects answer in words.
    #[must_use]
    pub fn lack(&self) -> Option<&'static str> {
        let is_of_system = matches!(self.reason, Some(Reason::Io | Reason::Sandbox | Reason::Other));
        let message = self.message.as_deref().filter(|_| self.outcome == Outcome::Failed && is_of_system)?;
        let number = message.rsplit_once("(os error ")?.1.split_once(')')?.0.parse::<u16>().ok()?;
        match number {
            1 => Some("a permission (EPERM)"),
            // Who starts a program and is told that there is none lacks it; files that are not there are another matter.
            2 | 13 if self.reason == Some(Reason::Sandbox) => Some("a program (ENOENT or EACCES)"),
            11 => Some("processes, or something else for now (EAGAIN)"),
            12 => Some("memory (ENOMEM)"),
            23 | 24 => Some("file descriptors (EMFILE or ENFILE; see ulimit -n)"),
            28 => Some("space on the filesystem (ENOSPC)"),
            30 => Some("a filesystem that can be written (EROFS)"),
            122 => Some("space in the quota (EDQUOT)"),
            _ => None,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_lacked_is_told_by_its_number() {
        let failed = |reason, message: &str| Answer::failed(reason, message).lack().is_some();
        assert!(failed(Reason::Io, "/r/c1/meta.lock: Too many open files (os error 24)"));
        assert!(failed(Reason::Io, "/r/c1/meta.json.tmp: No space left on device (os error 28)"));
        assert!(failed(Reason::Sandbox, "setsid was not started: No such file or directory (os error 2)"));
        assert!(!failed(Reason::Io, "/r/c1/meta.json: No such file or directory (os error 2)"));
        assert!(!failed(Reason::Io, "/r/c1: Directory not empty (os error 39)"));
        assert!(!failed(Reason::Locked, "Resource temporarily unavailable (os error 11)"));
        assert!(!failed(Reason::Corrupt, "Too many open files (os error 24)"));
        assert!(!failed(Reason::Io, "no word of it (os error many)") && !failed(Reason::Io, ""));
        assert_eq!(Answer::done().lack(), None);
    }
}
