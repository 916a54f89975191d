//! A histogram of latencies, merged and never averaged.
//!
//! High dynamic range histograms (Gil Tene, `HdrHistogram`): buckets of a bounded relative width, so that percentiles are
//! right within it over the whole range. In JSON a histogram is its V2 encoding, deflated, in Base64: the format that the
//! other implementations of `HdrHistogram` read.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// Durations in nanoseconds, each known within 1 %.
#[derive(Clone, Debug)]
pub struct Latency {
    kept: Kept,
}

#[derive(Clone, Debug)]
enum Kept {
    /// Ready to record: 37 KiB, most of it zeros.
    Open(Histogram<u64>),
    /// As a record has it: some hundred bytes, that decode.
    Folded { count: u64, deflated: Box<[u8]> },
}

/// An encoded histogram that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("expected a histogram in HdrHistogram's V2 encoding, deflated, in Base64: {0}")]
pub struct LatencyError(String);

impl Latency {
    /// Two significant decimal digits.
    pub const DIGITS: u8 = 2;
    /// One hour: longer durations count as one hour.
    pub const MAX_NS: u64 = 3_600_000_000_000;

    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        let histogram =
            Histogram::new_with_bounds(1, Self::MAX_NS, Self::DIGITS).expect("the bounds are valid");
        Self { kept: Kept::Open(histogram) }
    }

    /// The same durations in as few bytes as a record takes for them. A grid has a hundred thousand histograms, and looks
    /// at one at a time.
    #[must_use]
    pub fn folded(&self) -> Self {
        Self { kept: Kept::Folded { count: self.count(), deflated: self.deflated().into() } }
    }

    /// Adds one duration.
    pub fn record(&mut self, duration_ns: u64) {
        self.open().saturating_record(duration_ns);
    }

    /// Adds another one's durations.
    pub fn merge(&mut self, other: &Self) {
        let other = other.histogram();
        self.open().add(&*other).expect("both have the same bounds");
    }

    fn open(&mut self) -> &mut Histogram<u64> {
        if let Kept::Folded { deflated, .. } = &self.kept {
            self.kept = Kept::Open(inflated(deflated).expect("it was read before"));
        }
        match &mut self.kept {
            Kept::Open(histogram) => histogram,
            Kept::Folded { .. } => unreachable!("it was just opened"),
        }
    }

    /// How many durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        match &self.kept {
            Kept::Open(histogram) => histogram.len(),
            Kept::Folded { count, .. } => *count,
        }
    }

    /// The duration below or at which this share lies, in nanoseconds; 0 where it is empty. A share of 1 is the longest.
    #[must_use]
    pub fn quantile_ns(&self, share: f64) -> u64 {
        if self.count() == 0 { 0 } else { self.histogram().value_at_quantile(share) }
    }

    /// The longest, in nanoseconds.
    #[must_use]
    pub fn max_ns(&self) -> u64 {
        self.histogram().max()
    }

    /// The mean, in nanoseconds.
    #[must_use]
    pub fn mean_ns(&self) -> f64 {
        self.histogram().mean()
    }

    /// The histogram, with two significant digits.
    #[must_use]
    pub fn histogram(&self) -> Cow<'_, Histogram<u64>> {
        match &self.kept {
            Kept::Open(histogram) => Cow::Borrowed(histogram),
            Kept::Folded { deflated, .. } => Cow::Owned(inflated(deflated).expect("it was read before")),
        }
    }

    /// From the histogram that a process recorded, whose bounds must be those of [`Latency::new`].
    pub fn from_histogram(histogram: Histogram<u64>) -> Result<Self, LatencyError> {
        let own = (histogram.low(), histogram.high(), histogram.sigfig());
        if own != (1, Self::MAX_NS, Self::DIGITS) {
            return Err(LatencyError(format!("its bounds and digits are {own:?}")));
        }
        Ok(Self { kept: Kept::Open(histogram) })
    }

    fn deflated(&self) -> Vec<u8> {
        match &self.kept {
            Kept::Folded { deflated, .. } => deflated.to_vec(),
            Kept::Open(histogram) => {
                let mut bytes = Vec::new();
                let written = V2DeflateSerializer::new().serialize(histogram, &mut bytes);
                written.expect("a vector takes all bytes");
                bytes
            }
        }
    }

    fn decode(text: &str) -> Result<Self, LatencyError> {
        let bytes = BASE64.decode(text).map_err(|error| LatencyError(error.to_string()))?;
        let read = Self::from_histogram(inflated(&bytes)?)?;
        Ok(Self { kept: Kept::Folded { count: read.count(), deflated: bytes.into() } })
    }
}

fn inflated(bytes: &[u8]) -> Result<Histogram<u64>, LatencyError> {
    let mut bytes = bytes;
    Deserializer::new().deserialize(&mut bytes).map_err(|error| LatencyError(error.to_string()))
}

impl PartialEq for Latency {
    fn eq(&self, other: &Self) -> bool {
        self.count() == other.count() && *self.histogram() == *other.histogram()
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

impl Serialize for Latency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(self.deflated()))
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::decode(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_survives_json() {
        let mut latency = Latency::new();
        for duration_ns in [1, 26, 4_700, 1_000_000, Latency::MAX_NS, u64::MAX] {
            latency.record(duration_ns);
        }
        let text = serde_json::to_string(&latency).expect("it is plain");
        let back: Latency = serde_json::from_str(&text).expect("it was just written");
        assert_eq!(back, latency);
        assert_eq!((back.count(), back.max_ns()), (6, latency.max_ns()));
        assert_eq!(serde_json::to_string(&back).expect("it is plain"), text);
        assert!(serde_json::from_str::<Latency>(&text.replace("HISTF", "hISTF")).is_err());
    }

    #[test]
    fn what_was_read_is_small_until_something_is_added() {
        let mut latency = Latency::new();
        (1..=1_000).for_each(|duration_ns| latency.record(duration_ns));
        let mut folded = latency.folded();
        assert!(
            matches!(&folded.kept, Kept::Folded { deflated, .. } if deflated.len() < 1_000),
            "{folded:?}"
        );
        assert_eq!((folded.quantile_ns(0.5), &folded), (latency.quantile_ns(0.5), &latency));
        folded.merge(&latency.folded());
        folded.record(7);
        assert_eq!(folded.count(), 2_001);
        latency.record(7);
        assert_ne!(folded, latency);
        assert_eq!(Latency::new().folded(), Latency::new());
    }
}
