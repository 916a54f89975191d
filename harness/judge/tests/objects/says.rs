//! Whether an operation says anything at all: a history in which none does verifies nothing.

use flockwork_judge::history::Outcome;
use flockwork_judge::history::object::{Call, Op};
use flockwork_judge::model::object::{Item, Kind, ObjectModel, Sequential, table};

/// Whether an operation that answered told anything that could be wrong, by what each kind's operations are.
pub fn says(model: &ObjectModel, call: &Call) -> bool {
    let tells = call.saw.is_some();
    let answered = matches!(call.outcome, Outcome::Ok | Outcome::Refused);
    answered
        && match (model.kind, call.op) {
            (_, Op::Write | Op::Push) => call.outcome == Outcome::Refused,
            (_, Op::Cas | Op::Pop | Op::Remove | Op::Acquire | Op::Try | Op::Release)
            | (Kind::Set, Op::Add) => true,
            (Kind::Table, _) => {
                let rules = model.rules.as_deref().expect("a table");
                let item = Item::of(0, call).expect("it did not fail");
                (0..rules.states())
                    .any(|mut state| !table::Table { rules, first: 0 }.step(&mut state, &item, None))
            }
            _ => tells || call.outcome == Outcome::Refused,
        }
}
