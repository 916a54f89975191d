//! What all searches through the space have in common: prefixes, each run once, that grow where a reduction wants more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::explore::machine::{End, Execution, is_preemption};
use crate::explore::step::Mask;

use super::frontier::{Frontier, FrontierOrder, Item};
use super::guide::{Guide, Notes};
use super::tree::{Entry, Node, Tree};
use super::{Assignment, Coverage, Statistics, Strategy, Ticket};

/// Says which prefixes an execution calls for.
pub trait Reduction: Send {
    /// Wants, at points of this execution, steps that were not wanted there before.
    fn heed(&self, execution: &Execution<()>, notes: &Notes, growth: &mut Growth);

    /// What has been seen when nothing is wanted any more.
    fn coverage(&self) -> Coverage;
}

/// What one execution adds to the prefixes.
#[derive(Debug)]
pub struct Growth {
    /// The nodes that its prefix had already.
    path: Vec<Node>,
    /// Who was ever wanted at each point.
    wanted: Vec<Mask>,
    /// How often somebody was interrupted before each point.
    preemptions: Vec<u32>,
    /// The new wants, by depth, with their preemptions.
    wants: Vec<(usize, Entry, u32)>,
}

impl Growth {
    fn new(tree: &Tree, leaf: Node, execution: &Execution<()>) -> Self {
        let path = tree.path(leaf);
        let known = path.iter().map(|&node| tree.wanted(node)).chain(std::iter::repeat(Mask::default()));
        let wanted = known.zip(&execution.events).map(|(wanted, event)| wanted.with(event.process)).collect();
        let mut growth = Self { path, wanted, preemptions: vec![0], wants: Vec::new() };
        for (depth, event) in execution.events.iter().enumerate() {
            growth.preemptions.push(growth.preemptions_with(execution, depth, event.process));
        }
        growth
    }

    /// Who was ever wanted at the point of this depth.
    #[must_use]
    pub fn wanted(&self, depth: usize) -> Mask {
        self.wanted[depth]
    }

    /// The length of the prefix that was given: what comes before was heeded when it was first run.
    #[must_use]
    pub fn given(&self) -> usize {
        self.path.len() - 1
    }

    /// How often somebody is interrupted when this process takes the step of this depth.
    #[must_use]
    pub fn preemptions_with(&self, execution: &Execution<()>, depth: usize, process: usize) -> u32 {
        let last = depth.checked_sub(1).map(|before| execution.events[before].process);
        self.preemptions[depth] + u32::from(is_preemption(last, execution.enabled[depth], process))
    }

    /// Wants this step at this depth, unless it is already.
    pub fn want(&mut self, execution: &Execution<()>, depth: usize, entry: Entry) {
        if !self.wanted[depth].has(entry.process) {
            self.wanted[depth] = self.wanted[depth].with(entry.process);
            self.wants.push((depth, entry, self.preemptions_with(execution, depth, entry.process)));
        }
    }

    /// Sees to it that there is a node for each point at which somebody is newly wanted. New ones are held.
    fn plant(&self, tree: &mut Tree, execution: &Execution<()>) -> Vec<Node> {
        let mut nodes = self.path.clone();
        let deepest = self.wants.iter().map(|(depth, ..)| depth + 1).max().unwrap_or(0);
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

/// A search, of which the reduction decides what it runs.
pub struct Search<R> {
    reduction: R,
    tree: Tree,
    frontier: Frontier,
    under_way: BTreeMap<Ticket, (Item, Arc<Mutex<Notes>>)>,
    handed_out: u64,
    statistics: Statistics,
}

impl<R: Reduction> Search<R> {
    /// Of this reduction, in this order.
    #[must_use]
    pub fn of(reduction: R, order: FrontierOrder) -> Self {
        let mut frontier = Frontier::new(order);
        frontier.push(Item { preemptions: 0, depth: 0, node: Node::ROOT });
        let (tree, under_way) = (Tree::default(), BTreeMap::new());
        Self { reduction, tree, frontier, under_way, handed_out: 0, statistics: Statistics::default() }
    }

    /// How many prefixes are kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.tree.size()
    }

    fn count(&mut self, execution: &Execution<()>, notes: &Notes) {
        let statistics = &mut self.statistics;
        statistics.executions += 1;
        statistics.diverged += u64::from(notes.diverged);
        statistics.cut += u64::from(execution.end == End::TooLong);
        statistics.redundant += u64::from(execution.end == End::Abandoned && !notes.diverged);
        statistics.depth_max = statistics.depth_max.max(execution.events.len());
    }

    fn grow(&mut self, execution: &Execution<()>, notes: &Notes, leaf: Node) {
        let mut growth = Growth::new(&self.tree, leaf, execution);
        self.reduction.heed(execution, notes, &mut growth);
        let points = growth.plant(&mut self.tree, execution);
        for (depth, entry, preemptions) in growth.wants {
            let node = self.tree.grow(points[depth], entry);
            self.frontier.push(Item { preemptions, depth: depth + 1, node });
        }
        for &point in points.iter().skip(growth.path.len()) {
            self.tree.release(point);
        }
    }
}

impl<R: Reduction> Strategy for Search<R> {
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
            self.grow(execution, &notes, item.node);
        }
        self.tree.release(item.node);
    }

    fn coverage(&self) -> Coverage {
        let over = self.frontier.is_empty() && self.under_way.is_empty();
        if over && self.statistics.diverged == 0 && self.statistics.cut == 0 {
            self.reduction.coverage()
        } else {
            Coverage::Partial
        }
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
