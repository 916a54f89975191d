//! The explore engine: holds real processes at their system calls, and chooses who goes next.

mod campaign;
mod control;
mod drive;
pub mod follow;
mod judge;
mod lane;
mod pace;
mod power;
mod repeat;
mod strategies;

use std::path::Path;
use std::sync::atomic::AtomicBool;

pub use self::campaign::Promised;
pub(crate) use self::control::{FIRST_SEQUENCE, ForkServerTask, raise_fork_server};
#[doc(hidden)]
pub use self::pace::{Pace, pace};

use flockwork::Operation;

use self::control::Planned;
use self::follow::{Followed, Following};
use super::{EngineError, Progress};
use crate::answer::Lacks;
use crate::check::{CheckId, Examination};
use crate::evidence::Exit;
use crate::explore::machine::{Chooser, End, Execution};
use crate::explore::observe::Observer;
use crate::explore::strategy::Coverage;
use crate::explore::strategy::replay::{Fidelity, Follower, Turn};
use crate::history::{History, Outcome};
use crate::plan::schedule::{Line, Schedule};
use crate::plan::{Call, ExplorePlan};
pub use crate::power::Lost;
pub use crate::power::damage::{Damage, Damages};
use crate::process::Zygote;
use crate::violation::Violation;

/// What an exploration gives back.
#[derive(Debug)]
pub struct ExploreRun {
    /// The first schedule of each signature that broke a promise, in the order in which they were found.
    pub discoveries: Vec<Discovery>,
    /// What each check examined, over all schedules, and how many violations it saw; the first are kept.
    pub examinations: Vec<(CheckId, Examination)>,
    /// The first history that a check could not decide: somebody else may.
    pub undecided: Option<History>,
    /// The first history that was judged: what one execution looks like, for whoever wants to judge it again.
    pub first: Option<History>,
    /// Schedules that were run to their end and judged.
    pub schedules: u64,
    /// Of these, how many had a fault.
    pub faulted: u64,
    /// Schedules that were left half-way, as nothing new could follow.
    pub redundant: u64,
    /// Operations that were performed.
    pub operations: u64,
    /// What became of them.
    pub answers: Answers,
    /// Steps that were taken.
    pub steps: u64,
    /// Points at which a process had to wait for a lock.
    pub blocked: u64,
    /// Whether a step of one process ever depended on a step of another, but for the time at which operations are
    /// invoked and return.
    pub met: bool,
    /// Which part of the space was seen.
    pub coverage: Coverage,
    /// About how many schedules an enumeration of all interleavings without faults would have run.
    pub naive: Option<f64>,
    /// How many schedules were run once more, and repeated step by step.
    pub repeated: u64,
    /// What the strategy promises to have found; none where its algorithm promises nothing.
    pub promised: Option<Promised>,
    /// What came of power losses; none where they were not to be.
    pub power: Option<Power>,
    /// How long it took, in nanoseconds.
    pub duration_ns: u64,
    /// Whether the budget was used up, or somebody stopped it.
    pub ended: super::Ended,
}

/// What came of power losses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Power {
    /// States that were judged; equal ones count once for all that happened before them alike.
    pub states: u64,
    /// Executions whose states were judged; those that did the same to the folder, and answered the same, count once.
    pub executions: u64,
    /// Moments at which the power may have gone, in all these executions.
    pub moments: u64,
    /// States that the model allows at these moments, execution by execution.
    pub allowed: u64,
    /// Of these, how many broke a promise.
    pub wrong: u64,
    /// What was wrong with the files in those.
    pub damages: Damages,
    /// Fsyncs that were taken for not made, or for late.
    pub omitted: u64,
    /// Whether of some executions not all states were judged, but those with up to two pieces missing.
    pub is_bounded: bool,
    /// Why some could not be judged.
    pub unjudged: Option<String>,
    /// How long it took to find the states, lay them out and judge them, in nanoseconds; of several lanes added up.
    pub judging_ns: u64,
}

impl Power {
    fn add(&mut self, more: Self) {
        self.judging_ns += more.judging_ns;
        self.states += more.states;
        self.executions += more.executions;
        self.moments += more.moments;
        self.allowed += more.allowed;
        self.wrong += more.wrong;
        self.omitted += more.omitted;
        for (damage, count) in more.damages {
            *self.damages.entry(damage).or_default() += count;
        }
        self.is_bounded |= more.is_bounded;
        self.unjudged = self.unjudged.take().or(more.unjudged);
    }
}

/// What became of the operations of an exploration, as far as its worth depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Creates that succeeded, those of the setup included: without one, no container was there to be raced for.
    pub created: u64,
    /// Operations that reported an error, in all executions.
    pub failed: u64,
    /// What the subject said at the first of these.
    pub first_failure: Option<String>,
    /// What the machine lacked in schedules without faults.
    pub lacks: Lacks,
}

impl Answers {
    /// Counts those of one execution.
    pub fn count(&mut self, history: &History) {
        for record in &history.records {
            match record.outcome {
                Outcome::Ok => self.created += u64::from(record.operation == Operation::Create),
                Outcome::Failed => {
                    self.failed += 1;
                    let words = history.message(record).unwrap_or("without a word");
                    self.first_failure.get_or_insert_with(|| words.to_owned());
                }
                Outcome::Refused | Outcome::Unknown => {}
            }
        }
    }
}

/// A schedule that broke a promise.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// What it broke; never empty.
    pub violations: Vec<Violation>,
    /// The schedule, from the state after setup to its end.
    pub schedule: Schedule,
    /// What the processes did and saw; an operation's times are numbers of steps.
    pub history: History,
    /// Which one it was, counted from 1.
    pub number: u64,
    /// How many times a process was interrupted that could have gone on.
    pub preemptions: u32,
    /// What a power loss left, where one shows it.
    pub lost: Option<Box<Lost>>,
}

/// Explores. Setting `stop` ends it early and cleanly: what was seen until then is given back.
pub fn run(
    zygote: &mut Zygote,
    plan: &ExplorePlan,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<ExploreRun, EngineError> {
    drive::run(zygote, plan, stop, progress)
}

/// What one execution on an [`Executor`] left, besides the files in its root.
#[derive(Clone, Debug)]
pub struct Remains {
    /// What the processes did and saw; times are numbers of steps.
    pub history: History,
    /// The steps that were taken, with the faults that met them.
    pub schedule: Schedule,
    /// How processes ended that did not live on.
    pub exits: Vec<Exit>,
    /// Who waits for whom, where nobody could go on.
    pub stall: Option<Vec<String>>,
}

/// Processes under control that stay between one schedule and the next: for replay and for shrinking.
pub struct Executor {
    lane: lane::Lane,
}

impl Executor {
    /// Forks the processes, and brings the containers to their state after setup.
    pub fn open(zygote: &Zygote, plan: &ExplorePlan) -> Result<Self, EngineError> {
        Ok(Self { lane: lane::Lane::open(zygote, plan, 0)? })
    }

    /// The folder in which the containers live: as the last execution left it, until the next one begins.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.lane.control.root
    }

    /// The pid of each process; none where it is not forked yet, or was killed.
    #[must_use]
    pub fn pids(&self) -> Vec<Option<u32>> {
        self.lane.control.pids()
    }

    /// Whether the kernel wakes whoever is answered at once, on the answerer's processor (Linux 6.6): else every step
    /// takes longer. None where no process is there to ask about.
    #[must_use]
    pub fn wakes_in_step(&self) -> Option<bool> {
        self.lane.control.wakes_in_step()
    }

    /// Has the calling thread work on the processor of the executor's processes from now on: a step is faster so.
    pub fn settle(&self) {
        self.lane.settle();
    }

    /// Runs one execution of these programs from the state after setup, and judges nothing. Of `faults`, lines of a
    /// schedule, each meets its process at the step of its label.
    pub fn run(
        &mut self,
        programs: &[Vec<Call>],
        faults: &[Line],
        chooser: &mut dyn Chooser,
    ) -> Result<Execution<Remains>, EngineError> {
        let planned: Vec<Planned> = faults.iter().filter_map(Planned::of).collect();
        let Execution { events, enabled, pending, processes, end, outcome } =
            self.lane.run(programs, &planned, chooser, &mut ())?;
        let outcome = Remains {
            schedule: outcome.schedule(),
            history: outcome.recorder.history,
            exits: outcome.recorder.exits,
            stall: outcome.stall,
        };
        Ok(Execution { events, enabled, pending, processes, end, outcome })
    }

    /// Has these programs follow a schedule from the state after setup: at most as many as the plan has, and on the
    /// plan's containers.
    pub fn follow(
        &mut self,
        programs: &[Vec<Call>],
        schedule: &Schedule,
        how: Following,
        observer: &mut dyn Observer,
    ) -> Result<Followed, EngineError> {
        let planned: Vec<Planned> = schedule.lines.iter().filter_map(Planned::of).collect();
        let turns: Vec<Turn> = schedule.lines.iter().map(Turn::from).collect();
        let fidelity = match how {
            Following::Strict => Fidelity::Strict,
            Following::Loose => Fidelity::Lenient,
        };
        let mut follower = Follower::new(turns.into(), fidelity);
        let execution = self.lane.run(programs, &planned, &mut follower, observer)?;
        let preemptions = execution.preemptions();
        let (execution, left) = execution.split();
        let files = self.lane.control.digest().map_err(EngineError::from)?;
        let fresh = self.lane.fresh(&left);
        let mut verdict = self.lane.judge(files, &left)?;
        let looked = if verdict.violations.is_empty() && execution.end == End::Completed {
            self.lane.lose_power(fresh, &left)?
        } else {
            power::Looked::default()
        };
        let mut lost = None;
        if let Some((found, why)) = looked.found {
            (verdict.violations, verdict.history, lost) = (found.violations, found.history, Some(why));
        }
        Ok(Followed {
            lost,
            power: looked.power,
            violations: verdict.violations,
            history: verdict.history,
            schedule: left.schedule(),
            divergence: follow::Divergence::of(follower.followed(), schedule),
            preemptions,
            end: execution.end,
            examinations: verdict.examinations,
            blocked: left.blocked,
            met: left.blocked > 0 || execution.has_met(),
        })
    }
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor").finish_non_exhaustive()
    }
}
