//! One element: in the set or not.
//!
//! Nothing acts before a return asks for it, and then as little as can be: where an addition returns and the element is
//! there, a removal under way acts first, and the reverse; where somebody saw what is not there, one addition or removal.
//! Of those under way the one that is over first goes first. What only looks is satisfied by any moment of its interval.
//! So there is no choice, and where there is nothing that could act there is no order; but for operations that need not
//! have acted: taking one of those rather than one that must is a choice, and where that leads nowhere, the search decides.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::history::object::{Op, Value};
use crate::model::object::Item;

/// What is said of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An order, as places in the items.
    Sequence(Vec<u32>),
    /// There is none: this one, by its position among the element's places, has none.
    Dead(u32),
    /// It may be that there is one.
    Open,
}

/// What an operation is to an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It changes whether it is there to this.
    Turns(bool),
    /// It saw whether it is there.
    Looks(bool),
    /// It tells nothing.
    Free,
}

fn role(item: &Item) -> Role {
    match item.op {
        Op::Add if item.refused => Role::Looks(true),
        Op::Remove if item.refused => Role::Looks(false),
        Op::Add => Role::Turns(true),
        Op::Remove => Role::Turns(false),
        _ => item.saw.and_then(Value::as_truth).map_or(Role::Free, Role::Looks),
    }
}

/// The order of an element's operations, which are at these places.
pub fn order(items: &[Item], places: &[u32], is_there: bool) -> Outcome {
    let mut events = Vec::with_capacity(places.len() * 2);
    for (at, &place) in (0..).zip(places) {
        let item = &items[place as usize];
        let looks = !matches!(role(item), Role::Turns(_));
        if !item.must && looks {
            continue;
        }
        events.push((item.invoke_ns, false, at));
        if item.must {
            events.push((item.deadline_ns, true, at));
        }
    }
    events.sort_unstable();
    let mut walk = Walk {
        items,
        places,
        is_there,
        has_acted: vec![false; places.len()],
        order: Vec::with_capacity(places.len()),
        pending: [BinaryHeap::new(), BinaryHeap::new()],
        maybe: [BinaryHeap::new(), BinaryHeap::new()],
        waiting: [Vec::new(), Vec::new()],
        now_ns: 0,
        has_chosen: false,
    };
    for (now_ns, is_end, at) in events {
        walk.now_ns = now_ns;
        let is_through = if is_end { walk.end(at) } else { walk.begin(at) };
        if !is_through {
            return if walk.has_chosen { Outcome::Open } else { Outcome::Dead(at) };
        }
    }
    Outcome::Sequence(walk.order)
}

/// Those under way by the end of their intervals.
type Heap = BinaryHeap<Reverse<(u64, u32)>>;

struct Walk<'a> {
    items: &'a [Item],
    places: &'a [u32],
    is_there: bool,
    has_acted: Vec<bool>,
    order: Vec<u32>,
    /// Those that must act, by what they turn to.
    pending: [Heap; 2],
    /// Those that need not.
    maybe: [Heap; 2],
    /// Those that look for something else than is there, by what they look for.
    waiting: [Vec<u32>; 2],
    now_ns: u64,
    /// Whether there was anything that need not have acted.
    has_chosen: bool,
}

impl Walk<'_> {
    fn item(&self, at: u32) -> &Item {
        &self.items[self.places[at as usize] as usize]
    }

    fn note(&mut self, at: u32) {
        self.has_acted[at as usize] = true;
        self.order.push(self.places[at as usize]);
    }

    fn begin(&mut self, at: u32) -> bool {
        let item = *self.item(at);
        match role(&item) {
            Role::Turns(to) if item.must => {
                self.pending[usize::from(to)].push(Reverse((item.deadline_ns, at)));
            }
            Role::Turns(to) => {
                self.has_chosen = true;
                self.maybe[usize::from(to)].push(Reverse((item.deadline_ns, at)));
            }
            Role::Looks(for_what) if for_what != self.is_there => {
                self.waiting[usize::from(for_what)].push(at);
            }
            Role::Looks(_) | Role::Free => self.note(at),
        }
        true
    }

    fn end(&mut self, at: u32) -> bool {
        if self.has_acted[at as usize] {
            return true;
        }
        match role(self.item(at)) {
            Role::Turns(to) => {
                if self.is_there == to && !self.turn() {
                    return false;
                }
                // Nobody is over sooner.
                self.turn_by(at);
                true
            }
            Role::Looks(_) | Role::Free => self.turn(),
        }
    }

    /// Lets one act that turns it round.
    fn turn(&mut self) -> bool {
        match self.next(!self.is_there) {
            Some(at) => self.turn_by(at),
            None => return false,
        }
        true
    }

    fn turn_by(&mut self, at: u32) {
        let to = !self.is_there;
        self.note(at);
        self.is_there = to;
        for waiting in std::mem::take(&mut self.waiting[usize::from(to)]) {
            if !self.has_acted[waiting as usize] {
                self.note(waiting);
            }
        }
    }

    fn next(&mut self, to: bool) -> Option<u32> {
        while let Some(Reverse((_, at))) = self.pending[usize::from(to)].pop() {
            if !self.has_acted[at as usize] {
                return Some(at);
            }
        }
        while let Some(Reverse((deadline_ns, at))) = self.maybe[usize::from(to)].pop() {
            if deadline_ns >= self.now_ns && !self.has_acted[at as usize] {
                return Some(at);
            }
        }
        None
    }
}
