//! not-linearizable: no legal order of the operations explains what they returned.
//!
//! Every operation tells the generation and revision that it left or saw, and so witnesses its place in the order. The
//! check sorts by that, and verifies that the order is legal by the model and possible in time: O(n log n), however
//! many processes there were. Only operations that were killed leave something to search for, and the search is
//! bounded: beyond the bound the check is inconclusive, never clean.

mod config;
mod existence;
mod fault;
mod sort;
mod unknown;
mod walk;

use rayon::prelude::*;

pub use fault::{Fault, Kind};
pub use unknown::Deaths;

use super::collateral::culprit;
use super::collect::Collector;
use super::{Check, Examination};
use crate::evidence::Evidence;
use crate::history::History;
use crate::model::Builtin;
use crate::violation::Class;

/// Its name in reports.
pub const NAME: &str = "witness";

/// What the witness order shows of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// How many operations have a place in it.
    pub examined: u64,
    /// Where no legal order goes on, the first place of each container.
    pub faults: Vec<Fault>,
    /// Why some container's operations could not be judged.
    pub inconclusive: Option<String>,
    /// The containers whose operations could not be judged, and why.
    pub undecided: Vec<(u32, String)>,
}

impl Order {
    /// Orders the evidence's history.
    #[must_use]
    pub fn of(evidence: &Evidence<'_>) -> Self {
        Self::of_history(evidence.history, Deaths::of(evidence))
    }

    /// Orders a history.
    #[must_use]
    pub fn of_history(history: &History, deaths: Deaths) -> Self {
        let judge = |lane: &sort::Lane| {
            let mut order = Self { examined: lane.operations(), ..Self::default() };
            if let Some(why) = beyond(history, lane.container) {
                order.inconclusive = Some(why);
                return order;
            }
            if lane.untokened > 0 {
                let count = lane.untokened;
                return order.undecided(
                    history,
                    lane,
                    format!("{count} operations tell no generation and revision; their order needs a search"),
                );
            }
            match walk::Walk::through(&history.records, lane, deaths) {
                Ok(()) => {}
                Err(walk::Stop::Fault(fault)) => order.faults.push(fault),
                Err(walk::Stop::Exhausted(why)) => return order.undecided(history, lane, why),
            }
            order
        };
        sort::lanes(history).par_iter().map(judge).reduce(Self::default, Self::merge)
    }

    fn undecided(mut self, history: &History, lane: &sort::Lane, why: String) -> Self {
        let name = &history.containers[lane.container as usize];
        self.inconclusive = Some(format!("{name}: {why}"));
        self.undecided.push((lane.container, why));
        self
    }

    fn merge(mut self, other: Self) -> Self {
        self.examined += other.examined;
        self.faults.extend(other.faults);
        self.inconclusive = self.inconclusive.or(other.inconclusive);
        self.undecided.extend(other.undecided);
        self
    }
}

/// Why this check cannot judge a container, whatever its operations are: its order begins with a create, by the
/// library's model.
fn beyond(history: &History, container: u32) -> Option<String> {
    let name = &history.containers[container as usize];
    if let Some(model) = history.model.filter(|&model| model != Builtin::Runsc) {
        return Some(format!(
            "{name}: generations and revisions are those of runsc; model {model} needs a search"
        ));
    }
    let status = history.initial(container)?;
    Some(format!("{name}: it is {status} at the start, in a generation that nobody tells; it needs a search"))
}

/// The check.
#[derive(Debug)]
pub(super) struct Witness;

impl Check for Witness {
    fn name(&self) -> &'static str {
        NAME
    }

    fn examine(&self, evidence: &Evidence<'_>) -> Examination {
        examine(evidence, &Order::of(evidence))
    }
}

/// Judges the evidence by its order. What a refused or failed operation can have done is collateral's to tell.
pub(super) fn examine(evidence: &Evidence<'_>, order: &Order) -> Examination {
    let mut collector = Collector::of(order.examined);
    for fault in order.faults.iter().filter(|fault| culprit(evidence.history, fault).is_none()) {
        let (from_ns, _) = fault.span_ns(&evidence.history.records);
        collector.add(from_ns, || fault.violation(evidence, Class::NotLinearizable, ""));
    }
    if order.faults.is_empty() {
        collector.inconclusive.clone_from(&order.inconclusive);
    }
    collector.finish()
}

#[cfg(test)]
mod tests;
