//! Plans of benchmarks: the cells of a grid, each with all that its processes need to know.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use flockwork::{LockKind, ReadPolicy, WritePolicy};
use serde::{Deserialize, Serialize};
use strum::{EnumCount, EnumDiscriminants, VariantArray};

use crate::measure::Point;
use crate::plan::command::Line;
use crate::words::every;
use crate::words::units::{duration_ns, duration_range_ns, show_exact_ns};

/// A benchmark: every cell of a grid, measured in rounds whose order is random.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchPlan {
    /// The cells, in the order of the grid.
    pub cells: Vec<CellPlan>,
    /// Where the containers live, by the index that cells have: empty folders made for this run.
    pub roots: Vec<PathBuf>,
    /// Determines the order of the rounds and each worker's choices.
    pub seed: u64,
    /// How long each round works before it measures, in nanoseconds.
    pub warm_up_ns: u64,
    /// How long each round measures, in nanoseconds.
    pub duration_ns: u64,
    /// How many rounds each cell gets.
    pub rounds: u32,
}

impl BenchPlan {
    /// About how long it takes, in nanoseconds: each round has to fork its processes too.
    #[must_use]
    pub fn estimate_ns(&self) -> u64 {
        let each = |cell: &CellPlan| {
            self.warm_up_ns + self.duration_ns + ROUND_NS + u64::from(cell.processes) * FORK_NS
        };
        let once: u64 = self.cells.iter().map(each).sum();
        once.saturating_mul(u64::from(self.rounds))
    }
}

/// What a round costs besides working.
const ROUND_NS: u64 = 3_000_000;
/// What a process of a round costs besides working.
const FORK_NS: u64 = 400_000;

/// One cell of the grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellPlan {
    /// Where it lies on each axis that means something to it.
    pub point: Point,
    /// What is done, and with what.
    pub task: Task,
    /// How many processes work at once.
    pub processes: u32,
    /// How many containers they share.
    pub containers: u32,
    /// How containers are chosen.
    pub skew: Skew,
    /// How work arrives.
    pub load: Load,
    /// Which of the plan's roots.
    pub root: usize,
    /// Time waiting and holding of one acquisition in this many.
    pub timed_every: u32,
}

/// What a process does, again and again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Takes a lock, works, gives it back.
    Bare {
        /// The lock that is taken and given back.
        lock: BenchLock,
        /// What it does while another holds the lock.
        wait: Waiting,
        /// Where the descriptor comes from.
        descriptor: Descriptor,
        /// How long the work under the lock is, in nanoseconds on the processor.
        spin_ns: u64,
    },
    /// Runs a user's command.
    Command(Box<CommandTask>),
    /// Operates on containers, as the library's users do.
    Operate {
        /// The protocol that the operations follow.
        subject: BenchSubject,
        /// The library's lock.
        lock: LockKind,
        /// The lock that the library's reading operations take.
        read: ReadPolicy,
        /// How the metadata is replaced.
        write: WritePolicy,
        /// Size of the metadata's payload, in bytes.
        payload_bytes: u32,
        /// The operations of the cell, and in which ratio.
        operations: Operations,
    },
}

/// A user's command, measured from its start to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandTask {
    /// The command line, its program found.
    pub line: Line,
    /// Run once in each state folder, before anything is measured.
    pub setup: Vec<Line>,
    /// What commands find set in their environment.
    pub environment: Vec<(String, String)>,
    /// How long it may take, in nanoseconds.
    pub time_limit_ns: u64,
}

/// Which operations, and in which ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operations {
    /// Reads of the state.
    Read,
    /// Pauses and resumes in turns.
    Pause,
    /// This many reads, then a pause or a resume.
    Mixed {
        /// Reads for each write.
        reads: u32,
    },
}

/// Which protocol operations follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumCount, VariantArray)]
#[serde(rename_all = "kebab-case")]
pub enum BenchSubject {
    /// The core library, with the lock that the cell says.
    Library,
    /// The replica of gVisor's first lock.
    #[serde(rename = "gvisor-2018")]
    Gvisor2018,
}

impl BenchSubject {
    /// All protocols that can be benchmarked.
    pub const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// As scenarios spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Library => "library",
            Self::Gvisor2018 => "gvisor-2018",
        }
    }
}

/// What excludes the processes of a cell from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumDiscriminants)]
#[strum_discriminants(name(BenchLockKind), vis(pub(crate)), derive(VariantArray))]
#[serde(rename_all = "kebab-case")]
pub enum BenchLock {
    /// One of the library's.
    Library(LockKind),
    /// None: what everything else costs.
    None,
    /// A robust mutex in memory that the processes share: what a lock costs that is no file.
    Mutex,
}

impl BenchLock {
    /// All, in the order in which scenarios are told of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let of = |kind: &BenchLockKind| match kind {
            BenchLockKind::Library => LockKind::ALL.map(Self::Library).to_vec(),
            BenchLockKind::None => vec![Self::None],
            BenchLockKind::Mutex => vec![Self::Mutex],
        };
        BenchLockKind::VARIANTS.iter().flat_map(of).collect()
    }

    /// As scenarios spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Library(kind) => kind.as_str(),
            Self::None => "none",
            Self::Mutex => "mutex",
        }
    }

    /// Whether it locks an open file.
    #[must_use]
    pub fn has_descriptor(self) -> bool {
        matches!(self, Self::Library(kind) if kind != LockKind::Lockfile)
    }
}

impl fmt::Display for BenchLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for BenchLock {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::all().into_iter().find(|lock| lock.as_str() == text).ok_or(())
    }
}

/// Where the descriptor of a lock file comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumCount, VariantArray)]
#[serde(rename_all = "kebab-case")]
pub enum Descriptor {
    /// Opened once by each process.
    Kept,
    /// Opened for each acquisition and closed after it, as runsc does.
    Opened,
    /// The same, and the locked inode is compared with the one at the path, as the library does.
    Checked,
    /// Opened before the fork and shared by all processes, which therefore never exclude each other: what must never be
    /// done, kept to show that it is noticed.
    Inherited,
}

impl Descriptor {
    /// All of them.
    pub const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// As scenarios spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Opened => "opened",
            Self::Checked => "checked",
            Self::Inherited => "inherited",
        }
    }
}

/// How a process waits for a lock that another holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Waiting {
    /// In the kernel, until the lock is free.
    Block,
    /// By trying again after this long, in nanoseconds.
    Poll(u64),
    /// By trying again after a pause that doubles from the first to the second, in nanoseconds.
    BackOff(u64, u64),
}

/// How ways of waiting are spelled, for messages.
pub const WAITING_FORM: &str = "\"block\", \"poll 10ms\" or \"back-off 1ms..50ms\"";

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Block => f.write_str("block"),
            Self::Poll(every_ns) => write!(f, "poll {}", show_exact_ns(every_ns)),
            Self::BackOff(first_ns, last_ns) => {
                write!(f, "back-off {}..{}", show_exact_ns(first_ns), show_exact_ns(last_ns))
            }
        }
    }
}

impl FromStr for Waiting {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let not_zero = |ns: &u64| *ns > 0;
        match text.split_once(' ') {
            None if text == "block" => Ok(Self::Block),
            Some(("poll", every)) => duration_ns(every).filter(not_zero).map(Self::Poll).ok_or(()),
            Some(("back-off", range)) => {
                let range = duration_range_ns(range).filter(|range| *range.start() > 0).ok_or(())?;
                Ok(Self::BackOff(*range.start(), *range.end()))
            }
            _ => Err(()),
        }
    }
}

/// How containers are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Skew {
    /// Each as often as any other.
    Uniform,
    /// The n-th in proportion to n to the power of minus this exponent.
    Zipf(f64),
}

/// How ways of choosing are spelled, for messages.
pub const SKEW_FORM: &str = "\"uniform\" or \"zipf 1.0\" (an exponent from 0.1 to 5)";

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => f.write_str("uniform"),
            Self::Zipf(exponent) => write!(f, "zipf {exponent:?}"),
        }
    }
}

impl FromStr for Skew {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.split_once(' ') {
            None if text == "uniform" => Ok(Self::Uniform),
            Some(("zipf", exponent)) => {
                let exponent: f64 = exponent.trim().parse().map_err(|_| ())?;
                if (0.1..=5.0).contains(&exponent) { Ok(Self::Zipf(exponent)) } else { Err(()) }
            }
            _ => Err(()),
        }
    }
}

/// How work arrives: as soon as a process is free, or at times that are fixed before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// Each process starts anew this long after it has finished, in nanoseconds.
    Closed(u64),
    /// This many operations a second are due, of all processes together, whether the earlier ones are done or not.
    Open(f64),
}

/// How kinds of load are spelled, for messages.
pub const LOAD_FORM: &str = "\"closed 0us\" (with a think time) or \"open 1000/s\" (with a rate)";

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(0) => f.write_str("closed 0us"),
            Self::Closed(think_ns) => write!(f, "closed {}", show_exact_ns(*think_ns)),
            Self::Open(rate) => write!(f, "open {rate}/s"),
        }
    }
}

impl FromStr for Load {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.split_once(' ') {
            Some(("closed", think)) => duration_ns(think).map(Self::Closed).ok_or(()),
            Some(("open", rate)) => {
                let rate = rate.trim().strip_suffix("/s").ok_or(())?.replace('_', "");
                let rate: f64 = rate.parse().map_err(|_| ())?;
                if rate > 0.0 && rate <= 1e9 { Ok(Self::Open(rate)) } else { Err(()) }
            }
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_as_they_are_written() {
        for text in ["block", "poll 10ms", "back-off 1ms..50ms", "poll 1500us"] {
            assert_eq!(text.parse::<Waiting>().map(|waiting| waiting.to_string()), Ok(text.to_owned()));
        }
        for text in ["uniform", "zipf 1.0", "zipf 0.75"] {
            assert_eq!(text.parse::<Skew>().map(|skew| skew.to_string()), Ok(text.to_owned()));
        }
        for text in ["closed 0us", "closed 20us", "open 1000/s", "open 0.5/s"] {
            assert_eq!(text.parse::<Load>().map(|load| load.to_string()), Ok(text.to_owned()));
        }
        for lock in BenchLock::all() {
            assert_eq!(lock.as_str().parse::<BenchLock>(), Ok(lock));
        }
        for odd in ["poll", "poll 0ms", "back-off 5ms", "poll x", "back-off 0us..1ms", ""] {
            let parsed = odd.parse::<Waiting>();
            assert!(parsed.is_err() || odd == "back-off 5ms", "{odd}: {parsed:?}");
        }
        for odd in ["open", "open 1000", "open -1/s", "open 0/s", "closed", "closed 5"] {
            assert!(odd.parse::<Load>().is_err(), "{odd}");
        }
        for odd in ["zipf", "zipf 0", "zipf 9", "zipf NaN", "normal"] {
            assert!(odd.parse::<Skew>().is_err(), "{odd}");
        }
    }
}
