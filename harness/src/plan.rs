//! Validated plans: what a scenario and the command line mean, in the form that engines take.
//!
//! A plan is a value. It crosses from the harness to the zygote as JSON, so it holds no handle of any kind.

pub mod bench;
pub mod command;
pub mod crash;
pub mod parts;
pub mod race;
mod replica;
pub mod rounds;
pub mod schedule;
mod subject;

use std::ops::RangeInclusive;
use std::path::PathBuf;

use flockwork::Operation;
use serde::{Deserialize, Serialize};
use strum::{EnumCount, EnumDiscriminants, VariantArray};

use self::parts::Parts;
pub use self::replica::{GvisorCommit, Replica, Rule, UnknownReplica};
use self::schedule::{Fault, Schedule};
pub use self::subject::{FailCreate, FailCreateAt, LibraryPlan, SandboxKind, SubjectPlan};
use crate::words::every;

/// How much a stress run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Budget {
    /// This many operations in all, shared evenly among the workers.
    Operations(u64),
    /// As many operations as fit in this many nanoseconds.
    DurationNs(u64),
}

/// How auditors read `meta.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audit {
    /// Without any lock: sound only where saves replace the file as a whole.
    LockFree,
    /// With the subject's own reading operation.
    Locked,
}

/// A stress run: so many workers that choose operations at random, as fast as they can.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StressPlan {
    /// What is tested.
    pub subject: SubjectPlan,
    /// Where the containers live: an empty folder made for this run.
    pub root: PathBuf,
    /// Determines which operations each worker chooses, and its think times.
    pub seed: u64,
    /// How many processes operate on the containers.
    pub processes: u32,
    /// How many auditors, on top of the workers.
    pub auditors: u32,
    /// Whether auditors take the lock.
    pub audit: Audit,
    /// How many containers, named `c1`, `c2`, …
    pub containers: u32,
    /// When it ends.
    pub budget: Budget,
    /// Random wait between two operations of one worker, in nanoseconds.
    pub think_ns: RangeInclusive<u64>,
    /// Random wait inside the lock, in nanoseconds, where the subject lets the harness wait there.
    pub hold_ns: RangeInclusive<u64>,
    /// Weights of the operations; none is zero.
    pub mix: Vec<(Operation, u32)>,
    /// SIGKILL a random worker about this often, in nanoseconds, and replace it.
    pub kill_every_ns: Option<u64>,
    /// Size of the payload that each save carries, in bytes.
    pub payload_bytes: u32,
    /// A fresh process for each operation, rather than long-lived workers.
    pub fresh_processes: bool,
    /// No worker may wait longer than this for one operation: beyond it is starvation.
    pub starvation_ns: u64,
    /// No operation of any worker ending for this long is a deadlock.
    pub stall_ns: u64,
}

/// One operation that a scenario spells out: `pause c1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Call {
    /// Which operation is called.
    pub operation: Operation,
    /// On which container: index into the plan's containers; 0 for operations about the whole root.
    pub container: u32,
}

impl Call {
    /// As scenarios spell it.
    #[must_use]
    pub fn words(self, containers: &[String]) -> String {
        match containers.get(self.container as usize) {
            Some(container) if self.operation != Operation::List => format!("{} {container}", self.operation),
            _ => self.operation.to_string(),
        }
    }
}

/// Which executions an exploration runs, and in which order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, EnumDiscriminants)]
#[strum_discriminants(name(StrategyKind), vis(pub(crate)), derive(EnumCount, VariantArray))]
#[strum_discriminants(doc = "A strategy without what it is told.")]
#[serde(rename_all = "kebab-case")]
pub enum StrategyPlan {
    /// All of them, but for those that are equivalent to others.
    Exhaustive {
        /// At most this many times may a process be interrupted that could have gone on.
        preemptions: Option<u32>,
    },
    /// A uniform choice at each step.
    Random,
    /// Probabilistic concurrency testing.
    Pct {
        /// The number of ordering constraints that a bug may have and still be found with the guaranteed probability.
        depth: u32,
    },
    /// Partial order sampling.
    Pos,
    /// This one schedule.
    Replay(Schedule),
}

impl StrategyKind {
    pub(crate) const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// As scenarios and flags spell it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Exhaustive => "exhaustive",
            Self::Random => "random",
            Self::Pct => "pct",
            Self::Pos => "pos",
            Self::Replay => "replay",
        }
    }

    /// The strategy of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// How much an exploration does at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExploreBudget {
    /// At most this many executions.
    pub schedules: u64,
    /// At most this long, in nanoseconds by the clock.
    pub time_ns: u64,
}

/// Which schedules an exploration runs once more, to see that they repeat themselves step by step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepeatPlan {
    /// All of them.
    All,
    /// All of the first `first`, and one in `then_one_in` of those that follow.
    Some {
        /// So many, all.
        first: u64,
        /// Then one in so many; at least 1.
        then_one_in: u64,
    },
}

impl RepeatPlan {
    /// All while there are few, which is cheap, and then a sample.
    pub const USUAL: Self = Self::Some { first: 1_000, then_one_in: 50 };

    /// One in so many, from the first on.
    #[must_use]
    pub const fn one_in(count: u64) -> Self {
        Self::Some { first: 1, then_one_in: count }
    }

    /// The same of these parts only: of the schedules that all are run once more, their share. So an exploration that
    /// several machines share costs them together what it costs one.
    #[must_use]
    pub fn of_parts(self, parts: Parts) -> Self {
        let share = |first: u64| {
            let parts = parts.numbers().count() as u64;
            first.saturating_mul(parts).div_ceil(u64::from(Parts::COUNT))
        };
        match self {
            Self::All => self,
            Self::Some { first, then_one_in } => Self::Some { first: share(first), then_one_in },
        }
    }

    /// Whether the schedule of this number, from 1, is run once more.
    #[must_use]
    pub const fn wants(self, number: u64) -> bool {
        match self {
            Self::All => true,
            Self::Some { first, then_one_in } => number <= first || number.is_multiple_of(then_one_in),
        }
    }
}

/// An exploration: a few processes with a fixed program each, and which of their interleavings are executed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExplorePlan {
    /// What is tested.
    pub subject: SubjectPlan,
    /// Where the containers live: an empty folder made for this run.
    pub root: PathBuf,
    /// Determines the choices of strategies that choose at random.
    pub seed: u64,
    /// What the containers are called.
    pub containers: Vec<String>,
    /// What is done first, by one process and without control; each must succeed.
    pub setup: Vec<Call>,
    /// What each process does.
    pub processes: Vec<Vec<Call>>,
    /// Which executions, and in which order.
    pub strategy: StrategyPlan,
    /// What may go wrong: each kind is tried at each step where it can happen.
    pub faults: Vec<Fault>,
    /// At most this many faults meet one execution.
    pub fault_bound: u32,
    /// How much is done at most.
    pub budget: ExploreBudget,
    /// Which schedules are run once more.
    pub repeat: RepeatPlan,
    /// Size of the payload that each save carries, in bytes.
    pub payload_bytes: u32,
    /// Longest that one process may run between two of its stops, in nanoseconds.
    pub step_ns: u64,
    /// Most steps of one execution.
    pub steps_max: usize,
    /// How many explorations go on side by side, each on a processor of its own.
    pub lanes: u32,
    /// Which parts of it are explored.
    pub parts: Parts,
    /// The power losses that are tried, if any.
    pub power: Option<PowerPlan>,
}

/// A power loss after every execution, at every moment of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerPlan {
    /// The disk model, as scenarios spell it.
    pub disk: String,
    /// Whether what an operation did must last once it has returned.
    pub is_durable: bool,
    /// Fsyncs that are taken for not made, so that it shows what each is needed for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without_fsync: Vec<FsyncName>,
    /// Fsyncs that are taken for made only after the call of their process that comes next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late_fsync: Vec<FsyncName>,
}

/// Which fsyncs of an execution are meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct FsyncName {
    /// The file or folder, by the path that it had first, within the state folder; `.` is that folder itself.
    pub path: String,
    /// Which of the fsyncs of it that one process makes, from 1; none: all.
    pub number: Option<usize>,
}

impl From<FsyncName> for String {
    fn from(name: FsyncName) -> Self {
        match name.number {
            Some(number) => format!("{} #{number}", name.path),
            None => name.path,
        }
    }
}

impl TryFrom<String> for FsyncName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (path, number) = match text.rsplit_once(" #") {
            Some((path, number)) => (path, Some(number)),
            None => (&*text, None),
        };
        let wrong = || format!("expected a path such as \"c1/meta.json.tmp\" or \". #2\", found {text:?}");
        let number = number.map(|number| number.parse().ok().filter(|&number| number > 0).ok_or_else(wrong));
        if path.is_empty() || path.starts_with('/') {
            return Err(wrong());
        }
        Ok(Self { path: path.to_owned(), number: number.transpose()? })
    }
}
