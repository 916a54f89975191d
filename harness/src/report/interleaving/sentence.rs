//! The words below the table: who was interrupted where, what each operation returned, and which promise that breaks.

use std::fmt::Write;

use super::{Interleaving, reason};
use crate::history::{Outcome, Record};
use crate::plan::schedule::{Fault, Line, without_number};
use crate::violation::Class;
use crate::words::plural;

/// What comes behind so many switches is told by the table alone.
const BLOCKS_MAX: usize = 6;

/// Says what happened.
pub(super) fn tell(interleaving: &Interleaving<'_>) -> String {
    let mut text = String::new();
    let mut line = |words: String| writeln!(text, "{words}").expect("a String takes all");
    let setup = &interleaving.exploration.setup;
    if !setup.is_empty() {
        line(format!("Before step 1: {}.", setup.join(", ")));
    }
    let told = happenings(&interleaving.exploration.schedule.lines);
    if !told.is_empty() {
        line(format!("What happened: {}.", told.join("; ")));
    }
    if let Some(reason) = reason::of(&interleaving.exploration.schedule.lines) {
        line(format!("So {reason}."));
    }
    for record in told_records(interleaving) {
        line(format!("p{} {}: {}", record.process, call(interleaving, record), ending(record)));
    }
    let class = interleaving.violation.class;
    line(format!("{class}: {}.", promise(class)));
    text
}

/// How an operation ended, and the status it saw or left.
fn ending(record: &Record) -> String {
    let outcome = match (record.outcome, record.reason) {
        (Outcome::Unknown, _) => "never answered".to_owned(),
        (outcome, Some(reason)) => format!("{outcome} ({reason})"),
        (outcome, None) => outcome.to_string(),
    };
    record.status.map_or(outcome.clone(), |status| format!("{outcome}, {status}"))
}

fn call(interleaving: &Interleaving<'_>, record: &Record) -> String {
    let name = interleaving.history.container_name(record);
    format!("{} {name}", record.operation).trim_end().to_owned()
}

/// What the controlled processes did; before the first is setup, behind the last whoever looks when all is quiet.
fn told_records<'a>(interleaving: &'a Interleaving<'_>) -> Vec<&'a Record> {
    let processes = 1..=interleaving.exploration.processes.len() as u32;
    let mut told: Vec<_> =
        interleaving.history.records.iter().filter(|record| processes.contains(&record.process)).collect();
    told.sort_by_key(|record| (record.deadline_ns(), record.process));
    told
}

/// What each process did until another went on, in the order in which they did.
fn happenings(lines: &[Line]) -> Vec<String> {
    let mut told = Vec::new();
    let mut first = 0;
    for block in lines.chunk_by(|one, other| one.process == other.process) {
        let (process, end) = (block[0].process, first + block.len());
        let before = lines[..first].iter().any(|line| line.process == process);
        let next = lines[end..].iter().find(|line| line.process == process);
        told.push(happening(block, first, before, next));
        first = end;
    }
    if told.len() > BLOCKS_MAX {
        let more = told.len() - BLOCKS_MAX;
        told.truncate(BLOCKS_MAX);
        told.push(format!("and so on, with {}", plural(more as u64, "more switch")));
    }
    told
}

/// What one process did between two switches: the first of its steps is this one, counted from 0.
fn happening(block: &[Line], first: usize, before: bool, next: Option<&Line>) -> String {
    let who = format!("p{}", block[0].process + 1);
    let verb = if before { "went on with" } else { "took" };
    let mut words = match block.len() {
        1 => format!("{who} {verb} step {}", first + 1),
        count => format!("{who} {verb} steps {} to {}", first + 1, first + count),
    };
    for (step, line) in (first + 1..).zip(block) {
        let label = without_number(&line.label);
        match (line.fault, label.strip_prefix("return ")) {
            (Some(Fault::Kill), _) => {
                write!(words, ", and was killed at step {step}, before its \"{label}\"")
            }
            (Some(Fault::KillOne), _) => {
                write!(words, ", and one of its processes was killed at step {step}, before its \"{label}\"")
            }
            (Some(fault), _) => write!(words, ", of which step {step} ({label}) met {fault}"),
            (None, Some(returned)) => {
                let (call, outcome) = returned.rsplit_once(' ').unwrap_or((returned, ""));
                write!(words, ", and its {call} returned {outcome}")
            }
            (None, None) => Ok(()),
        }
        .expect("a String takes all");
    }
    if let Some(next) = next {
        write!(words, ", and stopped before its \"{}\"", without_number(&next.label))
            .expect("a String takes all");
    }
    words
}

/// The promise that a class breaks, in words that need no glossary.
const fn promise(class: Class) -> &'static str {
    match class {
        Class::TornRead => "a reader must always get whole metadata",
        Class::DuplicateCreate => "only one of several creates of one id may succeed",
        Class::LostUpdate => "no process may overwrite what another saved without having seen it",
        Class::LockOverlap => "only one process may hold a container's lock",
        Class::NotLinearizable => {
            "it must be as if the operations had run one after the other, and no order of them explains this"
        }
        Class::Resurrection => "a deleted container must not come back without a create",
        Class::Collateral => "an operation that is refused or fails must change nothing",
        Class::Leftover => "no file or process may remain that belongs to no container",
        Class::Unrecoverable => "after a crash a container must be usable, or deletable and re-creatable",
        Class::Deadlock => "some process must always be able to go on",
        Class::Starvation => "no process may wait for ever",
        Class::StatusMismatch => "metadata must match what the process really does",
        Class::SubjectCrash => "the subject must not crash",
        Class::NotSerializable => {
            "commands that overlap must leave and print what some order of them gives, one after the other"
        }
        Class::UnexpectedFailure => "a command that never fails alone must not fail",
        Class::LostByCrash => {
            "a crash must leave the state before or the state after, and nothing acknowledged may be lost"
        }
    }
}
