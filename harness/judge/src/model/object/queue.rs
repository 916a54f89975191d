//! Queue: `push` puts a value in, `pop` takes one out: the one that came first, or, of a bag, any.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

use rustc_hash::FxHashMap;

use super::{Item, Names, Sequential};
use crate::history::object::{Cause, Op, Value};

const EMPTY: [Cause; 3] = [Cause::Empty, Cause::Absent, Cause::Status];

/// A queue that gives back first what came first.
#[derive(Clone, Copy, Debug)]
pub struct Fifo<'a> {
    /// The first values, the one that comes out first at the beginning.
    pub first: &'a [Value],
}

impl Sequential for Fifo<'_> {
    type State = VecDeque<Value>;

    fn first(&self) -> VecDeque<Value> {
        self.first.iter().copied().collect()
    }

    fn step(&self, state: &mut VecDeque<Value>, item: &Item, _: Option<Value>) -> bool {
        match item.op {
            Op::Push => {
                state.extend(item.value);
                !item.refused
            }
            Op::Pop if item.refused => item.refused_for(&EMPTY) && state.is_empty(),
            Op::Pop => state.pop_front().is_some_and(|value| item.saw.is_none_or(|saw| saw == value)),
            _ => false,
        }
    }

    fn shown(&self, state: &VecDeque<Value>, names: &dyn Names) -> String {
        if state.is_empty() { "it empty".to_owned() } else { names.list(&mut state.iter().copied()) }
    }

    fn says(&self, item: &Item) -> bool {
        item.refused || item.op == Op::Pop
    }

    fn looks(&self, item: &Item) -> bool {
        item.refused
    }
}

/// A queue that gives back any of what is in it.
#[derive(Clone, Copy, Debug)]
pub struct Bag<'a> {
    /// The first values.
    pub first: &'a [Value],
}

/// How often each value is in the bag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    counts: FxHashMap<Value, u32>,
    key: u64,
}

impl Hash for Contents {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.key.hash(hasher);
    }
}

impl Contents {
    fn word(value: Value) -> u64 {
        use std::hash::BuildHasher;

        let word = rustc_hash::FxBuildHasher.hash_one(value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        word ^ (word >> 29)
    }

    fn put(&mut self, value: Value) {
        *self.counts.entry(value).or_default() += 1;
        self.key = self.key.wrapping_add(Self::word(value));
    }

    fn take(&mut self, value: Value) -> bool {
        let Some(count) = self.counts.get_mut(&value) else { return false };
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&value);
        }
        self.key = self.key.wrapping_sub(Self::word(value));
        true
    }
}

impl Sequential for Bag<'_> {
    type State = Contents;

    fn first(&self) -> Contents {
        let mut contents = Contents::default();
        self.first.iter().for_each(|&value| contents.put(value));
        contents
    }

    fn step(&self, state: &mut Contents, item: &Item, took: Option<Value>) -> bool {
        match item.op {
            Op::Push => {
                item.value.into_iter().for_each(|value| state.put(value));
                !item.refused
            }
            Op::Pop if item.refused => item.refused_for(&EMPTY) && state.counts.is_empty(),
            Op::Pop => item.saw.or(took).is_some_and(|value| state.take(value)),
            _ => false,
        }
    }

    fn choices(&self, state: &Contents, item: &Item) -> Vec<Option<Value>> {
        if item.op != Op::Pop || item.refused || item.saw.is_some() {
            return vec![None];
        }
        let mut values: Vec<Value> = state.counts.keys().copied().collect();
        values.sort_unstable();
        values.into_iter().map(Some).collect()
    }

    fn shown(&self, state: &Contents, names: &dyn Names) -> String {
        let mut all: Vec<Value> =
            state.counts.iter().flat_map(|(&value, &count)| (0..count).map(move |_| value)).collect();
        all.sort_unstable();
        if all.is_empty() { "it empty".to_owned() } else { names.list(&mut all.into_iter()) }
    }

    fn says(&self, item: &Item) -> bool {
        item.refused || item.op == Op::Pop
    }

    fn looks(&self, item: &Item) -> bool {
        item.refused
    }
}
