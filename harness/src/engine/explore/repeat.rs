//! Repetition: an execution is run once more, and must take the same steps. What does not depends on something that is
//! not controlled, and then nothing that was concluded from one execution holds for another.

use std::io;

use super::control::{Planned, StageError};
use super::lane::Lane;
use super::machine::{Chooser, Execution, Pick, Point};
use super::step::{Event, Mask};
use crate::plan::Call;

/// The steps of an execution, to be taken again.
#[derive(Debug)]
pub(super) struct Repeat<'e> {
    execution: &'e Execution<()>,
    at: usize,
    enabled: Vec<Mask>,
}

impl<'e> Repeat<'e> {
    pub fn of(execution: &'e Execution<()>) -> Self {
        Self { execution, at: 0, enabled: Vec::new() }
    }

    /// Runs it again; the error tells both traces where they part.
    pub fn must_come_again(
        mut self,
        lane: &mut Lane,
        programs: &[Vec<Call>],
        planned: &[Planned],
        number: u64,
    ) -> Result<(), StageError> {
        let again = lane.run(programs, planned, &mut self, &mut ())?;
        let (again, _) = again.split();
        if again.events == self.execution.events && again.end == self.execution.end {
            return Ok(());
        }
        let parted =
            again.events.iter().zip(&self.execution.events).take_while(|(one, other)| one == other).count();
        let tell = |execution: &Execution<()>| {
            let around = execution.events.iter().enumerate().skip(parted.saturating_sub(5)).take(8);
            let lines = around.map(|(index, event)| {
                let mark = if index == parted { ">" } else { " " };
                format!("  {mark} {:>3} p{} {}", index + 1, event.process + 1, event.step.label)
            });
            lines.collect::<Vec<_>>().join("\n")
        };
        Err(StageError::Io(io::Error::other(format!(
            "uncontrolled nondeterminism: schedule {number} was run once more and took another course at step {}\nfirst:\n{}\nthen:\n{}",
            parted + 1,
            tell(self.execution),
            tell(&again),
        ))))
    }
}

impl Chooser for Repeat<'_> {
    fn choose(&mut self, point: &Point<'_>) -> Pick {
        self.enabled.push(point.enabled);
        match self.execution.events.get(self.at) {
            Some(event) if point.enabled.has(event.process) => Pick::Step(event.process),
            _ => Pick::Abandon,
        }
    }

    fn happened(&mut self, _event: &Event) {
        self.at += 1;
    }
}
