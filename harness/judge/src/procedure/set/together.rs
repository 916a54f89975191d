//! All elements together, where somebody told all of them: one way through, or none that is found.
//!
//! As for one element, nothing acts before a return asks for it. Where a list returns, additions and removals under way
//! act until what it told is there; on the way, lists that are under way as well and can be met are met first. That is
//! one of many ways, so where it ends nothing is proved.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::history::object::{Op, Value};
use crate::model::object::Item;
use crate::procedure::Part;

/// How much work may go into comparing lists.
const WORK_MAX: usize = 400_000_000;

type Heap = BinaryHeap<Reverse<(bool, u64, u32)>>;

#[derive(Default)]
struct Element {
    is_there: bool,
    /// Those under way: what must act first, by deadline; by what they turn to.
    pending: [Heap; 2],
    /// Those that look for something else than is there.
    waiting: Vec<u32>,
}

/// A list under way.
struct Snapshot<'a> {
    place: u32,
    listed: &'a [Value],
    /// In how many elements what is there differs from it.
    differs: usize,
}

struct Walk<'a> {
    part: &'a Part<'a>,
    elements: FxHashMap<Value, Element>,
    there: FxHashSet<Value>,
    snapshots: Vec<Snapshot<'a>>,
    has_acted: Vec<bool>,
    order: Vec<u32>,
    now_ns: u64,
    work: usize,
}

/// An order, if this way leads to one.
pub fn order(part: &Part<'_>) -> Option<Vec<u32>> {
    let listed = |item: &Item| {
        item.saw.filter(|_| item.op == Op::Members).map_or(&[][..], |saw| part.history.values.items(saw))
    };
    if part.items.iter().any(|item| listed(item).windows(2).any(|pair| pair[0] == pair[1])) {
        return None;
    }
    let mut events = Vec::with_capacity(part.items.len() * 2);
    for (place, item) in (0..).zip(&part.items) {
        let turns = matches!(item.op, Op::Add | Op::Remove) && !item.refused;
        if item.must || turns {
            events.push((item.invoke_ns, false, place));
        }
        if item.must {
            events.push((item.deadline_ns, true, place));
        }
    }
    events.sort_unstable();
    let mut walk = Walk {
        part,
        elements: FxHashMap::default(),
        there: FxHashSet::default(),
        snapshots: Vec::new(),
        has_acted: vec![false; part.items.len()],
        order: Vec::with_capacity(part.items.len()),
        now_ns: 0,
        work: 0,
    };
    for &value in &part.first_list {
        walk.there.insert(value);
        walk.elements.entry(value).or_default().is_there = true;
    }
    for (now_ns, is_end, place) in events {
        walk.now_ns = now_ns;
        if is_end {
            walk.end(place)?;
        } else {
            walk.begin(place);
        }
        if walk.work > WORK_MAX {
            return None;
        }
    }
    Some(walk.order)
}

/// What it looks for, if it is something that looks at an element.
fn looks(item: &Item) -> Option<bool> {
    match item.op {
        Op::Add => Some(true),
        Op::Remove => Some(false),
        _ => item.saw.and_then(Value::as_truth),
    }
}

impl<'a> Walk<'a> {
    fn note(&mut self, place: u32) {
        self.has_acted[place as usize] = true;
        self.order.push(place);
    }

    fn begin(&mut self, place: u32) {
        let item = *self.part.item(place);
        if item.op == Op::Members {
            let Some(saw) = item.saw else { return self.note(place) };
            let listed: &'a [Value] = self.part.history.values.items(saw);
            self.work += listed.len();
            let common = listed.iter().filter(|value| self.there.contains(value)).count();
            let differs = listed.len() - common + (self.there.len() - common);
            if differs == 0 {
                return self.note(place);
            }
            self.snapshots.push(Snapshot { place, listed, differs });
            return;
        }
        let Some(value) = item.value else { return };
        let element = self.elements.entry(value).or_default();
        if !item.refused && item.op != Op::Contains {
            let to = usize::from(item.op == Op::Add);
            element.pending[to].push(Reverse((!item.must, item.deadline_ns, place)));
            return;
        }
        match looks(&item) {
            Some(for_what) if for_what != element.is_there => element.waiting.push(place),
            _ => self.note(place),
        }
    }

    fn end(&mut self, place: u32) -> Option<()> {
        if self.has_acted[place as usize] {
            return Some(());
        }
        let item = *self.part.item(place);
        let Some(value) = item.value else { return self.meet(place) };
        if item.refused || item.op == Op::Contains {
            return self.turn(value);
        }
        if self.elements[&value].is_there == (item.op == Op::Add) {
            self.turn(value)?;
        }
        // Nobody is over sooner.
        self.turn_by(value, place)
    }

    /// Lets one act that turns the element round.
    fn turn(&mut self, value: Value) -> Option<()> {
        let element = self.elements.get_mut(&value)?;
        let to = !element.is_there;
        let place = loop {
            let Reverse((_, deadline_ns, place)) = element.pending[usize::from(to)].pop()?;
            if deadline_ns >= self.now_ns && !self.has_acted[place as usize] {
                break place;
            }
        };
        self.turn_by(value, place)
    }

    fn turn_by(&mut self, value: Value, place: u32) -> Option<()> {
        let element = self.elements.get_mut(&value)?;
        let to = !element.is_there;
        element.is_there = to;
        let waiting = std::mem::take(&mut element.waiting);
        self.note(place);
        if to {
            self.there.insert(value)
        } else {
            self.there.remove(&value)
        };
        for looker in waiting {
            if !self.has_acted[looker as usize] {
                self.note(looker);
            }
        }
        let mut met = Vec::new();
        for snapshot in &mut self.snapshots {
            if snapshot.listed.binary_search(&value).is_ok() == to {
                snapshot.differs -= 1;
            } else {
                snapshot.differs += 1;
            }
            if snapshot.differs == 0 {
                met.push(snapshot.place);
            }
        }
        for place in met {
            self.note(place);
        }
        let has_acted = &self.has_acted;
        self.snapshots.retain(|snapshot| !has_acted[snapshot.place as usize]);
        Some(())
    }

    /// Lets act what leads to the list, by way of lists that lie between.
    fn meet(&mut self, place: u32) -> Option<()> {
        let target = self.snapshots.iter().find(|snapshot| snapshot.place == place)?.listed;
        let goal = self.difference(target);
        let mut others: Vec<(usize, Vec<Value>)> = self
            .snapshots
            .iter()
            .filter(|snapshot| snapshot.place != place && snapshot.differs < goal.len())
            .map(|snapshot| (snapshot.differs, self.difference(snapshot.listed)))
            .collect();
        others.sort();
        self.work += (others.len() + 1) * (target.len() + self.there.len());
        let mut left = goal;
        let mut done: FxHashSet<Value> = FxHashSet::default();
        for (_, way) in others {
            let rest: Vec<Value> = way.iter().copied().filter(|value| !done.contains(value)).collect();
            // It lies between if it holds all that is done, and nothing that is not to be done.
            let is_between =
                way.len() == done.len() + rest.len() && rest.iter().all(|value| left.contains(value));
            if !is_between {
                continue;
            }
            for value in rest {
                self.turn(value)?;
                done.insert(value);
                left.retain(|other| *other != value);
            }
        }
        for value in left {
            self.turn(value)?;
        }
        self.has_acted[place as usize].then_some(())
    }

    /// In which elements what is there differs from a list.
    fn difference(&self, listed: &[Value]) -> Vec<Value> {
        let missing = listed.iter().copied().filter(|value| !self.there.contains(value));
        let surplus = self.there.iter().copied().filter(|value| listed.binary_search(value).is_err());
        let mut all: Vec<Value> = missing.chain(surplus).collect();
        all.sort_unstable();
        all
    }
}
