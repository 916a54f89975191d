//! How long to wait for a lock. A wait that is bounded polls, because no lock call has a timeout; the pauses between
//! two tries grow.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::UnknownWord;
use crate::pauses::Pauses;

const PAUSE_MIN: Duration = Duration::from_micros(50);
const PAUSE_MAX: Duration = Duration::from_millis(5);

/// How long to wait for a lock that another holds. Spelled `block`, `try`, or a duration such as `250ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Wait {
    /// Until it is free.
    #[default]
    Block,
    /// Not at all.
    Try,
    /// At most this long.
    Bounded(Duration),
}

const UNITS: [(&str, u64); 5] =
    [("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000)];

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block => f.write_str("block"),
            Self::Try => f.write_str("try"),
            Self::Bounded(bound) => {
                let bound_ns = bound.as_nanos();
                let whole = UNITS.iter().rev().find(|(_, unit_ns)| bound_ns % u128::from(*unit_ns) == 0);
                let (unit, unit_ns) = whole.unwrap_or(&UNITS[0]);
                write!(f, "{}{unit}", bound_ns / u128::from(*unit_ns))
            }
        }
    }
}

impl FromStr for Wait {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "block" => return Ok(Self::Block),
            "try" => return Ok(Self::Try),
            _ => (),
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let bound_ns = UNITS
            .iter()
            .find(|(name, _)| *name == unit.trim_start())
            .and_then(|(_, unit_ns)| number.parse::<u64>().ok()?.checked_mul(*unit_ns));
        bound_ns.map(|ns| Self::Bounded(Duration::from_nanos(ns))).ok_or_else(|| UnknownWord {
            kind: "wait",
            word: text.to_owned(),
            expected: &["block", "try", "a duration such as 250ms"],
        })
    }
}

impl Serialize for Wait {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A wait under way. The clock is not read before the first try has failed.
#[derive(Debug)]
pub(crate) struct Patience {
    wait: Wait,
    since: Option<Instant>,
    pauses: Pauses,
}

impl Patience {
    pub(crate) const fn new(wait: Wait) -> Self {
        Self { wait, since: None, pauses: Pauses::between(PAUSE_MIN, PAUSE_MAX) }
    }

    /// Whether the wait has no end, so that a call may sleep in the kernel.
    pub(crate) const fn is_endless(&self) -> bool {
        matches!(self.wait, Wait::Block)
    }

    /// Pauses before the next try; `false` when the time is over.
    #[must_use]
    pub(crate) fn pause(&mut self) -> bool {
        let Some(pause) = self.next_pause() else { return false };
        std::thread::sleep(pause);
        true
    }

    /// How long to sleep, at most, before the next try; `None` when the time is over.
    pub(crate) fn next_pause(&mut self) -> Option<Duration> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let left = match self.wait {
            Wait::Block => Duration::MAX,
            Wait::Try => return None,
            Wait::Bounded(bound) => bound.checked_sub(since.elapsed()).filter(|left| !left.is_zero())?,
        };
        Some(self.pauses.take().min(left))
    }

    /// How long was waited.
    pub(crate) fn waited(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_spelled_and_parsed() {
        for (text, wait) in [
            ("block", Wait::Block),
            ("try", Wait::Try),
            ("250ms", Wait::Bounded(Duration::from_millis(250))),
            ("2s", Wait::Bounded(Duration::from_secs(2))),
            ("3m", Wait::Bounded(Duration::from_secs(180))),
            ("1ns", Wait::Bounded(Duration::from_nanos(1))),
        ] {
            assert_eq!(text.parse(), Ok(wait));
            assert_eq!(wait.to_string(), text);
            assert_eq!(serde_json::from_value::<Wait>(text.into()).unwrap(), wait);
        }
        for bad in ["", "5", "ms", "-1s", "1h", "forever", "99999999999999999999s"] {
            assert!(bad.parse::<Wait>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_bounded_wait_ends_and_a_try_does_not_begin() {
        assert!(!Patience::new(Wait::Try).pause());
        let mut bounded = Patience::new(Wait::Bounded(Duration::from_millis(2)));
        let mut tries = 0;
        while bounded.pause() {
            tries += 1;
        }
        assert!(tries > 0 && bounded.waited() >= Duration::from_millis(2));
        assert!(Patience::new(Wait::Block).pause());
    }
}
