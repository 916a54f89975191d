//! One benchmark from its folders to its evidence: for `flockwork bench`, and for `flockwork run` where it meets one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::judge::{BenchVerdict, judge};
use super::progress::Bar;
use super::request::lasting;
use crate::campaign::Share;
use crate::cli::failure::Failure;
use crate::cli::interrupt::Interrupt;
use crate::cli::output::{Output, say};
use crate::cli::stand::{exit_of, words_of};
use crate::conduct::command::ready_bench;
use crate::engine::bench::{self, BenchRun};
use crate::measure::machine::Filesystem;
use crate::measure::{BenchRecord, NamedFilesystem, SCHEMA_VERSION};
use crate::plan::bench::BenchPlan;
use crate::process::Zygote;
use crate::report::bench::{BenchReport, Scene};
use crate::report::exit::Exit;
use crate::report::stored::BenchSummary;
use crate::results::{Results, RunFolder, ScenarioRecord};
use crate::scenario::bench::Grid;
use crate::scenario::{Kind, Override, Scenario};
use crate::scratch::Scratch;
use crate::words::plural;

/// All that is needed to conduct a benchmark.
#[derive(Debug)]
pub struct Conductor<'c> {
    /// Whoever forks the benchmark's processes.
    pub zygote: &'c mut Zygote,
    /// The folder in which the run's folder is made.
    pub results: &'c Results,
    /// Whether the user wants to stop.
    pub interrupt: &'c Interrupt,
    /// The command line as it was typed, for the record.
    pub command_line: &'c [String],
    /// In which format, and how much, is told.
    pub output: Output,
    /// Determines the order of the rounds and each worker's choices.
    pub seed: u64,
    /// What it is of a campaign, where it is of one.
    pub share: Option<Share>,
    /// Where temporary folders are made: each is a value on the axis `root`.
    pub bases: &'c [PathBuf],
    /// What the command line set.
    pub overrides: &'c [Override],
}

/// A benchmark that was conducted.
#[derive(Debug)]
pub struct Conducted {
    /// All rounds of all cells, with the machine.
    pub record: BenchRecord,
    /// What it comes to.
    pub verdict: BenchVerdict,
    /// Where the evidence lies.
    pub folder: PathBuf,
}

impl Conducted {
    /// What was measured, as reports show it; the thresholds are the scenario's.
    #[must_use]
    pub fn report(&self, scenario: &Scenario) -> BenchReport<'_> {
        let thresholds = scenario.bench().map_or(&[] as &[_], |bench| &bench.thresholds);
        BenchReport::of(&self.record, thresholds)
    }
}

impl Conductor<'_> {
    /// Measures a benchmark, and leaves its evidence.
    pub fn conduct(self, scenario: &Scenario) -> Result<Conducted, Failure> {
        let bench = scenario.bench().expect("only benchmarks are conducted");
        let scratches = self.bases.iter().map(|base| scratch(base)).collect::<Result<Vec<_>, _>>()?;
        let filesystems = filesystems(self.bases)?;
        let roots: Vec<(String, PathBuf)> = filesystems
            .iter()
            .zip(&scratches)
            .map(|(filesystem, scratch)| (filesystem.root.clone(), scratch.root()))
            .collect();
        let mut plan = bench.plan(&roots, self.seed);
        ready_bench(&mut plan).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
        let names: Vec<&str> = roots.iter().map(|(name, _)| name.as_str()).collect();
        let left_out = Grid::of(&bench.axes, &names).left_out;
        self.announce(scenario, &plan, left_out);
        let overrides = self.overrides.iter().filter_map(|set| set.assignment(Kind::Bench).ok()).collect();
        let scenario_record = ScenarioRecord::new(&scenario.name, &scenario.text, overrides);
        let folder = self.results.start(
            self.command_line,
            self.seed,
            scenario_record,
            &scratches[0].root(),
            self.share.clone(),
        )?;
        let bar =
            Bar::start(&scenario.name, plan.cells.len() as u64 * u64::from(plan.rounds), self.output.talk);
        let run = bench::run(self.zygote, &plan, self.interrupt.flag(), &bar);
        bar.finish();
        let run = run.map_err(|error| {
            Failure::new(exit_of(&error), format!("{}: {}", scenario.name, words_of(&error)))
        })?;
        let conducted = self.evidence(scenario, run, (&plan, left_out, filesystems), folder)?;
        for scratch in scratches {
            if let Err(error) = scratch.remove() {
                say(&format!("the temporary folder of {} cannot be removed: {error}", scenario.name));
            }
        }
        Ok(conducted)
    }

    /// Says how long it will take, before it starts.
    fn announce(&self, scenario: &Scenario, plan: &BenchPlan, left_out: u64) {
        let cells = plural(plan.cells.len() as u64, "cell");
        let rounds = plural(u64::from(plan.rounds), "round");
        let about = lasting(plan.estimate_ns());
        let left_out = match left_out {
            0 => String::new(),
            count => format!(
                "; left out {} of the axes that mean nothing, or the same as another",
                plural(count, "combination")
            ),
        };
        self.output.remark(&format!("{}: {cells}, {rounds} each, about {about}{left_out}", scenario.name));
    }

    fn evidence(
        &self,
        scenario: &Scenario,
        run: BenchRun,
        (plan, left_out, filesystems): (&BenchPlan, u64, Vec<NamedFilesystem>),
        folder: RunFolder,
    ) -> Result<Conducted, Failure> {
        let about = folder.record();
        let record = BenchRecord {
            schema_version: SCHEMA_VERSION,
            scenario: scenario.name.clone(),
            scenario_sha256: about.scenario.sha256.clone(),
            argv: about.argv.clone(),
            seed: self.seed,
            version: about.version.clone(),
            machine: about.machine.clone(),
            filesystems,
            started_at: about.started_at.clone(),
            complete: run.complete,
            left_out,
            cells: run.cells,
        };
        let bench = scenario.bench().expect("only benchmarks are conducted");
        let report = BenchReport::of(&record, &bench.thresholds);
        let verdict = judge(&report, &plan.cells, self.interrupt.is_set());
        let page = report.html(&Scene { reproduce: None, scenario: Some(scenario.text.clone()) });
        let path = folder.path().to_owned();
        let failed = |error: io::Error| {
            Failure::new(Exit::HarnessFailed, format!("cannot write to {}: {error}", path.display()))
        };
        folder.write_json("bench.json", &record).map_err(failed)?;
        fs::write(path.join("report.html"), page).map_err(failed)?;
        let summary = BenchSummary {
            schema_version: crate::results::SCHEMA_VERSION,
            kind: Kind::Bench.as_str().into(),
            scenario: scenario.name.clone(),
            seed: self.seed,
            complete: record.complete,
            cells: record.cells.len(),
            invalid: record.cells.iter().filter(|cell| cell.invalid.is_some()).count(),
            left_out,
            verdict: verdict.verdict,
            exit_code: verdict.exit,
            reasons: verdict.reasons.clone(),
        };
        folder.finish(&summary).map_err(failed)?;
        Ok(Conducted { record, verdict, folder: path })
    }
}

fn scratch(base: &Path) -> Result<Scratch, Failure> {
    Scratch::create(base).map_err(|error| {
        let why =
            format!("no folder can be made below {}: {error}; give another with --root", base.display());
        Failure::new(Exit::Unsupported, why)
    })
}

/// The filesystems, each named by its type where that tells them apart, else by its path.
fn filesystems(bases: &[PathBuf]) -> Result<Vec<NamedFilesystem>, Failure> {
    let observed =
        bases.iter().map(|base| Filesystem::of(base)).collect::<io::Result<Vec<_>>>().map_err(|error| {
            Failure::new(Exit::HarnessFailed, format!("the filesystems cannot be examined: {error}"))
        })?;
    let is_unique =
        |filesystem: &Filesystem| observed.iter().filter(|other| other.kind == filesystem.kind).count() == 1;
    let name = |filesystem: &Filesystem| {
        if is_unique(filesystem) { filesystem.kind.clone() } else { filesystem.path.display().to_string() }
    };
    Ok(observed
        .iter()
        .map(|filesystem| NamedFilesystem { root: name(filesystem), filesystem: filesystem.clone() })
        .collect())
}
