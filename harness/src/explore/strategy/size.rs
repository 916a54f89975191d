//! How many interleavings there are: counted where they are few, estimated where they are many.

use crate::explore::machine::{Execution, Machine};

use super::Strategy;
use super::naive::Naive;
use super::random::Walk;
use super::sampling::Dice;

/// The number of interleavings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NaiveSize {
    /// The number of interleavings, counted to the end.
    Exact(u64),
    /// Too many to count: the estimate of a random sample.
    Estimate(Estimate),
}

/// An estimate from random walks: Knuth, *Estimating the efficiency of backtrack programs* (1975). A walk chooses at
/// random among all who can go on; the product of how many these were at each point is, on average, the number of
/// executions there are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    walks: u64,
    mean: f64,
    /// The sum of squared distances from the mean (Welford 1962).
    squares: f64,
}

impl Estimate {
    /// Learns a walk, whose choices must have been random and all equally likely.
    pub fn learn(&mut self, walk: &Execution<()>) {
        let ways = walk.enabled.iter().take(walk.events.len()).map(|enabled| f64::from(enabled.len()));
        let size: f64 = ways.product();
        self.walks += 1;
        let distance = size - self.mean;
        self.mean += distance / self.walks as f64;
        self.squares += distance * (size - self.mean);
    }

    /// How many walks it rests on.
    #[must_use]
    pub fn walks(&self) -> u64 {
        self.walks
    }

    /// The mean of the samples: an unbiased estimate of the number of interleavings (Knuth 1975).
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The standard error of the mean; none from fewer than two walks.
    #[must_use]
    pub fn standard_error(&self) -> Option<f64> {
        (self.walks > 1).then(|| (self.squares / (self.walks - 1) as f64 / self.walks as f64).sqrt())
    }
}

/// Counts the machine's interleavings if there are at most `count_max`, else estimates them by so many walks.
pub fn naive_size<M: Machine>(
    machine: &mut M,
    count_max: u64,
    walks: u64,
    seed: u64,
) -> Result<NaiveSize, M::Error> {
    // A few walks tell, at little cost, whether to count is hopeless.
    let first = estimate(machine, walks.min(32), seed)?;
    if first.mean() <= 4.0 * count_max as f64
        && let Some(count) = count(machine, count_max)?
    {
        return Ok(NaiveSize::Exact(count));
    }
    Ok(NaiveSize::Estimate(estimate(machine, walks, seed)?))
}

fn estimate<M: Machine>(machine: &mut M, walks: u64, seed: u64) -> Result<Estimate, M::Error> {
    let mut estimate = Estimate::default();
    for walk in 0..walks {
        let execution = machine.run(&mut Walk(Dice::of(seed, walk)))?;
        estimate.learn(&execution.split().0);
    }
    Ok(estimate)
}

fn count<M: Machine>(machine: &mut M, count_max: u64) -> Result<Option<u64>, M::Error> {
    let mut naive = Naive::new();
    while let Some(mut assignment) = naive.next() {
        if naive.statistics().executions == count_max {
            return Ok(None);
        }
        let execution = machine.run(&mut *assignment.chooser)?;
        naive.learn(assignment.ticket, &execution.split().0);
    }
    Ok(Some(naive.statistics().executions))
}
