//! Each choice at random, all who can go on equally likely.

use crate::explore::machine::{Chooser, Pick, Point};
use crate::explore::step::Event;

use super::sampling::{Dice, Sampler, Sampling};

/// Chooses at random.
pub type Random = Sampling<Uniform>;

/// All who can go on are equally likely.
pub struct Uniform(());

impl Random {
    /// So many executions from this seed.
    #[must_use]
    pub fn new(seed: u64, executions: u64) -> Self {
        Self::of(Uniform(()), seed, executions)
    }
}

impl Sampler for Uniform {
    const LEARNS: bool = false;

    fn chooser(&self, dice: Dice, _: usize) -> Box<dyn Chooser + Send> {
        Box::new(Walk(dice))
    }
}

/// One random walk through the tree of executions, as Knuth's estimate takes it.
pub struct Walk(pub Dice);

impl Chooser for Walk {
    fn choose(&mut self, point: &Point<'_>) -> Pick {
        let chosen = self.0.below(point.enabled.len() as usize);
        point.enabled.iter().nth(chosen).map_or(Pick::Abandon, Pick::Step)
    }

    fn happened(&mut self, _: &Event) {}
}
