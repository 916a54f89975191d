//! Scenarios: TOML files that say what to run and what to expect. Here they become validated values.
//!
//! Nothing here runs anything. Every problem of a scenario is found here, before the first process starts.

pub mod bench;
mod builtin;
mod command;
mod crash;
mod expect;
mod explore;
mod find;
mod locate;
mod overrides;
pub mod race;
mod rounds;
pub mod schema;
mod stress;
mod subject;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use strum::{EnumCount, VariantArray};

pub use bench::Bench;
pub use builtin::{BUILTIN, Builtin};
pub use command::CommandStress;
pub use crash::{Crash, to_toml as crash_to_toml};
pub use expect::Expect;
pub use explore::{Explore, show_call, show_program};
pub use find::{FindError, Found, find};
pub use overrides::{Override, kind_of};
pub use race::Race;
pub use rounds::Rounds;
pub use stress::Stress;
pub use subject::{default as default_subject, describe as describe_subject};

use crate::document::reader::Reader;
use crate::document::sketch::Shape;
use crate::document::source::{Place, Problem, Source, SourceKind};
use crate::document::tree;
use crate::plan::bench::BenchPlan;
use crate::plan::command::CommandPlan;
use crate::plan::crash::CrashPlan;
use crate::plan::race::RacePlan;
use crate::plan::rounds::RoundsPlan;
use crate::plan::{ExplorePlan, StressPlan, SubjectPlan};
use crate::words::{alternatives, every, nearest};

/// A scenario that was read whole: what is run, and what is expected of it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Name of its file, without `.toml`.
    pub name: String,
    /// What `flockwork run` takes to run it again: a path, or the name of a built-in scenario.
    pub argument: PathBuf,
    /// The file's text, as it was written.
    pub text: String,
    /// What it is about, in a sentence.
    pub about: String,
    /// The subject, with all that its table says.
    pub subject: SubjectPlan,
    /// Which engine runs it, and what it is to do.
    pub work: Work,
    /// What should come of it.
    pub expect: Expect,
}

/// What a scenario has its engine do: one variant per kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Let processes run freely.
    Stress(Stress),
    /// Let processes run a user's commands freely.
    Command(Box<CommandStress>),
    /// Let commands of a container runtime start at once, in rounds.
    Rounds(Box<Rounds>),
    /// Choose who goes next.
    Explore(Explore),
    /// Measures throughput and latency on a grid.
    Bench(Box<Bench>),
    /// Hold commands against their own sequential orders.
    Race(Box<Race>),
    /// Crash a command.
    Crash(Box<Crash>),
}

/// The plan of one run: one variant per kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Of a stress run.
    Stress(StressPlan),
    /// Of a stress run of commands.
    Command(Box<CommandPlan>),
    /// Of rounds of a container runtime.
    Rounds(RoundsPlan),
    /// Of an exploration.
    Explore(ExplorePlan),
    /// Of a benchmark.
    Bench(BenchPlan),
    /// Of a race of commands.
    Race(RacePlan),
    /// Of crashes of a command.
    Crash(CrashPlan),
}

/// Which engine runs a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumCount, VariantArray, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Real processes, running freely.
    Stress,
    /// Real processes, held at their system calls.
    Explore,
    /// Real processes, measured.
    Bench,
    /// Commands, held against their own sequential orders.
    Race,
    /// A command, crashed.
    Crash,
}

impl Kind {
    /// All kinds, in the order in which messages name them.
    pub const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// The kind as scenarios spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stress => "stress",
            Self::Explore => "explore",
            Self::Bench => "bench",
            Self::Race => "race",
            Self::Crash => "crash",
        }
    }
}

impl Scenario {
    /// Parses a scenario and applies the overrides. The error holds every problem found.
    pub fn parse(found: &Found, overrides: &[Override]) -> Result<Self, Vec<Problem>> {
        let source =
            Arc::new(Source { kind: SourceKind::File, name: found.shown(), text: found.text.clone() });
        let mut root = tree::parse(&source).map_err(|problem| vec![problem])?;
        overrides::apply(overrides, &mut root, &found.name())?;
        let mut problems = Vec::new();
        let scenario = read(found, &root, &Place::start_of(&source), &mut problems);
        match scenario {
            Some(scenario) if problems.is_empty() => Ok(scenario),
            _ => Err(problems),
        }
    }

    /// Which engine runs it.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self.work {
            Work::Stress(_) | Work::Command(_) | Work::Rounds(_) => Kind::Stress,
            Work::Explore(_) => Kind::Explore,
            Work::Bench(_) => Kind::Bench,
            Work::Race(_) => Kind::Race,
            Work::Crash(_) => Kind::Crash,
        }
    }

    /// How many processes work at once.
    #[must_use]
    pub fn processes(&self) -> u32 {
        match &self.work {
            Work::Stress(stress) => stress.processes,
            Work::Command(command) => command.plan.processes,
            Work::Rounds(rounds) => rounds.together.len() as u32,
            Work::Explore(explore) => explore.processes.len() as u32,
            Work::Bench(bench) => bench.processes(),
            Work::Race(race) => race.processes.len() as u32,
            Work::Crash(crash) => crash.race.processes.len() as u32,
        }
    }

    /// What it tests, in a few words.
    #[must_use]
    pub fn subject_words(&self) -> String {
        match &self.work {
            Work::Race(race) => {
                race.oci.as_ref().map_or_else(|| "commands".into(), |oci| oci.runtime.to_string())
            }
            Work::Crash(_) => "a command".into(),
            Work::Command(command) => command.words(),
            Work::Bench(_) | Work::Stress(_) | Work::Rounds(_) | Work::Explore(_) => {
                subject::describe(&self.subject)
            }
        }
    }

    /// How it is stressed, where it is.
    #[must_use]
    pub const fn stress(&self) -> Option<&Stress> {
        match &self.work {
            Work::Stress(stress) => Some(stress),
            Work::Command(_)
            | Work::Rounds(_)
            | Work::Explore(_)
            | Work::Bench(_)
            | Work::Race(_)
            | Work::Crash(_) => None,
        }
    }

    /// How it is measured, where it is.
    #[must_use]
    pub const fn bench(&self) -> Option<&Bench> {
        match &self.work {
            Work::Bench(bench) => Some(bench),
            Work::Stress(_)
            | Work::Command(_)
            | Work::Rounds(_)
            | Work::Explore(_)
            | Work::Race(_)
            | Work::Crash(_) => None,
        }
    }

    /// The plan of one run.
    #[must_use]
    pub fn plan(&self, root: &Path, seed: u64) -> Plan {
        let subject = self.subject.clone();
        match &self.work {
            Work::Stress(stress) => Plan::Stress(stress.plan(subject, root, seed)),
            Work::Command(command) => Plan::Command(Box::new(command.plan(seed))),
            Work::Rounds(rounds) => {
                let SubjectPlan::Oci(oci) = &subject else { unreachable!("rounds are of a runtime") };
                Plan::Rounds(rounds.plan(oci, &self.expect, root, seed))
            }
            Work::Explore(explore) => Plan::Explore(explore.plan(subject, root, seed)),
            Work::Bench(bench) => Plan::Bench(bench.plan(&[("root".to_owned(), root.to_owned())], seed)),
            Work::Race(race) => Plan::Race(race.plan(seed, Vec::new())),
            Work::Crash(crash) => Plan::Crash(crash.plan(seed)),
        }
    }
}

fn read(found: &Found, root: &tree::Table, start: &Place, problems: &mut Vec<Problem>) -> Option<Scenario> {
    let mut reader = Reader::root(root, start.clone(), problems);
    let about = reader.text("about").map(|(text, _)| text.to_owned()).unwrap_or_default();
    let kind = read_kind(&mut reader)?;
    let is_command = matches!(kind, Kind::Stress | Kind::Explore) && has_command(root);
    // A benchmark says on its axes what it is about.
    let subject = match kind {
        Kind::Stress | Kind::Explore if is_command => Some(subject::default()),
        Kind::Race if root.entry("subject").is_some() => read_runtime(&mut reader),
        Kind::Bench | Kind::Race | Kind::Crash => Some(subject::default()),
        Kind::Stress | Kind::Explore => subject::read(reader.section("subject", "[subject]")),
    };
    let work = match kind {
        Kind::Bench => read_bench(&mut reader).map(|bench| Work::Bench(Box::new(bench))),
        Kind::Stress if is_command => command::read(&mut reader),
        Kind::Explore if is_command => command::read_explore(&mut reader),
        Kind::Stress if matches!(subject, Some(SubjectPlan::Oci(_))) => read_rounds(&mut reader),
        Kind::Stress => stress::read(reader.section("stress", "[stress]")).map(Work::Stress),
        Kind::Explore => explore::read(reader.section("explore", "[explore]")).map(Work::Explore),
        Kind::Crash => {
            crash::read(reader.section("crash", "[crash]")).map(|crash| Work::Crash(Box::new(crash)))
        }
        Kind::Race => {
            let oci = subject.as_ref().and_then(SubjectPlan::oci).cloned();
            race::read(reader.section("race", "[race]"), oci).map(|race| Work::Race(Box::new(race)))
        }
    };
    if kind == Kind::Explore
        && !is_command
        && let Some(problem) = subject.as_ref().and_then(|subject| refused(subject, root))
    {
        reader.complain(problem);
    }
    let expect = expect::read(reader.section("expect", "[expect]"));
    reader.finish();
    Some(Scenario {
        name: found.name(),
        argument: found.argument.clone(),
        text: found.text.clone(),
        about,
        subject: subject?,
        work: work?,
        expect,
    })
}

/// Whether the subject is a user's command.
fn has_command(root: &tree::Table) -> bool {
    let Some(tree::Value::Table(subject)) = root.entry("subject").map(|entry| &entry.node.value) else {
        return false;
    };
    matches!(subject.entry("name").map(|entry| &entry.node.value), Some(tree::Value::Text(name)) if name == "command")
}

/// The subject of a race, where it has one: a runtime, whose operations are the commands.
fn read_runtime(reader: &mut Reader<'_>) -> Option<SubjectPlan> {
    let subject = subject::read(reader.section("subject", "[subject]"))?;
    if subject.oci().is_none() {
        let place = reader.place().clone();
        let message =
            "[subject]: a race takes command lines, or the operations of a runtime: expected name = \"oci\"";
        reader.complain(Problem::new(&place, message.to_owned()));
        return None;
    }
    Some(subject)
}

/// A runtime is played in rounds: nothing of it lives from one command to the next but its containers.
fn read_rounds(reader: &mut Reader<'_>) -> Option<Work> {
    if reader.take("rounds").is_none() {
        reader.missing("[rounds]", "what starts at once: the subject oci runs in rounds");
        return None;
    }
    rounds::read(reader.section("rounds", "[rounds]")).map(|rounds| Work::Rounds(Box::new(rounds)))
}

fn read_bench(reader: &mut Reader<'_>) -> Option<Bench> {
    let bench = bench::read(reader.section("bench", "[bench]"));
    let thresholds = bench::read_thresholds(
        reader.section("thresholds", "[thresholds]"),
        bench.as_ref().map(|bench| &bench.axes),
    );
    bench.map(|bench| Bench { thresholds, ..bench })
}

/// Why a subject cannot be explored, at the place that says so.
fn refused(subject: &SubjectPlan, root: &tree::Table) -> Option<Problem> {
    let entry = root.entry("subject")?;
    let tree::Value::Table(table) = &entry.node.value else { return None };
    let place = table.entry("sandbox").map_or(&entry.key_place, |sandbox| &sandbox.node.place);
    explore::refuse_children(subject, place)
}

/// The kind. Of a scenario of another kind nothing more can be said, so it ends the reading.
fn read_kind(reader: &mut Reader<'_>) -> Option<Kind> {
    let words = Kind::ALL.map(Kind::as_str);
    let expected = alternatives(&words);
    reader.hint("kind", || Shape::Word(words.to_vec()));
    let Some((kind, place)) = reader.text("kind") else {
        reader.missing("kind", &expected);
        return None;
    };
    if let Some(known) = Kind::ALL.into_iter().find(|known| known.as_str() == kind) {
        return Some(known);
    }
    let near = nearest(kind, words).unwrap_or(Kind::Stress.as_str());
    let message = format!("kind: expected {expected}, found {kind:?}");
    reader.complain(Problem::new(place, message).with_help(format!("the nearest is {near:?}")));
    None
}

#[cfg(test)]
mod tests;
