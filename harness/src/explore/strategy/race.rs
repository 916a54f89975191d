//! The races of an execution: which steps could have come the other way round, and who must go first for that.
//!
//! An *ordinary* race is a pair of conflicting events with nothing between them in the happens-before order (Flanagan
//! and Godefroid, POPL 2005). To turn it round, what the later one needs runs first, then the later one; the processes
//! that can begin this are its initials (Abdulla, Aronsson, Jonsson and Sagonas, POPL 2014).
//!
//! There, all that does not depend on the earlier step is run before the later one, and there may be more initials. Here
//! only what is *needed* counts, because of what the race hides. Once the earlier step comes no longer first, the later
//! one may touch other things: what it touches depends on data. So
//!
//! - what merely happened to run beside it might conflict with it then, and to begin with that would prove nothing; and
//! - whatever conflicts with what the later step was *about to do* before the earlier one, may have to come first of all.
//!   So its beginning is wanted, too.
//!
//! It costs a few redundant executions in a thousand.
//!
//! Steps that can wait need more care, as two of them are never next to each other:
//!
//! - A *lock*'s release is no race with who takes it next: it could not have come later. The acquisition before it is.
//!   So the later step is looked at while it waits, whether it ever happens or not: had it come before the acquisition
//!   that it waits for, what it needs would have come before: what its process did, and the releases of those who held
//!   the lock already. One more holder of a shared lock, which happened to come meanwhile, would be no help.
//! - A *sleep* until something changes can be turned round with a change only if another change wakes it.

use crate::explore::machine::Execution;
use crate::explore::step::{Access, Footprint, Gate, LockPart, Mask, Object, Step};

use super::happens_before::HappensBefore;

/// Two steps that could have come the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Race {
    /// The index of the earlier.
    pub at: usize,
    /// Whose step is the later.
    pub process: usize,
    /// Who can begin, at the point before the earlier, what leads to the later; all of them enabled there.
    pub initials: Mask,
}

/// Which acquisitions a waiting one is set against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rivals {
    /// The last ones before it: against earlier ones it is set in other executions, which a search without bound runs.
    Nearest,
    /// Every process that conflicts, whether a later one includes it or not.
    All,
}

/// What a process was about to do at a point, by its depth.
pub trait PendingThen {
    /// The footprint of the step that the process was about to take before the step with this index.
    fn pending(&self, process: usize, depth: usize) -> Option<&Footprint>;
}

/// Looks for the races of one execution.
pub struct Races<'e, P> {
    execution: &'e Execution<()>,
    order: &'e HappensBefore<'e>,
    pending: &'e P,
}

/// A lock step from its process's stop on, until it happens or the execution ends.
struct Wait<'e> {
    process: usize,
    step: &'e Step,
    lock: Object,
    /// The event of its process before it.
    after: Option<usize>,
    until: usize,
}

impl<'e, P: PendingThen> Races<'e, P> {
    /// Of this execution, of which this is the order.
    pub fn new(execution: &'e Execution<()>, order: &'e HappensBefore<'e>, pending: &'e P) -> Self {
        Self { execution, order, pending }
    }

    /// All of them, each once for each set of initials that must be heeded. There is nothing to do for one whose set is
    /// empty.
    #[must_use]
    pub fn all(&self) -> Vec<Race> {
        let mut races = Vec::new();
        for &(earlier, later) in self.order.adjacent() {
            self.of_pair(earlier, later, &mut races);
        }
        for wait in self.waits() {
            self.of_wait(&wait, &mut races);
        }
        races
    }

    /// Pairs of an event and a process: whatever conflicts with nothing between, races or not, and whoever waited for a
    /// lock that the event took. Which of two such steps comes first can decide whether a switch between processes is a
    /// preemption, even where it decides nothing else.
    #[must_use]
    pub fn all_conflicts(&self) -> Vec<(usize, usize)> {
        let adjacent = self.order.adjacent().iter();
        let adjacent = adjacent.map(|&(earlier, later)| (earlier, self.execution.events[later].process));
        let waits = self.waits();
        let waiting = waits.iter().flat_map(|wait| {
            self.rivals(wait, Rivals::All).into_iter().map(|acquisition| (acquisition, wait.process))
        });
        adjacent.chain(waiting).collect()
    }

    fn step(&self, event: usize) -> &'e Step {
        &self.execution.events[event].step
    }

    fn race(&self, at: usize, process: usize, initials: Mask) -> Race {
        Race { at, process, initials: initials.intersection(self.execution.enabled[at]) }
    }

    fn of_pair(&self, earlier: usize, later: usize, races: &mut Vec<Race>) {
        let (process, step) = (self.execution.events[later].process, self.step(later));
        let beside: Vec<usize> =
            (earlier + 1..later).filter(|&event| !self.order.before(earlier, event)).collect();
        let possible = match step.gate {
            Gate::Open => true,
            Gate::Lock(lock) => {
                !changes(self.step(earlier), lock)
                    || step.footprint.conflicts_beside(&self.step(earlier).footprint, Some(lock))
            }
            Gate::Change => self.wakes_without(earlier, later, &beside),
        };
        if !possible {
            return;
        }
        let needed: Vec<usize> =
            beside.iter().copied().filter(|&event| self.order.before(event, later)).collect();
        self.heed(earlier, process, &needed, races);
        let then = self.pending.pending(process, earlier).unwrap_or(&step.footprint);
        for event in earlier + 1..self.execution.events.len() {
            if self.step(event).footprint.conflicts(then)
                && !self.order.before(earlier, event)
                && !self.order.before(later, event)
                && !self.order.before(event, later)
            {
                self.heed_past(earlier, process, event, races);
            }
        }
    }

    /// Wants an event, and what is before it, before the event at hand.
    fn heed_past(&self, at: usize, process: usize, event: usize, races: &mut Vec<Race>) {
        let past: Vec<usize> = (at + 1..=event).filter(|&before| self.order.before(before, event)).collect();
        races.push(self.race(at, process, self.order.initials(&past)));
    }

    /// Wants the needed events, and then the process's step, before the event at hand.
    fn heed(&self, at: usize, process: usize, needed: &[usize], races: &mut Vec<Race>) {
        let mut initials = self.order.initials(needed);
        if needed.is_empty() {
            initials = initials.with(process);
        }
        races.push(self.race(at, process, initials));
    }

    fn wakes_without(&self, earlier: usize, later: usize, beside: &[usize]) -> bool {
        let process = self.execution.events[later].process;
        self.order.previous(later).is_some_and(|previous| previous > earlier)
            || self.execution.enabled[earlier].has(process)
            || beside.iter().any(|&event| self.step(event).footprint.conflicts(&self.step(later).footprint))
    }

    fn waits(&self) -> Vec<Wait<'e>> {
        let events = &self.execution.events;
        let happened = events
            .iter()
            .enumerate()
            .map(|(at, event)| (event.process, &event.step, self.order.previous(at), at));
        let ahead = self.execution.pending.iter().enumerate().filter_map(|(process, step)| {
            let process = self.execution.process(process);
            Some((process, step.as_ref()?, self.order.last(process), events.len()))
        });
        happened
            .chain(ahead)
            .filter_map(|(process, step, after, until)| match step.gate {
                Gate::Lock(lock) => Some(Wait { process, step, lock, after, until }),
                Gate::Open | Gate::Change => None,
            })
            .collect()
    }

    fn of_wait(&self, wait: &Wait<'_>, races: &mut Vec<Race>) {
        for acquisition in self.rivals(wait, Rivals::Nearest) {
            let Some(needed) = self.needed(wait, acquisition) else { continue };
            self.heed(acquisition, wait.process, &needed, races);
            for event in self.in_the_way(wait, acquisition, &needed) {
                self.heed_past(acquisition, wait.process, event, races);
            }
        }
    }

    /// The acquisitions by others that kept the process waiting, or might have, and that it did not have to wait for
    /// already before it came to this step.
    fn rivals(&self, wait: &Wait<'_>, which: Rivals) -> Vec<usize> {
        let mut rivals = Vec::new();
        // Who took it anew, having held it already: that it was held is no less a rival.
        let mut holder = None;
        for event in (0..wait.until).rev() {
            if self.step(event).lock != Some(LockPart::Acquire(wait.lock)) {
                continue;
            }
            let process = self.execution.events[event].process;
            let exclusive = self.step(event).footprint.access(wait.lock) == Some(Access::Write);
            let hides = exclusive && which == Rivals::Nearest;
            if hides && !rivals.is_empty() && holder != Some(process) {
                break;
            }
            let known = wait.after.is_some_and(|after| self.order.before(event, after));
            if process != wait.process && !known && excludes(self.step(event), wait) {
                rivals.push(event);
            }
            if hides && !self.held_before(event, wait.lock) {
                break;
            }
            holder = hides.then_some(process).or(holder);
        }
        rivals
    }

    /// Whether the process of an acquisition held the lock already.
    fn held_before(&self, acquisition: usize, lock: Object) -> bool {
        let mut before = self.order.previous(acquisition);
        while let Some(event) = before {
            if changes(self.step(event), lock) {
                return !lets_go(self.step(event), lock) || self.step(event).gate == Gate::Lock(lock);
            }
            before = self.order.previous(event);
        }
        false
    }

    /// The events from the acquisition on without which the waiting process cannot have the lock before it; none where
    /// one of them depends on the acquisition.
    fn needed(&self, wait: &Wait<'_>, acquisition: usize) -> Option<Vec<usize>> {
        let mut roots: Vec<usize> = wait.after.into_iter().filter(|&after| after > acquisition).collect();
        loop {
            let is_needed = |event: &usize| roots.iter().any(|&root| self.order.before(*event, root));
            let needed: Vec<usize> = (acquisition + 1..wait.until).filter(is_needed).collect();
            if needed.iter().any(|&event| self.order.before(acquisition, event)) {
                return None;
            }
            let Some(holder) = self.holder(wait, acquisition, &needed) else { return Some(needed) };
            let release = (acquisition + 1..wait.until).find(|event| {
                self.execution.events[*event].process == holder
                    && !needed.contains(event)
                    && lets_go(self.step(*event), wait.lock)
            });
            roots.push(release?);
        }
    }

    /// Somebody else who holds the lock after all before the acquisition, and these.
    fn holder(&self, wait: &Wait<'_>, acquisition: usize, needed: &[usize]) -> Option<usize> {
        let mut holders = Mask::default();
        for event in (0..acquisition).chain(needed.iter().copied()) {
            let (process, step) = (self.execution.events[event].process, self.step(event));
            if step.lock == Some(LockPart::Acquire(wait.lock)) && excludes(step, wait) {
                holders = holders.with(process);
            } else if changes(step, wait.lock) {
                holders = holders.without(process);
            }
        }
        holders.without(wait.process).lowest()
    }

    /// Events that could come before the acquisition as well, and conflict with the waiting step.
    fn in_the_way(&self, wait: &Wait<'_>, acquisition: usize, needed: &[usize]) -> Vec<usize> {
        (acquisition + 1..wait.until)
            .filter(|event| {
                self.execution.events[*event].process != wait.process
                    && !needed.contains(event)
                    && !self.order.before(acquisition, *event)
                    && self.step(*event).footprint.conflicts(&wait.step.footprint)
            })
            .collect()
    }
}

/// Whether the step changes the lock.
fn changes(step: &Step, lock: Object) -> bool {
    matches!(step.footprint.access(lock), Some(Access::Update | Access::Write))
}

/// Whether the step changes the lock, but does not take it.
fn lets_go(step: &Step, lock: Object) -> bool {
    changes(step, lock) && step.lock != Some(LockPart::Acquire(lock))
}

/// Whether the lock cannot be had while it is held as this acquisition takes it.
fn excludes(acquisition: &Step, wait: &Wait<'_>) -> bool {
    let (held, wanted) = (acquisition.footprint.access(wait.lock), wait.step.footprint.access(wait.lock));
    held.zip(wanted).is_some_and(|(held, wanted)| held.conflicts(wanted))
}
