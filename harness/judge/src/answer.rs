//! What a subject answered to one operation, and what the library returns as such an answer.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

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
    /// The number of the operating system's error that it failed with; `None` where it was none, or nobody knows.
    pub errno: Option<NonZeroU16>,
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
            errno: None,
        }
    }

    /// An answer of an operation that failed: the subject says what went wrong, and that nothing was changed.
    pub fn failed(reason: Reason, message: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, reason: Some(reason), message: Some(message.into()), ..Self::done() }
    }

    /// The same, by this error: its words, and the number that the operating system gave, however deep it lies.
    pub fn failed_by(reason: Reason, error: &(dyn std::error::Error + 'static)) -> Self {
        Self { errno: errno_of(error), ..Self::failed(reason, error.to_string()) }
    }

    /// What the machine lacked when this failed; `None` where it did not fail, or not for the machine's sake.
    #[must_use]
    pub fn lack(&self) -> Option<&'static str> {
        lack(self.outcome, self.reason, self.errno)
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

/// What the machine lacked when an operation ended so; `None` where it did not fail, or not for the machine's sake. Such a
/// failure says nothing of the subject. It is told by the number that the operating system gave, never by words.
#[must_use]
pub fn lack(outcome: Outcome, reason: Option<Reason>, errno: Option<NonZeroU16>) -> Option<&'static str> {
    let is_of_system = matches!(reason, Some(Reason::Io | Reason::Sandbox | Reason::Other));
    if outcome != Outcome::Failed || !is_of_system {
        return None;
    }
    match errno?.get() {
        1 => Some("a permission (EPERM)"),
        // Who starts a program and is told that there is none lacks it; files that are not there are another matter.
        2 | 13 if reason == Some(Reason::Sandbox) => Some("a program (ENOENT or EACCES)"),
        11 => Some("processes, or something else for now (EAGAIN)"),
        12 => Some("memory (ENOMEM)"),
        23 | 24 => Some("file descriptors (EMFILE or ENFILE; see ulimit -n)"),
        27 => Some("a larger limit of the size of files (EFBIG; see ulimit -f)"),
        28 => Some("space on the filesystem (ENOSPC)"),
        30 => Some("a filesystem that can be written (EROFS)"),
        122 => Some("space in the quota (EDQUOT)"),
        _ => None,
    }
}

/// The number that the operating system gave for an error, or for one that caused it.
#[must_use]
pub fn errno_of(error: &(dyn std::error::Error + 'static)) -> Option<NonZeroU16> {
    let number = std::iter::successors(Some(error), |error| error.source())
        .find_map(|error| error.downcast_ref::<std::io::Error>()?.raw_os_error())?;
    u16::try_from(number).ok().and_then(NonZeroU16::new)
}

/// What the machine lacked in a run, how often operations failed for it, and the first of these in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lacks(BTreeMap<&'static str, (u64, String)>);

impl Lacks {
    /// Counts an operation that failed for this lack. `words` say which, and are asked for the first only.
    pub fn add(&mut self, lack: &'static str, words: impl FnOnce() -> String) {
        self.0.entry(lack).or_insert_with(|| (0, words())).0 += 1;
    }

    /// Adds those of another execution.
    pub fn extend(&mut self, others: &Self) {
        for (lack, (count, first)) in &others.0 {
            self.0.entry(lack).or_insert_with(|| (0, first.clone())).0 += count;
        }
    }

    /// Why what was seen is not enough to call the subject clean: a sentence a lack.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        let sentence = |(lack, (count, first)): (&&str, &(u64, String))| {
            let operations = if *count == 1 { "operation" } else { "operations" };
            format!(
                "{count} {operations} failed because the machine lacked {lack}, and verified nothing; the first was {first}"
            )
        };
        self.0.iter().map(sentence).collect()
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
                _ => Self::failed_by(failure(&error), &error),
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

    fn failed(reason: Reason, errno: i32) -> Option<&'static str> {
        let error = std::io::Error::from_raw_os_error(errno);
        Answer::failed_by(reason, &error).lack()
    }

    #[test]
    fn what_the_machine_lacked_is_told_by_its_number() {
        for (reason, errno) in [(Reason::Io, 24), (Reason::Io, 28), (Reason::Io, 27), (Reason::Sandbox, 2)] {
            assert!(failed(reason, errno).is_some(), "{reason} {errno}");
        }
        for (reason, errno) in
            [(Reason::Io, 2), (Reason::Io, 39), (Reason::Locked, 11), (Reason::Corrupt, 24)]
        {
            assert_eq!(failed(reason, errno), None, "{reason} {errno}");
        }
        assert_eq!(Answer::done().lack(), None);
    }

    /// A file's name, or what a program printed, may say anything.
    #[test]
    fn words_are_not_taken_for_a_number() {
        assert_eq!(Answer::failed(Reason::Io, "no space left (os error 28)").lack(), None);
        let quoting = std::io::Error::other("a program said: too many open files (os error 24)");
        assert_eq!(Answer::failed_by(Reason::Io, &quoting).lack(), None);
    }

    /// As the library tells it: the error of the system is the source of its own.
    #[test]
    fn the_number_of_a_cause_is_found() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let error = flockwork::Store::options().open(folder.path().join("file/root")).unwrap_err();
        assert_eq!(errno_of(&error).map(NonZeroU16::get), Some(20), "{error}");
        assert_eq!(Answer::from(error).errno.map(NonZeroU16::get), Some(20));
    }

    #[test]
    fn lacks_are_counted_and_the_first_is_told() {
        let mut lacks = Lacks::default();
        assert!(lacks.told().is_empty());
        for number in 1..=3 {
            lacks.add("memory (ENOMEM)", || format!("number {number}"));
        }
        assert_eq!(
            lacks.told(),
            [
                "3 operations failed because the machine lacked memory (ENOMEM), and verified nothing; the first was number 1"
            ]
        );
    }
}
