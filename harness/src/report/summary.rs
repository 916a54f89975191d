//! The table at the end of a run: a row per scenario, and a table per kind, as each has its own measures.

use super::human::{STRONG, line, style_of, verdict_words};
use super::race::RaceReport;
use super::table::{fitting, rate, render_columns};
use super::{ScenarioReport, WorkReport};
use crate::scenario::Kind;
use crate::words::grouped;

/// The tables of these scenarios; where they are to fit a width, without the columns that matter least.
#[must_use]
pub fn of(scenarios: &[ScenarioReport], width: Option<u16>) -> String {
    let (raced, others): (Vec<_>, Vec<_>) =
        scenarios.iter().partition(|scenario| scenario.work.kind() == Kind::Race);
    let (explored, stressed): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|scenario| scenario.work.kind() == Kind::Explore);
    let mut text = String::new();
    if !stressed.is_empty() {
        table(&mut text, (&STRESS, width), &stressed, stress_row);
    }
    if !explored.is_empty() {
        if !text.is_empty() {
            text.push('\n');
        }
        table(&mut text, (&EXPLORE, width), &explored, explore_row);
    }
    if !raced.is_empty() {
        if !text.is_empty() {
            text.push('\n');
        }
        table(&mut text, (&RACE, width), &raced, race_row);
    }
    text
}

const STRESS: [&str; 9] =
    ["scenario", "subject", "operations", "time", "rate", "processes", "kills", "handoff", "verdict"];

fn stress_row(scenario: &ScenarioReport) -> Vec<String> {
    vec![
        scenario.name.clone(),
        scenario.subject.clone(),
        grouped(scenario.operations),
        format!("{:.2}s", scenario.duration_s),
        rate(scenario.rate()),
        scenario.processes.to_string(),
        scenario.kills.map_or("-".into(), |kills| kills.to_string()),
        scenario.handoff_ratio.map_or("-".into(), |ratio| format!("{ratio:.2}")),
    ]
}

const EXPLORE: [&str; 9] =
    ["scenario", "subject", "schedules", "interleavings", "time", "rate", "processes", "coverage", "verdict"];

fn explore_row(scenario: &ScenarioReport) -> Vec<String> {
    let exploration = scenario.exploration();
    vec![
        scenario.name.clone(),
        scenario.subject.clone(),
        grouped(scenario.schedules.unwrap_or(0)),
        exploration
            .and_then(|exploration| exploration.naive)
            .map_or("-".into(), |all| format!("~{}", about(all))),
        format!("{:.2}s", scenario.duration_s),
        exploration.map_or("-".into(), |exploration| rate(exploration.schedules_per_s)),
        scenario.processes.to_string(),
        exploration.map_or("-".into(), |exploration| exploration.coverage.to_string()),
    ]
}

const RACE: [&str; 9] =
    ["scenario", "subject", "orders", "executions", "time", "rate", "processes", "coverage", "verdict"];

fn race_row(scenario: &ScenarioReport) -> Vec<String> {
    let race = match &scenario.work {
        WorkReport::Race { race } => race.as_ref(),
        _ => None,
    };
    let of = |show: &dyn Fn(&RaceReport) -> String| race.map_or("-".into(), show);
    vec![
        scenario.name.clone(),
        scenario.subject.clone(),
        of(&|race| grouped(race.sequential_orders)),
        of(&|race| grouped(race.executions)),
        format!("{:.2}s", scenario.duration_s),
        of(&|race| rate(race.executions_per_s)),
        scenario.processes.to_string(),
        of(&|race| race.coverage.as_str().into()),
    ]
}

/// A number that is only known roughly.
fn about(number: f64) -> String {
    if number < 1e6 { format!("{number:.0}") } else { format!("{number:.0e}") }
}

/// The columns that are left out first where there is no room.
const DISPENSABLE: [&str; 10] = [
    "handoff",
    "interleavings",
    "kills",
    "rate",
    "orders",
    "processes",
    "coverage",
    "subject",
    "time",
    "operations",
];

fn table(
    text: &mut String,
    (header, width): (&[&str], Option<u16>),
    scenarios: &[&ScenarioReport],
    cells: impl Fn(&ScenarioReport) -> Vec<String>,
) {
    let rows: Vec<Vec<String>> = scenarios
        .iter()
        .map(|scenario| cells(scenario).into_iter().chain([verdict_words(scenario)]).collect())
        .collect();
    let (header, rows) = fitting(header, &rows, width, &DISPENSABLE);
    let is_number =
        |column: usize| !["scenario", "subject", "coverage", "verdict"].contains(&header[column].as_str());
    let plain = render_columns(&header, &rows, is_number);
    let mut lines = plain.lines();
    line(text, &format!("{STRONG}{}{STRONG:#}", lines.next().unwrap_or_default()));
    for (row, scenario) in lines.zip(scenarios) {
        // The verdict comes last, so that its colour moves no column.
        let words = verdict_words(scenario);
        let style = style_of(scenario.verdict, scenario.expected);
        let rest = row.strip_suffix(&words).unwrap_or(row);
        line(text, &format!("{rest}{style}{words}{style:#}"));
    }
}
