//! Procedures: whether a legal order explains what was done to one object. One kind a file.
//!
//! Each kind has a fast procedure, near-linear, for the histories that it can decide: values that are unique, additions
//! of one size. Where one does not apply, a [search] decides, within a budget, and says so where that ends. What
//! is proved, and by what:
//!
//! - **Legal** is said only of an order that the [certificate] went through: legal by the model's step
//!   function, within every interval. A procedure that made a wrong one is not believed, and the search decides.
//! - **Illegal** is said of a few operations that show it by themselves, or of what an exact search went through; what is
//!   not needed to show it is not named.
//! - Objects are judged one by one: a history is linearizable exactly if its part on each object is (locality: Herlihy
//!   and Wing 1990, theorem 1).
//! - Tests hold each procedure against an oracle that tries every order.
//!
//! # Sources
//!
//! - M. Herlihy, J. Wing: Linearizability: a correctness condition for concurrent objects. TOPLAS 12(3), 1990.
//! - P. Gibbons, E. Korach: Testing shared memories. SIAM Journal on Computing 26(4), 1997: zones of registers.
//! - T. Henzinger, A. Sezgin, V. Vafeiadis: Aspect-oriented linearizability proofs. CONCUR 2013: what makes a queue wrong.
//! - P. Abdulla, S. Grahn, B. Jonsson, S. Krishna, O. Mishra: Efficient linearizability monitoring. PLDI 2025; it shows
//!   that earlier procedures and proofs were unsound. So nothing here is said to be legal without a certificate.
//! - Z. Lee, U. Mathur: Efficient decrease-and-conquer linearizability monitoring. OOPSLA 2025.

mod between;
pub mod certificate;
mod counter;
mod fault;
#[cfg(test)]
pub(crate) mod fixture;
mod lock;
mod log;
mod needed;
mod order;
mod queue;
mod register;
pub mod search;
mod set;
mod shrink;
mod slots;
mod table;
mod tell;

use std::borrow::Cow;
use std::time::Instant;

use rayon::prelude::*;
use serde::Serialize;

use crate::check::search::Budget;
use crate::history::object::{ObjectHistory, Value};
use crate::model::object::table as table_model;
use crate::model::object::{Item, Kind, ObjectModel, QueueOrder, Sequential};
use crate::verdict::Ruling;
use certificate::{Flaw, Sequence, validate};
use fault::{Fast, Fault};
use search::{Found, Limits};
pub use tell::Teller;

/// Why an object's operations have no legal order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What could not happen, in one or two sentences.
    pub sentence: String,
    /// The operations that show it, as indexes into the history's calls, by invocation.
    pub calls: Vec<u32>,
    /// Those of them that may have acted or not: what is shown holds either way.
    pub possible: Vec<u32>,
}

/// How an object was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// The kind's own procedure.
    Procedure,
    /// The search that tries orders, for what no faster procedure can decide.
    Search,
}

impl Way {
    /// As reports spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Procedure => "procedure",
            Self::Search => "search",
        }
    }
}

/// What is said of one object. What is legal comes with the order that shows it, as indexes into the history's calls.
pub type ObjectRuling = Ruling<Linearization, Explanation>;

/// An order of calls, and what those took that do not tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Linearization {
    /// Indexes into the history's calls, one after the other: all that answered, and of the others those that acted.
    pub calls: Vec<u32>,
    /// (call, what it took), by call: of a bag's `pop` that does not tell.
    pub took: Vec<(u32, Value)>,
}

/// One object of a history, and what is legal for it.
#[derive(Debug)]
struct Part<'a> {
    history: &'a ObjectHistory,
    model: &'a ObjectModel,
    /// Its operations that did not fail.
    items: Vec<Item>,
    /// The first value, where it is one.
    first: Value,
    /// The first values, where they are several.
    first_list: Vec<Value>,
    /// Of a table: the first state.
    start: u16,
    teller: Teller<'a>,
}

/// The history with the model's first values where it gives none of its own.
fn begun<'a>(history: &'a ObjectHistory, model: &ObjectModel) -> Cow<'a, ObjectHistory> {
    let mut history = Cow::Borrowed(history);
    if model.initial.is_some() && history.initial.iter().any(Option::is_none) {
        history.to_mut().begin_as(model);
    }
    history
}

/// The parts of a history, one an object that has operations, in the order of the history's names.
#[must_use]
fn parts<'a>(history: &'a ObjectHistory, model: &'a ObjectModel) -> Vec<(u32, Part<'a>)> {
    let mut items: Vec<Vec<Item>> = vec![Vec::new(); history.objects.len()];
    let mut counts = vec![0_usize; history.objects.len()];
    history.calls.iter().for_each(|call| counts[call.object as usize] += 1);
    items.iter_mut().zip(&counts).for_each(|(items, &count)| items.reserve_exact(count));
    for (index, call) in (0..).zip(&history.calls) {
        items[call.object as usize].extend(Item::of(index, call));
    }
    let teller = Teller::of(history);
    let counted = (0..).zip(items).zip(counts).filter(|(_, count)| *count > 0);
    counted
        .map(|((object, items), _)| {
            let (first, first_list) = first(history, model, object);
            let mut part = Part { history, model, items, first, first_list, start: 0, teller };
            part.start = part.starts().first().copied().unwrap_or(0);
            (object, part)
        })
        .collect()
}

/// What an object holds at first.
fn first(history: &ObjectHistory, model: &ObjectModel, object: u32) -> (Value, Vec<Value>) {
    let zero = Value::whole(0).expect("0 is a small number");
    match history.initial[object as usize] {
        None if model.kind == Kind::Table => {
            let place = model.rules.as_deref().map_or(0, table_model::Rules::initial);
            (Value::whole(place.into()).unwrap_or(zero), Vec::new())
        }
        Some(value) if model.kind.begins_with_a_list() => (zero, history.values.items(value).to_vec()),
        Some(value) => (value, Vec::new()),
        None => (zero, Vec::new()),
    }
}

/// Judges every object that has operations, in the order of the history's names.
#[must_use]
pub fn judge(history: &ObjectHistory, model: &ObjectModel, budget: Budget) -> Vec<(u32, ObjectRuling, Way)> {
    let history = &*begun(history, model);
    let parts = parts(history, model);
    // To ask how many threads there are starts them; one object needs none.
    let at_once = if parts.len() > 1 { parts.len().min(rayon::current_num_threads()) } else { 1 };
    let limits = Limits {
        until: budget.time.map(|time| Instant::now() + time),
        memory_bytes: budget.memory_bytes / at_once,
    };
    let decide = |(object, mut part): (u32, Part<'_>)| {
        let (ruling, way) = part.decide_all(limits);
        (object, ruling, way)
    };
    if parts.len() > 1 {
        parts.into_par_iter().map(decide).collect()
    } else {
        parts.into_iter().map(decide).collect()
    }
}

/// Whether an order explains one object's operations: a plain validator, for whoever does not believe a procedure.
pub fn certify(
    history: &ObjectHistory,
    model: &ObjectModel,
    object: u32,
    linearization: &Linearization,
) -> Result<(), Flaw> {
    let history = &*begun(history, model);
    let part = parts(history, model).into_iter().find(|(of, _)| *of == object);
    let Some((_, mut part)) = part else { return Ok(()) };
    let mut places: rustc_hash::FxHashMap<u32, u32> = rustc_hash::FxHashMap::default();
    places.extend((0..).zip(&part.items).map(|(place, item)| (item.call, place)));
    let place = |call: u32| places.get(&call).copied().unwrap_or(u32::MAX);
    let mut took: Vec<_> = linearization.took.iter().map(|&(call, value)| (place(call), value)).collect();
    took.sort_unstable();
    let order = Sequence { places: linearization.calls.iter().map(|&call| place(call)).collect(), took };
    // One beginning that explains all is enough.
    let mut starts = part.starts().into_iter();
    loop {
        part.start = starts.next().unwrap_or(part.start);
        let flaw = part.with_model(Certify { items: &part.items, order: &order });
        if flaw.is_ok() || starts.len() == 0 {
            return flaw;
        }
    }
}

/// Something to do with whatever the model's step function is.
trait WithModel {
    type Output;
    fn with<S: Sequential>(self, model: &S) -> Self::Output;
}

struct Certify<'a> {
    items: &'a [Item],
    order: &'a Sequence,
}

impl WithModel for Certify<'_> {
    type Output = Result<(), Flaw>;
    fn with<S: Sequential>(self, model: &S) -> Self::Output {
        validate(model, self.items, self.order)
    }
}

/// Whether some operation that answered told anything that an order could contradict.
struct Says<'a> {
    items: &'a [Item],
}

impl WithModel for Says<'_> {
    type Output = bool;
    fn with<S: Sequential>(self, model: &S) -> Self::Output {
        self.items.iter().any(|item| item.must && model.says(item))
    }
}

struct Settle<'a> {
    part: &'a Part<'a>,
    fast: Fast,
    limits: Limits,
}

/// What is said of a part.
type PartRuling = Ruling<Linearization, Fault>;

impl WithModel for Settle<'_> {
    type Output = (PartRuling, Way);
    fn with<S: Sequential>(self, model: &S) -> Self::Output {
        let Self { part, fast, limits } = self;
        match fast {
            Fast::Legal(order) => match validate(model, &part.items, &order) {
                Ok(()) => return (Ruling::Legal(part.linearization(order)), Way::Procedure),
                // Where a procedure guesses, it may guess wrong.
                Err(flaw) => {
                    debug_assert!(part.may_guess(), "a procedure made an invalid order: {flaw}, {order:?}");
                }
            },
            Fast::Illegal(fault) => {
                let fault = shrink::tighten(part, std::slice::from_ref(model), fault);
                return (Ruling::Illegal(fault), Way::Procedure);
            }
            Fast::Undecided(why) => return (Ruling::open(why), Way::Search),
            Fast::Unfit => {}
        }
        let ruling = match search::search(model, &part.items, limits) {
            Found::Sequence(order) if validate(model, &part.items, &order).is_ok() => {
                Ruling::Legal(part.linearization(order))
            }
            Found::Sequence(_) => {
                debug_assert!(false, "the search made an invalid order");
                Ruling::open("the order that was found is invalid: this is a bug of flockwork")
            }
            Found::Dead(place) => Ruling::Illegal(shrink::shrink(part, model, place)),
            Found::Undecided(why) => Ruling::open(why),
        };
        (ruling, Way::Search)
    }
}

impl Part<'_> {
    fn with_model<W: WithModel>(&self, work: W) -> W::Output {
        use crate::model::object::{counter, lock, log, queue, register, set, table};

        let (first, values) = (self.first_list.as_slice(), &self.history.values);
        match (self.model.kind, self.model.order) {
            (Kind::Register, _) => work.with(&register::Register { first: self.first }),
            (Kind::Counter, _) => {
                let first = self.first.as_whole().unwrap_or(0).into();
                work.with(&counter::Counter { first })
            }
            (Kind::Set, _) => work.with(&set::Set { first: first.into(), values }),
            (Kind::Log, _) => work.with(&log::Log { first, values }),
            (Kind::Lock, _) => work.with(&lock::Lock { first: None, lease_ns: self.model.lease_ns }),
            (Kind::Queue, QueueOrder::Fifo) => work.with(&queue::Fifo { first }),
            (Kind::Queue, QueueOrder::Any) => work.with(&queue::Bag { first }),
            (Kind::Table, _) => work.with(&table::Table { rules: self.rules(), first: self.start }),
        }
    }

    /// The statuses and operations of a table.
    fn rules(&self) -> &table_model::Rules {
        self.model.rules.as_deref().expect("the model of a table has rules")
    }

    /// The states of a table that the object can begin in; of any other kind there is one beginning, and nothing here.
    fn starts(&self) -> Vec<u16> {
        let Some(rules) = self.model.rules.as_deref().filter(|_| self.model.kind == Kind::Table) else {
            return Vec::new();
        };
        match self.first.as_whole().and_then(|place| u8::try_from(place).ok()) {
            Some(place) => rules.states_of(place).collect(),
            // Nobody knows.
            None => (0..rules.states()).collect(),
        }
    }

    /// Decides the part, whichever of its beginnings it had: one that explains all is enough.
    fn decide_all(&mut self, limits: Limits) -> (ObjectRuling, Way) {
        let (ruling, way) = match self.starts() {
            starts if starts.len() > 1 => self.decide_each(starts, limits),
            _ => self.decide(limits),
        };
        let ruling = match ruling {
            Ruling::Illegal(fault) => Ruling::Illegal(self.explain(fault)),
            Ruling::Legal(order) => Ruling::Legal(order),
            Ruling::Undecided(undecided) => Ruling::Undecided(undecided),
        };
        (ruling, way)
    }

    fn decide_each(&mut self, starts: Vec<u16>, limits: Limits) -> (PartRuling, Way) {
        let mut faults = Vec::with_capacity(starts.len());
        let mut found = Way::Procedure;
        for &start in &starts {
            self.start = start;
            match self.decide(limits) {
                (Ruling::Illegal(fault), way) if !fault.is_anywhere => {
                    faults.push(fault);
                    found = way;
                }
                decided => return decided,
            }
        }
        let models = starts.into_iter().map(|first| table_model::Table { rules: self.rules(), first });
        let is_anywhere = self.first.as_whole().is_none();
        (Ruling::Illegal(shrink::together(self, models.collect(), is_anywhere, &faults)), found)
    }

    /// Decides the part.
    fn decide(&self, limits: Limits) -> (PartRuling, Way) {
        if !self.with_model(Says { items: &self.items }) {
            let why = if self.items.iter().any(|item| item.must) {
                "no operation reports anything that an order could contradict"
            } else {
                "no operation answered: there was nothing that an order could contradict"
            };
            return (Ruling::nothing(why), Way::Procedure);
        }
        let fast = match self.refused_wrongly() {
            Some(fault) => Fast::Illegal(fault),
            None => match self.model.kind {
                Kind::Register => register::decide(self),
                Kind::Counter => counter::decide(self),
                Kind::Set => set::decide(self, limits),
                Kind::Log => log::decide(self),
                Kind::Lock => lock::decide(self),
                Kind::Queue => queue::decide(self),
                Kind::Table => {
                    let table = table_model::Table { rules: self.rules(), first: self.start };
                    table::decide(self, &table, limits)
                }
            },
        };
        self.with_model(Settle { part: self, fast, limits })
    }

    /// An operation that was refused and never can be, or for a reason that it never can have.
    fn refused_wrongly(&self) -> Option<Fault> {
        use crate::history::object::{Cause, Op};

        let causes = |op: Op| -> &'static [Cause] {
            match (self.model.kind, op) {
                (Kind::Register, Op::Cas) => &[Cause::Status],
                (Kind::Set, Op::Add) => &[Cause::Exists, Cause::Status],
                (Kind::Set, Op::Remove) => &[Cause::Absent, Cause::Status],
                (Kind::Lock, Op::Try) => &[Cause::Held, Cause::Status],
                (Kind::Lock, Op::Release) => &[Cause::Status, Cause::Absent],
                (Kind::Queue, Op::Pop) => &[Cause::Empty, Cause::Absent, Cause::Status],
                _ => &[],
            }
        };
        let is_wrong =
            |item: &Item| item.refused && (causes(item.op).is_empty() || !item.refused_for(causes(item.op)));
        if self.model.kind == Kind::Table {
            // Its rules say what refuses what.
            return None;
        }
        let place = self.items.iter().position(is_wrong)?;
        let item = &self.items[place];
        let the = self.teller.the(item);
        let sentence = match item.cause {
            Some(cause) if !causes(item.op).is_empty() => {
                format!("{the} gives the reason {cause}, which a {} never has for it.", self.model.kind)
            }
            _ => format!("{the} cannot be: a {} never refuses {}.", self.model.kind, item.op),
        };
        Some(Fault::new(sentence, [place as u32]))
    }

    /// There is no order, and no few operations that a procedure knows show it: a search finds those where it can.
    fn unexplained(&self) -> Fast {
        /// How many operations a search is asked about only for the sake of words.
        const SEARCHED_MAX: usize = 5_000;
        if self.items.len() <= SEARCHED_MAX {
            return Fast::Unfit;
        }
        let all = 0..self.items.len() as u32;
        Fast::illegal(format!("no order of these {} operations fits their answers.", self.items.len()), all)
    }

    /// Whether there is something that a procedure can only guess.
    fn may_guess(&self) -> bool {
        self.model.lease_ns.is_some() || self.items.iter().any(|item| !item.must)
    }

    fn linearization(&self, order: Sequence) -> Linearization {
        let call = |place: u32| self.items[place as usize].call;
        let mut took: Vec<_> = order.took.iter().map(|&(place, value)| (call(place), value)).collect();
        took.sort_unstable();
        let mut calls = order.places;
        for place in &mut calls {
            *place = call(*place);
        }
        Linearization { calls, took }
    }

    fn explain(&self, fault: Fault) -> Explanation {
        let is_possible = |place: u32| !fault.places.contains(&place) || !self.item(place).must;
        let mut places = [fault.places.as_slice(), &fault.possible].concat();
        places.sort_unstable_by_key(|&place| (self.item(place).invoke_ns, place));
        places.dedup();
        let call = |place: u32| self.item(place).call;
        let possible = places.iter().copied().filter(|&place| is_possible(place)).map(call).collect();
        let calls = places.into_iter().map(call).collect();
        let mut sentence = fault.sentence;
        if let Some(first) = sentence.get(..1).map(str::to_uppercase) {
            // A name stays as its owner spells it.
            if ["the ", "no ", "each "].iter().any(|word| sentence.starts_with(word)) {
                sentence.replace_range(..1, &first);
            }
        }
        Explanation { sentence, calls, possible }
    }

    fn item(&self, place: u32) -> &Item {
        &self.items[place as usize]
    }

    fn the(&self, place: u32) -> String {
        self.teller.the(self.item(place))
    }
}
