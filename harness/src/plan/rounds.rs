//! The plan of rounds: commands of a container runtime that start at once, again and again, each time from the same ground.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Call;
use crate::violation::Class;

/// Which runtime, and how it is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OciPlan {
    /// Its name: runc, crun, youki, runsc.
    pub runtime: String,
    /// Its program; none: the one on PATH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// What is given before the operation, besides what the runtime needs here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// How long one command may take, in nanoseconds: beyond it, it hangs.
    pub time_limit_ns: u64,
}

impl OciPlan {
    /// How long a command may take where nobody says, in nanoseconds.
    pub const TIME_LIMIT_NS: u64 = 10_000_000_000;
}

/// How much is done at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundsBudget {
    /// Rounds.
    pub rounds: u64,
    /// Nanoseconds.
    pub time_ns: u64,
}

/// Rounds of one runtime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundsPlan {
    /// The runtime.
    pub oci: OciPlan,
    /// Where everything lies: the root of a folder made for this run.
    pub root: PathBuf,
    /// Determines every random choice.
    pub seed: u64,
    /// The containers' names.
    pub containers: Vec<String>,
    /// What is done before each round, one after the other; each must succeed.
    pub setup: Vec<Call>,
    /// What is started at once.
    pub together: Vec<Call>,
    /// The share of these commands that get SIGKILL at a random moment, from 0 to 1.
    pub kill: f64,
    /// A command that is killed is so within this time after its start, in nanoseconds.
    pub kill_within_ns: u64,
    /// Commands are stopped at random moments for a random time within these bounds, in nanoseconds; none: they run free.
    pub perturb_ns: Option<RangeInclusive<u64>>,
    /// How many readers read the containers' metadata, as fast as they can, while commands run.
    pub auditors: u32,
    /// How much is done at most.
    pub budget: RoundsBudget,
    /// No round follows once all of these were seen; where there are none, all rounds are played.
    pub sought: BTreeSet<Class>,
}
