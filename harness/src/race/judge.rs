//! Whether an execution is legal: its outcome is that of some sequential order.

use std::collections::BTreeSet;
use std::sync::Arc;

use regex::bytes::Regex;

use super::baseline::{Baseline, NoBaseline, SequentialOrder};
use super::containers;
use super::error::RaceError;
use super::expected::Difference;
use super::orders::Step;
use super::outcome::{Done, Ending, Outcome, Who};
use super::run::Played;
use super::sheet::{Location, Place, Sheet, When, last_line};
use super::site::Site;
use crate::plan::race::Busy;
use crate::violation::Class;

/// How a command says that it did not run, ready to be asked.
#[derive(Clone, Debug)]
pub(crate) enum BusyRule {
    Exit(i32),
    Stdout(Regex),
    Stderr(Regex),
}

impl BusyRule {
    /// Reads the rules of a plan.
    pub fn compile(rules: &[Busy]) -> Result<Vec<Self>, RaceError> {
        let regex = |text: &str| {
            Regex::new(text).map_err(|error| {
                let why = last_line(&error.to_string());
                RaceError::Usage(format!("--busy: {text:?} is not a regular expression: {why}"))
            })
        };
        let compile = |rule: &Busy| {
            Ok(match rule {
                Busy::Exit(code) => Self::Exit(*code),
                Busy::Stdout(text) => Self::Stdout(regex(text)?),
                Busy::Stderr(text) => Self::Stderr(regex(text)?),
            })
        };
        rules.iter().map(compile).collect()
    }

    fn is_met(&self, done: &Done) -> bool {
        match self {
            Self::Exit(code) => done.ending == Ending::Exited(*code),
            Self::Stdout(regex) => regex.is_match(&done.stdout.text),
            Self::Stderr(regex) => regex.is_match(&done.stderr.text),
        }
    }
}

/// What is said of an execution.
#[derive(Clone, Debug)]
pub(crate) enum Judged {
    /// It is as some sequential order.
    Legal {
        /// Files that neither that order nor the initial state has, left behind by a command that was killed.
        left_over: Vec<String>,
    },
    /// It is as none.
    Broken(Broken),
}

/// A promise that an execution broke.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The class of the promise that was broken.
    pub class: Class,
    /// The order that it comes nearest to.
    pub nearest: Vec<Step>,
    /// How it differs from that.
    pub differences: Vec<Difference>,
    /// Who said that it did not run.
    pub busy: Vec<Step>,
    /// The commands that were killed.
    pub killed: Vec<Step>,
    /// Who waits for what, where somebody did not end.
    pub waiting: Vec<String>,
    /// Whether the same happens one after the other.
    pub also_alone: bool,
    /// Where a model judges: why no order is legal, and the operations that show it.
    pub told: Vec<String>,
}

impl Broken {
    /// Numbers processes by their places among these, which are all that take part.
    pub(super) fn renumber(&mut self, members: &[usize]) {
        let number = |process: usize| members.iter().position(|member| *member == process);
        let steps = |steps: &mut Vec<Step>| {
            *steps = steps.iter().filter_map(|(process, index)| Some((number(*process)?, *index))).collect();
        };
        [&mut self.nearest, &mut self.busy, &mut self.killed].into_iter().for_each(steps);
        for difference in &mut self.differences {
            let (Place::Ending(who) | Place::Stdout(who) | Place::Stderr(who)) = &mut difference.place else {
                continue;
            };
            if let Who::Command { process, .. } = who
                && let Some(number) = number(*process)
            {
                *process = number;
            }
        }
    }
}

/// Compares what an execution printed and left with every sequential order.
#[derive(Debug)]
pub(crate) struct Judge {
    pub baseline: Baseline,
    pub busy: Vec<BusyRule>,
    pub strict: bool,
    /// Where a model judges rather than the orders.
    pub model: Option<super::model::ModelJudge>,
}

impl Judge {
    /// Judges an execution by the orders of those commands that ran.
    pub fn judge(&mut self, site: &mut Site, played: &Played) -> Result<Judged, NoBaseline> {
        let outcome = &played.outcome;
        if outcome.timed_out().next().is_some() {
            return Ok(Judged::Broken(Broken {
                class: Class::Deadlock,
                nearest: Vec::new(),
                differences: Vec::new(),
                busy: Vec::new(),
                killed: Vec::new(),
                waiting: played.waiting.clone(),
                also_alone: false,
                told: Vec::new(),
            }));
        }
        if let Some(model) = &mut self.model {
            return model.judge(played);
        }
        let busy = self.busy_of(outcome);
        let killed: Vec<Step> = with_ending(outcome, Ending::Killed);
        let skipped = with_ending(outcome, Ending::Skipped);
        let silent: BTreeSet<Step> = busy.iter().chain(&killed).chain(&skipped).copied().collect();
        // What a killed operation leaves of its container may be anything, as long as the runtime can delete it.
        let is_half_done = site.containers.is_some() && !killed.is_empty();
        let when = if killed.is_empty() || is_half_done { When::AllEnded } else { When::AfterThen };
        let is_silent = |who: Who| match who {
            Who::Command { process, index, .. } => silent.contains(&(process, index)),
            Who::Observe => is_half_done,
            Who::Then(_) => false,
        };
        let comparator = Arc::clone(&self.baseline.comparator);
        let sheet = comparator.sheet(outcome, when, &is_silent);
        let mut nearest: Option<(usize, Vec<Step>, Vec<Difference>)> = None;
        for without in self.candidates(outcome) {
            for order in self.baseline.orders(site, &without)? {
                let mut differences = differences(order, &sheet, when, &is_silent);
                let left_over = if killed.is_empty() || self.strict {
                    Vec::new()
                } else {
                    let without = |left: &_| comparator.sheet_without(outcome, when, &is_silent, left);
                    left_over(order, &mut differences, without, when, &is_silent)
                };
                if differences.is_empty() {
                    return Ok(Judged::Legal { left_over });
                }
                let weight = differences.iter().map(Difference::weight).sum();
                if nearest.as_ref().is_none_or(|(least, ..)| weight < *least) {
                    nearest = Some((weight, order.steps.clone(), differences));
                }
            }
        }
        let (_, nearest, differences) = nearest.expect("there is an order, if only of nothing");
        Ok(Judged::Broken(Broken {
            class: (site.containers.as_ref().and_then(|_| containers::class_of(&differences)))
                .unwrap_or_else(|| class_of(outcome, &differences)),
            nearest,
            differences,
            busy,
            killed,
            waiting: Vec::new(),
            also_alone: false,
            told: Vec::new(),
        }))
    }

    /// Judges what a crash left: it must be what some order of commands leaves of which each had run or had not; once they have
    /// acknowledged, all have. `after_then` says that what comes after is compared rather than the folders.
    pub fn judge_crash(
        &mut self,
        site: &mut Site,
        played: &Played,
        after_then: bool,
        is_acknowledged: bool,
    ) -> Result<Judged, NoBaseline> {
        if let Some(model) = &mut self.model {
            return model.judge_crash(played);
        }
        let outcome = &played.outcome;
        let when = if after_then { When::AfterThen } else { When::AllEnded };
        let is_silent = |who: Who| matches!(who, Who::Command { .. });
        let comparator = Arc::clone(&self.baseline.comparator);
        let sheet = comparator.sheet(outcome, when, &is_silent);
        let everything = with_ending(outcome, Ending::Killed);
        let absent = with_ending(outcome, Ending::Skipped);
        let mut candidates = if is_acknowledged { vec![BTreeSet::new()] } else { subsets(&everything) };
        for without in &mut candidates {
            without.extend(absent.iter().copied());
        }
        let mut nearest: Option<(usize, Vec<Step>, Vec<Difference>)> = None;
        for without in candidates {
            for order in self.baseline.orders(site, &without)? {
                let mut differences = differences(order, &sheet, when, &is_silent);
                let left_over = if self.strict {
                    Vec::new()
                } else {
                    let without = |left: &_| comparator.sheet_without(outcome, when, &is_silent, left);
                    left_over(order, &mut differences, without, when, &is_silent)
                };
                if differences.is_empty() {
                    return Ok(Judged::Legal { left_over });
                }
                let weight = differences.iter().map(Difference::weight).sum();
                if nearest.as_ref().is_none_or(|(least, ..)| weight < *least) {
                    nearest = Some((weight, order.steps.clone(), differences));
                }
            }
        }
        let (_, nearest, differences) = nearest.expect("there is an order, if only of nothing");
        let is_extra = differences.iter().all(Difference::is_extra);
        Ok(Judged::Broken(Broken {
            class: if is_extra { Class::Leftover } else { Class::LostByCrash },
            nearest,
            differences,
            busy: Vec::new(),
            killed: everything,
            waiting: Vec::new(),
            also_alone: false,
            told: Vec::new(),
        }))
    }

    /// By which commands did not run may an outcome be explained: those that say so, and those that were killed or not.
    pub fn candidates(&self, outcome: &Outcome) -> Vec<BTreeSet<Step>> {
        let (busy, killed) = (self.busy_of(outcome), with_ending(outcome, Ending::Killed));
        let not_run: BTreeSet<Step> = busy.into_iter().chain(with_ending(outcome, Ending::Skipped)).collect();
        let mut candidates = vec![not_run.clone()];
        if !killed.is_empty() {
            candidates.push(not_run.into_iter().chain(killed).collect());
        }
        candidates
    }

    fn busy_of(&self, outcome: &Outcome) -> Vec<Step> {
        let is_busy = |done: &Done| self.busy.iter().any(|rule| rule.is_met(done));
        let busy = outcome.commands().filter(|(_, done)| is_busy(done));
        busy.filter_map(|(who, _)| step_of(who)).collect()
    }
}

/// Every set of commands that may not have run: nobody, everybody, then few before many.
fn subsets(all: &[Step]) -> Vec<BTreeSet<Step>> {
    let of = |bits: u32| {
        all.iter().enumerate().filter(move |(at, _)| bits & (1 << at) != 0).map(|(_, step)| *step)
    };
    let whole = (1_u32 << all.len()) - 1;
    let mut sets: Vec<u32> = (1..whole).collect();
    sets.sort_by_key(|bits| bits.count_ones());
    let ends = if whole == 0 { vec![0] } else { vec![0, whole] };
    ends.into_iter().chain(sets).map(|bits| of(bits).collect()).collect()
}

fn step_of(who: Who) -> Option<Step> {
    match who {
        Who::Command { process, index, .. } => Some((process, index)),
        Who::Observe | Who::Then(_) => None,
    }
}

fn with_ending(outcome: &Outcome, ending: Ending) -> Vec<Step> {
    let ended = outcome.commands().filter(|(_, done)| done.ending == ending);
    ended.filter_map(|(who, _)| step_of(who)).collect()
}

fn differences(
    order: &SequentialOrder,
    sheet: &Sheet,
    when: When,
    is_silent: &dyn Fn(Who) -> bool,
) -> Vec<Difference> {
    let expected = order.expected(when).expect("where somebody may be killed, something comes after");
    let mut differences = expected.differences(sheet);
    differences.retain(|difference| match &difference.place {
        Place::Ending(who) | Place::Stdout(who) | Place::Stderr(who) => !is_silent(*who),
        Place::Entry(_) => true,
    });
    differences
}

/// Takes what lies there beyond what the order leaves out of the differences, and compares once more as if it were not there: it
/// may be another name of what the order does leave.
fn left_over(
    order: &SequentialOrder,
    all: &mut Vec<Difference>,
    without: impl Fn(&BTreeSet<Location>) -> Sheet,
    when: When,
    is_silent: &dyn Fn(Who) -> bool,
) -> Vec<String> {
    let left: BTreeSet<Location> = all
        .iter()
        .filter(|difference| difference.is_extra())
        .filter_map(|difference| match &difference.place {
            Place::Entry(location) => Some(location.clone()),
            _ => None,
        })
        .collect();
    let told =
        all.extract_if(.., |difference| difference.is_extra()).map(|extra| extra.place.to_string()).collect();
    if !left.is_empty() && !all.is_empty() {
        *all = differences(order, &without(&left), when, is_silent);
    }
    told
}

fn class_of(outcome: &Outcome, differences: &[Difference]) -> Class {
    const CRASHES: [i32; 6] =
        [libc::SIGSEGV, libc::SIGABRT, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGSYS];
    let has_crashed = |who: &Who| {
        let mut commands = outcome.everybody();
        commands.any(|(other, done)| {
            other == *who && matches!(done.ending, Ending::Signaled(signal) if CRASHES.contains(&signal))
        })
    };
    let crashed = differences
        .iter()
        .any(|difference| matches!(&difference.place, Place::Ending(who) if has_crashed(who)));
    match () {
        () if crashed => Class::SubjectCrash,
        () if differences.iter().all(Difference::is_extra)
            && !with_ending(outcome, Ending::Killed).is_empty() =>
        {
            Class::Leftover
        }
        () => Class::NotSerializable,
    }
}
