//! A metric against an axis of numbers: how throughput, latency and fairness change with the processes.

use super::facets::{Facet, facets};
use super::plot::{Line, Mark, Plot, Spot};
use super::scale::{Scale, Spread, count, duration, per_second, plain, size};
use super::{Chart, Kind, file_name};
use crate::measure::view::{Constant, View, values_on};
use crate::measure::{Axis, Metric, Percentile, Stretch, Unit, Value};
use crate::report::bench::columns::tendency;

/// Axes of numbers, the most telling first.
const ALONG: [Axis; 4] = [Axis::Processes, Axis::Containers, Axis::Reads, Axis::Payload];
const METRICS: [Metric; 4] = [
    Metric::Throughput,
    Metric::Latency(Stretch::Wait, Percentile::P99),
    Metric::Latency(Stretch::Whole, Percentile::P99),
    Metric::Jain,
];

/// The greatest that Jain's index can be, whatever an interval of confidence says.
const FAIR: f64 = 1.0;

/// The axes of numbers that vary, and so can be drawn along.
pub fn axes(view: &View<'_>) -> Vec<Axis> {
    let is_along = |axis: &Axis| {
        let values = values_on(*axis, view.rows.iter().map(|row| &row.cell.point));
        values.len() > 1 && values.iter().all(|value| matches!(value, Value::Number(1..)))
    };
    ALONG.into_iter().filter(is_along).collect()
}

pub fn all(view: &View<'_>) -> Vec<Chart> {
    let mut charts = Vec::new();
    for axis in axes(view) {
        let facets = facets(view, Some(axis));
        for metric in METRICS {
            charts.extend(facets.iter().filter_map(|facet| chart(view, axis, metric, facet)));
        }
    }
    charts
}

fn chart(view: &View<'_>, axis: Axis, metric: Metric, facet: &Facet<'_, '_>) -> Option<Chart> {
    let lines: Vec<Line> = facet
        .lines
        .iter()
        .map(|group| {
            let mut points: Vec<Spot> = group
                .rows
                .iter()
                .filter_map(|(row, statistics)| {
                    let Some(Value::Number(x)) = row.cell.point.get(axis) else { return None };
                    let estimate = statistics.get(metric)?;
                    let upper =
                        |upper: f64| if metric.unit() == Unit::Plain { upper.min(FAIR) } else { upper };
                    let interval = estimate.interval.map(|interval| (interval.lower, upper(interval.upper)));
                    Some(Spot { x: *x as f64, y: estimate.value, interval, mark: Mark::Marked })
                })
                .collect();
            points.sort_by(|one, other| one.x.total_cmp(&other.x));
            Line { name: group.name.clone(), points }
        })
        .filter(|line| !line.points.is_empty())
        .collect();
    if lines.is_empty() {
        return None;
    }
    let words = words(metric);
    let of = if facet.name.is_empty() { String::new() } else { format!(": {}", facet.name) };
    let title = format!("{words} against {axis}{of}");
    let plot = Plot {
        note: note(view),
        x: along(axis, &lines),
        y: upright(metric, &lines),
        title: title.clone(),
        lines,
    };
    let name = file_name(&[&metric.to_string(), "by", axis.as_str(), &facet.name]);
    Some(Chart { name, title, kind: Kind::Metric, svg: plot.svg(), narrow: Some(plot.narrow_svg()) })
}

/// What does not vary, and what the bars at the points are.
pub fn note(view: &View<'_>) -> String {
    let constants = constants(view);
    let between = if constants.is_empty() { "" } else { " · " };
    format!("bars: 95 % confidence{between}{constants}")
}

/// What does not vary, in few words.
pub fn constants(view: &View<'_>) -> String {
    let words: Vec<String> = view.constant.iter().map(Constant::words).collect();
    words.join(", ")
}

/// A metric as a title has it.
pub fn words(metric: Metric) -> &'static str {
    match metric {
        Metric::Throughput => "Throughput",
        Metric::Latency(Stretch::Wait, _) => "Wait for the lock, 99th percentile,",
        Metric::Latency(..) => "Whole operation, 99th percentile,",
        _ => "Fairness",
    }
}

fn along(axis: Axis, lines: &[Line]) -> Scale {
    let mut values: Vec<f64> = lines.iter().flat_map(|line| &line.points).map(|spot| spot.x).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let (label, show): (_, fn(f64) -> String) = match axis {
        Axis::Reads => ("reads for each write", count),
        Axis::Payload => ("size of the metadata", size),
        axis => (axis.as_str(), count),
    };
    Scale::at(label.into(), &values, show)
}

fn upright(metric: Metric, lines: &[Line]) -> Scale {
    let spots = || lines.iter().flat_map(|line| &line.points);
    // An interval that reaches far down would press all lines together: it may be cut.
    let ends = |spot: &Spot| {
        let (low, high) = spot.interval.unwrap_or((spot.y, spot.y));
        [low.max(spot.y / 3.0), high.min(spot.y * 3.0)]
    };
    let values = || spots().flat_map(ends);
    scale(metric, values)
}

/// The scale of a metric: times by their logarithms, rates too where they differ by more than ten times.
pub fn scale<I: Iterator<Item = f64>>(metric: Metric, values: impl Fn() -> I) -> Scale {
    let tendency = tendency(metric);
    match metric.unit() {
        Unit::PerSecond => {
            let (low, high) = values()
                .fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
            let spread = if high > 10.0 * low && low > 0.0 { Spread::Logarithmic } else { Spread::Even };
            Scale::fit(format!("acquisitions a second ({tendency})"), spread, values(), per_second)
        }
        Unit::Nanoseconds => {
            Scale::fit(format!("time ({tendency})"), Spread::Logarithmic, values(), duration)
        }
        Unit::Plain => {
            let label = format!("Jain's index: 1 is fair, 1/n is one process alone ({tendency})");
            Scale::fit(label, Spread::Even, values().map(|value| value.min(FAIR)).chain([FAIR]), plain)
        }
    }
}
