//! Executions under control: commands are held at their system calls, and a strategy chooses who goes next.
//!
//! What is claimed of them rests on the machine. So the first execution under control is a sequential one: where it does not
//! come to what the same order came to freely, commands are not the same when they are held, and nothing is claimed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::error::RaceError;
use super::holding::{Looking, machine_settings};
use super::judge::{Broken, Judge, Judged};
use super::losing::PowerBook;
use super::orders::Step;
use super::outcome::{Done, Ending, Output};
use super::pool::Pool;
use super::run::Played;
use super::shrink::SHRINKING;
use super::site::Site;
use super::{Again, Discovery, NoBaseline, RaceRun, Seen};
use crate::engine::Progress;
use crate::explore::machine::{Chooser, End, Execution, place_of};
use crate::explore::observe::Observer;
use crate::explore::strategy::bounded::Bounded;
use crate::explore::strategy::exhaustive::Exhaustive;
use crate::explore::strategy::pct::Pct;
use crate::explore::strategy::pos::Pos;
use crate::explore::strategy::random::Random;
use crate::explore::strategy::replay::{Fidelity, Follower, Turn};
use crate::explore::strategy::{Coverage, Strategy};
use crate::history::Clock;
use crate::plan::StrategyPlan;
use crate::plan::race::{ForkServer, RacePlan, Threads};
use crate::plan::schedule::{Line, Schedule};
use crate::power::folders;
use crate::process::Zygote;
use crate::process::spawner::Status;
use crate::tracee::{self, Command, Left, Machine, Options, Planned, TraceeError, task_of};

/// How often a finding is followed again at the least.
pub(super) const AGAIN: u64 = 3;
/// Executions of a strategy that chooses at random: as many as there is time for.
pub(super) const SAMPLES: u64 = 1_000_000_000;

/// How a race under control ended.
pub(super) enum Held {
    /// As far as the budget went, or with a discovery.
    Done,
    /// The commands cannot be controlled: why.
    Refused(String),
}

/// A machine, and which processes of the race it holds.
pub(super) struct Holder {
    pub machine: Machine,
    pub members: Vec<usize>,
    /// Further grounds, in which executions are searched that need not follow one another.
    pub pool: Option<Pool>,
}

impl Holder {
    /// An execution of these processes, as it is followed again.
    pub fn controlled(&self, played: Played, schedule: Schedule, preemptions: u32) -> Controlled {
        Controlled {
            played,
            schedule,
            preemptions,
            members: self.members.clone(),
            words: self.machine.words().cloned().unwrap_or_default(),
            is_minimal: false,
        }
    }
}

/// What drives a search.
pub(super) struct Search<'a> {
    pub zygote: &'a Zygote,
    pub site: &'a mut Site,
    pub judge: &'a mut Judge,
    pub plan: &'a RacePlan,
    pub root: &'a Path,
    pub run: &'a mut RaceRun,
    pub until: Instant,
    pub stop: &'a AtomicBool,
    pub progress: &'a dyn Progress,
    /// Why all that was run with clones is to be run anew with programs that are started.
    pub untold: Option<String>,
    /// What is known of power losses, where they are tried.
    pub power: Option<PowerBook>,
    /// The words that names are made of, where they are known already.
    pub words: Option<BTreeSet<String>>,
    /// Whether somebody is to be able to attach to commands while they are held: then signals interrupt them.
    pub attachable: bool,
}

/// How a search by one strategy ended.
pub(super) enum Phase {
    /// The strategy has nothing left to try; this is what it covered.
    Over(Coverage),
    /// There was no more time for it.
    Spent,
    /// With a discovery.
    Found(Box<Discovery>),
    /// What cannot be controlled came up.
    Refused(String),
}

impl Search<'_> {
    /// Searches until the budget is used up, all has been seen, or a promise is broken.
    pub fn conduct(&mut self) -> Result<Held, NoBaseline> {
        if self.plan.fork_server == ForkServer::Auto
            && let Some(held) = self.with_clones()?
        {
            return Ok(held);
        }
        self.conduct_with(ForkServer::Off)
    }

    /// The same with programs that are started, or with clones.
    pub(super) fn conduct_with(&mut self, fork_server: ForkServer) -> Result<Held, NoBaseline> {
        if self.explores_tasks()
            && let Some(why) = self.learn_alone(&BTreeSet::new())?
        {
            return Ok(Held::Refused(why));
        }
        let everybody = (0..self.site.processes.len()).collect();
        let mut holder = match self.open_with(everybody, self.words.clone(), fork_server) {
            Ok(holder) => holder,
            Err(error) => return refused(error),
        };
        // What names are made of is learnt from programs that draw their own.
        holder.machine.suspend_clones(true);
        if let Some(why) = self.rehearse(&mut holder)? {
            return Ok(Held::Refused(why));
        }
        holder.machine.suspend_clones(false);
        holder.pool = self.pool();
        let phase = match self.plan.strategy.clone() {
            None => self.everything_first(&mut holder)?,
            Some(strategy) => {
                let mut strategy = strategy_of(&strategy, self.plan.seed);
                self.explore(&mut holder, &mut *strategy, &[], self.until)?
            }
        };
        if let Some(clones) = &mut self.run.fork_server {
            clones.refused = clones.refused.take().or_else(|| holder.machine.cloned().refused.clone());
        }
        match phase {
            Phase::Refused(why) => return Ok(Held::Refused(why)),
            Phase::Over(coverage) => self.run.coverage = Some(coverage),
            Phase::Spent => self.run.coverage = Some(Coverage::Partial),
            Phase::Found(discovery) => {
                holder.machine.suspend_clones(true);
                self.run.coverage = Some(Coverage::Partial);
                let simplest = self.simplest(*discovery, &mut holder, SHRINKING)?;
                self.run.discoveries.push(simplest);
            }
        }
        holder.pool.take().map_or(Ok(()), Pool::close)?;
        if self.run.diverged > 0 || !self.run.uncertain.is_empty() {
            self.run.coverage = Some(Coverage::Partial);
        }
        Ok(Held::Done)
    }

    /// Opens a machine that holds these processes.
    pub(super) fn open(
        &self,
        members: Vec<usize>,
        words: Option<BTreeSet<String>>,
    ) -> Result<Holder, TraceeError> {
        self.open_with(members, words, ForkServer::Off)
    }

    fn open_with(
        &self,
        members: Vec<usize>,
        words: Option<BTreeSet<String>>,
        fork_server: ForkServer,
    ) -> Result<Holder, TraceeError> {
        let machine = self.machine_at(self.site, self.root, &members, words, fork_server)?;
        Ok(Holder { machine, members, pool: None })
    }

    /// Opens a machine that holds these processes of a site, whose own folder is `root`.
    pub(super) fn machine_at(
        &self,
        site: &Site,
        root: &Path,
        members: &[usize],
        words: Option<BTreeSet<String>>,
        fork_server: ForkServer,
    ) -> Result<Machine, TraceeError> {
        let options = Options {
            // A runtime makes namespaces and mounts: that is its work.
            allow_uncontrolled: self.plan.allow_uncontrolled || self.plan.oci.is_some(),
            kills_alone: self.plan.oci.is_some(),
            goes_on_afterwards: self.plan.oci.is_some(),
            // A cgroup of version 1 takes no task of that class.
            without_real_time: self.plan.oci.is_some(),
            begins_late: self.plan.modelled.is_some(),
            keeps_journal: self.power.is_some(),
            records_bytes: self.power.is_some(),
            fork_server,
            threads: self.plan.threads,
            sleeps: self.plan.sleeps,
            words,
            uninterrupted: !self.attachable,
            ..Options::default()
        };
        Machine::open(self.zygote, machine_settings(site, root, members, options)?)
    }

    /// Judges an execution; where it broke a promise, it is followed again.
    pub(super) fn judged(
        &mut self,
        holder: &mut Holder,
        left: &Left,
        planned: &[Planned],
        preemptions: u32,
        played: Played,
    ) -> Result<Option<Discovery>, NoBaseline> {
        match self.verdict(&played)? {
            Judged::Legal { left_over } => {
                self.run.left_over.extend(left_over);
                return Ok(None);
            }
            Judged::Broken(broken) if broken.waiting.is_empty() => {
                // What differs with time is no difference.
                self.judge.baseline.refresh(self.site)?;
            }
            Judged::Broken(_) => {}
        }
        let Judged::Broken(broken) = self.verdict(&played)? else { return Ok(None) };
        let schedule = left.schedule();
        let was_cloned = holder.machine.ran_clones();
        holder.machine.suspend_clones(true);
        // What takes its whole time limit is not run again and again.
        let most = if left.looked_for_long { 1 } else { AGAIN };
        let again = self.again(holder, (&schedule, planned), &broken, most)?;
        holder.machine.suspend_clones(false);
        if was_cloned && again.shown == 0 {
            // Nothing is told that programs did not show that were started as anybody starts them.
            self.untold = Some("clones showed a violation that started programs did not show".into());
            return Ok(None);
        }
        let controlled = holder.controlled(played, schedule, preemptions);
        let seen = Seen::Controlled(Box::new(controlled));
        Ok(Some(Discovery { broken, seen, lost: None, number: self.run.executions, again }))
    }

    /// How often a schedule shows the same again, of so many times.
    fn again(
        &mut self,
        holder: &mut Holder,
        (schedule, planned): (&Schedule, &[Planned]),
        broken: &Broken,
        most: u64,
    ) -> Result<Again, NoBaseline> {
        let mut again = Again::default();
        while again.times < most {
            again.times += 1;
            let mut follower = follower(schedule, holder);
            let Ok((execution, played)) = self.execute(holder, planned, &mut follower)? else { continue };
            if execution.outcome.is_spoilt()
                || (!follower.followed().to_the_letter() && execution.end == End::Abandoned)
            {
                self.run.diverged += 1;
                continue;
            }
            let verdict = self.verdict(&played)?;
            again.shown += u64::from(matches!(verdict, Judged::Broken(other) if other.class == broken.class));
        }
        Ok(again)
    }

    /// Runs one execution from the initial state; the inner error says why the commands cannot be controlled.
    pub(super) fn execute(
        &mut self,
        holder: &mut Holder,
        planned: &[Planned],
        chooser: &mut dyn Chooser,
    ) -> Result<Result<(Execution<Left>, Played), String>, NoBaseline> {
        self.watched(holder, planned, chooser, &mut ())
    }

    /// The same, while somebody looks on.
    pub(super) fn watched(
        &mut self,
        holder: &mut Holder,
        planned: &[Planned],
        chooser: &mut dyn Chooser,
        observer: &mut dyn Observer,
    ) -> Result<Result<(Execution<Left>, Played), String>, NoBaseline> {
        self.site.put_back()?;
        let before = self.power.is_some().then(|| folders::read(&self.site.work));
        let lane = holder.pool.as_ref().map(|pool| Arc::clone(&pool.lane));
        let turn = lane.as_ref().map(|lane| lane.enter());
        let mut looking = Looking::in_turn(observer, self.site, turn);
        let run = holder.machine.run(planned, chooser, &mut looking);
        looking.told()?;
        if let (Some(book), Some(before)) = (&mut self.power, before) {
            let around = before.and_then(|before| Ok((before, folders::read(&self.site.work)?)));
            book.around = Some(around.map_err(|error| error.to_string()));
        }
        let execution = match run {
            Ok(execution) => execution,
            Err(TraceeError::NotCloneable(why)) => {
                self.untold = Some(why.clone());
                return Ok(Err(why));
            }
            Err(error) => {
                return why_refused(error).map(Err);
            }
        };
        let played = played(self.site, &holder.members, &execution)?;
        Ok(Ok((execution, played)))
    }
}

/// What an execution of these processes came to.
pub(super) fn played(
    site: &mut Site,
    members: &[usize],
    execution: &Execution<Left>,
) -> Result<Played, RaceError> {
    let mut done: BTreeMap<Step, Done> = BTreeMap::new();
    let mut spans = BTreeMap::new();
    for (commands, process) in execution.outcome.commands.iter().zip(members) {
        for (index, command) in commands.iter().enumerate() {
            done.insert((*process, index), done_of(command, execution.end));
            if let Some(invoked) = command.invoked {
                // It has returned with the last of the steps that had happened by then: the next step comes after it.
                let last = |happened: usize| happened.saturating_sub(1).max(invoked) as u64;
                spans.insert((*process, index), (invoked as u64, command.returned.map_or(u64::MAX, last)));
            }
        }
    }
    let mut played = Played { spans, clock: Clock::Steps, ..Played::nothing() };
    if execution.end == End::Deadlock {
        played.waiting = execution.outcome.stall.clone().unwrap_or_default();
    }
    if execution.end != End::Abandoned {
        site.conclude(done, &[], &mut played)?;
    }
    Ok(played)
}

/// How a broken promise was seen under control.
#[derive(Clone, Debug)]
pub struct Controlled {
    /// What the execution came to.
    pub played: Played,
    /// The steps, with the faults that met them; processes are numbered as they take part.
    pub schedule: Schedule,
    /// How many times a process was interrupted that could have gone on.
    pub preemptions: u32,
    /// Which processes of the race take part.
    pub members: Vec<usize>,
    /// The words that names are made of in it.
    pub words: BTreeSet<String>,
    /// Whether nothing simpler was found.
    pub is_minimal: bool,
}

/// Follows a schedule strictly.
pub(super) fn follower(schedule: &Schedule, holder: &Holder) -> Follower {
    let turn = |line: &Line| match holder.machine.threads() {
        Threads::Fixed => Turn::from(line),
        Threads::Explore => {
            let process = place_of(line.process, task_of(&line.label), holder.members.len());
            Turn { process, ..Turn::from(line) }
        }
    };
    let turns: Vec<Turn> = schedule.lines.iter().map(turn).collect();
    Follower::new(turns.into(), Fidelity::Strict)
}

pub(crate) fn done_of(command: &Command, end: End) -> Done {
    let output = |text: &Vec<u8>| Output { text: text.as_slice().into(), bytes: text.len() as u64 };
    let ending = match &command.ending {
        tracee::Ending::Status(Status::Exited(code)) => Ending::Exited(*code),
        tracee::Ending::Status(Status::Signaled(signal)) => Ending::Signaled(*signal),
        tracee::Ending::Killed => Ending::Killed,
        tracee::Ending::NotStarted(_) => Ending::NotStarted(libc::EIO),
        tracee::Ending::Unfinished if end == End::Deadlock => Ending::TimedOut,
        tracee::Ending::NotBegun | tracee::Ending::Unfinished => Ending::Skipped,
    };
    Done { ending, stdout: output(&command.stdout), stderr: output(&command.stderr) }
}

/// Why commands are not controlled, by an error of the machine.
pub(super) fn why_refused(error: TraceeError) -> Result<String, NoBaseline> {
    match refused(error)? {
        Held::Refused(why) => Ok(why),
        Held::Done => unreachable!("an error is no end"),
    }
}

/// What follows from an error of the machine.
fn refused(error: TraceeError) -> Result<Held, NoBaseline> {
    match error {
        TraceeError::Io(error) => Err(NoBaseline::Error(RaceError::Failed(format!("control: {error}")))),
        TraceeError::Spawner(why) => Err(NoBaseline::Error(RaceError::Failed(why))),
        TraceeError::Unsupported(why) => Ok(Held::Refused(format!("{why}; see `flockwork doctor`"))),
        // It would do so freely as well.
        error @ TraceeError::Harmful { .. } => Err(NoBaseline::Error(RaceError::Refused(error.to_string()))),
        error => Ok(Held::Refused(error.to_string())),
    }
}

fn strategy_of(plan: &StrategyPlan, seed: u64) -> Box<dyn Strategy> {
    match plan {
        StrategyPlan::Exhaustive { preemptions: Some(most) } => Box::new(Bounded::with_at_most(*most)),
        StrategyPlan::Exhaustive { preemptions: None } | StrategyPlan::Replay(_) => {
            Box::new(Exhaustive::new())
        }
        StrategyPlan::Random => Box::new(Random::new(seed, SAMPLES)),
        StrategyPlan::Pct { depth } => Box::new(Pct::new(seed, SAMPLES, *depth)),
        StrategyPlan::Pos => Box::new(Pos::new(seed, SAMPLES)),
    }
}
