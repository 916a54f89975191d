//! Programs that run freely but for a delay before each call that concerns others: for those that cannot be controlled, and
//! by choice. Nobody waits for anybody to stand still, nothing is chosen, and locks are the kernel's affair.
//!
//! A machine for this is opened with [`Options::perturbing`], and on no processor of its own.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::hurry::Hurry;
use super::machine::{Machine, Result};
use super::settings::{Left, Options};
use super::still::descendants;
use super::tree::{Heard, Tree};
use crate::plan::race::Sleeps;
use crate::process::attention::{Attention, Deadline};
use crate::process::procfs;
use crate::process::spawner::Stray;
use crate::process::sys::seccomp::Reply;

/// How long nothing may happen before the time is looked at.
const ROUND: Duration = Duration::from_millis(20);

/// What is done to a process at a call of it that concerns others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// The call happens so much later.
    Delay(Duration),
    /// The process is killed, with all that it started; the call does not happen.
    Kill,
}

/// Who decides what is done to calls.
pub trait Perturbation {
    /// What is done to a process at this call.
    fn treat(&mut self, process: usize) -> Treatment;

    /// The time is over, and these commands have not ended: each process with the command at work and its pid. They are still
    /// there, and are killed afterwards.
    fn late(&mut self, _commands: &[(usize, usize, u32)], _reaper: u32) {}

    /// All commands have ended in time. What they left behind is still there, and is ended afterwards.
    fn over(&mut self) {}
}

impl<F: FnMut(usize) -> Duration> Perturbation for F {
    fn treat(&mut self, process: usize) -> Treatment {
        Treatment::Delay(self(process))
    }
}

/// A process's command, each counted from 0.
pub type Step = (usize, usize);

/// What came of commands that were only delayed.
#[derive(Clone, Debug)]
pub struct Perturbed {
    /// What they left; as `chances`, the calls that were delayed, in the order in which they were let go.
    pub left: Left,
    /// Whether all of them ended in time: else those that did not were killed.
    pub in_time: bool,
    /// By how much calls were delayed, all delays together.
    pub delayed: Duration,
    /// How long nothing had been called when all were over, or the time was: whoever still calls is slow, and does not hang.
    pub quiet: Duration,
    /// Whether a signal interrupted a call before that was let go, so that it failed or was made again; or a task was killed.
    /// Where a program does not expect that of such a call, what follows is no fault of its own.
    pub interrupted: bool,
    /// When each command began and ended, since the execution began.
    pub spans: BTreeMap<Step, (Duration, Option<Duration>)>,
    /// What commands left behind that did not end by itself within the grace.
    pub strays: Vec<Stray>,
}

/// A call that is held back until then.
#[derive(Clone, Copy, Debug)]
struct Delayed {
    until: Instant,
    process: usize,
    task: u32,
    /// The number of the stop: a call that is made again is another.
    call: u64,
}

/// Calls that are held back, and how long all were that ever were.
#[derive(Debug)]
struct Delays {
    held: Vec<Delayed>,
    sum: Duration,
    /// The time that was seen to pass.
    attention: Attention,
    /// When anything was called last, or a call was let go, as it was seen.
    last_ns: u64,
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
    /// Runs all commands at once. Each call that concerns others is treated as `perturbation` says, the first time that it is
    /// met; whatever else is called goes on at once. What commands leave behind may go on for as long as `grace`.
    ///
    /// Delays come on top of the time limit, up to as much again.
    pub fn run_perturbed(
        &mut self,
        perturbation: &mut dyn Perturbation,
        grace: Duration,
    ) -> Result<Perturbed> {
        // Whoever is heard of late is interrupted more often.
        let hurry = Hurry::begin();
        let done = self.perturb(perturbation, grace);
        drop(hurry);
        if done.is_err() {
            self.leave_nobody();
        }
        self.paths.end();
        let (in_time, delays, quiet, strays) = done?;
        let interrupted = self.run.interrupted;
        let mut left = std::mem::take(&mut self.run.left);
        left.commands = self.trees.iter_mut().map(|tree| std::mem::take(&mut tree.commands)).collect();
        Ok(Perturbed {
            left,
            in_time,
            delayed: delays.sum,
            quiet,
            interrupted,
            spans: std::mem::take(&mut self.run.spans),
            strays,
        })
    }

    fn perturb(
        &mut self,
        perturbation: &mut dyn Perturbation,
        grace: Duration,
    ) -> Result<(bool, Delays, Duration, Vec<Stray>)> {
        self.reset(&[])?;
        self.run.is_perturbed = true;
        for process in 0..self.trees.len() {
            if self.trees[process].is_live() {
                self.start_command(process)?;
            }
        }
        let mut attention = Attention::begin();
        let begun_ns = attention.now_ns();
        let mut delays = Delays { held: Vec::new(), sum: Duration::ZERO, attention, last_ns: begun_ns };
        let mut in_time = true;
        while in_time && self.trees.iter().any(Tree::is_live) {
            self.go_round(&mut delays, perturbation)?;
            let limit = self.options.time_limit;
            let since = Duration::from_nanos(delays.attention.now_ns() - begun_ns);
            in_time = since <= limit + delays.sum.min(limit);
        }
        if !in_time {
            let live = self.trees.iter().enumerate().filter(|(_, tree)| tree.is_live());
            let late = live
                .filter_map(|(process, tree)| Some((process, tree.command, tree.root.as_ref()?.0)))
                .collect::<Vec<_>>();
            perturbation.late(&late, self.spawner.pid());
        }
        let quiet_ns = if delays.held.is_empty() { delays.attention.now_ns() - delays.last_ns } else { 0 };
        let quiet = Duration::from_nanos(quiet_ns);
        let mut deadline = Deadline::after(grace);
        while in_time && self.has_strays() && !deadline.is_over() {
            self.go_round(&mut delays, perturbation)?;
        }
        let strays = if in_time { self.strays() } else { Vec::new() };
        // Before those are killed that did not end.
        self.run.interrupted |= self.trees.iter().any(|tree| tree.slot.listener.has_missed());
        if in_time {
            self.while_all_go_on(|| perturbation.over())?;
        }
        self.finish()?;
        Ok((in_time, delays, quiet, strays))
    }

    /// Treats calls that were met, lets go whose time has come, and waits for whatever comes next.
    fn go_round(&mut self, delays: &mut Delays, perturbation: &mut dyn Perturbation) -> Result<()> {
        self.treat_the_held(delays, perturbation)?;
        let held = delays.held.len();
        self.let_the_due_go(&mut delays.held)?;
        let heard = self.hear_all()?;
        if heard || delays.held.len() < held {
            delays.last_ns = delays.attention.now_ns();
        }
        if !heard {
            let left = |one: &Delayed| one.until.saturating_duration_since(Instant::now());
            let next = delays.held.iter().map(left).min();
            self.wait_for_any(next.unwrap_or(ROUND).min(ROUND))?;
        }
        Ok(())
    }

    fn has_strays(&self) -> bool {
        self.trees.iter().any(|tree| tree.is_many) && !self.strays().is_empty()
    }

    /// What commands left behind and is there still.
    fn strays(&self) -> Vec<Stray> {
        let all = self.trees.iter().filter(|tree| tree.is_many).flat_map(|tree| descendants(tree.slot.pid));
        let is_alive = |pid: &u32| procfs::lives(*pid);
        let stray = |pid| Stray { pid, name: procfs::name(pid).unwrap_or_else(|| "?".into()) };
        all.filter(is_alive).map(stray).collect()
    }

    /// Says until when each call is held back that was met since, and kills whoever is to be killed.
    fn treat_the_held(&mut self, delays: &mut Delays, perturbation: &mut dyn Perturbation) -> Result<()> {
        for process in 0..self.trees.len() {
            let held =
                self.trees[process].tasks.iter().filter_map(|task| Some((task.tid, task.held.as_ref()?)));
            let held: Vec<(u32, u64)> = held.map(|(task, held)| (task, held.stop.id)).collect();
            for (task, call) in held {
                if delays
                    .held
                    .iter()
                    .any(|one| one.process == process && one.task == task && one.call == call)
                {
                    continue;
                }
                match perturbation.treat(process) {
                    Treatment::Delay(delay) => {
                        delays.sum += delay;
                        delays.held.push(Delayed { until: Instant::now() + delay, process, task, call });
                    }
                    Treatment::Kill if self.trees[process].is_live() => {
                        self.kill(process)?;
                        break;
                    }
                    Treatment::Kill => {}
                }
            }
        }
        Ok(())
    }

    fn let_the_due_go(&mut self, delayed: &mut Vec<Delayed>) -> Result<()> {
        delayed.sort_by_key(|one| one.until);
        let now = Instant::now();
        let due = delayed.partition_point(|one| one.until <= now);
        for one in delayed.drain(..due) {
            let task = self.trees[one.process].task(one.task);
            // It may have been killed meanwhile, or interrupted and have made the call again.
            let Some(held) = task.and_then(|task| task.held.take_if(|held| held.stop.id == one.call)) else {
                continue;
            };
            let label = held.prediction.label.as_str().into();
            self.run.left.chances.push((one.process, label, held.prediction.faults));
            self.run.depth += 1;
            self.go_on(one.process, one.task, &held.known);
            self.journal(one.process, one.task, &held.told, held.known);
            if !self.answer(one.process, &held.stop, Reply::Continue)? {
                self.run.interrupted |= procfs::lives(one.task);
            }
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
