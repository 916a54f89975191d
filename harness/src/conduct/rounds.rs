//! The pipeline of rounds: each is judged as soon as it was played, so that no more of them are played than are needed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;

use flockwork::Operation;

use crate::check::{CheckId, Examination, opaque};
use crate::engine::rounds::{self, Next, Round, RoundsRun};
use crate::engine::{EngineError, Progress};
use crate::history::{History, Outcome};
use crate::plan::rounds::RoundsPlan;
use crate::process::Zygote;
use crate::reach::Reach;
use crate::report::verdict::{Case, Judgement, judge};
use crate::runtimes::profile;
use crate::scenario::Expect;
use crate::violation::{Class, Violation};

/// How many violations of one class are kept with their histories.
const KEPT_PER_CLASS: usize = 4;

/// A violation, and the round that shows it.
#[derive(Debug)]
pub struct Shown {
    /// The violation that this round showed.
    pub violation: Violation,
    /// The number of its round.
    pub round: u64,
    /// All that was done in it.
    pub history: History,
}

/// What rounds came to.
#[derive(Debug)]
pub struct RoundsTrial {
    /// What the engine saw.
    pub run: RoundsRun,
    /// The first violations of each class.
    pub shown: Vec<Shown>,
    /// In how many rounds each class was broken, and in which first.
    pub classes: BTreeMap<Class, (u64, u64)>,
    /// What each check found in all rounds, by its name.
    pub examinations: Vec<(CheckId, Examination)>,
    /// How often each operation that was started with others ended how.
    pub counts: BTreeMap<(Operation, Outcome), u64>,
    /// What the runtime said the first time that an operation failed.
    pub first_failure: Option<String>,
    /// Why it may have been too little to show what there is.
    pub shortfalls: Vec<String>,
    /// Whether the scenario ended as it expects, and why.
    pub judgement: Judgement,
}

/// Plays rounds and judges each by the runtime's own profile.
pub fn run(
    zygote: &Zygote,
    expect: &Expect,
    plan: &RoundsPlan,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<RoundsTrial, EngineError> {
    let mut book = Book::new(plan);
    let run = rounds::run(zygote, plan, stop, progress, &mut |round| book.take(round))?;
    let shortfalls = shortfalls(plan, &run, &book);
    let case = Case {
        seen: book.classes.keys().copied().collect(),
        ..super::case(expect, &book.examinations, shortfalls.clone(), run.ended)
    };
    let judgement = judge(&case);
    let Book { shown, classes, examinations, counts, first_failure, .. } = book;
    Ok(RoundsTrial { run, shown, classes, examinations, counts, first_failure, shortfalls, judgement })
}

/// What was found so far.
struct Book<'p> {
    plan: &'p RoundsPlan,
    model: crate::model::Model,
    shown: Vec<Shown>,
    classes: BTreeMap<Class, (u64, u64)>,
    examinations: Vec<(CheckId, Examination)>,
    counts: BTreeMap<(Operation, Outcome), u64>,
    first_failure: Option<String>,
}

impl<'p> Book<'p> {
    fn new(plan: &'p RoundsPlan) -> Self {
        Self {
            plan,
            model: profile::model(plan.oci.runtime),
            shown: Vec::new(),
            classes: BTreeMap::new(),
            examinations: Vec::new(),
            counts: BTreeMap::new(),
            first_failure: None,
        }
    }

    /// Judges a round, and says whether another is wanted.
    fn take(&mut self, round: &Round) -> Next {
        self.count(round);
        let mut found = opaque::examine(&round.evidence(), &self.model);
        // What auditors read is examined, though only what is torn has a record.
        let torn = found.iter_mut().find(|(check, _)| check.class() == Class::TornRead);
        torn.expect("it is among the checks").1.examined += round.reads;
        let violations = found.iter().flat_map(|(_, examination)| &examination.violations);
        let classes: BTreeSet<Class> = violations.clone().map(|violation| violation.class).collect();
        for violation in violations {
            let is_kept = |shown: &&Shown| shown.violation.class == violation.class;
            if self.shown.iter().filter(is_kept).count() < KEPT_PER_CLASS {
                let (violation, history) = (violation.clone(), round.history.clone());
                self.shown.push(Shown { violation, round: round.number, history });
            }
        }
        for class in classes {
            self.classes.entry(class).or_insert((0, round.number)).0 += 1;
        }
        if self.examinations.is_empty() {
            self.examinations = found;
        } else {
            for ((_, all), (_, one)) in self.examinations.iter_mut().zip(found) {
                all.merge(one);
            }
        }
        let sought = &self.plan.sought;
        let is_enough = !sought.is_empty() && sought.iter().all(|class| self.classes.contains_key(class));
        if is_enough { Next::Enough } else { Next::Another }
    }

    fn count(&mut self, round: &Round) {
        let workers = self.plan.together.len() as u32;
        let own = || round.history.records.iter().filter(|record| record.process < workers);
        for record in own() {
            *self.counts.entry((record.operation, record.outcome)).or_default() += 1;
        }
        if self.first_failure.is_none() {
            let failed = own().find(|record| record.outcome == Outcome::Failed);
            let words = failed.and_then(|record| round.history.message(record));
            self.first_failure = words.map(str::to_owned);
        }
    }
}

/// Rounds in which commands never ran at one time show nothing, nor do those that were to kill and did not.
fn shortfalls(plan: &RoundsPlan, run: &RoundsRun, book: &Book<'_>) -> Vec<String> {
    let mut told = Vec::new();
    // Containers are absent before the setup: all that is said of them then is that they are.
    let is_set_up = plan.setup.iter().any(|call| call.operation == Operation::Create);
    let is_created = book.counts.contains_key(&(Operation::Create, Outcome::Ok));
    if !is_set_up && !is_created && book.classes.is_empty() {
        let why = "let rounds.setup, or one of the commands, create the container";
        told.push(format!("no create succeeded in any round, so nothing was verified; {why}"));
    }
    if plan.together.len() > 1 && run.met == 0 {
        told.push("no two commands ever ran at the same time: use more of them".to_owned());
    }
    if plan.kill > 0.0 && run.kills == 0 {
        told.push("no command was killed, though kill asks for it: play more rounds".to_owned());
    }
    if plan.auditors > 0 && run.reads == 0 {
        told.push("no auditor ever found metadata to read".to_owned());
    }
    if !run.left.is_empty() {
        told.push(format!("leftovers could not be removed from the machine: {:?}", run.left));
    }
    told
}

/// How much the commands met, as reports have it.
#[must_use]
pub fn reach(trial: &RoundsTrial) -> Reach {
    Reach { counts: trial.counts.clone(), ..Reach::default() }
}
