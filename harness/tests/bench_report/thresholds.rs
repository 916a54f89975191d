//! Thresholds against records with known statistics.

use flockwork_harness::measure::BenchRecord;
use flockwork_harness::measure::threshold::{Assessment, Outcome, Threshold, judge, overall};

use crate::generator::{Kind, record};

fn verdicts(record: &BenchRecord, left: &str, right: &str) -> Vec<Assessment> {
    judge(record, &[Threshold::parse(left, right).unwrap_or_else(|error| panic!("{error}"))])
}

fn outcome(record: &BenchRecord, left: &str, right: &str) -> Outcome {
    overall(&verdicts(record, left, right))
}

#[test]
fn a_fixed_bound_is_judged_by_the_whole_interval() {
    let quiet = record(1, &[("fs2", Kind::default())]);
    // 10,000 a second within 1 %.
    assert_eq!(outcome(&quiet, "throughput", "> 9_000/s"), Outcome::Met);
    assert_eq!(outcome(&quiet, "throughput", "> 11_000/s"), Outcome::Exceeded);
    assert_eq!(outcome(&quiet, "throughput", "> 10_000/s"), Outcome::Inconclusive);
    assert_eq!(outcome(&quiet, "wait.p50", "< 1ms"), Outcome::Met);
    assert_eq!(outcome(&quiet, "wait.p50", "< 1us"), Outcome::Exceeded);
    assert_eq!(outcome(&quiet, "fairness.jain", "> 0.9"), Outcome::Met);
    assert_eq!(outcome(&quiet, "fairness.starved", "<= 0"), Outcome::Met);
    let alone = record(1, &[("fs2", Kind { rounds: 1, ..Kind::default() })]);
    assert_eq!(outcome(&alone, "throughput", "> 1/s"), Outcome::Inconclusive);
}

#[test]
fn a_relative_bound_compares_cells_that_differ_in_nothing_else() {
    let half = Kind { rate: 5_000.0, ..Kind::default() };
    let large = Kind { processes: 8, rate: 1_000.0, ..Kind::default() };
    let record = record(1, &[("std", Kind::default()), ("fs2", half), ("std", large), ("fs2", large)]);
    let found = verdicts(&record, "throughput", "> 0.9 * lock:std");
    let told: Vec<_> = found.iter().map(|verdict| (verdict.point.to_string(), verdict.outcome)).collect();
    assert_eq!(
        told,
        [
            ("lock=fs2 wait=block processes=2".to_owned(), Outcome::Exceeded),
            ("lock=fs2 wait=block processes=8".to_owned(), Outcome::Met),
        ],
        "the reference is not held against itself"
    );
    assert!((found[0].judged.unwrap().value - 0.5).abs() < 0.02);
    let missing = verdicts(&record, "throughput", "> 0.9 * lock:ofd");
    assert_eq!(overall(&missing), Outcome::Inconclusive);
    assert!(missing[0].why.contains("no such cell"), "{}", missing[0].why);
}

#[test]
fn an_invalid_cell_decides_nothing() {
    let mut record = record(1, &[("fs2", Kind::default())]);
    record.cells[0].invalid = Some("a process was killed".into());
    let found = verdicts(&record, "throughput", "> 1_000_000/s");
    assert_eq!(found[0].outcome, Outcome::Inconclusive);
    assert!(found[0].why.contains("a process was killed"));
}
