//! A plain table of a benchmark: a row per cell, with the axes that vary.

use crate::measure::{Axis, BenchRecord, Cell, Latency, Round};
use crate::report::table::{rate, render};
use crate::scenario::units::show_ns;

/// The table.
pub fn of(record: &BenchRecord) -> String {
    let varying: Vec<Axis> = Axis::ALL.into_iter().filter(|axis| varies(record, *axis)).collect();
    let mut header: Vec<&str> = varying.iter().map(|axis| axis.as_str()).collect();
    let words = header.len();
    header.extend([
        "throughput",
        "wait p50",
        "wait p99",
        "wait max",
        "hold p50",
        "whole p99",
        "rounds",
        "remarks",
    ]);
    let rows: Vec<Vec<String>> = record
        .cells
        .iter()
        .map(|cell| {
            let axes =
                varying.iter().map(|axis| cell.point.get(*axis).map_or("-".into(), ToString::to_string));
            axes.chain(numbers(cell)).collect()
        })
        .collect();
    render(&header, &rows, words..words + 7)
}

fn varies(record: &BenchRecord, axis: Axis) -> bool {
    let mut values = record.cells.iter().map(|cell| cell.point.get(axis));
    let first = values.next();
    values.any(|value| Some(value) != first)
}

fn numbers(cell: &Cell) -> [String; 8] {
    let rounds = &cell.rounds;
    let merged = |of: fn(&Round) -> &Latency| {
        rounds.iter().fold(Latency::new(), |mut total, round| {
            total.merge(of(round));
            total
        })
    };
    let (wait, hold, whole) =
        (merged(|round| &round.wait), merged(|round| &round.hold), merged(|round| &round.whole));
    let total: u64 = rounds.iter().map(Round::acquisitions).sum();
    let lasted_s = rounds.iter().map(|round| round.duration_ns).sum::<u64>() as f64 / 1e9;
    let shown = |latency: &Latency, share| {
        if latency.count() == 0 { "-".into() } else { show_ns(latency.quantile_ns(share)) }
    };
    [
        if rounds.is_empty() { "-".into() } else { rate(total as f64 / lasted_s) },
        shown(&wait, 0.5),
        shown(&wait, 0.99),
        shown(&wait, 1.0),
        shown(&hold, 0.5),
        shown(&whole, 0.99),
        rounds.len().to_string(),
        match (&cell.invalid, cell.warnings.len()) {
            (Some(_), _) => "invalid".into(),
            (None, 0) => String::new(),
            (None, warnings) => format!("{warnings} noisy"),
        },
    ]
}
