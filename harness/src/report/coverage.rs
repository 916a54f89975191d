//! Which part of a space was seen: one word in reports, and a value that can be compared and merged.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::explore::strategy::Coverage;
use crate::words::plural;

/// Which part of the space of executions was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CoverageReport {
    /// Every execution there is, or one that is equivalent to it.
    Exhausted,
    /// Every execution with at most this many preemptions, or one that is equivalent to it.
    ExhaustedTo {
        /// How many times a process may be interrupted that could have gone on.
        preemptions: u32,
    },
    /// Some executions, and no bound within which they are all.
    Partial,
}

impl CoverageReport {
    /// What is certain of two parts of one space together: no more than of the lesser.
    #[must_use]
    pub fn least(self, other: Self) -> Self {
        match (self, other) {
            (Self::Partial, _) | (_, Self::Partial) => Self::Partial,
            (Self::Exhausted, bound) | (bound, Self::Exhausted) => bound,
            (Self::ExhaustedTo { preemptions: one }, Self::ExhaustedTo { preemptions: other }) => {
                Self::ExhaustedTo { preemptions: one.min(other) }
            }
        }
    }
}

impl From<Coverage> for CoverageReport {
    fn from(coverage: Coverage) -> Self {
        match coverage {
            Coverage::Exhausted => Self::Exhausted,
            Coverage::ExhaustedTo { preemptions } => Self::ExhaustedTo { preemptions },
            Coverage::Partial => Self::Partial,
        }
    }
}

impl fmt::Display for CoverageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhausted => f.write_str("exhausted"),
            Self::ExhaustedTo { preemptions } => {
                write!(f, "exhausted to {}", plural(u64::from(*preemptions), "preemption"))
            }
            Self::Partial => f.write_str("partial"),
        }
    }
}

/// A text that names no coverage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected \"exhausted\", \"exhausted to N preemptions\" or \"partial\", found {0:?}")]
pub struct UnknownCoverage(String);

impl FromStr for CoverageReport {
    type Err = UnknownCoverage;

    fn from_str(text: &str) -> Result<Self, UnknownCoverage> {
        let bound = || {
            let (count, unit) = text.strip_prefix("exhausted to ")?.split_once(' ')?;
            let preemptions = count.replace(',', "").parse().ok()?;
            unit.starts_with("preemption").then_some(Self::ExhaustedTo { preemptions })
        };
        match text {
            "exhausted" => Ok(Self::Exhausted),
            "partial" => Ok(Self::Partial),
            _ => bound().ok_or_else(|| UnknownCoverage(text.to_owned())),
        }
    }
}

impl TryFrom<String> for CoverageReport {
    type Error = UnknownCoverage;

    fn try_from(text: String) -> Result<Self, UnknownCoverage> {
        text.parse()
    }
}

impl From<CoverageReport> for String {
    fn from(coverage: CoverageReport) -> Self {
        coverage.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [CoverageReport; 5] = [
        CoverageReport::Exhausted,
        CoverageReport::ExhaustedTo { preemptions: 1 },
        CoverageReport::ExhaustedTo { preemptions: 2 },
        CoverageReport::ExhaustedTo { preemptions: 1_200 },
        CoverageReport::Partial,
    ];

    #[test]
    fn each_is_read_as_it_is_written() {
        for coverage in ALL {
            assert_eq!(coverage.to_string().parse(), Ok(coverage));
        }
        assert!("exhausted to many preemptions".parse::<CoverageReport>().is_err());
        assert!("".parse::<CoverageReport>().is_err());
    }

    #[test]
    fn of_two_parts_the_lesser_counts_whatever_the_order() {
        for one in ALL {
            assert_eq!(one.least(one), one);
            for other in ALL {
                assert_eq!(one.least(other), other.least(one));
                for third in ALL {
                    assert_eq!(one.least(other).least(third), one.least(other.least(third)));
                }
            }
        }
        let bound = CoverageReport::ExhaustedTo { preemptions: 2 };
        assert_eq!(bound.least(CoverageReport::Exhausted), bound);
    }
}
