//! The stress engine: lets real processes run freely, and records what they do.
//!
//! On the harness's side there is little: lay the shared region out, send the order, show progress, and put together
//! what was seen. The zygote's side supervises; the workers' side chooses, performs and records.

mod auditor;
mod choice;
mod collect;
mod context;
mod examine;
mod fresh;
mod killer;
mod limits;
mod pause;
mod stillness;
mod supervise;
mod wire;
mod worker;
mod workers;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(crate) use supervise::supervise;
pub(crate) use wire::{StressTask, WireAnswer};

pub(crate) use self::examine::{copy_tree, left_beside, remains, sort};
use self::wire::{Departure, Finished, Recording, Report};
use super::{EngineError, Progress, StressRun, UNTOLD, UNWATCHED};
use crate::evidence::Stall;
use crate::plan::StressPlan;
use crate::plan::schedule::Fault;
use crate::process::clock::now_ns;
use crate::process::region::Region;
use crate::process::{Marker, Zygote};

/// How often progress is shown, and the wish to stop looked at.
const UPDATE: Duration = Duration::from_millis(100);

/// Runs the plan. Setting `stop` ends it early and cleanly: what was seen until then is given back.
///
/// The root is left as the examiner left it, with every container deleted by force where that was possible; beside it,
/// in a folder of the same name with `.left`, lies a copy of the root as the workers left it, unless it was large.
pub fn run(
    zygote: &mut Zygote,
    plan: &StressPlan,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<StressRun, EngineError> {
    run_with(zygote, plan, &Terms::default(), stop, progress)
}

/// What a run may be told beyond its plan.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The marker that the run's processes carry: for who marks files with it too.
    pub marker: Marker,
    /// Most operations that one worker's log may hold; as many as memory allows, where it is not said.
    pub log_entries_max: Option<u64>,
}

impl Default for Terms {
    fn default() -> Self {
        Self { marker: Marker::next(), log_entries_max: None }
    }
}

/// As [`run`], on terms.
pub fn run_with(
    zygote: &mut Zygote,
    plan: &StressPlan,
    terms: &Terms,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<StressRun, EngineError> {
    let called_ns = now_ns();
    let traits = zygote.builder()(&plan.subject).map_err(EngineError::Failed)?.traits();
    if plan.kill_every_ns.is_some() && !traits.takes(Fault::Kill) {
        return Err(EngineError::Failed(
            "stress.kill_every: kill does not fit the subject, as it says of itself".into(),
        ));
    }
    let Conducted { region, departures, finished } =
        conduct(zygote, plan, terms, Recording::Full, stop, progress)?;
    let names = context::container_names(plan.containers);
    let overlaps = collect::overlaps(&region, &departures);
    let sections = region.headers().iter().map(|header| header.sections.load(Ordering::Relaxed)).sum();
    let (mut history, lacks) = collect::history(&region, names);
    history.deaths = traits.deaths;
    history.model = traits.model;
    let holds = collect::holds(&region, &history);
    let (first_ns, last_ns) = collect::span_ns(&history, plan.processes).unwrap_or((called_ns, called_ns));
    let stall = finished.stall.map(|still| Stall { since_ns: still.since_ns, waiting: still.waiting });
    Ok(StressRun {
        history,
        overlaps,
        tokens: if traits.tokens { Ok(()) } else { Err(UNTOLD) },
        entered: if traits.watch { Ok(sections) } else { Err(UNWATCHED) },
        holds: if traits.watch { Ok(holds) } else { Err(UNWATCHED) },
        exits: departures.into_iter().map(Departure::into_exit).collect(),
        quiet: examine::quiet_from(finished.observations, plan.containers, &traits),
        stall,
        duration_ns: last_ns - first_ns,
        startup_ns: first_ns - called_ns,
        ended: finished.ended,
        kills: finished.kills,
        lacks,
    })
}

/// From the first worker's start to the last one's end, in nanoseconds, of a run with or without recording: the measure
/// of what recording costs. The plan's budget is a number of operations; nothing is examined where nothing is recorded.
#[doc(hidden)]
pub fn measure(zygote: &mut Zygote, plan: &StressPlan, recorded: Recorded) -> Result<u64, EngineError> {
    let recording = match recorded {
        Recorded::Yes => Recording::Full,
        Recorded::No => Recording::Off,
    };
    let stop = AtomicBool::new(false);
    let conducted = conduct(zygote, plan, &Terms::default(), recording, &stop, &())?;
    let workers = &conducted.region.headers()[..plan.processes as usize];
    let started = workers.iter().map(|header| header.started_ns.load(Ordering::Acquire)).min();
    let finished = workers.iter().map(|header| header.finished_ns.load(Ordering::Acquire));
    let unfinished = EngineError::Failed("a worker did not finish its share".into());
    let finished = finished.clone().min().filter(|&least| least > 0).and(finished.max());
    started.zip(finished).map(|(started, finished)| finished - started).ok_or(unfinished)
}

/// Whether [`measure`] records.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// As every real run does.
    Yes,
    /// The same loop without it.
    No,
}

/// For whoever does not want to hear of progress.
impl Progress for () {
    fn update(&self, _operations: u64, _violations: u64) {}
}

/// A run that is over, and has not been put together.
struct Conducted {
    region: Region,
    departures: Vec<Departure>,
    finished: Finished,
}

fn conduct(
    zygote: &Zygote,
    plan: &StressPlan,
    terms: &Terms,
    recording: Recording,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<Conducted, EngineError> {
    let mut layout = limits::layout(plan)?;
    layout.worker_entries = layout.worker_entries.min(terms.log_entries_max.unwrap_or(u64::MAX));
    if recording == Recording::Off {
        layout.holds_per_entry = 0;
    }
    let region = Region::create(layout).map_err(|error| {
        EngineError::Failed(format!("cannot make a log of {} bytes: {error}", layout.bytes()))
    })?;
    let order = StressTask { plan: plan.clone(), layout, marker: terms.marker.to_string(), recording };
    let lost = |error: io::Error| EngineError::Failed(format!("lost the zygote: {error}"));
    zygote.order(&super::ServerTask::Stress(Box::new(order)), &region).map_err(lost)?;
    let mut departures = Vec::new();
    let mut updated_ns = 0;
    loop {
        let now_ns = now_ns();
        if now_ns - updated_ns >= UPDATE.as_nanos() as u64 {
            updated_ns = now_ns;
            show(&region, plan, progress);
        }
        if stop.load(Ordering::Relaxed) {
            let end = &region.control().end;
            _ = end.compare_exchange(0, worker::END_STOP, Ordering::AcqRel, Ordering::Relaxed);
        }
        match zygote.report(UPDATE).map_err(lost)? {
            None => {}
            Some(Report::Departed(departure)) => departures.push(departure),
            Some(Report::Failed(why)) => return Err(EngineError::Failed(why)),
            Some(Report::Finished(finished)) => {
                show(&region, plan, progress);
                return Ok(Conducted { region, departures, finished });
            }
        }
    }
}

fn show(region: &Region, plan: &StressPlan, progress: &dyn Progress) {
    let workers = region.headers().iter().take(plan.processes as usize);
    let operations = workers.map(|header| header.completed.load(Ordering::Relaxed)).sum();
    let torn = region.headers().iter().map(|header| header.torn.load(Ordering::Relaxed)).sum::<u64>();
    let control = region.control();
    let overlaps = control.overlaps_unexcused.load(Ordering::Relaxed);
    progress.update(operations, torn + overlaps + control.crashes.load(Ordering::Relaxed));
}
