//! What can be asked of a cell, by the names that thresholds, comparisons and documents share.

use std::fmt;

use serde::{Serialize, Serializer};
use strum::{EnumCount, EnumDiscriminants, VariantArray};

use crate::words::every;

/// A stretch of an operation whose latency is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumCount, VariantArray)]
pub enum Stretch {
    /// From asking for the lock to having it.
    Wait,
    /// From having the lock to having given it back.
    Hold,
    /// The whole operation.
    Whole,
}

/// A place in a distribution of latencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumCount, VariantArray)]
pub enum Percentile {
    /// Half of all operations took no longer.
    P50,
    /// 90 % lie at or below it.
    P90,
    /// 99 of 100 operations took no longer.
    P99,
    /// 999 of 1,000 operations took no longer.
    P999,
    /// The longest that any operation took.
    Max,
}

/// What can be asked of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumDiscriminants)]
#[strum_discriminants(name(MetricKind), vis(pub(crate)), derive(VariantArray))]
pub enum Metric {
    /// Acquisitions each second, by all processes.
    Throughput,
    /// A percentile of a latency, in nanoseconds.
    Latency(Stretch, Percentile),
    /// Jain's index of the shares: 1 where all are equal, 1/n where one process got everything.
    Jain,
    /// The share of the process that got least, as a multiple of an equal part.
    SmallestShare,
    /// The share of the process that got most, as a multiple of an equal part.
    LargestShare,
    /// How many processes got nothing, in the round with most of them.
    Starved,
    /// Which part of the acquisitions followed one by another process.
    Handoff,
    /// How many processors were in use.
    CpuUse,
    /// Context switches for each acquisition.
    Switches,
}

/// The unit of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Operations in each second of the round.
    PerSecond,
    /// Nanoseconds, of an operation or of a part of it.
    Nanoseconds,
    /// A ratio or a count, which has no unit.
    Plain,
}

/// Where a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// The more the better.
    Higher,
    /// The less the better.
    Lower,
}

impl Stretch {
    /// All of them.
    pub const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// As metrics spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Hold => "hold",
            Self::Whole => "whole",
        }
    }
}

impl Percentile {
    /// All of them.
    pub const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// As metrics spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
            Self::Max => "max",
        }
    }

    /// Which part lies at or below it.
    #[must_use]
    pub const fn share(self) -> f64 {
        match self {
            Self::P50 => 0.5,
            Self::P90 => 0.9,
            Self::P99 => 0.99,
            Self::P999 => 0.999,
            Self::Max => 1.0,
        }
    }
}

impl Metric {
    /// Every metric that a benchmark reports, percentiles of each timed part included.
    pub fn all() -> impl Iterator<Item = Self> {
        let latencies = |stretch| Percentile::ALL.map(|percentile| Self::Latency(stretch, percentile));
        MetricKind::VARIANTS.iter().flat_map(move |kind| match kind {
            MetricKind::Throughput => vec![Self::Throughput],
            MetricKind::Latency => Stretch::ALL.into_iter().flat_map(latencies).collect(),
            MetricKind::Jain => vec![Self::Jain],
            MetricKind::SmallestShare => vec![Self::SmallestShare],
            MetricKind::LargestShare => vec![Self::LargestShare],
            MetricKind::Starved => vec![Self::Starved],
            MetricKind::Handoff => vec![Self::Handoff],
            MetricKind::CpuUse => vec![Self::CpuUse],
            MetricKind::Switches => vec![Self::Switches],
        })
    }

    /// The metric of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::all().find(|metric| metric.to_string() == name)
    }

    /// What its values are measured in.
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self {
            Self::Throughput => Unit::PerSecond,
            Self::Latency(..) => Unit::Nanoseconds,
            _ => Unit::Plain,
        }
    }

    /// Where it is better. Of the processors that are used and of handoffs less is taken to be better only in that it
    /// costs less.
    #[must_use]
    pub const fn better(self) -> Better {
        match self {
            Self::Throughput | Self::Jain | Self::SmallestShare => Better::Higher,
            _ => Better::Lower,
        }
    }

    /// Whether it is estimated on a scale of ratios: rates and times vary by factors, all else by differences.
    #[must_use]
    pub const fn is_on_log_scale(self) -> bool {
        matches!(self, Self::Throughput | Self::Latency(..))
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Throughput => formatter.pad("throughput"),
            Self::Latency(stretch, percentile) => {
                formatter.pad(&format!("{}.{}", stretch.as_str(), percentile.as_str()))
            }
            Self::Jain => formatter.pad("fairness.jain"),
            Self::SmallestShare => formatter.pad("fairness.smallest"),
            Self::LargestShare => formatter.pad("fairness.largest"),
            Self::Starved => formatter.pad("fairness.starved"),
            Self::Handoff => formatter.pad("handoff.ratio"),
            Self::CpuUse => formatter.pad("cpu.use"),
            Self::Switches => formatter.pad("switches"),
        }
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_metric() {
        assert_eq!(Metric::all().count(), 23);
        for metric in Metric::all() {
            assert_eq!(Metric::of_name(&metric.to_string()), Some(metric));
        }
        assert_eq!(Metric::of_name("wait.p98"), None);
    }
}
