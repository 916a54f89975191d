//! Time that its observer was there to see pass.
//!
//! Who stands still himself (stopped by a signal, put to sleep with the machine, starved of the processor) finds, when he goes
//! on, that all the others did nothing for a long time. That they hang must not be concluded from it: every limit by which
//! somebody is said to hang is measured on this clock.

use std::time::Duration;

use super::clock;

/// A clock of nanoseconds that stands still while nobody looks at it.
///
/// It is to be looked at several times within each span that counts as attended.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_field_names, reason = "units belong to names")]
pub struct Attention {
    span_ns: u64,
    last_ns: u64,
    missed_ns: u64,
    /// Since when nothing was missed.
    awake_ns: u64,
}

impl Attention {
    /// From one look to the next no more than this counts by default: ten times what observers wait for.
    const SPAN: Duration = Duration::from_millis(200);

    /// Looks for the first time.
    #[must_use]
    pub fn begin() -> Self {
        Self::within(Self::SPAN)
    }

    /// Looks for the first time; no more than this counts from one look to the next.
    #[must_use]
    pub fn within(span: Duration) -> Self {
        let span_ns = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let now_ns = clock::now_ns();
        Self { span_ns, last_ns: now_ns, missed_ns: 0, awake_ns: now_ns }
    }

    /// Looks again, and tells the time: [`clock::now_ns`] without what was missed.
    pub fn now_ns(&mut self) -> u64 {
        self.at(clock::now_ns())
    }

    /// Looks again, and tells since when nothing was missed, by [`clock::now_ns`].
    pub fn awake_since_ns(&mut self) -> u64 {
        self.now_ns();
        self.awake_ns
    }

    fn at(&mut self, now_ns: u64) -> u64 {
        let gap_ns = now_ns.saturating_sub(self.last_ns);
        if gap_ns > self.span_ns {
            self.missed_ns += gap_ns - self.span_ns;
            self.awake_ns = now_ns;
        }
        self.last_ns = now_ns;
        now_ns - self.missed_ns
    }
}

/// The end of a time that somebody else is given, as his observer sees it pass.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    attention: Attention,
    until_ns: u64,
}

impl Deadline {
    /// Begins now. It is to be looked at several times within an eighth of the time, or within 10 ms where that is longer.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        let span = (time / 8).clamp(Duration::from_millis(10), Attention::SPAN);
        let mut attention = Attention::within(span);
        let time_ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self { until_ns: attention.now_ns().saturating_add(time_ns), attention }
    }

    /// How much of the time is left.
    pub fn left(&mut self) -> Duration {
        Duration::from_nanos(self.until_ns.saturating_sub(self.attention.now_ns()))
    }

    /// Whether the time is over.
    pub fn is_over(&mut self) -> bool {
        self.left().is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_seen_counts() {
        let mut attention = Attention { span_ns: 200, last_ns: 1_000, missed_ns: 0, awake_ns: 1_000 };
        let seen = [1_020, 1_220, 11_220, 11_240, 99_999_999].map(|now_ns| attention.at(now_ns));
        assert_eq!(seen, [1_020, 1_220, 1_420, 1_440, 1_640]);
        assert_eq!(attention.awake_ns, 99_999_999);
    }
}
