//! Kills: of a process with all that it started, or of one of the processes that a command consists of.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{self, kill};
use nix::sys::time::TimeSpec;
use nix::unistd::Pid;
use rustix::process::{Signal, pidfd_send_signal};

use super::machine::{Machine, Result};
use super::owner::Closing;
use super::settings::Ending;
use super::task::handle;
use super::tree::{Phase, Tree};
use crate::books::deed::Faults;
use crate::explore::step::Mask;
use crate::process::attention::Deadline;
use crate::process::procfs;

/// How long processes may take to die of SIGKILL.
const DEATH: Duration = Duration::from_secs(10);

impl Machine {
    /// Kills all that a process started and that is there still.
    pub(super) fn clear(&mut self, process: usize) -> Result<()> {
        let mut deadline = Deadline::after(DEATH);
        // As long as it is not known that they are dead, all are looked for.
        self.trees[process].lingers |= self.trees[process].starting;
        loop {
            let alive = |pid: &u32| procfs::lives(*pid);
            let alive: Vec<u32> = self.family(process).into_iter().filter(alive).collect();
            if alive.is_empty() {
                break;
            }
            for &pid in &alive {
                _ = kill(Pid::from_raw(pid.cast_signed()), signal::Signal::SIGKILL);
            }
            if deadline.is_over() {
                self.trees[process].lingers = true;
                let why = format!("process {} does not die of SIGKILL", alive[0]);
                return Err(io::Error::other(why).into());
            }
            await_death(alive[0]);
        }
        let tree = &mut self.trees[process];
        if let Some((root, _)) = tree.root.take() {
            tree.slot.reap(root)?;
        }
        (tree.starting, tree.lingers) = (false, false);
        tree.tasks.clear();
        tree.leaving.clear();
        tree.slot.listener.expect_gap();
        self.locks.forget(process);
        Ok(())
    }

    /// Ends everybody: where they stand is not known.
    pub(super) fn leave_nobody(&mut self) {
        for process in 0..self.trees.len() {
            // There is an error to tell already.
            _ = self.clear(process);
        }
        self.drop_templates();
    }

    /// Kills a process with all that it started, or its command's first process alone.
    pub(super) fn kill(&mut self, process: usize) -> Result<()> {
        if self.options.kills_alone {
            self.kill_root(process)?;
        } else {
            self.clear(process)?;
        }
        self.close_command(process, Ending::Killed)?;
        let tree = &mut self.trees[process];
        tree.phase = Phase::Dead;
        (tree.step, tree.chosen, tree.fault) = (None, None, None);
        tree.choices.clear();
        tree.waiting.clear();
        Ok(())
    }

    fn kill_root(&mut self, process: usize) -> Result<()> {
        let Some((root, handle)) = self.trees[process].root.take() else { return Ok(()) };
        pidfd_send_signal(&handle, Signal::KILL).map_err(io::Error::from)?;
        let tree = &mut self.trees[process];
        tree.slot.reap(root)?;
        tree.tasks.retain(|task| task.pid != root);
        tree.slot.listener.expect_gap();
        if self.family(process).is_empty() {
            let tree = &mut self.trees[process];
            tree.tasks.clear();
            tree.is_many = false;
            self.locks.forget(process);
        }
        Ok(())
    }

    /// The faults that a held call can meet, where these follow from what it does: of a command that consists of several
    /// processes, one can be killed alone.
    pub(super) fn with_alone(&self, process: usize, faults: Faults) -> Faults {
        let tree = &self.trees[process];
        let root = tree.root.iter().map(|(pid, _)| *pid);
        let pids: BTreeSet<u32> = tree.tasks.iter().map(|task| task.pid).chain(root).collect();
        if tree.is_many && tree.is_live() && pids.len() > 1 { faults.and_alone() } else { faults }
    }

    /// Kills the process of one task. Who started it, and what it started, live on.
    pub(super) fn kill_one(&mut self, process: usize, tid: u32) -> Result<()> {
        let Some(pid) = self.trees[process].task(tid).map(|task| task.pid) else { return Ok(()) };
        let given = self.closing(process, tid, Closing::All);
        self.trees[process].is_hit = true;
        match self.trees[process].root.take_if(|(root, _)| *root == pid) {
            Some((root, handle)) => {
                pidfd_send_signal(&handle, Signal::KILL).map_err(io::Error::from)?;
                self.trees[process].slot.reap(root)?;
                self.close_command(process, Ending::Killed)?;
                let tree = &mut self.trees[process];
                // What it started goes on, to its own end.
                (tree.phase, tree.outlives) = (Phase::Over, true);
            }
            None => {
                if let Ok(handle) = handle(pid) {
                    pidfd_send_signal(&handle, Signal::KILL).map_err(io::Error::from)?;
                    wait_until_dead(pid)?;
                }
            }
        }
        self.trees[process].slot.listener.expect_gap();
        self.trees[process].leaving.retain(|(stop, _)| stop.task != pid);
        self.trees[process].tasks.retain(|task| task.pid != pid);
        for given in &given {
            self.locks.let_go(given);
        }
        self.note_orphans();
        self.settle(process)
    }

    /// Whether anybody has more to do: a process, or what one that was killed has started.
    pub(super) fn is_anybody_left(&self) -> bool {
        let outlives = |(process, tree): (usize, &Tree)| tree.outlives && !self.family(process).is_empty();
        self.trees.iter().any(Tree::is_live) || self.trees.iter().enumerate().any(outlives)
    }

    /// Of those who can go, who may: what processes leave behind goes on only as long as a process is there, but for what one
    /// that was killed has started.
    pub(super) fn may_go(&self, enabled: Mask) -> Mask {
        if self.trees.iter().any(Tree::is_live) {
            return enabled;
        }
        let outlives = |place: &usize| self.trees[*place % self.trees.len()].outlives;
        enabled.iter().filter(outlives).fold(Mask::default(), Mask::with)
    }
}

fn wait_until_dead(pid: u32) -> Result<()> {
    let mut deadline = Deadline::after(DEATH);
    while procfs::lives(pid) {
        if deadline.is_over() {
            return Err(io::Error::other(format!("process {pid} does not die of SIGKILL")).into());
        }
        await_death(pid);
    }
    Ok(())
}

/// Leaves the processor to whoever is dying, until this one is dead, or for a while.
fn await_death(pid: u32) {
    let at_most = TimeSpec::from_duration(Duration::from_millis(1));
    match handle(pid) {
        Ok(handle) => {
            // Dead or not: whoever called looks again.
            _ = ppoll(&mut [PollFd::new(handle.as_fd(), PollFlags::POLLIN)], Some(at_most), None);
        }
        Err(_) => std::thread::sleep(Duration::from_micros(50)),
    }
}
