//! The same steps again: follows a schedule, step by step, by who takes it and what it does.
//!
//! This is a chooser and no strategy: there is one execution to run, and whoever asks for it wants to know what became of
//! it.

use std::sync::Arc;

use crate::explore::machine::{Chooser, Pick, Point};
use crate::explore::step::{Event, Mask};
use crate::plan::schedule::Line;

/// One step of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Turn {
    /// The process whose turn it is, counted from 0.
    pub process: usize,
    /// What it does, as its label says.
    pub label: Arc<str>,
}

impl From<&Event> for Turn {
    fn from(event: &Event) -> Self {
        Self { process: event.process, label: Arc::clone(&event.step.label) }
    }
}

/// How closely a schedule is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fidelity {
    /// Exactly, and to the end of the execution: the first step that is not possible ends it, and so does a step after
    /// the schedule's last.
    Strict,
    /// Exactly, and then on by default: whoever runs runs on while it can, else the lowest that can.
    Prefix,
    /// As far as it fits: steps that are not possible are left out. Then on by default.
    Lenient,
}

/// Where an execution did not do what the schedule says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// How many steps had happened.
    pub depth: usize,
    /// What the schedule says; nothing where it is over and the execution is not.
    pub expected: Option<Turn>,
    /// What each process was about to do instead; none where its program is over.
    pub pending: Vec<Option<Arc<str>>>,
    /// Who could have gone on.
    pub enabled: Mask,
    /// How many processes there are.
    pub processes: usize,
}

/// What became of a schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// How many steps of the schedule were taken.
    pub taken: usize,
    /// How many were left out.
    pub skipped: usize,
    /// How many are left at the end of the execution: it was over before the schedule was.
    pub left: usize,
    /// The first step that was not possible.
    pub divergence: Option<Divergence>,
}

impl Followed {
    /// Whether all of the schedule happened, and, if that was asked for, nothing else.
    #[must_use]
    pub fn to_the_letter(&self) -> bool {
        self.divergence.is_none() && self.skipped == 0 && self.left == 0
    }
}

/// Follows a schedule as far as it fits, and tells where it does not.
#[derive(Debug)]
pub struct Follower {
    schedule: Arc<[Turn]>,
    fidelity: Fidelity,
    at: usize,
    followed: Followed,
}

impl Follower {
    /// Of this schedule, so closely.
    #[must_use]
    pub fn new(schedule: Arc<[Turn]>, fidelity: Fidelity) -> Self {
        let followed = Followed { left: schedule.len(), ..Followed::default() };
        Self { schedule, fidelity, at: 0, followed }
    }

    /// What became of it.
    #[must_use]
    pub fn followed(&self) -> &Followed {
        &self.followed
    }

    fn pass(&mut self) {
        self.at += 1;
        self.followed.left = self.schedule.len() - self.at;
    }

    fn diverge(&mut self, point: &Point<'_>, expected: Option<Turn>) {
        self.followed.divergence.get_or_insert_with(|| Divergence {
            depth: point.depth,
            expected,
            pending: point.pending.iter().map(|step| Some(Arc::clone(&step.as_ref()?.label))).collect(),
            enabled: point.enabled,
            processes: point.processes,
        });
    }
}

fn fits(turn: &Turn, point: &Point<'_>) -> bool {
    let pending = point.pending.get(turn.process).and_then(Option::as_ref);
    point.enabled.has(turn.process) && pending.is_some_and(|step| step.label == turn.label)
}

fn by_default(point: &Point<'_>) -> Pick {
    let going_on = point.last.filter(|&last| point.enabled.has(last));
    going_on.or(point.enabled.lowest()).map_or(Pick::Abandon, Pick::Step)
}

impl Chooser for Follower {
    fn choose(&mut self, point: &Point<'_>) -> Pick {
        while let Some(turn) = self.schedule.get(self.at).cloned() {
            if fits(&turn, point) {
                self.pass();
                self.followed.taken += 1;
                return Pick::Step(turn.process);
            }
            self.diverge(point, Some(turn));
            if self.fidelity != Fidelity::Lenient {
                return Pick::Abandon;
            }
            self.pass();
            self.followed.skipped += 1;
        }
        if self.fidelity == Fidelity::Strict {
            self.diverge(point, None);
            return Pick::Abandon;
        }
        by_default(point)
    }

    fn happened(&mut self, _: &Event) {}
}
impl From<&Line> for Turn {
    fn from(line: &Line) -> Self {
        Self { process: line.process, label: line.label.as_str().into() }
    }
}
