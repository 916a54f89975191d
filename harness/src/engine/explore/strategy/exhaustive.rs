//! Every execution, or one that is equivalent to it: dynamic partial-order reduction with source sets and sleep sets.
//!
//! Sources: Abdulla, Aronsson, Jonsson and Sagonas, *Optimal dynamic partial order reduction* (POPL 2014) and *Source
//! sets* (JACM 2017); Godefroid, *Partial-order methods for the verification of concurrent systems* (1996). As there, an
//! execution is run to its end, its races are looked for, and for each, at the point before its earlier step, somebody
//! is wanted who can begin the execution in which the race goes the other way, unless such a one is wanted or asleep
//! there already. Who was wanted earlier at a point is asleep for those wanted later, until something conflicts with it.
//!
//! There, prefixes are run depth first. Here they are run in any order, and several at once. Why this is as good: take
//! the tree that is there at the end, and order the children of each node by when they were wanted. The argument of the
//! papers is by induction along the depth-first order *of that tree*. It needs that every execution in it had its races
//! looked for, that each race found somebody wanted or asleep, and that a child's sleepers are what its node slept on and
//! its elder siblings. All of this is true of the tree, whenever each of its parts came to be: wants are never taken back,
//! and a child's elder siblings are fixed when it is first wanted. Nothing in the argument asks that the subtree of an
//! elder sibling was complete before a younger one began.
//!
//! This holds for a [`Machine`](super::super::machine::Machine) that keeps its promises: the same steps lead to the same
//! points; conflicting steps are known by their footprints; independent steps neither enable nor disable one another; what
//! can wait says so by its gate, and what it waits for does not change while it waits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::explore::machine::{End, Execution, is_preemption};
use crate::engine::explore::step::Mask;

use super::frontier::{Frontier, FrontierOrder, Item};
use super::guide::{Guide, Notes};
use super::order::Order;
use super::race::{Race, Races, Rivals};
use super::tree::{Entry, Node, Tree};
use super::{Assignment, Coverage, Statistics, Strategy, Ticket};

/// Runs every execution, or one that is equivalent to it.
pub struct Exhaustive {
    tree: Tree,
    frontier: Frontier,
    under_way: BTreeMap<Ticket, (Item, Arc<Mutex<Notes>>)>,
    handed_out: u64,
    statistics: Statistics,
}

impl Exhaustive {
    /// Simple executions first.
    #[must_use]
    pub fn new() -> Self {
        Self::ordered(FrontierOrder::default())
    }

    /// In this order.
    #[must_use]
    pub fn ordered(order: FrontierOrder) -> Self {
        let mut frontier = Frontier::new(order);
        frontier.push(Item { preemptions: 0, depth: 0, node: Node::ROOT });
        Self {
            tree: Tree::default(),
            frontier,
            under_way: BTreeMap::new(),
            handed_out: 0,
            statistics: Statistics::default(),
        }
    }

    fn count(&mut self, execution: &Execution<()>, notes: &Notes) {
        self.statistics.executions += 1;
        self.statistics.diverged += u64::from(notes.diverged);
        self.statistics.redundant += u64::from(execution.end == End::Abandoned && !notes.diverged);
        self.statistics.depth_max = self.statistics.depth_max.max(execution.events.len());
    }

    /// Wants what the races ask for, and puts it on the frontier.
    fn want(&mut self, execution: &Execution<()>, notes: &Notes, races: &[Race], leaf: Node) {
        let mut growth = Growth::new(&self.tree, leaf, execution);
        for race in races {
            growth.heed(race, execution, notes);
        }
        let points = growth.plant(&mut self.tree, execution);
        let preemptions = preemptions_before(execution);
        for (depth, entry) in growth.wants {
            let last = depth.checked_sub(1).map(|before| execution.events[before].process);
            let interrupts = is_preemption(last, execution.enabled[depth], entry.process);
            let node = self.tree.grow(points[depth], entry);
            let preemptions = preemptions[depth] + u32::from(interrupts);
            self.frontier.push(Item { preemptions, depth: depth + 1, node });
        }
        for &point in points.iter().skip(growth.path.len()) {
            self.tree.release(point);
        }
    }
}

impl Default for Exhaustive {
    fn default() -> Self {
        Self::new()
    }
}

/// What an execution adds to the tree.
struct Growth {
    /// The nodes that its prefix had already.
    path: Vec<Node>,
    /// Who is wanted at each point.
    wanted: Vec<Mask>,
    /// The new wants, by depth.
    wants: Vec<(usize, Entry)>,
}

impl Growth {
    fn new(tree: &Tree, leaf: Node, execution: &Execution<()>) -> Self {
        let path = tree.path(leaf);
        let known = path.iter().map(|&node| tree.wanted(node));
        let mut wanted: Vec<Mask> =
            known.chain(std::iter::repeat(Mask::default())).take(execution.events.len()).collect();
        for (wanted, event) in wanted.iter_mut().zip(&execution.events) {
            *wanted = wanted.with(event.process);
        }
        Self { path, wanted, wants: Vec::new() }
    }

    fn heed(&mut self, race: &Race, execution: &Execution<()>, notes: &Notes) {
        let wanted = self.wanted[race.at];
        if !race.initials.intersection(wanted.union(notes.asleep[race.at])).is_empty() {
            return;
        }
        let last = race.at.checked_sub(1).map(|before| execution.events[before].process);
        let going_on = last.filter(|&last| race.initials.has(last));
        let its_own = Some(race.process).filter(|&process| race.initials.has(process));
        if let Some(process) = going_on.or(its_own).or(race.initials.lowest()) {
            self.wanted[race.at] = wanted.with(process);
            self.wants.push((race.at, Entry { process, earlier: wanted }));
        }
    }

    /// Sees to it that there is a node for each point at which somebody is newly wanted. New ones are held.
    fn plant(&self, tree: &mut Tree, execution: &Execution<()>) -> Vec<Node> {
        let mut nodes = self.path.clone();
        let deepest = self.wants.iter().map(|(depth, _)| depth + 1).max().unwrap_or(0);
        for depth in nodes.len()..deepest {
            let entry = Entry { process: execution.events[depth - 1].process, earlier: Mask::default() };
            nodes.push(tree.grow(nodes[depth - 1], entry));
        }
        for (&node, wanted) in nodes.iter().zip(&self.wanted) {
            tree.want(node, *wanted);
        }
        nodes
    }
}

/// How often somebody was interrupted before each point.
fn preemptions_before(execution: &Execution<()>) -> Vec<u32> {
    let mut counts = vec![0; 2];
    for (pair, enabled) in execution.events.windows(2).zip(&execution.enabled[1..]) {
        let interrupts = is_preemption(Some(pair[0].process), *enabled, pair[1].process);
        counts.push(counts[counts.len() - 1] + u32::from(interrupts));
    }
    counts
}

impl Strategy for Exhaustive {
    fn next(&mut self) -> Option<Assignment> {
        let item = self.frontier.pop()?;
        let prefix =
            self.tree.path(item.node).into_iter().skip(1).map(|node| self.tree.entry(node)).collect();
        let (guide, notes) = Guide::along(prefix);
        let ticket = Ticket(self.handed_out);
        self.handed_out += 1;
        self.under_way.insert(ticket, (item, notes));
        Some(Assignment { ticket, chooser: Box::new(guide) })
    }

    fn learn(&mut self, ticket: Ticket, execution: &Execution<()>) {
        let Some((item, notes)) = self.under_way.remove(&ticket) else { return };
        let notes = std::mem::take(&mut *notes.lock().unwrap_or_else(PoisonError::into_inner));
        self.count(execution, &notes);
        if !notes.diverged {
            let order = Order::of(&execution.events, execution.pending.len());
            let races = Races::new(execution, &order, &notes, Rivals::Nearest).all();
            self.want(execution, &notes, &races, item.node);
        }
        self.tree.release(item.node);
    }

    fn coverage(&self) -> Coverage {
        let done = self.frontier.is_empty() && self.under_way.is_empty() && self.statistics.diverged == 0;
        if done { Coverage::Exhausted } else { Coverage::Partial }
    }

    fn statistics(&self) -> Statistics {
        let under_way = self.under_way.values().map(|(item, _)| item.preemptions).min();
        Statistics {
            waiting: self.frontier.len(),
            preemptions: self.frontier.preemptions().into_iter().chain(under_way).min(),
            ..self.statistics
        }
    }
}
