//! collateral: a refused or failed operation changed something.
//!
//! The witness order shows a change that no successful and no killed operation explains, while a refused or failed
//! one overlaps it that could have made it, or a create failed before a life was seen that nobody began. Where there is
//! none, it is the witness's to tell.

use flockwork::Operation;

use super::collect::Collector;
use super::tell::{Origin, told};
use super::witness::{Fault, WitnessOrder};
use super::{Check, CheckId, Examination};
use crate::evidence::Evidence;
use crate::history::{History, Outcome, Record};
use crate::model;
use crate::violation::Class;

/// Looks for refused and failed operations that changed something all the same.
#[derive(Debug)]
pub(super) struct Collateral;

impl Check for Collateral {
    fn id(&self) -> CheckId {
        CheckId::Of(Class::Collateral)
    }

    fn examine(&self, evidence: &Evidence<'_>) -> Examination {
        examine(evidence, &WitnessOrder::of(evidence))
    }
}

/// Judges the evidence by its order.
pub(super) fn examine(evidence: &Evidence<'_>, order: &WitnessOrder) -> Examination {
    let history = evidence.history;
    let without_effect =
        |record: &&Record| matches!(record.outcome, Outcome::Refused | Outcome::Failed) && can_harm(record);
    let mut collector = Collector::of(history.records.iter().filter(without_effect).count() as u64);
    for fault in order.faults() {
        let Some(culprit) = culprit(history, fault) else { continue };
        let (from_ns, _) = fault.span_ns(&history.records);
        collector.add(from_ns, || {
            let told = told(history, &history.records[culprit], Origin::of(history));
            let cause = format!(
                " Meanwhile an operation ran that did not succeed, and must not have changed anything: {told}."
            );
            let mut violation = fault.violation(history, Class::Collateral, &cause);
            violation.records.push(culprit);
            violation
        });
    }
    collector.finish()
}

/// The refused or failed operation that can have made the change that the fault shows, if it shows one.
pub(super) fn culprit(history: &History, fault: &Fault) -> Option<usize> {
    if !fault.kind.is_unclaimed_change() {
        return None;
    }
    if fault.kind.is_appearance() {
        return creator(history, fault);
    }
    let (from_ns, to_ns) = fault.span_ns(&history.records);
    let can_be = |(index, record): &(usize, &Record)| {
        record.container() == Some(fault.container)
            && matches!(record.outcome, Outcome::Refused | Outcome::Failed)
            && record.invoke_ns <= to_ns
            && record.deadline_ns() >= from_ns
            && can_harm(record)
            && if fault.kind.is_disappearance() {
                removes(record.operation)
            } else {
                // A refused operation that saw the change is no suspect for having made it.
                record.outcome == Outcome::Failed || !fault.records.contains(index)
            }
    };
    // A failed one is likelier than a refused one.
    let suspects = history.records.iter().enumerate().filter(can_be);
    suspects.max_by_key(|(_, record)| record.outcome == Outcome::Failed).map(|(index, _)| index)
}

/// The failed create that can have begun the life which nobody else began: it may have been over for long when that was
/// seen, so of several it is the last. Where it says itself which life it was about, it must be that one.
fn creator(history: &History, fault: &Fault) -> Option<usize> {
    let (_, seen_ns) = fault.span_ns(&history.records);
    let seen = fault.records.last().and_then(|&index| history.records[index].generation);
    let can_be = |(_, record): &(usize, &Record)| {
        record.container() == Some(fault.container)
            && (record.operation, record.outcome) == (Operation::Create, Outcome::Failed)
            && record.invoke_ns <= seen_ns
            && record.generation.is_none_or(|own| Some(own) == seen)
    };
    let suspects = history.records.iter().enumerate().filter(can_be);
    suspects.max_by_key(|(_, record)| record.invoke_ns).map(|(index, _)| index)
}

fn can_harm(record: &Record) -> bool {
    model::can_change(record.operation)
}

/// Whether the operation has a reason to remove files: a create that cleans up after itself, or a delete.
fn removes(operation: Operation) -> bool {
    matches!(operation, Operation::Create | Operation::Delete | Operation::ForceDelete)
}

#[cfg(test)]
mod tests {
    use flockwork::Operation::{Create, Pause, Start, State};
    use flockwork::Status::{Created, Running};

    use super::super::fixture::{Case, Saw, failed, ok, refused};
    use super::super::witness::Witness;
    use super::*;
    use crate::history::Reason;

    #[test]
    fn a_refused_create_that_deletes_fails() {
        let case = Case::of([
            ok(0, Create, 1..=2).saw(Created, 1, 1),
            refused(1, Create, 3..=4, Reason::Exists).saw(Created, 1, 1),
            refused(2, State, 5..=6, Reason::Absent),
            ok(2, Create, 7..=8).saw(Created, 2, 1),
        ]);
        let message = case.must_fail(&Collateral);
        assert!(message.contains("p1 create (0.002–0.003 ms): refused (exists)"), "{message}");
        case.must_pass(&Witness);
    }

    #[test]
    fn a_failed_create_that_leaves_a_container_fails() {
        let case = Case::of([
            failed(0, Create, 1..=2, Reason::Io),
            failed(1, Create, 3..=4, Reason::Io),
            ok(2, State, 7..=8).saw(Created, 1, 1),
        ]);
        let message = case.must_fail(&Collateral);
        assert!(message.contains("nobody created that generation"), "{message}");
        assert!(message.contains("p1 create (0.002–0.003 ms): failed (io)"), "the last of them: {message}");
        case.must_pass(&Witness);
        // One that failed after it was seen did not make it, nor did one that says it was about another life.
        let later = [ok(2, State, 1..=2).saw(Created, 1, 1), failed(1, Create, 3..=4, Reason::Io)];
        let other =
            [failed(1, Create, 1..=2, Reason::Io).saw(Created, 7, 1), ok(2, State, 3..=4).saw(Created, 1, 1)];
        for case in [Case::of(later), Case::of(other)] {
            case.must_pass(&Collateral);
            case.must_fail(&Witness);
        }
    }

    #[test]
    fn a_failed_pause_that_saves_fails() {
        let case = Case::of([
            ok(0, Create, 1..=2).saw(Created, 1, 1),
            failed(1, Pause, 3..=4, Reason::Io),
            ok(0, Start, 5..=6).saw(Running, 1, 3),
        ]);
        let message = case.must_fail(&Collateral);
        assert!(message.contains("p1 pause (0.002–0.003 ms): failed (io)"), "{message}");
        case.must_pass(&Witness);
    }

    #[test]
    fn a_loss_that_nobody_overlaps_is_the_witnesss() {
        let case = Case::of([
            refused(1, Start, 0..=0, Reason::Absent),
            ok(0, Create, 1..=2).saw(Created, 1, 1),
            ok(0, Start, 5..=6).saw(Running, 1, 3),
        ]);
        case.must_pass(&Collateral);
        let message = case.must_fail(&Witness);
        assert!(message.contains("a revision is missing"), "{message}");
    }

    #[test]
    fn refusals_that_change_nothing_pass() {
        Case::of([
            ok(0, Create, 1..=2).saw(Created, 1, 1),
            refused(1, Create, 3..=4, Reason::Exists).saw(Created, 1, 1),
            failed(1, Pause, 3..=4, Reason::Io),
            ok(0, Start, 5..=6).saw(Running, 1, 2),
        ])
        .must_pass(&Collateral);
    }
}
