//! Collects a check's violations: the earliest few are kept, all are counted.

use super::{Examination, VIOLATIONS_MAX};
use crate::evidence::Unobserved;
use crate::violation::Violation;

/// Violations by the time at which they show, and how much was examined.
#[derive(Debug, Default)]
pub(super) struct Collector {
    pub examined: u64,
    pub inconclusive: Option<String>,
    not_applicable: Option<String>,
    kept: Vec<(u64, Violation)>,
    total: u64,
}

impl Collector {
    pub fn of(examined: u64) -> Self {
        Self { examined, ..Self::default() }
    }

    /// Notes that part of what the check needs was not observed.
    pub fn lacks(&mut self, why: &Unobserved) {
        match why {
            Unobserved::Lacking(_) => _ = self.not_applicable.get_or_insert_with(|| why.to_string()),
            Unobserved::Missed(why) => _ = self.inconclusive.get_or_insert_with(|| why.clone()),
        }
    }

    /// Adds a violation that shows at `at_ns`. It is only put into words if it is among the earliest.
    pub fn add(&mut self, at_ns: u64, violation: impl FnOnce() -> Violation) {
        self.total += 1;
        let position = self.kept.partition_point(|(other_ns, _)| *other_ns <= at_ns);
        if position < VIOLATIONS_MAX {
            self.kept.truncate(VIOLATIONS_MAX - 1);
            self.kept.insert(position, (at_ns, violation()));
        }
    }

    /// Takes in what another collector has.
    pub fn merge(mut self, other: Self) -> Self {
        self.examined += other.examined;
        self.inconclusive = self.inconclusive.or(other.inconclusive);
        self.not_applicable = self.not_applicable.or(other.not_applicable);
        let kept = other.kept.len() as u64;
        for (at_ns, violation) in other.kept {
            self.add(at_ns, || violation);
        }
        self.total += other.total - kept;
        self
    }

    /// Whether no violation was added.
    pub fn is_clean(&self) -> bool {
        self.total == 0
    }

    pub fn finish(self) -> Examination {
        Examination {
            examined: self.examined,
            violations_total: self.total,
            violations: self.kept.into_iter().map(|(_, violation)| violation).collect(),
            inconclusive: self.inconclusive,
            not_applicable: self.not_applicable.filter(|_| self.examined == 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::violation::Class;

    fn violation(number: usize) -> Violation {
        Violation { class: Class::TornRead, container: None, message: String::new(), records: vec![number] }
    }

    #[test]
    fn the_earliest_are_kept_and_all_are_counted() {
        let (mut left, mut right) = (Collector::of(3), Collector::of(4));
        for at_ns in (0..100_usize).rev() {
            let half = if at_ns % 2 == 0 { &mut left } else { &mut right };
            half.add(at_ns as u64, || violation(at_ns));
        }
        let examination = left.merge(right).finish();
        assert_eq!(examination.examined, 7);
        assert_eq!(examination.violations_total, 100);
        let records: Vec<_> = examination.violations.iter().map(|kept| kept.records[0]).collect();
        assert_eq!(records, (0..VIOLATIONS_MAX).collect::<Vec<_>>());
    }
}
