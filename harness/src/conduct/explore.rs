//! The pipeline of one exploration: engine → discoveries → verdict. No file of the results is touched here.

use std::sync::atomic::AtomicBool;

use crate::engine::explore::follow::{Followed, Following};
use crate::engine::explore::{self, Answers, Discovery, Executor, ExploreRun};
use crate::engine::{Ended, EngineError, Progress};
use crate::explore::strategy::Coverage;
use crate::plan::schedule::Schedule;
use crate::plan::{ExplorePlan, StrategyPlan};
use crate::process::Zygote;
use crate::report::ExplorationReport;
use crate::report::verdict::{Case, Judgement, judge};
use crate::scenario::Expect;
use crate::violation::Class;
use crate::words::plural;
use crate::words::units::show_ns;

/// What an exploration came to.
#[derive(Debug)]
pub struct Trial {
    /// What the engine saw.
    pub run: ExploreRun,
    /// Why it may have been too little to show what there is, but that the processes never met.
    pub shortfalls: Vec<String>,
    /// Whether the scenario ended as it expects, and why.
    pub judgement: Judgement,
}

/// Explores, and judges what was seen by what is expected.
pub fn run(
    zygote: &mut Zygote,
    expect: &Expect,
    plan: &ExplorePlan,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<Trial, EngineError> {
    let (run, misfit) = match &plan.strategy {
        StrategyPlan::Replay(schedule) => replay(zygote, plan, schedule)?,
        _ => (explore::run(zygote, plan, stop, progress)?, None),
    };
    let mut shortfalls: Vec<String> = misfit.into_iter().chain(shortfalls(plan, &run)).collect();
    let mut told = shortfalls.clone();
    let is_all = matches!(plan.strategy, StrategyPlan::Exhaustive { .. });
    if is_all && plan.processes.len() > 1 && !run.met {
        told.push(ExplorationReport::NEVER_MET.into());
    }
    let judgement = if plan.parts.is_all() {
        judge(&case(expect, &run, told))
    } else {
        judged_in_part(expect, &run, told)
    };
    shortfalls.sort();
    Ok(Trial { run, shortfalls, judgement })
}

fn case<'e>(expect: &'e Expect, run: &ExploreRun, shortfalls: Vec<String>) -> Case<'e> {
    let mut case = super::case(expect, &run.examinations, shortfalls, run.ended);
    let discovered = run.discoveries.iter().flat_map(|discovery| &discovery.violations);
    case.seen.extend(discovered.map(|violation| violation.class));
    case
}

/// Containers are absent before the setup: where no create succeeded in any schedule, there was nothing to race for.
fn nothing_tried(run: &ExploreRun) -> Option<String> {
    let why = match &run.answers.first_failure {
        Some(why) => format!("the first failure: {why}"),
        None => "let the setup, or a process, create the container".to_owned(),
    };
    (run.answers.created == 0)
        .then(|| format!("no create succeeded in any schedule, so nothing was verified; {why}"))
}

/// A part of an exploration may have no fault of its own; the whole has some, or shows nothing of what they do.
fn faultless(plan: &ExplorePlan, run: &ExploreRun) -> Option<String> {
    let is_asked = !plan.faults.is_empty() && plan.fault_bound > 0 && plan.parts.is_all();
    let is_searched = !matches!(plan.strategy, StrategyPlan::Replay(_)) && run.schedules > 0;
    (is_asked && is_searched && run.faulted == 0)
        .then(|| "no fault was injected in any schedule, though explore.faults asks for some".to_owned())
}

/// Why power losses that showed nothing may have been too little.
fn powerless(plan: &ExplorePlan, run: &ExploreRun) -> Option<String> {
    plan.power.as_ref()?;
    match &run.power {
        Some(power) => match &power.unjudged {
            Some(why) => Some(format!("power losses could not be judged after every execution: {why}")),
            None if power.states == 0 => {
                Some("no power loss was judged: no operation changes anything".into())
            }
            None if power.omitted == 0 && names_fsyncs(plan) => {
                Some("no fsync matches without_fsync or late_fsync, so none was left out".into())
            }
            None => None,
        },
        None => Some("no power loss was judged".into()),
    }
}

fn names_fsyncs(plan: &ExplorePlan) -> bool {
    plan.power.as_ref().is_some_and(|power| !(power.without_fsync.is_empty() && power.late_fsync.is_empty()))
}

/// Why what was explored may be too little to call the subject clean.
fn shortfalls(plan: &ExplorePlan, run: &ExploreRun) -> Vec<String> {
    let mut told = Vec::from_iter(nothing_tried(run));
    told.extend(run.answers.lacks.told());
    told.extend(powerless(plan, run));
    told.extend(faultless(plan, run));
    let StrategyPlan::Exhaustive { preemptions } = plan.strategy else { return told };
    let budget = plan.budget;
    let spent =
        format!("of {} and {} was used up", plural(budget.schedules, "schedule"), show_ns(budget.time_ns));
    match (run.coverage, preemptions) {
        (Coverage::Exhausted, _) => {}
        (Coverage::ExhaustedTo { preemptions: reached }, Some(asked)) if reached >= asked => {}
        (Coverage::ExhaustedTo { preemptions: reached }, _) => told.push(format!(
            "the budget {spent} when all schedules with up to {} had been tried, and not those with more: raise \
             explore.budget, or ask for that bound with explore.preemptions = {reached}",
            plural(u64::from(reached), "preemption")
        )),
        (Coverage::Partial, _) => told.push(format!(
            "the budget {spent} before every schedule had been tried: raise explore.budget, or bound \
             explore.preemptions"
        )),
    }
    told
}

/// Judges a part of an exploration: what is expected and does not show here may show in another part, so it is no
/// violation that it is missing, and no right to call this part clean.
fn judged_in_part(expect: &Expect, run: &ExploreRun, mut told: Vec<String>) -> Judgement {
    let seen = case(expect, run, Vec::new()).seen;
    let missing: Vec<Class> =
        expect.violations.iter().filter(|class| !seen.contains(class)).copied().collect();
    told.extend(missing.iter().map(|class| {
        format!(
            "expected {class} did not appear in this part: `flockwork merge` says whether it did in another"
        )
    }));
    let allowed = || expect.violations.iter().chain(&expect.also).copied().collect();
    let here =
        if missing.is_empty() { expect.clone() } else { Expect { violations: Vec::new(), also: allowed() } };
    judge(&case(&here, run, told))
}

/// Follows the one schedule. Where it does not fit, that is told, and what still fits is followed.
fn replay(
    zygote: &mut Zygote,
    plan: &ExplorePlan,
    schedule: &Schedule,
) -> Result<(ExploreRun, Option<String>), EngineError> {
    let mut executor = Executor::open(zygote, plan)?;
    let started = std::time::Instant::now();
    let mut follow = |how| executor.follow(&plan.processes, schedule, how, &mut ());
    let strict = follow(Following::Strict)?;
    let Some(divergence) = strict.divergence.clone() else {
        return Ok((run_of(strict, started.elapsed()), None));
    };
    let misfit = format!(
        "the schedule no longer fits: line {} is {:?}, but the subject took {:?}; explore again, and save the new finding",
        divergence.line + 1,
        divergence.expected,
        divergence.found
    );
    Ok((run_of(follow(Following::Loose)?, started.elapsed()), Some(misfit)))
}

/// One schedule that was followed, as the run it is.
fn run_of(followed: Followed, took: std::time::Duration) -> ExploreRun {
    let operations = followed.history.records.len() as u64;
    let mut answers = Answers::default();
    answers.count(&followed.history);
    let is_open = followed.examinations.iter().any(|(_, examination)| examination.inconclusive.is_some());
    let undecided = is_open.then(|| followed.history.clone());
    let first = Some(followed.history.clone());
    let faulted = followed.schedule.lines.iter().any(|line| line.fault.is_some());
    let discovery = Discovery {
        violations: followed.violations,
        schedule: followed.schedule,
        history: followed.history,
        number: 1,
        preemptions: followed.preemptions,
        lost: followed.lost,
    };
    let steps = discovery.schedule.lines.len() as u64;
    ExploreRun {
        discoveries: Some(discovery)
            .filter(|discovery| !discovery.violations.is_empty())
            .into_iter()
            .collect(),
        examinations: followed.examinations,
        undecided,
        first,
        schedules: 1,
        faulted: u64::from(faulted),
        redundant: 0,
        operations,
        answers,
        steps,
        blocked: followed.blocked,
        met: followed.met,
        coverage: Coverage::Partial,
        naive: None,
        repeated: 0,
        promised: None,
        power: Some(followed.power),
        duration_ns: u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
        ended: Ended::Completed,
    }
}

/// How many violations there were, beyond those kept.
#[must_use]
pub fn violations_total(run: &ExploreRun) -> u64 {
    let kept: u64 = run.discoveries.iter().map(|discovery| discovery.violations.len() as u64).sum();
    let total: u64 = run
        .examinations
        .iter()
        .map(|(_, examination)| examination.violations_total.max(examination.violations.len() as u64))
        .sum();
    kept.max(total)
}

/// Whether the schedules of a run, or of a discovery, showed a class.
#[must_use]
pub fn shows(followed: &Followed, class: Class) -> bool {
    followed.violations.iter().any(|violation| violation.class == class)
}

/// A strategy in a few words.
#[must_use]
pub fn describe_strategy(strategy: &StrategyPlan) -> String {
    match strategy {
        StrategyPlan::Exhaustive { preemptions: None } => "exhaustive".into(),
        StrategyPlan::Exhaustive { preemptions: Some(bound) } => {
            format!("exhaustive to {}", plural(u64::from(*bound), "preemption"))
        }
        StrategyPlan::Random => "random".into(),
        StrategyPlan::Pct { depth } => format!("pct of depth {depth}"),
        StrategyPlan::Pos => "pos".into(),
        StrategyPlan::Replay(_) => "replay".into(),
    }
}
