//! Checks: judges of a run's evidence. One trait, one file per check; each is a function from values to values.

use crate::evidence::Evidence;
use crate::violation::Violation;

/// A judge of evidence.
pub trait Check: Sync {
    /// Its name in reports: that of the class it yields, or the witness's.
    fn name(&self) -> &'static str;

    /// Judges the evidence.
    fn examine(&self, evidence: &Evidence<'_>) -> Examination;
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examination {
    /// How many things it looked at (operations, files, ends of processes); 0 means that it had nothing to judge.
    pub examined: u64,
    /// Broken promises; at most [`VIOLATIONS_MAX`] a check, the earliest first.
    pub violations: Vec<Violation>,
    /// How many there were, beyond those kept.
    pub violations_total: u64,
    /// Why it could reach no verdict on part of the evidence, where it could not.
    pub inconclusive: Option<String>,
}

/// How many violations one check keeps.
pub const VIOLATIONS_MAX: usize = 16;

/// Every check, in the order in which reports show them.
#[must_use]
pub fn all() -> &'static [&'static dyn Check] {
    &[]
}
