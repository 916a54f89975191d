//! Executions that are disturbed: each call of a command that concerns others happens a random time later, which is where races
//! are. Nobody is stopped, and nothing is chosen: the machine decides, as it does when commands run freely.
//!
//! Where the kernel lets nobody delay calls, commands are only started at different times, and that is told.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::control::done_of;
use super::error::RaceError;
use super::holding::machine_settings;
use super::outcome::Who;
use super::run::{Call, Played};
use super::site::Site;
use crate::explore::machine::End;
use crate::explore::strategy::sampling::Dice;
use crate::plan::schedule::as_read;
use crate::process::{Zygote, hang};
use crate::tracee::{Machine, Options, Perturbation, Perturbed, TraceeError, Treatment};

/// How many calls a command is taken to make before it was seen.
const CALLS_FIRST: u64 = 16;

/// Runs disturbed executions.
pub(super) struct Perturber {
    machine: Machine,
    /// How long a call is delayed, in nanoseconds.
    range_ns: RangeInclusive<u64>,
    /// How many calls each process made lately.
    calls: Vec<u64>,
}

/// What is done in a disturbed execution.
pub(super) struct Disturbance {
    /// By how much the first call of each process is delayed besides, in nanoseconds.
    pub delays_ns: Vec<u64>,
    /// A process that is killed at one of its calls.
    pub kill: Option<usize>,
}

impl Perturber {
    /// Has a machine opened that delays calls of all processes.
    pub fn open(
        zygote: &Zygote,
        site: &Site,
        root: &Path,
        range_ns: RangeInclusive<u64>,
    ) -> Result<Self, TraceeError> {
        let members: Vec<usize> = (0..site.processes.len()).collect();
        let is_runtime = site.containers.is_some();
        let options =
            Options { kills_alone: is_runtime, goes_on_afterwards: is_runtime, ..Options::perturbing() };
        let mut settings = machine_settings(site, root, &members, options)?;
        let most = site.processes.iter().map(Vec::len).max().unwrap_or(1);
        settings.options.time_limit = site.time_limit * u32::try_from(most).unwrap_or(u32::MAX);
        settings.processor = None;
        let machine = Machine::open(zygote, settings)?;
        Ok(Self { machine, range_ns, calls: vec![CALLS_FIRST; members.len()] })
    }

    /// Runs one execution from the initial state, and tells what was changed outside of the state folders besides.
    pub fn run(
        &mut self,
        site: &mut Site,
        disturbance: &Disturbance,
        dice: &mut Dice,
    ) -> Result<(Played, std::collections::BTreeSet<String>), Undone> {
        site.put_back()?;
        let processes = self.calls.len();
        // Somebody is often slow where another is quick: as who goes first by priority, but for the machine's own will.
        let shifts = (0..processes).map(|_| 2 * dice.below(3) as u32).collect();
        let kill = disturbance.kill.map(|process| (process, dice.number() % (self.calls[process] + 1)));
        let (grace, alone) =
            (site.grace, site.processes.iter().map(|commands| commands.len() == 1).collect());
        let mut treating = Treating {
            dice,
            range_ns: self.range_ns.clone(),
            shifts,
            first_ns: disturbance.delays_ns.clone(),
            made: vec![0; processes],
            kill,
            alone,
            looked: Ok(()),
            waiting: Vec::new(),
            site: &mut *site,
        };
        let done = self.machine.run_perturbed(&mut treating, grace)?;
        let (made, waiting) = (treating.made, treating.waiting);
        treating.looked?;
        if done.in_time && disturbance.kill.is_none() {
            self.calls = made;
        }
        let touched = done.left.touched_outside.clone();
        Ok((played(site, &done, waiting)?, touched))
    }
}

/// What an execution came to.
fn played(site: &mut Site, done: &Perturbed, waiting: Vec<String>) -> Result<Played, RaceError> {
    let end = if done.in_time { End::Completed } else { End::Deadlock };
    let mut outcomes = BTreeMap::new();
    for (process, commands) in done.left.commands.iter().enumerate() {
        outcomes.extend(
            commands.iter().enumerate().map(|(index, command)| ((process, index), done_of(command, end))),
        );
    }
    let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let span = |(begun, ended): (Duration, Option<Duration>)| (ns(begun), ended.map_or(u64::MAX, ns));
    let calls = done
        .left
        .chances
        .iter()
        .map(|(process, label, _)| Call { process: *process, label: as_read(label, &done.left.names) });
    let mut played = Played {
        spans: done.spans.iter().map(|(step, times)| (*step, span(*times))).collect(),
        waiting,
        calls: calls.collect(),
        // What was held back for as long as it may take is no hang, nor is what still calls.
        is_spoilt: !done.in_time && (done.delayed > site.time_limit || done.quiet < site.time_limit / 2),
        is_interrupted: done.interrupted,
        ..Played::nothing()
    };
    site.conclude(outcomes, &done.strays, &mut played)?;
    Ok(played)
}

/// Why an execution was not run.
pub(super) enum Undone {
    /// The machine cannot hold calls of these commands.
    Machine(TraceeError),
    Race(RaceError),
}

impl From<TraceeError> for Undone {
    fn from(error: TraceeError) -> Self {
        Self::Machine(error)
    }
}

impl From<RaceError> for Undone {
    fn from(error: RaceError) -> Self {
        Self::Race(error)
    }
}

/// What is done to the calls of one execution.
struct Treating<'a> {
    dice: &'a mut Dice,
    range_ns: RangeInclusive<u64>,
    /// By how many powers of two the delays of each process are less than they could be.
    shifts: Vec<u32>,
    /// What comes on top of the first delay of each process.
    first_ns: Vec<u64>,
    /// How many calls each process made.
    made: Vec<u64>,
    /// Who is killed, at which of its calls.
    kill: Option<(usize, u64)>,
    /// Whether a process has one command only.
    alone: Vec<bool>,
    site: &'a mut Site,
    /// Whether what was left could be looked at.
    looked: Result<(), RaceError>,
    waiting: Vec<String>,
}

impl Perturbation for Treating<'_> {
    fn treat(&mut self, process: usize) -> Treatment {
        let number = self.made[process];
        self.made[process] += 1;
        if self.kill == Some((process, number)) {
            return Treatment::Kill;
        }
        let first_ns = if number == 0 { self.first_ns.get(process).copied().unwrap_or(0) } else { 0 };
        let (least_ns, most_ns) = (*self.range_ns.start(), *self.range_ns.end());
        let most_ns = (most_ns >> self.shifts[process]).max(least_ns);
        let for_ns = least_ns + self.dice.number() % (most_ns - least_ns + 1);
        Treatment::Delay(Duration::from_nanos(first_ns + for_ns))
    }

    fn late(&mut self, commands: &[(usize, usize, u32)], reaper: u32) {
        let who = |&(process, index, pid): &(usize, usize, u32)| {
            (Who::Command { process, index, alone: self.alone[process] }.to_string(), pid)
        };
        let commands: Vec<_> = commands.iter().map(who).collect();
        self.waiting = hang::told(&commands, reaper, &self.site.work);
    }

    fn over(&mut self) {
        self.looked = self.site.look();
    }
}
