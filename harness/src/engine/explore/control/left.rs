//! What an execution left: enough to judge it by.

use std::sync::Arc;

use super::record::HistoryBuilder;
use crate::books::deed::Faults;
use crate::plan::schedule::{Fault, Schedule};

/// What an execution left: enough to judge it by.
#[derive(Debug)]
pub(crate) struct Left {
    pub recorder: HistoryBuilder,
    /// At which steps a fault met somebody.
    pub faults: Vec<(usize, Fault)>,
    /// Points at which somebody waited for a lock.
    pub blocked: u64,
    /// Every step that was about to be taken and the faults that it could meet, by process.
    pub chances: Vec<(usize, Arc<str>, Faults)>,
    /// Who waits for whom, where nobody could go on.
    pub stall: Option<Vec<String>>,
    /// How many times a critical section was entered under watch.
    pub entered: u64,
}

impl Left {
    /// The schedule that was taken.
    pub fn schedule(&self) -> Schedule {
        let steps = self.chances.iter().map(|(process, label, _)| (*process, &**label));
        Schedule::taken(steps, &self.faults)
    }
}
