//! The campaign: which executions are still to be run, over all faults. Several lanes take their work from one campaign.
//!
//! A fault is tried at a step of a process, whatever the order of steps: with the fault fixed, the processes are as
//! deterministic as without it, so each set of faults is explored by a strategy of its own. First comes the set
//! without any; what steps there are for faults to meet is learned from it.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::control::Planned;
use crate::books::deed::Faults;
use crate::explore::machine::{Chooser, Execution};
use crate::explore::strategy::promise::Promise;
use crate::explore::strategy::{Coverage, Strategy, Ticket};
use crate::plan::parts::Parts;
use crate::plan::schedule::{Fault, Line};

/// Makes the strategy that explores one set of faults.
pub(super) type Maker = Box<dyn Fn() -> Box<dyn Strategy> + Send>;

/// Something for a lane to do.
pub(super) enum Work {
    /// Run this, and tell the campaign.
    Run(Task),
    /// Others are at work, and more may come of it.
    Wait,
    /// There is nothing left.
    Done,
}

/// One execution to run.
pub(super) struct Task {
    front: u64,
    ticket: Ticket,
    pub planned: Arc<[Planned]>,
    /// Whether it belongs to the parts that are explored; else only what faults it has room for is of use.
    pub is_own: bool,
    pub chooser: Box<dyn Chooser + Send>,
}

/// What is asked of a task that is done: whatever the chooser was, it is used up.
#[derive(Clone, Debug)]
pub(super) struct Receipt {
    front: u64,
    ticket: Ticket,
}

impl Task {
    /// By what its outcome is told.
    pub fn receipt(&self) -> Receipt {
        Receipt { front: self.front, ticket: self.ticket }
    }
}

/// What a campaign promises to have found, by its strategies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Promised {
    /// The weakest promise of those made for each set of faults that was tried, that without any among them.
    pub least: Promise,
    /// How many sets of faults were tried, that without any not counted.
    pub fault_sets: u64,
    /// How many were known and not tried: nothing is promised of them.
    pub fault_sets_left: u64,
}

/// One set of faults, and what explores it.
struct Front {
    number: u64,
    planned: Arc<[Planned]>,
    is_own: bool,
    strategy: Box<dyn Strategy>,
    outstanding: u32,
    /// Steps that were seen, and the faults that each can meet.
    chances: HashSet<(usize, Arc<str>, Faults)>,
}

/// All that is still to be run.
pub(super) struct Campaign {
    maker: Maker,
    faults: Vec<Fault>,
    fault_bound: usize,
    parts: Parts,
    fronts: Vec<Front>,
    waiting: VecDeque<Arc<[Planned]>>,
    tried: HashSet<Vec<Planned>>,
    numbers: u64,
    /// How many sets of faults of its own it has tried, that without any not counted.
    own_sets: u64,
    coverage: Option<Coverage>,
    /// The weakest promise of the sets that are over.
    promise: Option<Promise>,
}

impl Campaign {
    pub fn new(maker: Maker, faults: Vec<Fault>, fault_bound: u32) -> Self {
        Self {
            maker,
            faults,
            fault_bound: fault_bound as usize,
            parts: Parts::ALL,
            fronts: Vec::new(),
            waiting: VecDeque::from([Arc::from([])]),
            tried: HashSet::new(),
            numbers: 0,
            own_sets: 0,
            coverage: None,
            promise: None,
        }
    }

    /// The same, of these parts only.
    pub fn of_parts(self, parts: Parts) -> Self {
        Self { parts, ..self }
    }

    /// Whether the set without any fault is in its parts.
    pub fn has_faultless(&self) -> bool {
        self.is_own(&[])
    }

    fn is_own(&self, planned: &[Planned]) -> bool {
        self.parts.is_all() || self.parts.holds(Parts::of_faults(&words(planned)))
    }

    /// The next thing to do.
    pub fn next(&mut self) -> Work {
        loop {
            for front in &mut self.fronts {
                if let Some(assignment) = front.strategy.next() {
                    front.outstanding += 1;
                    return Work::Run(Task {
                        front: front.number,
                        ticket: assignment.ticket,
                        planned: Arc::clone(&front.planned),
                        is_own: front.is_own,
                        chooser: assignment.chooser,
                    });
                }
            }
            self.close_fronts();
            match self.waiting.pop_front() {
                Some(planned) => self.open(planned),
                None if self.fronts.is_empty() => return Work::Done,
                None => return Work::Wait,
            }
        }
    }

    fn open(&mut self, planned: Arc<[Planned]>) {
        let is_own = self.is_own(&planned);
        if !is_own && planned.len() >= self.fault_bound {
            // Somebody else's, and nothing of ours lies behind it.
            return;
        }
        self.numbers += 1;
        self.own_sets += u64::from(is_own && !planned.is_empty());
        self.fronts.push(Front {
            number: self.numbers,
            planned,
            is_own,
            strategy: (self.maker)(),
            outstanding: 0,
            chances: HashSet::new(),
        });
    }

    /// Learns what came of a task.
    pub fn learn(
        &mut self,
        receipt: &Receipt,
        execution: &Execution<()>,
        chances: impl IntoIterator<Item = (usize, Arc<str>, Faults)>,
    ) {
        let front = self.fronts.iter_mut().find(|front| front.number == receipt.front);
        let front = front.expect("a front stays as long as something is outstanding");
        front.outstanding -= 1;
        front.chances.extend(chances);
        front.strategy.learn(receipt.ticket, execution);
    }

    /// Takes leave of fronts at which nothing is left to do, and plans more faults from what they saw.
    fn close_fronts(&mut self) {
        let (over, open) =
            std::mem::take(&mut self.fronts).into_iter().partition(|front| front.outstanding == 0);
        self.fronts = open;
        let over: Vec<Front> = over;
        for front in over {
            let coverage = front.strategy.coverage();
            self.coverage = Some(self.coverage.map_or(coverage, |known| known.least(coverage)));
            if front.is_own {
                self.promise = weaker(self.promise, front.strategy.promise());
            }
            if front.planned.len() < self.fault_bound {
                self.plan_more(&front);
            }
        }
    }

    fn plan_more(&mut self, front: &Front) {
        let mut more = Vec::new();
        for (process, label, chances) in &front.chances {
            for &fault in self.faults.iter().filter(|fault| chances.has(**fault)) {
                let mut planned = front.planned.to_vec();
                if planned.iter().any(|old| old.process == *process && old.label == *label) {
                    continue;
                }
                planned.push(Planned { process: *process, label: Arc::clone(label), fault });
                planned.sort();
                if self.tried.insert(planned.clone()) {
                    more.push(planned);
                }
            }
        }
        // A set has no order; the order of work must not differ from run to run.
        more.sort();
        self.waiting.extend(more.into_iter().map(Arc::from));
    }

    /// Which part of the space was seen, if all ended by itself.
    pub fn coverage(&self) -> Coverage {
        if self.fronts.is_empty() && self.waiting.is_empty() {
            // Where nothing belongs to its parts, all of that was seen.
            let nothing = if self.numbers == 0 { Coverage::Exhausted } else { Coverage::Partial };
            self.coverage.unwrap_or(nothing)
        } else {
            Coverage::Partial
        }
    }

    /// What was promised until now; none where the strategy promises nothing.
    pub fn promised(&self) -> Option<Promised> {
        let open = self.fronts.iter().filter(|front| front.is_own).map(|front| front.strategy.promise());
        let least = open.fold(self.promise, weaker)?;
        let left = self.waiting.iter().filter(|planned| self.is_own(planned)).count() as u64;
        Some(Promised { least, fault_sets: self.own_sets, fault_sets_left: left })
    }
}

/// What a set of faults says, by which it belongs to a part.
fn words(planned: &[Planned]) -> String {
    let line = |planned: &Planned| {
        let fault = Some(planned.fault);
        Line { process: planned.process, label: planned.label.to_string(), fault }.to_string()
    };
    planned.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn weaker(one: Option<Promise>, other: Option<Promise>) -> Option<Promise> {
    one.into_iter().chain(other).reduce(Promise::least)
}

#[cfg(test)]
mod tests;
