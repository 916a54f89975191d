//! The order that a search found, as a certificate: the steps that change something, and between them what only looks.
//!
//! A sweep lets an operation act at the return of one that needs it, so the events give each step an instant. What only
//! looks was found to have seen its state by then, so between two steps there is a gap for it; it delays nothing there.

use super::Operations;
use super::decide::Found;
use super::partition::{Duty, Partition, States};
use crate::check::certificate::{Certificate, Step};
use crate::history::{History, Outcome};

/// The certificate of an order that was found.
pub(super) fn certificate(
    history: &History,
    partition: &Partition,
    operations: &Operations,
    found: &Found,
) -> Certificate {
    let initial = (0..partition.states as u8).filter(|state| partition.initial & (1 << state) != 0);
    let mut orders = initial.filter_map(|first| Gaps::of(partition, found, first));
    let gaps = orders.next().expect("an order that was found begins in some state");
    let first = gaps.states[0];
    Certificate { container: operations.container, first, steps: gaps.steps(history, operations) }
}

/// The records of an order that was found, but for those that were never searched for.
pub(super) fn acting(partition: &Partition, found: &Found) -> Vec<u32> {
    let mut initial = (0..partition.states as u8).filter(|state| partition.initial & (1 << state) != 0);
    let gaps = initial.find_map(|first| Gaps::of(partition, found, first));
    let steps = gaps.expect("an order that was found begins in some state").in_order();
    let record = |step: Step| match step {
        Step::Acts(record) => Some(record),
        Step::Dies | Step::DiesBy(_) => None,
    };
    steps.into_iter().filter_map(record).collect()
}

/// Gives what is legal everywhere and changes nothing a place in an order: where it was invoked, by the earliest instants
/// that the order allows, so that it delays nothing.
pub(super) fn place_idle(history: &History, order: &mut Certificate, idle: &[u32]) {
    let records = &history.records;
    let mut idle: Vec<u32> =
        idle.iter().copied().filter(|&index| records[index as usize].outcome != Outcome::Unknown).collect();
    idle.sort_by_key(|&index| records[index as usize].invoke_ns);
    let mut idle = idle.into_iter().peekable();
    let (steps, mut now_ns) = (std::mem::take(&mut order.steps), 0);
    for step in steps {
        if let Step::Acts(index) = step {
            now_ns = records[index as usize].invoke_ns.max(now_ns);
        }
        while let Some(index) = idle.next_if(|&index| records[index as usize].invoke_ns < now_ns) {
            order.steps.push(Step::Acts(index));
        }
        order.steps.push(step);
    }
    order.steps.extend(idle.map(Step::Acts));
}

/// The steps, and what looks before the first, between any two, and after the last.
struct Gaps<'a> {
    partition: &'a Partition,
    found: &'a Found,
    /// The state in each gap.
    states: Vec<u8>,
    /// Who looks in each gap: (invoked, record).
    lookers: Vec<Vec<(u64, u32)>>,
}

impl<'a> Gaps<'a> {
    /// The order with this beginning, if every operation finds its place.
    fn of(partition: &'a Partition, found: &'a Found, first: u8) -> Option<Self> {
        let mut states = vec![first];
        for step in &found.steps {
            let row = &partition.classes[partition.ops[step.op as usize].class as usize].row;
            states.push(*row.get(*states.last()? as usize)?);
        }
        let mut gaps = Self { partition, found, lookers: vec![Vec::new(); states.len()], states };
        (gaps.states.last() == Some(&found.last) && gaps.place_lookers()).then_some(gaps)
    }

    /// Finds a gap for everything that must have acted and changed nothing; tells whether there was one for each.
    fn place_lookers(&mut self) -> bool {
        let (partition, steps) = (self.partition, &self.found.steps);
        let mut acts = vec![false; partition.ops.len()];
        for step in steps {
            acts[step.op as usize] = true;
        }
        for (index, op) in partition.ops.iter().enumerate() {
            if acts[index] || op.duty == Duty::Optional {
                continue;
            }
            let keeps: States = partition.classes[op.class as usize].keeps;
            // A gap ends with a step, by which it must have been invoked, and begins with one, before which it must not
            // be over.
            let from = steps.partition_point(|step| step.invoked as usize <= index);
            let beyond = steps.partition_point(|step| step.at <= op.over_at);
            let Some(gap) = (from..=beyond).find(|&gap| keeps & (1 << self.states[gap]) != 0) else {
                return false;
            };
            self.lookers[gap].push((op.invoke_ns, op.record));
        }
        true
    }

    fn steps(mut self, history: &History, operations: &Operations) -> Vec<Step> {
        self.place_the_rest(history, operations);
        self.in_order()
    }

    fn in_order(self) -> Vec<Step> {
        let mut all = Vec::with_capacity(self.partition.ops.len());
        for (number, mut lookers) in self.lookers.into_iter().enumerate() {
            if let Some(before) = number.checked_sub(1) {
                let op = &self.partition.ops[self.found.steps[before].op as usize];
                all.push(if op.is_death() { Step::Dies } else { Step::Acts(op.record) });
            }
            lookers.sort_unstable();
            all.extend(lookers.into_iter().map(|(_, record)| Step::Acts(record)));
        }
        all
    }

    /// What is legal everywhere and changes nothing was never searched for: it has its place where it was invoked.
    fn place_the_rest(&mut self, history: &History, operations: &Operations) {
        let partition = self.partition;
        let mut searched: Vec<u32> = partition.ops.iter().map(|op| op.record).collect();
        searched.sort_unstable();
        let at_ns =
            |step: &super::sweep::Step| partition.ops[partition.events[step.at as usize].op()].deadline_ns;
        for &index in &operations.indexes {
            let record = &history.records[index as usize];
            if history.must_act(record) && searched.binary_search(&index).is_err() {
                let gap = self.found.steps.partition_point(|step| at_ns(step) < record.invoke_ns);
                self.lookers[gap].push((record.invoke_ns, index));
            }
        }
    }
}
