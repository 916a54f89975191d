//! Violations: broken promises, each of a named class.

use serde::{Deserialize, Serialize};
use strum::{EnumCount, VariantArray};

use crate::words::every;

/// The kinds of broken promise.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, EnumCount, VariantArray,
)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A reader got metadata that is empty, cut, unparsable or mixed from two saves.
    TornRead,
    /// Two creates of one id succeeded with no delete between them.
    DuplicateCreate,
    /// An acknowledged save is missing, or two saves claim one revision.
    LostUpdate,
    /// Two processes held a container's lock at once.
    LockOverlap,
    /// No legal order of the operations explains what they returned.
    NotLinearizable,
    /// A deleted container, or its folder, came back without a create.
    Resurrection,
    /// A refused or failed operation changed something.
    Collateral,
    /// Files or processes remain that no live container owns.
    Leftover,
    /// After a kill or an injected error a container can be neither used nor deleted and re-created.
    Unrecoverable,
    /// No process can go on.
    Deadlock,
    /// One process waits beyond the scenario's bound.
    Starvation,
    /// Metadata and the real process disagree when all is quiet.
    StatusMismatch,
    /// The subject panicked or died of a signal nobody sent.
    SubjectCrash,
    /// Commands that overlapped left or printed what no sequential order of them gives.
    NotSerializable,
    /// An operation failed that its model says must not, or failed as nobody alone makes it fail.
    UnexpectedFailure,
    /// After a kill or power loss, state that is neither the one before nor the one after, or an acknowledged one is gone.
    LostByCrash,
}

impl Class {
    /// All classes, the gravest first.
    pub const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// The class as scenarios and reports spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TornRead => "torn-read",
            Self::DuplicateCreate => "duplicate-create",
            Self::LostUpdate => "lost-update",
            Self::LockOverlap => "lock-overlap",
            Self::NotLinearizable => "not-linearizable",
            Self::Resurrection => "resurrection",
            Self::Collateral => "collateral",
            Self::Leftover => "leftover",
            Self::Unrecoverable => "unrecoverable",
            Self::Deadlock => "deadlock",
            Self::Starvation => "starvation",
            Self::StatusMismatch => "status-mismatch",
            Self::SubjectCrash => "subject-crash",
            Self::NotSerializable => "not-serializable",
            Self::UnexpectedFailure => "unexpected-failure",
            Self::LostByCrash => "lost-by-crash",
        }
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A promise that was broken, in words, with the operations that show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The promise that was broken.
    pub class: Class,
    /// The container it is about, by index into the history's names.
    pub container: Option<u32>,
    /// What happened, in one or two sentences that a person understands without the history.
    pub message: String,
    /// The operations that show it, as indexes into the history's records; the decisive ones only.
    pub records: Vec<usize>,
}
