//! The plan of rounds: commands of a container runtime that start at once, again and again, each time from the same ground.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use strum::{EnumCount, VariantArray};

use super::Call;
use crate::violation::Class;
use crate::words::every;

/// A runtime that flockwork knows how to use.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, EnumCount, VariantArray, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Runtime {
    /// opencontainers/runc, in Go.
    Runc,
    /// containers/crun, in C.
    Crun,
    /// youki-dev/youki, in Rust.
    Youki,
    /// gVisor's runsc, in Go.
    Runsc,
}

impl Runtime {
    /// Every runtime, in the order in which messages name them.
    pub const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// Its name, which is that of its program.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Runc => "runc",
            Self::Crun => "crun",
            Self::Youki => "youki",
            Self::Runsc => "runsc",
        }
    }

    /// The runtime of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|runtime| runtime.as_str() == name)
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which runtime, and how it is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OciPlan {
    /// The runtime that is tested.
    pub runtime: Runtime,
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
    /// At most so many rounds.
    pub rounds: u64,
    /// At most this long, in nanoseconds by the clock.
    pub time_ns: u64,
}

/// Rounds of one runtime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundsPlan {
    /// Which runtime, and how it is called.
    pub oci: OciPlan,
    /// Where everything lies: the root of a folder made for this run.
    pub root: PathBuf,
    /// Determines every random choice.
    pub seed: u64,
    /// What the containers are called.
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
