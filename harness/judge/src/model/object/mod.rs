//! Models of objects that hold values: one kind a file, each a state and a step function.
//!
//! A step function says what one operation may do, and nothing else: no times (but for leases), no orders. Procedures
//! find orders; the certificate goes through them by these functions alone.

pub mod counter;
mod load;
mod load_table;
pub mod lock;
pub mod log;
pub mod queue;
pub mod register;
pub mod set;
pub mod table;

use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::Arc;

pub(in crate::model) use load::bounds;
pub use load::{is_object_model, load, named, parse};

use crate::history::Outcome;
use crate::history::object::{Call, Cause, Op, Value, words};

words! {
    /// What an object is.
    Kind {
        /// One value, which is replaced.
        Register = "register",
        /// A number, to which numbers are added.
        Counter = "counter",
        /// Elements, each in it or not.
        Set = "set",
        /// A list that grows at its end.
        Log = "log",
        /// Held by one process at a time.
        Lock = "lock",
        /// Values, taken out in the order in which they came in, or in any.
        Queue = "queue",
        /// One status of several, in the user's own words.
        Table = "table",
    }
}

words! {
    /// In which order a queue gives back what was put in.
    QueueOrder {
        /// First in, first out.
        Fifo = "fifo",
        /// Any: a bag.
        Any = "any",
    }
}

words! {
    /// Whether an operation may fail. What failed has changed nothing, whatever is said here, and to find corrupt data
    /// is never permitted.
    Fails {
        /// A failure is a violation, whatever its reason.
        Never = "never",
        /// It may, because others were at it: `busy` or `locked`.
        Busy = "busy",
        /// It may, for whatever reason.
        Any = "any",
    }
}

impl Fails {
    /// Whether it permits a failure of this cause.
    #[must_use]
    pub const fn permits(self, cause: Option<Cause>) -> bool {
        match self {
            Self::Never => false,
            Self::Busy => matches!(cause, Some(Cause::Busy | Cause::Locked)),
            Self::Any => true,
        }
    }
}

impl Kind {
    /// Whether its name says all. A table needs statuses and operations beside it.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        match self {
            Self::Register | Self::Counter | Self::Set | Self::Log | Self::Lock | Self::Queue => true,
            Self::Table => false,
        }
    }

    /// The kinds of which the name says all.
    #[must_use]
    pub fn whole() -> Vec<Self> {
        Self::ALL.iter().copied().filter(|kind| kind.is_whole()).collect()
    }

    /// The kind of which this name says all.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::named(name).filter(|kind| kind.is_whole())
    }

    /// The operations that an object of this kind has.
    #[must_use]
    pub const fn operations(self) -> &'static [Op] {
        match self {
            Self::Register => &[Op::Write, Op::Read, Op::Cas],
            Self::Counter => &[Op::Add, Op::Read],
            Self::Set => &[Op::Add, Op::Remove, Op::Contains, Op::Members],
            Self::Log => &[Op::Append, Op::Read],
            Self::Lock => &[Op::Acquire, Op::Try, Op::Release],
            Self::Queue => &[Op::Push, Op::Pop],
            Self::Table => &[Op::Act],
        }
    }

    /// Whether first values are lists.
    #[must_use]
    pub const fn begins_with_a_list(self) -> bool {
        matches!(self, Self::Set | Self::Log | Self::Queue)
    }

    /// Whether the operation tells a whole list of what is there.
    #[must_use]
    pub const fn tells_a_list(self, op: Op) -> bool {
        matches!((self, op), (Self::Log, Op::Read) | (Self::Set, Op::Members))
    }
}

/// What is legal for objects of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectModel {
    /// Its name: that of the kind, or of the file it comes from.
    pub name: String,
    /// What its objects are.
    pub kind: Kind,
    /// Of a queue: in which order values come out.
    pub order: QueueOrder,
    /// Of a lock: how long it is held for certain; from then on it may end at any moment. `None`: until it is released.
    pub lease_ns: Option<u64>,
    /// Which operations may fail; what is not there may.
    pub fails: BTreeMap<Op, Fails>,
    /// How long operations may take, in nanoseconds; what is not there may take as long as it likes.
    pub within_ns: BTreeMap<Op, u64>,
    /// What an object holds at first, where the history does not say: 0, nothing, or what stands here.
    pub initial: Option<serde_json::Value>,
    /// Of a table, and only of one: its statuses and operations, each with what is said of failures and time.
    pub rules: Option<Arc<table::Rules>>,
}

impl ObjectModel {
    /// The model of a kind, with nothing chosen: it is called as the kind is.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        Self {
            name: kind.as_str().to_owned(),
            kind,
            order: QueueOrder::Fifo,
            lease_ns: None,
            fails: BTreeMap::new(),
            within_ns: BTreeMap::new(),
            initial: None,
            rules: None,
        }
    }

    /// Whether an operation may fail.
    #[must_use]
    pub fn fails(&self, op: Op) -> Fails {
        self.fails.get(&op).copied().unwrap_or(Fails::Any)
    }

    /// Whether the operation of a call may fail.
    #[must_use]
    pub fn fails_of(&self, call: &Call) -> Fails {
        let own = self.rules.as_deref().and_then(|rules| rules.rule_of(call));
        own.map_or_else(|| self.fails(call.op), |rule| rule.fails)
    }

    /// How long the operation of a call may take.
    #[must_use]
    pub fn within_ns_of(&self, call: &Call) -> Option<u64> {
        let own = self.rules.as_deref().and_then(|rules| rules.rule_of(call));
        own.map_or_else(|| self.within_ns.get(&call.op).copied(), |rule| rule.within_ns)
    }

    /// The name of the operation of a call.
    #[must_use]
    pub fn op_name(&self, call: &Call) -> &str {
        let own = self.rules.as_deref().and_then(|rules| rules.rule_of(call));
        own.map_or(call.op.as_str(), |rule| rule.name.as_str())
    }

    /// The names of all operations.
    #[must_use]
    pub fn op_names(&self) -> Vec<&str> {
        match self.rules.as_deref() {
            Some(rules) => rules.operations().iter().map(|rule| rule.name.as_str()).collect(),
            None => self.kind.operations().iter().map(|op| op.as_str()).collect(),
        }
    }
}

/// An operation as step functions and procedures see it: one that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// The earliest instant at which it can have acted.
    pub invoke_ns: u64,
    /// The last instant at which it may have acted, in nanoseconds: its return, or later where nobody knows that it
    /// returned.
    pub deadline_ns: u64,
    /// Its argument; of a `cas` the value that it expects.
    pub value: Option<Value>,
    /// What it told; of a `cas` the value that it sets.
    pub saw: Option<Value>,
    /// Which of the history's calls it is.
    pub call: u32,
    /// The number of the process or actor that did it, as the history counts them.
    pub actor: u32,
    /// Which operation of the model it is.
    pub op: Op,
    /// Whether it must have acted. Else it acted in full or not at all.
    pub must: bool,
    /// Whether it answered. What did must have acted, except where a proof asks whether it needs that.
    pub answered: bool,
    /// Whether it was refused.
    pub refused: bool,
    /// Why it was refused, where it says.
    pub cause: Option<Cause>,
}

impl Item {
    /// What a call is to a model; nothing where it failed, for then it changed nothing.
    #[must_use]
    pub fn of(index: u32, call: &Call) -> Option<Self> {
        (call.outcome != Outcome::Failed).then_some(Self {
            invoke_ns: call.invoke_ns,
            deadline_ns: call.deadline_ns,
            value: call.value,
            saw: call.saw,
            call: index,
            actor: call.actor,
            op: call.op,
            must: call.outcome != Outcome::Unknown,
            answered: call.outcome != Outcome::Unknown,
            refused: call.outcome == Outcome::Refused,
            cause: call.cause,
        })
    }

    /// Whether it was refused for one of these reasons, or gave none.
    #[must_use]
    pub fn refused_for(&self, causes: &[Cause]) -> bool {
        self.refused && self.cause.is_none_or(|cause| causes.contains(&cause))
    }

    /// Whether it was over before the other was invoked. Equal times are concurrent.
    #[must_use]
    pub const fn precedes(&self, other: &Self) -> bool {
        self.deadline_ns < other.invoke_ns
    }
}

/// What one object is, operation by operation.
pub trait Sequential: Clone + Sync {
    /// What is there between two operations, as far as the next answers depend on it.
    type State: Clone + Eq + Hash + Send;

    /// What is there at first.
    fn first(&self) -> Self::State;

    /// Lets an operation act: false if it cannot have ended so, and then the state means nothing. `took` is what it
    /// took, where it does not say so itself and there is a choice.
    fn step(&self, state: &mut Self::State, item: &Item, took: Option<Value>) -> bool;

    /// What an operation may have taken, where there is a choice.
    fn choices(&self, state: &Self::State, item: &Item) -> Vec<Option<Value>> {
        let _ = (state, item);
        vec![None]
    }

    /// Whether an operation of this sort never changes anything.
    fn looks(&self, item: &Item) -> bool;

    /// Whether an operation that answered told anything that an order could contradict: there is a state in which it
    /// cannot have ended so.
    fn says(&self, item: &Item) -> bool;

    /// The same with every other beginning that these operations can tell apart, if those are few.
    fn beginnings(&self, items: &[Item]) -> Option<Vec<Self>> {
        let _ = items;
        None
    }

    /// A state in words, after "it would find".
    fn shown(&self, state: &Self::State, names: &dyn Names) -> String;

    /// The part of a state that an operation finds, in words, after "it would find".
    fn found(&self, state: &Self::State, item: &Item, names: &dyn Names) -> String {
        let _ = item;
        self.shown(state, names)
    }

    /// Whether the step function looks at times: then two operations that say the same can still differ.
    fn is_timed(&self) -> bool {
        false
    }
}

/// How values and processes are told to people.
pub trait Names {
    /// A value as people read it: JSON, or a table's word for a status.
    fn value(&self, value: Value) -> String;
    /// The process or actor as the history names it: `p3`, `alice`.
    fn actor(&self, actor: u32) -> String;

    /// A list of values as people read it, cut short where it is long.
    fn list(&self, values: &mut dyn Iterator<Item = Value>) -> String {
        /// How many are told.
        const TOLD_MAX: usize = 8;
        let mut told: Vec<String> = values.take(TOLD_MAX + 1).map(|value| self.value(value)).collect();
        if told.len() > TOLD_MAX {
            told.truncate(TOLD_MAX);
            told.push("…".to_owned());
        }
        format!("[{}]", told.join(", "))
    }
}

/// How many other beginnings are few.
const BEGINNINGS_MAX: usize = 64;

/// Whether it was refused, or its operation never changes anything.
fn looks_by_op(item: &Item) -> bool {
    item.refused || matches!(item.op, Op::Read | Op::Contains | Op::Members)
}
