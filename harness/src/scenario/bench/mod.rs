//! The `[bench]` table: the axes of a grid, and how long each of its cells is measured.

mod axes;
mod grid;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::stress::{DAY_NS, MS_NS, S_NS};
use crate::document::reader::Reader;
use crate::document::source::{Place, Problem};
use crate::document::tree::Value;
use crate::measure::Axis;
use crate::measure::threshold::{Bound, Side, Threshold, ThresholdError};
use crate::plan::bench::BenchPlan;
use crate::words::nearest;

pub use axes::Axes;
pub use grid::Grid;
pub use work::Work;

const ROUNDS_MAX: u32 = 1000;
const WARM_UP_NS: u64 = 50 * MS_NS;
const DURATION_NS: u64 = 200 * MS_NS;
const ROUNDS: u32 = 5;
const BUDGET_NS: u64 = 600 * S_NS;

/// A benchmark: a plan that has no roots and no seed yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Bench {
    /// What may vary, and the values of each axis.
    pub axes: Axes,
    /// How long each round works before it measures.
    pub warm_up_ns: u64,
    /// How long each round measures.
    pub duration_ns: u64,
    /// How many rounds each cell gets.
    pub rounds: u32,
    /// Longest that all of it may take without the user's consent.
    pub budget_ns: u64,
    /// What must be reached.
    pub thresholds: Vec<Threshold>,
}

impl Bench {
    /// The plan of one run over these roots: each with its value on the axis `root`, and its folder.
    #[must_use]
    pub fn plan(&self, roots: &[(String, PathBuf)], seed: u64) -> BenchPlan {
        let names: Vec<&str> = roots.iter().map(|(name, _)| name.as_str()).collect();
        BenchPlan {
            cells: Grid::of(&self.axes, &names).cells,
            roots: roots.iter().map(|(_, folder)| folder.clone()).collect(),
            seed,
            warm_up_ns: self.warm_up_ns,
            duration_ns: self.duration_ns,
            rounds: self.rounds,
        }
    }

    /// Most processes of any cell.
    #[must_use]
    pub fn processes(&self) -> u32 {
        self.axes.processes.iter().copied().max().unwrap_or(0)
    }
}

/// Reads the table.
pub(super) fn read(mut reader: Reader<'_>) -> Option<Bench> {
    let place = reader.place().clone();
    let axes = axes::read(&mut reader);
    let warm_up_ns = reader.duration_ns("warm_up", 0..=DAY_NS).unwrap_or(WARM_UP_NS);
    let duration_ns = reader.duration_ns("duration", MS_NS..=DAY_NS).unwrap_or(DURATION_NS);
    let rounds = reader.count_u32("rounds", 1..=ROUNDS_MAX, "rounds").unwrap_or(ROUNDS);
    let budget_ns = reader.duration_ns("budget", S_NS..=7 * DAY_NS).unwrap_or(BUDGET_NS);
    let bench =
        axes.map(|axes| Bench { axes, warm_up_ns, duration_ns, rounds, budget_ns, thresholds: Vec::new() });
    if let Some(bench) = &bench
        && let Err(why) = grid::has_cells(&bench.axes)
    {
        reader.complain(Problem::new(&place, format!("the grid is empty: {why}")));
    }
    reader.finish();
    bench
}

/// Reads `[thresholds]`: a metric and a bound each. What a bound is relative to must lie in the grid, where there is one.
pub(super) fn read_thresholds(mut reader: Reader<'_>, axes: Option<&Axes>) -> Vec<Threshold> {
    let mut thresholds = Vec::new();
    let mut grid = None;
    for entry in reader.take_all() {
        let Value::Text(right) = &entry.node.value else {
            let found = entry.node.value.describe();
            let message =
                format!("{}: expected a bound as a text, such as \"< 5ms\", found {found}", entry.key);
            let problem = Problem::new(&entry.node.place, message);
            reader.complain(
                problem.with_help("a metric's name contains a dot, so it needs quotes: \"wait.p99\""),
            );
            continue;
        };
        match Threshold::parse(&entry.key, right) {
            Ok(threshold) => {
                let stray = axes.and_then(|axes| stray(&threshold, grid.get_or_insert_with(|| values(axes))));
                if let Some((message, help)) = stray {
                    reader.complain(Problem::new(&entry.node.place, message).with_help(help));
                }
                thresholds.push(threshold);
            }
            Err(error) => reader.complain(problem(&entry.key_place, &entry.node.place, error)),
        }
    }
    thresholds
}

/// The values that cells have, on each axis.
type Values = BTreeMap<Axis, BTreeSet<String>>;

fn values(axes: &Axes) -> Values {
    let mut values = Values::new();
    for cell in Grid::of(axes, &[""]).cells {
        for (axis, value) in cell.point.iter().filter(|(axis, _)| *axis != Axis::Root) {
            values.entry(axis).or_default().insert(value.to_string());
        }
    }
    values
}

/// What is wrong with a threshold that names a value that no cell has, and what helps. The names of roots come from
/// the command line, so nothing is said of them.
fn stray(threshold: &Threshold, grid: &Values) -> Option<(String, String)> {
    if let Some(stray) = stray_value(&threshold.only, grid) {
        return Some(stray);
    }
    let Bound::Relative { at, .. } = &threshold.bound else { return None };
    stray_value(at, grid).or_else(|| compares_with_itself(at, grid))
}

/// The first of these values that no cell has, and what helps.
fn stray_value(at: &[(Axis, String)], grid: &Values) -> Option<(String, String)> {
    let none = BTreeSet::new();
    let is_stray = |(axis, value): &&(Axis, String)| {
        *axis != Axis::Root && !grid.get(axis).unwrap_or(&none).contains(value)
    };
    let (axis, value) = at.iter().find(is_stray)?;
    let there = grid.get(axis).unwrap_or(&none);
    let message = format!("no cell of the grid has {axis} = {value}");
    let help = match (nearest(value, there.iter().map(String::as_str)), there.is_empty()) {
        (Some(near), _) => format!("did you mean {axis}:{near}?"),
        (None, true) => format!("its cells have nothing on the axis {axis}"),
        (None, false) => {
            format!("there are {}", there.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
        }
    };
    Some((message, help))
}

/// What is wrong with a bound that is relative to the values that every cell has.
fn compares_with_itself(at: &[(Axis, String)], grid: &Values) -> Option<(String, String)> {
    let is_everywhere = |(axis, _): &(Axis, String)| {
        *axis != Axis::Root && grid.get(axis).is_some_and(|values| values.len() == 1)
    };
    if !at.iter().all(is_everywhere) {
        return None;
    }
    let values = at.iter().map(|(axis, value)| format!("{axis} = {value}")).collect::<Vec<_>>().join(", ");
    let message = format!("every cell of the grid has {values}, so each would be compared with itself");
    Some((message, "give that axis another value, or write a fixed bound".to_owned()))
}

/// Points at what is wrong: a quote stands before the text, and escapes are rare enough to be off by one.
fn problem(left: &Place, right: &Place, error: ThresholdError) -> Problem {
    let whole = match error.side {
        Side::Left => left,
        Side::Right => right,
    };
    let start = whole.span.start + 1 + error.span.start;
    let end = (whole.span.start + 1 + error.span.end).min(whole.span.end);
    let span = if error.side == Side::Left { whole.span.clone() } else { start..end.max(start) };
    let problem = Problem::new(&Place { span, ..whole.clone() }, error.message);
    match error.help {
        Some(help) => problem.with_help(help),
        None => problem,
    }
}

#[cfg(test)]
mod tests;
