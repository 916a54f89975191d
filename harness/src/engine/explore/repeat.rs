//! Repetition: an execution is run once more, and must take the same steps. What does not depends on something that is
//! not controlled, and then nothing that was concluded from one execution holds for another.

use std::io;

use super::control::{Planned, StageError};
use super::lane::Lane;
use super::machine::Execution;
use super::strategy::replay::{Fidelity, Follower, Turn};
use crate::plan::Call;

/// Runs an execution again; the error tells both traces where they part.
pub(super) fn must_come_again(
    lane: &mut Lane,
    programs: &[Vec<Call>],
    planned: &[Planned],
    first: &Execution<()>,
    number: u64,
) -> Result<(), StageError> {
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
    Err(StageError::Io(io::Error::other(format!(
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
