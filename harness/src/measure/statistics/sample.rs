//! What a metric takes from each round, kept so that it can be asked of any resampling of the rounds.

use crate::measure::{Latency, Metric, Percentile, Round, Stretch};

use super::fairness;

/// A metric's values by round, before they are put together.
#[derive(Clone, Debug)]
pub enum Sample {
    /// Sums over sums: events and what they are counted by.
    Ratio(Vec<(f64, f64)>),
    /// A mean over the rounds.
    Mean(Vec<f64>),
    /// The most of any round.
    Most(Vec<f64>),
    /// A percentile of the merged histograms.
    Quantile(Merged, f64),
}

/// The histograms of several rounds over the values that any of them has.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The values, from least to most.
    values_ns: Vec<u64>,
    /// By round: how many durations lie at or below each value.
    up_to: Vec<Vec<u64>>,
    /// How much wider than nothing a value's bucket is, as a part of the value.
    resolution: f64,
}

impl Sample {
    /// What the metric takes from these rounds; `None` where it has no value there, as a latency where nothing was done.
    #[must_use]
    pub fn of(metric: Metric, rounds: &[&Round]) -> Option<Self> {
        let ratio = |part: fn(&Round) -> (f64, f64)| {
            let pairs: Vec<_> = rounds.iter().map(|round| part(round)).collect();
            pairs.iter().any(|(_, below)| *below > 0.0).then_some(Self::Ratio(pairs))
        };
        let each = |part: fn(&Round) -> f64| rounds.iter().map(|round| part(round)).collect::<Vec<_>>();
        if rounds.is_empty() {
            return None;
        }
        match metric {
            Metric::Throughput => {
                ratio(|round| (round.acquisitions() as f64, round.duration_ns as f64 / 1e9))
            }
            Metric::Handoff => {
                ratio(|round| (round.handoffs as f64, round.acquisitions().saturating_sub(1) as f64))
            }
            Metric::CpuUse => {
                ratio(|round| ((round.cpu_user_ns + round.cpu_system_ns) as f64, round.duration_ns as f64))
            }
            Metric::Switches => ratio(|round| {
                let switches = round.switches_voluntary + round.switches_involuntary;
                (switches as f64, round.acquisitions() as f64)
            }),
            Metric::Jain => Some(Self::Mean(each(|round| fairness::jain(&round.shares)))),
            Metric::SmallestShare => Some(Self::Mean(each(|round| fairness::extremes(&round.shares).0))),
            Metric::LargestShare => Some(Self::Mean(each(|round| fairness::extremes(&round.shares).1))),
            Metric::Starved => Some(Self::Most(each(|round| fairness::starved(&round.shares) as f64))),
            Metric::Latency(stretch, percentile) => Self::latency(stretch, percentile, rounds),
        }
    }

    fn latency(stretch: Stretch, percentile: Percentile, rounds: &[&Round]) -> Option<Self> {
        let latencies: Vec<&Latency> = rounds.iter().map(|round| round.latency(stretch)).collect();
        if latencies.iter().all(|latency| latency.count() == 0) {
            return None;
        }
        Some(Self::Quantile(Merged::of(&latencies), percentile.share()))
    }

    /// How many rounds.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Ratio(pairs) => pairs.len(),
            Self::Mean(values) | Self::Most(values) => values.len(),
            Self::Quantile(merged, _) => merged.up_to.len(),
        }
    }

    /// The value that the metric takes where each round counts so many times; not a number where those that do have none.
    #[must_use]
    pub fn value(&self, times: &[u8]) -> f64 {
        match self {
            Self::Ratio(pairs) => {
                let sum = |part: fn(&(f64, f64)) -> f64| -> f64 {
                    pairs.iter().zip(times).map(|(pair, times)| part(pair) * f64::from(*times)).sum()
                };
                sum(|pair| pair.0) / sum(|pair| pair.1)
            }
            Self::Mean(values) => {
                let count: f64 = times.iter().map(|times| f64::from(*times)).sum();
                values.iter().zip(times).map(|(value, times)| value * f64::from(*times)).sum::<f64>() / count
            }
            Self::Most(values) => {
                let present = values.iter().zip(times).filter(|(_, times)| **times > 0);
                present.map(|(value, _)| *value).fold(f64::NEG_INFINITY, f64::max)
            }
            Self::Quantile(merged, share) => {
                merged.quantile_ns(*share, times).map_or(f64::NAN, |ns| ns as f64)
            }
        }
    }

    /// How finely the instrument tells values apart, as a part of the value.
    #[must_use]
    pub const fn resolution(&self) -> f64 {
        match self {
            Self::Quantile(merged, _) => merged.resolution,
            _ => 0.0,
        }
    }
}

impl Merged {
    fn of(latencies: &[&Latency]) -> Self {
        let recorded = |latency: &Latency| -> Vec<(u64, u64)> {
            let histogram = latency.histogram();
            let steps = histogram.iter_recorded();
            steps.map(|step| (step.value_iterated_to(), step.count_at_value())).collect()
        };
        let counts: Vec<_> = latencies.iter().map(|latency| recorded(latency)).collect();
        let mut values_ns: Vec<u64> = counts.iter().flatten().map(|(value, _)| *value).collect();
        values_ns.sort_unstable();
        values_ns.dedup();
        let up_to = counts.iter().map(|counts| cumulated(&values_ns, counts)).collect();
        let resolution = 10_f64.powi(-i32::from(Latency::DIGITS));
        Self { values_ns, up_to, resolution }
    }

    /// The least value at or below which this share lies, as [`Latency::quantile_ns`] has it.
    fn quantile_ns(&self, share: f64, times: &[u8]) -> Option<u64> {
        let at = |index: usize| -> u64 {
            self.up_to.iter().zip(times).map(|(up_to, times)| up_to[index] * u64::from(*times)).sum()
        };
        let last = self.values_ns.len() - 1;
        if at(last) == 0 {
            return None;
        }
        #[expect(clippy::cast_sign_loss, reason = "a share of a count")]
        let wanted = ((share * at(last) as f64).ceil() as u64).max(1);
        let (mut low, mut high) = (0, last);
        while low < high {
            let middle = low.midpoint(high);
            if at(middle) >= wanted { high = middle } else { low = middle + 1 }
        }
        Some(self.values_ns[low])
    }
}

fn cumulated(values_ns: &[u64], counts: &[(u64, u64)]) -> Vec<u64> {
    let mut counts = counts.iter().peekable();
    let mut sum = 0;
    let up_to = values_ns.iter().map(|value| {
        while let Some((_, count)) = counts.next_if(|(own, _)| own <= value) {
            sum += count;
        }
        sum
    });
    up_to.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_of_rounds_is_that_of_the_merged_histogram() {
        let mut rounds = [Latency::new(), Latency::new(), Latency::new()];
        for number in 1..=3_000_u64 {
            rounds[number as usize % 3].record(number * number % 104_729 + number % 3 * 50_000 + 1);
        }
        let merged = Merged::of(&rounds.iter().collect::<Vec<_>>());
        for times in [[1, 1, 1], [2, 0, 1], [0, 3, 0]] {
            let mut whole = Latency::new();
            for (round, times) in rounds.iter().zip(times) {
                (0..times).for_each(|_| whole.merge(round));
            }
            for share in [0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0] {
                assert_eq!(
                    merged.quantile_ns(share, &times),
                    Some(whole.quantile_ns(share)),
                    "{share} {times:?}"
                );
            }
        }
    }

    #[test]
    fn sums_are_put_in_relation_and_not_relations_averaged() {
        let sample = Sample::Ratio(vec![(10.0, 1.0), (2.0, 2.0)]);
        assert!((sample.value(&[1, 1]) - 4.0).abs() < 1e-12);
        assert!((sample.value(&[0, 2]) - 1.0).abs() < 1e-12);
        assert!((Sample::Mean(vec![1.0, 4.0]).value(&[2, 1]) - 2.0).abs() < 1e-12);
        assert!((Sample::Most(vec![1.0, 4.0]).value(&[2, 0]) - 1.0).abs() < 1e-12);
    }
}
