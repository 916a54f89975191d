//! Which container comes next: drawn before the round begins, so that drawing costs nothing while it is measured.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::plan::bench::Skew;

const DOMAIN: &[u8; 24] = b"flockwork containers v1\0";
/// Fewest and most draws of one process: then they come again in the same order.
const DRAWS: (usize, usize) = (1 << 12, 1 << 14);

/// One worker's choices.
#[derive(Debug)]
pub(super) struct Choices {
    drawn: Vec<u32>,
    next: usize,
}

/// A stream of numbers that depends on the seed and the stream's number alone.
pub(super) fn stream(seed: u64, number: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..].copy_from_slice(DOMAIN);
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_stream(number);
    generator
}

/// A number below `bound`, which is not 0: Lemire's multiply-shift, whose bias is below `bound / 2^64`.
pub(super) fn below(generator: &mut ChaCha8Rng, bound: u64) -> u64 {
    ((u128::from(generator.next_u64()) * u128::from(bound)) >> 64) as u64
}

impl Choices {
    pub fn new(containers: u32, skew: Skew, generator: &mut ChaCha8Rng) -> Self {
        if containers == 1 {
            return Self { drawn: vec![0], next: 0 };
        }
        let count = (containers as usize * 4).next_power_of_two().clamp(DRAWS.0, DRAWS.1);
        let drawn = match skew {
            Skew::Uniform => (0..count).map(|_| below(generator, u64::from(containers)) as u32).collect(),
            Skew::Zipf(exponent) => {
                let ladder = ladder(containers, exponent);
                (0..count).map(|_| zipf(&ladder, generator)).collect()
            }
        };
        Self { drawn, next: 0 }
    }

    #[inline]
    pub fn next(&mut self) -> u32 {
        let choice = self.drawn[self.next];
        self.next += 1;
        if self.next == self.drawn.len() {
            self.next = 0;
        }
        choice
    }
}

/// The sums of the weights up to and including each container's.
fn ladder(containers: u32, exponent: f64) -> Vec<f64> {
    let mut sum = 0.0;
    let step = |rank: u32| {
        sum += f64::from(rank).powf(-exponent);
        sum
    };
    (1..=containers).map(step).collect()
}

fn zipf(ladder: &[f64], generator: &mut ChaCha8Rng) -> u32 {
    let total = ladder.last().copied().unwrap_or(1.0);
    let drawn = (generator.next_u64() >> 11) as f64 / (1_u64 << 53) as f64 * total;
    ladder.partition_point(|&sum| sum <= drawn).min(ladder.len() - 1) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(containers: u32, skew: Skew) -> Vec<u32> {
        let mut choices = Choices::new(containers, skew, &mut stream(7, 1));
        let mut counts = vec![0; containers as usize];
        (0..DRAWS.1).for_each(|_| counts[choices.next() as usize] += 1);
        counts
    }

    #[test]
    fn uniform_is_even_and_zipf_is_not() {
        let even = counts(10, Skew::Uniform);
        assert!(even.iter().all(|&count| (1400..1900).contains(&count)), "{even:?}");
        let skewed = counts(10, Skew::Zipf(1.0));
        let ratio = f64::from(skewed[0]) / f64::from(skewed[4]);
        assert!((4.0..6.2).contains(&ratio), "the fifth comes a fifth as often as the first: {skewed:?}");
        assert_eq!(counts(1, Skew::Zipf(2.0)), [DRAWS.1 as u32]);
    }

    #[test]
    fn streams_differ_and_repeat() {
        assert_eq!(stream(1, 2).next_u64(), stream(1, 2).next_u64());
        assert_ne!(stream(1, 2).next_u64(), stream(1, 3).next_u64());
    }
}
