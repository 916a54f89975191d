//! A record as tables and charts see it: which axes tell its cells apart, and what each cell came to.

use rayon::prelude::*;

use super::statistics::{CellStatistics, is_bound};
use super::{Axis, BenchRecord, Better, Cell, Metric, Point, Value};

/// A record with the statistics of its cells.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// The record.
    pub record: &'a BenchRecord,
    /// The axes on which cells differ.
    pub varying: Vec<Axis>,
    /// The axes on which they do not, with the one value.
    pub constant: Vec<(Axis, Value)>,
    /// The cells, in the record's order.
    pub rows: Vec<Row<'a>>,
}

/// A cell with its statistics.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The cell.
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

    /// The axes that do not vary, in words: `wait block, work nothing`.
    #[must_use]
    pub fn constants(&self) -> String {
        let words: Vec<String> =
            self.constant.iter().map(|(axis, value)| format!("{axis} {value}")).collect();
        words.join(", ")
    }

    /// The rows that are valid and measured something.
    pub fn valid(&self) -> impl Iterator<Item = (&Row<'a>, &CellStatistics)> {
        self.rows.iter().filter_map(|row| {
            let is_valid = row.cell.invalid.is_none();
            row.statistics.as_ref().filter(|_| is_valid).map(|statistics| (row, statistics))
        })
    }

    /// The best and the worst cell by a metric, among valid ones that are no bound; `None` where they do not differ.
    #[must_use]
    pub fn extremes(&self, metric: Metric) -> Option<(&Point, &Point)> {
        let values = self
            .valid()
            .filter(|(row, _)| !is_bound(row.cell))
            .filter_map(|(row, statistics)| Some((statistics.value(metric)?, &row.cell.point)));
        let mut values: Vec<_> = values.collect();
        values.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let (low, high) = (values.first()?, values.last()?);
        let is_flat = low.0.total_cmp(&high.0).is_eq();
        match metric.better() {
            _ if is_flat => None,
            Better::Higher => Some((high.1, low.1)),
            Better::Lower => Some((low.1, high.1)),
        }
    }
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
        (Axis::Payload, Value::Number(number)) => format!("{number} B"),
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

/// The axes on which points differ, and those on which they do not.
#[must_use]
pub fn axes_of<'p>(points: impl Iterator<Item = &'p Point> + Clone) -> (Vec<Axis>, Vec<(Axis, Value)>) {
    let (mut varying, mut constant) = (Vec::new(), Vec::new());
    for axis in Axis::ALL {
        let mut values: Vec<Option<&Value>> = points.clone().map(|point| point.get(axis)).collect();
        values.sort_unstable();
        values.dedup();
        match values.as_slice() {
            [] | [None] => {}
            [Some(value)] => constant.push((axis, (*value).clone())),
            _ => varying.push(axis),
        }
    }
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
