//! How evenly a lock was shared.

/// Jain's fairness index of shares: (Σx)² / (n · Σx²). It is 1 where all are equal and 1/n where one has everything.
/// Of nothing it is 1: nobody was treated worse than another.
///
/// R. Jain, D. Chiu, W. Hawe: A Quantitative Measure of Fairness and Discrimination for Resource Allocation in Shared
/// Computer Systems. DEC Research Report TR-301, 1984.
#[must_use]
pub fn jain(shares: &[u64]) -> f64 {
    let sum: f64 = shares.iter().map(|share| *share as f64).sum();
    let squares: f64 = shares.iter().map(|share| (*share as f64).powi(2)).sum();
    if squares == 0.0 { 1.0 } else { sum * sum / (shares.len() as f64 * squares) }
}

/// The smallest and the largest share, as multiples of an equal part; both 1 where there is nothing to share.
#[must_use]
pub fn extremes(shares: &[u64]) -> (f64, f64) {
    let sum: u64 = shares.iter().sum();
    let part = sum as f64 / shares.len().max(1) as f64;
    if sum == 0 {
        return (1.0, 1.0);
    }
    let (least, most) = (shares.iter().min().copied(), shares.iter().max().copied());
    (least.unwrap_or(0) as f64 / part, most.unwrap_or(0) as f64 / part)
}

/// How many got nothing.
#[must_use]
pub fn starved(shares: &[u64]) -> u64 {
    shares.iter().filter(|share| **share == 0).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: f64, other: f64) {
        assert!((one - other).abs() < 1e-12, "{one} is not {other}");
    }

    #[test]
    fn the_index_is_that_of_the_paper() {
        near(jain(&[5, 5, 5, 5]), 1.0);
        near(jain(&[8, 0, 0, 0]), 0.25);
        // (1 + 2 + 3)² / (3 · (1 + 4 + 9)) = 36 / 42
        near(jain(&[1, 2, 3]), 36.0 / 42.0);
        near(jain(&[]), 1.0);
        near(jain(&[0, 0]), 1.0);
        // Larger than what fits when squared.
        near(jain(&[u64::MAX, u64::MAX]), 1.0);
    }

    #[test]
    fn shares_are_told_as_multiples_of_an_equal_part() {
        assert_eq!(extremes(&[1, 2, 3]), (0.5, 1.5));
        assert_eq!(extremes(&[0, 0]), (1.0, 1.0));
        assert_eq!(starved(&[0, 3, 0, 1]), 2);
    }
}
