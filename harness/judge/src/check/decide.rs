//! What the witness order leaves open, decided by search: runs and files have one judge.
//!
//! The witness is the fast path where operations tell generation and revision. A container whose operations tell none is
//! judged as `flockwork check` judges it, by intervals and outcomes.

use std::time::Duration;

use super::Examination;
use super::search::Budget;
use super::witness::WitnessOrder;
use crate::history::History;
use crate::judge::{Checker, Grounds, Judgement, judge_those};
use crate::model::Model;
use crate::verdict::{Ruling, Undecided};
use crate::violation::{Class, Violation};

/// Longest that the search may take over one history of a run.
const TIME: Duration = Duration::from_secs(10);

/// Decides what the examination by this order left open, where a search can.
pub(super) fn decide_open(history: &History, order: &WitnessOrder, found: Examination) -> Examination {
    // Nobody says what is legal.
    let Some(model) = history.model else { return found };
    let open: Vec<u32> = order.open().map(|(container, _)| container as u32).collect();
    if open.is_empty() || !found.violations.is_empty() {
        return found;
    }
    let model = Model::builtin(model);
    let budget = Budget { time: Some(TIME), ..Budget::default() };
    let judged = judge_those(history, &model, Checker::Auto, budget, |container| open.contains(&container));
    let mut decided = Examination { inconclusive: None, ..found };
    let mut operations = 0;
    for judgement in &judged {
        match &judgement.ruling {
            Ruling::Legal(_) => operations += judgement.operations,
            Ruling::Illegal(grounds) => {
                operations += judgement.operations;
                decided.violations.push(violation(judgement, grounds));
            }
            Ruling::Undecided(Undecided::Open(why) | Undecided::Nothing(why)) => {
                let why = || format!("{}: {why}", judgement.container);
                decided.inconclusive.get_or_insert_with(why);
            }
        }
    }
    decided.violations.truncate(super::VIOLATIONS_MAX);
    decided.violations_total = decided.violations.len() as u64;
    decided.examined = decided.examined.max(operations);
    decided
}

fn violation(judgement: &Judgement, grounds: &Grounds) -> Violation {
    let records = match grounds {
        Grounds::Explained(explanation) => explanation.window.iter().map(|member| member.index).collect(),
        Grounds::Told(_) => Vec::new(),
    };
    let message = match grounds.sentence() {
        sentence if sentence.starts_with(&judgement.container) => sentence.to_owned(),
        sentence => format!("{}: {sentence}", judgement.container),
    };
    Violation { class: Class::NotLinearizable, container: Some(judgement.number), message, records }
}

#[cfg(test)]
mod tests {
    use flockwork::Operation::{Create, Pause, Start, State};
    use flockwork::Status::{Created, Paused, Running};

    use super::super::fixture::{Case, ok};
    use super::super::{CheckId, examine_all, examine_in_turn};
    use super::*;
    use crate::history::Record;
    use crate::model::Builtin;

    /// An operation that tells a status, and no revision.
    fn told(
        process: u32,
        operation: flockwork::Operation,
        span_us: std::ops::RangeInclusive<u64>,
        status: flockwork::Status,
    ) -> Record {
        let mut record = ok(process, operation, span_us);
        record.status = Some(status);
        record
    }

    fn judged(mut case: Case) -> Examination {
        case.history.model = None;
        let untold = examine_all(&case.evidence());
        assert!(untold.iter().any(|(id, found)| *id == CheckId::Witness && found.inconclusive.is_some()));
        case.history.model = Some(Builtin::Runsc);
        let all = examine_all(&case.evidence());
        assert_eq!(all, examine_in_turn(&case.evidence()), "threads make no difference");
        let by_name = |(id, examination)| (id == CheckId::Witness).then_some(examination);
        all.into_iter().find_map(by_name).expect("the check")
    }

    #[test]
    fn what_tells_no_revision_is_judged_by_what_it_saw() {
        let legal = Case::of([
            told(0, Create, 1..=2, Created),
            told(0, Start, 3..=4, Running),
            told(1, Pause, 5..=8, Paused),
            told(2, State, 6..=7, Running),
        ]);
        let examination = judged(legal);
        assert_eq!((examination.violations.len(), &examination.inconclusive), (0, &None));
        assert_eq!(examination.examined, 4, "they were judged");
        let twice = Case::of([
            told(0, Create, 1..=2, Created),
            told(1, Pause, 5..=8, Paused),
            told(2, Pause, 6..=9, Paused),
        ]);
        let examination = judged(twice);
        let [violation] = &examination.violations[..] else { panic!("{examination:?}") };
        assert_eq!((violation.class, violation.container), (Class::NotLinearizable, Some(0)));
        assert!(violation.message.starts_with("c1: "), "{}", violation.message);
        assert!(violation.records.len() >= 2, "{violation:?}");
    }
}
