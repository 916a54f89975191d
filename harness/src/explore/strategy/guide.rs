//! The chooser of a search: follows a prefix, then goes on as simply as it can, and notes what the search must know.

use std::sync::{Arc, Mutex, PoisonError};

use crate::explore::machine::{Chooser, Pick, Point, process_at};
use crate::explore::step::{Event, Footprint, Mask};

use super::race::PendingThen;
use super::tree::Entry;

/// What a chooser saw at the points that an execution does not tell.
#[derive(Debug, Default)]
pub struct Notes {
    /// Who was asleep at each point, before others who go to sleep there: what begins with them was seen elsewhere.
    pub asleep: Vec<Mask>,
    /// For each process, from which depth on it was about to do what.
    pending: Vec<Vec<(usize, Footprint)>>,
    /// Whether a forced step was not possible.
    pub diverged: bool,
}

impl Notes {
    fn look(&mut self, point: &Point<'_>) {
        self.pending.resize_with(point.processes, Vec::new);
        for (process, seen) in self.pending.iter_mut().enumerate() {
            let Some(footprint) = about_to_touch(point, process) else { continue };
            if seen.last().is_none_or(|(_, last)| *last != footprint) {
                seen.push((point.depth, footprint));
            }
        }
    }
}

/// What a process is about to touch, by whichever of its tasks.
fn about_to_touch(point: &Point<'_>, process: usize) -> Option<Footprint> {
    let mut tasks = point.pending.iter().skip(process).step_by(point.processes).flatten();
    let first = tasks.next()?.footprint.clone();
    let mut more = tasks.flat_map(|step| step.footprint.touches()).copied().peekable();
    if more.peek().is_none() {
        return Some(first);
    }
    Some(Footprint::of(first.touches().iter().copied().chain(more).collect()))
}

impl PendingThen for Notes {
    fn pending(&self, process: usize, depth: usize) -> Option<&Footprint> {
        let seen = &self.pending[process];
        let next = seen.partition_point(|(since, _)| *since <= depth);
        next.checked_sub(1).map(|at| &seen[at].1)
    }
}

/// Follows a prefix, then keeps the running process running while it can, else the lowest that can; processes that are
/// asleep are left alone, and where nobody else can go on the execution is abandoned.
pub struct Guide {
    prefix: Vec<Entry>,
    /// Sleep sets (Godefroid 1996): who sleeps, and what it was about to do when it went to sleep.
    sleepers: Vec<(usize, Footprint)>,
    /// How many processes there are.
    processes: usize,
    notes: Arc<Mutex<Notes>>,
}

impl Guide {
    /// Along this prefix, and where it notes what it sees.
    #[must_use]
    pub fn along(prefix: Vec<Entry>) -> (Self, Arc<Mutex<Notes>>) {
        let notes = Arc::default();
        (Self { prefix, sleepers: Vec::new(), processes: 1, notes: Arc::clone(&notes) }, notes)
    }

    fn note(&self, point: &Point<'_>, asleep: Mask) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.look(point);
        notes.asleep.push(asleep);
    }

    fn forced(&mut self, point: &Point<'_>, entry: Entry) -> Pick {
        for process in entry.earlier.iter() {
            if let Some(step) = &point.pending[process] {
                self.sleepers.push((process, step.footprint.clone()));
            }
        }
        if point.enabled.has(entry.process) {
            return Pick::Step(entry.process);
        }
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).diverged = true;
        Pick::Abandon
    }
}

impl Chooser for Guide {
    fn choose(&mut self, point: &Point<'_>) -> Pick {
        let asleep = self.sleepers.iter().fold(Mask::default(), |mask, (process, _)| mask.with(*process));
        self.processes = point.processes;
        self.note(point, asleep);
        if let Some(entry) = self.prefix.get(point.depth) {
            return self.forced(point, *entry);
        }
        let awake = point.enabled.difference(asleep);
        match point.last.filter(|&last| awake.has(last)).or(awake.lowest()) {
            Some(process) => Pick::Step(process),
            None => Pick::Abandon,
        }
    }

    fn happened(&mut self, event: &Event) {
        let touched = &event.step.footprint;
        let actor = process_at(event.process, self.processes);
        // What one task does may change whatever the others of its process are about to do.
        self.sleepers.retain(|(sleeper, footprint)| {
            process_at(*sleeper, self.processes) != actor && !footprint.conflicts(touched)
        });
    }
}
