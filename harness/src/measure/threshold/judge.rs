//! Holds a record against thresholds, cell by cell.

use serde::{Serialize, Serializer};

use super::{Bound, Relation, Threshold};
use crate::measure::statistics::{CellStatistics, Interval};
use crate::measure::{Axis, BenchRecord, Cell, Metric, Point};

/// What became of a threshold in one cell, or of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The whole interval is on the right side.
    Met,
    /// The interval reaches over the bound, or there is none.
    Inconclusive,
    /// The whole interval is on the wrong side.
    Exceeded,
}

/// What became of one threshold in one cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assessment {
    /// The threshold, as it was written.
    pub threshold: String,
    /// Where the cell lies.
    pub point: Point,
    /// What became of it.
    pub outcome: Outcome,
    /// What was measured: in the metric's unit, or for a relative bound as a ratio.
    pub judged: Option<Judgement>,
    /// What decided, in a sentence.
    pub why: String,
}

/// A measured value, where it lies, and what it was held against.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// The metric that the threshold is about.
    pub metric: Metric,
    /// Whether value, interval and bound are ratios to another cell.
    pub scale: JudgedScale,
    /// What was measured, in the unit of its metric.
    pub value: f64,
    /// Where it lies with a confidence of 95 %.
    #[serde(flatten)]
    pub interval: Option<Interval>,
    /// What the threshold compares it with, in the same unit.
    pub bound: f64,
}

/// What the numbers of a judgement are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JudgedScale {
    /// In the metric's own unit.
    Absolute,
    /// Ratios to another cell.
    Ratio,
}

impl Serialize for JudgedScale {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Absolute => "absolute",
            Self::Ratio => "ratio",
        })
    }
}

/// Holds every cell against every threshold. The cell that a relative bound points at is not held against itself; where
/// that leaves none, the threshold has gated nothing, and is open.
#[must_use]
pub fn judge(record: &BenchRecord, thresholds: &[Threshold]) -> Vec<Assessment> {
    let needed = |cell| CellStatistics::with(cell, thresholds.iter().map(|threshold| threshold.metric));
    let cells: Vec<(&Cell, Option<CellStatistics>)> =
        record.cells.iter().map(|cell| (cell, needed(cell))).collect();
    let judged = thresholds.iter().flat_map(|threshold| {
        let cells = &cells;
        let held = cells.iter().filter_map(move |(cell, statistics)| {
            let judged = judge_cell(threshold, cell, statistics.as_ref(), cells)?;
            let (outcome, judged, why) = judged;
            Some(Assessment {
                threshold: threshold.to_string(),
                point: cell.point.clone(),
                outcome,
                judged,
                why,
            })
        });
        let held: Vec<Assessment> = held.collect();
        if held.is_empty() { vec![gated_nothing(threshold)] } else { held }
    });
    judged.collect()
}

fn gated_nothing(threshold: &Threshold) -> Assessment {
    Assessment {
        threshold: threshold.to_string(),
        point: Point::default(),
        outcome: Outcome::Inconclusive,
        judged: None,
        why: "no cell was compared: the threshold names none, or compares each only with itself".into(),
    }
}

/// What all verdicts come to: one that is missed counts more than one that is open. Without a threshold there is none,
/// and nothing to miss; a threshold always has a verdict.
#[must_use]
pub fn overall(verdicts: &[Assessment]) -> Outcome {
    verdicts.iter().map(|verdict| verdict.outcome).max().unwrap_or(Outcome::Met)
}

type Cells<'a> = [(&'a Cell, Option<CellStatistics>)];
type Judged = (Outcome, Option<Judgement>, String);

/// `None`: the threshold says nothing about this cell.
fn judge_cell(
    threshold: &Threshold,
    cell: &Cell,
    statistics: Option<&CellStatistics>,
    cells: &Cells<'_>,
) -> Option<Judged> {
    if !threshold.only.iter().all(|(axis, value)| lies_at(&cell.point, *axis, value)) {
        return None;
    }
    let open = |why: String| Some((Outcome::Inconclusive, None, why));
    if let Some(why) = &cell.invalid {
        return open(format!("the cell is invalid: {why}"));
    }
    let metric = threshold.metric;
    let Some(own) = statistics.and_then(|statistics| statistics.get(metric)) else {
        return open(format!("{metric} has no value here"));
    };
    let held = match &threshold.bound {
        Bound::Fixed(bound) => Judgement {
            metric,
            scale: JudgedScale::Absolute,
            value: own.value,
            interval: own.interval,
            bound: *bound,
        },
        Bound::Relative { factor, at } => {
            if at.iter().all(|(axis, value)| lies_at(&cell.point, *axis, value)) {
                return None;
            }
            let Some((other, reference)) = reference(cell, at, cells) else {
                return open("there is no such cell to compare with in this run".into());
            };
            if let Some(why) = &other.invalid {
                return open(format!("the cell to compare with is invalid: {why}"));
            }
            let base = reference.and_then(|statistics| statistics.get(metric));
            let Some(ratio) = base.and_then(|base| own.over(base)) else {
                return open("the cell to compare with has no value above zero".into());
            };
            Judgement {
                metric,
                scale: JudgedScale::Ratio,
                value: ratio.ratio,
                interval: ratio.interval,
                bound: *factor,
            }
        }
    };
    let (outcome, why) = outcome(threshold.relation, &held);
    Some((outcome, Some(held), why.into()))
}

fn lies_at(point: &Point, axis: Axis, value: &str) -> bool {
    point.get(axis).is_some_and(|own| own.to_string() == value)
}

/// The cell that differs from this one in the named axes only.
fn reference<'c>(
    cell: &Cell,
    at: &[(Axis, String)],
    cells: &'c Cells<'_>,
) -> Option<(&'c Cell, Option<&'c CellStatistics>)> {
    let is_named = |axis: Axis| at.iter().any(|(named, _)| *named == axis);
    let found = cells.iter().find(|(other, _)| {
        let is_there = at.iter().all(|(axis, value)| lies_at(&other.point, *axis, value));
        let is_equal_else = |axis: Axis| is_named(axis) || other.point.get(axis) == cell.point.get(axis);
        is_there && Axis::ALL.into_iter().all(is_equal_else)
    });
    found.map(|(other, statistics)| (*other, statistics.as_ref()))
}

fn outcome(relation: Relation, held: &Judgement) -> (Outcome, &'static str) {
    let Some(interval) = held.interval else {
        return (Outcome::Inconclusive, "one round has no confidence interval: measure more rounds");
    };
    match (relation.holds(interval.lower, held.bound), relation.holds(interval.upper, held.bound)) {
        (true, true) => (Outcome::Met, "the whole interval is within"),
        (false, false) => (Outcome::Exceeded, "the whole interval is beyond"),
        _ => (Outcome::Inconclusive, "the interval spans the bound: measure more rounds"),
    }
}
