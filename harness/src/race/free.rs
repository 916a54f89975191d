//! Free-running executions: commands start at once or a little apart, are stopped at random moments where that is wanted, and
//! the machine decides the rest.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::error::RaceError;
use super::judge::{Broken, Judge, Judged};
use super::run::{Played, Round};
use super::site::Site;
use super::{Again, Discovery, NoBaseline, RaceRun, Seen};
use crate::engine::{Ended, Progress};
use crate::explore::strategy::sampling::Dice;
use crate::plan::race::{Mode, RacePlan};

/// How long a stop of a perturbed process lasts at most, unless the plan says otherwise, in nanoseconds.
const STOP_NS_MAX: u64 = 2_000_000;
/// How many executions look whether a finding shows again.
const AGAIN_MAX: u64 = 50;
/// How long they may take.
const AGAIN_TIME: Duration = Duration::from_secs(2);

/// Runs executions until the budget is used up, or a promise is broken.
pub(super) fn run(
    site: &mut Site,
    judge: &mut Judge,
    plan: &RacePlan,
    run: &mut RaceRun,
    until: Instant,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<(), NoBaseline> {
    while plan.budget.executions.is_none_or(|most| run.executions < most) {
        if stop.load(Ordering::Relaxed) {
            run.ended = Ended::Interrupted;
            return Ok(());
        }
        if Instant::now() >= until {
            return Ok(());
        }
        let round = round(plan, judge, run.executions + run.diverged);
        let played = site.overlapped(&round)?;
        if played.is_spoilt {
            run.diverged += 1;
            continue;
        }
        run.executions += 1;
        run.met |= played.has_met();
        run.faulted += u64::from(round.kill.is_some());
        progress.update(run.executions, run.discoveries.len() as u64);
        if let Some((played, broken)) = broken(site, judge, played, run)? {
            let again = again(site, judge, plan, run, &broken)?;
            run.discoveries.push(Discovery {
                broken,
                seen: Seen::Free(Box::new(played)),
                number: run.executions,
                again,
            });
            return Ok(());
        }
    }
    Ok(())
}

/// What an execution broke, where it stands when all orders have been run once more: what differs with time is no difference.
fn broken(
    site: &mut Site,
    judge: &mut Judge,
    played: Played,
    run: &mut RaceRun,
) -> Result<Option<(Played, Broken)>, NoBaseline> {
    match judge.judge(site, &played)? {
        Judged::Legal { left_over } => {
            run.left_over.extend(left_over);
            return Ok(None);
        }
        Judged::Broken(_) => {}
    }
    judge.baseline.refresh(site)?;
    Ok(match judge.judge(site, &played)? {
        Judged::Legal { .. } => None,
        Judged::Broken(broken) => Some((played, broken)),
    })
}

/// How often the same shows again in executions of the same kind.
fn again(
    site: &mut Site,
    judge: &mut Judge,
    plan: &RacePlan,
    run: &RaceRun,
    broken: &Broken,
) -> Result<Again, NoBaseline> {
    let until = Instant::now() + AGAIN_TIME;
    let mut again = Again { times: 0, shown: 0 };
    // One that takes its whole time limit is not run again and again.
    let most = if broken.waiting.is_empty() { AGAIN_MAX } else { 1 };
    while again.times < most && (again.times < 3 || Instant::now() < until) {
        let round = round(plan, judge, run.executions + again.times);
        let played = site.overlapped(&round)?;
        again.times += 1;
        let is_shown = !played.is_spoilt
            && matches!(judge.judge(site, &played)?, Judged::Broken(other) if other.class == broken.class);
        again.shown += u64::from(is_shown);
    }
    Ok(again)
}

/// What is done in an execution: decided by the seed and its number.
fn round(plan: &RacePlan, judge: &Judge, number: u64) -> Round {
    let mut dice = Dice::of(plan.seed, number);
    let took_ns = &judge.baseline.took_ns;
    let below = |dice: &mut Dice, most: u64| dice.number() % most.max(1);
    // Half of them start together, as two people would who press a key; the others apart by at most what one takes.
    let longest_ns = took_ns.iter().copied().max().unwrap_or(0);
    let together = below(&mut dice, 2) == 0;
    let delays_ns: Vec<u64> =
        took_ns.iter().map(|_| if together { 0 } else { below(&mut dice, longest_ns) }).collect();
    let mut round = Round { delays_ns, ..Round::default() };
    let stop_ns = match &plan.mode {
        Mode::Free => None,
        Mode::Auto => Some(0..=STOP_NS_MAX),
        Mode::Perturbed(range) => Some(range.clone()),
    };
    // One in four runs as it would: what hangs is believed only where nobody was stopped.
    if let Some(range) = stop_ns.filter(|_| below(&mut dice, 4) != 0) {
        for (process, took_ns) in took_ns.iter().enumerate() {
            for _ in 0..below(&mut dice, 4) {
                let at_ns = round.delays_ns[process] + below(&mut dice, *took_ns);
                let for_ns = range.start() + below(&mut dice, range.end() - range.start() + 1);
                round.stops.push((process, at_ns, for_ns));
            }
        }
    }
    if !plan.faults.is_empty() && below(&mut dice, 2) == 0 {
        let process = dice.below(took_ns.len());
        let at_ns = round.delays_ns[process] + below(&mut dice, took_ns[process] * 5 / 4);
        round.kill = Some((process, at_ns));
    }
    round
}

impl From<std::io::Error> for NoBaseline {
    fn from(error: std::io::Error) -> Self {
        Self::Error(RaceError::from(error))
    }
}
