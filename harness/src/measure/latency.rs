//! A histogram of latencies, merged and never averaged.
//!
//! High dynamic range histograms (Gil Tene, `HdrHistogram`): buckets of a bounded relative width, so that percentiles are
//! right within it over the whole range. In JSON a histogram is its V2 encoding, deflated, in Base64: the format that the
//! other implementations of `HdrHistogram` read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// Durations in nanoseconds, each known within 1 %.
#[derive(Clone, Debug, PartialEq)]
pub struct Latency {
    histogram: Histogram<u64>,
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
        Self { histogram }
    }

    /// Adds one duration.
    pub fn record(&mut self, duration_ns: u64) {
        self.histogram.saturating_record(duration_ns);
    }

    /// Adds another one's durations.
    pub fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("both have the same bounds");
    }

    /// How many durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The duration below or at which this share lies, in nanoseconds; 0 where it is empty. A share of 1 is the longest.
    #[must_use]
    pub fn quantile_ns(&self, share: f64) -> u64 {
        if self.histogram.is_empty() { 0 } else { self.histogram.value_at_quantile(share) }
    }

    /// The longest, in nanoseconds.
    #[must_use]
    pub fn max_ns(&self) -> u64 {
        self.histogram.max()
    }

    /// The mean, in nanoseconds.
    #[must_use]
    pub fn mean_ns(&self) -> f64 {
        self.histogram.mean()
    }

    /// The histogram, with three significant digits.
    #[must_use]
    pub const fn histogram(&self) -> &Histogram<u64> {
        &self.histogram
    }

    /// From the histogram that a process recorded, whose bounds must be those of [`Latency::new`].
    pub fn from_histogram(histogram: Histogram<u64>) -> Result<Self, LatencyError> {
        let own = (histogram.low(), histogram.high(), histogram.sigfig());
        if own != (1, Self::MAX_NS, Self::DIGITS) {
            return Err(LatencyError(format!("its bounds and digits are {own:?}")));
        }
        Ok(Self { histogram })
    }

    fn encode(&self) -> String {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&self.histogram, &mut bytes).expect("a vector takes all bytes");
        BASE64.encode(bytes)
    }

    fn decode(text: &str) -> Result<Self, LatencyError> {
        let bytes = BASE64.decode(text).map_err(|error| LatencyError(error.to_string()))?;
        let read = Deserializer::new().deserialize(&mut bytes.as_slice());
        Self::from_histogram(read.map_err(|error| LatencyError(error.to_string()))?)
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

impl Serialize for Latency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encode())
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
        assert_eq!(back.count(), 6);
        assert!(serde_json::from_str::<Latency>(&text.replace("HISTF", "hISTF")).is_err());
    }
}
