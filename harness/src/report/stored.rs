//! `summary.json`: what a run came to, as its folder keeps it, written and read back as one type per kind.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ScenarioReport;
use super::exit::Exit;
use super::verdict::Verdict;
use crate::results::read::{ReadError, run_record, versioned};
use crate::results::{RunRecord, SCHEMA_VERSION};
use crate::scenario::Kind;

/// What `summary.json` of a stress run or an exploration holds.
#[derive(Clone, Debug, Serialize)]
pub struct Summary<'a> {
    schema_version: u32,
    seed: u64,
    #[serde(flatten)]
    report: &'a ScenarioReport,
}

impl<'a> Summary<'a> {
    /// Of a run with this seed.
    #[must_use]
    pub fn new(seed: u64, report: &'a ScenarioReport) -> Self {
        Self { schema_version: SCHEMA_VERSION, seed, report }
    }
}

/// What `summary.json` of a benchmark holds; `bench.json` beside it has the figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BenchSummary {
    /// Version of this format.
    pub schema_version: u32,
    /// `bench`, by which readers know it from other summaries.
    pub kind: String,
    /// The scenario's name.
    pub scenario: String,
    /// The seed of the run.
    pub seed: u64,
    /// Whether every cell had all its rounds.
    pub complete: bool,
    /// How many cells were measured.
    pub cells: usize,
    /// How many of them are worth nothing.
    pub invalid: usize,
    /// How many combinations of the axes were left out.
    pub left_out: u64,
    /// What it came to.
    pub verdict: Verdict,
    /// The exit code that says the same.
    pub exit_code: Exit,
    /// Why, where it is not simply as expected.
    pub reasons: Vec<String>,
}

/// What a run came to: one variant per form of `summary.json`.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// Of a stress run or an exploration.
    Scenario(Box<ScenarioReport>),
    /// Of a benchmark.
    Bench(BenchSummary),
}

/// A run's folder, read back.
#[derive(Clone, Debug)]
pub struct StoredRun {
    /// The folder that holds the run.
    pub path: PathBuf,
    /// What was known before it started, and whether it ended.
    pub run: RunRecord,
    /// What it came to; `None`: it was cut short, or is not over.
    pub summary: Option<Stored>,
}

impl StoredRun {
    /// Reads a run's folder.
    pub fn read(folder: &Path) -> Result<Self, ReadError> {
        let run = run_record(folder)?;
        Ok(Self { path: folder.to_owned(), run, summary: read_summary(&folder.join("summary.json"))? })
    }
}

/// What tells the forms of `summary.json` apart.
#[derive(Deserialize)]
struct Form {
    kind: Kind,
    /// Only that of a benchmark that ran has none: it calls it `scenario`.
    name: Option<String>,
    exit_code: Option<Exit>,
}

fn read_summary(path: &Path) -> Result<Option<Stored>, ReadError> {
    let Some(form) = versioned::<Form>(path, SCHEMA_VERSION)? else { return Ok(None) };
    if form.kind == Kind::Bench && form.name.is_none() {
        return Ok(versioned(path, SCHEMA_VERSION)?.map(Stored::Bench));
    }
    let Some(mut report) = versioned::<Box<ScenarioReport>>(path, SCHEMA_VERSION)? else { return Ok(None) };
    report.exit = form.exit_code.unwrap_or_else(|| exit_of(&report));
    Ok(Some(Stored::Scenario(report)))
}

/// The exit code of a summary from before summaries held theirs.
const fn exit_of(report: &ScenarioReport) -> Exit {
    match report.verdict {
        _ if report.expected => Exit::AsExpected,
        Verdict::Error => Exit::HarnessFailed,
        Verdict::Inconclusive => Exit::Inconclusive,
        Verdict::Clean | Verdict::Violation => Exit::Violation,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::report::WorkReport;
    use crate::report::coverage::CoverageReport;

    /// As version 0.1.0 wrote it before summaries held their version and exit code.
    const BEFORE: &str = r#"{"name":"two-pauses","kind":"explore","subject":"library fs2","verdict":"inconclusive",
        "expected":false,"reasons":["the budget was used up"],"expect":{"violations":[],"also":[]},"operations":4,
        "failed":0,"first_failure":null,"duration_s":0.5,"startup_s":0.0,"processes":2,"kills":0,"handoff_ratio":null,
        "schedules":12,"strategy":"exhaustive","coverage":"exhausted to 2 preemptions","redundant":1,"naive":20.5,
        "faulted":0,"repeated":12,"blocked":3,"steps":99,"guarantee":null,"schedules_per_s":24.0,"interrupted":false,
        "violations":[],"violations_total":0,"checks":[{"name":"lost-update","verdict":"not-applicable","examined":0,
        "violations_total":0,"inconclusive":null}],"reach":{"pairs_seen":0,"pairs_possible":0,"counts":{}},
        "results":"results/x"}"#;

    fn read(text: &str) -> Result<Stored, ReadError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.json");
        fs::write(&path, text).unwrap();
        read_summary(&path).map(Option::unwrap)
    }

    #[test]
    fn an_old_summary_is_read_and_a_new_one_reads_back_as_it_was() {
        let Stored::Scenario(report) = read(BEFORE).unwrap() else { panic!("it is a scenario's") };
        assert_eq!((report.exit, report.work.kind()), (Exit::Inconclusive, Kind::Explore));
        let exploration = report.exploration().unwrap();
        assert_eq!(exploration.coverage, CoverageReport::ExhaustedTo { preemptions: 2 });
        let text = serde_json::to_string(&Summary::new(7, &report)).unwrap();
        for field in ["\"schema_version\":1", "\"seed\":7", "\"exit_code\":102", "\"kind\":\"explore\""] {
            assert_eq!(text.matches(field).count(), 1, "{field} in {text}");
        }
        assert_eq!(read(&text).unwrap(), Stored::Scenario(report));
    }

    #[test]
    fn a_scenario_that_did_not_run_reads_back_without_figures() {
        let Stored::Scenario(report) = read(BEFORE).unwrap() else { panic!("it is a scenario's") };
        for kind in [Kind::Stress, Kind::Explore, Kind::Bench] {
            let report = ScenarioReport { work: WorkReport::nothing(kind), ..(*report).clone() };
            let text = serde_json::to_string(&Summary::new(7, &report)).unwrap();
            assert_eq!(read(&text).unwrap(), Stored::Scenario(Box::new(report)));
        }
    }

    #[test]
    fn a_kind_that_nobody_knows_is_an_error() {
        let error = read(&BEFORE.replace("\"explore\"", "\"dance\"")).unwrap_err();
        assert!(error.why.contains("dance"), "{error}");
    }
}
