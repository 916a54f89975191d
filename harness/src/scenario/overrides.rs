//! What the command line sets over a scenario's own words.

use std::sync::Arc;

use super::{Found, Kind};
use crate::document::source::{Place, Problem, Source, SourceKind};
use crate::document::tree::{self, Table, Value};

/// A value set on the command line, over whatever the scenario says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The flag as it was typed: `--set`, `--processes`, …
    pub flag: &'static str,
    /// What followed it: `key.path=value` for `--set`, else the value.
    pub value: String,
}

impl Override {
    /// Whether it means anything to scenarios of this kind: not so a value in the section of another kind, nor a flag
    /// for something that this kind has not.
    #[must_use]
    pub fn concerns(&self, kind: Kind) -> bool {
        let section = match (self.flag, self.value.split_once('=')) {
            ("--set", Some((path, _))) => path.split('.').next().unwrap_or_default().trim(),
            _ => "",
        };
        // A section that belongs to one kind of scenario has the name of that kind.
        let is_foreign = section != kind.as_str() && Kind::ALL.iter().any(|other| other.as_str() == section);
        !is_foreign && self.assignment(kind).is_ok()
    }

    /// Its meaning for a scenario of this kind, as `key.path=value`; the error says why it has none.
    pub fn assignment(&self, kind: Kind) -> Result<String, &'static str> {
        let key = match (self.flag, kind) {
            ("--duration", Kind::Stress) => "stress.duration",
            ("--operations", Kind::Stress) => "stress.operations",
            ("--processes", Kind::Stress) => "stress.processes",
            ("--duration", Kind::Bench) => "bench.duration",
            ("--processes", Kind::Bench) => "bench.processes",
            ("--rounds", Kind::Bench) => "bench.rounds",
            ("--operations", Kind::Bench) => {
                return Err("a benchmark measures for a time, which is --duration (each round of each cell)");
            }
            ("--duration", Kind::Explore) => "explore.budget.time",
            ("--operations", Kind::Explore) => {
                return Err("an exploration's operations are spelled out; its budget is --duration \
                            or --set explore.budget.schedules=N");
            }
            ("--duration", Kind::Race) => "race.budget.time",
            ("--duration", Kind::Crash) => "crash.budget.time",
            ("--operations" | "--processes", Kind::Crash) => {
                return Err("a crash has only the command in crash.command");
            }
            ("--operations" | "--processes", Kind::Race) => {
                return Err("a race's commands are spelled out, each with its process, in race.processes");
            }
            ("--processes", Kind::Explore) => {
                return Err("an exploration's processes are spelled out, each with its operations, \
                            in explore.processes");
            }
            _ => return Ok(self.value.clone()),
        };
        Ok(format!("{key}={}", self.value))
    }
}

/// The kind that a scenario has once the values are set; of one that cannot be read it does not matter.
#[must_use]
pub fn kind_of(found: &Found, overrides: &[Override]) -> Kind {
    let source = Arc::new(Source { kind: SourceKind::File, name: found.shown(), text: found.text.clone() });
    let Ok(mut root) = tree::parse(&source) else { return Kind::Stress };
    for set in overrides.iter().filter(|set| set.flag == "--set") {
        let source = Source { kind: SourceKind::Argument, name: String::new(), text: set.value.clone() };
        // What cannot be set is told when the scenario is read.
        let _ = tree::set(&mut root, &Arc::new(source));
    }
    kind(&root)
}

/// Sets the values, in their order. What `--set` makes of the kind decides what the other flags mean.
pub(super) fn apply(overrides: &[Override], root: &mut Table, scenario: &str) -> Result<(), Vec<Problem>> {
    let one = |problem: Problem| vec![problem];
    let argument = |set: &Override, text: &str| {
        let name = format!("{}, for scenario {scenario}", set.flag);
        Arc::new(Source { kind: SourceKind::Argument, name, text: text.to_owned() })
    };
    let mut with_sets = root.clone();
    for set in overrides.iter().filter(|set| set.flag == "--set") {
        tree::set(&mut with_sets, &argument(set, &set.value)).map_err(one)?;
    }
    let kind = kind(&with_sets);
    for set in overrides {
        let assignment = set.assignment(kind).map_err(|why| {
            let source = argument(set, &set.value);
            one(Problem::new(&Place { span: 0..source.text.len(), source }, why))
        })?;
        tree::set(root, &argument(set, &assignment)).map_err(one)?;
    }
    Ok(())
}

/// The kind, as far as it can be told before the scenario is read: what is no kind is told by the reader.
fn kind(root: &Table) -> Kind {
    let named = match root.entry("kind").map(|entry| &entry.node.value) {
        Some(Value::Text(text)) => Kind::ALL.into_iter().find(|kind| kind.as_str() == text.as_str()),
        _ => None,
    };
    named.unwrap_or(Kind::Stress)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_of_any_other_kind_is_foreign() {
        for kind in Kind::ALL {
            for other in Kind::ALL {
                let value = format!("{}.seen=1", other.as_str());
                let set = Override { flag: "--set", value: value.clone() };
                assert_eq!(set.concerns(kind), kind == other, "{value} for {}", kind.as_str());
            }
        }
    }
}
