//! What rounds come to, on values worked out by hand.

use flockwork_harness::measure::statistics::CellStatistics;
use flockwork_harness::measure::{Cell, Exclusion, Latency, Metric, Percentile, Round, Stretch};

use crate::generator::{Kind, point, record};

fn latency(durations_ns: &[u64]) -> Latency {
    let mut latency = Latency::new();
    for duration_ns in durations_ns {
        latency.record(*duration_ns);
    }
    latency
}

fn round(shares: &[u64], duration_ns: u64, waits_ns: &[u64]) -> Round {
    Round { duration_ns, shares: shares.to_vec(), wait: latency(waits_ns), ..Round::default() }
}

fn statistics(rounds: Vec<Round>) -> CellStatistics {
    CellStatistics::of(&Cell { point: point("fs2", 2), rounds, invalid: None, warnings: Vec::new() }).unwrap()
}

#[track_caller]
fn near(found: Option<f64>, expected: f64) {
    let found = found.unwrap();
    assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{found} is not {expected}");
}

#[test]
fn two_rounds_come_to_what_a_hand_works_out() {
    let one = Round {
        handoffs: 3,
        cpu_user_ns: 1_000,
        cpu_system_ns: 2_000,
        switches_voluntary: 5,
        switches_involuntary: 1,
        reads: 4,
        exclusion: Exclusion { watched: 10, overlaps: 1 },
        ..round(&[8, 2], 2_000, &[10, 20])
    };
    let other = Round { handoffs: 1, ..round(&[5, 0], 1_000, &[30]) };
    let cell = statistics(vec![one, other]);
    // 15 in 3 µs, though the rounds' own rates are 5 and 5 in a µs.
    near(cell.value(Metric::Throughput), 15.0 / 3e-6);
    assert_eq!((cell.throughput_rounds.min, cell.throughput_rounds.max), (5e6, 5e6));
    // (8+2)²/(2·68) and 5²/(2·25), and their mean.
    near(cell.value(Metric::Jain), f64::midpoint(100.0 / 136.0, 0.5));
    near(cell.value(Metric::SmallestShare), f64::midpoint(0.4, 0.0));
    near(cell.value(Metric::LargestShare), f64::midpoint(1.6, 2.0));
    near(cell.value(Metric::Starved), 1.0);
    // 4 of the 9 + 4 acquisitions that followed one.
    near(cell.value(Metric::Handoff), 4.0 / 13.0);
    near(cell.value(Metric::CpuUse), 1.0);
    near(cell.value(Metric::Switches), 6.0 / 15.0);
    assert_eq!((cell.acquisitions, cell.reads, cell.watched, cell.overlaps), (15, 4, 10, 1));
    assert_eq!(cell.get(Metric::Latency(Stretch::Hold, Percentile::P50)), None, "nothing was held");
}

#[test]
fn percentiles_are_those_of_all_rounds_together() {
    // 98 short waits in one round, 2 long ones in another: the mean of the rounds' medians would be far off.
    let cell = statistics(vec![round(&[98], 1_000, &[10; 98]), round(&[2], 1_000, &[1_000; 2])]);
    let wait = |percentile| cell.latency_ns(Stretch::Wait, percentile);
    near(wait(Percentile::P50), 10.0);
    near(wait(Percentile::P90), 10.0);
    let p99 = wait(Percentile::P99).unwrap();
    assert!((1_000.0..1_010.0).contains(&p99), "{p99}");
    assert!(wait(Percentile::Max).unwrap() >= 1_000.0);
}

#[test]
fn a_disturbed_round_counts_and_is_named() {
    let rounds = [100, 101, 99, 100, 50].map(|share| round(&[share], 1_000, &[1])).to_vec();
    let cell = statistics(rounds);
    near(cell.value(Metric::Throughput), 450.0 / 5e-6);
    assert_eq!(cell.noisy.len(), 1);
    assert_eq!(cell.noisy[0].round, 4);
    let warnings = cell.warnings();
    assert!(warnings[0].starts_with("round 5 of 5 was 50% below the median"), "{warnings:?}");
    // That the interval is wide follows from it, and is not said twice.
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let scattered = statistics([100, 140, 60, 120, 80].map(|share| round(&[share], 1_000, &[1])).to_vec());
    assert!(scattered.warnings()[0].contains("is known only to ±"), "{:?}", scattered.warnings());
}

#[test]
fn what_cannot_be_said_is_not_said() {
    let alone = statistics(vec![round(&[5], 1_000, &[1])]);
    assert!(alone.get(Metric::Throughput).unwrap().interval.is_none());
    assert!(alone.warnings()[0].contains("one round has no spread"), "{:?}", alone.warnings());
    let empty = Cell { point: point("fs2", 1), rounds: Vec::new(), invalid: None, warnings: Vec::new() };
    assert!(CellStatistics::of(&empty).is_none());
    // A round in which nobody got anything takes nothing from what the others measured.
    let idle =
        statistics(vec![round(&[4], 1_000, &[10; 4]), round(&[0], 1_000, &[]), round(&[4], 1_000, &[10; 4])]);
    near(idle.latency_ns(Stretch::Wait, Percentile::P99), 10.0);
    near(idle.value(Metric::Throughput), 8.0 / 3e-6);
    // Rounds in which nobody got anything.
    let none = statistics(vec![round(&[0, 0], 1_000, &[]), round(&[0, 0], 1_000, &[])]);
    near(none.value(Metric::Starved), 2.0);
    assert_eq!(none.value(Metric::Switches), None);
}

/// What a quiet machine should show: of two runs of the same, the intervals of a cell meet.
#[test]
fn intervals_of_the_same_meet() {
    let cells: Vec<(&str, Kind)> = (0..40).map(|_| ("fs2", Kind::default())).collect();
    let (one, other) = (record(1, &cells), record(2, &cells));
    let metrics = [Metric::Throughput, Metric::Latency(Stretch::Wait, Percentile::P99)];
    let apart = one.cells.iter().zip(&other.cells).filter(|(one, other)| {
        let (one, other) = (CellStatistics::of(one).unwrap(), CellStatistics::of(other).unwrap());
        metrics.iter().any(|metric| {
            let interval = |cell: &CellStatistics| cell.get(*metric).unwrap().interval.unwrap();
            !interval(&one).meets(&interval(&other))
        })
    });
    let apart = apart.count();
    assert!(apart <= 2, "{apart} of 40 cells");
}
