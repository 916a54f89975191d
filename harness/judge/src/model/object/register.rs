//! Register: one value. `write` sets it, `read` tells it, `cas` sets it where another one is there.

use super::{Item, Names, Sequential};
use crate::history::object::{Cause, Op, Value};

/// A register that begins with a value.
#[derive(Clone, Copy, Debug)]
pub struct Register {
    /// The first value.
    pub first: Value,
}

impl Sequential for Register {
    type State = Value;

    fn first(&self) -> Value {
        self.first
    }

    fn step(&self, state: &mut Value, item: &Item, _: Option<Value>) -> bool {
        match item.op {
            Op::Read => !item.refused && item.saw.is_none_or(|saw| saw == *state),
            Op::Cas if item.refused => item.refused_for(&[Cause::Status]) && item.value != Some(*state),
            Op::Cas => {
                let fits = item.value == Some(*state);
                *state = item.saw.unwrap_or(*state);
                fits
            }
            Op::Write => {
                *state = item.value.unwrap_or(*state);
                !item.refused
            }
            _ => false,
        }
    }

    fn beginnings(&self, items: &[Item]) -> Option<Vec<Self>> {
        let mut values: Vec<Value> = items.iter().flat_map(|item| [item.value, item.saw]).flatten().collect();
        values.sort_unstable();
        values.dedup();
        // Beside those, one that stands for all that nobody names.
        values.push(Value::UNNAMED);
        (values.len() <= super::BEGINNINGS_MAX)
            .then(|| values.into_iter().map(|first| Self { first }).collect())
    }

    fn shown(&self, state: &Value, names: &dyn Names) -> String {
        names.value(*state)
    }

    fn says(&self, item: &Item) -> bool {
        item.refused || item.op == Op::Cas || (item.op == Op::Read && item.saw.is_some())
    }

    fn looks(&self, item: &Item) -> bool {
        super::looks_by_op(item)
    }
}
