//! `flockwork merge`: unites what several machines, or several seeds, came to, as if one machine had done it all.
//!
//! It reads nothing but what the runs left, starts no process, and says what is missing. Its result does not depend on
//! the order of the runs, nor on how often one of them is named.

mod bench;
mod gather;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::args::MergeArgs;
use super::deliver::deliver;
use super::failure::Failure;
use super::findings::lead_to;
use super::output::{Output, say};
use crate::campaign::{Campaign, Unit};
use crate::engine::stress::copy_tree;
use crate::report::bench::Scene;
use crate::report::exit::Exit;
use crate::report::html;
use crate::report::stored::Stored;
use crate::report::unite::{Piece, unite};
use crate::report::verdict::{self, Verdict};
use crate::report::{RunReport, SCHEMA_VERSION, ScenarioReport, WorkReport};
use crate::results::{Results, write_whole};
use crate::words::plural;
use gather::{Gathered, Shared};

pub use gather::gather;

/// What a merge leaves besides `report.html`: the report, and where it comes from.
pub const MERGED_FILE: &str = "merge.json";

/// More missing shares than these are counted, not named.
const MISSING_MAX: usize = 20;

/// What `merge.json` says: what several runs come to together, and which of them are missing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Merged {
    /// Version of this form.
    pub schema_version: u32,
    /// The folders of the runs.
    pub runs: Vec<PathBuf>,
    /// What is missing, in words.
    pub missing: Vec<String>,
    /// What all of it came to.
    pub report: RunReport,
}

/// Merges the runs.
pub fn run(args: &MergeArgs, command_line: &[String], output: Output) -> Result<Exit, Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure::new(Exit::Usage, error.to_string());
    let runs = gather(&args.runs).map_err(|error| usage(&error))?;
    if runs.is_empty() {
        return Err(Failure::new(Exit::NothingToRun, "nothing to merge: no run (run.json) in these folders"));
    }
    let gathered = gather::sort(runs).map_err(|error| usage(&error))?;
    remark_machines(&gathered, output);
    let missing = missing(&gathered);
    for words in &missing {
        say(&format!("missing: {words}"));
    }
    let results = Results::open(&args.results_dir)?;
    let seed = gathered.campaigns().iter().map(|campaign| campaign.seeds.first).min().unwrap_or(0);
    let failed = |error: io::Error| {
        Failure::new(Exit::HarnessFailed, format!("{}: {error}", args.results_dir.display()))
    };
    let folder = results.fresh("merge", seed).map_err(failed)?;
    let mut report = united(&gathered, &folder, seed)?;
    if !missing.is_empty() {
        let exit = Exit::try_from(report.exit_code).unwrap_or(Exit::HarnessFailed).and(Exit::Inconclusive);
        report.exit_code = exit.code();
        report.verdict = verdict::of_exit(exit);
        report.not_run = absent(&gathered, &report);
    }
    let exit = Exit::try_from(report.exit_code).unwrap_or(Exit::HarnessFailed);
    keep_findings(&mut report, &folder).map_err(failed)?;
    let merged = Merged {
        schema_version: SCHEMA_VERSION,
        runs: gathered.complete.iter().map(|shared| shared.stored.path.clone()).collect(),
        missing,
        report,
    };
    let mut text = serde_json::to_vec_pretty(&merged).map_err(|error| failed(error.into()))?;
    text.push(b'\n');
    write_whole(&folder.join(MERGED_FILE), &text).map_err(failed)?;
    let page = html::merged::show(&merged.report, &merged.missing, command_line);
    write_whole(&folder.join("report.html"), page.as_bytes()).map_err(failed)?;
    output.remark(&format!("merged {}: {}", plural(merged.runs.len() as u64, "run"), folder.display()));
    deliver(&merged.report, output, args.junit.as_deref(), exit)?;
    Ok(exit)
}

impl Gathered {
    /// The campaigns, each once.
    fn campaigns(&self) -> BTreeSet<&Campaign> {
        self.complete.iter().chain(&self.incomplete).map(|shared| &shared.share.campaign).collect()
    }
}

/// Another kernel or architecture explains another result, so it is told.
fn remark_machines(gathered: &Gathered, output: Output) {
    let machines: BTreeSet<String> = gathered
        .complete
        .iter()
        .map(|shared| {
            let machine = &shared.stored.run.machine;
            format!("{} on {}", machine.kernel, machine.architecture)
        })
        .collect();
    if machines.len() > 1 {
        let machines: Vec<String> = machines.into_iter().collect();
        output.remark(&format!("the runs are of different machines: {}", machines.join("; ")));
    }
}

/// What the campaigns have and no run did, in words.
fn missing(gathered: &Gathered) -> Vec<String> {
    let mut told = Vec::new();
    for campaign in gathered.campaigns() {
        let own = |shared: &&Shared| shared.share.campaign == *campaign;
        let there: Vec<Unit> = gathered.complete.iter().filter(own).map(|shared| shared.share.unit).collect();
        let all = gathered.complete.iter().chain(&gathered.incomplete).filter(own);
        let of = all.map(|shared| shared.share.shard.of()).max().unwrap_or(1);
        let mut by_shard = BTreeMap::<u32, Vec<String>>::new();
        for unit in campaign.missing(&there) {
            let name = &campaign.scenarios[unit.scenario].name;
            for shard in campaign.shards_of(unit, of) {
                by_shard.entry(shard).or_default().push(format!("{name} with seed {}", unit.seed));
            }
        }
        told.extend(by_shard.into_iter().map(|(shard, units)| {
            let first = &units[0];
            let more = match units.len() - 1 {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            format!("shard {shard}/{of} ({first}{more})")
        }));
    }
    let more = told.len().saturating_sub(MISSING_MAX);
    told.truncate(MISSING_MAX);
    if more > 0 {
        told.push(format!("and {} more", plural(more as u64, "shard")));
    }
    told
}

/// The scenarios of which no run is there at all.
fn absent(gathered: &Gathered, report: &RunReport) -> Vec<String> {
    let known: BTreeSet<&str> = report.scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
    let campaigns = gathered.campaigns();
    let entries = campaigns.iter().next().map_or(&[] as &[_], |campaign| &campaign.scenarios);
    let absent = entries.iter().filter(|entry| !known.contains(entry.name.as_str()));
    absent.map(|entry| entry.name.clone()).collect()
}

fn united(gathered: &Gathered, folder: &Path, seed: u64) -> Result<RunReport, Failure> {
    let mut by_scenario = BTreeMap::<usize, Vec<&Shared>>::new();
    for shared in &gathered.complete {
        by_scenario.entry(shared.share.unit.scenario).or_default().push(shared);
    }
    let mut scenarios = Vec::new();
    let mut exit = Exit::AsExpected;
    for runs in by_scenario.values_mut() {
        runs.sort_by_key(|shared| shared.share.unit);
        if let Some(report) = scenario(runs, folder)? {
            exit = exit.and(report.exit);
            scenarios.push(report);
        }
    }
    Ok(RunReport {
        schema_version: SCHEMA_VERSION,
        seed,
        verdict: verdict::of_exit(exit),
        exit_code: exit.code(),
        interrupted: scenarios.iter().any(|scenario| scenario.interrupted),
        scenarios,
        not_run: Vec::new(),
    })
}

fn scenario(runs: &[&Shared], folder: &Path) -> Result<Option<ScenarioReport>, Failure> {
    let mut reports = Vec::new();
    let mut measured = Vec::new();
    for run in runs {
        match &run.stored.summary {
            Some(Stored::Scenario(report)) => reports.push((run.share.unit, here(report, &run.stored.path))),
            Some(Stored::Bench(_)) => measured.push(*run),
            None => {}
        }
    }
    let pieces: Vec<Piece<'_>> = reports.iter().map(|(unit, report)| Piece { unit: *unit, report }).collect();
    if measured.is_empty() {
        return Ok(unite(&pieces));
    }
    benchmark(&measured, folder).map(Some)
}

/// A report whose findings lie where the run's folder lies now: it was written elsewhere, maybe on another machine.
fn here(report: &ScenarioReport, folder: &Path) -> ScenarioReport {
    let mut report = report.clone();
    for violation in &mut report.violations {
        let own = folder.join("findings").join(&violation.signature);
        if violation.finding.is_some() && own.is_dir() {
            lead_to(violation, own);
        }
    }
    report.results = Some(folder.to_owned());
    report
}

/// A benchmark's record and page go into a folder of their own, so that `report` and `compare` take it.
fn benchmark(runs: &[&Shared], folder: &Path) -> Result<ScenarioReport, Failure> {
    let united = bench::unite(runs)?;
    let (record, scenario) = (&united.record, &united.scenario);
    let own = folder.join(&runs[0].stored.run.scenario.name);
    let failed = |error: io::Error| Failure::new(Exit::HarnessFailed, format!("{}: {error}", own.display()));
    fs::create_dir_all(&own).map_err(failed)?;
    let text = serde_json::to_vec(record).map_err(|error| failed(error.into()))?;
    write_whole(&own.join(crate::measure::read::FILE_NAME), &text).map_err(failed)?;
    let thresholds = scenario.bench().map_or(&[] as &[_], |bench| &bench.thresholds);
    let shown = crate::report::bench::BenchReport::of(record, thresholds);
    let page = shown.html(&Scene { reproduce: None, scenario: Some(scenario.text.clone()) });
    write_whole(&own.join("report.html"), page.as_bytes()).map_err(failed)?;
    let rounds = || record.cells.iter().flat_map(|cell| &cell.rounds);
    let verdict = &united.verdict;
    Ok(ScenarioReport {
        name: scenario.name.clone(),
        work: WorkReport::Bench,
        subject: "benchmark".into(),
        verdict: verdict.verdict,
        expected: verdict.verdict == Verdict::Clean,
        reasons: verdict.reasons.clone(),
        expect: scenario.expect.clone(),
        operations: rounds().map(crate::measure::Round::acquisitions).sum(),
        failed: 0,
        first_failure: None,
        duration_s: rounds().map(|round| round.duration_ns).sum::<u64>() as f64 / 1e9,
        startup_s: None,
        processes: scenario.processes(),
        kills: None,
        handoff_ratio: None,
        schedules: None,
        interrupted: !record.complete,
        ended: crate::engine::Ended::Completed,
        shortfalls: Vec::new(),
        violations: Vec::new(),
        violations_total: 0,
        checks: Vec::new(),
        reach: None,
        rounds: None,
        results: Some(own),
        exit: verdict.exit,
    })
}

/// Copies each finding once, so that the merged report stands by itself, and lets the report lead there.
fn keep_findings(report: &mut RunReport, folder: &Path) -> io::Result<()> {
    let findings = folder.join("findings");
    for scenario in &mut report.scenarios {
        for violation in &mut scenario.violations {
            let Some(from) = violation.finding.clone() else { continue };
            let own = findings.join(&violation.signature);
            if !own.exists() && from.is_dir() {
                fs::create_dir_all(&findings)?;
                copy_tree(&from, &own)?;
            }
            if own.exists() {
                lead_to(violation, own);
            }
        }
    }
    Ok(())
}
