//! What all searches through the space have in common: prefixes, each run once, that grow where a reduction wants more.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::explore::machine::{End, Execution, is_preemption};
use crate::explore::step::{Event, Mask};

use super::frontier::{Frontier, FrontierOrder, Item};
use super::guide::{Guide, Notes};
use super::tree::{Entry, Node, Tree};
use super::{Assignment, Coverage, Statistics, Strategy, Ticket};

/// Says which prefixes an execution calls for.
pub trait Reduction: Send {
    /// Wants, at points of this execution, steps that were not wanted there before.
    fn heed(&self, execution: &Execution<()>, notes: &Notes, growth: &mut Growth<'_>);

    /// What has been seen when nothing is wanted any more, where tasks of one process ever had places of their own, or not.
    fn coverage(&self, has_tasks: bool) -> Coverage;

    /// How often somebody may be interrupted that could have gone on.
    fn preemptions_max(&self) -> u32 {
        u32::MAX
    }

    /// Whether those who were wanted earlier at a point sleep for those who are wanted later.
    fn has_sleepers(&self) -> bool {
        false
    }
}

/// What one execution adds to the prefixes.
#[derive(Debug)]
pub struct Growth<'e> {
    /// The execution, with every place at which somebody stood.
    execution: &'e Execution<()>,
    /// Who was asleep at each point.
    asleep: &'e [Mask],
    preemptions_max: u32,
    has_sleepers: bool,
    /// The nodes that its prefix had already.
    path: Vec<Node>,
    /// Who was ever wanted at each point.
    wanted: Vec<Mask>,
    /// How often somebody was interrupted before each point.
    preemptions: Vec<u32>,
    /// The new wants, by depth, with their preemptions.
    wants: Vec<(usize, Entry, u32)>,
}

impl<'e> Growth<'e> {
    fn new(
        tree: &Tree,
        leaf: Node,
        execution: &'e Execution<()>,
        notes: &'e Notes,
        reduction: &impl Reduction,
    ) -> Self {
        let path = tree.path(leaf);
        let known = path.iter().map(|&node| tree.wanted(node)).chain(std::iter::repeat(Mask::default()));
        let wanted = known.zip(&execution.events).map(|(wanted, event)| wanted.with(event.process)).collect();
        let mut growth = Self {
            execution,
            asleep: &notes.asleep,
            preemptions_max: reduction.preemptions_max(),
            has_sleepers: reduction.has_sleepers(),
            path,
            wanted,
            preemptions: vec![0],
            wants: Vec::new(),
        };
        for (depth, event) in execution.events.iter().enumerate() {
            growth.preemptions.push(growth.preemptions_with(depth, event.process));
        }
        growth
    }

    /// The processes of which somebody was ever wanted at the point of this depth.
    #[must_use]
    pub fn wanted(&self, depth: usize) -> Mask {
        self.execution.processes_at(self.wanted[depth])
    }

    /// The processes of which all who could go were asleep at the point of this depth.
    #[must_use]
    pub fn asleep(&self, depth: usize) -> Mask {
        let asleep = self.asleep[depth];
        let awake = self.execution.enabled[depth].difference(asleep);
        self.execution.processes_at(asleep).difference(self.execution.processes_at(awake))
    }

    /// The length of the prefix that was given: what comes before was heeded when it was first run.
    #[must_use]
    pub fn given(&self) -> usize {
        self.path.len() - 1
    }

    /// How often somebody is interrupted when the step of this depth is taken at this place.
    fn preemptions_with(&self, depth: usize, place: usize) -> u32 {
        let last = depth.checked_sub(1).map(|before| self.execution.events[before].process);
        self.preemptions[depth] + u32::from(is_preemption(last, self.execution.enabled[depth], place))
    }

    /// Wants a process to take the step of this depth, by each of its tasks that can.
    pub fn want(&mut self, depth: usize, process: usize) {
        for place in self.execution.enabled[depth].difference(self.asleep[depth]).iter() {
            if self.execution.process(place) == process {
                self.want_at(depth, place);
            }
        }
    }

    /// Wants this step at this depth, unless it is already, or interrupts too often.
    fn want_at(&mut self, depth: usize, place: usize) {
        let preemptions = self.preemptions_with(depth, place);
        if self.wanted[depth].has(place) || preemptions > self.preemptions_max {
            return;
        }
        let earlier = if self.has_sleepers { self.wanted[depth] } else { Mask::default() };
        self.wanted[depth] = self.wanted[depth].with(place);
        self.wants.push((depth, Entry { process: place, earlier }, preemptions));
    }

    /// Wants all tasks that could have gone instead of another of the same process; whether there were any.
    fn want_tasks(&mut self) -> bool {
        if !self.execution.has_tasks() {
            return false;
        }
        let mut has_tasks = false;
        for depth in self.given().saturating_sub(1)..self.execution.events.len() {
            let process = self.execution.process(self.execution.events[depth].process);
            let enabled = self.execution.enabled[depth].iter();
            has_tasks |= enabled.filter(|&place| self.execution.process(place) == process).count() > 1;
            self.want(depth, process);
        }
        has_tasks
    }

    /// Sees to it that there is a node for each point at which somebody is newly wanted. New ones are held.
    fn plant(&self, tree: &mut Tree) -> Vec<Node> {
        let mut nodes = self.path.clone();
        let deepest = self.wants.iter().map(|(depth, ..)| depth + 1).max().unwrap_or(0);
        for depth in nodes.len()..deepest {
            let entry = Entry { process: self.execution.events[depth - 1].process, earlier: Mask::default() };
            nodes.push(tree.grow(nodes[depth - 1], entry));
        }
        for (&node, wanted) in nodes.iter().zip(&self.wanted) {
            tree.want(node, *wanted);
        }
        nodes
    }
}

/// An execution with nothing but processes: whichever of its tasks took a step, and could, its process did.
fn by_processes(execution: &Execution<()>) -> Cow<'_, Execution<()>> {
    if !execution.has_tasks() {
        return Cow::Borrowed(execution);
    }
    let of = |event: &Event| Event { process: execution.process(event.process), step: event.step.clone() };
    Cow::Owned(Execution {
        events: execution.events.iter().map(of).collect(),
        enabled: execution.enabled.iter().map(|enabled| execution.processes_at(*enabled)).collect(),
        ..execution.clone()
    })
}

/// A search, of which the reduction decides what it runs.
pub struct Search<R> {
    reduction: R,
    tree: Tree,
    frontier: Frontier,
    under_way: BTreeMap<Ticket, (Item, Arc<Mutex<Notes>>)>,
    handed_out: u64,
    /// Whether several tasks of a process could ever go next.
    has_tasks: bool,
    statistics: Statistics,
}

impl<R: Reduction> Search<R> {
    /// Of this reduction, in this order.
    #[must_use]
    pub fn of(reduction: R, order: FrontierOrder) -> Self {
        let mut frontier = Frontier::new(order);
        frontier.push(Item { preemptions: 0, depth: 0, node: Node::ROOT });
        let (tree, under_way) = (Tree::default(), BTreeMap::new());
        Self {
            reduction,
            tree,
            frontier,
            under_way,
            handed_out: 0,
            has_tasks: false,
            statistics: Statistics::default(),
        }
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
        let mut growth = Growth::new(&self.tree, leaf, execution, notes, &self.reduction);
        self.has_tasks |= growth.want_tasks();
        self.reduction.heed(&by_processes(execution), notes, &mut growth);
        let points = growth.plant(&mut self.tree);
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
            self.reduction.coverage(self.has_tasks)
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
