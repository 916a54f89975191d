//! The judgement of one execution: what the folder is good for when all is quiet, and what the checks say of it all.
//!
//! Most executions end like others before them. What was clean once, with the same order of operations, the same
//! answers and the same files, is clean again, and is not examined twice.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use flockwork::Operation;

use super::control::{Control, ControlError, Digest, Left, number};
use crate::check::{self, CheckId, Examination};
use crate::engine::stress::{remains, sort};
use crate::engine::{NO_FORCE_DELETE, NO_PROCESS, UNTOLD, UNWATCHED};
use crate::evidence::{Evidence, Quiet, QuietContainer, Recovery, Reply, Sections, Stall, Unobserved};
use crate::history::History;
use crate::plan::Call;
use crate::subject::Subject;
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

impl Examined {
    /// Whether what such files are good for is known.
    pub fn has(&self, files: Digest) -> bool {
        self.0.contains_key(&files.whole)
    }
}

/// One examination: what was found, and what was asked and answered on record.
#[derive(Clone, Debug)]
struct Found {
    quiet: Quiet,
    asked: Vec<(Call, Reply)>,
}

impl Found {
    /// The generations of what was created in the examination were those of an earlier execution.
    fn forget_generations(&mut self) {
        for container in &mut self.quiet.containers {
            if let Ok(Recovery { create: Reply::Answered(answer), .. }) = &mut container.recovery {
                answer.generation = None;
            }
        }
    }
}

/// A number for all that the verdict depends on.
pub(super) fn likeness(files: Digest, left: &Left) -> u64 {
    let mut hasher = DefaultHasher::new();
    files.lasting.hash(&mut hasher);
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
    (left.recorder.overlaps.len(), left.entered > 0, left.stall.is_some()).hash(&mut hasher);
    hasher.finish()
}

/// What came of a judgement.
#[derive(Debug)]
pub(super) struct JudgedExecution {
    pub violations: Vec<Violation>,
    pub history: History,
    pub examinations: Vec<(CheckId, Examination)>,
}

/// Examines what an execution left, and judges it. The folder may be used up: it must be restored.
pub(super) fn judge(
    control: &mut Control,
    subject: &dyn Subject,
    examined: &mut Examined,
    files: Digest,
    left: &Left,
) -> Result<JudgedExecution, ControlError> {
    let mut recorder = left.recorder.clone();
    let found = match examined.0.entry(files.whole) {
        Entry::Occupied(known) => {
            let known = known.into_mut();
            if !subject.traits().counts_generations {
                known.forget_generations();
            }
            known
        }
        Entry::Vacant(new) => new.insert(examine(control, subject, &recorder.history.containers)?),
    };
    for (call, reply) in &found.asked {
        recorder.aside(number(control.examiner()), *call, reply);
    }
    let since_ns = recorder.time(0);
    let stall = left.stall.as_ref().map(|waiting| Stall { since_ns, waiting: waiting.clone() });
    let traits = subject.traits();
    let sections = Sections { entered: left.entered, overlaps: &recorder.overlaps };
    let evidence = Evidence {
        history: &recorder.history,
        tokens: if traits.tokens { Ok(()) } else { Err(UNTOLD) },
        sections: if traits.watch { Ok(sections) } else { Err(UNWATCHED) },
        exits: Ok(&recorder.exits),
        quiet: Ok(&found.quiet),
        starvation_ns: Err(TIMELESS),
        stall: Ok(stall.as_ref()),
    };
    let examinations = check::examine_in_turn(&evidence);
    let mut violations: Vec<Violation> =
        examinations.iter().flat_map(|(_, examination)| examination.violations.clone()).collect();
    violations.sort_by_key(|violation| violation.class);
    Ok(JudgedExecution { violations, history: recorder.history, examinations })
}

const TIMELESS: Unobserved = Unobserved::lacking("the steps of an exploration have no duration");
const UNCONTROLLED: Unobserved = Unobserved::lacking("exploration takes no subject that starts processes");

/// What lies there, and what can still be done with it.
fn examine(
    control: &mut Control,
    subject: &dyn Subject,
    containers: &[String],
) -> Result<Found, ControlError> {
    let all = 0..containers.len() as u32;
    let call = |operation| move |container| Call { operation, container };
    let mut looks = vec![Call { operation: Operation::List, container: 0 }];
    looks.extend(all.clone().map(call(Operation::State)));
    let seen = control.ask(&looks)?;
    let sorted = sort(&control.root, subject, containers);
    let can_force = subject.traits().has(Operation::ForceDelete);
    let row = [Operation::ForceDelete, Operation::Create, Operation::ForceDelete];
    let recoveries: Vec<Call> = if can_force {
        all.flat_map(|container| row.map(|operation| Call { operation, container })).collect()
    } else {
        Vec::new()
    };
    let mut recovered = control.ask(&recoveries)?.into_iter();
    let mut recovery = || match (recovered.next(), recovered.next(), recovered.next()) {
        (Some(delete), Some(create), Some(delete_again)) => Ok(Recovery { delete, create, delete_again }),
        _ => Err(NO_FORCE),
    };
    let mut examined = Vec::new();
    for (container, state) in (0..).zip(&seen[1..]) {
        let files = sorted.containers.iter().find(|(index, _)| *index == container);
        examined.push(QuietContainer {
            state: Ok(state.clone()),
            files: Ok(files.map(|(_, files)| files.clone()).unwrap_or_default()),
            process: Err(NO_PROCESS),
            recovery: recovery(),
        });
    }
    let quiet = Quiet {
        containers: examined,
        strays: Ok(sorted.strays),
        remains: if can_force { Ok(remains(&control.root, subject)) } else { Err(NO_FORCE) },
        processes: Err(UNCONTROLLED),
        list: Ok(seen[0].clone()),
    };
    Ok(Found { quiet, asked: looks.into_iter().zip(seen).collect() })
}

const NO_FORCE: Unobserved = Unobserved::lacking(NO_FORCE_DELETE);
