//! Choosing along a schedule: strictly, or as far as it goes.

use super::follow::{Divergence, Following};
use super::machine::{Chooser, Pick, Point};
use super::schedule::{Line, Schedule};
use super::step::Event;

/// Chooses as a schedule says.
#[derive(Debug)]
pub(super) struct Along<'s> {
    lines: &'s [Line],
    at: usize,
    how: Following,
    /// Where the schedule was first left.
    pub divergence: Option<Divergence>,
}

impl<'s> Along<'s> {
    pub fn new(schedule: &'s Schedule, how: Following) -> Self {
        Self { lines: &schedule.lines, at: 0, how, divergence: None }
    }

    /// What is said once the execution is over: a schedule must be used up.
    pub fn close(self) -> Option<Divergence> {
        let left = self.lines.get(self.at).filter(|_| self.divergence.is_none());
        let left = left.map(|line| Divergence {
            line: self.at,
            expected: line.to_string(),
            found: "nobody who could take a step".into(),
        });
        self.divergence.or(left)
    }

    fn diverge(&mut self, expected: String, point: &Point<'_>) {
        let pending = point.pending.iter().enumerate().filter_map(|(process, step)| {
            let wait = if point.enabled.has(process) { "" } else { " (waits)" };
            Some(format!("p{} {}{wait}", process + 1, step.as_ref()?.label))
        });
        let found = pending.collect::<Vec<_>>().join(", ");
        self.divergence.get_or_insert(Divergence { line: self.at, expected, found });
    }

    fn fits(line: &Line, point: &Point<'_>) -> bool {
        let step = point.pending.get(line.process).and_then(Option::as_ref);
        point.enabled.has(line.process) && step.is_some_and(|step| *step.label == line.label)
    }
}

impl Chooser for Along<'_> {
    fn choose(&mut self, point: &Point<'_>) -> Pick {
        while let Some(line) = self.lines.get(self.at) {
            if Self::fits(line, point) {
                return Pick::Step(line.process);
            }
            self.diverge(line.to_string(), point);
            if self.how == Following::Strict {
                return Pick::Abandon;
            }
            self.at += 1;
        }
        self.diverge("the end".into(), point);
        if self.how == Following::Strict {
            return Pick::Abandon;
        }
        let goes_on = point.last.filter(|&last| point.enabled.has(last));
        goes_on.or_else(|| point.enabled.iter().next()).map_or(Pick::Abandon, Pick::Step)
    }

    fn happened(&mut self, _event: &Event) {
        self.at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::step::{Footprint, Gate, Mask, Step};
    use super::*;

    fn pending(labels: &[&str]) -> Vec<Option<Step>> {
        let step = |label: &&str| {
            (!label.is_empty()).then(|| Step {
                footprint: Footprint::default(),
                gate: Gate::Open,
                lock: None,
                label: (*label).into(),
            })
        };
        labels.iter().map(step).collect()
    }

    fn schedule(lines: &[&str]) -> Schedule {
        Schedule { lines: lines.iter().map(|line| line.parse().expect("a line")).collect() }
    }

    #[test]
    fn strictly_the_first_misfit_ends_it_and_loosely_it_is_skipped() {
        let schedule = schedule(&["p2 open x", "p1 read x"]);
        let pending = pending(&["read x", "open y"]);
        let point = Point { depth: 0, enabled: Mask(0b11), pending: &pending, last: None };
        let mut strict = Along::new(&schedule, Following::Strict);
        assert_eq!(strict.choose(&point), Pick::Abandon);
        let divergence = strict.close().expect("it diverged");
        assert_eq!((divergence.line, divergence.expected.as_str()), (0, "p2 open x"));
        assert_eq!(divergence.found, "p1 read x, p2 open y");
        let mut loose = Along::new(&schedule, Following::Loose);
        assert_eq!(loose.choose(&point), Pick::Step(0));
        assert_eq!(loose.close().map(|divergence| divergence.line), Some(0));
    }

    #[test]
    fn a_schedule_that_is_not_used_up_has_diverged() {
        let schedule = schedule(&["p1 read x"]);
        assert!(Along::new(&schedule, Following::Strict).close().is_some());
    }
}
