//! Signals by which one of a tree ends or stops another of it, and what goes with whoever dies so.
//!
//! Whoever kills its child hears of the death at once: the child's end sends it `SIGCHLD`, and where it has a handler for that, as
//! timeout(1) and most shells have, the signal may come when its next call has stopped and was not heard of yet. So such a signal is
//! sent by the controller while its sender is held at the call, and the sender goes on when the other has ended and `SIGCHLD` waits
//! for it. To the sender that one died during the call.
//!
//! A signal that somebody handles is the kernel's affair: who sent it can be told from it.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::machine::{Machine, Result};
use super::paths::Paths;
use super::signals::{catches, signals};
use super::task::{descriptors, handle, information, process_of};
use crate::books::deed::{Deed, Known, LockKind, Target};
use crate::books::locks::{Holding, Owner};
use crate::process::attention::Deadline;
use crate::process::procfs::{self, Stat};
use crate::process::sys::seccomp::{Notification, Reply};
use crate::process::sys::task::{signal_group, signal_process};

/// How long processes may take to die.
const DEATH: Duration = Duration::from_secs(10);
/// How long it may take until a process that is stopped, or continued, is, or until what a child did waits for its parent as a signal.
const SOON: Duration = Duration::from_millis(100);
/// How often that is looked at.
const LOOK: Duration = Duration::from_micros(50);

/// What a signal does to a process that does nothing about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// It ends it.
    Ends,
    /// It stops it, or lets it go on: its parent hears of that, too.
    Halts,
    /// Nothing that others see, or the process handles it, or keeps it for later.
    Nothing,
}

/// Whom a signal is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Whom {
    Process(u32),
    Group(u32),
}

impl Machine {
    /// Sends the signal of a call that is about to be let go, where that ends or stops others of the sender's own tree; how the call
    /// is answered.
    pub(super) fn deliver(&mut self, process: usize, stop: &Notification, known: &Known) -> Result<Reply> {
        let (Deed::Signal(_, number) | Deed::SignalBy(_, number)) = *known else {
            return Ok(Reply::Continue);
        };
        let tree = &self.trees[process];
        if number <= 0 || !tree.is_many || !tree.slot.signals_wait || self.run.is_perturbed {
            return Ok(Reply::Continue);
        }
        let sender = tree.tasks.iter().find(|task| task.tid == stop.task).map_or(stop.task, |task| task.pid);
        let Some((whom, members)) = self.addressed(process, sender, stop, known) else {
            return Ok(Reply::Continue);
        };
        let done = |pid: &u32| (*pid, does(*pid, number));
        let done: Vec<(u32, Does)> = members.iter().map(done).collect();
        let is_hit = |(pid, does): &(u32, Does)| *pid == sender && *does == Does::Ends;
        let others = done.iter().filter(|(pid, does)| *pid != sender && *does != Does::Nothing);
        let others: Vec<(u32, Does)> = others.copied().collect();
        if others.is_empty() || done.iter().any(is_hit) || !members.iter().all(|pid| may_signal(sender, *pid))
        {
            return Ok(Reply::Continue);
        }
        self.watch(process);
        let sent = match whom {
            Whom::Process(pid) => handle(pid).and_then(|handle| signal_process(handle.as_fd(), number)),
            Whom::Group(group) => signal_group(group, number),
        };
        if sent.is_err() {
            // The kernel tells the sender why.
            return Ok(Reply::Continue);
        }
        let (mut dead, mut changed) = (Vec::new(), Vec::new());
        for (pid, does) in others {
            match does {
                Does::Ends => {
                    self.wait_until_gone(process, pid)?;
                    dead.push(pid);
                    changed.push(pid);
                }
                _ => {
                    if self.wait_until_halted(process, pid, number == libc::SIGCONT) {
                        changed.push(pid);
                    }
                }
            }
        }
        let is_child = |pid: &u32| Stat::of(*pid).is_some_and(|stat| stat.parent == sender);
        if changed.iter().any(is_child) && catches(sender) {
            let mut deadline = Deadline::after(SOON);
            while !has_pending(sender, libc::SIGCHLD) && !deadline.is_over() {
                std::thread::sleep(LOOK);
            }
        }
        self.bury(process, &dead);
        Ok(Reply::Value(0))
    }

    /// Whom of a tree a call signals, as far as that is known: the processes that are there.
    fn addressed(
        &self,
        process: usize,
        sender: u32,
        stop: &Notification,
        known: &Known,
    ) -> Option<(Whom, Vec<u32>)> {
        let is_alive = |pid: &u32| procfs::lives(*pid);
        let family: Vec<u32> = self.family(process).into_iter().filter(is_alive).collect();
        let of_family = |pid: u32| family.contains(&pid).then(|| (Whom::Process(pid), vec![pid]));
        let has_own_numbers = self.trees[process].has_own_numbers && !self.forks.by_clone;
        match known {
            Deed::Signal(Target::Task(tid), _) => {
                let is_it = |one: &u32| process_of(*one).is_some_and(|[_, own]| own == tid.cast_unsigned());
                let pid = if has_own_numbers {
                    process_of(tid.cast_unsigned()).map(|[pid, _]| pid)
                } else {
                    family.iter().copied().find(is_it)
                };
                of_family(pid?)
            }
            Deed::Signal(Target::Group(group), _) => {
                let own = group.cast_unsigned();
                let leads = |pid: &u32| process_of(*pid).is_some_and(|[_, number]| number == own);
                let group = match own {
                    0 => group_of(sender)?,
                    _ if has_own_numbers => own,
                    _ => family.iter().copied().find(leads)?,
                };
                let members: Vec<u32> =
                    family.into_iter().filter(|pid| group_of(*pid) == Some(group)).collect();
                (!members.is_empty()).then_some((Whom::Group(group), members))
            }
            Deed::SignalBy(..) if stop.args[3] == 0 => {
                of_family(information(stop.task, stop.args[0] as i32)?.process?)
            }
            _ => None,
        }
    }

    /// Waits until a process that was sent a deadly signal is dead, with all its threads.
    pub(super) fn wait_until_gone(&self, process: usize, pid: u32) -> Result<()> {
        let Ok(handle) = handle(pid) else { return Ok(()) };
        let mut deadline = Deadline::after(DEATH);
        let at_most = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
        loop {
            let mut polled = [PollFd::new(&handle, PollFlags::IN)];
            if poll(&mut polled, Some(&at_most)).is_ok_and(|count| count > 0) {
                return Ok(());
            }
            self.check_time(process)?;
            if deadline.is_over() {
                return Self::broken(format!("process {pid} does not die of a signal"));
            }
        }
    }

    /// Waits until a process is stopped, or goes on, and says whether it is. Whoever is held stops as its call is let go, and whoever
    /// has no terminal may not stop at all.
    fn wait_until_halted(&self, process: usize, pid: u32, continues: bool) -> bool {
        if self.trees[process].tasks.iter().any(|task| task.pid == pid && task.held.is_some()) {
            return false;
        }
        let mut deadline = Deadline::after(SOON);
        while Stat::of(pid).is_some_and(|stat| (stat.state == 'T') == continues) {
            if deadline.is_over() {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        true
    }

    /// Processes of a tree are dead that ended by no call of their own: nobody waits for them any more, and their locks went with
    /// them.
    pub(super) fn bury(&mut self, process: usize, dead: &[u32]) {
        if dead.is_empty() {
            return;
        }
        let tree = &mut self.trees[process];
        tree.tasks.retain(|task| !dead.contains(&task.pid));
        let is_left = |tid: u32| tree.tasks.iter().any(|task| task.tid == tid);
        tree.leaving.retain(|(stop, _)| is_left(stop.task));
        self.recount_locks(process);
    }

    /// Asks the kernel which locks of a tree are still held, where some of it ended by no call of its own.
    pub(super) fn recount_locks(&mut self, process: usize) {
        let held: Vec<Holding> = self.locks.of(process).copied().collect();
        if held.is_empty() {
            return;
        }
        let is_alive = |pid: &u32| procfs::lives(*pid);
        let alive: Vec<u32> = self.family(process).into_iter().filter(is_alive).collect();
        let mut kept = Vec::new();
        for &pid in &alive {
            for fd in descriptors(pid) {
                let file = Paths::inode(pid, fd).and_then(|inode| self.paths.name_met(&inode));
                let (Some(file), Some(known)) = (file, information(pid, fd)) else { continue };
                kept.extend(known.flock.then_some((file, LockKind::Flock)));
                kept.extend(known.ofd.then_some((file, LockKind::Ofd)));
            }
        }
        for held in held {
            let is_there = match held.owner {
                Owner::Process(pid) => alive.contains(&pid),
                Owner::Description(_) => kept.contains(&(held.file, held.kind)),
            };
            if !is_there {
                self.locks.let_go(&held);
                self.fell = true;
            }
        }
    }

    /// Finds those who ended by no call of their own: at a standstill they neither are held nor wait for anybody.
    pub(super) fn bury_the_dead(&mut self, process: usize) {
        let tree = &self.trees[process];
        if !tree.is_many {
            return;
        }
        let is_seen = |tid: u32| tree.waiting.contains(&tid);
        let is_dead = |pid: u32| !procfs::lives(pid);
        let root = tree.root.as_ref().map(|(root, _)| *root);
        let mut dead: Vec<u32> = tree
            .tasks
            .iter()
            .filter(|task| task.held.is_none() && !tree.is_kept(task.tid) && !is_seen(task.tid))
            .map(|task| task.pid)
            .filter(|pid| Some(*pid) != root && is_dead(*pid))
            .collect();
        dead.dedup();
        self.bury(process, &dead);
    }
}

/// What a signal does to a process.
pub(super) fn does(pid: u32, number: i32) -> Does {
    let default = match number {
        libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH => return Does::Nothing,
        libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => Does::Halts,
        libc::SIGCONT => {
            // It does so whatever the process does about it.
            let is_stopped = Stat::of(pid).is_some_and(|stat| stat.state == 'T');
            return if is_stopped { Does::Halts } else { Does::Nothing };
        }
        _ => Does::Ends,
    };
    if number == libc::SIGKILL || number == libc::SIGSTOP {
        return default;
    }
    let bit = |set: u64| set >> (number - 1) & 1 == 1;
    let status = procfs::record(format!("/proc/{pid}/status")).unwrap_or_default();
    let is_blocked = |tid: u32| {
        let status = procfs::record(format!("/proc/{pid}/task/{tid}/status")).unwrap_or_default();
        bit(signals(&status, "SigBlk:"))
    };
    let is_minded = bit(signals(&status, "SigCgt:")) || bit(signals(&status, "SigIgn:"));
    if is_minded || procfs::threads(pid).into_iter().any(is_blocked) { Does::Nothing } else { default }
}

/// Whether a signal waits for a process.
fn has_pending(pid: u32, number: i32) -> bool {
    let status = procfs::record(format!("/proc/{pid}/status")).unwrap_or_default();
    (signals(&status, "ShdPnd:") | signals(&status, "SigPnd:")) >> (number - 1) & 1 == 1
}

/// Whether one process may signal another for sure: the kernel asks for the same user, or for `CAP_KILL`.
fn may_signal(sender: u32, receiver: u32) -> bool {
    const CAP_KILL: u32 = 5;
    let [own, other] =
        [sender, receiver].map(|pid| procfs::record(format!("/proc/{pid}/status")).unwrap_or_default());
    let user = |status: &str| -> Vec<String> {
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        line.unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect()
    };
    signals(&own, "CapEff:") >> CAP_KILL & 1 == 1 || user(&own) == user(&other)
}

/// The group that a process is in.
pub(super) fn group_of(pid: u32) -> Option<u32> {
    let stat = procfs::record(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(2)?.parse().ok()
}
