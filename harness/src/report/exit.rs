//! Exit codes, and which of several wins.

use flockwork_judge::verdict::Ruling;
use serde::{Deserialize, Serialize};
use strum::{EnumCount, VariantArray};

use crate::words::every;

/// How the program ends. Stored as its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumCount, VariantArray)]
#[serde(try_from = "u8", into = "u8")]
pub enum Exit {
    /// Every scenario ended as it expects.
    AsExpected,
    /// The harness itself failed.
    HarnessFailed,
    /// Usage, or a scenario that does not parse.
    Usage,
    /// No scenario was selected: exit code 4.
    NothingToRun,
    /// This machine or filesystem lacks what the scenario needs.
    Unsupported,
    /// A violation that was not expected, or an expected one that did not appear.
    Violation,
    /// A budget ran out before a verdict.
    Inconclusive,
    /// A benchmark threshold was exceeded.
    ThresholdExceeded,
    /// A replay diverged or did not reproduce.
    Diverged,
}

impl Exit {
    /// All exits, by code.
    pub const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// The exit code that a shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::AsExpected => 0,
            Self::HarnessFailed => 1,
            Self::Usage => 2,
            Self::NothingToRun => 4,
            Self::Unsupported => 96,
            Self::Violation => 100,
            Self::Inconclusive => 102,
            Self::ThresholdExceeded => 103,
            Self::Diverged => 104,
        }
    }

    /// What stands for the exit code of a summary from before summaries held theirs, until its reader works it out.
    pub(super) const fn not_stored() -> Self {
        Self::Inconclusive
    }

    /// Which of two is reported: a violation over a failure of the harness over no verdict over the rest.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self.weight() >= other.weight() { self } else { other }
    }

    const fn weight(self) -> u8 {
        match self {
            Self::Violation => 8,
            Self::HarnessFailed => 7,
            Self::Inconclusive => 6,
            Self::ThresholdExceeded => 5,
            Self::Diverged => 4,
            Self::Usage => 3,
            Self::Unsupported => 2,
            Self::NothingToRun => 1,
            Self::AsExpected => 0,
        }
    }
}

/// A number that no run ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no exit code of flockwork")]
pub struct UnknownExit(u8);

impl TryFrom<u8> for Exit {
    type Error = UnknownExit;

    fn try_from(code: u8) -> Result<Self, UnknownExit> {
        Self::ALL.into_iter().find(|exit| exit.code() == code).ok_or(UnknownExit(code))
    }
}

impl From<Exit> for u8 {
    fn from(exit: Exit) -> Self {
        exit.code()
    }
}

/// What is undecided is never as expected: neither what was left open, nor where nothing was verified.
impl<P, E> From<&Ruling<P, E>> for Exit {
    fn from(ruling: &Ruling<P, E>) -> Self {
        match ruling {
            Ruling::Legal(_) => Self::AsExpected,
            Ruling::Illegal(_) => Self::Violation,
            Ruling::Undecided(_) => Self::Inconclusive,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_read_from_its_number() {
        for exit in Exit::ALL {
            assert_eq!(Exit::try_from(exit.code()), Ok(exit));
        }
        assert!(Exit::try_from(77).is_err());
    }

    #[test]
    fn the_gravest_wins_whatever_the_order() {
        use Exit::{AsExpected, HarnessFailed, Inconclusive, Unsupported, Usage, Violation};
        for order in [
            [Violation, HarnessFailed],
            [HarnessFailed, Inconclusive],
            [Inconclusive, Unsupported],
            [Inconclusive, Usage],
            [Unsupported, AsExpected],
        ] {
            assert_eq!(order[0].and(order[1]), order[0]);
            assert_eq!(order[1].and(order[0]), order[0]);
        }
    }
}
