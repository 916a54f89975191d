//! Values with the interval in which they lie with a confidence of 95 %.
//!
//! The rounds are the sample: within a round operations depend on each other. How much a metric would vary between such
//! samples is asked of resamplings of the rounds (B. Efron: Bootstrap Methods, Annals of Statistics 7, 1979), 10,000 of
//! them from one fixed seed, so that a record yields the same interval every time. There are few rounds, and for few a
//! plain bootstrap interval is too narrow: so its standard error is widened by √(n/(n−1)) and multiplied by Student's t
//! with n−1 degrees of freedom (T. Hesterberg: What Teachers Should Know About the Bootstrap, The American Statistician
//! 69, 2015). Rates and times are estimated by their logarithms. The ratio of two estimates is Welch's: B. L. Welch, The
//! generalization of `Student's` problem, Biometrika 34, 1947; Satterthwaite's degrees of freedom.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::sample::Sample;

/// How many times the rounds are resampled.
pub const RESAMPLES: usize = 10_000;
const SEED: u64 = 1979;
/// Half of what the confidence of 95 % leaves out lies above.
const UPPER_SHARE: f64 = 0.975;

/// A value, and where it lies with a confidence of 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The value over all rounds.
    pub value: f64,
    /// Where it lies; `None` where there is but one round.
    #[serde(flatten)]
    pub interval: Option<Interval>,
    #[serde(skip)]
    spread: Spread,
}

/// An interval, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Its lower end.
    pub lower: f64,
    /// Its upper end.
    pub upper: f64,
}

/// What two estimates are compared by.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    /// Standard error of the logarithm, or where the scale is not logarithmic of the value.
    error: f64,
    scale: Scale,
    degrees: f64,
    resolution: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    Logarithmic,
    Plain,
}

impl Interval {
    /// Half its width, as a part of a value within.
    #[must_use]
    pub fn half_width(&self, value: f64) -> f64 {
        if value == 0.0 { 0.0 } else { (self.upper - self.lower) / 2.0 / value.abs() }
    }

    /// Whether it shares a point with another.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.lower <= other.upper && other.lower <= self.upper
    }
}

impl Estimate {
    /// Estimates a sample's value; `is_logarithmic` values that are not above zero are taken plain.
    pub(super) fn of(sample: &Sample, resamples: &Resamples, on_log_scale: impl Fn() -> bool) -> Self {
        let count = sample.len();
        let value = sample.value(&vec![1; count]);
        let values = resamples.values(sample);
        let scale = if on_log_scale() && value > 0.0 && values.iter().all(|(value, _)| *value > 0.0) {
            Scale::Logarithmic
        } else {
            Scale::Plain
        };
        let widening = (count as f64 / (count as f64 - 1.0).max(1.0)).sqrt();
        let error = widening * deviation(values.iter().map(|(value, count)| (scale.to(*value), *count)));
        let resolution = sample.resolution();
        let spread = Spread { error, scale, degrees: count as f64 - 1.0, resolution };
        let interval = (count > 1).then(|| {
            let reach = student(spread.degrees) * error;
            let lower = scale.back(scale.to(value) - reach) * (1.0 - resolution);
            Interval { lower, upper: scale.back(scale.to(value) + reach) }
        });
        Self { value, interval, spread }
    }

    /// This estimate over another, with the interval of the ratio; `None` where the other is not above zero.
    #[must_use]
    pub fn over(&self, base: &Self) -> Option<Ratio> {
        if base.value <= 0.0 || self.value < 0.0 {
            return None;
        }
        let ratio = self.value / base.value;
        let (own, other) = (self.log_error(), base.log_error());
        let is_known = self.interval.is_some() && base.interval.is_some() && self.value > 0.0;
        let interval = is_known.then(|| {
            let error = own.hypot(other);
            let degrees = welch((own, self.spread.degrees), (other, base.spread.degrees));
            let reach = if error == 0.0 { 0.0 } else { student(degrees) * error };
            Interval {
                lower: ratio * (-reach).exp() * (1.0 - self.spread.resolution),
                upper: ratio * reach.exp() / (1.0 - base.spread.resolution),
            }
        });
        Some(Ratio { ratio, interval })
    }

    fn log_error(&self) -> f64 {
        match self.spread.scale {
            Scale::Logarithmic => self.spread.error,
            Scale::Plain if self.spread.error == 0.0 => 0.0,
            // The delta method.
            Scale::Plain => self.spread.error / self.value,
        }
    }
}

/// How many times as much, and where that lies with a confidence of 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// How many times as much.
    pub ratio: f64,
    /// Where it lies; `None` where one of the two has but one round, or is zero.
    #[serde(flatten)]
    pub interval: Option<Interval>,
}

impl Scale {
    fn to(self, value: f64) -> f64 {
        if self == Self::Logarithmic { value.ln() } else { value }
    }

    fn back(self, value: f64) -> f64 {
        if self == Self::Logarithmic { value.exp() } else { value }
    }
}

/// Student's t: beyond it lie 2.5 % on each side.
fn student(degrees: f64) -> f64 {
    StudentsT::new(0.0, 1.0, degrees).map_or(f64::INFINITY, |student| student.inverse_cdf(UPPER_SHARE))
}

fn welch((one, one_degrees): (f64, f64), (other, other_degrees): (f64, f64)) -> f64 {
    let (one, other) = (one * one, other * other);
    (one + other).powi(2) / (one * one / one_degrees + other * other / other_degrees)
}

/// The standard deviation of values that each came up so often: of all there is, not of a sample.
fn deviation(values: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let (sum, all) =
        values.clone().fold((0.0, 0.0), |(sum, all), (value, count)| (sum + value * count, all + count));
    let mean = sum / all;
    (values.map(|(value, count)| (value - mean).powi(2) * count).sum::<f64>() / all).sqrt()
}

/// How many times each round counts in each resampling.
#[derive(Clone, Debug)]
pub(super) struct Resamples {
    rounds: usize,
    /// Each with how often it came up: of five rounds there are but 126 different ones.
    drawn: Vec<(Vec<u8>, f64)>,
}

impl Resamples {
    /// All resamplings of so many rounds.
    pub(super) fn of(rounds: usize) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(SEED);
        let mut drawn = BTreeMap::<Vec<u8>, f64>::new();
        for _ in 0..RESAMPLES {
            let mut times = vec![0_u8; rounds];
            for _ in 0..rounds {
                // Scaled into the range: the bias is of the order of 2⁻³².
                let pick = (u64::from(random.next_u32()) * rounds as u64) >> 32;
                let picked = &mut times[pick as usize];
                *picked = picked.saturating_add(1);
            }
            *drawn.entry(times).or_default() += 1.0;
        }
        Self { rounds, drawn: drawn.into_iter().collect() }
    }

    /// The value of each resampling that has one, with how often it came up.
    fn values(&self, sample: &Sample) -> Vec<(f64, f64)> {
        assert_eq!(self.rounds, sample.len(), "resampled for as many rounds as there are");
        let all = self.drawn.iter().map(|(times, count)| (sample.value(times), *count));
        all.filter(|(value, _)| value.is_finite()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: f64, other: f64, part: f64) {
        assert!((one / other - 1.0).abs() < part, "{one} is not {other}");
    }

    fn estimate(values: &[f64]) -> Estimate {
        Estimate::of(&Sample::Mean(values.to_vec()), &Resamples::of(values.len()), || false)
    }

    #[test]
    fn the_interval_of_a_mean_is_students() {
        // Mean 10, sample deviation √2.5, 5 rounds: √0.5 · t(4) = 2.7764.
        let known = estimate(&[8.0, 9.0, 10.0, 11.0, 12.0]);
        let interval = known.interval.unwrap();
        near(known.value, 10.0, 1e-12);
        near(10.0 - interval.lower, 0.5_f64.sqrt() * 2.776_4, 0.03);
        near(interval.upper - 10.0, 0.5_f64.sqrt() * 2.776_4, 0.03);
        assert_eq!(estimate(&[8.0, 9.0, 10.0, 11.0, 12.0]), known, "the same every time");
        assert_eq!(estimate(&[3.0]).interval, None);
        assert_eq!(estimate(&[3.0, 3.0]).interval, Some(Interval { lower: 3.0, upper: 3.0 }));
    }

    #[test]
    fn students_t_and_welchs_degrees_are_those_of_the_tables() {
        near(student(1.0), 12.706, 1e-3);
        near(student(4.0), 2.776, 1e-3);
        near(student(1e6), 1.960, 1e-3);
        near(welch((1.0, 4.0), (1.0, 4.0)), 8.0, 1e-12);
        near(welch((1.0, 4.0), (0.0, 9.0)), 4.0, 1e-12);
    }

    #[test]
    fn a_ratio_is_as_wide_as_both_sides_are() {
        let (base, twice) = (estimate(&[99.0, 100.0, 101.0, 100.0]), estimate(&[198.0, 200.0, 202.0, 200.0]));
        let ratio = twice.over(&base).unwrap();
        let interval = ratio.interval.unwrap();
        near(ratio.ratio, 2.0, 1e-12);
        // Standard error of each: 0.8165 % / √4; of both √2 times as much; t(6) = 2.447.
        near(interval.upper / 2.0 - 1.0, 0.008_165 / 2.0 * 2_f64.sqrt() * 2.447, 0.05);
        assert!(interval.lower < 2.0 && twice.over(&estimate(&[0.0, 0.0])).is_none());
    }

    /// The promise of the confidence itself: of samples of five from a known distribution, 95 % of the intervals hold
    /// its mean.
    #[test]
    fn about_95_of_100_intervals_hold_the_truth() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut normal = || {
            let sum: f64 = (0..12).map(|_| f64::from(random.next_u32()) / f64::from(u32::MAX)).sum();
            100.0 + (sum - 6.0)
        };
        let resamples = Resamples::of(5);
        let held = (0..400).filter(|_| {
            let values = Sample::Mean((0..5).map(|_| normal()).collect());
            let interval = Estimate::of(&values, &resamples, || true).interval.unwrap();
            interval.lower <= 100.0 && 100.0 <= interval.upper
        });
        let held = held.count();
        assert!((364..=394).contains(&held), "{held} of 400");
    }
}
