//! What a strategy that samples promises of failures that it did not meet, for people and for programs.

use serde::{Deserialize, Serialize};

use crate::engine::explore::Promised;
use crate::explore::strategy::promise::Promise;
use crate::words::grouped;
use crate::words::plural;

/// With which probability a failure that is there was found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuaranteeReport {
    /// How many ordering constraints the failure may take.
    pub depth: u32,
    /// How many processes there are.
    pub processes: usize,
    /// The most steps of a schedule that was run: what is promised holds as far as none takes more.
    pub steps: usize,
    /// At least this in each schedule.
    pub per_schedule: f64,
    /// How many schedules it was promised for.
    pub schedules: u64,
    /// At least this in all of these together.
    pub overall: f64,
    /// How many sets of faults were tried. All that is told here is the weakest of what holds for each of them, and for
    /// the schedules without any.
    pub fault_sets: u64,
    /// How many were known and not tried: nothing is promised of them.
    pub fault_sets_left: u64,
}

impl From<Promised> for GuaranteeReport {
    fn from(promised: Promised) -> Self {
        let Promise { guarantee, executions } = promised.least;
        Self {
            depth: guarantee.depth,
            processes: guarantee.processes,
            steps: guarantee.steps,
            per_schedule: guarantee.probability(),
            schedules: executions,
            overall: promised.least.probability(),
            fault_sets: promised.fault_sets,
            fault_sets_left: promised.fault_sets_left,
        }
    }
}

impl GuaranteeReport {
    /// What is promised of two parts of one exploration: the lesser.
    #[must_use]
    pub fn of_parts(self, other: Self) -> Self {
        let least = if self.overall <= other.overall { self } else { other };
        Self {
            steps: self.steps.max(other.steps),
            per_schedule: self.per_schedule.min(other.per_schedule),
            fault_sets: self.fault_sets + other.fault_sets,
            fault_sets_left: self.fault_sets_left + other.fault_sets_left,
            ..least
        }
    }

    /// What is promised of two explorations with seeds of their own: that one of them finds it.
    #[must_use]
    pub fn of_seeds(self, other: Self) -> Self {
        Self {
            steps: self.steps.max(other.steps),
            per_schedule: self.per_schedule.min(other.per_schedule),
            schedules: self.schedules + other.schedules,
            overall: 1.0 - (1.0 - self.overall) * (1.0 - other.overall),
            fault_sets: self.fault_sets.max(other.fault_sets),
            fault_sets_left: self.fault_sets_left.max(other.fault_sets_left),
            ..self
        }
    }
}

impl std::fmt::Display for GuaranteeReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let one_in = match one_in(self) {
            Some(count) => grouped(count),
            None => format!("{:.0e}", 1.0 / self.per_schedule),
        };
        write!(
            f,
            "a failure of depth {}, if there is one, shows in each schedule with a probability of at least 1 in {one_in} \
             ({}, at most {}), and in {} together with at least {}",
            self.depth,
            plural(self.processes as u64, "process"),
            plural(self.steps as u64, "step"),
            plural(self.schedules, "schedule"),
            percent(self.overall),
        )?;
        if self.fault_sets > 0 {
            let sets = plural(self.fault_sets, "set");
            write!(f, ", without faults and with each of {sets} of them")?;
        }
        if self.fault_sets_left > 0 {
            let sets = plural(self.fault_sets_left, "set");
            write!(f, "; {sets} of faults were not tried, so this says nothing about them")?;
        }
        Ok(())
    }
}

/// One over the probability in each schedule, where it can be read.
fn one_in(guarantee: &GuaranteeReport) -> Option<u64> {
    let orders = (guarantee.steps.max(1) as u64).checked_pow(guarantee.depth - 1)?;
    orders.checked_mul(guarantee.processes.max(1) as u64).filter(|count| *count < 1_000_000_000)
}

/// A probability of which nobody may think that it is higher than it is: cut off, not rounded.
fn percent(probability: f64) -> String {
    match probability * 100.0 {
        percent if percent <= 0.0 => "0 %".into(),
        percent if percent < 0.01 => format!("{percent:.1e} %"),
        percent => format!("{:.2} %", (percent * 100.0).floor() / 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::strategy::promise::Guarantee;

    fn told(executions: u64, fault_sets: u64, fault_sets_left: u64) -> String {
        let guarantee = Guarantee { processes: 2, steps: 42, depth: 3 };
        let least = Promise { guarantee, executions };
        GuaranteeReport::from(Promised { least, fault_sets, fault_sets_left }).to_string()
    }

    #[test]
    fn the_probability_is_told_for_one_schedule_and_for_all() {
        assert_eq!(
            told(1_000, 0, 0),
            "a failure of depth 3, if there is one, shows in each schedule with a probability of at least 1 in 3,528 \
             (2 processes, at most 42 steps), and in 1,000 schedules together with at least 24.68 %"
        );
    }

    #[test]
    fn nothing_is_promised_of_what_was_not_tried() {
        assert!(told(0, 0, 0).ends_with("in 0 schedules together with at least 0 %"));
        assert!(told(10, 7, 0).ends_with(" 0.28 %, without faults and with each of 7 sets of them"));
        assert!(
            told(10, 7, 1).ends_with("; 1 set of faults were not tried, so this says nothing about them")
        );
    }

    #[test]
    fn near_certainty_is_not_certainty() {
        assert!(told(100_000, 0, 0).ends_with("at least 99.99 %"));
    }
}
