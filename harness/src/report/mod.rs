//! Reports: what a run came to, for people and for programs.
//!
//! One value, [`RunReport`], holds all of it; each format only shows that value. It can be read back, so that what a run
//! left is shown, merged and compared as the types it was written from.

pub mod bench;
pub mod cases;
pub mod coverage;
pub mod crash;
pub mod exit;
pub mod fold;
pub mod github;
pub mod guarantee;
pub mod html;
pub mod human;
pub mod interleaving;
pub mod junit;
pub mod lives;
pub mod plain;
pub mod power;
pub mod progress;
pub mod race;
pub mod reproduce;
pub mod rounds;
pub mod stored;
pub mod story;
pub mod summary;
pub mod table;
pub mod unite;
pub mod verdict;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use self::lives::Lives;
use crate::check::CheckId;
use crate::engine::Ended;
use crate::history::Outcome;
use crate::reach::Reach;
use crate::scenario::{Expect, Kind};
use crate::violation::Class;
use coverage::CoverageReport;
use crash::CrashReport;
use exit::Exit;
use guarantee::GuaranteeReport;
use power::ExplorationPower;
use race::RaceReport;
use rounds::RoundsReport;
use verdict::Verdict;

/// Version of the JSON report.
pub const SCHEMA_VERSION: u32 = 1;

/// What a whole run came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Version of this format.
    pub schema_version: u32,
    /// The seed that every scenario ran with.
    pub seed: u64,
    /// What all scenarios come to together.
    pub verdict: Verdict,
    /// The exit code that says the same.
    pub exit_code: u8,
    /// Whether the user stopped it.
    pub interrupted: bool,
    /// The scenarios that ran, in their order.
    pub scenarios: Vec<ScenarioReport>,
    /// Scenarios that did not get their turn.
    pub not_run: Vec<String>,
}

/// What one scenario came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioReport {
    /// The scenario, as its file is called.
    pub name: String,
    /// Which engine ran it, and what only that engine can tell.
    #[serde(flatten)]
    pub work: WorkReport,
    /// The subject in a few words.
    pub subject: String,
    /// What was seen.
    pub verdict: Verdict,
    /// Whether that is what it expects.
    pub expected: bool,
    /// Why, where it is not simply as expected.
    pub reasons: Vec<String>,
    /// The classes it expects.
    pub expect: Expect,
    /// How many operations ended.
    pub operations: u64,
    /// How many operations the subject reported an error for.
    pub failed: u64,
    /// What it said the first time.
    pub first_failure: Option<String>,
    /// From the first invocation to the last return, in seconds.
    pub duration_s: f64,
    /// From the call of the engine to the first invocation, in seconds; null where the engine has no such moment.
    pub startup_s: Option<f64>,
    /// How many processes worked at once.
    pub processes: u32,
    /// How many workers were killed and replaced; null where none could be.
    pub kills: Option<u64>,
    /// How often the lock changed hands, from 0 to 1; null where it did not run.
    pub handoff_ratio: Option<f64>,
    /// How many schedules were explored; null for a stress run.
    pub schedules: Option<u64>,
    /// Whether the user stopped it.
    pub interrupted: bool,
    /// Whether the budget was used up, the run stalled, or somebody stopped it.
    #[serde(default)]
    pub ended: Ended,
    /// Why it may have been too little to show what there is, but that processes under control never met.
    #[serde(default)]
    pub shortfalls: Vec<String>,
    /// The violations, the gravest classes first.
    pub violations: Vec<ViolationReport>,
    /// How many violations there were, beyond those kept.
    pub violations_total: u64,
    /// What each check came to.
    pub checks: Vec<CheckReport>,
    /// How much the processes met; null where that was not counted.
    pub reach: Option<ReachReport>,
    /// How many rounds were played; absent where commands of a container runtime were not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounds: Option<RoundsReport>,
    /// The folder that holds the evidence.
    pub results: Option<PathBuf>,
    /// The exit code that this scenario alone would end with.
    #[serde(rename = "exit_code", default = "Exit::not_stored")]
    pub exit: Exit,
}

/// What one engine can tell and the others cannot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum WorkReport {
    /// Processes ran freely.
    Stress,
    /// Processes were held at their system calls.
    Explore {
        /// What was explored; absent where the exploration did not run.
        #[serde(flatten)]
        exploration: Option<ExplorationReport>,
    },
    /// Something was measured; `bench.json` holds the figures.
    Bench,
    /// Commands were held against their own sequential orders.
    Race {
        /// What was run; absent where the race did not run.
        #[serde(flatten)]
        race: Option<RaceReport>,
    },
    /// A command was crashed.
    Crash {
        /// What was tried; absent where it did not run.
        #[serde(flatten)]
        crash: Option<CrashReport>,
    },
}

impl WorkReport {
    /// Of a scenario that did not run.
    #[must_use]
    pub const fn nothing(kind: Kind) -> Self {
        match kind {
            Kind::Stress => Self::Stress,
            Kind::Explore => Self::Explore { exploration: None },
            Kind::Bench => Self::Bench,
            Kind::Race => Self::Race { race: None },
            Kind::Crash => Self::Crash { crash: None },
        }
    }

    /// The engine that did the work, as a scenario spells its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Stress => Kind::Stress,
            Self::Explore { .. } => Kind::Explore,
            Self::Bench => Kind::Bench,
            Self::Race { .. } => Kind::Race,
            Self::Crash { .. } => Kind::Crash,
        }
    }
}

impl ScenarioReport {
    /// What was explored, where something was.
    #[must_use]
    pub const fn exploration(&self) -> Option<&ExplorationReport> {
        match &self.work {
            WorkReport::Explore { exploration } => exploration.as_ref(),
            WorkReport::Stress | WorkReport::Bench | WorkReport::Race { .. } | WorkReport::Crash { .. } => {
                None
            }
        }
    }

    /// Operations a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        if self.duration_s > 0.0 { self.operations as f64 / self.duration_s } else { 0.0 }
    }
}

/// What an exploration did, besides the number of its schedules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExplorationReport {
    /// The strategy in a few words, with its bound.
    pub strategy: String,
    /// Which part of the space was seen.
    pub coverage: CoverageReport,
    /// Schedules that were left half-way, as nothing new could follow.
    pub redundant: u64,
    /// About how many schedules an enumeration of all interleavings would have run.
    pub naive: Option<f64>,
    /// Schedules with a fault.
    pub faulted: u64,
    /// Schedules that were run once more, at a random time, and repeated step by step.
    pub repeated: u64,
    /// What came of power losses; absent where they were not to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<ExplorationPower>,
    /// Points at which a process had to wait for a lock.
    pub blocked: u64,
    /// Steps that were taken.
    pub steps: u64,
    /// Whether a step of one process ever depended on a step of another.
    #[serde(default)]
    pub met: bool,
    /// What the strategy promises to have found; null where its algorithm promises nothing.
    pub guarantee: Option<GuaranteeReport>,
    /// Schedules a second, those left half-way and those run once more included.
    pub schedules_per_s: f64,
}

impl ExplorationReport {
    /// What is told where several processes never met.
    pub const NEVER_MET: &'static str = "the processes never met: no step of one depends on a step of another, which proves little; let them work on one container";
}

/// How often a finding showed of so many times that it was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reproduction {
    /// How often it showed.
    pub times: u32,
    /// How often it was tried; 0: never.
    pub of: u32,
    /// What a try was.
    #[serde(default)]
    pub tries: Tries,
}

/// What a try was to see a finding again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tries {
    /// A whole run of the scenario.
    #[default]
    Runs,
    /// A round of one run.
    Rounds,
    /// Commands that ran freely once more.
    Executions,
    /// The schedule followed again.
    Replays,
}

impl Tries {
    /// In words, for several.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Rounds => "rounds",
            Self::Executions => "executions",
            Self::Replays => "replays",
        }
    }
}

impl Reproduction {
    /// Both counts added up.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        let (times, of) = (self.times.saturating_add(other.times), self.of.saturating_add(other.of));
        Self { times, of, tries: self.tries }
    }
}

impl std::fmt::Display for Reproduction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.times, self.of)
    }
}

/// A broken promise as reports show it: its class, its signature, and how to see it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViolationReport {
    /// Which promise was broken.
    pub class: Class,
    /// Names the same mistake in every run.
    pub signature: String,
    /// What happened, in words.
    pub message: String,
    /// The container it is about.
    pub container: Option<String>,
    /// Whether the scenario expects or permits its class.
    pub expected: bool,
    /// Where the finding lies.
    pub finding: Option<PathBuf>,
    /// The command that runs it again.
    pub reproduce: String,
    /// For a violation seen under control: the schedule that shows it, as simple as it was found.
    pub control: Option<ControlReport>,
    /// How often it showed of so many tries.
    #[serde(default)]
    pub reproduction: Reproduction,
    /// For a violation seen while processes ran freely: whether it was seen again under control, in words; null where
    /// that was not tried.
    pub explained: Option<String>,
    /// The few operations around it, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub story: Vec<String>,
    /// The lives of the container that message and story mention by their generation.
    #[serde(default, skip_serializing_if = "Lives::is_empty")]
    pub lives: Lives,
}

impl ViolationReport {
    /// For people: generations as the lives that they are.
    #[must_use]
    pub fn in_lives(&self) -> Self {
        let tell = |text: &String| self.lives.tell(text);
        Self { message: tell(&self.message), story: self.story.iter().map(tell).collect(), ..self.clone() }
    }

    /// How often it showed, in words; none where nobody counted, and where `explained` says it.
    #[must_use]
    pub fn rate(&self) -> Option<String> {
        let is_said =
            self.explained.is_some() && matches!(self.reproduction.tries, Tries::Executions | Tries::Replays);
        let tries = self.reproduction.tries.as_str();
        (self.reproduction.of > 0 && !is_said).then(|| format!("showed in {} {tries}", self.reproduction))
    }
}

/// A schedule that shows a violation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ControlReport {
    /// The number of the schedule that showed it first.
    pub found_by_schedule: u64,
    /// How many processes take part.
    pub processes: usize,
    /// How many operations they perform.
    pub operations: usize,
    /// How many times a process is interrupted that could have gone on.
    pub preemptions: u32,
    /// How many steps the schedule has.
    pub steps: usize,
    /// Whether nothing simpler was found; else the time for shrinking was used up.
    pub minimal: bool,
    /// The schedule as a table, and what happened in it.
    #[serde(skip)]
    pub table: interleaving::Tables,
}

/// What one check came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Which check; reports spell its name.
    pub name: CheckId,
    /// What it came to.
    pub verdict: CheckVerdict,
    /// How many things it looked at.
    pub examined: u64,
    /// Violations it found, beyond those kept.
    pub violations_total: u64,
    /// Why it could not judge, where it could not.
    pub inconclusive: Option<String>,
    /// Why it does not apply, where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_applicable: Option<String>,
}

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckVerdict {
    /// It had nothing to judge.
    NotApplicable,
    /// It judged, and no promise was broken.
    Clean,
    /// It could not judge.
    Inconclusive,
    /// A promise was broken.
    Violation,
}

impl CheckVerdict {
    /// As reports spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotApplicable => "not-applicable",
            Self::Clean => "clean",
            Self::Inconclusive => "inconclusive",
            Self::Violation => "violation",
        }
    }
}

impl std::fmt::Display for CheckVerdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much the processes met.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachReport {
    /// Ordered pairs of processes of which one took a lock next after the other.
    pub pairs_seen: u64,
    /// How many such pairs there could be.
    pub pairs_possible: u64,
    /// How often each operation ended how.
    pub counts: BTreeMap<String, BTreeMap<Outcome, u64>>,
}

impl From<&Reach> for ReachReport {
    fn from(reach: &Reach) -> Self {
        let mut counts = BTreeMap::<_, BTreeMap<_, _>>::new();
        for ((operation, outcome), count) in &reach.counts {
            counts.entry(operation.to_string()).or_default().insert(*outcome, *count);
        }
        Self { pairs_seen: reach.pairs_seen, pairs_possible: reach.pairs_possible, counts }
    }
}
