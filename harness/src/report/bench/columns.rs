//! The columns of the tables for people, and what stands in them.

use std::collections::HashMap;

use crate::measure::statistics::CellStatistics;
use crate::measure::view::{Row, View, size};
use crate::measure::{Axis, Better, Metric, Percentile, Point, Stretch, Value};
use crate::report::table::rate;
use crate::words::grouped;
use crate::words::units::show_ns;

/// The metrics whose best and worst cells are marked.
pub const MARKED: [Metric; 3] =
    [Metric::Throughput, Metric::Latency(Stretch::Wait, Percentile::P99), Metric::Jain];

/// What stands in a column; `None` where there is no value.
type Show = fn(&CellStatistics) -> Option<String>;

/// What comes after the axes.
const MEASURES: [(&str, Show); 12] = [
    ("throughput", |cell| Some(rate(cell.value(Metric::Throughput)?))),
    ("±", |cell| {
        let throughput = cell.get(Metric::Throughput)?;
        let half = throughput.interval?.half_width(throughput.value);
        // More than the value itself says only that nothing is known.
        Some(if half >= 1.0 { ">100%".into() } else { percent(half) })
    }),
    ("wait p50", |cell| latency(cell, Stretch::Wait, Percentile::P50)),
    ("p99", |cell| latency(cell, Stretch::Wait, Percentile::P99)),
    ("p99.9", |cell| latency(cell, Stretch::Wait, Percentile::P999)),
    ("max", |cell| latency(cell, Stretch::Wait, Percentile::Max)),
    ("hold p50", |cell| latency(cell, Stretch::Hold, Percentile::P50)),
    ("whole p99", |cell| latency(cell, Stretch::Whole, Percentile::P99)),
    ("Jain", |cell| plain(cell, Metric::Jain)),
    ("handoff", |cell| plain(cell, Metric::Handoff)),
    ("CPU", |cell| plain(cell, Metric::CpuUse)),
    ("switches", |cell| plain(cell, Metric::Switches)),
];

/// The heading: the axes that vary, and the measures.
pub fn header(view: &View<'_>) -> Vec<String> {
    let axes = view.varying.iter().map(|axis| axis.as_str().to_owned());
    axes.chain(MEASURES.iter().map(|(name, _)| (*name).to_owned())).collect()
}

/// Which columns hold numbers: all but axes of words.
pub fn is_number(view: &View<'_>, column: usize) -> bool {
    view.varying.get(column).is_none_or(|axis| {
        let on_axis = |row: &Row<'_>| row.cell.point.get(*axis).cloned();
        view.rows.iter().filter_map(on_axis).all(|value| matches!(value, Value::Number(_)))
    })
}

/// The cells of a table for one row of the view, a text a column.
pub fn row(view: &View<'_>, row: &Row<'_>) -> Vec<String> {
    let axes = view.varying.iter().map(|axis| axis_value(row, *axis));
    let measures = MEASURES.iter().map(|(_, show)| {
        let shown = row.statistics.as_ref().and_then(show);
        shown.unwrap_or_else(|| "-".into())
    });
    axes.chain(measures).collect()
}

fn axis_value(row: &Row<'_>, axis: Axis) -> String {
    match row.cell.point.get(axis) {
        Some(Value::Number(bytes)) if axis == Axis::Payload => size(*bytes),
        Some(Value::Number(number)) => grouped(*number),
        Some(Value::Word(word)) => word.clone(),
        None => "-".into(),
    }
}

/// What is said of each row: best and worst first, then what makes it doubtful.
pub fn remarks(view: &View<'_>) -> Vec<Vec<Remark>> {
    let mut marks: HashMap<&Point, Vec<Remark>> = HashMap::new();
    for metric in MARKED {
        for group in view.groups(metric) {
            let best = group.best.map(|point| (point, Remark::Best(metric)));
            let worst = group.worst.map(|point| (point, Remark::Worst(metric)));
            for (point, mark) in best.into_iter().chain(worst) {
                marks.entry(point).or_default().push(mark);
            }
        }
    }
    view.rows.iter().map(|row| of_row(row, marks.remove(&row.cell.point).unwrap_or_default())).collect()
}

fn of_row(row: &Row<'_>, mut remarks: Vec<Remark>) -> Vec<Remark> {
    if row.cell.invalid.is_some() {
        return vec![Remark::Invalid];
    }
    if let Some(statistics) = &row.statistics {
        let starved = statistics.value(Metric::Starved).unwrap_or(0.0);
        if starved > 0.0 {
            remarks.push(Remark::Starved(starved.round().abs().to_string()));
        }
        let refused = statistics.refused as f64 / statistics.acquisitions.max(1) as f64;
        if refused >= 0.001 {
            remarks.push(Remark::Refused(percent(refused)));
        }
        let noisy = statistics.noisy.len();
        if noisy > 0 {
            remarks.push(Remark::Noisy(format!("{noisy} of {}", statistics.rounds)));
        }
    }
    remarks
}

/// Something to be said of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Remark {
    /// It is better by this metric than any other cell of its group.
    Best(Metric),
    /// It is worse than any other.
    Worst(Metric),
    /// Processes that got nothing in some round.
    Starved(String),
    /// The part of operations that were refused: they count, and saved nothing.
    Refused(String),
    /// Rounds that were disturbed.
    Noisy(String),
    /// Nothing may be concluded from it.
    Invalid,
}

impl Remark {
    /// The remark as people read it, in a few words.
    pub fn words(&self) -> String {
        match self {
            Self::Best(metric) => format!("best {metric}"),
            Self::Worst(metric) => format!("worst {metric}"),
            Self::Starved(count) => format!("{count} got nothing"),
            Self::Refused(part) => format!("{part} refused"),
            Self::Noisy(count) => format!("noisy rounds: {count}"),
            Self::Invalid => "invalid".into(),
        }
    }
}

/// A value with its unit, as people read it.
pub fn shown(metric: Metric, value: f64) -> String {
    use crate::measure::Unit;
    match metric.unit() {
        Unit::PerSecond => rate(value),
        Unit::Nanoseconds => time(value),
        Unit::Plain => format!("{value:.2}"),
    }
}

/// A time in nanoseconds, as people read it.
#[expect(clippy::cast_sign_loss, reason = "times are not negative")]
pub fn time(ns: f64) -> String {
    show_ns(ns.round().max(0.0) as u64)
}

fn latency(cell: &CellStatistics, stretch: Stretch, percentile: Percentile) -> Option<String> {
    Some(time(cell.latency_ns(stretch, percentile)?))
}

fn plain(cell: &CellStatistics, metric: Metric) -> Option<String> {
    Some(format!("{:.2}", cell.value(metric)?))
}

/// A part as percent.
pub fn percent(part: f64) -> String {
    if part < 0.1 { format!("{:.1}%", part * 100.0) } else { format!("{:.0}%", part * 100.0) }
}

/// Which way a metric is better, as charts and legends say it.
pub fn tendency(metric: Metric) -> &'static str {
    match metric.better() {
        Better::Higher => "higher is better",
        Better::Lower => "lower is better",
    }
}
