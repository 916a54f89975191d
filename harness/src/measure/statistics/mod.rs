//! What a cell's rounds come to: values with their confidence, and what makes them doubtful.
//!
//! Nothing is dropped: a disturbed round counts and is named. Percentiles are those of merged histograms.

mod estimate;
pub mod fairness;
pub mod noise;
mod sample;

use serde::Serialize;

use super::{Axis, Cell, Metric, Percentile, Round, Stretch};
use estimate::Resamples;
pub use estimate::{Estimate, Interval, RESAMPLES, Ratio};
use noise::NoisyRound;
use sample::Sample;

/// An interval of the throughput that reaches further than this to each side, as a part of it, is told as noise.
pub const WIDE: f64 = 0.1;

/// What a cell's rounds come to.
#[derive(Clone, Debug)]
pub struct CellStatistics {
    /// How many rounds were measured.
    pub rounds: usize,
    /// How long was measured, in nanoseconds.
    pub measured_ns: u64,
    /// How many times the lock was got.
    pub acquisitions: u64,
    /// How many of them read only.
    pub reads: u64,
    /// How many of them ended in a refusal (or with what a replica's bug made of the operation): no save was made.
    pub refused: u64,
    /// The throughput of the middle round, of the slowest and of the quickest.
    pub throughput_rounds: Spread,
    /// Processor time in user mode over measured time.
    pub cpu_user: f64,
    /// Processor time in the kernel over measured time.
    pub cpu_system: f64,
    /// Critical sections that were watched.
    pub watched: u64,
    /// In how many somebody else was seen.
    pub overlaps: u64,
    /// Rounds that were disturbed.
    pub noisy: Vec<NoisyRound>,
    estimates: Vec<(Metric, Estimate)>,
}

/// The middle, the least and the most of some values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle value.
    pub median: f64,
    /// The smallest value of all rounds.
    pub min: f64,
    /// The largest value of all rounds.
    pub max: f64,
}

impl CellStatistics {
    /// The statistics of a cell; `None` where it has no round that measured anything.
    #[must_use]
    pub fn of(cell: &Cell) -> Option<Self> {
        Self::with(cell, Metric::all())
    }

    /// The same with these estimates only: each takes thousands of resamplings.
    #[must_use]
    pub fn with(cell: &Cell, metrics: impl IntoIterator<Item = Metric>) -> Option<Self> {
        let rounds: Vec<&Round> = cell.rounds.iter().filter(|round| round.duration_ns > 0).collect();
        if rounds.is_empty() {
            return None;
        }
        let resamples = Resamples::of(rounds.len());
        let estimate = |metric: Metric| {
            let sample = Sample::of(metric, &rounds)?;
            Some((metric, Estimate::of(&sample, &resamples, || metric.is_on_log_scale())))
        };
        let sum = |part: fn(&Round) -> u64| rounds.iter().map(|round| part(round)).sum::<u64>();
        let throughputs: Vec<f64> = rounds.iter().map(|round| round.throughput()).collect();
        let measured_ns = sum(|round| round.duration_ns);
        Some(Self {
            rounds: rounds.len(),
            measured_ns,
            acquisitions: sum(Round::acquisitions),
            reads: sum(|round| round.reads),
            refused: sum(|round| round.refused),
            throughput_rounds: Spread::of(&throughputs),
            cpu_user: sum(|round| round.cpu_user_ns) as f64 / measured_ns as f64,
            cpu_system: sum(|round| round.cpu_system_ns) as f64 / measured_ns as f64,
            watched: sum(|round| round.exclusion.watched),
            overlaps: sum(|round| round.exclusion.overlaps),
            noisy: noisy(&rounds, &throughputs),
            estimates: metrics.into_iter().filter_map(estimate).collect(),
        })
    }

    /// What a metric was estimated at; `None` where it has no value here, as a latency where nothing was done.
    #[must_use]
    pub fn get(&self, metric: Metric) -> Option<&Estimate> {
        self.estimates.iter().find(|(own, _)| *own == metric).map(|(_, estimate)| estimate)
    }

    /// The value of a metric.
    #[must_use]
    pub fn value(&self, metric: Metric) -> Option<f64> {
        self.get(metric).map(|estimate| estimate.value)
    }

    /// A percentile of a latency, in nanoseconds.
    #[must_use]
    pub fn latency_ns(&self, stretch: Stretch, percentile: Percentile) -> Option<f64> {
        self.value(Metric::Latency(stretch, percentile))
    }

    /// What makes these numbers doubtful, each with what to do about it.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self.noisy.iter().map(|noisy| told(*noisy, self.rounds)).collect();
        let Some(throughput) = self.get(Metric::Throughput) else {
            return vec!["nothing was acquired: measure for longer, or with fewer processes".into()];
        };
        match throughput.interval {
            None => warnings.push(
                "one round has no spread, so there is no confidence interval: measure more rounds".into(),
            ),
            // A round that was disturbed has been named, and says why.
            Some(_) if !self.noisy.is_empty() => {}
            Some(interval) if interval.half_width(throughput.value) >= 1.0 => warnings.push(
                "the rounds differ so much that the throughput is unknown: measure more or longer rounds on a quiet machine".into(),
            ),
            Some(interval) if interval.half_width(throughput.value) > WIDE => warnings.push(format!(
                "the throughput is known only to ±{:.0}%: measure more or longer rounds on a quiet machine",
                interval.half_width(throughput.value) * 100.0
            )),
            Some(_) => {}
        }
        warnings
    }
}

fn noisy(rounds: &[&Round], throughputs: &[f64]) -> Vec<NoisyRound> {
    let outliers = noise::outliers(throughputs).into_iter();
    outliers.map(|(round, deviation)| NoisyRound { round, order: rounds[round].order, deviation }).collect()
}

fn told(noisy: NoisyRound, rounds: usize) -> String {
    let percent = noisy.deviation.abs() * 100.0;
    let direction = if noisy.deviation < 0.0 { "below" } else { "above" };
    let advice = if noisy.round == 0 && noisy.deviation < 0.0 {
        "warm up for longer"
    } else {
        "measure again on a quiet machine, or measure more rounds"
    };
    format!(
        "round {} of {rounds} was {percent:.0}% {direction} the median, and it counts; {advice}",
        noisy.round + 1
    )
}

impl Spread {
    fn of(values: &[f64]) -> Self {
        let (min, max) = values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), value| (min.min(*value), max.max(*value)));
        Self { median: noise::median(values), min, max }
    }
}

/// Whether a cell stands for a bound rather than for a lock that anybody could use: no lock at all, or a mutex in shared
/// memory.
#[must_use]
pub fn is_bound(cell: &Cell) -> bool {
    cell.point.get(Axis::Lock).is_some_and(|lock| matches!(lock.to_string().as_str(), "none" | "mutex"))
}
