//! Two records side by side.

use flockwork_harness::measure::compare::{DEFAULT, Direction, compare, differences};
use flockwork_harness::measure::threshold::Outcome;
use flockwork_harness::measure::{BenchRecord, Metric};

use crate::generator::{Kind, record};

fn outcome(base: Kind, new: Kind) -> Outcome {
    let (base, new) = (record(1, &[("fs2", base)]), record(2, &[("fs2", new)]));
    compare(&base, &new, &DEFAULT, Some(0.1)).outcome()
}

fn slower(kind: Kind, factor: f64) -> Kind {
    Kind { rate: kind.rate / factor, wait_ns: (kind.wait_ns as f64 * factor) as u64, ..kind }
}

#[test]
fn a_fifth_slower_fails_and_the_same_does_not() {
    let kind = Kind::default();
    assert_eq!(outcome(kind, slower(kind, 1.2)), Outcome::Exceeded);
    assert_eq!(outcome(kind, kind), Outcome::Met);
    assert_eq!(outcome(kind, slower(kind, 0.8)), Outcome::Met, "faster is not worse");
}

#[test]
fn noise_is_inconclusive_and_never_a_failure() {
    let noisy = Kind { noise: 0.4, rounds: 4, ..Kind::default() };
    assert_eq!(outcome(noisy, slower(noisy, 1.1)), Outcome::Inconclusive);
    // Without a spread nothing is certain, however large the difference.
    let alone = Kind { rounds: 1, ..Kind::default() };
    assert_eq!(outcome(alone, slower(alone, 3.0)), Outcome::Inconclusive);
}

#[test]
fn the_ratio_is_the_one_that_was_put_in() {
    let kind = Kind { rounds: 8, ..Kind::default() };
    let (base, new) = (record(1, &[("fs2", kind)]), record(2, &[("fs2", slower(kind, 1.2))]));
    let comparison = compare(&base, &new, &[Metric::Throughput], None);
    let change = &comparison.cells[0].changes[0];
    let ratio = change.ratio.unwrap();
    let interval = ratio.interval.unwrap();
    assert!((ratio.ratio * 1.2 - 1.0).abs() < 0.01, "{ratio:?}");
    assert!(interval.lower < 1.0 / 1.2 && 1.0 / 1.2 < interval.upper, "{interval:?}");
    assert_eq!((change.direction, change.outcome), (Direction::Worse, None));
    assert_eq!(comparison.outcome(), Outcome::Met, "without a threshold nothing is judged");
}

#[test]
fn cells_of_one_record_only_and_invalid_ones_are_told() {
    let kind = Kind::default();
    let base = record(1, &[("fs2", kind), ("std", kind)]);
    let mut new = record(1, &[("std", slower(kind, 3.0)), ("ofd", kind)]);
    new.cells[0].invalid = Some("a process was killed".into());
    let comparison = compare(&base, &new, &DEFAULT, Some(0.1));
    assert_eq!(comparison.only_in_base[0].to_string(), "lock=fs2 wait=block processes=2");
    assert_eq!(comparison.only_in_new[0].to_string(), "lock=ofd wait=block processes=2");
    assert_eq!(comparison.cells.len(), 1);
    let invalid = comparison.cells[0].invalid.as_deref();
    assert_eq!(invalid, Some("invalid in the new record: a process was killed"));
    assert_eq!(comparison.outcome(), Outcome::Inconclusive, "and not exceeded");
}

#[test]
fn what_differs_between_machines_is_named() {
    let base = record(1, &[]);
    let with = |change: fn(&mut BenchRecord)| {
        let mut new = base.clone();
        change(&mut new);
        differences(&base, &new)
    };
    assert!(with(|_| {}).is_empty());
    assert!(with(|new| new.machine.memory_bytes += 4096).is_empty(), "that hardly matters");
    assert_eq!(with(|new| new.machine.processors = 64), ["processors: 2 and 64"]);
    assert_eq!(with(|new| new.machine.kernel = "Linux 7".into()), ["kernel: Linux 6.1 and Linux 7"]);
    let model = with(|new| new.machine.processor_model = None);
    assert_eq!(model, ["processor model: Imaginary and unknown"]);
}
