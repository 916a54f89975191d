//! What control costs over what the kernel takes for it: for the benchmarks alone.

use std::time::{Duration, Instant};

use super::control::ControlError;
use super::lane::Lane;
use crate::engine::EngineError;
use crate::explore::machine::{Chooser, Pick, Point};
use crate::explore::step::Event;
use crate::plan::ExplorePlan;
use crate::process::Zygote;

/// Two batches, one behind the other on the same processes.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How many steps the controlled batch took.
    pub steps: u64,
    /// How many times a process stopped in it: at a step, at a call that concerns nobody, or for a request.
    pub stops: u64,
    /// What it took, from the state after setup to the last return, without judging.
    pub controlled: Duration,
    /// What as many bare notifications took: a process stops, and is answered.
    pub bare: Duration,
}

/// Runs this plan's programs, one process behind the other, so many times a batch, and as many bare notifications as
/// the processes stopped in it.
pub fn pace(
    zygote: &mut Zygote,
    plan: &ExplorePlan,
    batches: usize,
    executions: u32,
) -> Result<Vec<Pace>, EngineError> {
    let mut lane = Lane::open(zygote, plan, 0)?;
    // A thread of its own: the caller is to go on anywhere.
    std::thread::scope(|scope| {
        let measured = scope.spawn(|| {
            lane.settle();
            (0..=batches).map(|_| batch(&mut lane, plan, executions)).skip(1).collect::<Result<_, _>>()
        });
        match measured.join() {
            Ok(paces) => paces.map_err(EngineError::from),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn batch(lane: &mut Lane, plan: &ExplorePlan, executions: u32) -> Result<Pace, ControlError> {
    let (before, mut steps, since) = (lane.control.stops(), 0, Instant::now());
    for _ in 0..executions {
        steps += lane.run(&plan.processes, &[], &mut InTurn, &mut ())?.events.len() as u64;
    }
    let (controlled, count) = (since.elapsed(), lane.control.stops() - before);
    let begun = Instant::now();
    lane.control.round_trips(count)?;
    Ok(Pace { steps, stops: count, controlled, bare: begun.elapsed() })
}

/// Whoever comes first goes on to its end.
struct InTurn;

impl Chooser for InTurn {
    fn choose(&mut self, point: &Point<'_>) -> Pick {
        point.enabled.lowest().map_or(Pick::Abandon, Pick::Step)
    }

    fn happened(&mut self, _: &Event) {}
}
