//! Programs that run freely but for a delay before each call that concerns others: for those that cannot be controlled, and
//! by choice. Nobody waits for anybody to stand still, nothing is chosen, and locks are the kernel's affair.
//!
//! A machine for this is opened with [`Options::perturbing`], and on no processor of its own.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::machine::{Machine, Result};
use super::settings::{Left, Options, Sleeps};
use super::tree::{Heard, Tree};
use crate::process::sys::seccomp::Reply;

/// How long nothing may happen before the time is looked at.
const ROUND: Duration = Duration::from_millis(20);

/// What came of commands that were only delayed.
#[derive(Clone, Debug)]
pub struct Perturbed {
    /// What they left; as `chances`, the calls that were delayed, in the order in which they were let go.
    pub left: Left,
    /// Whether all of them ended in time: else those that did not were killed.
    pub in_time: bool,
}

/// A call that is held back until then.
#[derive(Clone, Copy, Debug)]
struct Delayed {
    until: Instant,
    process: usize,
    task: u32,
}

impl Options {
    /// For [`Machine::run_perturbed`]: sleeps take their time, commands are scheduled as everybody is, and what cannot be
    /// foreseen is let through.
    #[must_use]
    pub fn perturbing() -> Self {
        Self { allow_uncontrolled: true, sleeps: Sleeps::Real, without_real_time: true, ..Self::default() }
    }
}

impl Machine {
    /// Runs all commands at once. Each call that concerns others is delayed by as much as `delay` says for its process, the
    /// first time that it is met; whatever else is called goes on at once.
    pub fn run_perturbed(&mut self, delay: &mut dyn FnMut(usize) -> Duration) -> Result<Perturbed> {
        let in_time = self.perturb(delay);
        if in_time.is_err() {
            self.leave_nobody();
        }
        self.paths.end();
        let in_time = in_time?;
        let mut left = std::mem::take(&mut self.run.left);
        left.commands = self.trees.iter_mut().map(|tree| std::mem::take(&mut tree.commands)).collect();
        Ok(Perturbed { left, in_time })
    }

    fn perturb(&mut self, delay: &mut dyn FnMut(usize) -> Duration) -> Result<bool> {
        self.reset(&[])?;
        for process in 0..self.trees.len() {
            if self.trees[process].is_live() {
                self.start_command(process)?;
            }
        }
        let mut delayed: Vec<Delayed> = Vec::new();
        let mut in_time = true;
        while in_time && self.trees.iter().any(Tree::is_live) {
            self.delay_the_held(&mut delayed, delay);
            self.let_the_due_go(&mut delayed)?;
            if !self.hear_all()? {
                let next =
                    delayed.iter().map(|one| one.until.saturating_duration_since(Instant::now())).min();
                self.wait_for_any(next.unwrap_or(ROUND).min(ROUND))?;
            }
            in_time = self.run.begun.elapsed() <= self.options.time_limit;
        }
        self.finish()?;
        Ok(in_time)
    }

    /// Says until when each call is held back that was met since.
    fn delay_the_held(&self, delayed: &mut Vec<Delayed>, delay: &mut dyn FnMut(usize) -> Duration) {
        for (process, tree) in self.trees.iter().enumerate() {
            for task in tree.tasks.iter().filter(|task| task.held.is_some()) {
                let is_known = |one: &Delayed| one.process == process && one.task == task.tid;
                if !delayed.iter().any(is_known) {
                    delayed.push(Delayed { until: Instant::now() + delay(process), process, task: task.tid });
                }
            }
        }
    }

    fn let_the_due_go(&mut self, delayed: &mut Vec<Delayed>) -> Result<()> {
        delayed.sort_by_key(|one| one.until);
        let now = Instant::now();
        let due = delayed.partition_point(|one| one.until <= now);
        for one in delayed.drain(..due) {
            let task = self.trees[one.process].task(one.task);
            // It may have been killed meanwhile.
            let Some(held) = task.and_then(|task| task.held.take()) else { continue };
            let label = held.prediction.label.as_str().into();
            self.run.left.chances.push((one.process, label, held.prediction.faults));
            self.run.depth += 1;
            self.go_on(one.process, one.task, &held.known);
            self.journal(one.process, one.task, &held.told, held.known);
            self.answer(one.process, &held.stop, Reply::Continue)?;
        }
        Ok(())
    }

    /// Serves what there is to be heard of at once; whether there was anything.
    fn hear_all(&mut self) -> Result<bool> {
        let mut any = false;
        for process in 0..self.trees.len() {
            match self.trees[process].hear(Duration::ZERO)? {
                Heard::Stop => {
                    if let Some(stop) = self.receive(process)? {
                        self.on_stop(process, stop)?;
                    }
                }
                Heard::End => self.on_end(process)?,
                Heard::Nothing => continue,
            }
            any = true;
        }
        Ok(any)
    }

    /// Waits until somebody stops or ends, for so long at most.
    fn wait_for_any(&self, at_most: Duration) -> Result<()> {
        let mut polled = Vec::new();
        for tree in &self.trees {
            polled.push(PollFd::from_borrowed_fd(tree.slot.listener.as_fd(), PollFlags::IN));
            polled.extend(
                tree.root.as_ref().map(|(_, root)| PollFd::from_borrowed_fd(root.as_fd(), PollFlags::IN)),
            );
        }
        let at_most = Timespec { tv_sec: 0, tv_nsec: at_most.subsec_nanos().into() };
        match poll(&mut polled, Some(&at_most)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(std::io::Error::from(error).into()),
        }
    }
}
