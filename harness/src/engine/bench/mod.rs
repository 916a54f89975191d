//! The benchmark engine: lets real processes contend for locks, cell by cell and round by round, and measures them.
//!
//! The rounds of all cells run in one random order, so that whatever drifts meanwhile hits all alike. A round is a life
//! of its own: fresh processes, fresh shared memory. On the harness's side there is little: choose the order, prepare
//! the folders, send the round to the zygote and put together what its workers left. Nothing here judges.

mod bare;
#[cfg(test)]
mod calibrate;
mod choice;
mod clock;
mod collect;
mod command;
#[doc(hidden)]
pub mod cost;
mod door;
mod ground;
mod job;
mod labour;
mod locker;
mod meter;
mod noise;
mod operate;
mod pace;
mod supervise;
mod wire;
mod worker;
mod workers;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::resource::UsageWho;
pub(crate) use supervise::supervise;
pub(crate) use wire::BenchTask;

use self::choice::{below, stream};
use self::ground::Ground;
use self::meter::cpu_ns;
use self::noise::{Counters, Disturbance};
use self::wire::{Finished, Report};
use super::EngineError;
use crate::measure::Cell;
use crate::plan::bench::{BenchPlan, CellPlan};
use crate::process::arena::{Arena, Size};
use crate::process::{Marker, Zygote};

/// How often the wish to stop is looked at.
const UPDATE: Duration = Duration::from_millis(50);

/// The stream of the order of rounds; workers have their numbers.
const ORDER_STREAM: u64 = u64::MAX;

/// What a benchmark gives back.
#[derive(Debug)]
pub struct BenchRun {
    /// The cells, in the order of the grid.
    pub cells: Vec<Cell>,
    /// Whether every cell got all its rounds.
    pub complete: bool,
}

/// Progress of a benchmark, for whoever shows it.
pub trait Progress {
    /// So many rounds are over, and the next is of this cell.
    fn round(&self, done: u64, next: &CellPlan);
}

/// For whoever does not want to hear of progress.
impl Progress for () {
    fn round(&self, _done: u64, _next: &CellPlan) {}
}

/// Runs the plan. Setting `stop` ends it early and cleanly: what was measured until then is given back.
pub fn run(
    zygote: &mut Zygote,
    plan: &BenchPlan,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<BenchRun, EngineError> {
    let mut bench = Bench {
        zygote,
        plan,
        stop,
        marker: Marker::next(),
        ground: Ground::new(&plan.roots),
        cells: plan.cells.iter().map(empty).collect(),
        begun: vec![0; plan.cells.len()],
    };
    // All that the machine lacks shows before anything is measured.
    for cell in &plan.cells {
        bench.ground.folder(cell)?;
    }
    let order = order(plan);
    let mut done = 0;
    for &index in &order {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        progress.round(u64::from(done), &plan.cells[index]);
        if bench.round(index, done)? == Ended::Stopped {
            break;
        }
        done += 1;
    }
    let is_watched = Counters::look().is_some();
    let mut cells = bench.cells;
    for cell in &mut cells {
        cell.warnings = noise::warnings(&cell.rounds, plan.warm_up_ns, is_watched);
    }
    Ok(BenchRun {
        complete: done as usize == order.len() && cells.iter().all(|cell| cell.invalid.is_none()),
        cells,
    })
}

fn empty(cell: &CellPlan) -> Cell {
    Cell { point: cell.point.clone(), rounds: Vec::new(), invalid: None, warnings: Vec::new() }
}

/// The cell of each round: every cell as often as there are rounds, shuffled by Fisher and Yates.
fn order(plan: &BenchPlan) -> Vec<usize> {
    let each = |_| 0..plan.cells.len();
    let mut order: Vec<usize> = (0..plan.rounds).flat_map(each).collect();
    let mut generator = stream(plan.seed, ORDER_STREAM);
    for last in (1..order.len()).rev() {
        order.swap(last, below(&mut generator, last as u64 + 1) as usize);
    }
    order
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// It was measured, or it was not and its cell says why.
    Over,
    /// The user stopped it, and it counts for nothing.
    Stopped,
}

struct Bench<'b> {
    zygote: &'b Zygote,
    plan: &'b BenchPlan,
    stop: &'b AtomicBool,
    marker: Marker,
    ground: Ground<'b>,
    cells: Vec<Cell>,
    /// How many rounds of each cell have begun.
    begun: Vec<u32>,
}

impl Bench<'_> {
    fn round(&mut self, index: usize, order: u32) -> Result<Ended, EngineError> {
        let cell = &self.plan.cells[index];
        self.begun[index] += 1;
        let size = Size { processes: cell.processes, containers: cell.containers };
        let arena = Arena::create(size).map_err(|error| {
            EngineError::Failed(format!("cannot make the shared memory of a round: {error}"))
        })?;
        let (counters, own_ns) = (Counters::look(), cpu_ns(UsageWho::RUSAGE_SELF));
        let finished = self.conduct(cell, order, &arena)?;
        if self.stop.load(Ordering::Relaxed) {
            return Ok(Ended::Stopped);
        }
        let own_ns = cpu_ns(UsageWho::RUSAGE_SELF) - own_ns;
        let finished = finished.map(|cpu_ns| match (counters, Counters::look()) {
            (Some(before), Some(after)) => after.since(before, own_ns + cpu_ns),
            _ => Disturbance::default(),
        });
        let timing = (order, self.plan.duration_ns);
        match finished.and_then(|disturbance| collect::round(&arena, cell, timing, disturbance)) {
            Ok(round) => self.cells[index].rounds.push(round),
            Err(why) => self.invalidate(index, &why),
        }
        Ok(Ended::Over)
    }

    /// Whoever died may have left the folder in any state, so nobody uses it again.
    fn invalidate(&mut self, index: usize, why: &str) {
        let why = format!("in round {} {why}", self.begun[index]);
        let invalid = &mut self.cells[index].invalid;
        *invalid = Some(match invalid.take() {
            Some(earlier) => format!("{earlier}; {why}"),
            None => why,
        });
        self.ground.abandon(&self.plan.cells[index]);
    }

    /// Has the zygote run the round, and gives back how much of the processors all its processes had; an answer that is
    /// an error says why the round counts for nothing.
    fn conduct(
        &mut self,
        cell: &CellPlan,
        order: u32,
        arena: &Arena,
    ) -> Result<Result<u64, String>, EngineError> {
        let message = BenchTask {
            cell: cell.clone(),
            folder: self.ground.folder(cell)?,
            seed: self.plan.seed ^ u64::from(order).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            warm_up_ns: self.plan.warm_up_ns,
            duration_ns: self.plan.duration_ns,
            size: arena.size(),
            marker: self.marker.to_string(),
        };
        let lost = |error: io::Error| EngineError::Failed(format!("lost the zygote: {error}"));
        self.zygote.order(&super::ServerTask::Bench(Box::new(message)), arena.region()).map_err(lost)?;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                arena.region().control().end.store(1, Ordering::Release);
            }
            match self.zygote.report(UPDATE).map_err(lost)? {
                None => {}
                Some(Report::Failed(why)) => return Ok(Err(why)),
                Some(Report::Finished(Finished { departures, cpu_ns })) => {
                    return Ok(departures.first().map_or(Ok(cpu_ns), |departure| Err(departure.words())));
                }
            }
        }
    }
}
