//! Which operations took part in a violation: two guesses, the narrower first.

use std::collections::BTreeMap;

use flockwork::{Operation, Status};

use crate::check;
use crate::history::{History, Outcome, Record, Start};
use crate::model;
use crate::violation::Violation;

/// At most so many processes take part: those that decide come first.
pub(super) const PROCESSES_MAX: usize = 4;
/// At most so many operations of each.
const OPERATIONS_MAX: usize = 3;
/// Where no operation shows it, that which lay there after the run came of the last: so many.
const LAST: usize = 3;

/// The container that the violation is about; of files that no container owns that which they are named after.
pub(super) fn container(history: &History, violation: &Violation) -> Option<u32> {
    let is_named = |name: &String| {
        let words = violation.message.split(|c: char| c.is_whitespace() || "/\"',:".contains(c));
        // A lock file of the flat layout lies beside: `c1.lock`.
        words.filter_map(|word| word.split('.').next()).any(|word| word == name)
    };
    let named = || history.containers.iter().position(is_named).map(|index| index as u32);
    violation.container.or_else(named).filter(|container| (*container as usize) < history.containers.len())
}

/// Where no operation shows the violation, each of the last alone; then the operations that show it with those that ran at the same time, and these with those that ran between
/// them. No part is empty.
pub(super) fn parts<'h>(history: &'h History, violation: &Violation, container: u32) -> Vec<Vec<&'h Record>> {
    let on_it = on(history, container);
    let mut decisive: Vec<&Record> = violation
        .records
        .iter()
        .filter_map(|index| history.records.get(*index))
        .filter(|record| on_it.iter().any(|other| std::ptr::eq(*other, *record)))
        .collect();
    let mut parts = Vec::new();
    if decisive.is_empty() {
        decisive = last(&on_it);
        // It may have taken nobody else.
        parts.extend(decisive.iter().map(|record| vec![*record]));
    }
    let overlaps = |record: &Record| {
        decisive
            .iter()
            .any(|other| record.invoke_ns <= other.deadline_ns() && other.invoke_ns <= record.deadline_ns())
    };
    let beside = chosen(&decisive, on_it.iter().copied().filter(|record| overlaps(record)).collect());
    let (Some(from), Some(to)) = (
        beside.iter().map(|record| record.invoke_ns).min(),
        decisive.iter().map(|record| record.invoke_ns).max(),
    ) else {
        return parts;
    };
    let between = |record: &Record| record.deadline_ns() >= from && record.invoke_ns <= to;
    let mut wide: Vec<&Record> =
        on_it.iter().copied().filter(|record| between(record) || overlaps(record)).collect();
    // What made it what it was before may be half of the story.
    let before = on_it.iter().copied().filter(|record| {
        record.deadline_ns() < from
            && model::can_change(record.operation)
            && record.outcome != Outcome::Refused
    });
    wide.extend(before.max_by_key(|record| record.deadline_ns()));
    let wide = chosen(&decisive, wide);
    let is_new = |record: &&Record| !beside.iter().any(|other| std::ptr::eq(*other, *record));
    let is_other = wide.iter().any(is_new);
    parts.push(beside);
    parts.extend(is_other.then_some(wide));
    parts
}

/// The operations on a container, but for those of whoever looks at it when all is quiet.
fn on(history: &History, container: u32) -> Vec<&Record> {
    let examiner = check::examiner(history);
    let is_of_it =
        |record: &&Record| record.container() == Some(container) && Some(record.process) != examiner;
    history.records.iter().filter(is_of_it).collect()
}

/// The last that can have left something. Where some were killed it was one of them: the first since which nothing
/// succeeded any more.
fn last<'h>(on_it: &[&'h Record]) -> Vec<&'h Record> {
    let mut able: Vec<&Record> =
        on_it.iter().copied().filter(|record| model::can_change(record.operation)).collect();
    able.sort_by_key(|record| record.invoke_ns);
    let came_through = on_it.iter().filter(|record| record.outcome == Outcome::Ok);
    let usable_ns = came_through.map(|record| record.invoke_ns).max().unwrap_or(0);
    let is_killed = |record: &&Record| record.outcome == Outcome::Unknown;
    let killed: Vec<&Record> = able.iter().copied().filter(is_killed).collect();
    let since = killed.iter().copied().filter(|record| record.deadline_ns() >= usable_ns);
    match (since.take(LAST).collect::<Vec<_>>(), killed) {
        (since, _) if !since.is_empty() => since,
        (_, killed) if !killed.is_empty() => killed[killed.len().saturating_sub(LAST)..].to_vec(),
        _ => able.split_off(able.len().saturating_sub(LAST)),
    }
}

/// Of these operations as many as can be explored: the decisive, and then those that can change something, the later
/// first.
fn chosen<'h>(decisive: &[&'h Record], candidates: Vec<&'h Record>) -> Vec<&'h Record> {
    let is_decisive = |record: &Record| decisive.iter().any(|other| std::ptr::eq(*other, record));
    let value =
        |record: &Record| (is_decisive(record), model::can_change(record.operation), record.invoke_ns);
    let mut by_process = BTreeMap::<u32, Vec<&Record>>::new();
    for record in candidates {
        by_process.entry(record.process).or_default().push(record);
    }
    let mut processes: Vec<Vec<&Record>> = by_process.into_values().collect();
    for records in &mut processes {
        // Where a process did too much at that time, what decides stays.
        records.sort_by_key(|record| std::cmp::Reverse(value(record)));
        records.truncate(OPERATIONS_MAX);
    }
    processes.sort_by_key(|records| std::cmp::Reverse(records.iter().map(|record| value(record)).max()));
    processes.truncate(PROCESSES_MAX);
    processes.into_iter().flatten().collect()
}

/// What each process does, in the order in which it did. One that was killed does nothing more: whoever took its place
/// is another process.
pub(super) fn lives<'h>(part: &[&'h Record]) -> Vec<Vec<&'h Record>> {
    let mut by_process = BTreeMap::<u32, Vec<&Record>>::new();
    for &record in part {
        by_process.entry(record.process).or_default().push(record);
    }
    let mut lives = Vec::new();
    for mut records in by_process.into_values() {
        records.sort_by_key(|record| record.invoke_ns);
        let ended = records.split_inclusive(|record| record.outcome == Outcome::Unknown);
        lives.extend(ended.map(<[&Record]>::to_vec));
    }
    // Kills are tried process by process: those that were killed come first.
    lives.sort_by_key(|life| life.last().is_some_and(|record| record.outcome != Outcome::Unknown));
    lives
}

/// The status that the last operation to end before an instant saw or left; `None`: absent.
pub(super) fn status_before(history: &History, container: u32, at_ns: u64) -> Option<Status> {
    let before = history.records.iter().filter(|record| {
        let ended = record.return_ns().is_some_and(|return_ns| return_ns < at_ns);
        record.container() == Some(container) && ended && record.outcome != Outcome::Unknown
    });
    match before.max_by_key(|record| record.deadline_ns()) {
        None => match history.start(container) {
            Start::At(status) => Some(status),
            Start::Absent | Start::Unknown => None,
        },
        Some(record) if is_removal(record) => None,
        Some(record) => record.status,
    }
}

fn is_removal(record: &Record) -> bool {
    matches!(record.operation, Operation::Delete | Operation::ForceDelete) && record.outcome == Outcome::Ok
}
