//! Engines: what runs a subject. They take a plan and give back what was seen; they judge nothing.

pub mod bench;
pub mod command;
pub mod explore;
pub mod rounds;
mod serve;
pub mod stress;

use serde::{Deserialize, Serialize};

pub(crate) use serve::ServerTask;

use crate::answer::Lacks;
use crate::evidence::{Evidence, Exit, Observed, Overlap, Quiet, Sections, Stall, Unobserved};
use crate::history::History;
use crate::history::holds::Holds;
use crate::tracee::TraceeError;

/// What a stress run gives back.
#[derive(Debug)]
pub struct StressRun {
    /// Every operation, those of the examiner included.
    pub history: History,
    /// Whether answers tell generation and revision.
    pub tokens: Observed<()>,
    /// How many times a critical section was entered under watch.
    pub entered: Observed<u64>,
    /// Who held which container's lock when: for people, no check rests on it.
    pub holds: Observed<Holds>,
    /// Critical sections under watch that overlapped.
    pub overlaps: Vec<Overlap>,
    /// How each worker process ended.
    pub exits: Vec<Exit>,
    /// What lay in the root after the run.
    pub quiet: Quiet,
    /// Set where it stalled.
    pub stall: Option<Stall>,
    /// From the first invocation to the last return, in nanoseconds.
    pub duration_ns: u64,
    /// From the call of the engine to the first invocation, in nanoseconds.
    pub startup_ns: u64,
    /// Whether the budget was used up, the run stalled, or somebody stopped it.
    pub ended: Ended,
    /// How many workers were killed while there was work left.
    pub kills: u64,
    /// What the machine lacked when operations failed.
    pub lacks: Lacks,
}

impl StressRun {
    /// What the checks judge it by. No operation may take longer than `starvation_ns`.
    #[must_use]
    pub fn evidence(&self, starvation_ns: u64) -> Evidence<'_> {
        let sections = |entered| Sections { entered, overlaps: &self.overlaps };
        Evidence {
            history: &self.history,
            tokens: self.tokens.clone(),
            sections: self.entered.clone().map(sections),
            exits: Ok(&self.exits),
            quiet: Ok(&self.quiet),
            starvation_ns: Ok(starvation_ns),
            stall: Ok(self.stall.as_ref()),
        }
    }
}

/// Nobody watches critical sections of a subject that does not say when it is in one.
pub(crate) const UNWATCHED: Unobserved =
    Unobserved::lacking("the subject does not say when it holds a container's lock");
/// Saves of a subject whose answers tell no revision have no order that could be compared with what was seen later.
pub(crate) const UNTOLD: Unobserved =
    Unobserved::lacking("the subject's answers have no generation and revision");
/// What only a delete by force shows is not seen of a subject that has none.
pub(crate) const NO_FORCE_DELETE: &str = "the subject has no force-delete";
/// Of a container without a process there is nothing to see.
pub(crate) const NO_PROCESS: Unobserved = Unobserved::lacking("no process stands behind its containers");

/// Why a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// The budget was used up.
    #[default]
    Completed,
    /// The user stopped it.
    Interrupted,
    /// No operation ended for the plan's stall time.
    Stalled,
    /// The shared log was full before the budget was used up.
    LogFull,
}

/// Progress of a run, for whoever shows it; called a few times a second from the engine's own thread.
pub trait Progress {
    /// Operations so far, and violations that already show (torn reads, overlaps, crashes).
    fn update(&self, operations: u64, violations: u64);
}

/// The engine could not do its work: the harness's fault, or the machine's; never the subject's.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Something went wrong.
    #[error("{0}")]
    Failed(String),
    /// The machine lacks what the run needs.
    #[error("{0}")]
    Unsupported(String),
}

impl EngineError {
    /// Whether the machine lacks what the run needs, so that nobody is at fault.
    #[must_use]
    pub const fn is_unsupported(&self) -> bool {
        matches!(self, Self::Unsupported(_))
    }
}

impl From<TraceeError> for EngineError {
    fn from(error: TraceeError) -> Self {
        match error {
            TraceeError::Unsupported(why) => Self::Unsupported(why),
            other => Self::Failed(other.to_string()),
        }
    }
}
