//! From stress to explore: a violation seen while processes ran freely becomes explorations of the few operations that
//! took part, so that a race seen once ends as a schedule that fails every time.
//!
//! Pure: it makes plans from a history and runs nothing. What it makes is a guess (which operations matter, in which
//! status the container was), so whoever runs the plans says whether the class appeared, and claims nothing else.

mod fail;
mod part;

use std::path::Path;

use flockwork::{Operation, Status};

use crate::history::{History, Outcome, Record};
use crate::plan::parts::Parts;
use crate::plan::schedule::Fault;
use crate::plan::{Call, ExploreBudget, ExplorePlan, RepeatPlan, StrategyPlan, StressPlan};
use crate::subject;
use crate::violation::Violation;

/// At most this many schedules are tried of one guess by a strategy that samples. With faults they are shared among the
/// sets of faults, one in 64 for each.
const SCHEDULES_SAMPLED: u64 = 400;
const SCHEDULES_SAMPLED_WITH_FAULTS: u64 = 1_280;
/// At most this many are tried of one guess, where they are tried one after the other.
const SCHEDULES: u64 = 20_000;
/// Bounds of the preemptions, in the order in which they are tried: most races need one.
const PREEMPTIONS: [u32; 3] = [1, 2, 3];
/// There is little time, and whatever is found is followed again when it is shrunk.
const REPEAT_ONE_IN: u64 = 50;
const STEP_NS: u64 = 5_000_000_000;
const STEPS_MAX: usize = 10_000;

/// Why a violation cannot be turned into an exploration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unexplained {
    /// It is not about one container.
    #[error("it concerns no single container")]
    NoContainer,
    /// No operation shows it.
    #[error("no operation shows it")]
    NoOperation,
    /// The subject's processes have children.
    #[error("its sandbox starts processes of its own, which exploration does not control")]
    Children,
}

/// The explorations to try, the likeliest first; the class is to appear in one of them. None has a root yet.
///
/// Each guess is first sampled, which finds most races soon, however many operations there are; then each is explored
/// with more and more preemptions.
pub fn explorations(
    stress: &StressPlan,
    history: &History,
    violation: &Violation,
) -> Result<Vec<ExplorePlan>, Unexplained> {
    let container = part::container(history, violation).ok_or(Unexplained::NoContainer)?;
    if subject::build(&stress.subject).is_ok_and(|subject| subject.traits().children) {
        return Err(Unexplained::Children);
    }
    let parts = part::parts(history, violation, container);
    if parts.is_empty() {
        return Err(Unexplained::NoOperation);
    }
    let guesses: Vec<ExplorePlan> =
        parts.iter().flat_map(|part| guesses(stress, history, container, part)).collect();
    let sampled = guesses.iter().map(|guess| {
        let schedules =
            if guess.faults.is_empty() { SCHEDULES_SAMPLED } else { SCHEDULES_SAMPLED_WITH_FAULTS };
        with(guess, StrategyPlan::Pos, schedules)
    });
    let explored = PREEMPTIONS.iter().flat_map(|&bound| {
        let strategy = StrategyPlan::Exhaustive { preemptions: Some(bound) };
        guesses.iter().map(move |guess| with(guess, strategy.clone(), SCHEDULES))
    });
    Ok(sampled.chain(explored).collect())
}

fn with(guess: &ExplorePlan, strategy: StrategyPlan, schedules: u64) -> ExplorePlan {
    let budget = ExploreBudget { schedules, time_ns: u64::MAX };
    ExplorePlan { strategy, budget, ..guess.clone() }
}

/// Some operations, from every status in which the container may have been.
fn guesses(stress: &StressPlan, history: &History, container: u32, part: &[&Record]) -> Vec<ExplorePlan> {
    let from_ns = part.iter().map(|record| record.invoke_ns).min().unwrap_or(0);
    let (subject, lives) = fail::as_they_did(&stress.subject, part::lives(part));
    let call = |record: &&Record| Call { operation: record.operation, container: 0 };
    let processes: Vec<Vec<Call>> = lives.iter().map(|life| life.iter().map(call).collect()).collect();
    let is_killed = part.iter().any(|record| record.outcome == Outcome::Unknown);
    let name = history.containers.get(container as usize).cloned().unwrap_or_default();
    let plan = |status| ExplorePlan {
        subject: subject.clone().with_workers(processes.len() as u32),
        root: Path::new("").into(),
        seed: stress.seed,
        containers: vec![name.clone()],
        setup: setup(status),
        processes: processes.clone(),
        strategy: StrategyPlan::Pos,
        faults: if is_killed { vec![Fault::Kill, Fault::ShortWriteKill] } else { Vec::new() },
        fault_bound: u32::from(is_killed),
        budget: ExploreBudget { schedules: SCHEDULES, time_ns: u64::MAX },
        repeat: RepeatPlan::one_in(REPEAT_ONE_IN),
        payload_bytes: stress.payload_bytes,
        step_ns: STEP_NS,
        steps_max: STEPS_MAX,
        lanes: std::thread::available_parallelism().map_or(1, |count| count.get() as u32),
        parts: Parts::ALL,
        power: None,
    };
    statuses(stress, part::status_before(history, container, from_ns)).into_iter().map(plan).collect()
}

/// The likeliest status, and after it those that the run's operations lead to, the one in which most operations have
/// something to do first.
fn statuses(stress: &StressPlan, likeliest: Option<Status>) -> Vec<Option<Status>> {
    let others =
        [Some(Status::Running), Some(Status::Created), Some(Status::Paused), Some(Status::Stopped), None];
    let is_chosen = |call: &Call| stress.mix.iter().any(|(operation, _)| *operation == call.operation);
    let others =
        others.into_iter().filter(|other| *other != likeliest && setup(*other).iter().all(is_chosen));
    std::iter::once(likeliest).chain(others).collect()
}

/// The operations that bring an absent container into a status.
fn setup(status: Option<Status>) -> Vec<Call> {
    use Operation::{Create, Kill, Pause, Start};
    let operations: &[Operation] = match status {
        None => &[],
        Some(Status::Created) => &[Create],
        Some(Status::Running) => &[Create, Start],
        Some(Status::Paused) => &[Create, Start, Pause],
        Some(Status::Stopped) => &[Create, Start, Kill],
    };
    operations.iter().map(|operation| Call { operation: *operation, container: 0 }).collect()
}

#[cfg(test)]
mod tests;
