//! Programs that look again and again, and wait in vain.
//!
//! Whoever sleeps until another changes something, when nobody else can go on, looks again and sees the same. It may give up after so
//! many looks, or after so long, so nobody can say that it hangs: but it counts as hanging once it has looked in vain for as long as a
//! command may take that makes no progress. Its sleeps take no time meanwhile, so that it looks more often than it otherwise would.
//!
//! The first of these looks are steps as all others are. Those after them are in no schedule: they read what nobody changes, and change what
//! nobody looks at, so no order of them matters, and how many there are is for the clock to say.

use std::sync::Arc;

use super::machine::{Machine, Result};
use super::task::Held;
use super::tree::Tree;
use crate::books::prediction::Effect;
use crate::explore::step::{Access, Footprint, Gate, Object, Step};
use crate::process::attention::Deadline;

/// How many looks in vain are steps.
pub(super) const LOOKS_TOLD: u32 = 10;

impl Machine {
    /// A step was taken: where it changed what concerns another, nobody has looked in vain since before that.
    pub(super) fn note_change(&mut self, process: usize, step: &Step) {
        if self.run.in_vain.is_some() && self.concerns_others(process, step) {
            self.run.in_vain = None;
        }
    }

    /// Nobody can go on but who has looked in vain as often as is told: that one looks again, and takes no step by that. Whether there
    /// was one, and it has not looked for too long.
    pub(super) fn look_in_vain(&mut self) -> Result<bool> {
        let Some((left_ns, process)) = self.next_in_vain() else { return Ok(false) };
        let patience = self.options.patience;
        if self.run.in_vain.get_or_insert_with(|| Deadline::after(patience)).is_over() {
            return Ok(false);
        }
        self.check_time(process)?;
        self.pass_time(left_ns);
        let tree = &mut self.trees[process];
        tree.is_stale = true;
        if !self.repeat_round(process)? {
            // It does something else: what it waits for after that, it has not waited for yet.
            self.trees[process].looks_in_vain = 0;
            self.run.in_vain = None;
        }
        Ok(true)
    }

    /// Whether those who look in vain have done so for too long.
    pub(super) fn has_looked_for_long(&mut self) -> bool {
        self.run.in_vain.as_mut().is_some_and(Deadline::is_over)
    }

    /// Somebody went on who slept for longer than others looked: they might have given up before.
    pub(super) fn doubt_looks(&mut self) {
        for process in 0..self.trees.len() {
            if self.trees[process].is_in_vain() && self.trees[process].is_live() {
                let what = format!(
                    "p{} looked in vain until another had slept, and might have looked more often",
                    process + 1
                );
                self.run.left.uncertain.insert(what);
            }
        }
    }

    /// The sleep that ends first, where its process has looked in vain as often as is told: in how many nanoseconds, and whose it is.
    fn next_in_vain(&self) -> Option<(u64, usize)> {
        if self.explores_tasks() {
            return None;
        }
        let (left_ns, process, ..) = self.first_sleeper(|_| true)?;
        let tree = &self.trees[process];
        // A timer that is due before that ends it, or has it go on otherwise.
        let is_timed = self.trees.iter().filter_map(Tree::first_timer_ns).any(|timer_ns| timer_ns <= left_ns);
        (tree.is_in_vain() && !is_timed && tree.round().is_some()).then_some((left_ns, process))
    }

    /// Has a process end its sleep, and look at the same as before, up to its next sleep; whether it did that, and nothing else. Where
    /// it is about to do something else, that is its next step.
    fn repeat_round(&mut self, process: usize) -> Result<bool> {
        let round: Vec<Arc<str>> = self.trees[process].round().unwrap_or_default().to_vec();
        let Some((.., tid)) = self.first_sleeper(|_| true).filter(|(_, other, ..)| *other == process) else {
            return Ok(false);
        };
        self.place(process, tid);
        if !self.is_untold(process, |_| true) {
            return Ok(false);
        }
        self.take_untold(process)?;
        for label in &round {
            if !self.is_untold(process, |tree| tree.plain == *label) {
                return Ok(false);
            }
            self.take_untold(process)?;
        }
        let tree = &self.trees[process];
        let held = tree.chosen.and_then(|tid| tree.held(tid));
        Ok(held.is_some_and(|held| {
            held.prediction.effect == Effect::Sleep && held.prediction.gate == Gate::Change
        }))
    }

    /// Whether the step before a process can be taken, is met by no fault, and concerns nobody else.
    fn is_untold(&self, process: usize, is_expected: impl Fn(&Tree) -> bool) -> bool {
        let tree = &self.trees[process];
        let held = tree.chosen.and_then(|tid| tree.held(tid));
        held.is_some_and(|held| !held.prediction.is_opaque)
            && tree.fault.is_none()
            && tree.step.as_ref().is_some_and(|step| {
                // A journal of changes tells how many there were.
                only_reads(step) || (!self.options.keeps_journal && !self.concerns_others(process, step))
            })
            && self.can(process)
            && is_expected(tree)
    }

    /// Whether a step changes what another has looked at, or is about to.
    fn concerns_others(&self, process: usize, step: &Step) -> bool {
        let is_about_to = |held: &Held| {
            // Who sleeps goes on when what it has seen changes.
            held.prediction.effect != Effect::Sleep
                && Footprint::of(held.prediction.touches.clone()).conflicts(&step.footprint)
        };
        let is_concerned = |tree: &Tree| {
            tree.has_seen(&step.footprint)
                || tree.tasks.iter().any(|task| task.held.as_ref().is_some_and(is_about_to))
        };
        let mut others = self.trees.iter().enumerate().filter(|(other, _)| *other != process);
        !only_reads(step) && others.any(|(_, tree)| is_concerned(tree))
    }

    /// Takes the step before a process, and tells nobody.
    fn take_untold(&mut self, process: usize) -> Result<()> {
        let tree = &mut self.trees[process];
        let (Some(step), Some(tid)) = (tree.step.take(), tree.chosen.take()) else {
            return Self::broken("a look was foreseen that is not there");
        };
        let Some(held) = tree.task(tid).and_then(|task| task.held.take()) else {
            return Self::broken("a look was foreseen whose call is gone");
        };
        tree.looked(&step, held.prediction.effect == Effect::Sleep);
        self.go(process, tid, held, None)
    }
}

/// Whether a step changes nothing that others can see.
fn only_reads(step: &Step) -> bool {
    let changes =
        |(object, access): &(Object, Access)| *access != Access::Read && *object != Object::REAL_TIME;
    !step.footprint.touches().iter().any(changes)
}
