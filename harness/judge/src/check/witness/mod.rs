//! not-linearizable: no legal order of the operations explains what they returned.
//!
//! Every operation tells the generation and revision that it left or saw, and so witnesses its place in the order. The
//! check sorts by that, and verifies that the order is legal by the model and possible in time: O(n log n), however
//! many processes there were. Only operations that were killed leave something to search for, and the search is
//! bounded: beyond the bound the check is inconclusive, never clean.

mod config;
mod existence;
mod fault;
mod proof;
mod sort;
pub(crate) mod tokens;
mod unknown;
mod walk;

use std::ops::Range;

use rayon::prelude::*;

pub use fault::{Fault, Kind};
pub use unknown::DeathRule;

use super::certificate::{Proof, Step};
use super::collateral::culprit;
use super::collect::Collector;
use super::search::Operations;
use super::{Check, CheckId, Examination};
use crate::evidence::Evidence;
use crate::history::{History, Start};
use crate::model::{Builtin, Model};
use crate::verdict::{Ruling, Undecided};
use crate::violation::Class;
use crate::words::plural;

/// What the witness order shows of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessOrder {
    /// How many operations have a place in it.
    pub examined: u64,
    /// What it shows of each container, in the order of the history's names: that a legal order goes through, or the
    /// first place from which none goes on.
    pub containers: Vec<Ruling<Walked, Fault>>,
}

/// A container's operations have a legal order: that of their tokens, and these guesses where the tokens leave something
/// open. Only the walk makes one; a certificate can be made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked {
    /// What no token says, each with how many of the keys come before it.
    guesses: Vec<(u32, Step)>,
    /// Keys that the guesses put in order.
    tied: Vec<Range<u32>>,
}

impl WitnessOrder {
    /// Orders the evidence's history.
    #[must_use]
    pub fn of(evidence: &Evidence<'_>) -> Self {
        Self::of_history(evidence.history, DeathRule::of(evidence))
    }

    /// Orders a history.
    #[must_use]
    pub fn of_history(history: &History, deaths: DeathRule) -> Self {
        let partitions = sort::partitions(history);
        let examined = partitions
            .iter()
            .filter(|partition| !is_beyond(history, partition))
            .map(sort::Partition::operations)
            .sum();
        let containers =
            partitions.par_iter().map(|partition| judge_one(history, partition, deaths)).collect();
        Self { examined, containers }
    }

    /// Where no legal order goes on, the first place of each container.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.containers.iter().filter_map(Ruling::illegal)
    }

    /// The containers that were left open, and why.
    pub fn open(&self) -> impl Iterator<Item = (usize, &str)> {
        let containers = self.containers.iter().enumerate();
        containers.filter_map(|(container, ruling)| match ruling {
            Ruling::Undecided(Undecided::Open(why)) => Some((container, why.as_str())),
            _ => None,
        })
    }
}

fn judge_one(history: &History, partition: &sort::Partition, deaths: DeathRule) -> Ruling<Walked, Fault> {
    if partition.untokened == 0 && !partition.decides() {
        return Ruling::nothing("no operation reports anything that an order could contradict");
    }
    if let Some(why) = beyond(history, partition.container) {
        return Ruling::open(why);
    }
    if partition.untokened > 0 {
        let told = plural(partition.untokened, "operation");
        return Ruling::open(format!(
            "{told} without generation and revision: ordering those needs a search"
        ));
    }
    match walk::Walk::through(&history.records, partition, deaths) {
        Ok(walked) => Ruling::Legal(walked),
        Err(walk::Stop::Fault(_)) if !partition.silent.is_empty() => accuse(history, partition, deaths),
        Err(walk::Stop::Fault(fault)) => Ruling::Illegal(fault),
        Err(walk::Stop::Exhausted(why)) => Ruling::open(why),
    }
}

/// Where a force delete that told nothing may have removed what the order takes to have lived on: only what no such removal
/// explains is a fault.
fn accuse(history: &History, partition: &sort::Partition, deaths: DeathRule) -> Ruling<Walked, Fault> {
    match walk::Walk::through(&history.records, &partition.relaxed(), deaths) {
        Ok(_) => Ruling::open(
            "a force delete reports neither what it removed nor that there was nothing: ordering it needs a search",
        ),
        Err(walk::Stop::Fault(fault)) => Ruling::Illegal(fault),
        Err(walk::Stop::Exhausted(why)) => Ruling::open(why),
    }
}

/// What the witness says of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Witnessed {
    /// A legal order that was validated, a place from which none goes on, or neither.
    Ruled(Ruling<Proof, Fault>),
    /// A legal order goes through, but it has no place for every operation without tokens; why. Whether there is another
    /// that has is for a search to find; that there is none is not for a search to say, which knows less of deaths.
    Unplaced(String),
    /// Force deletes told nothing, and whether they removed the container is for a search to find: what it finds must
    /// fit what the others told.
    Silent(Undecided),
}

/// What the witness order proves of each container, in the order of the history's names. The model must be runsc.
#[must_use]
pub fn judge(history: &History, model: &Model, deaths: DeathRule) -> Vec<Witnessed> {
    let partitions = sort::partitions(history);
    let by_container = super::lives::by_container(history);
    let judge =
        |(partition, indexes): (&sort::Partition, Vec<u32>)| match judge_one(history, partition, deaths) {
            Ruling::Illegal(fault) => Witnessed::Ruled(Ruling::Illegal(fault)),
            Ruling::Undecided(why) if partition.untokened == 0 && !partition.silent.is_empty() => {
                match beyond(history, partition.container) {
                    None => Witnessed::Silent(why),
                    Some(_) => Witnessed::Ruled(Ruling::Undecided(why)),
                }
            }
            Ruling::Undecided(why) => Witnessed::Ruled(Ruling::Undecided(why)),
            Ruling::Legal(walked) => {
                let operations = Operations { container: partition.container, indexes };
                let certificate = proof::certificate(history, model, partition, &walked, &operations);
                match certificate.map(|certificate| certificate.prove(history, model, &operations)) {
                    Some(Ok(proof)) => Witnessed::Ruled(Ruling::Legal(proof)),
                    Some(Err(flaw)) => Witnessed::Unplaced(format!("{UNPLACED}: {flaw}")),
                    None => Witnessed::Unplaced(UNPLACED.to_owned()),
                }
            }
        };
    partitions.par_iter().zip(by_container).map(judge).collect()
}

const UNPLACED: &str = "the order of the tokens has no place for every operation without tokens";

fn is_beyond(history: &History, partition: &sort::Partition) -> bool {
    beyond(history, partition.container).is_some()
}

/// Why this check cannot judge a container, whatever its operations are: its order begins with a create, by the
/// library's model.
fn beyond(history: &History, container: u32) -> Option<String> {
    if let Some(model) = history.model.filter(|&model| model != Builtin::Runsc) {
        return Some(format!("generations and revisions are those of runsc; model {model} needs a search"));
    }
    if history.window.is_some() {
        return Some("the history does not say what came before the window; it needs a search".into());
    }
    let start = history.start(container);
    let what = start.as_str();
    (start != Start::Absent)
        .then(|| format!("it is {what} at the start, in an unknown generation; it needs a search"))
}

/// Orders a run by generation and revision, and reports the first place from which no legal order goes on.
#[derive(Debug)]
pub(super) struct Witness;

impl Check for Witness {
    fn id(&self) -> CheckId {
        CheckId::Witness
    }

    fn examine(&self, evidence: &Evidence<'_>) -> Examination {
        examine(evidence, &WitnessOrder::of(evidence))
    }
}

/// Judges the evidence by its order. What a refused or failed operation can have done is collateral's to tell.
pub(super) fn examine(evidence: &Evidence<'_>, order: &WitnessOrder) -> Examination {
    let mut collector = Collector::of(order.examined);
    for fault in order.faults().filter(|fault| culprit(evidence.history, fault).is_none()) {
        let (from_ns, _) = fault.span_ns(&evidence.history.records);
        collector.add(from_ns, || fault.violation(evidence.history, Class::NotLinearizable, ""));
    }
    if order.faults().next().is_none() {
        let told = |(container, why)| format!("{}: {why}", evidence.history.containers[container]);
        collector.inconclusive = order.open().next().map(told);
    }
    collector.finish()
}

#[cfg(test)]
mod tests;
