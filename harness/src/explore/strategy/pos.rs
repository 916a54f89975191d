//! A random priority for each step, drawn anew where it lost a race: partial order sampling.
//!
//! Source: Yuan, Yang and Gu, *Partial order aware concurrency sampling* (CAV 2018). Each step that a process is about to
//! take has a random priority; the highest that can be taken is taken. Then every other waiting step that conflicts with
//! it gets a new one. So the orders of conflicting steps come out far more evenly than by choosing at random at each point.

use crate::explore::machine::{Chooser, Pick, Point};
use crate::explore::step::{Event, Step};

use super::sampling::{Dice, Sampler, Sampling};

/// Samples the orders of conflicting steps.
pub type Pos = Sampling<PartialOrders>;

/// A priority per step.
pub struct PartialOrders(());

impl Pos {
    /// So many executions from this seed.
    #[must_use]
    pub fn new(seed: u64, executions: u64) -> Self {
        Self::of(PartialOrders(()), seed, executions)
    }
}

impl Sampler for PartialOrders {
    const LEARNS: bool = false;

    fn chooser(&self, dice: Dice, _: usize) -> Box<dyn Chooser + Send> {
        Box::new(Sampled { dice, priorities: Vec::new(), last: None })
    }
}

struct Sampled {
    dice: Dice,
    /// Of the step that each process is about to take.
    priorities: Vec<u64>,
    last: Option<Event>,
}

impl Sampled {
    fn draw_anew(&mut self, pending: &[Option<Step>]) {
        let Some(last) = self.last.take() else { return };
        for (process, step) in pending.iter().enumerate() {
            let raced = step.as_ref().is_some_and(|step| step.footprint.conflicts(&last.step.footprint));
            if process == last.process || raced {
                self.priorities[process] = self.dice.number();
            }
        }
    }
}

impl Chooser for Sampled {
    fn choose(&mut self, point: &Point<'_>) -> Pick {
        while self.priorities.len() < point.pending.len() {
            self.priorities.push(self.dice.number());
        }
        self.draw_anew(point.pending);
        let highest = point.enabled.iter().max_by_key(|&process| self.priorities[process]);
        highest.map_or(Pick::Abandon, Pick::Step)
    }

    fn happened(&mut self, event: &Event) {
        self.last = Some(event.clone());
    }
}
