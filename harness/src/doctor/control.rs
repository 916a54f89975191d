//! Whether processes can be controlled, as `flockwork explore` does it: tried with a real process that creates a
//! container, stopped at each of its system calls, its lock taken for it.

use std::io;
use std::path::Path;

use flockwork::{LockKind, Operation};

use super::{Health, Probe};
use crate::engine::EngineError;
use crate::engine::explore::Executor;
use crate::explore::machine::{Chooser, Pick, Point};
use crate::explore::step::Event;
use crate::plan::parts::Parts;
use crate::plan::{Call, ExploreBudget, ExplorePlan, LibraryPlan, RepeatPlan, StrategyPlan, SubjectPlan};
use crate::process::Zygote;
use crate::scratch::Scratch;
use crate::words::plural;

/// Names what explorations rest on.
const NAME: &str = "user notification";
/// What makes them fast.
const WAKING: &str = "wake-up in step";

/// Controls a process below `base`.
pub fn examine(zygote: &io::Result<Zygote>, base: &Path) -> Vec<Probe> {
    let tried = match zygote {
        Ok(zygote) => control(zygote, base),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            Err(EngineError::Unsupported(format!("no process can be started: {error}")))
        }
        Err(error) => Err(EngineError::Failed(format!("no process can be started: {error}"))),
    };
    match tried {
        Ok(Tried { steps, wakes_in_step }) => {
            let steps = plural(steps as u64, "step");
            let detail = format!("controlled a process for {steps}, its lock call included");
            vec![Probe::new(NAME, Health::Ok, detail), waking(wakes_in_step)]
        }
        // Every scenario but explorations runs without.
        Err(error) if error.is_unsupported() => {
            vec![Probe::new(NAME, Health::Optional, format!("{error}; explorations need it"))]
        }
        Err(error) => vec![Probe::new(NAME, Health::Broken, error.to_string())],
    }
}

fn waking(wakes_in_step: bool) -> Probe {
    if wakes_in_step {
        return Probe::new(WAKING, Health::Ok, "a controlled step is one switch between processes and back");
    }
    Probe::new(WAKING, Health::Optional, "without it, explorations take longer (needs Linux 6.6)")
}

struct Tried {
    steps: usize,
    wakes_in_step: bool,
}

fn control(zygote: &Zygote, base: &Path) -> Result<Tried, EngineError> {
    let scratch = Scratch::create(base).map_err(|error| EngineError::Failed(error.to_string()))?;
    let plan = plan(&scratch);
    let mut executor = Executor::open(zygote, &plan)?;
    let execution = executor.run(&plan.processes, &[], &mut Onwards)?;
    let steps = execution.events.len();
    if !execution.events.iter().any(|event| event.step.lock.is_some()) {
        return Err(EngineError::Failed("a controlled process took no lock".into()));
    }
    Ok(Tried { steps, wakes_in_step: executor.wakes_in_step().unwrap_or(false) })
}

fn plan(scratch: &Scratch) -> ExplorePlan {
    ExplorePlan {
        subject: SubjectPlan::Library(LibraryPlan { lock: LockKind::Std, ..LibraryPlan::default() }),
        root: scratch.root(),
        seed: 1,
        containers: vec!["c1".into()],
        setup: Vec::new(),
        processes: vec![vec![Call { operation: Operation::Create, container: 0 }]],
        strategy: StrategyPlan::Random,
        faults: Vec::new(),
        fault_bound: 0,
        budget: ExploreBudget { schedules: 1, time_ns: u64::MAX },
        repeat: RepeatPlan::USUAL,
        payload_bytes: 64,
        step_ns: 60_000_000_000,
        steps_max: 10_000,
        lanes: 1,
        parts: Parts::ALL,
        power: None,
    }
}

/// The one process goes on.
struct Onwards;

impl Chooser for Onwards {
    fn choose(&mut self, point: &Point<'_>) -> Pick {
        point.enabled.lowest().map_or(Pick::Abandon, Pick::Step)
    }

    fn happened(&mut self, _: &Event) {}
}
