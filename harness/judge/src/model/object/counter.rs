//! Counter: a number. `add` adds one and may tell the sum, `read` tells it.

use super::{Item, Names, Sequential};
use crate::history::object::{Op, Value};

/// A counter that begins with a number.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    /// The first number.
    pub first: i128,
}

/// The number that a value is.
pub(crate) fn number(value: Option<Value>) -> Option<i128> {
    value.and_then(Value::as_whole).map(i128::from)
}

impl Sequential for Counter {
    /// A sum of 2^32 numbers below 2^60 fits.
    type State = i128;

    fn first(&self) -> i128 {
        self.first
    }

    fn step(&self, state: &mut i128, item: &Item, _: Option<Value>) -> bool {
        if item.op == Op::Add {
            *state += number(item.value).unwrap_or(0);
        }
        !item.refused && number(item.saw).is_none_or(|saw| saw == *state)
    }

    fn shown(&self, state: &i128, _: &dyn Names) -> String {
        format!("a sum of {state}")
    }

    fn says(&self, item: &Item) -> bool {
        item.refused || item.saw.is_some()
    }

    fn looks(&self, item: &Item) -> bool {
        super::looks_by_op(item) || number(item.value) == Some(0)
    }
}
