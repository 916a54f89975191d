//! Two benchmarks side by side, for people.

use anstyle::{AnsiColor, Style};

use super::columns::{percent, shown};
use crate::measure::compare::{CellComparison, Change, Comparison, Direction};
use crate::measure::threshold::Outcome;
use crate::measure::view::axes_of;
use crate::measure::{Axis, BenchRecord, Point};
use crate::report::human::{STRONG, line};
use crate::report::table::render_columns;
use crate::words::plural;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DOUBTFUL: Style = AnsiColor::Yellow.on_default();

/// The table, the notes, and what the threshold came to.
#[must_use]
pub fn human(
    comparison: &Comparison,
    (base, new): (&BenchRecord, &BenchRecord),
    threshold: Option<f64>,
) -> String {
    let mut text = String::new();
    line(&mut text, &format!("base: {} of {}", base.scenario, base.started_at));
    line(&mut text, &format!("new:  {} of {}\n", new.scenario, new.started_at));
    let points = || comparison.cells.iter().map(|cell| &cell.point);
    let (varying, constant) = axes_of(points());
    if !constant.is_empty() {
        let words: Vec<String> = constant.iter().map(ToString::to_string).collect();
        line(&mut text, &format!("everywhere: {}\n", words.join(", ")));
    }
    table(&mut text, comparison, &varying);
    notes(&mut text, comparison);
    if let Some(part) = threshold.filter(|_| !comparison.cells.is_empty()) {
        told(&mut text, comparison, part);
    }
    text
}

fn table(text: &mut String, comparison: &Comparison, varying: &[Axis]) {
    if comparison.cells.is_empty() {
        return;
    }
    let mut header: Vec<String> = varying.iter().map(|axis| axis.as_str().to_owned()).collect();
    header.extend(["metric", "base", "new", "new/base", "95 %", ""].map(str::to_owned));
    let changes: Vec<(&CellComparison, &Change)> = comparison
        .cells
        .iter()
        .flat_map(|cell| cell.changes.iter().map(move |change| (cell, change)))
        .collect();
    let rows: Vec<Vec<String>> = changes.iter().map(|(cell, change)| row(cell, change, varying)).collect();
    let numbers = varying.len() + 1..varying.len() + 5;
    let plain = render_columns(&header, &rows, |column| numbers.contains(&column));
    let mut lines = plain.lines();
    line(text, &format!("{STRONG}{}{STRONG:#}", lines.next().unwrap_or_default()));
    for (row, (cell, change)) in lines.zip(changes) {
        // The verdict comes last, so that its colour moves no column.
        let words = verdict(cell, change);
        let style = style(cell, change);
        let rest = row.strip_suffix(&words).unwrap_or(row);
        line(text, format!("{rest}{style}{words}{style:#}").trim_end());
    }
}

fn row(cell: &CellComparison, change: &Change, varying: &[Axis]) -> Vec<String> {
    let value = |axis: &Axis| cell.point.get(*axis).map_or_else(|| "-".into(), ToString::to_string);
    let side =
        |estimate: Option<f64>| estimate.map_or_else(|| "-".into(), |value| shown(change.metric, value));
    let interval = change.ratio.and_then(|ratio| ratio.interval);
    let mut row: Vec<String> = varying.iter().map(value).collect();
    row.extend([
        change.metric.to_string(),
        side(change.base.map(|estimate| estimate.value)),
        side(change.new.map(|estimate| estimate.value)),
        change.ratio.map_or_else(|| "-".into(), |ratio| format!("{:.3}", ratio.ratio)),
        interval
            .map_or_else(|| "-".into(), |interval| format!("{:.3} to {:.3}", interval.lower, interval.upper)),
        verdict(cell, change),
    ]);
    row
}

fn verdict(cell: &CellComparison, change: &Change) -> String {
    if cell.invalid.is_some() {
        return "invalid".into();
    }
    let direction = match change.direction {
        Direction::Better => "better",
        Direction::Worse => "worse",
        Direction::Unclear => "no certain change",
    };
    match change.outcome {
        Some(Outcome::Exceeded) => "worse, beyond the threshold".into(),
        Some(Outcome::Inconclusive) => format!("{direction}, inconclusive"),
        _ => direction.into(),
    }
}

fn style(cell: &CellComparison, change: &Change) -> Style {
    match (change.outcome, change.direction) {
        _ if cell.invalid.is_some() => BAD,
        (Some(Outcome::Exceeded), _) => BAD,
        (Some(Outcome::Inconclusive), _) | (_, Direction::Worse) => DOUBTFUL,
        (_, Direction::Better) => GOOD,
        (_, Direction::Unclear) => Style::new(),
    }
}

fn notes(text: &mut String, comparison: &Comparison) {
    let only = |which: &str, points: &[Point]| -> Option<String> {
        let first = points.first()?;
        let count = plural(points.len() as u64, "cell");
        Some(format!("{count} only in the {which} record, the first at {first}"))
    };
    let invalid = comparison
        .cells
        .iter()
        .filter_map(|cell| Some(format!("{}: {}", cell.point, cell.invalid.as_ref()?)));
    let notes = comparison.notes.iter().cloned();
    let only = [only("base", &comparison.only_in_base), only("new", &comparison.only_in_new)];
    for (index, note) in notes.chain(only.into_iter().flatten()).chain(invalid).enumerate() {
        if index == 0 {
            text.push('\n');
        }
        line(text, &format!("{DOUBTFUL}note{DOUBTFUL:#}: {note}"));
    }
}

fn told(text: &mut String, comparison: &Comparison, part: f64) {
    let outcomes =
        || comparison.cells.iter().flat_map(|cell| &cell.changes).filter_map(|change| change.outcome);
    let count = |wanted| outcomes().filter(|outcome| *outcome == wanted).count();
    let (style, word) = match comparison.outcome() {
        Outcome::Met => (GOOD, "within the threshold"),
        Outcome::Inconclusive => (DOUBTFUL, "inconclusive"),
        Outcome::Exceeded => (BAD, "threshold exceeded"),
    };
    let (beyond, open) = (count(Outcome::Exceeded), count(Outcome::Inconclusive));
    line(
        text,
        &format!(
            "\n{style}{word}{style:#}: {} worse by more than {}, {open} inconclusive, of {}",
            beyond,
            percent(part),
            plural(outcomes().count() as u64, "comparison")
        ),
    );
    if open > 0 {
        line(
            text,
            "inconclusive: the interval spans the threshold; measure more or longer rounds on a quiet machine",
        );
    }
}
