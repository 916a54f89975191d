//! The prefixes that are still to be run, and which of them is next.

use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BinaryHeap};

use crate::explore::step::Object;

use super::tree::Node;

/// Which prefix is next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FrontierOrder {
    /// The one with the fewest preemptions, so that the first failure found is a simple one; of these the longest, so
    /// that few are kept; of these the oldest.
    #[default]
    FewestPreemptions,
    /// The longest, so that few are kept.
    Deepest,
    /// Any: what is found at the end does not depend on the order, and tests show it.
    Shuffled {
        /// Seeds the shuffle: the same seed gives the same order.
        seed: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    preemptions: u32,
    depth: Reverse<usize>,
    age: u64,
}

/// A prefix to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// How often a process is interrupted in it that could have gone on.
    pub preemptions: u32,
    /// How many steps the prefix has.
    pub depth: usize,
    /// The node of the tree at which the prefix ends.
    pub node: Node,
}

/// The prefixes to be run.
#[derive(Debug, Default)]
pub struct Frontier {
    order: FrontierOrder,
    heap: BinaryHeap<Reverse<(Rank, Item)>>,
    /// How many have how many preemptions.
    by_preemptions: BTreeMap<u32, usize>,
    pushed: u64,
}

impl Frontier {
    /// A frontier without prefixes, which gives them back in this order.
    #[must_use]
    pub fn new(order: FrontierOrder) -> Self {
        Self { order, ..Self::default() }
    }

    /// Adds a prefix.
    pub fn push(&mut self, item: Item) {
        self.pushed += 1;
        *self.by_preemptions.entry(item.preemptions).or_default() += 1;
        let rank = match self.order {
            FrontierOrder::FewestPreemptions => {
                Rank { preemptions: item.preemptions, depth: Reverse(item.depth), age: self.pushed }
            }
            FrontierOrder::Deepest => Rank { preemptions: 0, depth: Reverse(item.depth), age: self.pushed },
            FrontierOrder::Shuffled { seed } => {
                let dice = Object::named(&(seed, self.pushed));
                Rank { preemptions: dice.bits() as u32, depth: Reverse(0), age: self.pushed }
            }
        };
        self.heap.push(Reverse((rank, item)));
    }

    /// Takes the next.
    pub fn pop(&mut self) -> Option<Item> {
        let Reverse((_, item)) = self.heap.pop()?;
        if let Entry::Occupied(mut count) = self.by_preemptions.entry(item.preemptions) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        Some(item)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// The fewest preemptions of one in it.
    #[must_use]
    pub fn preemptions(&self) -> Option<u32> {
        self.by_preemptions.keys().next().copied()
    }
}
