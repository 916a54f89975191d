//! What an execution came to so far.

use std::sync::Arc;

use super::stand::Next;
use crate::books::deed::Faults;
use crate::explore::step::{Event, Mask, Step};
use crate::plan::schedule::Fault;

/// What an execution came to so far.
#[derive(Debug, Default)]
pub(super) struct Course {
    pub events: Vec<Event>,
    pub enabled: Vec<Mask>,
    /// At which steps a fault met somebody.
    pub faults: Vec<(usize, Fault)>,
    pub blocked: u64,
    pub chances: Vec<(usize, Arc<str>, Faults)>,
    pub stall: Option<Vec<String>>,
}

impl Course {
    /// Notes a step that is about to be taken.
    pub fn note(&mut self, process: usize, step: &Step, fault: Option<Fault>, next: &Next) {
        self.faults.extend(fault.map(|fault| (self.chances.len(), fault)));
        let faults = match next {
            Next::Call(call) => call.prediction.faults,
            _ => Faults::NONE,
        };
        self.chances.push((process, Arc::clone(&step.label), faults));
    }
}
