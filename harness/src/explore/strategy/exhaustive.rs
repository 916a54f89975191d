//! Every execution, or one that is equivalent to it: dynamic partial-order reduction with source sets and sleep sets.
//!
//! Sources: Abdulla, Aronsson, Jonsson and Sagonas, *Optimal dynamic partial order reduction* (POPL 2014) and *Source
//! sets* (JACM 2017); Godefroid, *Partial-order methods for the verification of concurrent systems* (1996). As there, an
//! execution is run to its end, its races are looked for, and for each, at the point before its earlier step, somebody
//! is wanted who can begin the execution in which the race goes the other way, unless such a one is wanted or asleep
//! there already. Who was wanted earlier at a point is asleep for those wanted later, until something conflicts with it.
//!
//! Why nothing is missed. Suppose that at a point nobody wanted or asleep can begin the execution `w`. Take one of them,
//! `p`; let `e` be the first step of `w` that conflicts with `p`'s. The execution that runs `p`, then `w` up to `e`, has
//! been run from there, or, where `p` is asleep, from where `p` was wanted. It shows the race of `p` and `e`, so somebody
//! was wanted who begins what `e` needs. All of that is in `w` before `e`, and what begins it can begin `w`: contradiction.
//!
//! In the papers prefixes are run depth first. Here they are run in any order, and several at once. Why this is as good:
//! take the tree that is there at the end, and order the children of each node by when they were wanted. The argument is by
//! induction along the depth-first order *of that tree*. It needs that every execution in it had its races looked for,
//! that each race found somebody wanted or asleep, and that a child's sleepers are what its node slept on and its elder
//! siblings. All of this is true of the tree, whenever each of its parts came to be: wants are never taken back, and a
//! child's elder siblings are fixed when it is first wanted. Nothing in the argument asks that the subtree of an elder
//! sibling was complete before a younger one began. The tests set shuffled orders, and several executions under way at
//! once, against naive enumeration.
//!
//! Where the tasks of a process have places of their own, the above is about processes; whenever one is wanted, each of
//! its tasks that can go is, and none is left out: which of them goes is a choice of the process's own, as a value that it
//! draws would be.
//!
//! This holds for a [`Machine`](super::super::machine::Machine) that keeps its promises: see there.

use crate::explore::machine::Execution;

use super::Coverage;
use super::frontier::FrontierOrder;
use super::guide::Notes;
use super::happens_before::HappensBefore;
use super::race::{Race, Races};
use super::search::{Growth, Reduction, Search};

/// Runs every execution, or one that is equivalent to it.
pub type Exhaustive = Search<SourceSets>;

/// For each race somebody who can begin the execution in which it goes the other way.
pub struct SourceSets(());

impl Exhaustive {
    /// Simple executions first.
    #[must_use]
    pub fn new() -> Self {
        Self::ordered(FrontierOrder::default())
    }

    /// All executions, those that are left to try taken up in this order.
    #[must_use]
    pub fn ordered(order: FrontierOrder) -> Self {
        Self::of(SourceSets(()), order)
    }
}

impl Default for Exhaustive {
    fn default() -> Self {
        Self::new()
    }
}

impl Reduction for SourceSets {
    fn heed(&self, execution: &Execution<()>, notes: &Notes, growth: &mut Growth<'_>) {
        let order = HappensBefore::of(&execution.events, execution.processes);
        for race in Races::new(execution, &order, notes).all() {
            heed(&race, execution, growth);
        }
    }

    fn coverage(&self, _: bool) -> Coverage {
        Coverage::Exhausted
    }

    fn has_sleepers(&self) -> bool {
        true
    }
}

/// Wants one of the initials, unless one is wanted or asleep already: who adds no preemption, else whose step it is.
fn heed(race: &Race, execution: &Execution<()>, growth: &mut Growth<'_>) {
    if !race.initials.intersection(growth.wanted(race.at).union(growth.asleep(race.at))).is_empty() {
        return;
    }
    let last = race.at.checked_sub(1).map(|before| execution.events[before].process);
    let going_on = last.filter(|&last| race.initials.has(last));
    let its_own = Some(race.process).filter(|&process| race.initials.has(process));
    if let Some(process) = going_on.or(its_own).or(race.initials.lowest()) {
        growth.want(race.at, process);
    }
}
