//! The search: what decides where no faster procedure does, whatever the model.
//!
//! It goes through the invocations and returns in the order of their times, and holds every *configuration* that the
//! operations so far can have led to: what is there, and which of the operations under way have acted. What is left out
//! loses nothing; each argument turns an order that respects real time into one that is still tried.
//!
//! - **Nothing that changes something acts before a return asks for it** (Lowe 2017: just-in-time linearization).
//!   Delay everything to the earliest return of an operation that is not before it in the order: nobody passes its own
//!   return, nobody passes another, and the order is the same. What never answered is asked where it can no longer act.
//! - **What only looks acts as soon as it can.** It changes nothing, so it stands in nobody's way.
//! - **Of two operations of the same sort, the one that is over first goes first.** Both are invoked. Let them change
//!   places in an order where they do not stand so: nobody can tell them apart. One that need not have acted is tried
//!   beside one that must only where it is over first.
//! - **Configurations that are equal are one** (Wing and Gong 1993).
//!
//! A narrow search forgets configurations, so it proves one thing only: where it gets through, there is an order. The
//! exact one that follows proves both. Either ends with its budget.
//!
//! Sources: J. Wing, C. Gong: Testing and verifying concurrent objects, JPDC 17, 1993. G. Lowe: Testing for
//! linearizability, Concurrency and Computation: Practice and Experience 29(4), 2017.

use std::time::Instant;

use rustc_hash::{FxHashMap, FxHashSet};

use super::certificate::Sequence;
use crate::history::object::{Cause, Op, Value};
use crate::model::object::{Item, Sequential};

/// How many operations may be under way at once.
const SLOTS: usize = 256;
/// About what a configuration takes, with its place in the set of all.
const CONFIG_BYTES: usize = 192;
/// How many configurations the narrow search holds.
const WIDTH: usize = 8;
/// How many configurations the narrow search looks at for one return.
const NARROW_STEPS: usize = 512;

/// What a search may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// When it gives up.
    pub until: Option<Instant>,
    /// How much memory its configurations may take.
    pub memory_bytes: usize,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// An order that respects every interval, by places among the items.
    Sequence(Sequence),
    /// There is none: this operation has no place among what was invoked before it returned.
    Dead(u32),
    /// It gave up, and why.
    Undecided(String),
}

/// Searches for an order of the items.
pub fn search<S: Sequential>(model: &S, items: &[Item], limits: Limits) -> Found {
    match run(model, items, limits, Some(WIDTH)) {
        Found::Sequence(order) => Found::Sequence(order),
        Found::Dead(_) | Found::Undecided(_) => run(model, items, limits, None),
    }
}

/// Whether an exact search proves that there is no order; then the operation that has no place.
pub fn refute<S: Sequential>(model: &S, items: &[Item], limits: Limits) -> Option<u32> {
    match run(model, items, limits, None) {
        Found::Dead(place) => Some(place),
        Found::Sequence(_) | Found::Undecided(_) => None,
    }
}

fn run<S: Sequential>(model: &S, items: &[Item], limits: Limits, width: Option<usize>) -> Found {
    Search::new(model, items, limits, width).run()
}

/// The states in which an operation that has no place was tried, each once, as far as the limits allow.
pub fn tried<S: Sequential>(model: &S, items: &[Item], limits: Limits, place: u32) -> Vec<S::State> {
    let mut search = Search::new(model, items, limits, None);
    search.watched = Some(place);
    for (_, is_end, place) in search.events() {
        let outcome = if is_end { search.end(place) } else { search.invoke(place) };
        if outcome.is_err() {
            break;
        }
    }
    search.tried
}

/// Which of the operations under way have acted, by slot.
type Acted = [u64; SLOTS / 64];

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key<T> {
    state: T,
    acted: Acted,
}

/// A configuration and the step that led to it.
type Configs<T> = Vec<(Key<T>, u32)>;

/// A step of an order: what acted, what it took, and the step before.
struct Step {
    place: u32,
    before: u32,
    took: Option<Value>,
}

const START: u32 = u32::MAX;

fn has(acted: &Acted, slot: usize) -> bool {
    acted[slot / 64] & (1 << (slot % 64)) != 0
}

fn flip(acted: &mut Acted, slot: usize) {
    acted[slot / 64] ^= 1 << (slot % 64);
}

/// What cannot be told from each other but by their times.
type Sort = (Op, Option<Value>, Option<Value>, bool, Option<Cause>, bool, u32);

/// The number of each item's sort.
fn sorts<S: Sequential>(model: &S, items: &[Item]) -> Vec<u32> {
    if model.is_timed() {
        return (0..items.len() as u32).collect();
    }
    let mut numbers: FxHashMap<Sort, u32> = FxHashMap::default();
    let sort = |item: &Item| {
        // Only a lock asks who it is.
        let actor = if matches!(item.op, Op::Acquire | Op::Try | Op::Release) { item.actor } else { 0 };
        (item.op, item.value, item.saw, item.refused, item.cause, item.answered, actor)
    };
    let number = |item: &Item| {
        let next = numbers.len() as u32;
        *numbers.entry(sort(item)).or_insert(next)
    };
    items.iter().map(number).collect()
}

struct Search<'a, S: Sequential> {
    model: &'a S,
    items: &'a [Item],
    limits: Limits,
    width: Option<usize>,
    configs: Configs<S::State>,
    steps: Vec<Step>,
    /// Who has which slot, and whether it only looks.
    slots: Vec<Option<u32>>,
    slot_of: Vec<u16>,
    looks: Vec<bool>,
    sorts: Vec<u32>,
    /// Those under way that can change something: sort, deadline, whether it need not act, place.
    pending: Vec<(u32, u64, bool, u32)>,
    /// Whose failed trials are noted, and in which states they were.
    watched: Option<u32>,
    tried: Vec<S::State>,
}

impl<'a, S: Sequential> Search<'a, S> {
    fn new(model: &'a S, items: &'a [Item], limits: Limits, width: Option<usize>) -> Self {
        let start = Key { state: model.first(), acted: [0; SLOTS / 64] };
        Self {
            model,
            items,
            limits,
            width,
            configs: vec![(start, START)],
            steps: Vec::new(),
            slots: Vec::new(),
            slot_of: vec![0; items.len()],
            looks: items.iter().map(|item| model.looks(item)).collect(),
            sorts: sorts(model, items),
            pending: Vec::new(),
            watched: None,
            tried: Vec::new(),
        }
    }

    /// Notes that an operation could not act in a state.
    fn fails_in(&mut self, place: u32, state: &S::State) {
        /// How many states are noted.
        const NOTED_MAX: usize = 16;
        if self.watched == Some(place) && self.tried.len() < NOTED_MAX && !self.tried.contains(state) {
            self.tried.push(state.clone());
        }
    }

    /// (time, whether it is an end, place): invocations before returns of the same time, which are concurrent.
    fn events(&self) -> Vec<(u64, bool, u32)> {
        let mut events = Vec::with_capacity(self.items.len() * 2);
        for (place, item) in (0..).zip(self.items) {
            if !item.must && self.looks[place as usize] {
                continue;
            }
            events.push((item.invoke_ns, false, place));
            if item.must || item.deadline_ns != u64::MAX {
                events.push((item.deadline_ns, true, place));
            }
        }
        events.sort_unstable();
        events
    }

    fn run(mut self) -> Found {
        for (_, is_end, place) in self.events() {
            let outcome = if is_end { self.end(place) } else { self.invoke(place) };
            match outcome {
                Ok(()) => {}
                Err(found) => return found,
            }
        }
        Found::Sequence(self.order(self.configs[0].1))
    }

    fn order(&self, mut step: u32) -> Sequence {
        let mut order = Sequence::default();
        while step != START {
            let Step { place, before, took } = self.steps[step as usize];
            order.places.push(place);
            order.took.extend(took.map(|took| (place, took)));
            step = before;
        }
        order.places.reverse();
        order.took.sort_unstable();
        order
    }

    fn invoke(&mut self, place: u32) -> Result<(), Found> {
        let slot = match self.slots.iter().position(Option::is_none) {
            Some(slot) => slot,
            None if self.slots.len() < SLOTS => {
                self.slots.push(None);
                self.slots.len() - 1
            }
            None => {
                let why = format!("more than {SLOTS} operations are under way at once, or never answered");
                return Err(Found::Undecided(why));
            }
        };
        self.slots[slot] = Some(place);
        self.slot_of[place as usize] = slot as u16;
        let item = &self.items[place as usize];
        if self.looks[place as usize] {
            let mut configs = std::mem::take(&mut self.configs);
            for (key, step) in &mut configs {
                self.look(key, step, place);
            }
            self.configs = configs;
        } else {
            let entry = (self.sorts[place as usize], item.deadline_ns, !item.must, place);
            let at = self.pending.partition_point(|other| *other < entry);
            self.pending.insert(at, entry);
        }
        Ok(())
    }

    /// Lets what only looks act, if it can.
    fn look(&mut self, key: &mut Key<S::State>, step: &mut u32, place: u32) {
        let slot = self.slot_of[place as usize] as usize;
        if has(&key.acted, slot) {
            return;
        }
        let mut state = key.state.clone();
        if self.model.step(&mut state, &self.items[place as usize], None) {
            flip(&mut key.acted, slot);
            *step = self.note(place, *step, None);
        } else {
            self.fails_in(place, &key.state);
        }
    }

    fn look_all(&mut self, key: &mut Key<S::State>, step: &mut u32) {
        for slot in 0..self.slots.len() {
            if let Some(place) = self.slots[slot].filter(|&place| self.looks[place as usize]) {
                self.look(key, step, place);
            }
        }
    }

    fn note(&mut self, place: u32, before: u32, took: Option<Value>) -> u32 {
        self.steps.push(Step { place, before, took });
        self.steps.len() as u32 - 1
    }

    /// The operation is over: it has acted, if it must.
    fn end(&mut self, place: u32) -> Result<(), Found> {
        let slot = self.slot_of[place as usize] as usize;
        let must = self.items[place as usize].must;
        if must {
            self.ask(place, slot)?;
        } else {
            // It is now or never: both.
            let without = self.configs.clone();
            match self.ask(place, slot) {
                Ok(()) => self.configs.splice(..0, without).for_each(drop),
                Err(Found::Dead(_)) => self.configs = without,
                Err(found) => return Err(found),
            }
        }
        self.slots[slot] = None;
        self.pending.retain(|entry| entry.3 != place);
        for (key, _) in self.configs.iter_mut().filter(|(key, _)| has(&key.acted, slot)) {
            flip(&mut key.acted, slot);
        }
        if self.configs.len() > 1 {
            let mut known = FxHashSet::default();
            self.configs.retain(|(key, _)| known.insert(key.clone()));
        }
        if let Some(width) = self.width {
            // Whoever has used up least can still do most.
            self.configs.sort_by_key(|(key, _)| key.acted.iter().map(|word| word.count_ones()).sum::<u32>());
            self.configs.truncate(width);
        }
        Ok(())
    }

    /// Lets operations under way act until this one has.
    fn ask(&mut self, place: u32, slot: usize) -> Result<(), Found> {
        if self.configs.iter().all(|(key, _)| has(&key.acted, slot)) {
            return Ok(());
        }
        let is_narrow = self.width.is_some();
        let mut waiting: std::collections::VecDeque<(Key<S::State>, u32)> =
            std::mem::take(&mut self.configs).into();
        let mut known: FxHashSet<Key<S::State>> = waiting.iter().map(|(key, _)| key.clone()).collect();
        let mut through: Configs<S::State> = Vec::new();
        let mut count = 0_usize;
        while let Some((key, step)) = waiting.pop_front() {
            if has(&key.acted, slot) {
                through.push((key, step));
                if self.width.is_some_and(|width| through.len() >= width) {
                    break;
                }
                continue;
            }
            for (key, step) in self.follow(&key, step) {
                if known.insert(key.clone()) {
                    waiting.push_back((key, step));
                }
            }
            count += 1;
            if is_narrow && count > NARROW_STEPS {
                break;
            }
            self.within(known.len(), count)?;
        }
        if through.is_empty() {
            return Err(Found::Dead(place));
        }
        self.configs = through;
        Ok(())
    }

    fn within(&self, configs: usize, count: usize) -> Result<(), Found> {
        let bytes = (configs + self.configs.len()) * (CONFIG_BYTES + size_of::<S::State>())
            + self.steps.len() * size_of::<Step>();
        if bytes > self.limits.memory_bytes {
            let why = format!(
                "the search needs more memory than the limit of {} MB",
                self.limits.memory_bytes >> 20
            );
            return Err(Found::Undecided(why));
        }
        if count.is_multiple_of(256) && self.limits.until.is_some_and(|until| Instant::now() >= until) {
            return Err(Found::Undecided("the search ran out of time".into()));
        }
        Ok(())
    }

    /// Every configuration to which one more operation leads.
    fn follow(&mut self, key: &Key<S::State>, step: u32) -> Configs<S::State> {
        let mut next = Vec::new();
        let mut at = 0;
        while at < self.pending.len() {
            let sort = self.pending[at].0;
            let (mut has_must, mut has_may) = (false, false);
            while at < self.pending.len() && self.pending[at].0 == sort {
                let (_, _, need_not, place) = self.pending[at];
                at += 1;
                let slot = self.slot_of[place as usize] as usize;
                if has_must || (need_not && has_may) || has(&key.acted, slot) {
                    continue;
                }
                // In the order of their deadlines: the first that must, and one before it that need not.
                if need_not {
                    has_may = true;
                } else {
                    has_must = true;
                }
                self.act(key, step, place, &mut next);
            }
        }
        next
    }

    fn act(&mut self, key: &Key<S::State>, step: u32, place: u32, next: &mut Configs<S::State>) {
        let item = &self.items[place as usize];
        let choices = self.model.choices(&key.state, item);
        if choices.is_empty() {
            self.fails_in(place, &key.state);
        }
        for took in choices {
            let mut after = key.clone();
            if self.model.step(&mut after.state, item, took) {
                flip(&mut after.acted, self.slot_of[place as usize] as usize);
                let mut step = self.note(place, step, took);
                self.look_all(&mut after, &mut step);
                next.push((after, step));
            } else {
                self.fails_in(place, &key.state);
            }
        }
    }
}
