//! The one sentence that says what could not happen.

use flockwork::Operation;

use super::case::{Case, Dead};
use super::explain::DIED;
use super::partition::{Item, States};
use crate::check::tell::Origin;
use crate::history::{History, Outcome, Record};
use crate::model::Seen;
use crate::model::rules::spelled;
use crate::model::table::{ILLEGAL, Table};

/// How many kinds of operation are named at most.
const NAMED_MAX: usize = 3;

/// Says what could not happen.
pub(super) fn sentence(history: &History, table: &Table, case: &Case, dead: &Dead) -> String {
    let records = &history.records;
    let record = &records[dead.record as usize];
    let origin = Origin::of(history);
    let claim = format!(
        "{} by process {} at {} {}",
        record.operation,
        record.process,
        origin.instant(record.invoke_ns),
        claimed(record)
    );
    let row = table.row(record.into());
    let fits: Vec<u8> =
        (0..table.states().len() as u8).filter(|&state| row[state as usize] != ILLEGAL).collect();
    if fits.is_empty() {
        return format!("{claim}, which is impossible in any state of the container.");
    }
    let since = since(history, case, dead, origin);
    let (found, fit) = (names(table, dead.found), names_of(table, &fits));
    if found.iter().any(|name| fit.contains(name)) {
        // They look alike and are not: it matters from where the container got there.
        let (found, fit) = (or(&full_names(table, dead.found)), or(&full_names(table, set(&fits))));
        return format!("{claim}, yet the container was {found}{since}; it would have to be {fit}.");
    }
    let ways = ways_out(table, dead.found, &fits);
    let because = because(history, table, case, dead, &fits, &ways);
    let hint = hint(history, case, dead, &ways, origin);
    format!("{claim}, yet the container was {}{since} and {because}{hint}.", or(&found))
}

/// Why it did not get from where it was to where it would have to be.
fn because(
    history: &History,
    table: &Table,
    case: &Case,
    dead: &Dead,
    fits: &[u8],
    ways: &[Operation],
) -> String {
    let is_used = |operation: Operation| {
        let mut others = case.items.iter().filter(|item| item.record != dead.record);
        others.any(|item| {
            history.records[item.record as usize].operation == operation && matters(item, dead.found)
        })
    };
    let (used, unused): (Vec<_>, Vec<_>) = ways.iter().copied().partition(|&operation| is_used(operation));
    let mut because = Vec::new();
    if !unused.is_empty() {
        because.push(format!("nobody {}", nobody(table, dead.found, fits, &unused)));
    }
    if !used.is_empty() {
        let operations: Vec<_> = used.iter().take(NAMED_MAX).map(|operation| operation.as_str()).collect();
        because.push(format!(
            "no {} can come just before it without leaving another operation without a place",
            or(&operations)
        ));
    }
    if because.is_empty() {
        because.push(format!("nothing makes it {} again", or(&names_of(table, fits))));
    }
    because.join(", and ")
}

/// What comes to mind first, and is no way out: an operation of that kind that failed, or that was over too early.
fn hint(history: &History, case: &Case, dead: &Dead, ways: &[Operation], origin: Origin) -> String {
    let impossible = &history.records[dead.record as usize];
    let latest = dead.order.iter().rev().find_map(|&(index, _)| index);
    let begins_ns = latest.map_or(0, |latest| history.records[latest as usize].invoke_ns);
    let is_near = |record: &&Record| {
        record.container() == impossible.container()
            && ways.contains(&record.operation)
            && record.invoke_ns <= dead.at_ns
    };
    let near = || history.records.iter().filter(is_near);
    let told = |record: &Record| format!("{} by process {}", record.operation, record.process);
    let failed = near()
        .filter(|record| record.outcome == Outcome::Failed && record.deadline_ns() >= begins_ns)
        .max_by_key(|record| record.invoke_ns);
    if let Some(failed) = failed {
        let at = origin.instant(failed.invoke_ns);
        return format!(" ({} at {at} failed, and a failed operation changes nothing)", told(failed));
    }
    let is_member =
        |record: &Record| case.items.iter().any(|item| history.records[item.record as usize] == *record);
    let over = near()
        .filter(|record| record.outcome == Outcome::Unknown && !is_member(record))
        .filter(|record| record.deadline_ns() < dead.at_ns)
        .max_by_key(|record| record.deadline_ns());
    over.map_or_else(String::new, |over| {
        format!(" ({} could act only until {})", told(over), origin.instant(over.deadline_ns()))
    })
}

fn claimed(record: &Record) -> String {
    let saw = record.status.map(|status| status.to_string());
    match (record.outcome, record.reason, saw) {
        (Outcome::Ok, _, Some(status)) if !crate::model::can_change(record.operation) => {
            format!("saw it {status}")
        }
        (Outcome::Ok, _, Some(status)) => format!("succeeded and left it {status}"),
        (Outcome::Ok, _, None) => "succeeded".into(),
        (Outcome::Refused, reason, saw) => {
            let because = match reason {
                Some(crate::history::Reason::Exists) => " because the container exists",
                Some(crate::history::Reason::Absent) => " because the container is absent",
                Some(crate::history::Reason::Status) => " because of the container's status",
                _ => "",
            };
            let saw = saw.map_or_else(String::new, |status| format!(" ({status})"));
            format!("was refused{because}{saw}")
        }
        (outcome, ..) => format!("ended as {outcome}"),
    }
}

/// Whether an operation could have led out of one of the states.
fn matters(item: &Item, states: States) -> bool {
    item.row
        .iter()
        .enumerate()
        .any(|(state, &next)| states & (1 << state) != 0 && next != ILLEGAL && next != state as u8)
}

/// From when on the container was in the state in which it was found: since the latest operation that led there.
fn since(history: &History, case: &Case, dead: &Dead, origin: Origin) -> String {
    let record = &history.records[dead.record as usize];
    let Some(&(Some(latest), _)) = dead.order.last() else {
        if !dead.order.is_empty() {
            return format!(" ({DIED})");
        }
        return if case.initial.is_power_of_two() {
            " from the start".into()
        } else {
            " all the while".into()
        };
    };
    let latest = &history.records[latest as usize];
    let by = if crate::model::can_change(latest.operation) {
        format!("{} by process {}", latest.operation, latest.process)
    } else {
        format!("seen by process {}'s {}", latest.process, latest.operation)
    };
    match latest.return_ns() {
        Some(return_ns) if return_ns <= record.invoke_ns => {
            format!(" from {} on ({by})", origin.instant(return_ns))
        }
        _ => format!(" all the while ({by})"),
    }
}

/// What nobody did: where every way leads through absence, that a new life began.
fn nobody(table: &Table, found: States, fits: &[u8], ways: &[Operation]) -> String {
    let is_absent = |state: u8| table.states()[state as usize] == spelled(None);
    let was_there =
        (0..table.states().len() as u8).all(|state| found & (1 << state) == 0 || !is_absent(state));
    let fits_there = fits.iter().all(|&state| !is_absent(state));
    if was_there && fits_there && !fits.iter().any(|&state| within_one_life(table, found) & (1 << state) != 0)
    {
        return "deleted it and created it again".into();
    }
    format!("{} it", or(&verbs(ways)))
}

/// What an operation makes of a state if it acts.
fn next(table: &Table, state: u8, operation: Operation) -> Option<u8> {
    let seen = Seen { operation, outcome: Outcome::Unknown, reason: None, status: None };
    Some(table.row(seen)[state as usize]).filter(|&next| next != ILLEGAL)
}

/// The states to which operations can lead from those that were found, without the container being absent in between.
fn within_one_life(table: &Table, found: States) -> States {
    let count = table.states().len() as u8;
    let mut reached: States = found;
    loop {
        let before = reached;
        for state in (0..count).filter(|state| before & (1 << state) != 0) {
            let all = Operation::ALL.into_iter().filter_map(|operation| next(table, state, operation));
            let there = all.filter(|&next| table.states()[next as usize] != spelled(None));
            there.for_each(|next| reached |= 1 << next);
        }
        if reached == before {
            return reached;
        }
    }
}

/// The operations that begin a shortest way from a state that was found to one that fits.
fn ways_out(table: &Table, found: States, fits: &[u8]) -> Vec<Operation> {
    let next = |state: u8, operation| next(table, state, operation);
    let count = table.states().len();
    let mut distance = vec![usize::MAX; count];
    for &state in fits {
        distance[state as usize] = 0;
    }
    for _ in 0..count {
        for state in 0..count {
            let nearest = Operation::ALL
                .into_iter()
                .filter_map(|operation| next(state as u8, operation))
                .map(|next| distance[next as usize].saturating_add(1))
                .min();
            distance[state] = distance[state].min(nearest.unwrap_or(usize::MAX));
        }
    }
    let begins = |operation: Operation| {
        (0..count).filter(|state| found & (1 << state) != 0).any(|state| {
            let nearer = next(state as u8, operation).map(|next| distance[next as usize]);
            distance[state] != usize::MAX && nearer.is_some_and(|nearer| nearer < distance[state])
        })
    };
    // Rare ways to the same end say no more than the plain ones.
    let is_plain = |operation: &Operation| !matches!(operation, Operation::Restore | Operation::Signal);
    let ways: Vec<_> = Operation::ALL.into_iter().filter(|&operation| begins(operation)).collect();
    if ways.iter().any(is_plain) { ways.into_iter().filter(is_plain).collect() } else { ways }
}

fn verbs(operations: &[Operation]) -> Vec<&'static str> {
    let verb = |operation: &Operation| match operation {
        Operation::Create => "created",
        Operation::Start => "started",
        Operation::Restore => "restored",
        Operation::Pause => "paused",
        Operation::Resume => "resumed",
        Operation::Kill => "killed",
        Operation::Signal => "signalled",
        Operation::Checkpoint => "checkpointed",
        Operation::Wait => "waited for",
        Operation::State | Operation::Load | Operation::List => "read",
        Operation::Delete => "deleted",
        Operation::ForceDelete => "force-deleted",
    };
    let mut verbs: Vec<_> = operations.iter().map(verb).collect();
    if verbs.contains(&"deleted") {
        verbs.retain(|&verb| verb != "force-deleted");
    }
    verbs.truncate(NAMED_MAX);
    verbs
}

/// States as a set.
fn set(states: &[u8]) -> States {
    states.iter().fold(0, |set, state| set | 1 << state)
}

fn full_names(table: &Table, states: States) -> Vec<&str> {
    let numbered = table.states().iter().enumerate();
    numbered.filter(|(state, _)| states & (1 << state) != 0).map(|(_, name)| name.as_str()).collect()
}

fn names(table: &Table, states: States) -> Vec<String> {
    let states: Vec<u8> =
        (0..table.states().len() as u8).filter(|state| states & (1 << state) != 0).collect();
    names_of(table, &states)
}

/// The names of states, without what only tells apart states that look alike.
fn names_of(table: &Table, states: &[u8]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for &state in states {
        let name = &table.states()[state as usize];
        let name = name.split_once(" (").map_or(name.as_str(), |(name, _)| name);
        if !names.iter().any(|other| other == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// `a`, `a or b`, `a, b or c`.
pub(super) fn or(words: &[impl AsRef<str>]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
