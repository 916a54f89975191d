//! Where a cell lies: a value on each axis of the grid.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};
use strum::{EnumCount, VariantArray};

use crate::words::every;

/// An axis of the grid. The order is that of columns in tables.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, EnumCount, VariantArray,
)]
#[serde(rename_all = "kebab-case")]
pub enum Axis {
    /// Which protocol the library-shaped work follows: library, gvisor-2018, …
    Subject,
    /// Which lock: fs2, std, ofd, posix, lockfile, none, mutex.
    Lock,
    /// How it waits: block, poll 10ms, back-off 1ms..50ms.
    Wait,
    /// Where the descriptor comes from: kept, opened, checked.
    Descriptor,
    /// What is done under the lock: nothing, spin 5us, read, pause, …
    Work,
    /// How metadata is read: shared, exclusive, lock-free.
    Read,
    /// How metadata is written: in-place, rename, fsync.
    Write,
    /// Reads for each write.
    Reads,
    /// Size of the metadata, in bytes.
    Payload,
    /// How many processes work at once.
    Processes,
    /// How many containers they share.
    Containers,
    /// How containers are chosen: uniform, zipf 1.0.
    Skew,
    /// How work arrives: closed 0us (think time), open 1000/s.
    Load,
    /// The filesystem on which the containers live.
    Root,
}

impl Axis {
    /// Every axis, in order.
    pub const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// As scenarios, tables and JSON spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Lock => "lock",
            Self::Wait => "wait",
            Self::Descriptor => "descriptor",
            Self::Work => "work",
            Self::Read => "read",
            Self::Write => "write",
            Self::Reads => "reads",
            Self::Payload => "payload",
            Self::Processes => "processes",
            Self::Containers => "containers",
            Self::Skew => "skew",
            Self::Load => "load",
            Self::Root => "root",
        }
    }
}

impl Axis {
    /// Whether it says under which conditions a lock is used. On the others one chooses.
    #[must_use]
    pub const fn is_condition(self) -> bool {
        match self {
            Self::Work
            | Self::Reads
            | Self::Payload
            | Self::Processes
            | Self::Containers
            | Self::Skew
            | Self::Load
            | Self::Root => true,
            Self::Subject | Self::Lock | Self::Wait | Self::Descriptor | Self::Read | Self::Write => false,
        }
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// A value on an axis: numbers are ordered and can be drawn along a line, words cannot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A number: processes, containers, bytes, reads for each write.
    Number(u64),
    /// A word: `fs2`, `poll 10ms`.
    Word(String),
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(formatter),
            Self::Word(word) => formatter.pad(word),
        }
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => one.cmp(other),
            (Self::Word(one), Self::Word(other)) => one.cmp(other),
            (Self::Number(_), Self::Word(_)) => Ordering::Less,
            (Self::Word(_), Self::Number(_)) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A value on each axis that the grid has, in the order of [`Axis`].
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point {
    values: Vec<(Axis, Value)>,
}

impl Point {
    /// The value on an axis, where the point has one.
    #[must_use]
    pub fn get(&self, axis: Axis) -> Option<&Value> {
        self.values.iter().find(|(own, _)| *own == axis).map(|(_, value)| value)
    }

    /// The same point but for its value on one axis.
    #[must_use]
    pub fn with(mut self, axis: Axis, value: Value) -> Self {
        match self.values.binary_search_by_key(&axis, |(own, _)| *own) {
            Ok(at) => self.values[at].1 = value,
            Err(at) => self.values.insert(at, (axis, value)),
        }
        self
    }

    /// All values, in the order of the axes.
    pub fn iter(&self) -> impl Iterator<Item = (Axis, &Value)> {
        self.values.iter().map(|(axis, value)| (*axis, value))
    }
}

impl fmt::Display for Point {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
        formatter.pad(&words.join(" "))
    }
}

impl Serialize for Point {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = std::collections::BTreeMap::<Axis, Value>::deserialize(deserializer)?;
        Ok(Self { values: values.into_iter().collect() })
    }
}
