//! Log: a list that grows at its end. `append` may tell its position, `read` tells the whole list.

use super::{Item, Names, Sequential};
use crate::history::object::{Op, Value, Values};

/// A log that begins with some values.
#[derive(Clone, Copy, Debug)]
pub struct Log<'a> {
    /// The first values.
    pub first: &'a [Value],
    /// Where the lists are that were read.
    pub values: &'a Values,
}

impl Sequential for Log<'_> {
    type State = Vec<Value>;

    fn first(&self) -> Vec<Value> {
        self.first.to_vec()
    }

    fn step(&self, state: &mut Vec<Value>, item: &Item, _: Option<Value>) -> bool {
        match item.op {
            _ if item.refused => false,
            Op::Append => {
                let position = i64::try_from(state.len()).ok();
                state.extend(item.value);
                item.saw.and_then(Value::as_whole).is_none_or(|saw| Some(saw) == position)
            }
            Op::Read => item.saw.is_none_or(|saw| self.values.items(saw) == state.as_slice()),
            _ => false,
        }
    }

    fn shown(&self, state: &Vec<Value>, names: &dyn Names) -> String {
        names.list(&mut state.iter().copied())
    }

    fn says(&self, item: &Item) -> bool {
        item.refused || item.saw.is_some()
    }

    fn looks(&self, item: &Item) -> bool {
        super::looks_by_op(item)
    }
}
