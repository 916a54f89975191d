//! Steps: which call of a tree comes next, and what happens as it is let go.

use super::behalf;
use super::descriptors::Moved;
use super::machine::{Machine, Result};
use super::memory::Memory;
use super::signals::Lost;
use super::still::{self, Look};
use super::task::Held;
use super::tree::{Heard, Phase, Tree, planned_for};
use crate::books::deed::{Ask, Deed, Fd, Known, LockKind, Told};
use crate::books::lasting;
use crate::books::locks::Holding;
use crate::books::prediction::{self, Effect, Prediction, under, world};
use crate::explore::step::{Access, Event, Footprint, Gate, Object, Step};
use crate::plan::schedule::Fault;
use crate::process::procfs::{self, Stat};
use crate::process::sys::seccomp::{Notification, Reply};

use Access::{Read, Update, Write};

/// How soon a call comes among those of one tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// It can happen.
    Can,
    /// It is the end of a child of which its parent hears while it is held.
    Leaves,
    /// It is a sleep that can end.
    Wakes,
    /// It waits for a lock. Before those that sleep: whether the lock is to be had or not, it is the next.
    Waits,
    /// It sleeps.
    Sleeps,
}

/// A sleep: in how many nanoseconds it ends, of which process it is, and of which of its tasks, by number and by id.
pub(super) type Sleeper = (u64, usize, usize, u32);

impl Machine {
    /// Which of a tree's held calls is its next step: one that can happen, by its label.
    pub(super) fn choose(&mut self, process: usize) {
        if self.trees[process].is_many {
            self.drop_the_gone(process);
            self.bury_the_dead(process);
        }
        if self.explores_tasks() {
            self.line_up(process);
            return;
        }
        let mut candidates: Vec<(Rank, String, usize, u32)> = Vec::new();
        for task in &self.trees[process].tasks {
            let Some(held) = &task.held else { continue };
            let rank = self.rank(process, held);
            candidates.push((rank, held.prediction.label.clone(), task.number, task.tid));
        }
        candidates.sort();
        let waits = candidates.iter().filter(|candidate| candidate.0 == Rank::Waits).count();
        if waits > 1 && candidates[0].0 > Rank::Wakes {
            let what = format!("several tasks of p{} wait for locks at once", process + 1);
            self.run.left.uncertain.insert(what);
        }
        if candidates.iter().filter(|candidate| candidate.0 <= Rank::Wakes).count() > 1 {
            self.run.left.in_fixed_order.insert(process);
        }
        match candidates.first() {
            Some((_, _, _, tid)) => self.place(process, *tid),
            None => self.place_nothing(process),
        }
    }

    /// Calls whose tasks were killed, or interrupted by a signal, are not to be answered any more.
    pub(super) fn drop_the_gone(&mut self, process: usize) {
        let tree = &mut self.trees[process];
        let listener = &tree.slot.listener;
        for task in &mut tree.tasks {
            if let Some(held) = task.held.take_if(|held| !listener.is_there(held.stop.id)) {
                task.lost = Lost::of(held);
            }
        }
    }

    fn rank(&self, process: usize, held: &Held) -> Rank {
        match &held.prediction.effect {
            Effect::Take(wanted, Ask::Wait) if !self.locks.is_free(wanted) => Rank::Waits,
            Effect::Sleep if held.prediction.gate == Gate::Change && !self.may_wake(process, held) => {
                Rank::Sleeps
            }
            Effect::Sleep => Rank::Wakes,
            _ if self.end_interrupts(process, held.stop.task, &held.known) => Rank::Leaves,
            _ => Rank::Can,
        }
    }

    /// Whether a held call can happen.
    pub(super) fn is_able(&self, process: usize, held: &Held) -> bool {
        self.rank(process, held) <= Rank::Wakes
    }

    /// Whether what a sleeper looked at may have changed.
    fn may_wake(&self, process: usize, held: &Held) -> bool {
        let tree = &self.trees[process];
        if self.explores_tasks() {
            return tree.tasks.iter().any(|task| task.tid == held.stop.task && task.is_stale);
        }
        tree.is_stale
    }

    /// Puts a held call before its process as the next step.
    pub(super) fn place(&mut self, process: usize, tid: u32) {
        let Some(held) = self.trees[process].held(tid) else { return };
        let mut prediction = held.prediction.clone();
        prediction.faults = self.with_alone(process, prediction.faults);
        let is_end = matches!(held.known, Deed::Exit(Some(_)));
        let mut others = self.trees[process].tasks.iter().filter(|task| task.tid != tid);
        let has_rival = others
            .any(|other| other.held.as_ref().is_some_and(|other| self.rank(process, other) <= Rank::Wakes));
        if has_rival && matches!(prediction.gate, Gate::Lock(_)) && self.rank(process, held) == Rank::Can {
            // While the lock was not to be had another call was the next: who gave it up decided between the two, which
            // is no less than a race.
            prediction.gate = Gate::Open;
        }
        let killed = prediction::killed(process, &self.locks);
        let mut more = self.more(process, tid, &prediction, is_end);
        more.extend(self.touches_disk(&held.known, &held.prediction));
        let label = self.label_at(process, tid, &prediction.label);
        let planned = &self.run.planned;
        let tree = &mut self.trees[process];
        tree.foresee(Some(tid), &label, |label| prediction.step(label, more.iter().copied()));
        if let Some(step) = tree.step.take() {
            tree.fault =
                planned_for(planned, process, &step.label).filter(|fault| prediction.faults.has(*fault));
            tree.step = Some(under(step, tree.fault, &killed, &more));
        }
    }

    /// What a step touches beside its own: when commands begin and end, and what decides which of the tree's calls is next.
    fn more(&self, process: usize, tid: u32, own: &Prediction, is_end: bool) -> Vec<(Object, Access)> {
        let tree = &self.trees[process];
        let mut more = Vec::new();
        if self.begins_late(tree.command) && !tree.has_begun {
            more.push((Object::REAL_TIME, Read));
        }
        if is_end && self.run.has_times {
            more.push((Object::REAL_TIME, Update));
        }
        for task in tree.tasks.iter().filter(|task| task.tid != tid) {
            let Some(held) = &task.held else { continue };
            let others = held.prediction.touches.iter().map(|(object, _)| (*object, Read));
            more.extend(
                others.filter(|(object, _)| own.touches.iter().all(|(touched, _)| touched != object)),
            );
        }
        more
    }

    /// How a call touches what a power loss leaves, where one is tried.
    pub(super) fn touches_disk(&self, known: &Known, prediction: &Prediction) -> Option<(Object, Access)> {
        self.options.keeps_journal.then(|| lasting::touches_disk(known, prediction, |_| true)).flatten()
    }

    /// Nobody of the tree is held: it is over, or waits in the kernel for another.
    pub(super) fn place_nothing(&mut self, process: usize) {
        let tree = &mut self.trees[process];
        (tree.fault, tree.step, tree.chosen) = (None, None, None);
        if tree.phase != Phase::Running {
            return;
        }
        tree.foresee(None, "wait in the kernel", |label| Step {
            footprint: Footprint::of(vec![(world(), Read)]),
            gate: Gate::Change,
            lock: None,
            label,
        });
    }

    /// Whether a process can take its step.
    pub(super) fn can(&self, process: usize) -> bool {
        let tree = &self.trees[process];
        let Some(tid) = tree.chosen.filter(|_| tree.step.is_some()) else { return false };
        self.can_go(process, tid, tree.fault)
    }

    /// Whether a held task can take its step, which this fault will meet.
    pub(super) fn can_go(&self, process: usize, tid: u32, fault: Option<Fault>) -> bool {
        matches!(fault, Some(Fault::Kill | Fault::KillOne | Fault::Error(_)))
            || self.trees[process].held(tid).is_some_and(|held| self.rank(process, held) <= Rank::Wakes)
    }

    /// Whose locks stand in the way of a process.
    pub(super) fn in_the_way(&self, process: usize) -> Vec<usize> {
        let tree = &self.trees[process];
        let held = tree.chosen.and_then(|tid| tree.held(tid));
        match held.map(|held| &held.prediction.effect) {
            Some(Effect::Take(wanted, _)) => self.locks.in_the_way(wanted).map(|held| held.process).collect(),
            _ => Vec::new(),
        }
    }

    /// Nobody can go on: this sleep ends.
    pub(super) fn wake(&mut self, (left_ns, process, _, tid): Sleeper) {
        self.pass_time(left_ns);
        if self.trees[process].is_behind(tid) && self.whose_turn().is_none() {
            let what = format!(
                "p{} slept until nobody else could go on, and might have gone on earlier",
                process + 1
            );
            self.run.left.uncertain.insert(what);
        }
        self.trees[process].count_look();
        self.trees[process].is_stale = true;
        if self.explores_tasks() {
            self.trees[process].task(tid).into_iter().for_each(|task| task.is_stale = true);
            self.line_up(process);
        } else {
            self.place(process, tid);
        }
    }

    /// The sleep that ends first, of the trees that are meant.
    pub(super) fn first_sleeper(&self, is_meant: impl Fn(&Tree) -> bool) -> Option<Sleeper> {
        let turn = self.whose_turn();
        let is_in_turn =
            |(process, tree): &(usize, &Tree)| turn.is_none_or(|turn| turn == *process) && is_meant(tree);
        let sleepers = self.trees.iter().enumerate().filter(is_in_turn).flat_map(|(process, tree)| {
            tree.tasks.iter().filter_map(move |task| {
                let left = task.held.as_ref()?.until_ns?.saturating_sub(tree.slept_ns);
                Some((left, process, task.number, task.tid))
            })
        });
        sleepers.min()
    }

    /// Nobody can go on: a tree whose next call waits may have another that does not; whether there was one.
    pub(super) fn choose_another(&mut self) -> bool {
        for process in 0..self.trees.len() {
            if self.trees[process].is_many && self.trees[process].is_live() {
                self.choose(process);
                if self.can(process) {
                    return true;
                }
            }
        }
        false
    }

    /// Lets a process take its step, and waits until it stands again.
    pub(super) fn take(&mut self, process: usize) -> Result<Event> {
        let tree = &mut self.trees[process];
        let (Some(step), Some(tid)) = (tree.step.take(), tree.chosen.take()) else {
            return Self::broken("a step was chosen that is not there");
        };
        let faults = tree.held(tid).map(|held| held.prediction.faults).unwrap_or_default();
        let faults = self.with_alone(process, faults);
        let tree = &mut self.trees[process];
        let Some(held) = tree.task(tid).and_then(|task| task.held.take()) else {
            return Self::broken("a step was chosen whose call is gone");
        };
        self.note(process, &step, faults);
        let begins_late = self.begins_late(self.trees[process].command);
        let explores_tasks = self.explores_tasks();
        if explores_tasks {
            self.doubt_sleepers(process, tid);
        }
        let tree = &mut self.trees[process];
        let fault = tree.fault.take();
        if !tree.has_begun && begins_late {
            let command = tree.command;
            tree.commands[command].invoked = Some(self.run.depth);
        }
        let slept = held.prediction.effect == Effect::Sleep;
        // Where tasks are explored each of them sleeps for itself.
        tree.took(&step, slept && !explores_tasks);
        self.run.depth += 1;
        self.fell = false;
        let is_opaque = held.prediction.is_opaque;
        self.go(process, tid, held, fault)?;
        let step = if self.fell && fault.is_none() { with_fall(process, &step) } else { step };
        self.note_change(process, &step);
        if is_opaque || self.fell {
            self.settle_others(process)?;
        }
        if self.explores_tasks() {
            self.tell_the_sleepers(process, tid, slept, &step.footprint);
        }
        self.tell_the_others(process, &step.footprint)?;
        self.tell_own(process, &step.footprint)?;
        Ok(Event { process, step })
    }

    pub(super) fn go(&mut self, process: usize, tid: u32, held: Held, fault: Option<Fault>) -> Result<()> {
        let Held { stop, told, known, prediction, until_ns, .. } = held;
        if prediction.effect == Effect::Sleep {
            let tree = &mut self.trees[process];
            tree.slept_ns = tree.slept_ns.max(until_ns.unwrap_or(0));
        }
        match fault {
            Some(Fault::Kill) => return self.kill(process),
            Some(Fault::KillOne) => return self.kill_one(process, tid),
            Some(Fault::Error(error)) => {
                self.let_go(process, &stop, Reply::Error(error.errno()))?;
                return self.settle(process);
            }
            Some(Fault::ShortWrite | Fault::ShortWriteKill) => {
                let written = self.write_half(process, tid, &told)?;
                if fault == Some(Fault::ShortWriteKill) {
                    return self.kill(process);
                }
                self.let_go(process, &stop, Reply::Value(written))?;
                return self.settle(process);
            }
            None => {}
        }
        self.note_mapped(process, &known, &prediction);
        if let Effect::GiveUp(given) = &prediction.effect {
            return self.give_up(process, stop, &told, given);
        }
        let reply = match self.apply(process, tid, &told, &prediction)? {
            Reply::Continue => self.deliver(process, &stop, &known)?,
            reply => reply,
        };
        self.ends_others(process, tid, &known);
        self.go_on(process, tid, &known);
        let moved = Moved::by(&known);
        self.journal(process, tid, &told, known);
        self.let_go(process, &stop, reply)?;
        self.settle(process)?;
        // Others of the tree may have stopped before the names had moved.
        self.move_names(&moved);
        Ok(())
    }

    fn write_half(&self, process: usize, tid: u32, told: &Told) -> Result<i64> {
        let task = self.trees[process].tasks.iter().find(|task| task.tid == tid);
        match (told, task) {
            (Deed::Write(fd, writing), Some(task)) => {
                Ok(behalf::write_half(task.descriptor(fd.0)?, Memory(task.pid), writing)?)
            }
            _ => Ok(0),
        }
    }

    /// A lock is given up to be taken anew in another mode: the call itself is still to come.
    fn give_up(&mut self, process: usize, stop: Notification, told: &Told, given: &Holding) -> Result<()> {
        let task = self.trees[process].tasks.iter().find(|task| task.tid == stop.task);
        if let (Some(task), Deed::Lock { file, .. }) = (task, told) {
            behalf::give_up(task.descriptor(file.0)?)?;
        }
        self.locks.let_go(given);
        self.foresee(process, stop)?;
        self.choose(process);
        Ok(())
    }

    /// Keeps the books for a step; gives back how the call is answered.
    fn apply(&mut self, process: usize, tid: u32, told: &Told, prediction: &Prediction) -> Result<Reply> {
        match &prediction.effect {
            Effect::None | Effect::GiveUp(_) => {}
            Effect::Take(wanted, ask) => {
                self.locks.take(*wanted);
                if wanted.kind == LockKind::Posix {
                    return Ok(Reply::Continue);
                }
                let task = self.trees[process].task(tid);
                if let (Some(task), Deed::Lock { file: Fd(fd), .. }) = (task, told) {
                    if let Some(open) = task.open.get_mut(*fd) {
                        open.locked_as = Some(wanted.owner);
                    }
                    if *ask == Ask::Wait {
                        behalf::take(task.descriptor(*fd)?, wanted)?;
                    }
                }
                if *ask == Ask::Wait {
                    return Ok(Reply::Value(0));
                }
            }
            Effect::LetGo(given) => given.iter().for_each(|given| self.locks.let_go(given)),
            Effect::Sleep => return Ok(Reply::Value(0)),
        }
        Ok(Reply::Continue)
    }

    /// Answers the call of a step. A call that a signal interrupted meanwhile, as one that stops and continues a program
    /// does, is made again: then that one is answered.
    fn let_go(&mut self, process: usize, stop: &Notification, reply: Reply) -> Result<()> {
        /// How long an interrupted call may take to be made again.
        const AGAIN: std::time::Duration = std::time::Duration::from_millis(200);
        let mut stop = *stop;
        while !self.answer(process, &stop, reply)? {
            if self.trees[process].hear(AGAIN)? != Heard::Stop {
                if procfs::lives(stop.task) {
                    self.spoil(process, "the one that was let go");
                }
                return Ok(());
            }
            match self.receive(process)? {
                Some(next)
                    if next.task == stop.task && next.number == stop.number && next.args == stop.args =>
                {
                    stop = next;
                }
                Some(other) => {
                    if other.task == stop.task {
                        self.spoil(process, "the one that was let go");
                    }
                    return self.on_stop(process, other);
                }
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// What is not foreseen may have woken whoever waits in the kernel.
    fn settle_others(&mut self, actor: usize) -> Result<()> {
        for process in (0..self.trees.len()).filter(|process| *process != actor) {
            if self.trees[process].phase != Phase::Running {
                continue;
            }
            // A signal takes a moment to reach whom it is for. Whoever is held is not disturbed where signals wait, but may be
            // killed.
            let tree = &self.trees[process];
            let waits = |tid: u32| {
                tree.slot.signals_wait
                    && tree.held(tid).is_some()
                    && Stat::of(tid).is_some_and(|stat| matches!(stat.state, 'S' | 'D'))
            };
            while !self.real_time
                && still::look(&self.family(process), self.threads_of(process), waits) == Look::Busy
            {
                self.check_time(process)?;
                std::thread::yield_now();
            }
            self.drop_the_gone(process);
            if self.interrupt(process)? || !self.trees[process].is_held() {
                self.settle(process)?;
            }
        }
        Ok(())
    }

    /// What others foresaw may have changed.
    fn tell_the_others(&mut self, actor: usize, footprint: &Footprint) -> Result<()> {
        let changes_all = footprint.access(world()) == Some(Write);
        for process in (0..self.trees.len()).filter(|process| *process != actor) {
            self.trees[process].witness(footprint, self.run.depth);
            if changes_all {
                (self.trees[process].is_stale, self.trees[process].looks_in_vain) = (true, 0);
            }
            if self.is_concerned(process, footprint) {
                self.look_again(process)?;
            }
        }
        Ok(())
    }

    /// Foresees anew what the tasks of a process are about to do.
    pub(super) fn look_again(&mut self, process: usize) -> Result<()> {
        let held: Vec<Notification> =
            self.trees[process].tasks.iter().filter_map(|task| Some(task.held.as_ref()?.stop)).collect();
        for stop in held {
            let until_ns = self.trees[process].held(stop.task).and_then(|held| held.until_ns);
            self.hold_again(process, stop)?;
            // A sleep that goes on has not begun anew.
            let task = self.trees[process].task(stop.task);
            if let Some(held) = task.and_then(|task| task.held.as_mut()) {
                held.until_ns = until_ns;
            }
        }
        self.choose(process);
        Ok(())
    }
}

/// A program that died within its step gave up what it held: which locks is not told any more.
fn with_fall(process: usize, step: &Step) -> Step {
    step.clone().and(&Footprint::of(vec![(world(), Write), (prediction::life(process), Write)]))
}
