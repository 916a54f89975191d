//! Free-running executions: commands start at once or a little apart, their calls are delayed where that is wanted, and the
//! machine decides the rest.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::error::RaceError;
use super::judge::{Broken, Judge, Judged};
use super::outcome::Ending;
use super::perturbed::{Disturbance, Perturber, Undone};
use super::run::{Played, Round};
use super::site::Site;
use super::{Again, Discovery, NoBaseline, Place, RaceRun, Seen};
use crate::engine::{Ended, Progress};
use crate::explore::strategy::sampling::Dice;
use crate::plan::race::{Mode, RacePlan};

/// How long a call is delayed at most, unless the plan says otherwise, in nanoseconds.
const DELAY_NS_MAX: u64 = 2_000_000;
/// How many executions look whether a finding shows again.
const AGAIN_MAX: u64 = 50;
/// How long they may take.
const AGAIN_TIME: Duration = Duration::from_secs(2);

/// Free executions of a race.
pub(super) struct Free<'a> {
    pub site: &'a mut Site,
    pub judge: &'a mut Judge,
    pub plan: &'a RacePlan,
    pub run: &'a mut RaceRun,
    /// What delays calls, where that is wanted and can be.
    perturber: Option<Perturber>,
}

impl<'a> Free<'a> {
    /// Makes ready for them. Where calls are to be delayed and cannot be, why is noted.
    pub fn new(
        site: &'a mut Site,
        judge: &'a mut Judge,
        plan: &'a RacePlan,
        run: &'a mut RaceRun,
        place: &Place<'_>,
    ) -> Self {
        let range_ns = match &plan.mode {
            Mode::Free => None,
            Mode::Auto => Some(0..=DELAY_NS_MAX),
            Mode::Perturbed(range) => Some(range.clone()),
        };
        let opened = range_ns.map(|range_ns| Perturber::open(place.zygote, site, place.root, range_ns));
        let perturber = match opened.transpose() {
            Ok(perturber) => perturber,
            Err(error) => {
                run.unperturbed = Some(error.to_string());
                None
            }
        };
        Self { site, judge, plan, run, perturber }
    }

    /// What commands change outside of the state folders, where they are to run freely: then nobody sees it. One execution, of
    /// which nothing is judged, is run to tell it, where the kernel lets anybody look.
    pub fn look(&mut self, place: &Place<'_>) -> Result<(), NoBaseline> {
        if self.plan.mode != Mode::Free || self.site.containers.is_some() {
            return Ok(());
        }
        let Ok(mut looker) = Perturber::open(place.zygote, self.site, place.root, 0..=0) else {
            return Ok(());
        };
        let calm = Disturbance { delays_ns: vec![0; self.plan.processes.len()], kill: None };
        match looker.run(self.site, &calm, &mut Dice::of(self.plan.seed, 0)) {
            Ok((_, touched)) => self.run.touched_outside.extend(touched),
            Err(Undone::Race(error)) => return Err(error.into()),
            Err(Undone::Machine(_)) => {}
        }
        Ok(())
    }

    /// Runs executions until the budget is used up, or a promise is broken.
    pub fn conduct(
        &mut self,
        until: Instant,
        stop: &AtomicBool,
        progress: &dyn Progress,
    ) -> Result<(), NoBaseline> {
        while self.plan.budget.executions.is_none_or(|most| self.run.executions < most) {
            if stop.load(Ordering::Relaxed) {
                self.run.ended = Ended::Interrupted;
                return Ok(());
            }
            if Instant::now() >= until {
                return Ok(());
            }
            let played = self.one(self.run.executions + self.run.diverged)?;
            if played.is_spoilt {
                self.run.diverged += 1;
                continue;
            }
            let (met, is_interrupted) = (played.has_met(), played.is_interrupted);
            // A kill that came when its command had ended already was none.
            let is_faulted = played.outcome.commands().any(|(_, done)| done.ending == Ending::Killed);
            let broken = broken(self.site, self.judge, played, self.run)?;
            if is_interrupted && broken.is_some() {
                self.run.diverged += 1;
                continue;
            }
            self.run.executions += 1;
            self.run.met |= met;
            self.run.faulted += u64::from(is_faulted);
            progress.update(self.run.executions, self.run.discoveries.len() as u64);
            if let Some((played, broken)) = broken {
                let number = self.run.executions;
                let again = self.again(&broken)?;
                self.run.discoveries.push(Discovery {
                    lost: None,
                    broken,
                    seen: Seen::Free(Box::new(played)),
                    number,
                    again,
                });
                return Ok(());
            }
        }
        Ok(())
    }

    /// One execution, decided by the seed and its number.
    fn one(&mut self, number: u64) -> Result<Played, NoBaseline> {
        let mut dice = Dice::of(self.plan.seed, number);
        let round = round(self.plan, self.judge.baseline.took_ns, &mut dice);
        // One in four runs as it would.
        let disturbs = below(&mut dice, 4) != 0;
        if let Some(perturber) = self.perturber.as_mut().filter(|_| disturbs) {
            let kill = round.kill.map(|(process, _)| process);
            let disturbance = Disturbance { delays_ns: round.delays_ns.clone(), kill };
            match perturber.run(self.site, &disturbance, &mut dice) {
                Ok((played, touched)) => {
                    self.run.touched_outside.extend(touched);
                    return Ok(played);
                }
                Err(Undone::Race(error)) => return Err(error.into()),
                Err(Undone::Machine(error)) => {
                    self.run.unperturbed = Some(error.to_string());
                    self.perturber = None;
                }
            }
        }
        Ok(self.site.overlapped(&round)?)
    }

    /// How often the same shows again in executions of the same kind.
    fn again(&mut self, broken: &Broken) -> Result<Again, NoBaseline> {
        let until = Instant::now() + AGAIN_TIME;
        let mut again = Again { times: 0, shown: 0 };
        // One that takes its whole time limit is not run again and again.
        let most = if broken.waiting.is_empty() { AGAIN_MAX } else { 1 };
        while again.times < most && (again.times < 3 || Instant::now() < until) {
            let played = self.one(self.run.executions + again.times)?;
            again.times += 1;
            let is_shown = !played.is_spoilt
                && !played.is_interrupted
                && matches!(self.judge.judge(self.site, &played)?, Judged::Broken(other) if other.class == broken.class);
            again.shown += u64::from(is_shown);
        }
        Ok(again)
    }
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

/// A number below `most`, or 0.
fn below(dice: &mut Dice, most: u64) -> u64 {
    dice.number() % most.max(1)
}

/// What is done in an execution.
fn round(plan: &RacePlan, took_ns: u64, dice: &mut Dice) -> Round {
    // Half of them start together, as two people would who press a key; the others apart by at most what one takes.
    let together = below(dice, 2) == 0;
    let processes = plan.processes.len();
    let delays_ns = (0..processes).map(|_| if together { 0 } else { below(dice, took_ns) }).collect();
    let mut round = Round { delays_ns, kill: None };
    if !plan.faults.is_empty() && below(dice, 2) == 0 {
        let process = dice.below(processes);
        let at_ns = round.delays_ns[process] + below(dice, took_ns * 5 / 4);
        round.kill = Some((process, at_ns));
    }
    round
}

impl From<std::io::Error> for NoBaseline {
    fn from(error: std::io::Error) -> Self {
        Self::Error(RaceError::from(error))
    }
}
