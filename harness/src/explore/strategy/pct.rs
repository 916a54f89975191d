//! Random priorities, changed at a few random steps: probabilistic concurrency testing.
//!
//! Source: Burckhardt, Kothari, Musuvathi and Nagarakatte, *A randomized scheduler with probabilistic guarantees of
//! finding bugs* (ASPLOS 2010). Each process gets a random priority above all that changes give; the highest that can go
//! on goes. At `depth` - 1 steps, chosen at random among the first `steps`, the priority of whose turn it is falls below
//! all others. A failure that takes `depth` ordering constraints is met with at least the probability that
//! [`Guarantee::probability`] gives.
//!
//! The number of steps is not known before: it is the most that an execution has taken in the rounds before. So the
//! guarantee speaks only of executions whose changes were chosen among as many steps as any execution has taken.

use crate::explore::machine::{Chooser, Pick, Point};
use crate::explore::step::Event;

use super::promise::Guarantee;
use super::sampling::{Dice, Sampler, Sampling};

/// Chooses by random priorities.
pub type Pct = Sampling<Priorities>;

/// How many ordering constraints a failure may take for the guarantee to speak of it.
pub struct Priorities {
    depth: u32,
}

impl Pct {
    /// So many executions from this seed, for failures of this depth, at least 1.
    #[must_use]
    pub fn new(seed: u64, executions: u64, depth: u32) -> Self {
        Self::of(Priorities { depth: depth.max(1) }, seed, executions)
    }
}

impl Sampler for Priorities {
    const LEARNS: bool = true;

    fn chooser(&self, mut dice: Dice, steps_max: usize) -> Box<dyn Chooser + Send> {
        let changes = (1..self.depth).map(|_| dice.below(steps_max.max(1))).collect();
        Box::new(Prioritised { dice, changes, priorities: Vec::new() })
    }

    fn guarantee(&self, processes: usize, steps: usize) -> Option<Guarantee> {
        Some(Guarantee { processes, steps, depth: self.depth })
    }
}

struct Prioritised {
    dice: Dice,
    /// The steps before which a priority falls.
    changes: Vec<usize>,
    /// The highest goes; drawn ones are above those that changes give.
    priorities: Vec<u64>,
}

impl Prioritised {
    fn highest(&self, point: &Point<'_>) -> Option<usize> {
        point.enabled.iter().max_by_key(|&process| self.priorities[process])
    }
}

impl Chooser for Prioritised {
    fn choose(&mut self, point: &Point<'_>) -> Pick {
        while self.priorities.len() < point.pending.len() {
            self.priorities.push(self.dice.number() | 1 << 63);
        }
        for change in 0..self.changes.len() {
            if self.changes[change] == point.depth
                && let Some(process) = self.highest(point)
            {
                self.priorities[process] = change as u64;
            }
        }
        self.highest(point).map_or(Pick::Abandon, Pick::Step)
    }

    fn happened(&mut self, _: &Event) {}
}
