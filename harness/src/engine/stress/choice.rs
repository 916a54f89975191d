//! Which operation a worker does next: a pure function of seed, worker and sequence number.
//!
//! The same seed must mean the same choices in every version, so everything here is fixed for good:
//!
//! * The generator is `ChaCha8` (of the crate `rand_chacha`), whose output is a published standard. The key is the seed
//!   as eight bytes, little end first, followed by the 24 bytes `flockwork operations v1\0`. The stream is the worker's
//!   number. Nothing of rand's distributions is used, for those may change.
//! * Each operation takes six 32-bit words, whatever it is: operation `n` of a worker begins at word `6 n`. Two words
//!   make one 64-bit number, the lower first; the first picks the operation, the second the container, the third the
//!   think time.
//! * A number `r` is mapped to one of `k` values by Lemire's multiply-shift, `(r × k) >> 64`, without rejection. The
//!   bias is below `k / 2^64`, and in exchange no choice depends on how many numbers an earlier one took.
//! * Operations are picked by their weights, in the order in which the plan names them.

use std::ops::RangeInclusive;

use flockwork::Operation;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::plan::StressPlan;

const DOMAIN: &[u8; 24] = b"flockwork operations v1\0";
const WORDS_EACH: u128 = 6;

/// A stream of numbers that depends on the seed and on nothing else.
#[derive(Debug)]
pub(super) struct Draws(ChaCha8Rng);

impl Draws {
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..].copy_from_slice(DOMAIN);
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream(stream);
        Self(generator)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number within the range.
    pub fn within(&mut self, range: &RangeInclusive<u64>) -> u64 {
        let span = u128::from(range.end().saturating_sub(*range.start())) + 1;
        range.start() + ((u128::from(self.0.next_u64()) * span) >> 64) as u64
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub operation: Operation,
    /// Which container; 0 for `list`, which has none.
    pub container: u32,
    /// How long to wait before.
    pub think_ns: u64,
}

/// One worker's choices.
#[derive(Debug)]
pub(super) struct Choices {
    draws: Draws,
    next: u64,
    /// Each operation with the sum of the weights up to and including its own.
    ladder: Vec<(u64, Operation)>,
    containers: u64,
    think_ns: RangeInclusive<u64>,
}

impl Choices {
    pub fn new(plan: &StressPlan, worker: u32) -> Self {
        let mut sum = 0;
        let ladder = plan.mix.iter().map(|&(operation, weight)| {
            sum += u64::from(weight);
            (sum, operation)
        });
        Self {
            ladder: ladder.collect(),
            draws: Draws::new(plan.seed, u64::from(worker)),
            next: 0,
            containers: u64::from(plan.containers),
            think_ns: plan.think_ns.clone(),
        }
    }

    /// The choice of this number.
    pub fn at(&mut self, sequence: u64) -> Choice {
        if sequence != self.next {
            self.draws.0.set_word_pos(u128::from(sequence) * WORDS_EACH);
        }
        self.next = sequence + 1;
        let total = self.ladder.last().map_or(1, |&(sum, _)| sum);
        let pick = self.draws.below(total);
        let operation = self.ladder[self.ladder.partition_point(|&(sum, _)| sum <= pick)].1;
        let container = self.draws.below(self.containers) as u32;
        let think_ns = self.draws.within(&self.think_ns);
        let container = if operation == Operation::List { 0 } else { container };
        Choice { operation, container, think_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Audit, Budget, SubjectPlan};

    fn plan(seed: u64) -> StressPlan {
        StressPlan {
            subject: SubjectPlan::Custom { word: "none".into() },
            root: "/nowhere".into(),
            seed,
            processes: 2,
            auditors: 0,
            audit: Audit::Locked,
            containers: 3,
            budget: Budget::Operations(1),
            think_ns: 0..=50_000,
            hold_ns: 0..=0,
            mix: vec![
                (Operation::Create, 2),
                (Operation::Pause, 20),
                (Operation::List, 3),
                (Operation::Kill, 1),
            ],
            kill_every_ns: None,
            payload_bytes: 0,
            fresh_processes: false,
            starvation_ns: 0,
            stall_ns: 0,
        }
    }

    #[test]
    fn seed_1_chooses_what_it_always_chose() {
        // These came from an implementation of the generator other than the one in use.
        use Operation::{Create, List, Pause};
        let first = |worker| {
            let mut choices = Choices::new(&plan(1), worker);
            [0, 1, 2, 3, 4, 5].map(|sequence| {
                let Choice { operation, container, think_ns } = choices.at(sequence);
                (operation, container, think_ns)
            })
        };
        let of_worker_0 = [
            (Create, 1, 9676),
            (Pause, 1, 7498),
            (Pause, 2, 7590),
            (Pause, 1, 2177),
            (Pause, 1, 24782),
            (Pause, 2, 38971),
        ];
        let of_worker_1 = [
            (Pause, 0, 8657),
            (List, 0, 34660),
            (Pause, 2, 12276),
            (Pause, 1, 25753),
            (Pause, 0, 23166),
            (Pause, 1, 48223),
        ];
        assert_eq!(first(0), of_worker_0);
        assert_eq!(first(1), of_worker_1);
    }

    #[test]
    fn a_successor_goes_on_where_its_predecessor_was_killed() {
        let mut all = Choices::new(&plan(7), 3);
        let all = (0..500).map(|sequence| all.at(sequence)).collect::<Vec<_>>();
        for start in [0, 1, 2, 3, 17, 499] {
            let mut late = Choices::new(&plan(7), 3);
            for sequence in start..500 {
                assert_eq!(late.at(sequence), all[sequence as usize], "from {start}, at {sequence}");
            }
        }
    }

    #[test]
    fn weights_ranges_and_containers_are_kept() {
        let mut choices = Choices::new(&plan(99), 0);
        let (mut pauses, mut containers) = (0, [0; 3]);
        for sequence in 0..26_000 {
            let choice = choices.at(sequence);
            pauses += u32::from(choice.operation == Operation::Pause);
            containers[choice.container as usize] += 1;
            assert!(choice.think_ns <= 50_000);
            assert!(choice.operation != Operation::List || choice.container == 0);
        }
        assert!((19_000..21_000).contains(&pauses), "20 of 26 are pauses, and {pauses} were");
        assert!(containers.iter().all(|&count| count > 7_000), "{containers:?}");
    }

    #[test]
    fn seeds_and_workers_differ() {
        let sample = |seed, worker| {
            let mut choices = Choices::new(&plan(seed), worker);
            (0..20).map(|sequence| choices.at(sequence)).collect::<Vec<_>>()
        };
        assert_eq!(sample(5, 0), sample(5, 0));
        assert_ne!(sample(5, 0), sample(5, 1));
        assert_ne!(sample(5, 0), sample(6, 0));
    }
}
