//! Which task of a process goes next, where that is a choice.
//!
//! Each held task of a process has a place of its own among those that a strategy chooses from, and keeps it as long as it is
//! held whenever everybody stands still. Whoever is new gets the lowest place that is free, ordered by what it is about to
//! do and never by its thread id: a runtime such as Go's moves what it runs between threads, and the same schedule
//! must mean the same the next time.
//!
//! Which tasks can go is decided by more than their own steps: so each step of a process reads what all its held tasks are
//! about to touch, as it does where their order is fixed.

use std::sync::Arc;

use super::machine::{Machine, Result};
use super::task::Task;
use super::tree::Tree;
use crate::books::prediction::{Effect, world};
use crate::explore::machine::{place_of, process_at};
use crate::explore::step::{Access, Footprint, Gate, Mask, Object, Step};
use crate::plan::race::Threads;
use crate::plan::schedule::Fault;
use crate::process::procfs::Stat;

/// A task whose turn it may be.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    /// The task.
    pub tid: u32,
    step: Step,
    plain: Arc<str>,
    fault: Option<Fault>,
}

impl Machine {
    /// Whether it is a choice which task of a process goes next.
    pub(super) const fn explores_tasks(&self) -> bool {
        matches!(self.options.threads, Threads::Explore)
    }

    /// How many tasks of a process can have places.
    fn places(&self) -> usize {
        if self.explores_tasks() { Mask::CAPACITY / self.trees.len().max(1) } else { 1 }
    }

    /// Gives each held task of a process a place, and foresees its step.
    pub(super) fn line_up(&mut self, process: usize) {
        self.assign_places(process);
        let placed: Vec<Option<u32>> = self.trees[process]
            .choices
            .iter()
            .map(|choice| choice.as_ref().map(|choice| choice.tid))
            .collect();
        let mut able = 0;
        for (task, tid) in placed.iter().enumerate() {
            let Some(tid) = *tid else { continue };
            self.place(process, tid);
            let tree = &mut self.trees[process];
            let (fault, plain) = (tree.fault.take(), Arc::clone(&tree.plain));
            tree.choices[task] = tree.step.take().map(|step| Choice { tid, step, plain, fault });
            tree.chosen = None;
            able += usize::from(self.can_at(process, task));
        }
        if placed.iter().flatten().any(|tid| self.is_put_off(process, *tid)) {
            let what = format!(
                "a child of p{} that holds a lock ends only when its parent is not held",
                process + 1
            );
            self.run.left.uncertain.insert(what);
        }
        if able > 1 {
            self.run.left.in_any_order.insert(process);
        }
        let first = (0..placed.len()).find(|&task| self.can_at(process, task));
        match first.or(placed.iter().position(Option::is_some)) {
            Some(task) => self.turn_to_task(process, task),
            None => self.place_nothing(process),
        }
    }

    fn assign_places(&mut self, process: usize) {
        let places = self.places();
        let tree = &mut self.trees[process];
        tree.choices.resize(places, None);
        let held = |tree: &Tree, tid: u32| tree.held(tid).is_some();
        for place in 0..places {
            if tree.choices[place].as_ref().is_some_and(|choice| !held(tree, choice.tid)) {
                tree.choices[place] = None;
            }
        }
        let is_placed = |task: &&Task| tree.choices.iter().flatten().any(|choice| choice.tid == task.tid);
        let mut new: Vec<(&str, usize, u32)> = tree
            .tasks
            .iter()
            .filter(|task| !is_placed(task))
            .filter_map(|task| Some((task.held.as_ref()?.prediction.label.as_str(), task.number, task.tid)))
            .collect();
        new.sort_unstable();
        let new: Vec<u32> = new.into_iter().map(|(_, _, tid)| tid).collect();
        for tid in new {
            let Some(free) = tree.choices.iter().position(Option::is_none) else {
                let what = format!("more than {places} tasks of p{} could go at once", process + 1);
                self.run.left.uncertain.insert(what);
                break;
            };
            let step =
                Step { footprint: Footprint::default(), gate: Gate::Open, lock: None, label: Arc::from("") };
            tree.choices[free] = Some(Choice { tid, step, plain: Arc::from(""), fault: None });
        }
    }

    /// What a task's place adds to the labels of its steps: nothing at the first, which is all that most processes have.
    pub(super) fn label_at(&self, process: usize, tid: u32, label: &str) -> String {
        let at = |choice: &Option<Choice>| choice.as_ref().is_some_and(|choice| choice.tid == tid);
        match self.trees[process].choices.iter().position(at) {
            // A name may look like that, too.
            None | Some(0) if !label.ends_with(']') => label.to_owned(),
            None => label.to_owned(),
            Some(task) => format!("{label}{TASK_MARK}{}]", task + 1),
        }
    }

    /// Whether a task of a process can take its step.
    fn can_at(&self, process: usize, task: usize) -> bool {
        let choice = self.trees[process].choices.get(task).and_then(Option::as_ref);
        choice.is_some_and(|choice| {
            self.can_go(process, choice.tid, choice.fault) && !self.is_put_off(process, choice.tid)
        })
    }

    /// Whether a task is a child about to end whose parent can go first: that would be interrupted where it is held.
    fn is_put_off(&self, process: usize, tid: u32) -> bool {
        let tree = &self.trees[process];
        let interrupts = tree.held(tid).is_some_and(|held| self.end_interrupts(process, tid, &held.known));
        let parent = tree.tasks.iter().find(|task| task.tid == tid).and_then(|task| Stat::of(task.pid));
        let can_go = |task: &Task| task.held.as_ref().is_some_and(|held| self.is_able(process, held));
        interrupts
            && parent
                .is_some_and(|stat| tree.tasks.iter().any(|task| task.pid == stat.parent && can_go(task)))
    }

    /// Who can take a step.
    pub(super) fn enabled(&self) -> Mask {
        let processes = self.trees.len();
        let places = (0..self.places()).flat_map(|task| (0..processes).map(move |process| (process, task)));
        let turn = self.whose_turn();
        let able = places.filter(|&(process, task)| {
            if turn.is_some_and(|turn| turn != process) {
                return false;
            }
            if self.explores_tasks() { self.can_at(process, task) } else { self.can(process) }
        });
        able.map(|(process, task)| place_of(process, task, processes)).fold(Mask::default(), Mask::with)
    }

    /// The processes at these places.
    pub(super) fn processes_of(&self, places: Mask) -> Mask {
        let processes = places.iter().map(|place| process_at(place, self.trees.len()));
        processes.fold(Mask::default(), Mask::with)
    }

    /// What everybody is about to do, by places.
    pub(super) fn pending(&self, pending: &mut Vec<Option<Step>>) {
        pending.clear();
        if !self.explores_tasks() {
            pending.extend(self.trees.iter().map(|tree| tree.step.clone()));
            return;
        }
        for task in 0..self.places() {
            pending.extend(self.trees.iter().map(|tree| match tree.choices.get(task) {
                Some(Some(choice)) => Some(choice.step.clone()),
                // Who waits in the kernel is about to do nothing that is known.
                _ if task == 0 && tree.choices.iter().all(Option::is_none) => tree.step.clone(),
                _ => None,
            }));
        }
    }

    /// Puts the step before a process that was chosen.
    pub(super) fn turn_to(&mut self, place: usize) {
        if self.explores_tasks() {
            let processes = self.trees.len();
            self.turn_to_task(process_at(place, processes), place / processes);
        }
    }

    fn turn_to_task(&mut self, process: usize, task: usize) {
        let tree = &mut self.trees[process];
        let Some(choice) = tree.choices.get(task).cloned().flatten() else { return };
        (tree.chosen, tree.step, tree.plain, tree.fault) =
            (Some(choice.tid), Some(choice.step), choice.plain, choice.fault);
    }

    /// Whether what any task of a process is about to do may be another after a step that touches this.
    pub(super) fn is_concerned(&self, process: usize, footprint: &Footprint) -> bool {
        let tree = &self.trees[process];
        let chosen = tree.step.iter().chain(tree.choices.iter().flatten().map(|choice| &choice.step));
        chosen.into_iter().any(|step| step.footprint.conflicts(footprint))
    }

    /// Where tasks are explored: a task of a process took a step, and whoever sleeps until something changes may have waited
    /// for that. Of its own kin nobody knows what they wait for: they share their memory with it.
    pub(super) fn tell_the_sleepers(&mut self, actor: usize, tid: u32, slept: bool, footprint: &Footprint) {
        let changed: Vec<_> = footprint
            .touches()
            .iter()
            .filter(|(_, access)| *access != Access::Read)
            .map(|(object, _)| *object)
            .collect();
        for (process, tree) in self.trees.iter_mut().enumerate() {
            let is_seen =
                |object: &Object| *object == world() || tree.seen.iter().any(|(seen, _)| seen == object);
            let concerns = changed.iter().any(|object| process == actor || is_seen(object));
            for task in &mut tree.tasks {
                if process == actor && task.tid == tid {
                    task.has_looked = !slept;
                    task.is_stale &= !slept;
                } else {
                    task.is_stale |= concerns && task.has_looked;
                }
            }
        }
    }

    /// Whoever sleeps, having looked at something, may wait for what its kin change in memory, which is no step.
    pub(super) fn doubt_sleepers(&mut self, process: usize, tid: u32) {
        let tree = &self.trees[process];
        let sleeps = |task: &&Task| {
            let held = task.held.as_ref();
            task.tid != tid
                && task.has_looked
                && held.is_some_and(|held| held.prediction.effect == Effect::Sleep)
        };
        if tree.tasks.iter().any(|task| sleeps(&task)) {
            let what = format!("a task of p{} slept beside others that it shares memory with", process + 1);
            self.run.left.uncertain.insert(what);
        }
    }

    /// Looks anew at what the other tasks of a process are about to do, where a step of it may have changed that.
    pub(super) fn tell_own(&mut self, process: usize, footprint: &Footprint) -> Result<()> {
        let tree = &self.trees[process];
        if !tree.is_many || !tree.is_live() {
            return Ok(());
        }
        let touches = |task: &Task| {
            let held = task.held.as_ref();
            held.is_some_and(|held| Footprint::of(held.prediction.touches.clone()).conflicts(footprint))
        };
        if tree.tasks.iter().any(touches) {
            self.look_again(process)?;
        } else if self.explores_tasks() {
            self.line_up(process);
        }
        Ok(())
    }
}

/// Stands before the number of a task in the labels of its steps.
const TASK_MARK: &str = " [task ";

/// The task that a label names, from 0: the first where it names none.
#[must_use]
pub fn task_of(label: &str) -> usize {
    let plain = crate::plan::schedule::without_number(label);
    let number =
        plain.strip_suffix(']').and_then(|rest| rest.rsplit_once(TASK_MARK)?.1.parse::<usize>().ok());
    number.map_or(0, |number| number.saturating_sub(1))
}
