//! Values that operations are given: drawn from dice, or such as nobody else has.

use serde_json::{Value as Json, json};

use crate::plan::command::{OperationPlan, Values};

/// Draws the value of an operation; `number` is one that no other operation of its round has, and `dice` gives a number
/// below what it is told.
pub fn draw(operation: &OperationPlan, number: u64, dice: &mut dyn FnMut(u64) -> u64) -> Option<Json> {
    let mut one = || match &operation.values {
        Values::None => None,
        Values::Among(values) => values.get(usize::try_from(dice(values.len() as u64)).ok()?).cloned(),
        Values::Within(bounds) => {
            let span = bounds.end().abs_diff(*bounds.start());
            let above = dice(span.saturating_add(1)).cast_signed();
            Some(bounds.start().wrapping_add(above).into())
        }
        Values::Unique => Some(number.into()),
    };
    if operation.is_pair {
        let from = one()?;
        let to = one()?;
        return Some(json!({ "from": from, "to": to }));
    }
    one()
}
