//! Two records side by side: cell by cell how many times as much, and with which confidence.

use serde::Serialize;

use super::statistics::{CellStatistics, Estimate, Ratio};
use super::{BenchRecord, Better, Cell, Metric, Percentile, Point, Stretch};
use crate::measure::threshold::Outcome;

/// What is compared where nothing else is asked for.
pub const DEFAULT: [Metric; 2] = [Metric::Throughput, Metric::Latency(Stretch::Whole, Percentile::P99)];

/// Two records side by side.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The cells that both records have, in the order of the new one.
    pub cells: Vec<CellComparison>,
    /// Cells that only the old record has.
    pub only_in_base: Vec<Point>,
    /// Cells that only the new record has.
    pub only_in_new: Vec<Point>,
    /// What else to know about the two.
    pub notes: Vec<String>,
}

/// One cell of both.
#[derive(Clone, Debug, Serialize)]
pub struct CellComparison {
    /// Where the cell lies on the grid.
    pub point: Point,
    /// Why it cannot be compared, where it cannot.
    pub invalid: Option<String>,
    /// What was asked, metric by metric.
    pub changes: Vec<Change>,
}

/// One metric of one cell of both.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// What was compared.
    pub metric: Metric,
    /// In the old record, in the metric's unit.
    pub base: Option<Estimate>,
    /// Its value in the later record; none where it was not measured there.
    pub new: Option<Estimate>,
    /// The later value over the earlier one, with its confidence.
    #[serde(flatten)]
    pub ratio: Option<Ratio>,
    /// Whether the difference is certain, and for the better or the worse.
    pub direction: Direction,
    /// Held against the threshold, where there is one.
    pub outcome: Option<Outcome>,
}

/// Whether a difference is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// All of the interval says better.
    Better,
    /// All of the interval says worse.
    Worse,
    /// The interval holds 1: there may be no difference.
    Unclear,
}

/// Compares two records by these metrics. A threshold, as a part (0.1 for 10 %), is how much worse a metric may be.
#[must_use]
pub fn compare(
    base: &BenchRecord,
    new: &BenchRecord,
    metrics: &[Metric],
    threshold: Option<f64>,
) -> Comparison {
    let find = |record: &'_ BenchRecord, point: &Point| -> Option<usize> {
        record.cells.iter().position(|cell| cell.point == *point)
    };
    let missing = |from: &BenchRecord, to: &BenchRecord| -> Vec<Point> {
        let points = from.cells.iter().map(|cell| &cell.point);
        points.filter(|point| find(to, point).is_none()).cloned().collect()
    };
    let pairs = new.cells.iter().filter_map(|cell| Some((&base.cells[find(base, &cell.point)?], cell)));
    Comparison {
        cells: pairs.map(|(base, new)| compare_cells(base, new, metrics, threshold)).collect(),
        only_in_base: missing(base, new),
        only_in_new: missing(new, base),
        notes: notes(base, new),
    }
}

impl Comparison {
    /// What all of it comes to: one cell beyond the threshold counts more than one that is open.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let changes = self.cells.iter().flat_map(|cell| &cell.changes);
        changes.filter_map(|change| change.outcome).max().unwrap_or(Outcome::Met)
    }
}

fn compare_cells(base: &Cell, new: &Cell, metrics: &[Metric], threshold: Option<f64>) -> CellComparison {
    let invalid = [("base", base), ("new", new)].into_iter().find_map(|(which, cell)| {
        let why = cell.invalid.as_ref()?;
        Some(format!("invalid in the {which} record: {why}"))
    });
    let statistics = |cell| CellStatistics::with(cell, metrics.iter().copied());
    let (one, other) = (statistics(base), statistics(new));
    let get = |statistics: &Option<CellStatistics>, metric| statistics.as_ref()?.get(metric).copied();
    let changes = metrics.iter().map(|&metric| {
        let (base, new) = (get(&one, metric), get(&other, metric));
        let ratio = base.zip(new).and_then(|(base, new)| new.over(&base)).filter(|_| invalid.is_none());
        Change {
            metric,
            base,
            new,
            ratio,
            direction: direction(metric, ratio),
            outcome: threshold.map(|part| outcome(metric, ratio, part)),
        }
    });
    CellComparison { point: new.point.clone(), changes: changes.collect(), invalid }
}

fn direction(metric: Metric, ratio: Option<Ratio>) -> Direction {
    let Some(interval) = ratio.and_then(|ratio| ratio.interval) else { return Direction::Unclear };
    match metric.better() {
        Better::Higher if interval.lower > 1.0 => Direction::Better,
        Better::Higher if interval.upper < 1.0 => Direction::Worse,
        Better::Lower if interval.upper < 1.0 => Direction::Better,
        Better::Lower if interval.lower > 1.0 => Direction::Worse,
        _ => Direction::Unclear,
    }
}

/// Only an interval that lies beyond the threshold as a whole exceeds it. 10 % worse is a throughput of 0.9 times, and a
/// latency of 1.1 times.
fn outcome(metric: Metric, ratio: Option<Ratio>, part: f64) -> Outcome {
    let Some(interval) = ratio.and_then(|ratio| ratio.interval) else { return Outcome::Inconclusive };
    let (is_beyond, is_within) = match metric.better() {
        Better::Higher => (interval.upper < 1.0 - part, interval.lower >= 1.0 - part),
        Better::Lower => (interval.lower > 1.0 + part, interval.upper <= 1.0 + part),
    };
    match (is_beyond, is_within) {
        (true, _) => Outcome::Exceeded,
        (_, true) => Outcome::Met,
        _ => Outcome::Inconclusive,
    }
}

fn notes(base: &BenchRecord, new: &BenchRecord) -> Vec<String> {
    let mut notes = Vec::new();
    for (which, record) in [("base", base), ("new", new)] {
        if !record.complete {
            notes.push(format!("the {which} record is incomplete: some cells lack rounds"));
        }
    }
    if base.scenario_sha256 != new.scenario_sha256 {
        notes.push(format!(
            "the scenarios differ ({} and {}): cells of the same name may have been measured differently",
            base.scenario, new.scenario
        ));
    }
    notes
}

/// In what the machines of two records differ, where that matters; empty where the records can be compared.
#[must_use]
pub fn differences(base: &BenchRecord, new: &BenchRecord) -> Vec<String> {
    let (one, other) = (&base.machine, &new.machine);
    let model = |model: &Option<String>| model.clone().unwrap_or_else(|| "unknown".into());
    let facts = [
        ("kernel", one.kernel.clone(), other.kernel.clone()),
        ("architecture", one.architecture.clone(), other.architecture.clone()),
        ("processors", one.processors.to_string(), other.processors.to_string()),
        ("processor model", model(&one.processor_model), model(&other.processor_model)),
    ];
    let roots = base.filesystems.iter().filter_map(|own| {
        let other = new.filesystems.iter().find(|other| other.root == own.root)?;
        let name = "filesystem of the root";
        Some((name, own.filesystem.kind.clone(), other.filesystem.kind.clone()))
    });
    let differing = facts.into_iter().chain(roots).filter(|(_, one, other)| one != other);
    differing.map(|(name, one, other)| format!("{name}: {one} and {other}")).collect()
}
