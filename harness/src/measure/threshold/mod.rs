//! Thresholds: what a benchmark must reach, in each of its cells.
//!
//! `"wait.p99" = "< 5ms"`, `"fairness.jain" = "> 0.9"`, `"throughput" = "> 0.9 * lock:std"`: the last compares each
//! cell with the cell that differs from it in the lock only. `"wait.p99 at lock:fs2, processes:8" = "< 5ms"` is for the cells
//! that have these values. A threshold is missed only where the whole interval of
//! confidence is on its wrong side, and met only where all of it is on the right one.

mod judge;
mod parse;

use std::fmt;

use strum::{EnumCount, VariantArray};

use super::{Axis, Metric};
use crate::words::every;

pub use judge::{Assessment, JudgedScale, Judgement, Outcome, judge, overall};
pub use parse::{Side, ThresholdError};

/// What each cell must reach.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// The metric that the threshold is about.
    pub metric: Metric,
    /// Which cells it is for: those that have these values; empty: every one.
    pub only: Vec<(Axis, String)>,
    /// On which side of the bound it must lie.
    pub relation: Relation,
    /// What the value is compared with: a number, or a share of a baseline.
    pub bound: Bound,
    /// As it was written.
    text: String,
}

/// On which side of a bound a value must lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumCount, VariantArray)]
pub enum Relation {
    /// `<=`: the value may reach the bound.
    AtMost,
    /// `>=`: the value must reach the bound.
    AtLeast,
    /// `<`: the value must stay under the bound.
    Below,
    /// `>`: the value must be over the bound.
    Above,
}

/// What a value is held against.
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    /// A number: nanoseconds for latencies, a second for the throughput.
    Fixed(f64),
    /// So many times the value of the cell that differs in these axes only.
    Relative {
        /// By how much the baseline's value is multiplied.
        factor: f64,
        /// Where that cell lies: the axis and its value as it is spelled.
        at: Vec<(Axis, String)>,
    },
}

impl Relation {
    /// Every one; what begins with another comes before it.
    const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// As thresholds spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::Above => ">",
            Self::AtLeast => ">=",
        }
    }

    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Below => value < bound,
            Self::AtMost => value <= bound,
            Self::Above => value > bound,
            Self::AtLeast => value >= bound,
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.text)
    }
}
