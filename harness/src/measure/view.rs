//! A record as tables and charts see it: which axes tell its cells apart, and what each cell came to.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use rayon::prelude::*;

use super::statistics::{CellStatistics, Estimate, is_bound};
use super::{Axis, BenchRecord, Better, Cell, Metric, Point, Value};

/// A record with the statistics of its cells.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// The record that is shown.
    pub record: &'a BenchRecord,
    /// The axes on which cells differ.
    pub varying: Vec<Axis>,
    /// The axes on which they do not.
    pub constant: Vec<Constant>,
    /// The cells, in the record's order.
    pub rows: Vec<Row<'a>>,
}

/// An axis on which cells do not differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constant {
    /// The axis on which all cells lie at one point.
    pub axis: Axis,
    /// The one point that all cells have on it.
    pub value: Value,
    /// Whether every cell has it.
    pub extent: Extent,
}

/// Whether every cell has a value on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Every cell has it.
    Everywhere,
    /// Some cells have none: where nothing is locked, there is no way of waiting.
    WhereItApplies,
}

impl Constant {
    /// The axis and its value: `payload 1 KiB`.
    #[must_use]
    pub fn words(&self) -> String {
        match (self.axis, &self.value) {
            (Axis::Payload, Value::Number(number)) => format!("{} {}", self.axis, size(*number)),
            (axis, value) => format!("{axis} {value}"),
        }
    }
}

impl fmt::Display for Constant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.words())?;
        match self.extent {
            Extent::Everywhere => Ok(()),
            Extent::WhereItApplies => formatter.write_str(" (where it applies)"),
        }
    }
}

/// A cell with its statistics.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The cell of the record that the row shows.
    pub cell: &'a Cell,
    /// `None` where nothing was measured.
    pub statistics: Option<CellStatistics>,
}

impl<'a> View<'a> {
    /// Looks at a record, with every statistic.
    #[must_use]
    pub fn of(record: &'a BenchRecord) -> Self {
        let (varying, constant) = axes_of(record.cells.iter().map(|cell| &cell.point));
        // Bound to the cells' order: only the work is shared out.
        let rows =
            record.cells.par_iter().map(|cell| Row { cell, statistics: CellStatistics::of(cell) }).collect();
        Self { record, varying, constant, rows }
    }

    /// A cell's values on the axes that vary: its name within the record.
    #[must_use]
    pub fn name(&self, point: &Point) -> String {
        named(point, &self.varying)
    }

    /// The axes that do not vary, in words: `work nothing; where they apply: wait block, write rename`.
    #[must_use]
    pub fn constants(&self) -> String {
        let of = |extent| {
            let constants = self.constant.iter().filter(move |constant| constant.extent == extent);
            constants.map(Constant::words).collect::<Vec<_>>().join(", ")
        };
        match (of(Extent::Everywhere), of(Extent::WhereItApplies)) {
            (everywhere, some) if some.is_empty() => everywhere,
            (everywhere, some) if everywhere.is_empty() => format!("{some} (where they apply)"),
            (everywhere, some) => format!("{everywhere}; where they apply: {some}"),
        }
    }

    /// The rows that are valid and measured something.
    pub fn valid(&self) -> impl Iterator<Item = (&Row<'a>, &CellStatistics)> {
        self.rows.iter().filter_map(|row| {
            let is_valid = row.cell.invalid.is_none();
            row.statistics.as_ref().filter(|_| is_valid).map(|statistics| (row, statistics))
        })
    }

    /// The best and the worst cells by a metric: in each group of cells that differ only in what one can choose, and only where
    /// an interval lies apart from those of all others of its group. A cell in which a process got nothing is never the best.
    #[must_use]
    pub fn groups(&self, metric: Metric) -> Vec<Group<'_>> {
        let mut groups = BTreeMap::<Vec<Option<&Value>>, Vec<Standing<'_>>>::new();
        for (row, statistics) in self.valid().filter(|(row, _)| !is_bound(row.cell)) {
            let Some(estimate) = statistics.get(metric) else { continue };
            let is_starved = statistics.value(Metric::Starved).unwrap_or(0.0) > 0.0;
            let point = &row.cell.point;
            let conditions = Axis::ALL.into_iter().filter(|axis| axis.is_condition());
            let key = conditions.map(|axis| point.get(axis)).collect();
            groups.entry(key).or_default().push((point, estimate, is_starved));
        }
        groups.into_values().filter_map(|cells| self.group(metric, cells)).collect()
    }

    fn group<'v>(&self, metric: Metric, mut cells: Vec<Standing<'v>>) -> Option<Group<'v>> {
        cells.sort_by(|(_, one, _), (_, other, _)| one.value.total_cmp(&other.value));
        if metric.better() == Better::Lower {
            cells.reverse();
        }
        // From the worst to the best now.
        let apart = |one: &Estimate, other: &Estimate| match (one.interval, other.interval) {
            (Some(one), Some(other)) => !one.meets(&other),
            _ => false,
        };
        let worst =
            cells.first().filter(|(_, worst, _)| cells[1..].iter().all(|(_, other, _)| apart(worst, other)));
        let fed: Vec<_> = cells.iter().filter(|(.., is_starved)| !is_starved).collect();
        let best = fed
            .split_last()
            .filter(|((_, best, _), others)| others.iter().all(|(_, other, _)| apart(best, other)));
        let best = best.map(|((point, ..), _)| *point).filter(|_| cells.len() > 1);
        let worst = worst.map(|(point, ..)| *point).filter(|worst| cells.len() > 1 && best != Some(*worst));
        if best.is_none() && worst.is_none() {
            return None;
        }
        let (first, ..) = cells.first()?;
        let varying: Vec<Axis> = self.varying.iter().copied().filter(|axis| axis.is_condition()).collect();
        Some(Group { name: named(first, &varying), best, worst })
    }
}

/// A cell, what it came to by a metric, and whether a process got nothing in it.
type Standing<'v> = (&'v Point, &'v Estimate, bool);

/// Cells that may be held against each other, and which of them stand out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group<'v> {
    /// Under which conditions they were measured, as far as those vary: `8 processes`.
    pub name: String,
    /// The point with the best value; none where nothing was measured.
    pub best: Option<&'v Point>,
    /// The point with the worst value; none where nothing was measured.
    pub worst: Option<&'v Point>,
}

/// A point's values on some axes: `fs2, poll 10ms, 8 processes`.
#[must_use]
pub fn named(point: &Point, axes: &[Axis]) -> String {
    let words: Vec<String> = axes.iter().filter_map(|axis| Some(told(*axis, point.get(*axis)?))).collect();
    words.join(", ")
}

/// A value as it stands in a list: a word for itself, a number with its axis.
#[must_use]
pub fn told(axis: Axis, value: &Value) -> String {
    match (axis, value) {
        (Axis::Reads, Value::Number(number)) => format!("{number} reads a write"),
        (Axis::Payload, Value::Number(number)) => size(*number),
        (_, Value::Number(1)) => format!("1 {}", singular(axis)),
        (_, Value::Number(number)) => format!("{number} {axis}"),
        (
            Axis::Lock | Axis::Subject | Axis::Wait | Axis::Root | Axis::Load | Axis::Skew,
            Value::Word(word),
        ) => word.clone(),
        (_, Value::Word(word)) => format!("{axis} {word}"),
    }
}

fn singular(axis: Axis) -> &'static str {
    match axis {
        Axis::Processes => "process",
        Axis::Containers => "container",
        _ => axis.as_str(),
    }
}

/// A size, as exact as it is.
#[must_use]
pub fn size(bytes: u64) -> String {
    match bytes {
        1.. if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        1.. if bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} B"),
    }
}

/// The axes that tell points apart, and those that do not: points have one value on them, or some have none and the
/// other axes tell them apart all the same.
#[must_use]
pub fn axes_of<'p>(points: impl Iterator<Item = &'p Point>) -> (Vec<Axis>, Vec<Constant>) {
    let points: Vec<&Point> = points.collect();
    let (mut varying, mut constant, mut partial) = (Vec::new(), Vec::new(), Vec::new());
    for axis in Axis::ALL {
        let values = values_on(axis, points.iter().copied());
        let is_everywhere = points.iter().all(|point| point.get(axis).is_some());
        match values.as_slice() {
            [] => {}
            [value] if is_everywhere => {
                constant.push(Constant { axis, value: value.clone(), extent: Extent::Everywhere });
            }
            [value] => {
                varying.push(axis);
                partial.push(Constant { axis, value: value.clone(), extent: Extent::WhereItApplies });
            }
            _ => varying.push(axis),
        }
    }
    let told_apart = |axes: &[Axis]| {
        let keys = points.iter().map(|point| axes.iter().map(|axis| point.get(*axis)).collect::<Vec<_>>());
        keys.collect::<HashSet<_>>().len()
    };
    let all = told_apart(&varying);
    for candidate in partial {
        let rest: Vec<Axis> = varying.iter().copied().filter(|axis| *axis != candidate.axis).collect();
        if told_apart(&rest) == all {
            varying = rest;
            constant.push(candidate);
        }
    }
    constant.sort_by_key(|constant| constant.axis);
    (varying, constant)
}

/// The values that points have on an axis, in order.
#[must_use]
pub fn values_on<'p>(axis: Axis, points: impl Iterator<Item = &'p Point>) -> Vec<Value> {
    let mut values: Vec<Value> = points.filter_map(|point| point.get(axis).cloned()).collect();
    values.sort_unstable();
    values.dedup();
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(word: &str) -> Value {
        Value::Word(word.into())
    }

    #[test]
    fn an_axis_that_tells_nothing_apart_is_no_column() {
        let fs2 = Point::default().with(Axis::Lock, word("fs2")).with(Axis::Wait, word("block"));
        let none = Point::default().with(Axis::Lock, word("none"));
        let (varying, constant) = axes_of([&fs2, &none].into_iter());
        assert_eq!(varying, [Axis::Lock]);
        assert_eq!(constant[0].to_string(), "wait block (where it applies)");
        // Here it is all that tells them apart.
        let bare = Point::default().with(Axis::Lock, word("fs2"));
        assert_eq!(axes_of([&fs2, &bare].into_iter()).0, [Axis::Wait]);
    }

    #[test]
    fn sizes_are_exact() {
        assert_eq!(
            (size(1024), size(1 << 20), size(1500), size(0)),
            ("1 KiB".into(), "1 MiB".into(), "1500 B".into(), "0 B".into())
        );
    }
}
