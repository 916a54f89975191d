//! Rounds that something else disturbed: they are marked, never dropped.
//!
//! A round is an outlier where its modified z-score, 0.6745 · |x − median| / MAD, is above 3.5 (B. Iglewicz, D. Hoaglin:
//! How to Detect and Handle Outliers, 1993). As few rounds may agree by chance to the last digit, it must be off the
//! median by more than 5 % as well.

use serde::Serialize;

/// The modified z-score of an outlier is above this.
const SCORE_MAX: f64 = 3.5;
/// How far from the median every round may be, as a part of it.
const DEVIATION_MIN: f64 = 0.05;

/// A round whose throughput is not that of the others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NoisyRound {
    /// Its place among the rounds of its cell, from 0.
    pub round: usize,
    /// Its place in the order of running.
    pub order: u32,
    /// How far its throughput is from the median, as a part of it.
    pub deviation: f64,
}

/// The outliers among values, by their place, with how far they are from the median, as a part of it.
#[must_use]
pub fn outliers(values: &[f64]) -> Vec<(usize, f64)> {
    if values.len() < 3 {
        return Vec::new();
    }
    let middle = median(values);
    let distances: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    let mad = median(&distances);
    let is_outlier = |value: f64| {
        let distance = (value - middle).abs();
        0.6745 * distance > SCORE_MAX * mad && distance > DEVIATION_MIN * middle.abs()
    };
    let found = values.iter().enumerate().filter(|(_, value)| is_outlier(**value));
    found.map(|(index, value)| (index, value / middle - 1.0)).collect()
}

/// The median; of an even number of values the mean of the middle two. Of none it is 0.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len() / 2, sorted.len() % 2) {
        (0, 0) => 0.0,
        (middle, 0) => f64::midpoint(sorted[middle - 1], sorted[middle]),
        (middle, _) => sorted[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_is_far_from_the_median_by_both_measures() {
        // Median 100, deviations 0 1 1 2 40: MAD 1; 0.6745 · 40 = 27 > 3.5, and 0.6745 · 2 = 1.3 is not.
        assert_eq!(outliers(&[100.0, 101.0, 99.0, 102.0, 60.0]), [(4, -0.4)]);
        // MAD 0: any distance has an endless score, and 4 % is still nothing.
        assert_eq!(outliers(&[100.0, 100.0, 100.0, 104.0]), []);
        assert_eq!(outliers(&[100.0, 1.0]), [], "of two nobody knows which");
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert!((median(&[4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-12);
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-12);
        assert!(median(&[]).abs() < 1e-12);
    }
}
