//! The unit in which the times of a history are told.

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Whole nanoseconds, as they were measured.
    Nanoseconds,
    /// Microseconds, to the nanosecond.
    Microseconds,
    /// Milliseconds, to the microsecond.
    Milliseconds,
    /// Seconds, to the millisecond.
    Seconds,
}

impl Unit {
    /// The unit in which times up to this one are short and still tell what they are.
    #[must_use]
    pub const fn fitting(longest_ns: u64) -> Self {
        match longest_ns {
            0..100_000 => Self::Nanoseconds,
            100_000..100_000_000 => Self::Microseconds,
            100_000_000..1_000_000_000_000 => Self::Milliseconds,
            _ => Self::Seconds,
        }
    }

    /// The symbol behind a number: `ns`, `µs`, `ms`, `s`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Microseconds => "µs",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
        }
    }

    /// A time as a number of this unit.
    #[must_use]
    pub fn number(self, ns: u64) -> String {
        match self {
            Self::Nanoseconds => ns.to_string(),
            Self::Microseconds => format!("{:.3}", ns as f64 / 1e3),
            Self::Milliseconds => format!("{:.3}", ns as f64 / 1e6),
            Self::Seconds => format!("{:.3}", ns as f64 / 1e9),
        }
    }
}
