//! The pipeline of a stress run of commands: engine → history → judge → verdict. No file of the results is touched here.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::command_history::{self as written, Unmatched};
use crate::check::search::Budget;
use crate::check::{CheckId, Examination, VIOLATIONS_MAX};
use crate::engine::Progress;
use crate::engine::command::{self, CommandRun, CommandRunError, Entry, Unusual};
use crate::judge::{AnyJudged, Checker, Grounds, judge_any};
use crate::model::AnyModel;
use crate::plan::bench::{BenchPlan, Task};
use crate::plan::command::{CommandPlan, Ends, Line};
use crate::process::Zygote;
use crate::race::command::{Command, Placeholders};
use crate::report::verdict::{Judgement, Ruling, judge};
use crate::scenario::{CommandStress, Expect};
use crate::subject::command::history;
use crate::violation::{Class, Violation};
use crate::words::plural;

/// What a run of commands came to.
#[derive(Debug)]
pub struct CommandTrial {
    /// What the engine saw.
    pub run: CommandRun,
    /// The history as it is stored.
    pub history: Vec<u8>,
    /// What each check found, by its name. Records of violations are indexes into the run's entries.
    pub examinations: Vec<(CheckId, Examination)>,
    /// Which share of the operations overlapped with one of another process on their object.
    pub overlap: f64,
    /// Why it may have been too little to show what there is.
    pub shortfalls: Vec<String>,
    /// Whether the scenario ended as it expects, and why.
    pub judgement: Judgement,
}

impl CommandTrial {
    /// The violations, the gravest classes first.
    #[must_use]
    pub fn violations(&self) -> Vec<&Violation> {
        super::gravest_first(&self.examinations)
    }
}

/// Finds the programs of a plan.
pub fn ready(plan: &mut CommandPlan) -> Result<(), CommandRunError> {
    let here = std::env::current_dir().map_err(|error| CommandRunError::Failed(error.to_string()))?;
    let folder = if crate::subject::command::fill::has(&plan.folder, "state") {
        here
    } else {
        here.join(&plan.folder)
    };
    if !folder.is_dir() {
        return Err(CommandRunError::Usage(format!("cwd: {}: no such folder", folder.display())));
    }
    if !crate::subject::command::fill::has(&plan.folder, "state") {
        plan.folder = folder.display().to_string();
    }
    let path = path_of(&plan.environment);
    let watched = plan.watch.iter_mut().filter_map(|watched| match &mut watched.whole {
        crate::plan::command::Whole::Command(line) => Some(line),
        _ => None,
    });
    plan.operations
        .iter_mut()
        .map(|operation| &mut operation.command)
        .chain(&mut plan.setup)
        .chain(&mut plan.round_setup)
        .chain(&mut plan.round_teardown)
        .chain(&mut plan.teardown)
        .chain(watched)
        .try_for_each(|line| find(line, &folder, &path))
}

/// Finds the programs of a benchmark.
pub fn ready_bench(plan: &mut BenchPlan) -> Result<(), CommandRunError> {
    let here = std::env::current_dir().map_err(|error| CommandRunError::Failed(error.to_string()))?;
    for cell in &mut plan.cells {
        if let Task::Command(task) = &mut cell.task {
            let path = path_of(&task.environment);
            find(&mut task.line, &here, &path)?;
            task.setup.iter_mut().try_for_each(|line| find(line, &here, &path))?;
        }
    }
    Ok(())
}

fn path_of(environment: &[(String, String)]) -> String {
    let own = environment.iter().rev().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone());
    own.or_else(|| std::env::var("PATH").ok()).unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into())
}

fn find(line: &mut Line, folder: &Path, path: &str) -> Result<(), CommandRunError> {
    let command = Command::of_words(&line.text, line.words.clone());
    line.program = command
        .find(&Placeholders::default(), folder, path, &Path::to_owned)
        .map_err(|error| CommandRunError::Usage(error.to_string()))?;
    Ok(())
}

/// Runs a scenario of commands in an empty folder and judges it by what it expects. `judging` is called between the two.
pub fn run(
    zygote: &Zygote,
    (expect, stress): (&Expect, &CommandStress),
    plan: &CommandPlan,
    root: &Path,
    stop: &AtomicBool,
    progress: &dyn Progress,
    judging: impl FnOnce(),
) -> Result<CommandTrial, CommandRunError> {
    let mut plan = plan.clone();
    ready(&mut plan)?;
    let run = command::run(zygote, &plan, root, stop, progress)?;
    judging();
    let history = written::write(&stress.model, &plan, &run.entries, Unmatched::Failed);
    let mut examinations = judged(stress, &plan, &run, &history)?;
    examinations.extend(seen(&plan, &run));
    let overlap = overlap(&run.entries);
    let shortfalls = shortfalls(stress, &plan, &run, overlap);
    let judgement = judge(&super::case(expect, &examinations, shortfalls.clone(), run.ended));
    Ok(CommandTrial { run, history, examinations, overlap, shortfalls, judgement })
}

/// What the model says of the history.
fn judged(
    stress: &CommandStress,
    plan: &CommandPlan,
    run: &CommandRun,
    lines: &[u8],
) -> Result<Vec<(CheckId, Examination)>, CommandRunError> {
    let failed =
        |why: String| CommandRunError::Failed(format!("the history of the run cannot be judged: {why}"));
    let of = |lines: &[u8]| {
        let history = history::read(lines, Some(&stress.model)).map_err(|error| failed(error.to_string()))?;
        judge_any(&history, &stress.model, Checker::Auto, Budget::default())
            .map_err(|error| failed(error.to_string()))
    };
    let judged = of(lines)?;
    let (mut order, mut failures) = (Examination::default(), Examination::default());
    order.examined = run.entries.len() as u64;
    match &judged {
        AnyJudged::Object(judged) => {
            for (object, judgement) in (0..).zip(&judged.objects) {
                take(
                    &mut order,
                    object,
                    &judgement.object,
                    &judgement.ruling.clone().map_illegal(|explanation| {
                        (explanation.sentence, explanation.calls.iter().map(|&call| call as usize).collect())
                    }),
                );
            }
            failures.examined = judged.failures.count;
            failures.violations.clone_from(&judged.failures.violations);
            failures.violations_total = judged.failures.violations_total;
        }
        AnyJudged::Table(judged) => {
            for (object, judgement) in (0..).zip(&judged.containers) {
                take(
                    &mut order,
                    object,
                    &judgement.container,
                    &judgement.ruling.clone().map_illegal(|grounds| {
                        let records = match &grounds {
                            Grounds::Explained(explanation) => {
                                explanation.window.iter().map(|member| member.index).collect()
                            }
                            Grounds::Told(_) => Vec::new(),
                        };
                        (grounds.sentence().to_owned(), records)
                    }),
                );
            }
            failures = judged.failures.broken.clone();
        }
    }
    let unmatched = run.entries.iter().filter(|entry| entry.is_unmatched).count() as u64;
    if !order.violations.is_empty() && unmatched > 0 {
        // Whether an operation acted whose answer nobody understood is not known.
        let doubtful = written::write(&stress.model, plan, &run.entries, Unmatched::Unknown);
        if of(&doubtful)?.ruling().illegal().is_none() {
            order.violations.clear();
            order.violations_total = 0;
            order.inconclusive = Some(format!(
                "{} no rule of answers fits; if these acted after all, the history is legal: give rules for them",
                plural(unmatched, "answer")
            ));
        }
    }
    Ok(by_class(order, failures))
}

/// The order, and what failed: torn reads, late answers and the rest apart.
fn by_class(order: Examination, failures: Examination) -> Vec<(CheckId, Examination)> {
    let (torn, unexpected): (Vec<_>, Vec<_>) =
        failures.violations.into_iter().partition(|violation| violation.class == Class::TornRead);
    let (late, unexpected): (Vec<_>, Vec<_>) =
        unexpected.into_iter().partition(|violation| violation.class == Class::Starvation);
    let late =
        Examination { violations_total: late.len() as u64, violations: late, ..Examination::default() };
    let torn =
        Examination { violations_total: torn.len() as u64, violations: torn, ..Examination::default() };
    let unexpected = Examination {
        examined: failures.examined,
        violations_total: failures
            .violations_total
            .saturating_sub(torn.violations_total + late.violations_total),
        violations: unexpected,
        ..Examination::default()
    };
    let mut all = vec![
        (CheckId::Of(Class::NotLinearizable), order),
        (CheckId::Of(Class::UnexpectedFailure), unexpected),
    ];
    if !torn.violations.is_empty() {
        all.push((CheckId::Of(Class::TornRead), torn));
    }
    if !late.violations.is_empty() {
        all.push((CheckId::Of(Class::Starvation), late));
    }
    all
}

/// Takes in what is said of one object.
fn take<P>(order: &mut Examination, object: u32, name: &str, ruling: &Ruling<P, (String, Vec<usize>)>) {
    match ruling {
        Ruling::Legal(_) => {}
        Ruling::Undecided(undecided) => {
            order.inconclusive.get_or_insert_with(|| format!("{name}: {}", undecided.why()));
        }
        Ruling::Illegal((sentence, records)) => {
            order.violations_total += 1;
            if order.violations.len() < VIOLATIONS_MAX {
                let message = format!("{name}: {sentence}");
                let container = Some(object);
                let records = records.clone();
                order.violations.push(Violation {
                    class: Class::NotLinearizable,
                    container,
                    message,
                    records,
                });
            }
        }
    }
}

/// What was seen to go wrong without any model.
fn seen(plan: &CommandPlan, run: &CommandRun) -> Vec<(CheckId, Examination)> {
    let mut all = vec![
        (CheckId::Of(Class::Deadlock), hangs(plan, run, Class::Deadlock)),
        (CheckId::Of(Class::Starvation), hangs(plan, run, Class::Starvation)),
    ];
    let mut crashes = Examination { examined: run.entries.len() as u64, ..Examination::default() };
    for (index, entry) in run.entries.iter().enumerate() {
        if let Some(Unusual::Crashed(_)) = &entry.unusual {
            let told = entry.message.clone().unwrap_or_default();
            add(&mut crashes, Class::SubjectCrash, format!("{}: {told}", who(plan, entry)), vec![index]);
        }
    }
    all.push((CheckId::Of(Class::SubjectCrash), crashes));
    if !plan.watch.is_empty() {
        let mut torn = Examination { examined: run.audits, ..Examination::default() };
        for found in &run.torn {
            let message =
                format!("{}: a reader found it incomplete: {}: {:?}", found.file, found.why, found.content);
            add(&mut torn, Class::TornRead, message, around(run, found.at_ns));
        }
        torn.violations_total = torn.violations_total.max(run.torn_total);
        all.push((CheckId::Of(Class::TornRead), torn));
    }
    if plan.forbids_strays {
        let mut strays = Examination { examined: run.rounds, ..Examination::default() };
        for (name, count) in &run.strays {
            let message = format!("{name}: {} left over after the teardown", plural(*count, "process"));
            add(&mut strays, Class::Leftover, message, Vec::new());
        }
        all.push((CheckId::Of(Class::Leftover), strays));
    }
    all
}

fn add(examination: &mut Examination, class: Class, message: String, records: Vec<usize>) {
    examination.violations_total += 1;
    if examination.violations.len() < VIOLATIONS_MAX {
        examination.violations.push(Violation { class, container: None, message, records });
    }
}

/// The operations that were under way at a time.
fn around(run: &CommandRun, at_ns: u64) -> Vec<usize> {
    let is_open =
        |entry: &Entry| entry.invoke_ns <= at_ns && entry.return_ns.is_none_or(|end_ns| end_ns >= at_ns);
    run.entries.iter().enumerate().filter(|(_, entry)| is_open(entry)).map(|(index, _)| index).collect()
}

/// Who hung: where nobody else got anywhere it is a deadlock, else somebody starved.
fn hangs(plan: &CommandPlan, run: &CommandRun, class: Class) -> Examination {
    let mut found = Examination { examined: run.entries.len() as u64, ..Examination::default() };
    for (index, entry) in run.entries.iter().enumerate() {
        let Some(Unusual::Hung(_)) = &entry.unusual else { continue };
        let until_ns = entry.return_ns.unwrap_or(u64::MAX);
        let from_ns = entry.invoke_ns + plan.operations[entry.operation].time_limit_ns / 2;
        let went_on = run.entries.iter().any(|other| {
            other.process != entry.process
                && !matches!(other.unusual, Some(Unusual::Hung(_) | Unusual::Killed))
                && other.return_ns.is_some_and(|end_ns| (from_ns..=until_ns).contains(&end_ns))
        });
        let own = if went_on { Class::Starvation } else { Class::Deadlock };
        if own == class {
            let told = entry.message.clone().unwrap_or_default();
            add(&mut found, class, format!("{} {told}", who(plan, entry)), vec![index]);
        }
    }
    found
}

fn who(plan: &CommandPlan, entry: &Entry) -> String {
    format!(
        "p{} {} on {}",
        entry.process + 1,
        plan.operations[entry.operation].name,
        plan.objects[entry.object]
    )
}

/// Which share of the operations overlapped with one of another process on the same object.
fn overlap(entries: &[Entry]) -> f64 {
    let mut by_object = BTreeMap::<(u64, usize), Vec<&Entry>>::new();
    for entry in entries {
        by_object.entry((entry.round, entry.object)).or_default().push(entry);
    }
    let end = |entry: &Entry| entry.return_ns.unwrap_or(u64::MAX);
    let mut overlapped = 0_u64;
    for own in by_object.values() {
        // They are in the order of their invocation. Of each process one is open at a time.
        let mut has_met = vec![false; own.len()];
        let mut open: Vec<usize> = Vec::new();
        for (index, entry) in own.iter().enumerate() {
            open.retain(|&other| end(own[other]) > entry.invoke_ns);
            for &other in open.iter().filter(|&&other| own[other].process != entry.process) {
                has_met[other] = true;
                has_met[index] = true;
            }
            open.push(index);
        }
        overlapped += has_met.iter().filter(|met| **met).count() as u64;
    }
    if entries.is_empty() { 0.0 } else { overlapped as f64 / entries.len() as f64 }
}

fn shortfalls(stress: &CommandStress, plan: &CommandPlan, run: &CommandRun, overlap: f64) -> Vec<String> {
    let mut all = Vec::new();
    for (index, operation) in plan.operations.iter().enumerate().filter(|(_, operation)| operation.weight > 0)
    {
        let mut own = run.entries.iter().filter(|entry| entry.operation == index).peekable();
        let is_there = own.peek().is_some();
        if is_there && !own.any(|entry| matches!(entry.outcome, Ends::Ok | Ends::Refused)) {
            let mut failed = run.entries.iter().filter(|entry| entry.operation == index);
            let why = failed.find_map(|entry| entry.message.as_deref()).unwrap_or("without a word");
            all.push(format!(
                "{} never succeeded, so it was not tried; the first failure: {why}",
                operation.name
            ));
        }
    }
    if plan.processes > 1 && overlap < stress.overlap_min {
        all.push(format!(
            "only {:.0}% of the operations overlapped with one of another process on the same object, under the minimum of \
             {:.0}%: use fewer objects or more processes",
            overlap * 100.0,
            stress.overlap_min * 100.0
        ));
    }
    if plan.kill_every_ns.is_some() && kills(run) == 0 {
        all.push(
            "no command was killed, though kill_every asks for it: let the run last longer, or kill more often".into(),
        );
    }
    if !plan.watch.is_empty() && run.audits == 0 {
        let patterns: Vec<&str> = plan.watch.iter().map(|watched| watched.pattern.as_str()).collect();
        all.push(format!("no file ever matched watch ({}), so none was read", patterns.join(", ")));
    }
    all
}

/// How many commands were killed as a fault.
#[must_use]
pub fn kills(run: &CommandRun) -> u64 {
    run.entries.iter().filter(|entry| entry.unusual == Some(Unusual::Killed)).count() as u64
}

/// What the first operation that failed said.
#[must_use]
pub fn first_failure(run: &CommandRun) -> Option<&str> {
    let failed = run.entries.iter().find(|entry| entry.outcome == Ends::Failed)?;
    failed.message.as_deref()
}

/// The part of the history that a violation is about: all operations on its object, or those that it names.
#[must_use]
pub fn part(model: &AnyModel, plan: &CommandPlan, entries: &[Entry], violation: &Violation) -> Vec<u8> {
    let decisive = violation.records.first().map(|&index| &entries[index]);
    let is_of = |entry: &&Entry| {
        decisive.is_some_and(|decisive| (entry.round, entry.object) == (decisive.round, decisive.object))
    };
    let part: Vec<Entry> = entries.iter().filter(is_of).cloned().collect();
    written::write(model, plan, &part, Unmatched::Failed)
}
