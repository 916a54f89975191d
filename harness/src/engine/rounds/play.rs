//! One round: the setup, then commands that start at once or a little apart, some of them stopped or killed on the way.

use std::time::Duration;

use flockwork::Operation;
use nix::sys::signal::Signal;

use super::audit::{Board, Torn, audit};
use super::probe::{self, Probe};
use super::{Round, name_of, takes_its_time};
use crate::evidence::{Exit, ExitHow, Stall};
use crate::explore::strategy::sampling::Dice;
use crate::history::{Deaths, History, Outcome, Reason, Record};
use crate::plan::Call;
use crate::plan::rounds::RoundsPlan;
use crate::process::attention::Deadline;
use crate::process::clock::now_ns;
use crate::process::marker::Handle;
use crate::process::procfs::Stat;
use crate::process::spawner::{Ended, Status};
use crate::runtimes::host::{self, Running};
use crate::runtimes::{Done, Host, HostError, answer, life};
use crate::subject::Answer;

/// How many stops a perturbed command gets at most.
const STOPS_MAX: u64 = 3;

/// How long a command is watched before it is said to hang.
const STILL: Duration = Duration::from_millis(500);
/// So much time on a processor within that is none: Go's runtime wakes up now and then.
const STILL_RAN_NS: u64 = 5_000_000;

/// How long commands took so far: the others of later rounds start apart by no more, and are stopped within it.
#[derive(Debug, Default)]
pub(super) struct Pace {
    longest_ns: u64,
}

/// What is done to one command at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Start(usize),
    Stop(usize),
    Continue(usize),
    Kill(usize),
}

/// Plays the round of a number until its commands have ended, and looks at what they left.
pub(super) fn play(
    host: &mut Host,
    plan: &RoundsPlan,
    number: u64,
    pace: &mut Pace,
) -> Result<Probe, HostError> {
    let ids: Vec<String> = plan.containers.iter().map(|name| name_of(plan, number, name)).collect();
    for id in &ids {
        host.bundles.write(id)?;
    }
    let mut history = History::default();
    history.model = None;
    // Who is killed half-way may leave something behind that ends by itself.
    history.deaths = (plan.kill > 0.0).then_some(Deaths::Free);
    history.containers.clone_from(&plan.containers);
    set_up(host, plan, &ids, &mut history)?;
    let actions = actions(plan, number, pace);
    let board = Board::default();
    let files: Vec<_> = ids.iter().map(|id| host.root.join(host.runtime.metadata_name(id))).collect();
    let (dones, torn) = std::thread::scope(|scope| {
        let (board, files) = (&board, &files);
        let readers: Vec<_> =
            (0..plan.auditors).map(|auditor| scope.spawn(move || audit(board, auditor, files))).collect();
        let dones = Play::new(host, plan, &ids).run(&actions);
        board.end();
        let torn: Vec<Torn> = readers.into_iter().filter_map(|reader| reader.join().ok()).flatten().collect();
        (dones, torn)
    });
    let dones = dones?;
    pace.longest_ns = dones
        .iter()
        .filter(|done| done.ending.is_some() && !done.is_killed)
        .map(|done| done.ended_ns.saturating_sub(done.begun_ns))
        .fold(pace.longest_ns, u64::max);
    let stall = stall(plan, &dones);
    let mut round = Round {
        number,
        history,
        quiet: probe::nothing(),
        exits: dones.iter().zip(0..).map(|(done, process)| exit(done, process)).collect(),
        stall,
        has_met: has_met(&dones),
        kills: dones.iter().filter(|done| done.is_killed).count() as u64,
        reads: board.reads(),
    };
    record(host, plan, &dones, torn, &mut round);
    Probe::begin(host, plan, ids, round)
}

/// The process that prepares the ground.
fn first(plan: &RoundsPlan) -> u32 {
    plan.together.len() as u32 + plan.auditors
}

/// The process that looks when all is quiet.
pub(super) fn examiner(plan: &RoundsPlan) -> u32 {
    first(plan) + 1
}

fn set_up(
    host: &mut Host,
    plan: &RoundsPlan,
    ids: &[String],
    history: &mut History,
) -> Result<(), HostError> {
    for call in &plan.setup {
        let id = &ids[call.container as usize];
        let invoke_ns = now_ns();
        life::succeed(host, call.operation, id)?;
        if takes_its_time(call.operation) {
            life::settle(host, id, Some(flockwork::Status::Stopped))?;
        }
        let mut record = Record::invoked(first(plan), Some(call.container), call.operation, invoke_ns);
        record.outcome = Outcome::Ok;
        record.set_return_ns(Some(now_ns()));
        history.records.push(record);
    }
    Ok(())
}

/// What is done when, in nanoseconds since the round began: decided by the seed and the round's number.
fn actions(plan: &RoundsPlan, number: u64, pace: &Pace) -> Vec<(u64, Action)> {
    let mut dice = Dice::of(plan.seed, number);
    let mut below = |most: u64| dice.number() % most.max(1);
    // Half of the rounds start together, as two people would who press a key; the others a little apart.
    let is_together = below(2) == 0;
    let mut actions = Vec::new();
    for command in 0..plan.together.len() {
        let start_ns = if is_together { 0 } else { below(pace.longest_ns / 2) };
        actions.push((start_ns, Action::Start(command)));
        if let Some(range) = &plan.perturb_ns {
            for _ in 0..below(STOPS_MAX + 1) {
                let stop_ns = start_ns + below(pace.longest_ns);
                let for_ns = range.start() + below(range.end() - range.start() + 1);
                actions.push((stop_ns, Action::Stop(command)));
                actions.push((stop_ns + for_ns, Action::Continue(command)));
            }
        }
        if (below(1_000_000) as f64) < plan.kill * 1e6 {
            actions.push((start_ns + below(plan.kill_within_ns), Action::Kill(command)));
        }
    }
    actions.sort_unstable();
    actions
}

/// Commands on their way.
struct Play<'p> {
    host: &'p mut Host,
    plan: &'p RoundsPlan,
    ids: &'p [String],
    running: Vec<Option<Running>>,
    handles: Vec<Option<Handle>>,
    killed: Vec<bool>,
    done: Vec<Option<Done>>,
}

impl<'p> Play<'p> {
    fn new(host: &'p mut Host, plan: &'p RoundsPlan, ids: &'p [String]) -> Self {
        let count = plan.together.len();
        Self {
            host,
            plan,
            ids,
            running: vec![None; count],
            handles: (0..count).map(|_| None).collect(),
            killed: vec![false; count],
            done: vec![None; count],
        }
    }

    /// Does all of it, and waits until every command has ended or had its time.
    fn run(mut self, actions: &[(u64, Action)]) -> Result<Vec<Done>, HostError> {
        let begun_ns = now_ns();
        let limit = self.host.limit();
        let mut deadline = Deadline::after(limit);
        let mut next = 0;
        while self.done.iter().any(Option::is_none) {
            let at = |action: &(u64, Action)| begun_ns + action.0;
            let due = actions[next..].iter().take_while(|action| at(action) <= now_ns()).count();
            self.perform(&actions[next..next + due])?;
            next += due;
            let left = actions
                .get(next)
                .map_or(host::ROUND, |action| Duration::from_nanos(at(action).saturating_sub(now_ns())));
            if let Some(ended) = self.host.spawner.ended(left.min(host::ROUND))? {
                self.hear(ended)?;
            } else if next == actions.len() {
                if !deadline.is_over() {
                    continue;
                }
                if self.stands_still() {
                    self.give_up()?;
                }
            }
            deadline = Deadline::after(limit);
        }
        Ok(self.done.into_iter().flatten().collect())
    }

    /// Does what is due; what starts at one time starts as much at once as can be.
    fn perform(&mut self, actions: &[(u64, Action)]) -> Result<(), HostError> {
        let starts: Vec<usize> = actions
            .iter()
            .filter_map(|(_, action)| match action {
                Action::Start(command) => Some(*command),
                _ => None,
            })
            .collect();
        if !starts.is_empty() {
            let words = |command: &usize| {
                let Call { operation, container } = self.plan.together[*command];
                self.host.words(operation, &self.ids[container as usize])
            };
            let words = starts.iter().map(words).collect();
            let started = self.host.start(words)?;
            for (command, running) in starts.into_iter().zip(started) {
                self.running[command] = Some(running);
                self.handles[command] = Some(Handle::of(running.pid));
            }
        }
        for (_, action) in actions {
            match action {
                Action::Start(_) => {}
                Action::Stop(command) => self.signal(*command, Signal::SIGSTOP)?,
                Action::Continue(command) => self.signal(*command, Signal::SIGCONT)?,
                Action::Kill(command) => self.kill(*command),
            }
        }
        Ok(())
    }

    fn signal(&mut self, command: usize, signal: Signal) -> Result<(), HostError> {
        match (&self.running[command], &self.done[command]) {
            (Some(running), None) => Ok(self.host.spawner.signal(running.slot, signal)?),
            _ => Ok(()),
        }
    }

    /// Kills the runtime's own process, and none that it started: as the kernel does when memory is short.
    fn kill(&mut self, command: usize) {
        let (Some(running), Some(handle)) = (&self.running[command], &self.handles[command]) else { return };
        let is_ours = Stat::of(running.pid).is_some_and(|stat| stat.parent == self.host.spawner.pid());
        if self.done[command].is_none() && is_ours && handle.kill().is_ok() {
            self.killed[command] = true;
        }
    }

    fn hear(&mut self, ended: Ended) -> Result<(), HostError> {
        let is_it = |running: &Option<Running>| running.is_some_and(|running| running.slot == ended.slot);
        let Some(command) = self.running.iter().position(is_it) else { return Ok(()) };
        // One that had ended before the signal came was not killed.
        let is_killed = self.killed[command] && ended.status == Status::Signaled(Signal::SIGKILL as i32);
        let running = self.running[command].expect("it was found by it");
        self.done[command] = Some(self.host.done(running, Some(ended), is_killed, None)?);
        Ok(())
    }

    /// Whether none of the commands that are left does anything any more: on a machine that is busy with something else, a
    /// command that takes long is no command that hangs.
    fn stands_still(&self) -> bool {
        let left = || self.running.iter().zip(&self.done).filter(|(_, done)| done.is_none());
        let ran_ns =
            || left().filter_map(|(running, _)| *running).map(|it| host::ran_ns(it.pid)).sum::<u64>();
        let before_ns = ran_ns();
        std::thread::sleep(STILL);
        ran_ns().saturating_sub(before_ns) < STILL_RAN_NS
    }

    /// Gives up what has not ended.
    fn give_up(&mut self) -> Result<(), HostError> {
        for command in 0..self.done.len() {
            if self.done[command].is_none() {
                let running = self.running[command].expect("all were started");
                self.done[command] = Some(self.host.give_up(running, self.killed[command])?);
            }
        }
        Ok(())
    }
}

/// Writes down what the commands answered, and what readers saw.
fn record(host: &Host, plan: &RoundsPlan, dones: &[Done], torn: Vec<Torn>, round: &mut Round) {
    let history = &mut round.history;
    for (process, (call, done)) in (0..).zip(plan.together.iter().zip(dones)) {
        let told = answer::read(host.runtime, call.operation, done);
        let mut record = Record::invoked(process, Some(call.container), call.operation, done.begun_ns);
        if told.outcome != Outcome::Unknown {
            record.set_return_ns(Some(done.ended_ns));
        }
        push(history, record, told);
    }
    for Torn { container, auditor, from_ns, to_ns, why } in torn {
        let process = plan.together.len() as u32 + auditor;
        let mut record = Record::invoked(process, Some(container), Operation::State, from_ns);
        record.set_return_ns(Some(to_ns));
        push(history, record, Answer::failed(Reason::Corrupt, why));
    }
}

/// Adds a record with what was answered.
pub(super) fn push(history: &mut History, mut record: Record, told: Answer) {
    (record.outcome, record.reason, record.status) = (told.outcome, told.reason, told.status);
    if let Some(message) = told.message {
        history.attach_message(&mut record, message);
    }
    history.records.push(record);
}

/// How a command ended, as far as it may have fallen over: that it refuses is no crash, whatever its exit code.
fn exit(done: &Done, process: u32) -> Exit {
    let fallen = answer::fallen(done);
    let how = match done.ending {
        Some(Status::Signaled(signal)) => ExitHow::Signal(signal),
        Some(Status::Exited(code)) if fallen.is_some() => ExitHow::Code(code),
        // What hangs is told as that.
        Some(Status::Exited(_)) | None => ExitHow::Code(0),
    };
    Exit {
        process,
        pid: done.pid,
        how,
        killed_ns: done.is_killed.then_some(done.begun_ns),
        reaped_ns: done.ended_ns,
        last_words: fallen,
    }
}

fn stall(plan: &RoundsPlan, dones: &[Done]) -> Option<Stall> {
    let hung = plan.together.iter().zip(dones).filter_map(|(call, done)| {
        let waiting = done.waiting.as_ref()?;
        Some(format!("{}: {waiting}", call.words(&plan.containers)))
    });
    let waiting: Vec<String> = hung.collect();
    let others_ended = dones.iter().filter(|done| done.ending.is_some()).map(|done| done.ended_ns);
    let since_ns = others_ended.chain(dones.iter().map(|done| done.begun_ns)).max().unwrap_or(0);
    (!waiting.is_empty()).then_some(Stall { since_ns, waiting })
}

fn has_met(dones: &[Done]) -> bool {
    dones.iter().enumerate().any(|(number, one)| {
        let others = &dones[number + 1..];
        others.iter().any(|other| one.begun_ns < other.ended_ns && other.begun_ns < one.ended_ns)
    })
}
