//! What is done under the lock.

use std::fmt;
use std::str::FromStr;

use crate::words::units::{duration_ns, show_exact_ns};

/// What is done under the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// Nothing: the lock alone.
    Nothing,
    /// Work on the processor, this long in nanoseconds.
    Spin(u64),
    /// A read of a container's metadata.
    Read,
    /// A pause or a resume: read, check, save.
    Pause,
    /// Both, in the ratio of the axis `reads`.
    Mixed,
}

/// How kinds of work are spelled, for messages.
pub const WORK_FORM: &str = "\"nothing\", \"spin 5us\", \"read\", \"pause\" or \"mixed\"";

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Spin(ns) => write!(f, "spin {}", show_exact_ns(*ns)),
            Self::Read => f.write_str("read"),
            Self::Pause => f.write_str("pause"),
            Self::Mixed => f.write_str("mixed"),
        }
    }
}

impl FromStr for Work {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "nothing" => Ok(Self::Nothing),
            "read" => Ok(Self::Read),
            "pause" => Ok(Self::Pause),
            "mixed" => Ok(Self::Mixed),
            _ => {
                let spin = text.strip_prefix("spin ").and_then(duration_ns);
                spin.filter(|ns| (1..=1_000_000_000).contains(ns)).map(Self::Spin).ok_or(())
            }
        }
    }
}
