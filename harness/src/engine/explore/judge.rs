//! The judgement of one execution: what the folder is good for when all is quiet, and what the checks say of it all.
//!
//! Most executions end like others before them. What was clean once, with the same order of operations, the same
//! answers and the same files, is clean again, and is not examined twice.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use flockwork::Operation;

use super::control::{Control, Digest, Left, StageError, number};
use crate::check::{self, Examination};
use crate::engine::stress::{remains, sort};
use crate::evidence::{Evidence, Quiet, QuietContainer, Recovery, Stall};
use crate::history::History;
use crate::plan::Call;
use crate::subject::{Answer, Subject};
use crate::violation::Violation;

/// What is known to be clean.
#[derive(Debug, Default)]
pub(super) struct Known(HashSet<u64>);

impl Known {
    /// Whether an execution like this was clean before.
    pub fn has(&self, likeness: u64) -> bool {
        self.0.contains(&likeness)
    }

    /// An execution like this is clean.
    pub fn add(&mut self, likeness: u64) {
        self.0.insert(likeness);
    }
}

/// What examinations found, by what lay in the folder, times and all: the same files have the same future.
#[derive(Debug, Default)]
pub(super) struct Examined(HashMap<u64, Found>);

/// One examination: what was found, and what was asked and answered on record.
#[derive(Clone, Debug, Default)]
struct Found {
    quiet: Quiet,
    asked: Vec<(Call, Answer)>,
}

/// A number for all that the verdict depends on.
pub(super) fn likeness(files: Digest, left: &Left) -> u64 {
    let mut hasher = DefaultHasher::new();
    files.timeless.hash(&mut hasher);
    let history = &left.recorder.history;
    let mut times: Vec<u64> =
        history.records.iter().flat_map(|record| [record.invoke_ns, record.deadline_ns()]).collect();
    times.sort_unstable();
    times.dedup();
    let rank = |time: u64| times.partition_point(|&other| other < time);
    for record in &history.records {
        (record.process, record.container(), record.operation, record.outcome, record.reason)
            .hash(&mut hasher);
        (record.status, record.generation, record.revision, history.message(record).is_some())
            .hash(&mut hasher);
        (rank(record.invoke_ns), rank(record.deadline_ns())).hash(&mut hasher);
    }
    for exit in &left.recorder.exits {
        (exit.process, exit.killed_ns.is_some(), &exit.last_words).hash(&mut hasher);
    }
    (left.recorder.overlaps.len(), left.stall.is_some()).hash(&mut hasher);
    hasher.finish()
}

/// What came of a judgement.
#[derive(Debug)]
pub(super) struct Verdict {
    pub violations: Vec<Violation>,
    pub history: History,
    pub examinations: Vec<(&'static str, Examination)>,
}

/// Examines what an execution left, and judges it. The folder may be used up: it must be restored.
pub(super) fn judge(
    control: &mut Control,
    subject: &dyn Subject,
    examined: &mut Examined,
    files: Digest,
    left: &Left,
) -> Result<Verdict, StageError> {
    let mut recorder = left.recorder.clone();
    let found = match examined.0.entry(files.whole) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(new) => new.insert(examine(control, subject, &recorder.history.containers)?),
    };
    for (call, answer) in &found.asked {
        recorder.aside(number(control.examiner()), *call, answer);
    }
    let since_ns = recorder.time(0);
    let stall = left.stall.as_ref().map(|waiting| Stall { since_ns, waiting: waiting.clone() });
    let evidence = Evidence {
        history: &recorder.history,
        overlaps: &recorder.overlaps,
        watched_sections: 1,
        exits: &recorder.exits,
        quiet: &found.quiet,
        starvation_ns: u64::MAX,
        stall: stall.as_ref(),
    };
    let examinations: Vec<_> =
        check::all().iter().map(|check| (check.name(), check.examine(&evidence))).collect();
    let mut violations: Vec<Violation> =
        examinations.iter().flat_map(|(_, examination)| examination.violations.clone()).collect();
    violations.sort_by_key(|violation| violation.class);
    Ok(Verdict { violations, history: recorder.history, examinations })
}

/// What lies there, and what can still be done with it.
fn examine(control: &mut Control, subject: &dyn Subject, containers: &[String]) -> Result<Found, StageError> {
    let mut found = Found::default();
    let list = Call { operation: Operation::List, container: 0 };
    let answer = control.ask(list)?;
    found.asked.push((list, answer.clone()));
    found.quiet.list = Some(answer);
    for container in 0..containers.len() as u32 {
        let call = Call { operation: Operation::State, container };
        let state = control.ask(call)?;
        found.asked.push((call, state.clone()));
        found.quiet.containers.push(QuietContainer {
            state,
            files: Vec::new(),
            process: None,
            recovery: None,
        });
    }
    let sorted = sort(&control.root, subject, containers);
    for (container, files) in sorted.containers {
        found.quiet.containers[container as usize].files = files;
    }
    found.quiet.strays = sorted.strays;
    for container in 0..containers.len() as u32 {
        let mut ask = |operation| control.ask(Call { operation, container });
        let recovery = Recovery {
            delete: ask(Operation::ForceDelete)?,
            create: ask(Operation::Create)?,
            delete_again: ask(Operation::ForceDelete)?,
        };
        found.quiet.containers[container as usize].recovery = Some(recovery);
    }
    found.quiet.remains = remains(&control.root, subject);
    Ok(found)
}
