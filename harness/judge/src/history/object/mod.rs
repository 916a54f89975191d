//! Histories of objects that hold values: registers, counters, sets, logs, locks, queues.
//!
//! A table's history ([`History`](super::History)) knows the operations and statuses of containers; here an operation
//! has any JSON as its value and as what it saw. The two are stored alike, as JSON lines.

pub mod read;
mod value;

pub use value::{Value, Values};

use super::{Clock, Outcome};
use crate::model::object::ObjectModel;

/// Makes an enum of words: its list of all, its spelling, and its way back.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$meaning:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[repr(u8)]
        pub enum $name {
            $($(#[$meaning])* $variant,)*
        }

        impl $name {
            /// Every one, in the order of the declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As histories and models spell it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// The one of this spelling.
            #[must_use]
            pub fn named(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(crate) use words;

words! {
    /// What is done to an object. Which object has which operation is for the [kind](crate::model::object::Kind) to say.
    Op {
        /// Register: sets the value.
        Write = "write",
        /// Register, counter, log: tells what is there.
        Read = "read",
        /// Register: sets a value if another one is there.
        Cas = "cas",
        /// Counter: adds a number. Set: puts an element in.
        Add = "add",
        /// Set: takes an element out.
        Remove = "remove",
        /// Set: tells whether an element is in it.
        Contains = "contains",
        /// Set: tells every element.
        Members = "members",
        /// Log: puts a value at the end.
        Append = "append",
        /// Lock: takes it, and waits for that.
        Acquire = "acquire",
        /// Lock: takes it, or is refused.
        Try = "try",
        /// Lock: gives it back.
        Release = "release",
        /// Queue: puts a value in.
        Push = "push",
        /// Queue: takes a value out.
        Pop = "pop",
        /// Table: one of its own operations, whose number is the call's value; what it saw is the number of a place.
        Act = "act",
    }
}

words! {
    /// Why an operation was refused, or what kind of error it failed with.
    Cause {
        /// Refused: the element is in the set.
        Exists = "exists",
        /// Refused: the element is not in the set.
        Absent = "absent",
        /// Refused: what is there is not what the operation needs.
        Status = "status",
        /// Refused: the lock is held.
        Held = "held",
        /// Refused: the queue is empty.
        Empty = "empty",
        /// Failed: what was there was empty, cut, unparsable, or mixed of two writes.
        Corrupt = "corrupt",
        /// Failed: it was not its turn in time, and it changed nothing.
        Busy = "busy",
        /// Failed: the lock was not had in time.
        Locked = "locked",
        /// Failed: a file operation went wrong.
        Io = "io",
        /// Failed: anything else.
        Other = "other",
    }
}

impl Cause {
    /// Whether it is a refusal's reason, rather than a failure's.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::Exists | Self::Absent | Self::Status | Self::Held | Self::Empty)
    }
}

/// One operation on an object, from its invocation to its return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// When it was invoked, in nanoseconds of one monotonic clock.
    pub invoke_ns: u64,
    /// The latest instant at which it can have acted: its return; [`Call::NEVER`] where that is open.
    pub deadline_ns: u64,
    /// Its argument; of a `cas` the value that it expects.
    pub value: Option<Value>,
    /// What it told; of a `cas` the value that it sets.
    pub saw: Option<Value>,
    /// Who: an index into [`ObjectHistory::actors`].
    pub actor: u32,
    /// On what: an index into [`ObjectHistory::objects`].
    pub object: u32,
    /// An index into the messages; [`Call::SILENT`]: none.
    message: u32,
    /// What was done to the object.
    pub op: Op,
    /// Whether it succeeded, was refused, failed, or nobody knows.
    pub outcome: Outcome,
    /// Why it was refused or failed, where it says.
    pub cause: Option<Cause>,
}

impl Call {
    /// The deadline of what may still act.
    pub const NEVER: u64 = u64::MAX;
    const SILENT: u32 = u32::MAX;

    /// An operation that ended so, with neither value nor anything seen.
    #[must_use]
    pub fn new(actor: u32, object: u32, op: Op, invoke_ns: u64, deadline_ns: u64, outcome: Outcome) -> Self {
        Self {
            invoke_ns,
            deadline_ns,
            value: None,
            saw: None,
            actor,
            object,
            message: Self::SILENT,
            op,
            outcome,
            cause: None,
        }
    }

    /// When it returned; `None`: it has not.
    #[must_use]
    pub fn return_ns(&self) -> Option<u64> {
        (self.deadline_ns != Self::NEVER).then_some(self.deadline_ns)
    }
}

/// The operations of one run on objects that hold values, in no particular order, with the names they refer to.
#[derive(Clone, Debug, Default)]
pub struct ObjectHistory {
    /// The model that the file's header names. `None`: it names none, so whoever judges has to say.
    pub model: Option<ObjectModel>,
    /// The objects' names.
    pub objects: Vec<String>,
    /// First values, by object; `None`: what the model says.
    pub initial: Vec<Option<Value>>,
    /// Who acts, by name.
    pub actors: Vec<String>,
    /// All operations on all objects, in the order in which they were read.
    pub calls: Vec<Call>,
    /// What its times count.
    pub clock: Clock,
    /// Where the values are kept.
    pub values: Values,
    messages: Vec<String>,
    messages_bytes: usize,
}

impl ObjectHistory {
    /// The index of an object of this name, which is added where there is none. It looks at every name: a reader keeps
    /// an index of its own.
    pub fn object(&mut self, name: &str) -> u32 {
        if let Some(index) = self.objects.iter().position(|known| known == name) {
            return index as u32;
        }
        self.objects.push(name.to_owned());
        self.initial.push(None);
        self.objects.len() as u32 - 1
    }

    /// The index of whoever has this name, who is added where there is none.
    pub fn actor(&mut self, name: &str) -> u32 {
        if let Some(index) = self.actors.iter().position(|known| known == name) {
            return index as u32;
        }
        self.actors.push(name.to_owned());
        self.actors.len() as u32 - 1
    }

    /// Lets every object whose first value is not told begin as the model says.
    pub fn begin_as(&mut self, model: &ObjectModel) {
        let Some(json) = &model.initial else { return };
        let value = match json.as_array() {
            Some(items) if model.kind.begins_with_a_list() => {
                let items: Vec<Value> = items.iter().map(|item| self.values.of(item)).collect();
                self.values.list(&items, None)
            }
            _ => self.values.of(json),
        };
        self.initial.iter_mut().for_each(|initial| *initial = Some(initial.unwrap_or(value)));
    }

    /// What the subject said about an operation, where it said anything.
    #[must_use]
    pub fn message(&self, call: &Call) -> Option<&str> {
        self.messages.get(call.message as usize).map(String::as_str)
    }

    /// Attaches what the subject said to an operation that is (or will be) part of this history.
    pub fn attach_message(&mut self, call: &mut Call, message: String) {
        call.message = u32::try_from(self.messages.len()).expect("fewer than 2^32 messages");
        self.messages_bytes += size_of::<String>() + message.len();
        self.messages.push(message);
    }

    /// How much memory the operations take, with their values, messages and names.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        /// A name's share of both lists of names, about.
        const NAME_BYTES: usize = 96;
        self.calls.len() * size_of::<Call>()
            + self.messages_bytes
            + self.values.memory_bytes()
            + (self.objects.len() + self.actors.len()) * NAME_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_compact() {
        assert_eq!(size_of::<Call>(), 48);
    }

    #[test]
    fn every_word_leads_back() {
        assert!(Op::ALL.iter().all(|&op| Op::named(op.as_str()) == Some(op)));
        assert!(Cause::ALL.iter().all(|&cause| Cause::named(cause.as_str()) == Some(cause)));
    }
}
