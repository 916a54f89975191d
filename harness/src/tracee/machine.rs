//! The machine of real programs: it runs one execution after the other, each from the state that whoever calls it has put
//! back.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::filter::{self, Pass};
use super::fork_server::Forks;
use super::hurry::Hurry;
use super::names::Names;
use super::outside::Outside;
use super::paths::Paths;
use super::settings::{Ending, Left, Options, Planned, Settings, TraceeError};
use super::tree::Tree;
use super::watchdog::Watchdog;
use crate::books::deed::Faults;
use crate::books::locks::Locks;
use crate::explore::machine::{Chooser, End, Execution, Pick, Point, process_at};
use crate::explore::observe::{Observer, Scene};
use crate::explore::step::{Event, Mask, Step};
use crate::plan::race::{ForkServer, Threads};
use crate::plan::schedule::as_read;
use crate::process::Zygote;
use crate::process::attention::Deadline;
use crate::process::slot::SlotSettings;
use crate::process::spawner::{self, Spawner};

pub(super) type Result<T, E = TraceeError> = std::result::Result<T, E>;

/// Real programs under control.
#[derive(Debug)]
pub struct Machine {
    // First, so that nobody lives when what it serves is gone.
    pub(super) spawner: Spawner,
    pub(super) trees: Vec<Tree>,
    pub(super) paths: Paths,
    pub(super) locks: Locks,
    pub(super) options: Options,
    pub(super) watchdog: Option<Watchdog>,
    /// Whether commands run in the class `SCHED_FIFO`, in the execution at hand.
    pub(super) real_time: bool,
    processor: Option<usize>,
    /// Where the first state folder is seen by whoever looks on: commands may find a copy in its place, and nobody else does.
    looked_at: Option<PathBuf>,
    pub(super) lines: Vec<Vec<String>>,
    /// Where the first command of each process starts.
    pub(super) begins_in: Vec<Option<PathBuf>>,
    /// What all have in their environment that was started for this race.
    pub(super) marker: String,
    /// How many open file descriptions were told apart.
    pub(super) descriptions: u64,
    /// Whether a program died within the step at hand, and gave up what it held.
    pub(super) fell: bool,
    pub(super) forks: Forks,
    pub(super) run: Run,
    /// The commands in the order in which they are to go, where they are to go one after the other.
    order: Option<Vec<(usize, usize)>>,
}

/// What an execution came to so far.
#[derive(Debug)]
pub(super) struct Run {
    pub planned: Vec<Planned>,
    pub left: Left,
    /// How many steps have been taken, the one at hand included.
    pub depth: usize,
    pub begun: Instant,
    /// How long those may go on who look in vain, where there are any.
    pub in_vain: Option<Deadline>,
    /// Whether when commands begin and end is for others to see: some process has several.
    pub has_times: bool,
    /// Files that somebody mapped: whose, and which.
    pub mapped: Vec<(usize, crate::books::places::Inode)>,
    /// How many bytes of writes the journal was given.
    pub kept_bytes: u64,
    /// What was done outside of the state folders.
    pub outside: Outside,
    pub stops: u64,
    pub waited_in_vain: u64,
    /// Whether calls are only delayed, so that nobody waits until all stand still.
    pub is_perturbed: bool,
    /// Whether a stop was gone before it was answered, though its task lives: a signal interrupted the call.
    pub interrupted: bool,
    /// When each command began and ended, by its process and its number there.
    pub spans: BTreeMap<(usize, usize), (Duration, Option<Duration>)>,
}

impl Run {
    pub fn new(planned: &[Planned], has_times: bool) -> Self {
        Self {
            planned: planned.to_vec(),
            left: Left::default(),
            depth: 0,
            begun: Instant::now(),
            in_vain: None,
            has_times,
            mapped: Vec::new(),
            kept_bytes: 0,
            outside: Outside::default(),
            stops: 0,
            waited_in_vain: 0,
            is_perturbed: false,
            interrupted: false,
            spans: BTreeMap::new(),
        }
    }
}

impl Machine {
    /// Has a spawner forked, and in it a slot for each process.
    pub fn open(zygote: &Zygote, settings: Settings) -> Result<Self> {
        if settings.processes.len() > Mask::CAPACITY {
            let why = format!("at most {} processes can be controlled at once", Mask::CAPACITY);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why).into());
        }
        let spawner_settings = spawner::Settings {
            marker: settings.marker.clone(),
            binds: settings.binds.clone(),
            network: settings.network,
            processor: settings.processor,
            ..spawner::Settings::default()
        };
        let mut spawner = Spawner::open(zygote, spawner_settings)?;
        let watchdog = match settings.processor.filter(|_| !settings.options.without_real_time) {
            Some(processor) => Watchdog::beside(processor)?,
            None => None,
        };
        let mut trees = Vec::new();
        for (number, commands) in settings.processes.iter().enumerate() {
            let output = ["out", "err"].map(|what| settings.scratch.join(format!("p{}.{what}", number + 1)));
            for path in &output {
                File::create(path)?;
            }
            let pass = Pass::draw()?;
            let program = match settings.options.fork_server {
                ForkServer::Off => filter::program(Some(pass)),
                ForkServer::Auto => filter::cloneable(pass),
            };
            let slot = spawner.slot(SlotSettings {
                commands: commands.clone(),
                environment: settings.environment.clone(),
                marker: settings.marker.clone(),
                filter: program.iter().map(|one| (one.code, one.jt, one.jf, one.k)).collect(),
                pass: pass.0,
                output: output.clone(),
                processor: settings.processor,
                real_time: watchdog.is_some(),
                uninterrupted: settings.options.uninterrupted,
            })?;
            trees.push(Tree::new(slot, pass.0, output.each_ref().map(PathBuf::as_path))?);
        }
        let names = Names::new(settings.options.words.clone());
        let paths = Paths::new(&settings.folders, spawner.pid(), names)?;
        let words = |line: &crate::process::slot::CommandLine| line.words.join(" ");
        Ok(Self {
            spawner,
            trees,
            paths,
            locks: Locks::default(),
            real_time: watchdog.is_some(),
            watchdog,
            processor: settings.processor,
            looked_at: settings.looked_at(),
            lines: settings.processes.iter().map(|lines| lines.iter().map(words).collect()).collect(),
            begins_in: settings.processes.iter().map(|lines| Some(lines.first()?.folder.clone())).collect(),
            forks: Forks::new(settings.options.fork_server),
            options: settings.options,
            marker: settings.marker,
            descriptions: 0,
            fell: false,
            run: Run::new(&[], false),
            order: None,
        })
    }

    /// Takes what all executions so far shared for the words that names are made of: every other name gets a number from now
    /// on. Two executions at least must have been run, of the same schedule at best.
    pub fn learn_names(&mut self) {
        self.paths.names.learn();
    }

    /// The words that names are made of, where they are known: for [`Options::words`] of a later machine.
    #[must_use]
    pub fn words(&self) -> Option<&std::collections::BTreeSet<String>> {
        self.paths.names.words()
    }

    /// Whether it is a choice which task of a process goes next.
    #[must_use]
    pub const fn threads(&self) -> Threads {
        self.options.threads
    }

    /// Whether commands run in the class `SCHED_FIFO`, which makes it cheap to know when they stand still.
    #[must_use]
    pub fn has_real_time(&self) -> bool {
        self.watchdog.is_some()
    }

    /// Whether the kernel wakes whoever is answered at once, on the answerer's processor (Linux 6.6).
    #[must_use]
    pub fn wakes_in_step(&self) -> Option<bool> {
        self.trees.first().map(|tree| tree.slot.wakes_in_step)
    }

    /// The pid of each process's command; none where none is at work.
    #[must_use]
    pub fn pids(&self) -> Vec<Option<u32>> {
        self.trees.iter().map(|tree| tree.root.as_ref().map(|(pid, _)| *pid)).collect()
    }

    /// How often, in the last execution, somebody who slept was kept waiting for others who might only be late, and were not.
    #[must_use]
    pub fn waited_in_vain(&self) -> u64 {
        self.run.waited_in_vain
    }

    /// How many stops the last execution took.
    #[must_use]
    pub fn stops(&self) -> u64 {
        self.run.stops
    }

    /// Runs one execution. Each planned fault meets its process at the step of its label.
    pub fn run(
        &mut self,
        planned: &[Planned],
        chooser: &mut dyn Chooser,
        observer: &mut dyn Observer,
    ) -> Result<Execution<Left>> {
        let before = self.settle_here();
        let hurry = self.watchdog.is_some().then(Hurry::begin).flatten();
        let run = self.run_to_its_end(planned, chooser, observer);
        if run.is_err() {
            self.leave_nobody();
        }
        self.rest();
        self.paths.end();
        drop(hurry);
        if let Some(before) = before {
            // Where it cannot be, the caller stays where commands run.
            _ = sched_setaffinity(Pid::from_raw(0), &before);
        }
        run
    }

    /// Has the calling thread work where commands run; gives back where it did before, if that was elsewhere.
    fn settle_here(&self) -> Option<CpuSet> {
        let before = sched_getaffinity(Pid::from_raw(0)).ok()?;
        let mut here = CpuSet::new();
        here.set(self.processor?).ok()?;
        (before != here && sched_setaffinity(Pid::from_raw(0), &here).is_ok()).then_some(before)
    }

    fn run_to_its_end(
        &mut self,
        planned: &[Planned],
        chooser: &mut dyn Chooser,
        observer: &mut dyn Observer,
    ) -> Result<Execution<Left>> {
        self.begin(planned)?;
        let processes = self.trees.len();
        let (mut events, mut masks): (Vec<Event>, Vec<Mask>) = (Vec::new(), Vec::new());
        let mut pending: Vec<Option<Step>> = Vec::new();
        let end = loop {
            let enabled = self.enabled_at_last()?;
            masks.push(enabled);
            if enabled.is_empty() && !self.trees.iter().any(Tree::is_live) {
                break End::Completed;
            }
            if enabled.is_empty() {
                self.run.left.stall = Some(self.who_waits_for_whom());
                self.run.left.looked_for_long = self.has_looked_for_long();
                break End::Deadlock;
            }
            if events.len() >= self.options.steps_max {
                break End::TooLong;
            }
            self.count_waiting(enabled);
            self.pending(&mut pending);
            let last = events.last().map(|event| event.process);
            let point = Point { depth: events.len(), enabled, pending: &pending, last, processes };
            let Pick::Step(place) = chooser.choose(&point) else { break End::Abandoned };
            let process = process_at(place, processes);
            self.turn_to(place);
            if observer.looks_on() {
                let pids = self.pids();
                let root = self.looked_at.as_deref().unwrap_or(std::path::Path::new("/"));
                let depth = events.len();
                let next: Vec<Option<Step>> = self.trees.iter().map(|tree| tree.step.clone()).collect();
                observer.before(&Scene {
                    depth,
                    next: process,
                    pending: &next,
                    enabled: self.processes_of(enabled),
                    pids: &pids,
                    held: &self.locks.held(),
                    root,
                });
                // Whoever looks on takes the time that it takes.
                self.run.begun = Instant::now();
            }
            let before: Vec<usize> = self.trees.iter().map(Tree::ended).collect();
            let event = Event { process: place, ..self.take(process)? };
            chooser.happened(&event);
            events.push(event);
            for (process, before) in before.into_iter().enumerate() {
                for command in before..self.trees[process].ended() {
                    let how = format!("{:?}", self.trees[process].commands[command].ending);
                    chooser.command_ended(process, &how);
                }
            }
        };
        self.pending(&mut pending);
        if end == End::Completed {
            self.while_all_go_on(|| observer.over())?;
        }
        self.finish()?;
        self.vouch_for_clones()?;
        let mut left = std::mem::take(&mut self.run.left);
        left.commands = self.trees.iter_mut().map(|tree| std::mem::take(&mut tree.commands)).collect();
        Ok(Execution { events, enabled: masks, pending, processes, end, outcome: left })
    }

    /// Has commands go one after the other, each by its process and its number there; nobody else goes as long as one of them
    /// can. Nothing: all may go that can.
    pub fn confine(&mut self, order: Option<Vec<(usize, usize)>>) {
        self.order = order;
    }

    /// Whose turn it is, where commands go one after the other.
    pub(super) fn whose_turn(&self) -> Option<usize> {
        let is_over = |&&(process, command): &&(usize, usize)| self.trees[process].ended() > command;
        self.order.as_ref()?.iter().find(|step| !is_over(step)).map(|(process, _)| *process)
    }

    /// Who can take a step. Where nobody can, whoever can only be late is waited for, and whoever sleeps is woken.
    fn enabled_at_last(&mut self) -> Result<Mask> {
        loop {
            let enabled = self.enabled();
            if !enabled.is_empty() || !self.is_anybody_left() {
                return Ok(self.may_go(enabled));
            }
            if !self.interrupt_all()?
                && !self.choose_another()
                && !self.let_anybody_leave()?
                && !self.wait_for_the_late()?
                && !self.look_in_vain()?
                && !self.let_time_pass()?
                && !self.wait_for_a_timer()?
            {
                return Ok(enabled);
            }
        }
    }

    fn count_waiting(&mut self, enabled: Mask) {
        let enabled = self.processes_of(enabled);
        let waits = |(process, tree): &(usize, &Tree)| tree.is_live() && !enabled.has(*process);
        self.run.left.blocked += self.trees.iter().enumerate().filter(waits).count() as u64;
    }

    fn who_waits_for_whom(&self) -> Vec<String> {
        let mut chain = Vec::new();
        for (process, tree) in self.trees.iter().enumerate().filter(|(_, tree)| tree.is_live()) {
            let label = tree.step.as_ref().map_or("nothing", |step| &step.label);
            let label = as_read(label, self.paths.names.numbered());
            let mut holders: Vec<String> =
                self.in_the_way(process).into_iter().map(|holder| format!("p{}", holder + 1)).collect();
            holders.dedup();
            let why = match (holders.is_empty(), tree.chosen) {
                (false, _) => format!("waits at {label}, held by {}", holders.join(" and ")),
                (true, Some(_)) => {
                    let why = if tree.is_in_vain() {
                        format!(": it has looked in vain for {} s", self.options.patience.as_secs_f64())
                    } else {
                        String::new()
                    };
                    format!(
                        "waits at {label} for a change to what it looked at, and no process is left to make one{why}"
                    )
                }
                (true, None) => {
                    format!("waits in the kernel after {}", tree.last.as_deref().unwrap_or("its start"))
                }
            };
            chain.push(format!("p{} {why}", process + 1));
        }
        chain
    }

    /// Notes a step that is about to be taken.
    pub(super) fn note(&mut self, process: usize, step: &Step, faults: Faults) {
        let fault = self.trees[process].fault;
        self.run.left.faults.extend(fault.map(|fault| (self.run.left.chances.len(), fault)));
        self.run.left.chances.push((process, Arc::clone(&step.label), faults));
    }

    /// Ends what an execution left unfinished: nobody may do anything when the next begins.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.note_missed();
        self.note_left_behind();
        self.run.left.names.clone_from(self.paths.names.numbered());
        for (path, who) in self.run.outside.meetings() {
            let who: Vec<String> = who.iter().map(|process| format!("p{}", process + 1)).collect();
            self.run
                .left
                .uncertain
                .insert(format!("{} meet at {path}, outside the state folders", who.join(" and ")));
        }
        for process in 0..self.trees.len() {
            let is_unfinished = self.trees[process].is_live();
            self.clear(process)?;
            if is_unfinished {
                self.close_command(process, Ending::Unfinished)?;
            }
        }
        Ok(())
    }

    /// A command's words, for people.
    pub(super) fn line(&self, process: usize) -> String {
        let line = self.lines[process].get(self.trees[process].command);
        line.cloned().unwrap_or_else(|| "what its commands left behind".into())
    }

    /// Somebody of a process runs from now on.
    pub(super) fn watch(&self, process: usize) {
        if let Some(watchdog) = &self.watchdog {
            watchdog.watch(self.trees[process].slot.pid);
        }
    }

    /// Whoever is below this process may run as well, whoever's turn it is.
    pub(super) fn also_watch(&self, nest: u32) {
        if let Some(watchdog) = &self.watchdog {
            watchdog.also_watch(nest);
        }
    }

    /// Nobody runs.
    pub(super) fn rest(&mut self) {
        if let Some(watchdog) = &self.watchdog {
            watchdog.rest();
        }
        self.doubt();
    }

    /// Whoever lost the class does not stand still whenever this thread runs.
    pub(super) fn doubt(&mut self) {
        if self.watchdog.as_ref().is_some_and(Watchdog::has_fired) {
            self.real_time = false;
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Before the listeners close: what would still run then would run uncontrolled.
        self.leave_nobody();
    }
}
