//! Executions: the commands one after the other, or all at once.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::error::RaceError;
use super::orders::Step;
use super::outcome::{Done, Ending, Outcome, Output, Who};
use super::site::{Ready, Site};
use crate::ground::Ground;
use crate::history::Clock;
use crate::process::attention::Deadline;
use crate::process::clock::now_ns;
use crate::process::hang;
use crate::process::marker::Handle;
use crate::process::spawner::{Ended, Status, Stray, Then};

/// So much of an output is kept.
const KEPT_BYTES: u64 = 1 << 20;
/// A command that writes more than this is stopped.
const OUTPUT_BYTES_MAX: u64 = 64 << 20;
/// How often outputs are looked at while commands run.
const LOOK: Duration = Duration::from_millis(20);

/// What an execution came to, and what is told of how it went.
#[derive(Clone, Debug)]
pub struct Played {
    /// What it came to.
    pub outcome: Outcome,
    /// When each command began and ended: both are part of it, so one that ended before another began did so at a smaller
    /// number. [`u64::MAX`] is no end.
    pub spans: BTreeMap<Step, (u64, u64)>,
    /// What those times count: nanoseconds since the first began, or steps from 0.
    pub clock: Clock,
    /// Who waits for what, where somebody did not end in time.
    pub waiting: Vec<String>,
    /// The calls that were delayed, in the order in which they were let go.
    pub calls: Vec<Call>,
    /// Whether somebody did not end who was held back for long: that may be why. Nothing follows from such an execution.
    pub is_spoilt: bool,
    /// Whether a signal interrupted a call that was held back. Programs need not expect that of every call, so that what this
    /// execution breaks is not held against them.
    pub is_interrupted: bool,
}

impl Played {
    /// Before anything has been done.
    pub(crate) fn nothing() -> Self {
        Self {
            outcome: nothing(),
            spans: BTreeMap::new(),
            clock: Clock::Nanoseconds,
            waiting: Vec::new(),
            calls: Vec::new(),
            is_spoilt: false,
            is_interrupted: false,
        }
    }
}

/// A call that was delayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The number of the process, from 0.
    pub process: usize,
    /// The step as schedules spell it.
    pub label: String,
}

impl Played {
    /// Whether commands of two processes ran at one time.
    #[must_use]
    pub fn has_met(&self) -> bool {
        let spans: Vec<_> = self.spans.iter().collect();
        spans.iter().enumerate().any(|(number, ((process, _), (begun, ended)))| {
            let others = &spans[number + 1..];
            others.iter().any(|((other, _), (from, to))| process != other && begun < to && from < ended)
        })
    }
}

/// What is done to commands that overlap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Round {
    /// How long after the beginning each process starts, in nanoseconds.
    pub delays_ns: Vec<u64>,
    /// A process that is killed, and when, in nanoseconds.
    pub kill: Option<(usize, u64)>,
}

/// What is still to be done at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Start(usize),
    Kill(usize),
}

/// What became of a command that ran alone.
struct Ran {
    done: Done,
    /// Who waits for what, where it did not end in time.
    waiting: Vec<String>,
    /// What it left behind.
    left: Vec<Stray>,
}

/// A command that runs.
struct Running {
    step: Step,
    pid: u32,
    begun_ns: u64,
    deadline: Deadline,
    is_killed: bool,
    is_late: bool,
}

impl Site {
    /// Runs commands one after the other from the initial state; `order` leaves out those that are not to run.
    pub fn sequential(&mut self, order: &[Step]) -> Result<Played, RaceError> {
        self.put_back()?;
        let mut done: BTreeMap<Step, Done> = BTreeMap::new();
        let mut played = Played::nothing();
        let mut left: Vec<Stray> = Vec::new();
        for &step in order {
            let ready = self.processes[step.0][step.1].clone();
            let ran = self.run_one(&ready, &name_of(step), &who(step, &self.processes), Then::Leave)?;
            let Ran { done: one, waiting, left: behind } = ran;
            let is_hung = one.ending == Ending::TimedOut;
            if let Some(containers) = &mut self.containers {
                containers.settle(step, &one)?;
            }
            done.insert(step, one);
            played.waiting.extend(waiting);
            if is_hung {
                break;
            }
            left = behind;
        }
        self.conclude(done, &left, &mut played)?;
        Ok(played)
    }

    /// Runs all processes at once from the initial state.
    pub fn overlapped(&mut self, round: &Round) -> Result<Played, RaceError> {
        self.put_back()?;
        let mut play = Play::new(self, round);
        play.run()?;
        let (done, mut played) = (play.done, play.played);
        let left = self.spawner.settle(self.grace, Then::Leave)?;
        self.conclude(done, &left, &mut played)?;
        Ok(played)
    }

    /// Looks at what was left, runs what comes after, and clears everything away.
    pub fn conclude(
        &mut self,
        mut done: BTreeMap<Step, Done>,
        left: &[Stray],
        played: &mut Played,
    ) -> Result<(), RaceError> {
        let is_hung = done.values().any(|done| done.ending == Ending::TimedOut);
        let told = match &mut self.containers {
            Some(containers) if !is_hung => Some(containers.told()?),
            _ => None,
        };
        self.spawner.clear()?;
        self.drain()?;
        let skipped = Done { ending: Ending::Skipped, stdout: Output::default(), stderr: Output::default() };
        let outcome = &mut played.outcome;
        outcome.processes = self
            .processes
            .iter()
            .enumerate()
            .map(|(process, commands)| {
                let take = |index| {
                    let mut one = done.remove(&(process, index)).unwrap_or_else(|| skipped.clone());
                    if let Some(containers) = &self.containers {
                        containers.normalise((process, index), &mut one)?;
                    }
                    Ok(one)
                };
                (0..commands.len()).map(take).collect()
            })
            .collect::<Result<_, RaceError>>()?;
        if let Some((state, after)) = told {
            (outcome.observed, outcome.then) = (Some(state), vec![after]);
        }
        if self.containers.is_none() {
            outcome.left_behind = left.iter().map(|stray| stray.name.clone()).collect();
        }
        outcome.folders = self.ground.capture()?;
        if played.outcome.timed_out().next().is_some() {
            return Ok(());
        }
        self.look_after(played)
    }

    /// Runs what tells the state and what comes after, where nothing else runs and the folders are known.
    pub(super) fn look_after(&mut self, played: &mut Played) -> Result<(), RaceError> {
        if let Some(observe) = self.observe.clone() {
            played.outcome.observed = Some(self.run_alone(&observe, "observe")?);
        }
        for (index, then) in self.then.clone().iter().enumerate() {
            let one = self.run_alone(then, &format!("then{}", index + 1))?;
            played.outcome.then.push(one);
        }
        if !self.then.is_empty() {
            played.outcome.folders_then = self.ground.capture()?;
        }
        Ok(())
    }

    /// Runs one command that belongs to no process, and clears away what it leaves behind.
    pub fn run_alone(&mut self, ready: &Ready, name: &str) -> Result<Done, RaceError> {
        Ok(self.run_one(ready, name, name, Then::Kill)?.done)
    }

    /// Runs one command to its end, or to the end of its time, and lets everything settle.
    fn run_one(&mut self, ready: &Ready, name: &str, who: &str, then: Then) -> Result<Ran, RaceError> {
        let slot = self.next_slot();
        let start = self.start(ready, slot, name);
        self.spawner.run(start, self.grace, then)?;
        let mut deadline = Deadline::after(self.time_limit);
        let mut waiting = Vec::new();
        let mut is_late = false;
        let (ended, left) = loop {
            match self.spawner.ran(slot, LOOK, self.grace)? {
                Some(Ok(ran)) => break ran,
                Some(Err(error)) => {
                    return Ok(Ran { done: not_started(error.errno), waiting, left: Vec::new() });
                }
                None => {}
            }
            self.must_be_short(name, &ready.text)?;
            if deadline.is_over()
                && !is_late
                && let Some(pid) = self.spawner.pid_of(slot)?
            {
                is_late = true;
                waiting = hang::told(&[(who.to_owned(), pid)], self.spawner.pid(), &self.work);
                self.spawner.signal(slot, Signal::SIGKILL)?;
            }
        };
        let ending = if is_late { Ending::TimedOut } else { ending(ended.status) };
        Ok(Ran { done: self.done(ending, name)?, waiting, left })
    }

    fn done(&self, ending: Ending, name: &str) -> Result<Done, RaceError> {
        Ok(Done { ending, stdout: output(&self.stdout(name))?, stderr: output(&self.stderr(name))? })
    }

    fn must_be_short(&self, name: &str, text: &str) -> Result<(), RaceError> {
        for (path, stream) in [(self.stdout(name), "stdout"), (self.stderr(name), "stderr")] {
            if fs::metadata(&path).is_ok_and(|about| about.len() > OUTPUT_BYTES_MAX) {
                return Err(RaceError::Refused(format!(
                    "{text}: it wrote more than {} MB to {stream} and was stopped; give a command that writes less, such as \
                     one that ends with >/dev/null",
                    OUTPUT_BYTES_MAX >> 20
                )));
            }
        }
        Ok(())
    }

    /// Hears of ends that nobody waits for any more.
    fn drain(&mut self) -> Result<(), RaceError> {
        while self.spawner.ended(Duration::ZERO)?.is_some() {}
        Ok(())
    }
}

/// One execution of commands that overlap.
struct Play<'s> {
    site: &'s mut Site,
    actions: VecDeque<(u64, Action)>,
    next: Vec<usize>,
    running: BTreeMap<u32, Running>,
    /// Processes of which a command was killed or did not end: nothing more is started in them.
    over: Vec<bool>,
    done: BTreeMap<Step, Done>,
    played: Played,
    begun_ns: u64,
}

impl<'s> Play<'s> {
    fn new(site: &'s mut Site, round: &Round) -> Self {
        let processes = site.processes.len();
        let mut actions: Vec<(u64, Action)> = (0..processes)
            .map(|process| (round.delays_ns.get(process).copied().unwrap_or(0), Action::Start(process)))
            .collect();
        actions.extend(round.kill.map(|(process, at_ns)| (at_ns, Action::Kill(process))));
        actions.sort_unstable();
        let played = Played::nothing();
        Self {
            site,
            actions: actions.into(),
            next: vec![0; processes],
            running: BTreeMap::new(),
            over: vec![false; processes],
            done: BTreeMap::new(),
            played,
            begun_ns: now_ns(),
        }
    }

    fn run(&mut self) -> Result<(), RaceError> {
        loop {
            self.fall_due()?;
            let starts_to_come = self.actions.iter().any(|(_, action)| matches!(action, Action::Start(_)));
            if self.running.is_empty() && !starts_to_come {
                return Ok(());
            }
            if let Some(ended) = self.site.spawner.ended(self.wait())? {
                self.ended(ended)?;
            }
            self.look()?;
        }
    }

    fn wait(&self) -> Duration {
        let next_ns = self.actions.front().map(|(at_ns, _)| (self.begun_ns + at_ns).saturating_sub(now_ns()));
        next_ns.map_or(LOOK, |next_ns| Duration::from_nanos(next_ns).min(LOOK))
    }

    /// Does what is due. Those that start at one moment are started by one order.
    fn fall_due(&mut self) -> Result<(), RaceError> {
        let since_ns = now_ns() - self.begun_ns;
        let mut starting = Vec::new();
        while self.actions.front().is_some_and(|(at_ns, _)| *at_ns <= since_ns) {
            let Some((_, action)) = self.actions.pop_front() else { break };
            match action {
                Action::Start(process) => starting.push(process),
                Action::Kill(process) => {
                    self.over[process] = true;
                    self.kill(process)?;
                    for running in self.running.values_mut().filter(|running| running.step.0 == process) {
                        running.is_killed = true;
                    }
                }
            }
        }
        self.start(&starting)
    }

    /// Kills the command of a process: with all that it started, but for a runtime, whose containers live on.
    fn kill(&mut self, process: usize) -> Result<(), RaceError> {
        if self.site.containers.is_none() {
            return self.signal(process, Signal::SIGKILL);
        }
        for running in self.running.values().filter(|running| running.step.0 == process) {
            // It may have ended by itself.
            _ = Handle::of(running.pid).kill();
        }
        Ok(())
    }

    fn signal(&mut self, process: usize, signal: Signal) -> Result<(), RaceError> {
        let slots = self.running.iter().filter(|(_, running)| running.step.0 == process);
        for slot in slots.map(|(slot, _)| *slot).collect::<Vec<_>>() {
            self.site.spawner.signal(slot, signal)?;
        }
        Ok(())
    }

    fn start(&mut self, processes: &[usize]) -> Result<(), RaceError> {
        let mut starts = Vec::new();
        let mut steps = Vec::new();
        for &process in processes {
            let step = (process, self.next[process]);
            if self.over[process] || step.1 >= self.site.processes[process].len() {
                continue;
            }
            self.next[process] += 1;
            let slot = self.site.next_slot();
            starts.push(self.site.start(&self.site.processes[step.0][step.1], slot, &name_of(step)));
            steps.push((slot, step));
        }
        if starts.is_empty() {
            return Ok(());
        }
        let started = self.site.spawner.start(starts)?;
        let deadline = Deadline::after(self.site.time_limit);
        for ((slot, step), started) in steps.into_iter().zip(started) {
            match started {
                Ok(started) => {
                    let (pid, begun_ns) = (started.pid, started.at_ns);
                    let running = Running { step, pid, begun_ns, deadline, is_killed: false, is_late: false };
                    self.running.insert(slot, running);
                }
                Err(error) => {
                    self.done.insert(step, not_started(error.errno));
                    self.actions.push_front((0, Action::Start(step.0)));
                }
            }
        }
        Ok(())
    }

    fn ended(&mut self, ended: Ended) -> Result<(), RaceError> {
        let Some(running) = self.running.remove(&ended.slot) else { return Ok(()) };
        let killed = ended.status == Status::Signaled(libc::SIGKILL);
        let ending = match ending(ended.status) {
            _ if running.is_late => Ending::TimedOut,
            // It may have ended by itself before the signal came.
            _ if running.is_killed && killed => Ending::Killed,
            ending => ending,
        };
        let begun_ns = running.begun_ns.saturating_sub(self.begun_ns);
        self.played.spans.insert(running.step, (begun_ns, ended.at_ns.saturating_sub(self.begun_ns)));
        self.done.insert(running.step, self.site.done(ending, &name_of(running.step))?);
        self.start(&[running.step.0])
    }

    /// Looks for who takes too long, and who writes too much.
    fn look(&mut self) -> Result<(), RaceError> {
        let mut is_any_late = false;
        for running in self.running.values_mut() {
            // Each deadline is looked at every time: it does not see what passes in between.
            is_any_late |= running.deadline.is_over() && !running.is_late;
        }
        if !is_any_late {
            for running in self.running.values() {
                let (process, index) = running.step;
                self.site.must_be_short(&name_of(running.step), &self.site.processes[process][index].text)?;
            }
            return Ok(());
        }
        // Who is late may wait for somebody who is not: all that run are told, and nobody can go on.
        let all: Vec<_> = self
            .running
            .values()
            .map(|running| (who(running.step, &self.site.processes), running.pid))
            .collect();
        self.played.waiting = hang::told(&all, self.site.spawner.pid(), &self.site.work);
        for (slot, running) in &mut self.running {
            running.is_late = true;
            self.over[running.step.0] = true;
            self.site.spawner.signal(*slot, Signal::SIGKILL)?;
        }
        Ok(())
    }
}

/// An outcome before anything has come of it.
fn nothing() -> Outcome {
    Outcome {
        processes: Vec::new(),
        folders: Vec::new(),
        observed: None,
        then: Vec::new(),
        folders_then: Vec::new(),
        left_behind: Vec::new(),
    }
}

fn not_started(errno: Option<i32>) -> Done {
    let ending = Ending::NotStarted(errno.unwrap_or(libc::EIO));
    Done { ending, stdout: Output::default(), stderr: Output::default() }
}

fn who(step: Step, processes: &[Vec<Ready>]) -> String {
    let alone = processes[step.0].len() == 1;
    Who::Command { process: step.0, index: step.1, alone }.to_string()
}

/// The name of a command's outputs.
fn name_of((process, index): Step) -> String {
    format!("p{}.{}", process + 1, index + 1)
}

fn ending(status: Status) -> Ending {
    match status {
        Status::Exited(code) => Ending::Exited(code),
        Status::Signaled(signal) => Ending::Signaled(signal),
    }
}

fn output(path: &Path) -> Result<Output, RaceError> {
    let failed = RaceError::failed("an output cannot be read");
    let read = || {
        let file = fs::File::open(path)?;
        let bytes = file.metadata()?.len();
        let mut text = Vec::new();
        file.take(KEPT_BYTES).read_to_end(&mut text)?;
        Ok(Output { text: text.into(), bytes })
    };
    match read() {
        Ok(output) => Ok(output),
        Err(error) => Err(failed(error)),
    }
}
