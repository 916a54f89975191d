//! What a strategy that samples can promise of failures that it did not meet.
//!
//! Source: Burckhardt, Kothari, Musuvathi and Nagarakatte, *A randomized scheduler with probabilistic guarantees of
//! finding bugs* (ASPLOS 2010), theorem 9.

/// The probability with which one execution meets a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guarantee {
    /// How many processes there are.
    pub processes: usize,
    /// The most steps of an execution.
    pub steps: usize,
    /// How many ordering constraints the failure takes.
    pub depth: u32,
}

impl Guarantee {
    /// At least this: 1 / (processes · steps^(depth - 1)).
    #[must_use]
    pub fn probability(self) -> f64 {
        let changes = i32::try_from(self.depth - 1).unwrap_or(i32::MAX);
        1.0 / (self.processes.max(1) as f64 * (self.steps.max(1) as f64).powi(changes))
    }
}

/// A guarantee, and how many executions it was given for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    /// What holds for each of them.
    pub guarantee: Guarantee,
    /// How many: those that chose among at least as many steps as any execution is known to take.
    pub executions: u64,
}

impl Promise {
    /// The probability with which at least one of the executions meets the failure is no less than this: they are
    /// independent, so it is 1 - (1 - p)^executions.
    #[must_use]
    pub fn probability(self) -> f64 {
        let each = self.guarantee.probability();
        if each >= 1.0 {
            return if self.executions > 0 { 1.0 } else { 0.0 };
        }
        -(self.executions as f64 * (-each).ln_1p()).exp_m1()
    }

    /// The weaker of two.
    #[must_use]
    pub fn least(self, other: Self) -> Self {
        if other.probability() < self.probability() { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promise(processes: usize, steps: usize, depth: u32, executions: u64) -> Promise {
        Promise { guarantee: Guarantee { processes, steps, depth }, executions }
    }

    #[test]
    fn what_holds_for_each_adds_up_over_independent_executions() {
        assert!((promise(2, 5, 2, 1).probability() - 0.1).abs() < 1e-12);
        assert!((promise(2, 5, 2, 2).probability() - 0.19).abs() < 1e-12);
        assert!(promise(1, 1, 1, 1).probability() >= 1.0);
        assert!(promise(2, 5, 2, 0).probability() <= 0.0);
        assert!(promise(1, 1, 3, 0).probability() <= 0.0);
        // So rare that 1 - p is no different from 1 in an f64: the sum is what it must be all the same.
        let rare = promise(16, 10_000, 5, 1_000_000).probability();
        assert!((rare / (1e6 / 16e16) - 1.0).abs() < 1e-6, "{rare}");
    }

    #[test]
    fn of_two_the_weaker_counts() {
        let (weak, strong) = (promise(2, 50, 3, 10), promise(2, 40, 3, 10));
        assert_eq!((weak.least(strong), strong.least(weak)), (weak, weak));
    }
}
