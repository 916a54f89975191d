//! One way in which a container's operations so far can have happened, as far as the rest depends on it.
//!
//! # Sightings of an absent container
//!
//! An operation that found the container absent carries no token: it belongs into any gap between a delete and the
//! next create that its interval allows. Let a gap begin at the earliest time E (that of its delete) and end at the
//! earliest time T of its create. A sighting invoked by T fits without delaying anything, if its deadline is not
//! before E. One invoked after T would delay the create. Is it better to wait for the next gap, which begins at E'?
//!
//! - If its deadline is not before E', yes: wherever an order places it in this gap at a time p, the order that places
//!   it in the next gap at max(E', its invocation) delays nothing in between, and at p it is not worse off.
//! - If its deadline is before E', it must be placed now. That delays what follows to its invocation, which is
//!   possible exactly if no deadline between the two gaps is before its invocation; and it does not delay E' itself,
//!   since its invocation is before its deadline, which is before E'.
//!
//! So nothing needs to be decided at the create: [`Config::room_ns`], the earliest deadline since, tells at the next
//! delete whether those that had to be placed before could have been.

use crate::history::Record;
use crate::model::{self, Illegal, State};

use super::sort::Partition;

/// One way in which it can have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Config {
    pub state: State,
    /// Earliest time at which the latest operation can have acted.
    pub at_ns: u64,
    /// How far everything since the latest create can be delayed: the earliest deadline since.
    pub room_ns: u64,
    /// Earliest time of the latest create.
    pub born_ns: u64,
    /// How many of the partition's sightings of an absent container are placed.
    pub absents: usize,
    /// Operations of unknown outcome that have acted, by position in the partition; sorted.
    pub used: Vec<u32>,
    /// Whether a sighting of an absent container had to delay a create: then earliest times are no longer exact.
    pub delayed: bool,
    /// The latest guess on the way here, by number; [`NO_TRAIL`]: there was none.
    pub trail: u32,
}

/// No guess was made.
pub(super) const NO_TRAIL: u32 = u32::MAX;

/// Why an operation cannot come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The model forbids it.
    Illegal(Illegal),
    /// It returned before it can have acted.
    TooLate,
    /// It saw a life that was over.
    Dead,
    /// This record found the container absent when it was not.
    Vanished(u32),
}

impl Config {
    pub fn first() -> Self {
        Self {
            state: State::Absent,
            at_ns: 0,
            room_ns: u64::MAX,
            born_ns: 0,
            absents: 0,
            used: Vec::new(),
            delayed: false,
            trail: NO_TRAIL,
        }
    }

    /// Lets an operation with tokens come next.
    #[inline]
    pub fn place(&mut self, records: &[Record], partition: &Partition, record: &Record) -> Result<(), Why> {
        let next = model::step(self.state, record.into()).map_err(|illegal| match self.state {
            State::Absent => Why::Dead,
            _ => Why::Illegal(illegal),
        })?;
        if self.state == State::Absent && next == State::Absent {
            return Err(Why::Dead);
        }
        let at_ns = self.at_ns.max(record.invoke_ns);
        if at_ns > record.deadline_ns() {
            return Err(Why::TooLate);
        }
        self.pass(records, partition, next, at_ns, record.deadline_ns())
    }

    /// Goes to the next state at a time that can be delayed until the deadline.
    #[inline]
    pub fn pass(
        &mut self,
        records: &[Record],
        partition: &Partition,
        next: State,
        at_ns: u64,
        deadline_ns: u64,
    ) -> Result<(), Why> {
        self.at_ns = at_ns;
        let was = std::mem::replace(&mut self.state, next);
        if was == State::Absent {
            self.born_ns = at_ns;
            self.room_ns = deadline_ns;
            while partition.absents.get(self.absents).is_some_and(|&(invoke_ns, _)| invoke_ns <= at_ns) {
                self.absents += 1;
            }
        } else {
            self.room_ns = self.room_ns.min(deadline_ns);
            if next == State::Absent {
                return self.open_gap(records, partition);
            }
        }
        Ok(())
    }

    /// The container has just gone: places what found it absent before now, if that was possible.
    fn open_gap(&mut self, records: &[Record], partition: &Partition) -> Result<(), Why> {
        while let Some(&(invoke_ns, index)) = partition.absents.get(self.absents) {
            if invoke_ns > self.at_ns {
                break;
            }
            if records[index as usize].deadline_ns() < self.at_ns {
                if invoke_ns > self.room_ns {
                    return Err(Why::Vanished(index));
                }
                self.delayed = true;
            }
            self.absents += 1;
        }
        Ok(())
    }

    /// The first sighting of an absent container that has no place if the container lives on for ever.
    pub fn unplaced(&self, partition: &Partition) -> Option<u32> {
        if self.state == State::Absent {
            return None;
        }
        let rest = &partition.absents[self.absents..];
        let beyond = rest.partition_point(|&(invoke_ns, _)| invoke_ns <= self.room_ns);
        rest.get(beyond).map(|&(_, index)| index)
    }

    /// Whether whatever can follow the other can follow this as well.
    ///
    /// Times are earliest times, so earlier is better; a sighting that only the other has placed, this one can place
    /// by delaying its create as far as the other's, which its room allows.
    pub fn dominates(&self, other: &Self) -> bool {
        self.state == other.state
            && self.at_ns <= other.at_ns
            && self.room_ns >= other.room_ns
            && self.born_ns <= other.born_ns
            && self.delayed == other.delayed
            && self.used.iter().all(|used| other.used.binary_search(used).is_ok())
    }
}

/// Drops every configuration that another one dominates.
pub(super) fn prune(frontier: &mut Vec<Config>) {
    /// Beyond this, comparing all pairs costs more than it saves.
    const PAIRS_MAX: usize = 256;
    if frontier.len() > PAIRS_MAX {
        frontier.sort_unstable_by(|left, right| {
            (left.state, left.at_ns, &left.used).cmp(&(right.state, right.at_ns, &right.used))
        });
        frontier.dedup_by(|right, left| left.dominates(right));
        return;
    }
    let mut kept: Vec<Config> = Vec::with_capacity(frontier.len());
    for config in frontier.drain(..) {
        if !kept.iter().any(|other| other.dominates(&config)) {
            kept.retain(|other| !config.dominates(other));
            kept.push(config);
        }
    }
    *frontier = kept;
}
