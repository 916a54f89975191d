//! Reach: whether a run contended at all. A race run in which processes never met is no pass.

use std::collections::BTreeMap;

use flockwork::Operation;

use crate::history::{History, Outcome};

/// How much a run's processes met.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reach {
    /// How often the owner of a container's lock changed from one acquisition to the next, from 0 to 1.
    pub handoff_ratio: f64,
    /// Ordered pairs of different processes of which one took a container's lock next after the other.
    pub pairs_seen: u64,
    /// How many such pairs there could be.
    pub pairs_possible: u64,
    /// How often each operation ended how.
    pub counts: BTreeMap<(Operation, Outcome), u64>,
}

impl Reach {
    /// Measures a history.
    #[must_use]
    pub fn of(_history: &History) -> Self {
        Self::default()
    }
}
