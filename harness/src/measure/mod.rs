//! What a benchmark measured: plain values, which the engine makes and reports read.
//!
//! `bench.json` is a [`BenchRecord`]. Its format is documented in `docs/bench.md`: fields may be added, none renamed or
//! removed without a new [`SCHEMA_VERSION`]. Nothing here starts a process or prints.

pub mod compare;
mod latency;
pub mod machine;
mod metric;
mod point;
pub mod read;
mod round;
pub mod statistics;
pub mod threshold;
pub mod view;

use serde::{Deserialize, Serialize};

use crate::measure::machine::{Filesystem, Machine};

pub use latency::{Latency, LatencyError};
pub use metric::{Better, Metric, Percentile, Stretch, Unit};
pub use point::{Axis, Point, Value};
pub use round::{Exclusion, Round};

/// Version of `bench.json`.
pub const SCHEMA_VERSION: u32 = 1;

/// All that one benchmark measured: `bench.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchRecord {
    /// Version of this format.
    pub schema_version: u32,
    /// Name of the scenario.
    pub scenario: String,
    /// SHA-256 of the scenario's text.
    pub scenario_sha256: String,
    /// The command line that measured it.
    pub argv: Vec<String>,
    /// Determines the order of the rounds and each worker's choices.
    pub seed: u64,
    /// Version of flockwork.
    pub version: String,
    /// Where it was measured: numbers of two machines are not compared.
    pub machine: Machine,
    /// The filesystems that were measured, by the name that the axis `root` gives them.
    pub filesystems: Vec<NamedFilesystem>,
    /// When the run started, in RFC 3339.
    pub started_at: String,
    /// Whether every cell got all its rounds.
    pub complete: bool,
    /// Combinations of the axes that make no cell of their own: they mean nothing, or the same as another.
    #[serde(default)]
    pub left_out: u64,
    /// The cells, in the order of the grid (not that of running).
    pub cells: Vec<Cell>,
}

/// A filesystem, and its value on the axis `root`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedFilesystem {
    /// Value on the axis `root`.
    pub root: String,
    /// What kind of filesystem the root lies on.
    #[serde(flatten)]
    pub filesystem: Filesystem,
}

/// One point of the grid, and what was measured there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Where it lies on each axis.
    pub point: Point,
    /// The rounds, in the order of running; warm-up is not among them.
    pub rounds: Vec<Round>,
    /// Why nothing may be concluded from it, where that is so: a process was killed in the midst, say. What was
    /// measured until then stays for whoever looks into it.
    pub invalid: Option<String>,
    /// What makes its numbers doubtful, each with what to do about it. It stays valid.
    pub warnings: Vec<String>,
}
