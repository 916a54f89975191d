//! Signals that come while a call is held.
//!
//! A call on a file takes no time where nothing holds it, and no signal interrupts it. A call that is held can be
//! interrupted: where the program has a handler that does not have calls made again (no `SA_RESTART`), the call fails with
//! `EINTR`, and the kernel takes the stop back. So a program under control would fail where it never does otherwise.
//!
//! The usual signal is that of a child's end. So a child whose parent hears of it leaves only when that is not held: it waits
//! for it, or for something else, as any time is right for a child to end. Whatever else interrupts a call is found out, and
//! the execution is spoilt: no verdict rests on it.

use super::machine::{Machine, Result};
use super::task::{Held, process_of, threads};
use crate::books::deed::{Ask, Deed, Known, Target, Told};
use crate::books::prediction::Effect;
use crate::process::procfs::{self, Stat};
use crate::process::sys::seccomp::{Notification, Reply};

/// A call at which a task was held when a signal took it away.
#[derive(Clone, Debug)]
pub(crate) struct Lost {
    stop: Notification,
    label: String,
}

impl Lost {
    /// Of a call that is held no longer. Those that may wait for long are interrupted without control, too.
    pub fn of(held: Held) -> Option<Self> {
        let may_wait = matches!(held.prediction.effect, Effect::Take(_, Ask::Wait) | Effect::Sleep);
        (!may_wait).then_some(Self { stop: held.stop, label: held.prediction.label })
    }

    /// Whether this is the same call, made again.
    fn is_made_again(&self, stop: &Notification) -> bool {
        self.stop.number == stop.number && self.stop.args == stop.args
    }
}

impl Machine {
    /// A task stopped that was held before: either it makes the call again, or the call has failed.
    pub(super) fn note_lost(&mut self, process: usize, stop: &Notification) {
        let Some(task) = self.trees[process].task(stop.task) else { return };
        let held = task.held.take().and_then(Lost::of);
        let lost = task.lost.take().or(held);
        if let Some(lost) = lost.filter(|lost| !lost.is_made_again(stop)) {
            self.spoil(process, &lost.label);
        }
    }

    /// A call failed that nobody made fail.
    pub(super) fn spoil(&mut self, process: usize, label: &str) {
        let what = format!("a signal interrupted a call of p{} while it was held: {label}", process + 1);
        self.run.left.spoilt.insert(what);
    }

    /// Looks for stops that were gone before they were heard of.
    pub(super) fn note_missed(&mut self) {
        for process in 0..self.trees.len() {
            if self.trees[process].slot.listener.has_missed() {
                self.spoil(process, "one that was not heard of");
            }
        }
    }

    /// Whether the end of a task's process interrupts a call: that of its parent, which hears of it by a handler.
    pub(super) fn is_heard_of(&self, process: usize, tid: u32, known: &Known) -> bool {
        let tree = &self.trees[process];
        let Deed::Exit(Some(_)) = known else { return false };
        if !tree.is_many {
            return false;
        }
        let Some(pid) = tree.tasks.iter().find(|task| task.tid == tid).map(|task| task.pid) else {
            return false;
        };
        Stat::of(pid)
            .is_some_and(|stat| tree.tasks.iter().any(|task| task.pid == stat.parent) && catches(stat.parent))
    }

    /// A process that ends, or executes another program, ends all of its threads: what these were about to do is missed by
    /// nobody.
    pub(super) fn ends_others(&mut self, process: usize, tid: u32, known: &Known) {
        if !matches!(known, Deed::Exit(Some(_)) | Deed::Exec(_)) {
            return;
        }
        let tree = &self.trees[process];
        let pid = tree.tasks.iter().find(|task| task.tid == tid).map_or(tid, |task| task.pid);
        if self.has_threads(process, pid) {
            self.trees[process].slot.listener.expect_gap();
        }
    }

    /// Whether a process has several threads. Each is started by a call that stops.
    pub(super) fn has_threads(&self, process: usize, pid: u32) -> bool {
        (self.trees[process].shares || self.options.allow_uncontrolled) && threads(pid) > 1
    }

    /// The last thread that ends is the end of its process.
    pub(super) fn last_thread(&mut self, process: usize, stop: &Notification, told: Told) -> Told {
        let Deed::Exit(None) = told else { return told };
        let pid = self.trees[process].task(stop.task).map_or(stop.task, |task| task.pid);
        if self.has_threads(process, pid) { told } else { Deed::Exit(Some(stop.args[0] as i32 & 0xff)) }
    }

    /// Whom a signal reaches.
    pub(super) fn signalled(&self, process: usize, target: Target) -> Option<usize> {
        let pid = match target {
            Target::Task(pid) => pid.cast_unsigned(),
            Target::Group(0) => return Some(process),
            Target::Group(group) => group.cast_unsigned(),
            Target::All => return None,
        };
        let known = self.trees.iter().position(|tree| tree.has(pid));
        known.or_else(|| {
            (0..self.trees.len()).find(|other| {
                let is_it = |one: u32| one == pid || process_of(one).is_some_and(|[_, own]| own == pid);
                self.trees[*other].is_many && self.family(*other).into_iter().any(is_it)
            })
        })
    }

    /// Keeps a child from leaving until its parent is not held.
    pub(super) fn keep(&mut self, process: usize, stop: Notification, known: Known) {
        self.trees[process].leaving.push((stop, known));
    }

    /// Lets one child leave whose parent is not held, or any at all; whether there was one.
    pub(super) fn let_one_leave(&mut self, process: usize, at_last: bool) -> Result<bool> {
        let tree = &self.trees[process];
        let may_leave = |stop: &Notification| {
            let pid = tree.tasks.iter().find(|task| task.tid == stop.task).map_or(stop.task, |task| task.pid);
            let parent = Stat::of(pid).map(|stat| stat.parent);
            at_last || !tree.tasks.iter().any(|task| Some(task.pid) == parent && task.held.is_some())
        };
        let Some(at) = tree.leaving.iter().position(|(stop, _)| may_leave(stop)) else { return Ok(false) };
        let (stop, known) = self.trees[process].leaving.remove(at);
        self.ends_others(process, stop.task, &known);
        self.go_on(process, stop.task, &known);
        self.answer(process, &stop, Reply::Continue)?;
        Ok(true)
    }

    /// Nobody can go on: lets a child leave whose parent is held; whether there was one.
    pub(super) fn let_anybody_leave(&mut self) -> Result<bool> {
        for process in 0..self.trees.len() {
            if self.let_one_leave(process, true)? {
                self.settle(process)?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether a process hears of its children's ends by a handler.
fn catches(pid: u32) -> bool {
    let status = procfs::record(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    caught.is_some_and(|set| set >> (libc::SIGCHLD - 1) & 1 == 1)
}
