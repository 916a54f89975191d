//! What the strategies that sample have in common: each execution has dice of its own, from the seed and its number.
//!
//! The same seed gives the same executions, in however many lanes they run. So what a sampler learns from executions must
//! not depend on which of them happened to be over: it learns in rounds, each as long as all before it, and a round
//! begins when the last is over. A sampler that learns nothing waits for nobody.

use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::explore::machine::{Chooser, Execution};

use super::promise::{Guarantee, Promise};
use super::{Assignment, Coverage, Statistics, Strategy, Ticket};

const DOMAIN: &[u8; 24] = b"flockwork executions v1\0";

/// Makes the chooser of each execution.
pub trait Sampler: Send {
    /// Whether choosers depend on `steps_max`.
    const LEARNS: bool;

    /// The chooser of one execution. `steps_max` is the most steps of an execution in the rounds before, 0 in the first.
    fn chooser(&self, dice: Dice, steps_max: usize) -> Box<dyn Chooser + Send>;

    /// What is promised of each execution, in programs of so many processes whose executions take at most so many
    /// steps, when its chooser knew of as many; none where nothing is.
    fn guarantee(&self, _processes: usize, _steps: usize) -> Option<Guarantee> {
        None
    }
}

/// Random numbers: `ChaCha8`, whose output is a published standard. The key is the seed as eight bytes, little end
/// first, followed by the 24 bytes `flockwork executions v1\0`; the stream is the execution's number.
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// Of one execution of a seed.
    #[must_use]
    pub fn of(seed: u64, execution: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..].copy_from_slice(DOMAIN);
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream(execution);
        Self(generator)
    }

    /// A number, all equally likely.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `count`, which must not be 0, by Lemire's multiply-shift; the bias is below `count` / 2⁶⁴.
    pub fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.number()) * count as u128) >> 64) as usize
    }
}

/// Runs a given number of executions by a sampler.
pub struct Sampling<S> {
    sampler: S,
    seed: u64,
    executions_max: u64,
    handed_out: u64,
    /// The most steps of an execution in the rounds before this one.
    steps_max: usize,
    under_way: BTreeSet<Ticket>,
    /// How many processes there are.
    processes: usize,
    /// Executions whose choosers knew of as many steps as any execution has taken until now.
    informed: u64,
    statistics: Statistics,
}

impl<S: Sampler> Sampling<S> {
    /// So many executions by this sampler.
    #[must_use]
    pub fn of(sampler: S, seed: u64, executions: u64) -> Self {
        Self {
            sampler,
            seed,
            executions_max: executions,
            handed_out: 0,
            steps_max: 0,
            under_way: BTreeSet::new(),
            processes: 0,
            informed: 0,
            statistics: Statistics::default(),
        }
    }
}

impl<S: Sampler> Strategy for Sampling<S> {
    fn next(&mut self) -> Option<Assignment> {
        if self.handed_out == self.executions_max {
            return None;
        }
        if S::LEARNS && self.handed_out.is_power_of_two() {
            if !self.under_way.is_empty() {
                return None;
            }
            self.steps_max = self.statistics.depth_max;
        }
        let ticket = Ticket(self.handed_out);
        self.handed_out += 1;
        self.under_way.insert(ticket);
        let dice = Dice::of(self.seed, ticket.0);
        Some(Assignment { ticket, chooser: self.sampler.chooser(dice, self.steps_max) })
    }

    fn learn(&mut self, ticket: Ticket, execution: &Execution<()>) {
        if !self.under_way.remove(&ticket) {
            return;
        }
        self.statistics.executions += 1;
        self.processes = self.processes.max(execution.pending.len());
        if execution.events.len() > self.statistics.depth_max {
            self.statistics.depth_max = execution.events.len();
            self.informed = 0;
        }
        // A round is over before the next begins, so this execution's chooser knew of this many.
        if self.steps_max == self.statistics.depth_max {
            self.informed += 1;
        }
    }

    fn coverage(&self) -> Coverage {
        Coverage::Partial
    }

    fn statistics(&self) -> Statistics {
        let waiting = usize::try_from(self.executions_max - self.handed_out).unwrap_or(usize::MAX);
        Statistics { waiting, ..self.statistics }
    }

    fn promise(&self) -> Option<Promise> {
        let guarantee = self.sampler.guarantee(self.processes, self.statistics.depth_max)?;
        Some(Promise { guarantee, executions: self.informed })
    }
}
