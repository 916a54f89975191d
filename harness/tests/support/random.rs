//! Random numbers for tests.

/// splitmix64: enough for tests, and the same in every version.
#[derive(Debug)]
pub struct Random(pub u64);

/// How far the state goes on with each draw.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut state: u64) -> u64 {
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

impl Random {
    /// The seed is mixed first: were it only multiplied by what the state goes on with, the streams of neighbouring seeds
    /// would be one and the same, a draw apart.
    pub fn new(seed: u64) -> Self {
        Self(mix(seed.wrapping_add(GAMMA)))
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0) % bound
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[test]
fn neighbouring_seeds_share_no_stream() {
    let draws = |seed| {
        let mut random = Random::new(seed);
        (0..200).map(|_| random.below(u64::MAX)).collect::<Vec<_>>()
    };
    let mut seen = std::collections::BTreeMap::new();
    for seed in 0..200 {
        for (place, draw) in draws(seed).into_iter().enumerate() {
            let other = seen.insert(draw, (seed, place));
            assert_eq!(other, None, "seed {seed} draws at {place} what another seed has drawn");
        }
    }
}
