//! One container's operations as the sweep wants them: classes of equal effect, and events in the order of time.
//!
//! Operations are numbered in the order of their invocation. What cannot matter is left out: operations that are legal
//! everywhere and change nothing, and operations of unknown outcome that can change nothing.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::model::table::{ILLEGAL, Row, STATES_MAX};
use crate::share::both;

/// A set of states, one bit a state.
pub type States = u16;

/// One operation that is to be judged.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    /// Its index in the history's records.
    pub record: u32,
    /// When it was invoked.
    pub invoke_ns: u64,
    /// The latest instant at which it can have acted.
    pub deadline_ns: u64,
    /// What it makes of each state.
    pub row: Row,
    /// Whether it must have acted.
    pub duty: Duty,
}

impl Item {
    /// A death: one operation that never answers, invoked before all others. The sweep never uses it up.
    fn death(row: Row) -> Self {
        Self { record: NOBODY, invoke_ns: 0, deadline_ns: u64::MAX, row, duty: Duty::Optional }
    }

    /// Whether there is a state that it changes.
    pub fn may_change(&self) -> bool {
        let mut row = (0..).zip(&self.row);
        row.any(|(state, &next)| next != ILLEGAL && next != state)
    }
}

/// Whether an operation must have acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// It answered: it has its place in every order.
    Required,
    /// It never answered, or is only part of the picture: it may have a place.
    Optional,
}

/// What operations with one and the same row do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Class {
    pub row: Row,
    /// The states that it leaves as they are.
    pub keeps: States,
    /// The states that it changes.
    pub changes: States,
}

impl Class {
    fn of(row: Row) -> Self {
        let (mut keeps, mut changes) = (0, 0);
        for (state, &next) in row.iter().enumerate() {
            if next == state as u8 {
                keeps |= 1 << state;
            } else if next != ILLEGAL {
                changes |= 1 << state;
            }
        }
        Self { row, keeps, changes }
    }
}

/// An operation as the sweep knows it: its interval, its class and its slot, and nothing of what it is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Op {
    pub invoke_ns: u64,
    pub deadline_ns: u64,
    pub record: u32,
    pub class: u16,
    /// Its bit among the pending operations; meaningless for those that only look and for open ones.
    pub slot: u16,
    /// The position of the event from which on it is over; none for open ones.
    pub over_at: u32,
    pub duty: Duty,
}

/// The record of what no operation did: what stands behind the container died.
pub(super) const NOBODY: u32 = u32::MAX;

/// How many classes may have open operations: as many as there are operations that change anything, at most.
pub(super) const OPEN_MAX: usize = 16;

impl Op {
    /// Whether it may act for ever.
    pub fn is_open(&self) -> bool {
        self.deadline_ns == u64::MAX && self.duty == Duty::Optional
    }

    /// Whether it may act as often as anybody likes, and is nobody's operation.
    pub fn is_death(&self) -> bool {
        self.record == NOBODY
    }
}

/// Something happens: an operation is invoked, or must have acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event(u32);

const RETURNS: u32 = 1 << 31;

impl Event {
    pub fn op(self) -> usize {
        (self.0 & !RETURNS) as usize
    }

    pub fn is_return(self) -> bool {
        self.0 & RETURNS != 0
    }
}

/// Hashes rows, which nobody chooses to make them collide.
#[derive(Debug, Default)]
struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("rows are hashed as numbers");
    }

    fn write_u128(&mut self, row: u128) {
        let folded = (row as u64 ^ (row >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = folded ^ (folded >> 32);
    }
}

/// One container's operations.
#[derive(Debug)]
pub(super) struct Partition {
    pub ops: Vec<Op>,
    pub classes: Vec<Class>,
    pub events: Vec<Event>,
    /// How many bits the pending operations need.
    pub slots: usize,
    /// For each class, its open operations by invocation, and its place among the classes that have any.
    pub open: Vec<(Vec<u32>, usize)>,
    /// Whether there are any open operations.
    pub has_open: bool,
    /// For each state, the classes that change it.
    pub leaving: [Vec<u16>; STATES_MAX],
    /// The states in which it can begin.
    pub initial: States,
    /// How many states the model has.
    pub states: usize,
    /// What a death makes of each state, if there can be any.
    pub death: Option<Row>,
}

impl Partition {
    /// Makes a partition of items. Their order does not matter. `death`: what a death makes of each state, if there can be any.
    pub fn of(mut items: Vec<Item>, initial: States, states: usize, death: Option<Row>) -> Self {
        if let Some(row) = death {
            // Before what is invoked at 0.
            items.insert(0, Item::death(row));
        }
        let mut partition = Self {
            ops: Vec::with_capacity(items.len()),
            classes: Vec::new(),
            events: Vec::with_capacity(items.len() * 2),
            slots: 0,
            open: Vec::new(),
            has_open: false,
            leaving: Default::default(),
            initial,
            states,
            death,
        };
        let ends = partition.classify(&items);
        drop(items);
        for (number, class) in partition.classes.iter().enumerate() {
            for (state, leaving) in partition.leaving.iter_mut().enumerate() {
                if class.changes & (1 << state) != 0 {
                    leaving.push(number as u16);
                }
            }
        }
        partition.order(ends);
        partition.assign_slots();
        partition.collect_open();
        partition
    }

    /// Makes operations and classes of the items, but for those that cannot matter. Gives back when each operation is over,
    /// but for those that never are, by time and number.
    fn classify(&mut self, items: &[Item]) -> Vec<(u64, u32)> {
        // What may act for ever is never over.
        let is_over = |item: &Item| item.deadline_ns != u64::MAX || item.duty == Duty::Required;
        let make = |partition: &mut Self| {
            partition.make_ops(items, in_order_of_time((0..).zip(items).map(|(at, it)| (it.invoke_ns, at))))
        };
        let ends = || {
            let over = (0..).zip(items).filter(|(_, item)| is_over(item));
            in_order_of_time(over.map(|(at, item)| (item.deadline_ns, at)))
        };
        let (numbers, mut ends) = both(items.len(), || make(self), ends);
        ends.retain_mut(|(_, at)| {
            *at = numbers[*at as usize];
            *at != NOBODY
        });
        // What is over at one time comes in the order of the operations, whatever that of the items was.
        for together in ends.chunk_by_mut(|one, next| one.0 == next.0) {
            together.sort_unstable();
        }
        ends
    }

    /// Makes operations and classes of the items in this order; the number of each item's operation, or [`NOBODY`].
    fn make_ops(&mut self, items: &[Item], order: Vec<(u64, u32)>) -> Vec<u32> {
        let mut made = vec![NOBODY; items.len()];
        let mut numbers = HashMap::<u128, u16, BuildHasherDefault<Folded>>::default();
        let everywhere = ((1_u32 << self.states) - 1) as States;
        for (_, at) in order {
            let Item { invoke_ns, deadline_ns, record, row, duty } = items[at as usize];
            let number = *numbers.entry(u128::from_ne_bytes(row)).or_insert_with(|| {
                self.classes.push(Class::of(row));
                (self.classes.len() - 1) as u16
            });
            let class = &self.classes[number as usize];
            let can_matter = class.changes != 0 || (duty == Duty::Required && class.keeps != everywhere);
            if can_matter {
                made[at as usize] = self.ops.len() as u32;
                let (class, slot, over_at) = (number, 0, u32::MAX);
                self.ops.push(Op { invoke_ns, deadline_ns, record, class, slot, over_at, duty });
            }
        }
        made
    }

    /// How many words hold the bits of pending operations; one of few sizes, or more than any of them.
    pub fn words(&self) -> usize {
        let needed = self.slots.div_ceil(64).max(1);
        [1, 2, 4, 16, 64].into_iter().find(|&words| words >= needed).unwrap_or(needed)
    }

    /// Merges invocations and returns: at equal times the invocations come first, because intervals are closed.
    fn order(&mut self, returns: Vec<(u64, u32)>) {
        let mut next = 0;
        for (deadline_ns, index) in returns {
            while self.ops.get(next).is_some_and(|op| op.invoke_ns <= deadline_ns) {
                self.events.push(Event(next as u32));
                next += 1;
            }
            self.ops[index as usize].over_at = self.events.len() as u32;
            self.events.push(Event(index | RETURNS));
        }
        // What is invoked after the last return is open, and nobody waits for it.
    }

    fn collect_open(&mut self) {
        self.open = vec![(Vec::new(), 0); self.classes.len()];
        for (index, op) in self.ops.iter().enumerate().filter(|(_, op)| op.is_open()) {
            self.open[op.class as usize].0.push(index as u32);
        }
        let with_open = self.open.iter_mut().filter(|(ops, _)| !ops.is_empty());
        for (place, (_, number)) in with_open.enumerate() {
            assert!(place < OPEN_MAX, "fewer than {OPEN_MAX} operations change anything");
            *number = place;
        }
        self.has_open = self.open.iter().any(|(ops, _)| !ops.is_empty());
    }

    fn assign_slots(&mut self) {
        let mut free = Vec::<u16>::new();
        for event in &self.events {
            let op = &mut self.ops[event.op()];
            if op.is_open() || self.classes[op.class as usize].changes == 0 {
                continue;
            }
            if event.is_return() {
                free.push(op.slot);
            } else {
                op.slot = free.pop().unwrap_or_else(|| {
                    self.slots += 1;
                    (self.slots - 1) as u16
                });
            }
        }
    }
}

/// Sorts times and positions, which stand for the items: those are far larger. Where a time, counted from the earliest
/// one, and a position have room in one number, numbers are sorted, which takes a third of the time.
fn in_order_of_time(times: impl Iterator<Item = (u64, u32)> + Clone) -> Vec<(u64, u32)> {
    let bounds = |(first, last, count): (u64, u64, u32), (time, at): (u64, u32)| {
        (first.min(time), last.max(time), count.max(at))
    };
    let (first, last, greatest) = times.clone().fold((u64::MAX, 0, 0), bounds);
    let bits = u32::BITS - greatest.leading_zeros();
    if last.saturating_sub(first).leading_zeros() < bits {
        let mut order: Vec<(u64, u32)> = times.collect();
        order.sort_unstable();
        return order;
    }
    let mut packed: Vec<u64> = times.map(|(time, at)| (time - first) << bits | u64::from(at)).collect();
    packed.sort_unstable();
    let position = (1_u64 << bits) - 1;
    packed.into_iter().map(|number| (first + (number >> bits), (number & position) as u32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether or not times and positions have room in one number.
    #[test]
    fn times_are_sorted_however_far_apart_they_are() {
        let base = [7, 3, 3, 9, 0, 3];
        for (scale, offset) in [(1, 0), (1, u64::MAX - 9), (1 << 58, 5), (1 << 60, 0), (0, 4)] {
            let times: Vec<(u64, u32)> =
                (0..).zip(base).map(|(at, time)| (time * scale + offset, at)).collect();
            let mut expected = times.clone();
            expected.sort_unstable();
            assert_eq!(in_order_of_time(times.iter().copied()), expected, "{scale} {offset}");
        }
        assert_eq!(in_order_of_time(std::iter::empty()), []);
        assert_eq!(in_order_of_time(std::iter::once((u64::MAX, 0))), [(u64::MAX, 0)]);
    }

    /// Sorted side by side or one after the other: operations come by invocation, and what is over at one time comes in
    /// their order.
    #[test]
    fn events_come_in_the_order_of_time_however_many_there_are() {
        let mut word = 7_u64;
        let mut below = |end: u64| {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (word >> 33) % end
        };
        let mut row = [ILLEGAL; STATES_MAX];
        row[0] = 1;
        for count in [100, 70_000] {
            let item = |record: u32| {
                let invoke_ns = below(u64::from(count) / 4);
                let (deadline_ns, duty) = match below(50) {
                    0 => (u64::MAX, Duty::Optional),
                    _ => (invoke_ns + below(20), Duty::Required),
                };
                Item { record, invoke_ns, deadline_ns, row, duty }
            };
            let items: Vec<Item> = (0..count).map(item).collect();
            let open = items.iter().filter(|item| item.duty == Duty::Optional).count();
            let Partition { ops, events, .. } = Partition::of(items, 1, 2, None);
            assert!(ops.is_sorted_by_key(|op| (op.invoke_ns, op.record)));
            let returns: Vec<(u64, usize)> = events
                .iter()
                .filter(|event| event.is_return())
                .map(|event| (ops[event.op()].deadline_ns, event.op()))
                .collect();
            assert!(returns.is_sorted());
            assert_eq!(returns.len() + open, count as usize);
            let time = |event: &Event| {
                let op = ops[event.op()];
                if event.is_return() { (op.deadline_ns, 1) } else { (op.invoke_ns, 0) }
            };
            assert!(events.is_sorted_by_key(time), "invocations come first where times are equal");
        }
    }
}
