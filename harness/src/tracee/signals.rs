//! Signals that come while a call is held.
//!
//! A call on a file takes no time where nothing holds it, and no signal interrupts it. A call that is held can be
//! interrupted: where the program has a handler that does not have calls made again (no `SA_RESTART`), the call fails with
//! `EINTR`, and the kernel takes the stop back. So a program under control would fail where it never does otherwise.
//!
//! So signals wait until a call that was heard of is answered: `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`, since Linux 5.19. To
//! the program it is as if the signal had come during the call. Two things remain to be done here:
//!
//! - A stop that was not heard of yet can still be interrupted. So whoever sends a signal within a tree, by a call or by the end
//!   of a child, does so when everybody stands still: then all stops were heard of.
//! - What may wait for long without control as well, for a lock or in a sleep, is interrupted by signals there. So it is let
//!   go on when there is a signal for it, and the kernel does the rest.
//!
//! Where the kernel cannot have signals wait, or somebody wants to attach to a command, a child whose parent hears of its end
//! leaves only when that is not held: it waits for it, or for something else, as any time is right for a child to end. Whatever
//! interrupts a call is found out, and the execution is spoilt: no verdict rests on it.

use std::time::Instant;

use super::machine::{Machine, Result};
use super::memory::{Memory, View};
use super::task::{Held, process_of, threads};
use super::timers::RUNS;
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

    /// Whether a call that concerns nobody but its own tree is to wait until everybody stands still: it sends a signal, and
    /// whoever gets that may have stopped without having been heard of.
    pub(super) fn is_to_wait(&self, process: usize, tid: u32, known: &Known) -> bool {
        let tree = &self.trees[process];
        if self.run.is_perturbed || !tree.is_many {
            return false;
        }
        match known {
            Deed::Signal(_, number) | Deed::SignalBy(_, number) => *number != 0,
            _ => self.is_heard_of(process, tid, known),
        }
    }

    /// Whether the end of a task's process interrupts a call that is held: that of its parent.
    pub(super) fn end_interrupts(&self, process: usize, tid: u32, known: &Known) -> bool {
        !self.trees[process].slot.signals_wait && self.is_heard_of(process, tid, known)
    }

    /// Whether the parent of a task's process hears of that one's end by a handler.
    fn is_heard_of(&self, process: usize, tid: u32, known: &Known) -> bool {
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

    /// Keeps a call that sends a signal until its time has come.
    pub(super) fn keep(&mut self, process: usize, stop: Notification, known: Known) {
        self.trees[process].leaving.push((stop, known));
    }

    /// Lets one go on who sends a signal that interrupts nobody, or any at all; whether there was one.
    pub(super) fn let_one_leave(&mut self, process: usize, at_last: bool) -> Result<bool> {
        let tree = &self.trees[process];
        let may_leave = |(stop, known): &(Notification, Known)| {
            if at_last || tree.slot.signals_wait || !matches!(known, Deed::Exit(_)) {
                return true;
            }
            let pid = tree.tasks.iter().find(|task| task.tid == stop.task).map_or(stop.task, |task| task.pid);
            let parent = Stat::of(pid).map(|stat| stat.parent);
            !tree.tasks.iter().any(|task| Some(task.pid) == parent && task.held.is_some())
        };
        let Some(at) = tree.leaving.iter().position(may_leave) else { return Ok(false) };
        let (stop, known) = self.trees[process].leaving.remove(at);
        self.ends_others(process, stop.task, &known);
        self.go_on(process, stop.task, &known);
        let reply = self.deliver(process, &stop, &known)?;
        self.answer(process, &stop, reply)?;
        Ok(true)
    }

    /// The same while somebody runs on and on. Where that one is ended, nobody misses the call that it was about to make.
    pub(super) fn let_one_leave_beside(&mut self, process: usize) -> Result<bool> {
        let before = self.trees[process].tasks.len();
        let any = self.let_one_leave(process, true)?;
        if self.trees[process].tasks.len() < before {
            self.trees[process].slot.listener.expect_gap();
        }
        Ok(any)
    }

    /// Somebody makes call after call that concern nobody, so that nobody of the tree ever stands still: lets one go on all the same who
    /// is about to send a signal.
    pub(super) fn leave_the_restless(&mut self, process: usize) -> Result<()> {
        let tree = &mut self.trees[process];
        if !tree.leaving.is_empty() && tree.runs_since.elapsed() >= RUNS {
            tree.runs_since = Instant::now();
            self.let_one_leave_beside(process)?;
        }
        Ok(())
    }

    /// Lets those go on who wait for a lock or sleep, and have a signal to take: the kernel interrupts them. Whether there were
    /// any.
    pub(super) fn interrupt(&mut self, process: usize) -> Result<bool> {
        let tree = &self.trees[process];
        if !tree.slot.signals_wait {
            return Ok(false);
        }
        let waits = |held: &Held| match &held.prediction.effect {
            Effect::Take(wanted, Ask::Wait) => !self.locks.is_free(wanted),
            Effect::Sleep => true,
            _ => false,
        };
        let mut interrupted = Vec::new();
        let mut unclear = None;
        let mut watched = std::mem::take(&mut self.trees[process].watched);
        let tree = &self.trees[process];
        for task in &tree.tasks {
            let Some(held) = task.held.as_ref().filter(|held| waits(held)) else { continue };
            let Ok(status) = watched.status(task.pid, task.tid) else { continue };
            match signalled(task.pid, task.tid, &status, blocked_meanwhile(&held.stop)) {
                Signalled::No => {}
                Signalled::Yes => interrupted.push(held.stop),
                Signalled::Perhaps => unclear = Some(held.prediction.label.clone()),
            }
        }
        watched.keep_status_of(|tid| tree.held(tid).is_some());
        self.trees[process].watched = watched;
        if let Some(label) = unclear {
            let what = format!("a signal for p{} may have been for any of its threads: {label}", process + 1);
            self.run.left.spoilt.insert(what);
        }
        for stop in &interrupted {
            if let Some(task) = self.trees[process].task(stop.task) {
                task.held = None;
            }
            // It finds the lock taken, or has no time to sleep: either ends with the signal.
            self.answer(process, stop, Reply::Continue)?;
        }
        Ok(!interrupted.is_empty())
    }

    /// Nobody can go on: interrupts those who wait and have a signal to take; whether there were any.
    pub(super) fn interrupt_all(&mut self) -> Result<bool> {
        let mut any = false;
        for process in 0..self.trees.len() {
            if self.trees[process].holds_any() && self.interrupt(process)? {
                self.settle(process)?;
                any = true;
            }
        }
        Ok(any)
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
pub(super) fn catches(pid: u32) -> bool {
    let status = procfs::record(format!("/proc/{pid}/status")).unwrap_or_default();
    signals(&status, "SigCgt:") >> (libc::SIGCHLD - 1) & 1 == 1
}

/// A set of signals of those that `/proc/<pid>/status` tells: the lowest bit is the first signal.
pub(super) fn signals(status: &str, field: &str) -> u64 {
    let set = status.lines().find_map(|line| line.strip_prefix(field));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}

/// Whether a signal is there that a task is to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signalled {
    No,
    Yes,
    /// There is one for its process, and several threads might take it.
    Perhaps,
}

/// Whether a signal is there for a task of a process, of which `/proc` says this, and which blocks only these, or those that it blocks
/// as it stands.
fn signalled(pid: u32, tid: u32, status: &str, blocked: Option<u64>) -> Signalled {
    let unblocked = !blocked.unwrap_or_else(|| signals(status, "SigBlk:"));
    if signals(status, "SigPnd:") & unblocked != 0 {
        return Signalled::Yes;
    }
    let shared = signals(status, "ShdPnd:") & unblocked;
    if shared == 0 {
        return Signalled::No;
    }
    // The kernel gives it to the first thread if that does not block it, and else to any other.
    let takes = |other: u32| {
        let status = procfs::record(format!("/proc/{pid}/task/{other}/status")).unwrap_or_default();
        shared & !signals(&status, "SigBlk:") != 0
    };
    let mut others = procfs::threads(pid).into_iter().filter(|other| *other != tid);
    if tid == pid || !others.any(takes) { Signalled::Yes } else { Signalled::Perhaps }
}

/// The signals that a wait blocks while it lasts, by its own argument: `ppoll` and its like. None where it changes nothing.
fn blocked_meanwhile(stop: &Notification) -> Option<u64> {
    let set = match stop.number {
        libc::SYS_ppoll => stop.args[3],
        libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => stop.args[4],
        // A pointer to the set's address and length.
        libc::SYS_pselect6 if stop.args[5] != 0 => View::of(Memory(stop.task)).words::<1>(stop.args[5])[0],
        _ => 0,
    };
    (set != 0).then(|| View::of(Memory(stop.task)).words::<1>(set)[0])
}
