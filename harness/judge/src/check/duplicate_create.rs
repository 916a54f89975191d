//! duplicate-create: two creates of one id succeeded with no delete between them.
//!
//! Three arguments, each certain: two creates claim one generation; in some window more creates succeeded than the
//! deletes that can act in it allow; a generation was never deleted, or still seen, when the next create had returned.
//! The second needs no tokens at all, the third only that those of different lives differ.

use std::collections::HashMap;

use flockwork::Operation;
use rayon::prelude::*;

use super::collect::Collector;
use super::lives::{by_container, deletes};
use super::tell::{Origin, told};
use super::{Check, CheckId, Examination};
use crate::evidence::Evidence;
use crate::history::{History, Outcome, Record};
use crate::violation::{Class, Violation};
use crate::words::plural;

/// How many creates a message names.
const NAMED_MAX: usize = 4;

/// Looks for two creates of one id without a delete that can come between them.
#[derive(Debug)]
pub(super) struct DuplicateCreate;

impl Check for DuplicateCreate {
    fn id(&self) -> CheckId {
        CheckId::Of(Class::DuplicateCreate)
    }

    fn examine(&self, evidence: &Evidence<'_>) -> Examination {
        let history = evidence.history;
        by_container(history)
            .par_iter()
            .map(|indexes| {
                let lives = Lives::of(&history.records, indexes);
                let mut found = one_generation_twice(history, &lives);
                if found.is_clean() {
                    found = found.merge(more_than_deletes_allow(history, &lives));
                }
                if found.is_clean() {
                    found = found.merge(while_alive(history, &lives, indexes));
                }
                found
            })
            .reduce(Collector::default, Collector::merge)
            .finish()
    }
}

/// Creates that succeeded, and deletes that did or may have.
struct Lives {
    creates: Vec<u32>,
    deletes: Vec<u32>,
}

impl Lives {
    fn of(records: &[Record], indexes: &[u32]) -> Self {
        let of = |wanted: fn(&Record) -> bool| {
            indexes.iter().copied().filter(|&index| wanted(&records[index as usize])).collect()
        };
        Self {
            creates: of(|record| record.operation == Operation::Create && record.outcome == Outcome::Ok),
            deletes: of(|record| deletes(record) && matches!(record.outcome, Outcome::Ok | Outcome::Unknown)),
        }
    }
}

fn violation(history: &History, creates: &[u32], why: &str) -> Violation {
    let origin = Origin::of(history);
    let first = &history.records[creates[0] as usize];
    let named: Vec<_> = creates
        .iter()
        .take(NAMED_MAX)
        .map(|&index| told(history, &history.records[index as usize], origin).to_string())
        .collect();
    Violation {
        class: Class::DuplicateCreate,
        container: first.container(),
        message: format!("{}: {why}: {}.", history.container_name(first), named.join("; ")),
        records: creates.iter().take(NAMED_MAX).map(|&index| index as usize).collect(),
    }
}

fn one_generation_twice(history: &History, lives: &Lives) -> Collector {
    let mut collector = Collector::of(lives.creates.len() as u64);
    let generation = |&index: &u32| Some((history.records[index as usize].generation?, index));
    let mut claims: Vec<_> = lives.creates.iter().filter_map(generation).collect();
    claims.sort_unstable();
    for pair in claims.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        let creates = [pair[0].1, pair[1].1];
        let at_ns = creates.map(|index| history.records[index as usize].invoke_ns).into_iter().max();
        collector.add(at_ns.unwrap_or(0), || {
            violation(history, &creates, &format!("two creates made generation {}", pair[0].0))
        });
    }
    collector
}

/// Looks for a window [a, b] in which k creates lie and fewer than k - 1 deletes can act.
///
/// At least (returned by b) - (invoked before a) creates lie in it, and all deletes can act in it but those over before
/// a and those invoked after b. That is the difference of a function of b and one of a: one sweep finds the first b.
fn more_than_deletes_allow(history: &History, lives: &Lives) -> Collector {
    let mut collector = Collector::default();
    let times = |indexes: &[u32], time_ns: fn(&Record) -> u64| {
        let mut times: Vec<_> =
            indexes.iter().map(|&index| time_ns(&history.records[index as usize])).collect();
        times.sort_unstable();
        times
    };
    let create_invokes = times(&lives.creates, |record| record.invoke_ns);
    let create_returns = times(&lives.creates, Record::deadline_ns);
    let delete_invokes = times(&lives.deletes, |record| record.invoke_ns);
    let delete_deadlines = times(&lives.deletes, Record::deadline_ns);
    let mut next = 0;
    // Counted from below, so that nothing is negative.
    let all = create_invokes.len();
    let mut best = (0, 0);
    for (returned, &to_ns) in create_returns.iter().enumerate() {
        while let Some(&from_ns) = create_invokes.get(next).filter(|&&from_ns| from_ns <= to_ns) {
            let before = create_invokes.partition_point(|&time_ns| time_ns < from_ns);
            let over = delete_deadlines.partition_point(|&time_ns| time_ns < from_ns);
            best = best.max((over + all - before, from_ns));
            next += 1;
        }
        let begun = delete_invokes.partition_point(|&time_ns| time_ns <= to_ns);
        if (returned + 1) + best.0 > begun + 1 + all {
            let from_ns = best.1;
            collector.add(to_ns, || too_many(history, lives, from_ns, to_ns));
            break;
        }
    }
    collector
}

fn too_many(history: &History, lives: &Lives, from_ns: u64, to_ns: u64) -> Violation {
    let records = &history.records;
    let inside = |&index: &u32| {
        let record = &records[index as usize];
        (record.invoke_ns >= from_ns && record.deadline_ns() <= to_ns)
            .then_some((record.deadline_ns(), index))
    };
    let mut creates: Vec<_> = lives.creates.iter().filter_map(inside).collect();
    creates.sort_unstable();
    let can_act = |&&index: &&u32| {
        let record = &records[index as usize];
        record.invoke_ns <= to_ns && record.deadline_ns() >= from_ns
    };
    let deletes = lives.deletes.iter().filter(can_act).count();
    let origin = Origin::of(history);
    let deletes = match deletes {
        0 => "no delete".to_owned(),
        count => format!("only {}", plural(count as u64, "delete")),
    };
    let why = format!(
        "{} creates succeeded from {} to {}, but {deletes} can have acted meanwhile",
        creates.len(),
        origin.instant(from_ns),
        origin.instant(to_ns),
    );
    // The last ones are those that were too many.
    let first = creates.len().saturating_sub(NAMED_MAX);
    let creates: Vec<_> = creates[first..].iter().map(|&(_, index)| index).collect();
    violation(history, &creates, &why)
}

/// Deletes whose generation nobody knows: by invocation, with the latest deadline among each and those before.
fn anonymous_deletes(records: &[Record], lives: &Lives) -> Vec<(u64, u64)> {
    let mut deletes: Vec<_> = lives
        .deletes
        .iter()
        .map(|&index| &records[index as usize])
        .filter(|record| record.outcome == Outcome::Unknown || record.generation.is_none())
        .map(|record| (record.invoke_ns, record.deadline_ns()))
        .collect();
    deletes.sort_unstable();
    for position in 1..deletes.len() {
        deletes[position].1 = deletes[position].1.max(deletes[position - 1].1);
    }
    deletes
}

/// What is known of one generation, but for its create.
#[derive(Clone, Copy)]
struct Generation {
    /// When the first delete that claims it was invoked.
    deleted_ns: Option<u64>,
    /// The operation that saw it and was invoked last.
    seen: Option<(u64, u32)>,
}

fn generations(records: &[Record], indexes: &[u32]) -> HashMap<u64, Generation> {
    let mut generations = HashMap::new();
    for &index in indexes {
        let record = &records[index as usize];
        let Some(generation) = record.generation else { continue };
        if !matches!(record.outcome, Outcome::Ok | Outcome::Refused) {
            continue;
        }
        let entry =
            generations.entry(generation.get()).or_insert(Generation { deleted_ns: None, seen: None });
        if deletes(record) && record.outcome == Outcome::Ok {
            let deleted_ns = entry.deleted_ns.map_or(record.invoke_ns, |other| other.min(record.invoke_ns));
            entry.deleted_ns = Some(deleted_ns);
        }
        entry.seen = entry.seen.max(Some((record.invoke_ns, index)));
    }
    generations
}

/// Looks for a generation that lived when another create, invoked after its own had returned, returned itself.
fn while_alive(history: &History, lives: &Lives, indexes: &[u32]) -> Collector {
    let records = &history.records;
    let mut collector = Collector::default();
    if lives.creates.len() < 2 {
        return collector;
    }
    let generations = generations(records, indexes);
    let anonymous = anonymous_deletes(records, lives);
    // Creates by invocation; with each the one that returned first among it and those after.
    let mut creates: Vec<_> =
        lives.creates.iter().map(|&index| (records[index as usize].invoke_ns, index)).collect();
    creates.sort_unstable();
    let mut first_return: Vec<_> =
        creates.iter().map(|&(_, index)| (records[index as usize].deadline_ns(), index)).collect();
    for position in (1..first_return.len()).rev() {
        first_return[position - 1] = first_return[position - 1].min(first_return[position]);
    }
    for &(invoke_ns, index) in &creates {
        let record = &records[index as usize];
        let Some(known) = record.generation.and_then(|generation| generations.get(&generation.get())) else {
            continue;
        };
        let after = creates.partition_point(|&(other_ns, _)| other_ns <= record.deadline_ns());
        let Some(&(end_ns, successor)) = first_return.get(after) else { continue };
        if known.deleted_ns.is_some_and(|deleted_ns| deleted_ns <= end_ns) {
            continue;
        }
        let begun = anonymous.partition_point(|&(delete_ns, _)| delete_ns <= end_ns);
        let may_be_deleted = begun > 0 && anonymous[begun - 1].1 >= invoke_ns;
        let seen = known.seen.filter(|&(seen_ns, _)| seen_ns > end_ns);
        if may_be_deleted && seen.is_none() {
            continue;
        }
        let witnesses: Vec<_> = [index, successor].into_iter().chain(seen.map(|(_, seen)| seen)).collect();
        let why = match seen {
            Some(_) => {
                "the second create succeeded while the first one's container lived, as the last one saw"
            }
            None => "the second create succeeded although nobody had deleted the first one's container",
        };
        collector.add(end_ns, || violation(history, &witnesses, why));
    }
    collector
}

#[cfg(test)]
mod tests {
    use flockwork::Operation::{Create, Delete, ForceDelete, State};
    use flockwork::Status::Created;

    use super::super::fixture::{Case, Saw, killed, ok};
    use super::*;

    #[test]
    fn two_creates_of_one_generation_fail() {
        let case = Case::of([
            ok(0, Create, 1..=5).saw(Created, 1, 1),
            ok(1, Create, 2..=4).saw(Created, 1, 1),
            ok(2, Delete, 1..=9).stamped(1, 2),
        ]);
        assert!(case.must_fail(&DuplicateCreate).contains("two creates made generation 1"));
    }

    #[test]
    fn more_creates_than_deletes_fail_without_tokens() {
        let case = Case::of([
            ok(0, Create, 1..=2),
            ok(0, Delete, 3..=4),
            ok(0, Create, 10..=12),
            ok(1, Create, 11..=13),
            ok(0, Delete, 20..=21),
        ]);
        let message = case.must_fail(&DuplicateCreate);
        assert!(
            message.contains("2 creates succeeded from 0.009 ms to 0.012 ms, but no delete can"),
            "{message}"
        );
        assert!(message.contains("p0 create (0.009–0.011 ms)"), "{message}");
    }

    #[test]
    fn a_create_while_an_earlier_generation_is_seen_alive_fails() {
        // The killed delete could explain the second create, but the first container lives on.
        let case = Case::of([
            ok(0, Create, 1..=2).saw(Created, 5, 1),
            killed(2, ForceDelete, 2..=3),
            ok(1, Create, 4..=5).saw(Created, 3, 1),
            ok(2, State, 6..=7).saw(Created, 5, 1),
        ]);
        assert!(case.must_fail(&DuplicateCreate).contains("while the first one's container lived"));
    }

    #[test]
    fn a_create_after_a_delete_of_another_generation_fails() {
        let case = Case::of([
            ok(0, Create, 1..=2).saw(Created, 1, 1),
            ok(1, Create, 4..=6).saw(Created, 2, 1),
            ok(2, Delete, 3..=7).stamped(2, 2),
        ]);
        assert!(case.must_fail(&DuplicateCreate).contains("although nobody had deleted"));
    }

    #[test]
    fn deletes_that_can_have_acted_pass() {
        Case::of([
            ok(0, Create, 1..=2).saw(Created, 1, 1),
            killed(2, ForceDelete, 0..=3),
            ok(1, Create, 3..=5).saw(Created, 2, 1),
            ok(2, Delete, 5..=6).stamped(2, 2),
            ok(3, Create, 6..=7).saw(Created, 3, 1),
        ])
        .must_pass(&DuplicateCreate);
    }

    #[test]
    fn a_long_create_that_spans_others_passes() {
        Case::of([
            ok(0, Create, 1..=20),
            ok(1, Create, 2..=3),
            ok(1, Delete, 4..=5),
            ok(2, Create, 6..=7),
            ok(2, Delete, 8..=9),
        ])
        .must_pass(&DuplicateCreate);
    }
}
