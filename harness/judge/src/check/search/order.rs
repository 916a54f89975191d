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
    let mut records = Vec::with_capacity(partition.ops.len());
    gaps.expect("an order that was found begins in some state").each_in_order(|step| match step {
        Step::Acts(record) => records.push(record),
        Step::Dies | Step::DiesBy(_) => {}
    });
    records
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
    /// What looks: its gap, when it was invoked, and its record.
    lookers: Vec<(u32, u64, u32)>,
}

impl<'a> Gaps<'a> {
    /// The order with this beginning, if every operation finds its place.
    fn of(partition: &'a Partition, found: &'a Found, first: u8) -> Option<Self> {
        let mut states = vec![first];
        for step in &found.steps {
            let row = &partition.classes[partition.ops[step.op as usize].class as usize].row;
            states.push(*row.get(*states.last()? as usize)?);
        }
        let mut gaps = Self { partition, found, lookers: Vec::new(), states };
        (gaps.states.last() == Some(&found.last) && gaps.place_lookers()).then_some(gaps)
    }

    /// Finds a gap for everything that must have acted and changed nothing; tells whether there was one for each.
    fn place_lookers(&mut self) -> bool {
        let (partition, steps) = (self.partition, &self.found.steps);
        let mut acts = vec![false; partition.ops.len()];
        for step in steps {
            acts[step.op as usize] = true;
        }
        // Operations are numbered by their invocation, and steps come one after the other: the first gap of each is found
        // by going on from that of the one before.
        let mut from = 0;
        for (index, op) in partition.ops.iter().enumerate() {
            // A gap ends with a step, by which it must have been invoked.
            while steps.get(from).is_some_and(|step| step.invoked as usize <= index) {
                from += 1;
            }
            if acts[index] || op.duty == Duty::Optional {
                continue;
            }
            let keeps: States = partition.classes[op.class as usize].keeps;
            // It begins with one, before which it must not be over.
            let is_in_time = |gap: &usize| gap.checked_sub(1).is_none_or(|step| steps[step].at <= op.over_at);
            let mut in_time = (from..self.states.len()).take_while(is_in_time);
            let Some(gap) = in_time.find(|&gap| keeps & (1 << self.states[gap]) != 0) else {
                return false;
            };
            self.lookers.push((gap as u32, op.invoke_ns, op.record));
        }
        true
    }

    fn steps(mut self, history: &History, operations: &Operations) -> Vec<Step> {
        self.place_the_rest(history, operations);
        self.in_order()
    }

    fn in_order(self) -> Vec<Step> {
        let mut all = Vec::with_capacity(self.partition.ops.len());
        self.each_in_order(|step| all.push(step));
        all
    }

    /// Tells the steps and what looks between them, one after the other.
    fn each_in_order(self, mut tell: impl FnMut(Step)) {
        let gaps = self.states.len();
        // Put gap by gap (a counting sort); in a gap they are few.
        let mut ends = vec![0_usize; gaps + 1];
        self.lookers.iter().for_each(|&(gap, ..)| ends[gap as usize + 1] += 1);
        for gap in 0..gaps {
            ends[gap + 1] += ends[gap];
        }
        let mut next = ends.clone();
        let mut lookers = vec![(0_u64, 0_u32); self.lookers.len()];
        for (gap, invoke_ns, record) in self.lookers {
            lookers[next[gap as usize]] = (invoke_ns, record);
            next[gap as usize] += 1;
        }
        for gap in 0..gaps {
            if let Some(before) = gap.checked_sub(1) {
                let op = &self.partition.ops[self.found.steps[before].op as usize];
                tell(if op.is_death() { Step::Dies } else { Step::Acts(op.record) });
            }
            let here = &mut lookers[ends[gap]..ends[gap + 1]];
            here.sort_unstable();
            for &(_, record) in &*here {
                tell(Step::Acts(record));
            }
        }
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
                self.lookers.push((gap as u32, record.invoke_ns, index));
            }
        }
    }
}
