//! The `[bench]` table: the axes of a grid, and how long each of its cells is measured.

mod axes;
mod grid;
mod work;

use std::path::PathBuf;

use super::reader::Reader;
use super::source::{Place, Problem};
use super::stress::{DAY_NS, MS_NS, S_NS};
use super::tree::Value;
use crate::plan::bench::BenchPlan;

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

/// A line of `[thresholds]`, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// The key: the metric.
    pub left: String,
    /// Where the key stands.
    pub left_place: Place,
    /// The value: the bound.
    pub right: String,
    /// Where the value stands.
    pub right_place: Place,
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

/// Reads `[thresholds]`: a metric and a bound each, which whoever judges them parses.
pub(super) fn read_thresholds(mut reader: Reader<'_>) -> Vec<Threshold> {
    let mut thresholds = Vec::new();
    for entry in reader.take_all() {
        match &entry.node.value {
            Value::Text(right) => thresholds.push(Threshold {
                left: entry.key.clone(),
                left_place: entry.key_place.clone(),
                right: right.clone(),
                right_place: entry.node.place.clone(),
            }),
            other => {
                let message = format!(
                    "{}: expected a bound as a text, such as \"< 5ms\", found {}",
                    entry.key,
                    other.describe()
                );
                reader.complain(Problem::new(&entry.node.place, message));
            }
        }
    }
    thresholds
}

#[cfg(test)]
mod tests;
