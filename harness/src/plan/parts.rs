//! Parts of an exploration: which sets of faults it explores, so that several machines can share one exploration.
//!
//! Each set of faults belongs to one part, by a hash of what the set says. So the parts are a partition whatever the
//! number of machines: no schedule is counted twice, and none is left out. The set without any fault is one of them: all
//! schedules of one set stay together, since a search of them cannot be divided without doing work twice.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Some of the parts of an exploration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Vec<u32>", into = "Vec<u32>")]
pub struct Parts(u64);

impl Parts {
    /// How many parts an exploration with faults has: more than shards that anybody would give it.
    pub const COUNT: u32 = u64::BITS;
    /// The whole exploration.
    pub const ALL: Self = Self(u64::MAX);
    /// No part at all: the empty set.
    pub const NONE: Self = Self(0);

    /// The set of this part alone.
    #[must_use]
    pub const fn one(number: u32) -> Self {
        Self(1 << (number % Self::COUNT))
    }

    /// The part that a set of faults belongs to, by what it says.
    #[must_use]
    pub fn of_faults(words: &str) -> Self {
        // FNV-1a: it is the same in every version, which the standard library's hash is not.
        let hash = words.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        // Its high bits are mixed better than its low ones.
        Self::one((hash >> 32) as u32)
    }

    /// Whether this is the whole.
    #[must_use]
    pub const fn is_all(self) -> bool {
        self.0 == u64::MAX
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether all of the other is in this.
    #[must_use]
    pub const fn holds(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is in both.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Their numbers, from 0.
    pub fn numbers(self) -> impl Iterator<Item = u32> {
        (0..Self::COUNT).filter(move |number| self.holds(Self::one(*number)))
    }
}

/// A number that no part has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parts are numbered from 0 to {most}, found {0}", most = Parts::COUNT - 1)]
pub struct UnknownPart(u32);

impl TryFrom<Vec<u32>> for Parts {
    type Error = UnknownPart;

    fn try_from(numbers: Vec<u32>) -> Result<Self, UnknownPart> {
        numbers.into_iter().try_fold(Self::NONE, |parts, number| {
            if number < Self::COUNT { Ok(parts.with(Self::one(number))) } else { Err(UnknownPart(number)) }
        })
    }
}

impl From<Parts> for Vec<u32> {
    fn from(parts: Parts) -> Self {
        parts.numbers().collect()
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.numbers().map(|number| (number + 1).to_string()).collect();
        write!(f, "part {} of {}", numbers.join(","), Self::COUNT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_of_faults_is_in_exactly_one_part() {
        let mut seen = Parts::NONE;
        for number in 0..2_000 {
            let part = Parts::of_faults(&format!("p1 write c1/meta.json #{number} ! ENOSPC"));
            assert_eq!(part.numbers().count(), 1);
            seen = seen.with(part);
        }
        assert!(seen.is_all(), "none of the parts is left without work: {seen}");
        assert_eq!(Parts::of_faults(""), Parts::of_faults(""));
    }

    #[test]
    fn it_reads_back_as_it_was_written() {
        for parts in [Parts::NONE, Parts::ALL, Parts::one(3).with(Parts::one(63))] {
            let text = serde_json::to_string(&parts).unwrap();
            assert_eq!(serde_json::from_str::<Parts>(&text).unwrap(), parts);
        }
        assert!(serde_json::from_str::<Parts>("[64]").is_err());
    }
}
