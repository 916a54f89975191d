//! Every interleaving, one after the other: what the reductions are measured against, and must agree with.

use std::collections::BTreeMap;

use crate::engine::explore::machine::{Execution, is_preemption};
use crate::engine::explore::step::Mask;

use super::guide::Guide;
use super::tree::Entry;
use super::{Assignment, Coverage, Statistics, Strategy, Ticket};

/// A prefix that was not run yet, or is under way.
#[derive(Clone, Debug)]
struct Prefix {
    steps: Vec<u8>,
    preemptions: u32,
}

/// Runs every interleaving.
pub struct Naive {
    waiting: Vec<Prefix>,
    under_way: BTreeMap<Ticket, Prefix>,
    preemptions_max: u32,
    handed_out: u64,
    statistics: Statistics,
}

impl Naive {
    /// All there are.
    #[must_use]
    pub fn new() -> Self {
        Self::with_at_most(u32::MAX)
    }

    /// Those in which at most so many times a process is interrupted that could have gone on.
    #[must_use]
    pub fn with_at_most(preemptions: u32) -> Self {
        Self {
            waiting: vec![Prefix { steps: Vec::new(), preemptions: 0 }],
            under_way: BTreeMap::new(),
            preemptions_max: preemptions,
            handed_out: 0,
            statistics: Statistics::default(),
        }
    }

    /// The ways not taken after the prefix.
    fn branch(&mut self, prefix: &Prefix, execution: &Execution<()>) {
        let steps: Vec<u8> = execution.events.iter().map(|event| event.process as u8).collect();
        let mut preemptions = prefix.preemptions;
        for depth in prefix.steps.len()..steps.len() {
            let last = depth.checked_sub(1).map(|before| usize::from(steps[before]));
            let (taken, enabled) = (execution.events[depth].process, execution.enabled[depth]);
            for other in enabled.without(taken).iter() {
                let interrupts = u32::from(is_preemption(last, enabled, other));
                if preemptions + interrupts <= self.preemptions_max {
                    let steps = steps[..depth].iter().copied().chain([other as u8]).collect();
                    self.waiting.push(Prefix { steps, preemptions: preemptions + interrupts });
                }
            }
            preemptions += u32::from(is_preemption(last, enabled, taken));
        }
    }
}

impl Default for Naive {
    fn default() -> Self {
        Self::new()
    }
}

impl Strategy for Naive {
    fn next(&mut self) -> Option<Assignment> {
        let prefix = self.waiting.pop()?;
        let entries =
            prefix.steps.iter().map(|&step| Entry { process: usize::from(step), earlier: Mask::default() });
        let (guide, _) = Guide::along(entries.collect());
        let ticket = Ticket(self.handed_out);
        self.handed_out += 1;
        self.under_way.insert(ticket, prefix);
        Some(Assignment { ticket, chooser: Box::new(guide) })
    }

    fn learn(&mut self, ticket: Ticket, execution: &Execution<()>) {
        let Some(prefix) = self.under_way.remove(&ticket) else { return };
        self.statistics.executions += 1;
        self.statistics.depth_max = self.statistics.depth_max.max(execution.events.len());
        if execution.events.len() < prefix.steps.len() {
            self.statistics.diverged += 1;
        } else {
            self.branch(&prefix, execution);
        }
    }

    fn coverage(&self) -> Coverage {
        let done = self.waiting.is_empty() && self.under_way.is_empty() && self.statistics.diverged == 0;
        match self.preemptions_max {
            _ if !done => Coverage::Partial,
            u32::MAX => Coverage::Exhausted,
            preemptions => Coverage::ExhaustedTo { preemptions },
        }
    }

    fn statistics(&self) -> Statistics {
        let prefixes = self.waiting.iter().chain(self.under_way.values());
        Statistics {
            waiting: self.waiting.len(),
            preemptions: prefixes.map(|prefix| prefix.preemptions).min(),
            ..self.statistics
        }
    }
}
