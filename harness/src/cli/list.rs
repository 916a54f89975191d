//! `flockwork list`: the scenarios, and what each is about.

use serde::Serialize;

use super::args::{Format, ListArgs};
use super::failure::Failure;
use super::output::{Output, print_json, print_words, room};
use super::request::load;
use crate::report::exit::Exit;
use crate::report::table::render;
use crate::scenario::{Expect, Scenario};
use crate::violation::Class;

#[derive(Serialize)]
struct ListReport {
    schema_version: u32,
    scenarios: Vec<ListEntry>,
}

#[derive(Serialize)]
struct ListEntry {
    name: String,
    path: String,
    kind: &'static str,
    subject: String,
    expect: Expect,
    about: String,
}

impl From<&Scenario> for ListEntry {
    fn from(scenario: &Scenario) -> Self {
        Self {
            name: scenario.name.clone(),
            path: scenario.argument.display().to_string(),
            kind: scenario.kind().as_str(),
            subject: scenario.subject_words(),
            expect: scenario.expect.clone(),
            about: scenario.about.clone(),
        }
    }
}

/// Lists the scenarios that the paths lead to, or the built-in suite.
pub fn run(args: &ListArgs, output: Output) -> Result<Exit, Failure> {
    let scenarios = load(&args.paths, &[])?;
    match output.format {
        Format::Human => print_words(&shown(&scenarios))?,
        Format::Json => print_json(&ListReport {
            schema_version: crate::report::SCHEMA_VERSION,
            scenarios: scenarios.iter().map(ListEntry::from).collect(),
        })?,
    }
    Ok(if scenarios.is_empty() { Exit::NothingToRun } else { Exit::AsExpected })
}

/// A table where it fits; else each scenario with its sentence below it.
fn shown(scenarios: &[Scenario]) -> String {
    let table = table(scenarios);
    let is_too_wide = |width: u16| table.lines().any(|line| line.chars().count() > usize::from(width));
    if !room().is_some_and(is_too_wide) {
        return table;
    }
    let entry = |scenario: &Scenario| {
        let (kind, subject) = (scenario.kind().as_str(), scenario.subject_words());
        let expected = expected(&scenario.expect);
        format!("{}: {kind} of {subject}, expects {expected}\n  {}\n", scenario.name, scenario.about)
    };
    scenarios.iter().map(entry).collect()
}

fn expected(expect: &Expect) -> String {
    match expect.violations.as_slice() {
        [] => "clean".to_owned(),
        classes => classes.iter().map(|class| Class::as_str(*class)).collect::<Vec<_>>().join(", "),
    }
}

fn table(scenarios: &[Scenario]) -> String {
    let rows: Vec<Vec<String>> = scenarios
        .iter()
        .map(|scenario| {
            vec![
                scenario.name.clone(),
                scenario.kind().as_str().to_owned(),
                scenario.subject_words(),
                expected(&scenario.expect),
                scenario.about.clone(),
            ]
        })
        .collect();
    render(&["scenario", "kind", "subject", "expects", "about"], &rows, 0..0)
}
