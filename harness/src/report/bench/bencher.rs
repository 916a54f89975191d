//! Bencher Metric Format: what the continuous benchmarking service Bencher reads with its adapter `json`.
//!
//! An object from the name of a benchmark to measures, each with a value and, where there is an interval of confidence,
//! its ends. `throughput` (operations a second) and `latency` (nanoseconds) are measures that every project there has;
//! `latency` is the median of the whole operation.

use serde_json::{Map, Value, json};

use crate::measure::statistics::Estimate;
use crate::measure::view::View;
use crate::measure::{Metric, Percentile, Stretch};

const MEASURES: [(&str, Metric); 6] = [
    ("throughput", Metric::Throughput),
    ("latency", Metric::Latency(Stretch::Whole, Percentile::P50)),
    ("latency-p99", Metric::Latency(Stretch::Whole, Percentile::P99)),
    ("wait-p50", Metric::Latency(Stretch::Wait, Percentile::P50)),
    ("wait-p99", Metric::Latency(Stretch::Wait, Percentile::P99)),
    ("fairness", Metric::Jain),
];

pub fn show(view: &View<'_>) -> String {
    let mut benchmarks = Map::new();
    for (row, statistics) in view.valid() {
        let measures = MEASURES
            .iter()
            .filter_map(|(name, metric)| Some(((*name).to_owned(), measure(statistics.get(*metric)?))));
        let name = format!("{}/{}", view.record.scenario, row.cell.point);
        benchmarks.insert(name, Value::Object(measures.collect()));
    }
    let mut text = serde_json::to_string_pretty(&benchmarks).expect("strings and numbers");
    text.push('\n');
    text
}

fn measure(estimate: &Estimate) -> Value {
    match estimate.interval {
        Some(interval) => json!({
            "value": estimate.value,
            "lower_value": interval.lower,
            "upper_value": interval.upper,
        }),
        None => json!({ "value": estimate.value }),
    }
}
