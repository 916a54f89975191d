//! Makes a case that has no order as small as it can be, by steps that each keep it an honest part of the history.
//!
//! - What comes after the place where nothing goes on is dropped, and so is a beginning: then what is under way may have
//!   acted or not, and the container may have been in any state.
//! - Operations that only look can be dropped: an order without them is no harder to find.
//! - Operations that must have acted can be treated as if they only may have: that allows more orders, not fewer. Those
//!   that then act in no order at all can be dropped. Whole processes are tried first, so that few are left; simply to
//!   drop an operation that can act would be wrong, for it may be what made another one illegal.
//! - What was eased to no avail must have acted again: that is what the history says, and it says more.
//!
//! Whatever is left is judged again after each step, so that it is itself a proof.

use std::time::{Duration, Instant};

use super::case::{Case, Dead, Fate};
use super::partition::{Duty, Item, Partition, States};
use super::sweep::{Limits, Sweep};
use crate::model::table::STATES_MAX;

/// How long shrinking may take; then what there is must do.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How many configurations a case may hold while it is shrunk.
const CONFIGS: usize = 1 << 16;
const STEPS: usize = 1 << 24;
/// From how many operations on a window is too large to be read, so that its beginning is told as a set of states.
const READABLE: usize = 24;

pub(super) struct Shrink<'a> {
    case: Case,
    dead: Box<Dead>,
    limits: Limits,
    /// Whose operation a record is.
    process: &'a dyn Fn(u32) -> u32,
    /// The records that must have acted, and are treated as if they only may have.
    eased: Vec<u32>,
}

/// Shrinks the case; `process` tells whose operation a record is.
pub(super) fn shrink(case: Case, dead: Box<Dead>, process: &dyn Fn(u32) -> u32) -> (Case, Box<Dead>) {
    let limits =
        Limits { width: usize::MAX, configs: CONFIGS, steps: STEPS, until: Some(Instant::now() + PATIENCE) };
    let mut shrink = Shrink { case, dead, limits, process, eased: Vec::new() };
    shrink.drop_end();
    shrink.begin_later(&|_, case| everywhere(case.states));
    if shrink.case.items.len() > READABLE {
        shrink.begin_in_known_states();
    }
    shrink.drop_lookers();
    shrink.ease_processes();
    shrink.ease_operations();
    shrink.firm_up();
    shrink.begin_later(&|_, case| everywhere(case.states));
    shrink.drop_idle();
    (shrink.case, shrink.dead)
}

fn everywhere(states: usize) -> States {
    ((1_u32 << states) - 1) as States
}

impl Shrink<'_> {
    /// Takes the case if it has no order either.
    fn take(&mut self, case: Case) -> bool {
        match case.judge(self.limits) {
            Fate::Dead(dead) => {
                (self.case, self.dead) = (case, dead);
                self.drop_end();
                true
            }
            Fate::Alive | Fate::Undecided => false,
        }
    }

    /// Drops what was invoked after the place where nothing goes on, and lets what is over later act later. That needs
    /// no proof: the sweep never got there.
    fn drop_end(&mut self) {
        let at_ns = self.dead.at_ns;
        self.case.items.retain(|item| item.invoke_ns <= at_ns);
        for item in self.case.items.iter_mut().filter(|item| item.deadline_ns > at_ns) {
            item.duty = Duty::Optional;
        }
    }

    /// Finds the latest beginning; `initial` tells the states in which the case can be at an event.
    fn begin_later(&mut self, initial: &dyn Fn(usize, &Case) -> States) {
        let partition = self.case.partition();
        let end = partition.events.len();
        let (mut from, mut beyond) = (0, end);
        while from + 1 < beyond {
            let middle = usize::midpoint(from, beyond);
            if self.take(Case::cut(&partition, middle, end, initial(middle, &self.case))) {
                from = middle;
            } else {
                beyond = middle;
            }
        }
    }

    /// Begins later, in those states in which what came before can have left the container.
    fn begin_in_known_states(&mut self) {
        let partition = self.case.partition();
        let known = match partition.words() {
            1 => known_states::<1, STATES_MAX>(&partition, self.limits),
            2 => known_states::<2, STATES_MAX>(&partition, self.limits),
            _ => Vec::new(),
        };
        self.begin_later(&|position, case| known.get(position).copied().unwrap_or(everywhere(case.states)));
    }

    /// Drops operations that only look: many at a time, then fewer.
    fn drop_lookers(&mut self) {
        let mut many = self.case.items.len();
        while many > 0 {
            let mut from = 0;
            while from < self.case.items.len() {
                let mut case = self.case.clone();
                let to = (from + many).min(case.items.len());
                let kept = case.items.drain(from..to).collect::<Vec<_>>();
                let kept =
                    kept.into_iter().filter(|item| item.may_change() || item.record == self.dead.record);
                let kept: Vec<_> = kept.collect();
                let skip = kept.len();
                case.items.splice(from..from, kept);
                if case.items.len() == self.case.items.len() || !self.take(case) {
                    from += many;
                } else {
                    from += skip;
                }
            }
            many /= 2;
        }
    }

    /// Eases all operations of a process at once, one process after the other.
    fn ease_processes(&mut self) {
        let owner = self.process;
        let mut processes: Vec<u32> = self.case.items.iter().map(|item| owner(item.record)).collect();
        processes.sort_unstable();
        processes.dedup();
        for process in processes {
            self.ease(&|record| owner(record) == process);
        }
        self.drop_idle();
    }

    /// Eases one operation after the other, the latest first.
    fn ease_operations(&mut self) {
        let records: Vec<u32> = self.case.items.iter().rev().map(|item| item.record).collect();
        for only in records {
            self.ease(&|record| record == only);
        }
        self.drop_idle();
    }

    /// Lets operations that must have acted be such that may have, if there is no order even so.
    fn ease(&mut self, is_meant: &dyn Fn(u32) -> bool) {
        let mut case = self.case.clone();
        let impossible = self.dead.record;
        let is_meant =
            |item: &Item| item.duty == Duty::Required && item.record != impossible && is_meant(item.record);
        let mut eased = Vec::new();
        for item in case.items.iter_mut().filter(|item| is_meant(item)) {
            item.duty = Duty::Optional;
            eased.push(item.record);
        }
        if !eased.is_empty() && self.take(case) {
            self.eased.append(&mut eased);
        }
    }

    /// Lets what was eased and is still there be what it was: it must have acted. There are no more orders than before.
    fn firm_up(&mut self) {
        let mut case = self.case.clone();
        let (eased, at_ns) = (&self.eased, self.dead.at_ns);
        let is_eased = |item: &&mut Item| eased.contains(&item.record) && item.deadline_ns <= at_ns;
        case.items.iter_mut().filter(is_eased).for_each(|item| item.duty = Duty::Required);
        self.take(case);
    }

    /// Drops operations that need not act and did not in any order tried: no order is lost.
    fn drop_idle(&mut self) {
        let mut case = self.case.clone();
        let acted = &self.dead.acted;
        case.items.retain(|item| item.duty == Duty::Required || acted.binary_search(&item.record).is_ok());
        self.take(case);
    }
}

/// For each event, the states in which the container can be just before it.
fn known_states<const W: usize, const S: usize>(partition: &Partition, limits: Limits) -> Vec<States> {
    let mut sweep = Sweep::<W, S>::new(partition);
    let mut room = super::sweep::Room::default();
    let mut known = Vec::with_capacity(partition.events.len());
    for position in 0..partition.events.len() {
        known.push(sweep.reachable());
        if sweep.run(position + 1, limits, &mut room) != super::sweep::End::Through {
            break;
        }
    }
    known
}
