//! The plan of a run of a user's commands as operations on objects: how each is started, and how its answer is read.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::Budget;

/// A command, its program found; in its words stand placeholders such as `{object}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// As it was written.
    pub text: String,
    /// The program, as an absolute path.
    pub program: PathBuf,
    /// What the program is told to be called, and its arguments.
    pub words: Vec<String>,
}

/// Which values an operation is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Values {
    /// The operation takes no value.
    None,
    /// One of these, all equally likely.
    Among(Vec<Json>),
    /// A whole number within these bounds, all equally likely.
    Within(RangeInclusive<i64>),
    /// A whole number that no other operation of the round is given.
    Unique,
}

/// What an operation tells, where it tells anything: what a text must be to count as that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Nothing: it has nothing to tell.
    Nothing,
    /// One of the model's statuses.
    Status,
    /// Any JSON value, or a text where it is no JSON.
    Any,
    /// A whole number.
    Whole,
    /// True or false.
    Truth,
    /// A JSON array, or lines where the reading says so.
    List,
}

/// How a text becomes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reading {
    /// JSON where it is JSON, else the text itself.
    Auto,
    /// The text itself.
    Text,
    /// JSON, or the rule is not met.
    Json,
    /// A list of its lines, each read as `Auto`.
    Lines,
    /// A list of its words, each read as `Auto`.
    Words,
}

/// How an operation ended, by its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ends {
    /// It did what it is for.
    Ok,
    /// It declined, and nothing changed: the container or object was not in the right state.
    Refused,
    /// It reported an error, and changed nothing.
    Failed,
    /// Nobody knows whether it acted.
    Unknown,
}

impl Ends {
    /// As histories spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// Which exit codes meet a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Codes {
    /// The exit code does not matter for this rule.
    Any,
    /// One of these codes.
    Of(Vec<i32>),
    /// Every exit code but 0.
    NotZero,
}

/// One way in which an operation may answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The exit codes that meet it.
    pub codes: Codes,
    /// A regular expression that stdout must match.
    pub stdout: Option<String>,
    /// A regular expression that stderr must match.
    pub stderr: Option<String>,
    /// Fields (`saw`, `value`, `status`, `reason`) and where they stand in the JSON on stdout, as JSON pointers.
    pub json: Vec<(String, String)>,
    /// How it ended then.
    pub outcome: Ends,
    /// Why, where the rule itself says so.
    pub reason: Option<String>,
    /// The status that was told, where the rule itself says so.
    pub status: Option<String>,
    /// What was told, where the rule itself says so.
    pub saw: Option<Json>,
    /// How captured texts become values.
    pub reading: Reading,
}

/// An operation of the scenario: its command line, and the rules by which its answer is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationPlan {
    /// What the scenario calls it.
    pub name: String,
    /// What the model calls it.
    pub op: String,
    /// How often it is chosen, in proportion to the others; 0: never.
    pub weight: u32,
    /// The command line, its program found once the plan is made ready.
    pub command: Line,
    /// What it reads on stdin; none: nothing.
    pub stdin: Option<String>,
    /// What its command finds in its environment, on top of the scenario's.
    pub environment: Vec<(String, String)>,
    /// Which values it is given.
    pub values: Values,
    /// Whether its value holds two, as that of a compare-and-set does.
    pub is_pair: bool,
    /// What kind of value its answer tells, where it tells one.
    pub saw: Form,
    /// How its answer is read: the first rule that is met.
    pub rules: Vec<Rule>,
    /// How long it may take, in nanoseconds.
    pub time_limit_ns: u64,
}

/// How a file is told to be whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whole {
    /// The whole file must be one JSON document.
    Json,
    /// The whole file must be one TOML document.
    Toml,
    /// The whole file must be one YAML document.
    Yaml,
    /// This command, which finds its path at `{file}`, ends with exit code 0.
    Command(Line),
}

/// Files that readers must always find whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// Which: a pattern of paths within the state folder.
    pub pattern: String,
    /// How such a file is told to be whole.
    pub whole: Whole,
}

/// One run of commands, freely.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandPlan {
    /// The operations that are chosen from, by their weights.
    pub operations: Vec<OperationPlan>,
    /// What the objects are called, as the scenario names them.
    pub objects: Vec<String>,
    /// How many processes run operations at once.
    pub processes: u32,
    /// When it ends.
    pub budget: Budget,
    /// How many operations each process runs before the state is put back; none: all.
    pub round: Option<u64>,
    /// How long a process waits between two operations, in nanoseconds.
    pub think_ns: RangeInclusive<u64>,
    /// By how much calls on files of the state are delayed, in nanoseconds; none: they are not.
    pub perturb_ns: Option<RangeInclusive<u64>>,
    /// About how often a command is killed, with its process group, in nanoseconds.
    pub kill_every_ns: Option<u64>,
    /// The folder that is copied as the state; none: the state is an empty folder.
    pub state: Option<PathBuf>,
    /// What is left out of the copy although it lies in the folder: where runs leave their evidence.
    pub leaves_out: Vec<PathBuf>,
    /// The folder in which commands start; `{state}` stands for the state folder.
    pub folder: String,
    /// What commands find set in their environment.
    pub environment: Vec<(String, String)>,
    /// Run once before the first round, in the state folder that rounds start from.
    pub setup: Vec<Line>,
    /// Run before each round, when the state has been put back.
    pub round_setup: Vec<Line>,
    /// Run after each round.
    pub round_teardown: Vec<Line>,
    /// Run once after the last round.
    pub teardown: Vec<Line>,
    /// How long a command of setup or teardown may take, in nanoseconds.
    pub time_limit_ns: u64,
    /// Files that readers must always find whole.
    pub watch: Vec<Watched>,
    /// How many processes look at them.
    pub auditors: u32,
    /// Whether a process that is left over when all is torn down breaks a promise.
    pub forbids_strays: bool,
    /// Determines which operations are chosen, on which objects and with which values.
    pub seed: u64,
}
