//! The plan of a race: commands whose own sequential behaviour is what is right.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use strum::{EnumCount, VariantArray};

use super::StrategyPlan;
use super::command::{Form, Rule};
use super::rounds::OciPlan;
use crate::plan::schedule::{Fault, Schedule};
use crate::words::every;

/// What of an execution must be as some sequential order has it: files, output, exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Compare {
    /// What lies in the folders.
    pub files: bool,
    /// What commands write to stdout.
    pub output: bool,
    /// What commands write to stderr.
    pub stderr: bool,
    /// What the command that tells the state writes.
    pub observe: bool,
}

/// How executions are made to differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Under control where that is possible; else perturbed, and why is told.
    Auto,
    /// As the machine happens to run them.
    Free,
    /// Each call that concerns others delayed by a random time within these bounds, in nanoseconds.
    Perturbed(RangeInclusive<u64>),
}

/// How the programs of an execution under control come to be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumCount, VariantArray, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForkServer {
    /// Each is started.
    #[default]
    Off,
    /// Each is a clone of one that was started once and stands before its first visible step, where that can be done.
    Auto,
}

impl ForkServer {
    /// Every way, in the order in which messages name them.
    pub const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// As the command line and scenarios spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Auto => "auto",
        }
    }

    /// The one of this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.as_str() == word)
    }
}

/// Which task of a command goes first, where several of its threads and children could.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumCount, VariantArray, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Threads {
    /// The same in every execution: the first by what it is about to do.
    #[default]
    Fixed,
    /// Each in turn: it is a choice as that between commands is.
    Explore,
}

impl Threads {
    /// Every way, in the order in which messages name them.
    pub const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// As the command line and scenarios spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Explore => "explore",
        }
    }

    /// The one of this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.as_str() == word)
    }
}

/// What becomes of sleeps, of waits with a limit and of timers, under control.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumCount, VariantArray, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sleeps {
    /// They take no time: one ends when what the program looked at has changed, or when nobody else can go on.
    #[default]
    Held,
    /// They take the time that they ask for. Nothing exhaustive is claimed of programs that sleep then.
    Real,
}

impl Sleeps {
    /// Every way, in the order in which messages name them.
    pub const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// As the command line and scenarios spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Real => "real",
        }
    }

    /// The one of this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.as_str() == word)
    }
}

/// How a command says that it did not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Busy {
    /// By this exit code.
    Exit(i32),
    /// By what it writes to stdout, which matches this.
    Stdout(String),
    /// By what it writes to stderr, which matches this.
    Stderr(String),
}

/// How much is done at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaceBudget {
    /// At most this long, in nanoseconds by the clock.
    pub time_ns: u64,
    /// Executions; none: as many as there is time for.
    pub executions: Option<u64>,
}

/// The steps of an execution under control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlRecord {
    /// Who took which step, with the faults that met them.
    pub schedule: Schedule,
    /// How many times a process was interrupted that could have gone on.
    pub preemptions: u32,
    /// The words that names are made of in it; other names have numbers.
    pub words: BTreeSet<String>,
    /// The power loss after these steps that shows it, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<PowerRecord>,
}

/// A state that a power loss leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerRecord {
    /// The disk model, as scenarios spell it.
    pub disk: String,
    /// How many of the calls that changed the folders, or asked for something to last, had returned.
    pub calls: usize,
    /// Which pieces of them had not reached the disk, by their numbers in the order of the calls.
    pub missing: Vec<usize>,
}

/// A race: a few command lines that start together, and how many of their interleavings are tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct RacePlan {
    /// The command lines of each process.
    pub processes: Vec<Vec<String>>,
    /// The state folders, as absolute paths.
    pub state: Vec<PathBuf>,
    /// Whether the folders themselves are worked on.
    pub in_place: bool,
    /// What is left out of the copies although it lies in a state folder: where runs leave their evidence.
    pub leaves_out: Vec<PathBuf>,
    /// The folder in which commands start.
    pub folder: PathBuf,
    /// What commands find set in their environment.
    pub environment: Vec<(String, String)>,
    /// Run once, before the initial state is taken.
    pub setup: Vec<String>,
    /// What tells the state.
    pub observe: Option<String>,
    /// Run after each execution.
    pub then: Vec<String>,
    /// When a command did not run.
    pub busy: Vec<Busy>,
    /// What of an execution must be as some sequential order has it.
    pub compare: Compare,
    /// What may go wrong.
    pub faults: Vec<Fault>,
    /// The disk model of a power loss, where one is tried.
    #[serde(default)]
    pub disk: Option<String>,
    /// Whether what a killed command leaves behind is a violation.
    pub strict: bool,
    /// Paths within the state folders that are not compared.
    pub ignore: Vec<String>,
    /// Regular expressions: what matches is not compared.
    pub masks: Vec<String>,
    /// How executions are made to differ.
    pub mode: Mode,
    /// Which executions are run under control; none: all with few preemptions first, then all, then random ones.
    pub strategy: Option<StrategyPlan>,
    /// Whether programs are controlled that do what no controller can hold.
    pub allow_uncontrolled: bool,
    /// How the programs of executions under control come to be there.
    #[serde(default)]
    pub fork_server: ForkServer,
    /// Which task of a command goes first, where several could.
    #[serde(default)]
    pub threads: Threads,
    /// What becomes of sleeps.
    #[serde(default)]
    pub sleeps: Sleeps,
    /// How much is done at most.
    pub budget: RaceBudget,
    /// What the state folders hold at first, each in a folder of its own; none: what they hold, and what setup makes of it.
    pub initial: Option<Vec<PathBuf>>,
    /// Determines the order of free executions and the choices of random strategies.
    pub seed: u64,
    /// How long a command may take, in nanoseconds.
    pub time_limit_ns: u64,
    /// Whether the state is an empty folder of the run's own, where no folder is named.
    pub own_state: bool,
    /// What the commands are to a model, where one judges rather than their own orders.
    pub modelled: Option<Modelled>,
    /// The container runtime that the commands are operations of, where they are.
    pub oci: Option<OciPlan>,
}

/// Commands as operations of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Modelled {
    /// What people call the model.
    pub name: String,
    /// The first line of a history of them, which says what the model is.
    pub header: String,
    /// The model's file, where the first line cannot say it.
    pub file: Option<String>,
    /// Whether they are of containers.
    pub is_table: bool,
    /// What setup does, each of which succeeds.
    pub setup: Vec<ModelledCall>,
    /// The commands of each process.
    pub calls: Vec<Vec<ModelledCall>>,
    /// What comes after each execution and each power loss: the race's `then`, one by one.
    #[serde(default)]
    pub after: Vec<ModelledCall>,
    /// Whether what a command did must last once it has returned, where the power goes.
    #[serde(default)]
    pub is_durable: bool,
}

/// A command as an operation of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelledCall {
    /// What the model calls it.
    pub op: String,
    /// The object that the command is said to act on, as the model names objects.
    pub object: String,
    /// The value that the operation is given, where it takes one.
    pub value: Option<serde_json::Value>,
    /// What kind of value its answer tells, where it tells one.
    pub saw: Form,
    /// How its answer is read.
    pub rules: Vec<Rule>,
}

impl RacePlan {
    /// The same race of these processes alone.
    #[must_use]
    pub fn only(&self, members: &[usize]) -> Self {
        let processes = members.iter().filter_map(|process| self.processes.get(*process).cloned());
        let modelled = self.modelled.clone().map(|modelled| {
            let calls = members.iter().filter_map(|process| modelled.calls.get(*process).cloned());
            Modelled { calls: calls.collect(), ..modelled }
        });
        Self { processes: processes.collect(), modelled, ..self.clone() }
    }
}
