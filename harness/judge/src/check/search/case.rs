//! Cases: operations, and the states in which the container can have been before them. A case stands for itself: where
//! it has no legal order, neither has any history that it is taken from.

use super::partition::{Duty, Item, Partition, States};
use super::sweep::{End, Limits, Room, Step, Sweep};
use crate::model::table::{Row, STATES_MAX};

/// Operations of one container that are to be judged by themselves.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub items: Vec<Item>,
    /// The states in which it can begin.
    pub initial: States,
    /// How many states the model has.
    pub states: usize,
    /// What a death makes of each state, if there can be any.
    pub death: Option<Row>,
}

/// Where a case has no order that goes on.
#[derive(Clone, Debug)]
pub(super) struct Dead {
    /// The record of the operation that has no place.
    pub record: u32,
    /// The states in which it can have found the container.
    pub found: States,
    /// The longest order up to it: records with the states that they led to; `None`: a death.
    pub order: Vec<(Option<u32>, u8)>,
    /// The state in which that order begins.
    pub from: u8,
    /// The records of all operations that acted in any order tried.
    pub acted: Vec<u32>,
    /// The time of the event that nothing follows.
    pub at_ns: u64,
}

/// What became of judging a case.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    Alive,
    Dead(Box<Dead>),
    Undecided,
}

impl Case {
    /// Judges the case exactly, within the limits. Meant for small ones: it records every step.
    pub fn judge(&self, limits: Limits) -> Fate {
        let partition = self.partition();
        if partition.open.iter().any(|(open, _)| open.len() > u16::MAX as usize) {
            return Fate::Undecided;
        }
        match (partition.words(), partition.states) {
            (1, ..=8) => judge::<1, 8>(&partition, limits),
            (1, _) => judge::<1, STATES_MAX>(&partition, limits),
            (2, _) => judge::<2, STATES_MAX>(&partition, limits),
            (4, _) => judge::<4, STATES_MAX>(&partition, limits),
            (16, _) => judge::<16, STATES_MAX>(&partition, limits),
            (64, _) => judge::<64, STATES_MAX>(&partition, limits),
            _ => Fate::Undecided,
        }
    }

    /// The case as a partition.
    pub fn partition(&self) -> Partition {
        Partition::of(self.items.clone(), self.initial, self.states, self.death)
    }

    /// The part of a partition that lies between two positions of its events. What is under way at the first may have acted
    /// before or not, and the container may have been in any of the states; what is under way at the second may act
    /// later, with the help of operations that are no part of it.
    pub fn cut(partition: &Partition, from: usize, to: usize, initial: States) -> Self {
        let begins = partition.events[..from].iter().filter(|event| !event.is_return()).count();
        let ends = begins + partition.events[from..to].iter().filter(|event| !event.is_return()).count();
        let mut items = Vec::new();
        for (index, op) in partition.ops[..ends].iter().enumerate() {
            if (op.over_at as usize) < from || op.is_death() {
                continue;
            }
            let is_whole = index >= begins && (op.over_at as usize) < to;
            let duty = if is_whole { op.duty } else { Duty::Optional };
            let class = &partition.classes[op.class as usize];
            let (invoke_ns, deadline_ns, record) = (op.invoke_ns, op.deadline_ns, op.record);
            items.push(Item { record, invoke_ns, deadline_ns, row: class.row, duty });
        }
        let initial = if from == 0 { partition.initial } else { initial };
        Self { items, initial, states: partition.states, death: partition.death }
    }
}

fn judge<const W: usize, const S: usize>(partition: &Partition, limits: Limits) -> Fate {
    let mut sweep = Sweep::<W, S>::new(partition);
    let mut room = Room::recording();
    match sweep.run(partition.events.len(), limits, &mut room) {
        End::Through => Fate::Alive,
        End::Stuck(position) => Fate::Dead(Box::new(dead(&sweep, partition, position, &room))),
        End::Crowded | End::Late => Fate::Undecided,
    }
}

fn dead<const W: usize, const S: usize>(
    sweep: &Sweep<'_, W, S>,
    partition: &Partition,
    position: usize,
    room: &Room<W, S>,
) -> Dead {
    let op = partition.events[position].op();
    let longest = sweep.frontier.iter().map(|config| (config, room.steps_to(config)));
    let (config, steps) =
        longest.max_by_key(|(_, steps)| steps.len()).expect("what is stuck leaves the ways that led there");
    let mut acted: Vec<u32> =
        room.steps.iter().flatten().map(|step| partition.ops[step.op as usize].record).collect();
    acted.sort_unstable();
    acted.dedup();
    let (from, order) = told(partition, &steps, config.state);
    Dead {
        record: partition.ops[op].record,
        found: room.states(op),
        order,
        from,
        acted,
        at_ns: partition.ops[op].deadline_ns,
    }
}

/// The steps with the states they led to, and between them, as early as they fit, the operations that only looked.
fn told(partition: &Partition, steps: &[Step], last: u8) -> (u8, Vec<(Option<u32>, u8)>) {
    // The states before: steps are known by what they change, so the first state is the one that leads to the last.
    let leads = |first: u8| {
        let mut states = vec![first];
        for step in steps {
            let row = &partition.classes[partition.ops[step.op as usize].class as usize].row;
            let next = *row.get(*states.last()? as usize)?;
            states.push(next);
        }
        (states.last() == Some(&last)).then_some(states)
    };
    let mut initial = (0..partition.states as u8).filter(|state| partition.initial & (1 << state) != 0);
    let states = initial.find_map(leads).unwrap_or_else(|| vec![last; steps.len() + 1]);
    let end = partition.ops.len() as u32;
    let mut order = Vec::new();
    let mut looked = vec![false; partition.ops.len()];
    for (number, &state) in states.iter().enumerate() {
        if number > 0 {
            let op = &partition.ops[steps[number - 1].op as usize];
            order.push(((!op.is_death()).then_some(op.record), state));
        }
        // Whoever was invoked before the next step can have looked now.
        let invoked = steps.get(number).map_or(end, |step| step.invoked);
        let after = number.checked_sub(1).map(|before| steps[before].invoked);
        for (index, has_looked) in looked.iter_mut().enumerate().take(invoked as usize) {
            let op = &partition.ops[index];
            let class = &partition.classes[op.class as usize];
            let is_late = after.is_some_and(|invoked| is_over(partition, index, invoked));
            if class.changes == 0 && !*has_looked && !is_late && class.keeps & (1 << state) != 0 {
                *has_looked = true;
                order.push((Some(op.record), state));
            }
        }
    }
    (states[0], order)
}

/// Whether the operation was over before so many had been invoked.
fn is_over(partition: &Partition, index: usize, invoked: u32) -> bool {
    let latest = (invoked as usize).checked_sub(1).map_or(0, |latest| partition.ops[latest].invoke_ns);
    partition.ops[index].deadline_ns < latest
}
