//! Opaque subjects: programs that tell neither generations nor revisions, judged by what their commands answered and by
//! what lay there after the run.
//!
//! The strongest oracle is the subject's own model: some order of the operations, each within its interval, must explain
//! every answer and what the examiner saw at the end; and an operation that did not succeed has no part in it. Where none
//! does, the class says whose fault it is: of one that was refused or failed, if those that succeeded followed each other
//! (`collateral`), else of those that overlapped (`not-linearizable`).

use flockwork::Operation;

use super::collect::Collector;
use super::search::{self, Budget, Operations};
use super::tell::{Origin, told};
use super::{CheckId, Examination, all, examiner};
use crate::evidence::Evidence;
use crate::history::{History, Outcome, Reason, Record, Start};
use crate::model::Model;
use crate::verdict::Ruling;
use crate::violation::{Class, Violation};

/// Whether the check of a class needs nothing but answers and what was found.
const fn needs_answers_alone(class: Class) -> bool {
    match class {
        Class::TornRead
        | Class::DuplicateCreate
        | Class::Leftover
        | Class::Unrecoverable
        | Class::Deadlock
        | Class::StatusMismatch
        | Class::SubjectCrash => true,
        // These rest on generations, or on locks, or are judged by the order that is looked for; the last are not of containers.
        Class::LostUpdate
        | Class::LockOverlap
        | Class::NotLinearizable
        | Class::Resurrection
        | Class::Collateral
        | Class::Starvation
        | Class::NotSerializable
        | Class::UnexpectedFailure
        | Class::LostByCrash => false,
    }
}

/// How many operations a message names.
const NAMED_MAX: usize = 6;

/// Judges the evidence of an opaque subject by its model.
#[must_use]
pub fn examine(evidence: &Evidence<'_>, model: &Model) -> Vec<(CheckId, Examination)> {
    let others = all().iter().filter(|check| needs_answers_alone(check.id().class()));
    let mut examinations: Vec<_> = others.map(|check| (check.id(), check.examine(evidence))).collect();
    let doubled: Vec<_> = examinations
        .iter()
        .filter(|(id, _)| id.class() == Class::DuplicateCreate)
        .flat_map(|(_, examination)| &examination.violations)
        .filter_map(|violation| violation.container)
        .collect();
    let [order, collateral] = by_order(evidence.history, model, &doubled);
    examinations.push((CheckId::Of(Class::NotLinearizable), order));
    examinations.push((CheckId::Of(Class::Collateral), collateral));
    examinations
}

/// Looks for an order of each container's operations. What is known to be a second create is not told twice.
fn by_order(history: &History, model: &Model, doubled: &[u32]) -> [Examination; 2] {
    let mut order = Collector::default();
    let mut collateral = Collector::default();
    let partitions = search::partitions(history);
    let allowance = Budget::default().shared(partitions.len());
    for partition in partitions {
        let count = partition.indexes.len() as u64;
        order.examined += count;
        let harmless = records(history, &partition).filter(|record| is_without_effect(record)).count();
        collateral.examined += harmless as u64;
        match search::judge_one(history, model, allowance, &partition) {
            _ if doubled.contains(&partition.container) => {}
            Ruling::Legal(_) => {
                if let Some(violation) = no_winner(history, &partition) {
                    order.add(0, || violation);
                }
            }
            Ruling::Illegal(explanation) => {
                let is_collateral = is_of_the_refused(history, &partition);
                let (class, to) = if is_collateral {
                    (Class::Collateral, &mut collateral)
                } else {
                    (Class::NotLinearizable, &mut order)
                };
                let said = explanation.sentence.clone();
                let indexes: Vec<usize> = explanation.window.iter().map(|member| member.index).collect();
                to.add(0, || violation(history, &partition, class, (&said, indexes)));
            }
            Ruling::Undecided(why) => order.lacks(&crate::evidence::Unobserved::Missed(why.why().to_owned())),
        }
    }
    [order.finish(), collateral.finish()]
}

fn records<'h>(history: &'h History, partition: &'h Operations) -> impl Iterator<Item = &'h Record> {
    partition.indexes.iter().map(|&index| &history.records[index as usize])
}

fn is_without_effect(record: &Record) -> bool {
    matches!(record.outcome, Outcome::Refused | Outcome::Failed) && crate::model::can_change(record.operation)
}

/// Whether only one that did not succeed can be the cause: those that did, followed each other, and nobody was killed.
fn is_of_the_refused(history: &History, partition: &Operations) -> bool {
    let examiner = examiner(history);
    let workers = || {
        let workers = records(history, partition).filter(move |record| Some(record.process) != examiner);
        workers.filter(|record| crate::model::can_change(record.operation))
    };
    let mut done: Vec<&Record> = workers().filter(|record| record.outcome == Outcome::Ok).collect();
    done.sort_by_key(|record| record.invoke_ns);
    let is_sequential = done.windows(2).all(|pair| pair[0].deadline_ns() < pair[1].invoke_ns);
    let nobody_killed = workers().all(|record| record.outcome != Outcome::Unknown);
    // Where nothing succeeded, what was refused is not explained by a change.
    is_sequential && nobody_killed && !done.is_empty() && workers().any(is_without_effect)
}

/// Creates of an absent container, none of which succeeded, though nothing else was done to it.
fn no_winner(history: &History, partition: &Operations) -> Option<Violation> {
    let examiner = examiner(history);
    let of_workers = || records(history, partition).filter(|record| Some(record.process) != examiner);
    let changes = || of_workers().filter(|record| crate::model::can_change(record.operation));
    let is_vain = |record: &Record| record.operation == Operation::Create && is_without_effect(record);
    let is_meant = history.start(partition.container) == Start::Absent && changes().all(is_vain);
    // One alone says nothing: the bundle may be at fault.
    if !is_meant || changes().count() < 2 {
        return None;
    }
    let index = |record: &Record| history.records.iter().position(|other| std::ptr::eq(other, record));
    let indexes: Vec<usize> = changes().filter_map(index).collect();
    let said = "of several creates of an absent container exactly one succeeds, in any order";
    Some(violation(history, partition, Class::NotLinearizable, (said, indexes)))
}

fn violation(
    history: &History,
    partition: &Operations,
    class: Class,
    (said, records): (&str, Vec<usize>),
) -> Violation {
    let origin = Origin::of(history);
    let examiner = examiner(history);
    let name = &history.containers[partition.container as usize];
    let mut indexes: Vec<usize> = partition.indexes.iter().map(|&index| index as usize).collect();
    indexes.sort_by_key(|&index| history.records[index].invoke_ns);
    let is_told = |index: &usize| {
        let record = &history.records[*index];
        record.outcome == Outcome::Ok || records.contains(index) || record.reason == Some(Reason::Corrupt)
    };
    let story = |index: usize| {
        let record = &history.records[index];
        let who = if Some(record.process) == examiner { " (after the run)" } else { "" };
        format!("{}{who}", told(history, record, origin))
    };
    let lines: Vec<String> = indexes.into_iter().filter(is_told).take(NAMED_MAX).map(story).collect();
    Violation {
        class,
        container: Some(partition.container),
        message: format!("{name}: no order explains this: {said} Seen: {}.", lines.join("; ")),
        records,
    }
}

#[cfg(test)]
mod tests {
    use flockwork::Status;

    use super::*;
    use crate::model::Builtin;

    const EXAMINER: u32 = 9;

    /// Who, what, from, to, how and why.
    type Line = (u32, Operation, u64, u64, Outcome, Option<Reason>);

    /// A history of one container, and what the examiner saw.
    fn history(lines: &[Line], seen: Option<Status>) -> History {
        let mut history = History::default();
        history.containers.push("c1".into());
        for &(process, operation, from, to, outcome, reason) in lines {
            let mut record = Record::invoked(process, Some(0), operation, from);
            record.set_return_ns(Some(to));
            (record.outcome, record.reason) = (outcome, reason);
            history.records.push(record);
        }
        let mut last = Record::invoked(EXAMINER, Some(0), Operation::State, 1_000_000);
        last.set_return_ns(Some(1_000_001));
        (last.outcome, last.status) = match seen {
            Some(status) => (Outcome::Ok, Some(status)),
            None => (Refused, None),
        };
        last.reason = seen.is_none().then_some(Reason::Absent);
        history.records.push(last);
        history
    }

    fn classes(history: &History) -> Vec<Class> {
        let model = Model::builtin(Builtin::Oci);
        let evidence = Evidence::of_history(history);
        let found = examine(&evidence, &model);
        found.iter().flat_map(|(_, examination)| &examination.violations).map(|found| found.class).collect()
    }

    use Operation::{Create, Delete, Start as Begin};
    use Outcome::{Failed, Ok as Done, Refused, Unknown};
    const EXISTS: Option<Reason> = Some(Reason::Exists);

    #[test]
    fn one_winner_is_as_it_should_be() {
        let sound = history(
            &[(0, Create, 10, 50, Done, None), (1, Create, 11, 40, Refused, EXISTS)],
            Some(Status::Created),
        );
        assert_eq!(classes(&sound), []);
    }

    #[test]
    fn two_winners_are_told_once() {
        let two = history(
            &[(0, Create, 10, 50, Done, None), (1, Create, 11, 40, Done, None)],
            Some(Status::Created),
        );
        assert_eq!(classes(&two), [Class::DuplicateCreate]);
    }

    #[test]
    fn no_winner_is_illegal_however_they_fail() {
        for outcome in [(Refused, EXISTS), (Failed, Some(Reason::Other))] {
            let (how, why) = outcome;
            let none = history(&[(0, Create, 10, 50, how, why), (1, Create, 11, 40, how, why)], None);
            assert_eq!(classes(&none), [Class::NotLinearizable], "{outcome:?}");
        }
        // A killed one may have been there when the other came.
        let killed =
            history(&[(0, Create, 10, 50, Unknown, None), (1, Create, 11, 40, Refused, EXISTS)], None);
        assert_eq!(classes(&killed), [Class::NotLinearizable]);
    }

    #[test]
    fn what_a_refused_create_destroys_is_collateral() {
        let destroyed = history(&[(8, Create, 1, 5, Done, None), (0, Create, 10, 50, Refused, EXISTS)], None);
        assert_eq!(classes(&destroyed), [Class::Collateral]);
    }

    #[test]
    fn two_deletes_of_one_container_have_no_order() {
        let two = history(
            &[
                (8, Create, 1, 3, Done, None),
                (8, Begin, 4, 5, Done, None),
                (8, Operation::Kill, 6, 7, Done, None),
                (0, Delete, 10, 50, Done, None),
                (1, Delete, 11, 40, Done, None),
            ],
            None,
        );
        assert_eq!(classes(&two), [Class::NotLinearizable]);
    }
}
