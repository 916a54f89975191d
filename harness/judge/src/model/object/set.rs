//! Set: elements. `add` and `remove` are refused where there is nothing to do, `contains` tells of one element,
//! `members` of all.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};

use rustc_hash::FxHashSet;

use super::{Item, Names, Sequential};
use crate::history::object::{Cause, Op, Value, Values};

/// A set that begins with some elements.
#[derive(Clone, Debug)]
pub struct Set<'a> {
    /// The first elements.
    pub first: Cow<'a, [Value]>,
    /// Where the lists are that `members` told; each sorted.
    pub values: &'a Values,
}

/// Elements, and a word that is the same for the same elements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elements {
    all: FxHashSet<Value>,
    key: u64,
}

impl Hash for Elements {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.key.hash(hasher);
    }
}

impl Elements {
    fn flip(&mut self, value: Value) {
        use std::hash::BuildHasher;

        // Mixed once more: words of small numbers differ in few bits.
        let word = rustc_hash::FxBuildHasher.hash_one(value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.key ^= word ^ (word >> 29);
        if !self.all.insert(value) {
            self.all.remove(&value);
        }
    }

    fn has(&self, value: Option<Value>) -> bool {
        value.is_some_and(|value| self.all.contains(&value))
    }
}

impl Sequential for Set<'_> {
    type State = Elements;

    fn first(&self) -> Elements {
        let mut elements = Elements::default();
        for &value in self.first.iter() {
            if !elements.has(Some(value)) {
                elements.flip(value);
            }
        }
        elements
    }

    fn step(&self, state: &mut Elements, item: &Item, _: Option<Value>) -> bool {
        let is_there = state.has(item.value);
        match item.op {
            Op::Add if item.refused => is_there && item.refused_for(&[Cause::Exists, Cause::Status]),
            Op::Remove if item.refused => !is_there && item.refused_for(&[Cause::Absent, Cause::Status]),
            _ if item.refused => false,
            Op::Add | Op::Remove => {
                if let Some(value) = item.value {
                    state.flip(value);
                }
                is_there == (item.op == Op::Remove)
            }
            Op::Contains => item.saw.and_then(Value::as_truth).is_none_or(|saw| saw == is_there),
            Op::Members => item.saw.is_none_or(|saw| {
                let listed = self.values.items(saw);
                listed.len() == state.all.len()
                    && listed.windows(2).all(|pair| pair[0] != pair[1])
                    && listed.iter().all(|&value| state.has(Some(value)))
            }),
            _ => false,
        }
    }

    fn beginnings(&self, items: &[Item]) -> Option<Vec<Self>> {
        // Of one element: it is there or not. Of several there are too many ways.
        let value = items.first()?.value?;
        let is_one = items.iter().all(|item| item.value == Some(value));
        let set = |first: Vec<Value>| Self { first: first.into(), values: self.values };
        is_one.then(|| vec![set(vec![]), set(vec![value])])
    }

    fn shown(&self, state: &Elements, names: &dyn Names) -> String {
        let mut all: Vec<Value> = state.all.iter().copied().collect();
        all.sort_unstable();
        if all.is_empty() { "it empty".to_owned() } else { names.list(&mut all.into_iter()) }
    }

    fn found(&self, state: &Elements, item: &Item, names: &dyn Names) -> String {
        match item.value {
            Some(value) if state.has(item.value) => format!("{} there", names.value(value)),
            Some(value) => format!("{} absent", names.value(value)),
            None => self.shown(state, names),
        }
    }

    fn says(&self, item: &Item) -> bool {
        item.refused || item.saw.is_some() || matches!(item.op, Op::Add | Op::Remove)
    }

    fn looks(&self, item: &Item) -> bool {
        super::looks_by_op(item)
    }
}
