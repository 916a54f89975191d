//! Repetition: an execution is run once more, and must take the same steps. What does not depends on something that is
//! not controlled, and then nothing that was concluded from one execution holds for another.
//!
//! Not at once: what an execution left in its processes by accident, the same processes would still have. So executions
//! wait in a small pool, out of which one is drawn at random for each that comes in, and whichever lane is free runs it,
//! after others and often with other processes. At the end the pool is emptied.

use std::io;
use std::sync::Arc;

use super::control::{ControlError, Planned};
use super::lane::Lane;
use crate::explore::machine::Execution;
use crate::explore::strategy::replay::{Fidelity, Follower, Turn};
use crate::explore::strategy::sampling::Dice;
use crate::plan::Call;

/// So many executions wait to be run once more: each costs memory for its steps.
const WAITING_MAX: usize = 64;
/// Its own stream of random numbers: strategies number theirs from 0.
const STREAM: u64 = u64::MAX;

/// An execution to be run once more.
#[derive(Debug)]
pub(super) struct Repeat {
    /// Which one it was, counted from 1.
    pub number: u64,
    /// The faults that were planned for it.
    pub planned: Arc<[Planned]>,
    /// The steps of the execution that is run once more, to compare with.
    pub first: Execution<()>,
}

/// Executions that wait to be run once more.
pub(super) struct Repeats {
    waiting: Vec<Repeat>,
    dice: Dice,
}

impl Repeats {
    /// Nothing has been repeated yet; the seed decides when a repetition comes.
    pub fn new(seed: u64) -> Self {
        Self { waiting: Vec::new(), dice: Dice::of(seed, STREAM) }
    }

    /// Puts one in; where too many wait, one of them comes out.
    pub fn exchange(&mut self, repeat: Repeat) -> Option<Repeat> {
        self.waiting.push(repeat);
        if self.waiting.len() > WAITING_MAX { self.draw() } else { None }
    }

    /// Takes one out, all equally likely.
    pub fn draw(&mut self) -> Option<Repeat> {
        if self.waiting.is_empty() {
            return None;
        }
        let drawn = self.dice.below(self.waiting.len());
        Some(self.waiting.swap_remove(drawn))
    }
}

/// Runs an execution again; the error tells both traces where they part.
pub(super) fn must_come_again(
    lane: &mut Lane,
    programs: &[Vec<Call>],
    repeat: &Repeat,
) -> Result<(), ControlError> {
    let Repeat { number, planned, first } = repeat;
    let turns: Vec<Turn> = first.events.iter().map(Turn::from).collect();
    let mut follower = Follower::new(turns.into(), Fidelity::Strict);
    let (again, _) = lane.run(programs, planned, &mut follower, &mut ())?.split();
    let stopped = follower.followed().divergence.as_ref().map(|divergence| {
        let pending = divergence.pending.iter().enumerate();
        let labels =
            pending.filter_map(|(process, label)| Some(format!("p{} {}", process + 1, label.as_ref()?)));
        format!("\n  about to follow: {}", labels.collect::<Vec<_>>().join(", "))
    });
    if again.events == first.events && again.end == first.end {
        return Ok(());
    }
    let same = again.events.iter().zip(&first.events).take_while(|(one, other)| one == other).count();
    Err(ControlError::from(io::Error::other(format!(
        "uncontrolled nondeterminism: schedule {number} was run once more and took another course at step {}\n\
        first:\n{}\nthen:\n{}{}",
        same + 1,
        around(first, same),
        around(&again, same),
        stopped.unwrap_or_default(),
    ))))
}

/// The steps around one of them.
fn around(execution: &Execution<()>, step: usize) -> String {
    let near = execution.events.iter().enumerate().skip(step.saturating_sub(5)).take(8);
    let lines = near.map(|(index, event)| {
        let mark = if index == step { ">" } else { " " };
        format!("  {mark} {:>3} p{} {}", index + 1, event.process + 1, event.step.label)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::machine::End;

    fn repeat(number: u64) -> Repeat {
        let first = Execution {
            events: Vec::new(),
            enabled: Vec::new(),
            pending: Vec::new(),
            processes: 0,
            end: End::Completed,
            outcome: (),
        };
        Repeat { number, planned: Arc::from([]), first }
    }

    #[test]
    fn every_execution_comes_out_once_and_not_in_the_order_of_its_first_run() {
        let mut repeats = Repeats::new(7);
        let mut drawn: Vec<u64> =
            (1..=500).filter_map(|number| repeats.exchange(repeat(number))).map(|one| one.number).collect();
        assert_eq!(drawn.len(), 500 - WAITING_MAX, "none waits longer than the pool makes it");
        drawn.extend(std::iter::from_fn(|| repeats.draw()).map(|one| one.number));
        assert!(!drawn.is_sorted());
        drawn.sort_unstable();
        assert_eq!(drawn, (1..=500).collect::<Vec<_>>());
    }
}
