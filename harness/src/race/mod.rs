//! Races of commands: the program is its own specification.
//!
//! Every sequential order of the commands is run from one initial state, and learnt; an execution in which they overlap is
//! legal exactly when its outcome is that of some order. What differs between equal runs is masked, and told; what was
//! not observed is no part of any claim.
//!
//! Nothing here knows how a race is reported, and nothing but `site` and `run` starts a process.

mod alone;
pub mod baseline;
pub(crate) mod blind;
mod clones;
pub mod command;
mod containers;
pub mod control;
mod distinct;
pub mod error;
pub mod expected;
mod free;
pub(crate) mod holding;
pub mod judge;
mod losing;
mod model;
mod moment;
pub mod orders;
pub mod outcome;
mod perturbed;
pub mod phases;
mod pool;
pub(crate) mod power;
mod rehearsal;
pub mod replay;
pub(crate) mod run;
mod searching;
pub mod sheet;
pub mod shrink;
pub(crate) mod site;
pub mod tell;
pub mod text;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use self::baseline::{Baseline, NoBaseline};
use self::control::{Controlled, Held, Search};
pub use self::error::RaceError;
use self::judge::{Broken, BusyRule, Judge};
use self::losing::PowerBook;
use self::orders::Step;
use self::outcome::Outcome;
pub use self::run::{Call, Played};
use self::sheet::{Comparator, Compare};
use self::site::Site;
use crate::disk::Disk;
use crate::disk::model::named as model_named;
use crate::engine::{Ended, Progress};
use crate::explore::strategy::Coverage;
use crate::ground::Capture;
use crate::plan::race::{Mode, RacePlan, Threads};
use crate::plan::schedule::Fault;
pub use crate::power::Lost;
use crate::process::Zygote;
use crate::process::clock::now_ns;
use crate::violation::Class;

/// What a race gives back.
#[derive(Debug)]
pub struct RaceRun {
    /// Executions in which commands overlapped.
    pub executions: u64,
    /// Of these, how many had a fault.
    pub faulted: u64,
    /// Executions under control that did not repeat what they should, and were left out.
    pub diverged: u64,
    /// Sequential orders of all commands.
    pub sequential_orders: u64,
    /// How often one was run.
    pub sequential_runs: u64,
    /// What may be anything: a place, and the line there as it is shown.
    pub masked: BTreeSet<(String, String)>,
    /// What was found; at most one of a signature.
    pub discoveries: Vec<Discovery>,
    /// Whether commands of two processes ever met.
    pub met: bool,
    /// Why nothing that the commands do could be seen by what is compared.
    pub blind: Option<String>,
    /// Which part of all executions was seen; none where they ran freely.
    pub coverage: Option<Coverage>,
    /// Why the commands were not controlled, where they were not.
    pub uncontrolled: Option<String>,
    /// Why no calls were delayed, where they were to be: then commands were only started at different times.
    pub unperturbed: Option<String>,
    /// Files that killed commands left over, and that are no violation.
    pub left_over: BTreeSet<String>,
    /// Steps that were seen, and the faults that each can meet.
    pub chances: BTreeSet<(usize, Arc<str>, Fault)>,
    /// What commands changed outside of the state folders, as far as that was seen.
    pub touched_outside: BTreeSet<String>,
    /// Why nothing exhaustive can be claimed, though executions were under control.
    pub uncertain: BTreeSet<String>,
    /// Processes whose own tasks could have gone in another order than the one that was tried.
    pub in_fixed_order: BTreeSet<usize>,
    /// Processes whose own tasks could have gone in another order than one that was tried, which was tried, too.
    pub in_any_order: BTreeSet<usize>,
    /// What commands came to one after the other, where their tasks were explored.
    pub alone: Alone,
    /// What came of cloning programs; none where they were not to be.
    pub fork_server: Option<Clones>,
    /// Names of processes that commands leave behind in the background, one after the other, too.
    pub daemons: BTreeSet<String>,
    /// The model that judged, where one did rather than the orders.
    pub model: Option<String>,
    /// What came of power losses; none where they were not to be.
    pub power: Option<PowerLosses>,
    /// Whether the budget was used up, or somebody stopped it.
    pub ended: Ended,
    /// How long it took, in nanoseconds.
    pub duration_ns: u64,
    /// What lay in the state folders at first.
    pub initial: Vec<Capture>,
}

/// What came of power losses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PowerLosses {
    /// The disk model, as scenarios spell it.
    pub disk: &'static str,
    /// How many different states were judged.
    pub states: u64,
    /// Executions whose calls nobody had seen before: those that did the same to the folders count once.
    pub executions: u64,
    /// Whether the states of each are all that the model allows.
    pub is_exhaustive: bool,
    /// Whether the time was used up before the last of them.
    pub is_cut: bool,
    /// Why some could not be judged.
    pub unjudged: BTreeSet<String>,
}

/// What commands came to one after the other, where the orders of their own tasks were explored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alone {
    /// Executions of the commands one after the other.
    pub executions: u64,
    /// Outcomes that differ, each of which is right.
    pub outcomes: u64,
}

/// What came of cloning programs rather than starting them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clones {
    /// Executions whose programs were clones.
    pub executions: u64,
    /// Of these, how many were run again with programs that were started, and came to the same.
    pub compared: u64,
    /// Why programs were started all the same, from some execution on or from the first.
    pub refused: Option<String>,
}

/// A broken promise, with how it was seen.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// The promise that was broken, and what shows it.
    pub broken: Broken,
    /// How it was seen.
    pub seen: Seen,
    /// What a power loss left, where one shows it.
    pub lost: Option<Box<Lost>>,
    /// The number of the execution, from 1; 0 for a sequential order.
    pub number: u64,
    /// How often the same showed again.
    pub again: Again,
}

/// How often a finding showed again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Again {
    /// So many times it was tried.
    pub times: u64,
    /// So many of them showed it.
    pub shown: u64,
}

/// How a broken promise was seen.
#[derive(Clone, Debug)]
pub enum Seen {
    /// While commands ran freely.
    Free(Box<Played>),
    /// One after the other.
    Sequential(Box<Played>),
    /// Held at their system calls.
    Controlled(Box<Controlled>),
}

impl Seen {
    /// What the execution came to.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        match self {
            Self::Free(played) | Self::Sequential(played) => &played.outcome,
            Self::Controlled(controlled) => &controlled.played.outcome,
        }
    }

    /// The calls that were delayed, in the order in which they were let go; none where none were.
    #[must_use]
    pub fn calls(&self) -> &[Call] {
        match self {
            Self::Free(played) => &played.calls,
            Self::Sequential(_) | Self::Controlled(_) => &[],
        }
    }

    /// When each command began and ended, in nanoseconds since the first began; nothing where that tells nothing.
    #[must_use]
    pub fn spans(&self) -> Vec<(Step, (u64, u64))> {
        match self {
            Self::Free(played) => played.spans.iter().map(|(step, span)| (*step, *span)).collect(),
            Self::Sequential(_) | Self::Controlled(_) => Vec::new(),
        }
    }
}

/// Checks a plan as far as that can be done without running anything.
pub fn check(plan: &RacePlan) -> Result<(), RaceError> {
    site::check(plan)?;
    plan.modelled.as_ref().map(model::ModelJudge::new).transpose()?;
    BusyRule::compile(&plan.busy)?;
    comparator(plan).map(drop)
}

pub(crate) fn comparator(plan: &RacePlan) -> Result<Comparator, RaceError> {
    Comparator::new(plan.compare, &plan.masks, &plan.ignore)
        .map_err(|error| RaceError::Usage(error.to_string()))
}

/// What is compared unless a plan says otherwise.
#[must_use]
pub const fn compared(observes: bool) -> Compare {
    Compare { files: !observes, output: true, stderr: false, observe: observes }
}

/// The plan with an empty folder as its state, where it is to have one of its own.
fn with_own_state(plan: &RacePlan, root: &Path) -> Result<Option<RacePlan>, RaceError> {
    if !plan.own_state || !plan.state.is_empty() {
        return Ok(None);
    }
    let empty = root.join("empty");
    std::fs::create_dir_all(&empty).map_err(RaceError::failed("a folder cannot be made"))?;
    Ok(Some(RacePlan { state: vec![empty], ..plan.clone() }))
}

/// Brings all to where executions can begin.
fn prepare(zygote: &Zygote, plan: &RacePlan, root: &Path) -> Result<(Site, Judge, RaceRun), RaceError> {
    let own = with_own_state(plan, root)?;
    let plan = own.as_ref().unwrap_or(plan);
    let busy = BusyRule::compile(&plan.busy)?;
    let comparator = comparator(plan)?;
    let mut site = Site::open(zygote, plan, root)?;
    let model = plan.modelled.as_ref().map(model::ModelJudge::new).transpose()?;
    let baseline = Baseline::new(comparator, &site)?;
    let disk = disk_of(plan)?;
    if disk.is_some() {
        must_be_of_one_filesystem(&plan.state)?;
    }
    let run = RaceRun {
        executions: 0,
        faulted: 0,
        diverged: 0,
        sequential_orders: 0,
        sequential_runs: 0,
        masked: BTreeSet::new(),
        discoveries: Vec::new(),
        met: false,
        blind: None,
        coverage: None,
        uncontrolled: None,
        unperturbed: None,
        left_over: BTreeSet::new(),
        chances: BTreeSet::new(),
        touched_outside: BTreeSet::new(),
        uncertain: BTreeSet::new(),
        in_fixed_order: BTreeSet::new(),
        in_any_order: BTreeSet::new(),
        alone: Alone::default(),
        fork_server: None,
        daemons: BTreeSet::new(),
        model: None,
        power: disk.map(|disk| PowerLosses {
            disk: disk.name(),
            states: 0,
            executions: 0,
            is_exhaustive: true,
            is_cut: false,
            unjudged: BTreeSet::new(),
        }),
        ended: Ended::Completed,
        duration_ns: 0,
        initial: site.initial()?,
    };
    Ok((site, Judge { baseline, busy, strict: plan.strict, model }, run))
}

/// Races. `root` is an empty folder for copies and outputs. Setting `stop` ends it early and cleanly.
pub fn run(
    zygote: &Zygote,
    plan: &RacePlan,
    root: &Path,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<RaceRun, RaceError> {
    let begun_ns = now_ns();
    let until = Instant::now() + Duration::from_nanos(plan.budget.time_ns);
    let (mut site, mut judge, mut run) = prepare(zygote, plan, root)?;
    let ran_alone = match &judge.model {
        None if plan.threads == Threads::Fixed => {
            judge.baseline.orders(&mut site, &BTreeSet::new()).map(drop)
        }
        // What is right is found out under control.
        None | Some(_) => judge.baseline.once(&mut site),
    };
    let raced = ran_alone.and_then(|()| {
        let place = Place { zygote, root, until, stop, progress };
        overlap(&mut site, &mut judge, plan, &mut run, &place)
    });
    match raced {
        Ok(()) => {}
        Err(NoBaseline::Error(error)) => return Err(error),
        Err(NoBaseline::Hangs(hang)) => run.discoveries.push(alone(*hang)),
    }
    if run.discoveries.is_empty() && judge.model.is_none() {
        run.blind = blind::blindness(&mut judge.baseline, &mut site, plan, &run.initial)?;
    }
    if let Some(first) = &judge.baseline.first {
        run.daemons.extend(first.outcome.left_behind.iter().cloned());
    }
    if let Some(model) = &judge.model {
        run.model = Some(model.name().to_owned());
        run.uncertain.extend(model.doubts.iter().cloned());
        if !model.doubts.is_empty() && run.coverage.is_some() {
            run.coverage = Some(Coverage::Partial);
        }
    }
    if plan.oci.is_some() {
        // Cgroups, mounts and devices are put back with the containers, and what stays of them is compared.
        run.touched_outside.clear();
    }
    run.sequential_orders = judge.baseline.count();
    run.sequential_runs = judge.baseline.runs;
    run.masked = judge.baseline.masked();
    run.duration_ns = now_ns() - begun_ns;
    site.close()?;
    Ok(run)
}

/// What a crash leaves depends on the filesystem: one for all that is in a state folder.
pub(crate) fn must_be_of_one_filesystem(state: &[PathBuf]) -> Result<(), RaceError> {
    for folder in state {
        let mounted = crate::power::folders::mounted_within(folder)
            .map_err(RaceError::failed("a state folder cannot be read"))?;
        if let Some(mounted) = mounted {
            return Err(RaceError::Refused(format!(
                "{}: another filesystem is mounted there, within --state {}, and no crash can be judged of both in one; name a \
                 state folder that holds one of them alone",
                mounted.display(),
                folder.display()
            )));
        }
    }
    Ok(())
}

/// The disk model of a plan, where power losses are tried.
fn disk_of(plan: &RacePlan) -> Result<Option<&'static dyn Disk>, RaceError> {
    let named = |name: &String| {
        model_named(name).ok_or_else(|| RaceError::Usage(format!("--disk {name}: no such model")))
    };
    plan.disk.as_ref().map(named).transpose()
}

/// Where and how long a race takes place.
struct Place<'a> {
    zygote: &'a Zygote,
    root: &'a Path,
    until: Instant,
    stop: &'a AtomicBool,
    progress: &'a dyn Progress,
}

/// Runs executions in which commands overlap: under control where that is wanted and possible, else freely.
fn overlap(
    site: &mut Site,
    judge: &mut Judge,
    plan: &RacePlan,
    run: &mut RaceRun,
    place: &Place<'_>,
) -> Result<(), NoBaseline> {
    let Place { zygote, root, until, stop, progress } = *place;
    if plan.mode == Mode::Auto {
        let power = disk_of(plan)?.map(PowerBook::new);
        let mut search = Search {
            zygote,
            site,
            judge,
            plan,
            root,
            run,
            until,
            stop,
            progress,
            untold: None,
            words: None,
            attachable: false,
            power,
        };
        let held = search.conduct()?;
        match held {
            Held::Done => return Ok(()),
            Held::Refused(why) => {
                run.uncontrolled = Some(why);
                run.coverage = None;
            }
        }
    }
    let mut free = free::Free::new(site, judge, plan, run, place);
    free.look(place)?;
    free.conduct(until, stop, progress)
}

/// A hang that shows one after the other, too.
fn alone(hang: baseline::Hang) -> Discovery {
    let broken = Broken {
        class: Class::Deadlock,
        nearest: hang.steps,
        differences: Vec::new(),
        busy: Vec::new(),
        killed: Vec::new(),
        waiting: hang.played.waiting.clone(),
        also_alone: true,
        told: Vec::new(),
    };
    let (seen, again) = (Seen::Sequential(Box::new(hang.played)), Again::default());
    Discovery { broken, seen, lost: None, number: 0, again }
}
