//! The rounds engine: commands of a container runtime that start at once, then quiet, then a look at what is there; again and
//! again, each round with containers of its own.
//!
//! It judges nothing: whoever plays rounds is given each, and says whether another follows. What a round made is removed
//! before the next, whatever the runtime left; and the whole ground with it when the engine is done, in whatever way.

mod audit;
mod grounds;
mod play;
mod probe;

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flockwork::Operation;

use self::grounds::Grounds;
use super::{Ended, EngineError, Progress, UNTOLD, UNWATCHED};
use crate::evidence::{Evidence, Exit, Quiet, Stall, Unobserved};
use crate::history::History;
use crate::plan::rounds::RoundsPlan;
use crate::process::Zygote;
use crate::runtimes::clean::Left;
use crate::runtimes::{Host, HostError, life};

/// A command has a time limit of its own, beyond which it hangs.
const LIMITED: Unobserved = Unobserved::lacking("a command that takes too long counts as one that hangs");

/// What a round left to judge.
#[derive(Debug)]
pub struct Round {
    /// Its number, from 1.
    pub number: u64,
    /// What its commands did, those of the setup and of the probe included.
    pub history: History,
    /// What lay there after the run.
    pub quiet: Quiet,
    /// How each of the commands that were started at once ended.
    pub exits: Vec<Exit>,
    /// Set where a command did not end within its time.
    pub stall: Option<Stall>,
    /// Whether two commands ran at one time.
    pub has_met: bool,
    /// How many commands were killed on purpose.
    pub kills: u64,
    /// How many times metadata was read while commands ran.
    pub reads: u64,
}

impl Round {
    /// What the checks judge it by.
    #[must_use]
    pub fn evidence(&self) -> Evidence<'_> {
        Evidence {
            history: &self.history,
            tokens: Err(UNTOLD),
            sections: Err(UNWATCHED),
            exits: Ok(&self.exits),
            quiet: Ok(&self.quiet),
            starvation_ns: Err(LIMITED),
            stall: Ok(self.stall.as_ref()),
        }
    }
}

/// Whether another round follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// As long as the budget lasts.
    Another,
    /// No other round follows.
    Enough,
}

/// What all rounds came to, apart from what each of them left to judge.
#[derive(Clone, Debug)]
pub struct RoundsRun {
    /// What the runtime says of its version.
    pub version: String,
    /// How many rounds were played.
    pub rounds: u64,
    /// In how many of them two commands ran at one time.
    pub met: u64,
    /// How many commands were started at once, in all of them.
    pub commands: u64,
    /// How many commands were killed on purpose.
    pub kills: u64,
    /// How many times metadata was read while commands ran.
    pub reads: u64,
    /// How long it took, in nanoseconds, the removal of what rounds left included.
    pub duration_ns: u64,
    /// From the call of the engine to the first round, in nanoseconds.
    pub startup_ns: u64,
    /// Whether the budget was used up, or somebody stopped it.
    pub ended: Ended,
    /// What could not be removed.
    pub left: Left,
}

/// Plays rounds until the budget is used up, the user stops it, or whoever judges has seen enough.
pub fn run(
    zygote: &Zygote,
    plan: &RoundsPlan,
    stop: &AtomicBool,
    progress: &dyn Progress,
    judge: &mut dyn FnMut(&Round) -> Next,
) -> Result<RoundsRun, EngineError> {
    let called = Instant::now();
    let host = Host::open(zygote, &plan.oci, &plan.root).map_err(refused)?;
    let mut grounds = Grounds::new(zygote, plan, host);
    let played = play_all(&mut grounds, plan, stop, progress, judge, called);
    let left = grounds.close();
    let run = played?;
    Ok(RoundsRun { left: left?, ..run })
}

fn play_all(
    grounds: &mut Grounds<'_>,
    plan: &RoundsPlan,
    stop: &AtomicBool,
    progress: &dyn Progress,
    judge: &mut dyn FnMut(&Round) -> Next,
    called: Instant,
) -> Result<RoundsRun, EngineError> {
    let version = grounds.host().version().map_err(refused)?;
    life::try_life(grounds.host(), &name_of(plan, 0, "try")).map_err(refused)?;
    let begun = Instant::now();
    let mut run = RoundsRun {
        version,
        rounds: 0,
        met: 0,
        commands: 0,
        kills: 0,
        reads: 0,
        duration_ns: 0,
        startup_ns: begun.duration_since(called).as_nanos() as u64,
        ended: Ended::Completed,
        left: Left::default(),
    };
    let budget = (plan.budget.rounds, Duration::from_nanos(plan.budget.time_ns));
    let is_stopped = Cell::new(false);
    let may_begin = |number| {
        let is_wanted = number <= budget.0 && begun.elapsed() < budget.1;
        is_stopped.set(is_wanted && stop.load(Ordering::Relaxed));
        is_wanted && !is_stopped.get()
    };
    let mut suspects = 0;
    loop {
        let Some(round) = grounds.next(&may_begin)? else {
            if is_stopped.get() {
                run.ended = Ended::Interrupted;
            }
            break;
        };
        run.rounds = round.number;
        run.met += u64::from(round.has_met);
        run.commands += plan.together.len() as u64;
        run.kills += round.kills;
        run.reads += round.reads;
        let next = judge(&round);
        suspects += u64::from(round.stall.is_some());
        progress.update(run.commands, suspects);
        if next == Next::Enough {
            break;
        }
    }
    run.duration_ns = begun.elapsed().as_nanos() as u64;
    Ok(run)
}

/// The id of a container of a round: no two of one machine share one, as some runtimes have names that do not depend on
/// their root.
fn name_of(plan: &RoundsPlan, round: u64, container: &str) -> String {
    let ground = plan.root.parent().and_then(|folder| folder.file_name()).unwrap_or_default();
    let random = ground.to_string_lossy().rsplit('-').next().unwrap_or_default().to_lowercase();
    let own = std::process::id();
    format!("fw{own}{random}-{round}-{container}")
}

/// The first round cannot be had where the machine lacks something; all else is the harness's own fault.
fn refused(error: HostError) -> EngineError {
    match error {
        HostError::Find(_)
        | HostError::Unprivileged(_)
        | HostError::Lacking(_)
        | HostError::Exhausted(_)
        | HostError::Spawner(_) => EngineError::Unsupported(error.to_string()),
        HostError::Io(error) => EngineError::Failed(error.to_string()),
    }
}

/// Whether an operation ends what runs behind a container, some time after it has returned.
fn takes_its_time(operation: Operation) -> bool {
    operation == Operation::Kill
}
