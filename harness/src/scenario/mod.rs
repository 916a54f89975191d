//! Scenarios: TOML files that say what to run and what to expect. Here they become validated values.
//!
//! Nothing here runs anything. Every problem of a scenario is found here, before the first process starts.

mod builtin;
mod expect;
mod find;
pub(crate) mod reader;
pub mod source;
mod stress;
mod subject;
pub(crate) mod tree;
pub mod units;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use builtin::{BUILTIN, Builtin};
pub use expect::Expect;
pub use find::{FindError, Found, find};
pub use stress::Stress;
pub use subject::describe as describe_subject;

use crate::plan::{StressPlan, SubjectPlan};
use reader::Reader;
use source::{Place, Problem, Source, SourceKind, nearest};

/// A validated scenario.
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
    /// Which engine runs it.
    pub kind: Kind,
    /// What is tested.
    pub subject: SubjectPlan,
    /// How it is stressed.
    pub stress: Stress,
    /// What should come of it.
    pub expect: Expect,
}

/// Which engine runs a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Real processes, running freely.
    Stress,
}

impl Kind {
    /// The kind as scenarios spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stress => "stress",
        }
    }
}

/// Kinds that the design knows and this version does not run.
const KINDS_TO_COME: [&str; 2] = ["explore", "bench"];

/// A value set on the command line, over whatever the scenario says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The flag as it was typed: `--set`, `--processes`, …
    pub flag: &'static str,
    /// Its meaning, as `key.path=value`.
    pub assignment: String,
}

impl Override {
    /// The flag and its value as they were typed.
    #[must_use]
    pub fn typed(&self) -> (&'static str, &str) {
        let value = match self.flag {
            "--set" => &self.assignment,
            _ => self.assignment.split_once('=').map_or("", |(_, value)| value),
        };
        (self.flag, value)
    }
}

impl Scenario {
    /// Parses a scenario and applies the overrides. The error holds every problem found.
    pub fn parse(found: &Found, overrides: &[Override]) -> Result<Self, Vec<Problem>> {
        let source =
            Arc::new(Source { kind: SourceKind::File, name: found.shown(), text: found.text.clone() });
        let mut root = tree::parse(&source).map_err(|problem| vec![problem])?;
        for set in overrides {
            let argument = Arc::new(Source {
                kind: SourceKind::Argument,
                name: format!("{}, for scenario {}", set.flag, found.name()),
                text: set.assignment.clone(),
            });
            tree::set(&mut root, &argument).map_err(|problem| vec![problem])?;
        }
        let mut problems = Vec::new();
        let scenario = read(found, &root, &Place::start_of(&source), &mut problems);
        match scenario {
            Some(scenario) if problems.is_empty() => Ok(scenario),
            _ => Err(problems),
        }
    }

    /// The plan of one run.
    #[must_use]
    pub fn plan(&self, root: &Path, seed: u64) -> StressPlan {
        self.stress.plan(self.subject.clone(), root, seed)
    }
}

fn read(found: &Found, root: &tree::Table, start: &Place, problems: &mut Vec<Problem>) -> Option<Scenario> {
    let mut reader = Reader::root(root, start.clone(), problems);
    let about = reader.text("about").map(|(text, _)| text.to_owned()).unwrap_or_default();
    let kind = read_kind(&mut reader)?;
    let subject = subject::read(reader.section("subject", "[subject]"));
    let stress = stress::read(reader.section("stress", "[stress]"));
    let expect = expect::read(reader.section("expect", "[expect]"));
    reader.finish();
    Some(Scenario {
        name: found.name(),
        argument: found.argument.clone(),
        text: found.text.clone(),
        about,
        kind,
        subject: subject?,
        stress: stress?,
        expect,
    })
}

/// The kind. Of a scenario of another kind nothing more can be said, so it ends the reading.
fn read_kind(reader: &mut Reader<'_>) -> Option<Kind> {
    let Some((kind, place)) = reader.text("kind") else {
        reader.missing("kind", "\"stress\"");
        return None;
    };
    if kind == Kind::Stress.as_str() {
        return Some(Kind::Stress);
    }
    let problem = if KINDS_TO_COME.contains(&kind) {
        Problem::new(place, format!("kind {kind:?} is not supported by this version of flockwork"))
            .with_help("this version runs kind = \"stress\"")
    } else {
        let known = std::iter::once(Kind::Stress.as_str()).chain(KINDS_TO_COME);
        let near = nearest(kind, known).unwrap_or(Kind::Stress.as_str());
        Problem::new(place, format!("kind: expected \"stress\", found {kind:?}"))
            .with_help(format!("the nearest is {near:?}"))
    };
    reader.complain(problem);
    None
}

#[cfg(test)]
mod tests;
