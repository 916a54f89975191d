//! The document for programs: `--format json` and `--export-json`. docs/bench.md describes it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::BenchReport;
use crate::measure::machine::Machine;
use crate::measure::statistics::noise::NoisyRound;
use crate::measure::statistics::{CellStatistics, Estimate, Spread};
use crate::measure::threshold::{self, Outcome};
use crate::measure::view::Row;
use crate::measure::{Metric, NamedFilesystem, Percentile, Point, Stretch};
use crate::report::exit::Exit;
use crate::report::verdict::{self, Verdict};

/// Version of this document.
pub const SCHEMA_VERSION: u32 = 1;

/// What a benchmark came to.
#[derive(Clone, Debug, Serialize)]
pub struct Document<'a> {
    schema_version: u32,
    kind: &'static str,
    scenario: &'a str,
    scenario_sha256: &'a str,
    argv: &'a [String],
    seed: u64,
    version: &'a str,
    started_at: &'a str,
    complete: bool,
    verdict: Verdict,
    exit_code: u8,
    reasons: &'a [String],
    /// What the benchmark answers, a sentence for each root.
    answer: Vec<String>,
    thresholds_outcome: Outcome,
    machine: &'a Machine,
    filesystems: &'a [NamedFilesystem],
    cells: Vec<CellDocument<'a>>,
    left_out: u64,
    thresholds: &'a [threshold::Assessment],
}

#[derive(Clone, Debug, Serialize)]
struct CellDocument<'a> {
    point: &'a Point,
    invalid: Option<&'a str>,
    warnings: Vec<String>,
    /// Null where nothing was measured.
    statistics: Option<StatisticsDocument<'a>>,
}

#[derive(Clone, Debug, Serialize)]
struct StatisticsDocument<'a> {
    rounds: usize,
    measured_s: f64,
    acquisitions: u64,
    reads: u64,
    refused: u64,
    throughput_per_s: Option<&'a Estimate>,
    throughput_rounds_per_s: Spread,
    wait_ns: BTreeMap<&'static str, &'a Estimate>,
    hold_ns: BTreeMap<&'static str, &'a Estimate>,
    whole_ns: BTreeMap<&'static str, &'a Estimate>,
    fairness: Fairness<'a>,
    handoff_ratio: Option<&'a Estimate>,
    cpu_use: Option<&'a Estimate>,
    cpu_use_user: f64,
    cpu_use_system: f64,
    switches_per_acquisition: Option<&'a Estimate>,
    noisy_rounds: &'a [NoisyRound],
    exclusion: ExclusionDocument,
}

#[derive(Clone, Debug, Serialize)]
struct Fairness<'a> {
    jain: Option<&'a Estimate>,
    smallest: Option<&'a Estimate>,
    largest: Option<&'a Estimate>,
    starved: Option<f64>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct ExclusionDocument {
    watched: u64,
    overlaps: u64,
}

impl<'a> Document<'a> {
    pub(super) fn of(report: &'a BenchReport<'_>, exit: Exit, reasons: &'a [String]) -> Self {
        let record = report.view.record;
        Self {
            schema_version: SCHEMA_VERSION,
            kind: "bench",
            scenario: &record.scenario,
            scenario_sha256: &record.scenario_sha256,
            argv: &record.argv,
            seed: record.seed,
            version: &record.version,
            started_at: &record.started_at,
            complete: record.complete,
            verdict: verdict::of_exit(exit),
            exit_code: exit.code(),
            reasons,
            thresholds_outcome: report.outcome(),
            machine: &record.machine,
            filesystems: &record.filesystems,
            answer: report.answer(),
            cells: report.view.rows.iter().map(CellDocument::of).collect(),
            left_out: record.left_out,
            thresholds: &report.verdicts,
        }
    }
}

impl<'a> CellDocument<'a> {
    fn of(row: &'a Row<'_>) -> Self {
        let own = row.cell.warnings.iter().cloned();
        let found = row.statistics.iter().flat_map(CellStatistics::warnings);
        Self {
            point: &row.cell.point,
            invalid: row.cell.invalid.as_deref(),
            warnings: own.chain(found).collect(),
            statistics: row.statistics.as_ref().map(StatisticsDocument::of),
        }
    }
}

impl<'a> StatisticsDocument<'a> {
    fn of(statistics: &'a CellStatistics) -> Self {
        let latencies = |stretch: Stretch| {
            let named = Percentile::ALL.into_iter().filter_map(|percentile| {
                Some((percentile.as_str(), statistics.get(Metric::Latency(stretch, percentile))?))
            });
            named.collect()
        };
        Self {
            rounds: statistics.rounds,
            measured_s: statistics.measured_ns as f64 / 1e9,
            acquisitions: statistics.acquisitions,
            reads: statistics.reads,
            refused: statistics.refused,
            throughput_per_s: statistics.get(Metric::Throughput),
            throughput_rounds_per_s: statistics.throughput_rounds,
            wait_ns: latencies(Stretch::Wait),
            hold_ns: latencies(Stretch::Hold),
            whole_ns: latencies(Stretch::Whole),
            fairness: Fairness {
                jain: statistics.get(Metric::Jain),
                smallest: statistics.get(Metric::SmallestShare),
                largest: statistics.get(Metric::LargestShare),
                starved: statistics.value(Metric::Starved),
            },
            handoff_ratio: statistics.get(Metric::Handoff),
            cpu_use: statistics.get(Metric::CpuUse),
            cpu_use_user: statistics.cpu_user,
            cpu_use_system: statistics.cpu_system,
            switches_per_acquisition: statistics.get(Metric::Switches),
            noisy_rounds: &statistics.noisy,
            exclusion: ExclusionDocument { watched: statistics.watched, overlaps: statistics.overlaps },
        }
    }
}
