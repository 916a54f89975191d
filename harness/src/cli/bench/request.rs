//! What the arguments of `bench` mean. All that can be wrong is found here, before anything runs.

use std::path::PathBuf;

use super::export::ExportArgs;
use crate::cli::args::BenchArgs;
use crate::cli::failure::Failure;
use crate::cli::request;
use crate::plan::bench::BenchPlan;
use crate::report::exit::Exit;
use crate::scenario::bench::Grid;
use crate::scenario::{Bench, Found, Override, Scenario};
use crate::words::grouped;
use crate::words::units::show_ns;

/// The benchmark that is run where none is named, compiled in so that an installed binary needs no checkout.
const DEFAULT: (&str, &str) =
    ("default", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/bench/default.toml")));

/// Most cells that are measured without the user's consent.
const CELLS_MAX: u64 = 10_000;
/// Most combinations of axes that are looked at, with or without consent.
const COMBINATIONS_MAX: u64 = 200_000;

/// Whether the user wants a benchmark that takes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Only if it is within its budget.
    Budget,
    /// However long it takes.
    Given,
}

/// What to measure, and how.
#[derive(Debug)]
pub struct BenchRequest {
    /// The benchmarks, in the order in which they run; at least one.
    pub scenarios: Vec<Scenario>,
    /// What the command line set.
    pub overrides: Vec<Override>,
    /// Decides the order of the rounds and each worker's choices; printed before anything starts.
    pub seed: u64,
    /// Folder for the evidence of runs.
    pub results_dir: PathBuf,
    /// Where temporary folders are made; at least one.
    pub bases: Vec<PathBuf>,
    /// Where the results are written besides.
    pub exports: ExportArgs,
}

impl BenchRequest {
    /// Makes sense of the arguments.
    pub fn new(args: BenchArgs) -> Result<Self, Failure> {
        let overrides = overrides(&args);
        let refused = [("--junit", args.junit.is_some()), ("--shard", args.shard.is_some())];
        if let Some((flag, _)) = refused.iter().find(|(_, is_typed)| *is_typed) {
            return Err(Failure::new(Exit::Usage, instead(flag)));
        }
        let scenarios = match args.command.as_slice() {
            [] => load(&args.paths, &overrides)?,
            words => request::parse([of_command(words)], &overrides)?,
        };
        let consent = if args.yes { Consent::Given } else { Consent::Budget };
        let bases = match args.root.as_slice() {
            [] => vec![request::base(None)?],
            roots => roots.iter().map(|root| request::base(Some(root))).collect::<Result<_, _>>()?,
        };
        for scenario in &scenarios {
            let bench = scenario.bench().expect("they were chosen by it");
            check_size(&scenario.name, bench, bases.len(), consent)?;
        }
        let seed = args.seed.unwrap_or_else(request::random_seed);
        let (results_dir, exports) = (args.results_dir, args.exports);
        Ok(Self { scenarios, overrides, seed, results_dir, bases, exports })
    }
}

/// The benchmark of a command: one text is a command line, several are its words.
fn of_command(words: &[String]) -> Found {
    let quoted = |text: &String| toml::Value::String(text.clone()).to_string();
    let command = match words {
        [line] => quoted(line),
        words => format!("[{}]", words.iter().map(quoted).collect::<Vec<_>>().join(", ")),
    };
    let text = format!(
        "about = \"A command, with 1 to 64 processes that run it at once.\"\nkind = \"bench\"\n\n[bench]\nsubject = \"command\"\n\
         command = {command}\nprocesses = [1, 2, 4, 8, 16, 32, 64]\nwarm_up = \"200ms\"\nduration = \"500ms\"\nrounds = 5\n"
    );
    Found { argument: "command".into(), text }
}

/// The benchmarks that paths lead to. Folders may hold other scenarios too; a file that is none is a mistake.
fn load(paths: &[PathBuf], overrides: &[Override]) -> Result<Vec<Scenario>, Failure> {
    let scenarios = if paths.is_empty() {
        let found = Found { argument: DEFAULT.0.into(), text: DEFAULT.1.into() };
        request::parse([found], overrides)?
    } else {
        request::load(paths, overrides)?
    };
    let count = scenarios.len();
    let (benches, others): (Vec<_>, Vec<_>) =
        scenarios.into_iter().partition(|scenario| scenario.bench().is_some());
    match (benches.is_empty(), others.first()) {
        (false, _) => Ok(benches),
        (true, Some(other)) if count == 1 => Err(Failure::new(
            Exit::Usage,
            format!(
                "{}: kind = \"{}\" is not a benchmark; `flockwork run` runs it",
                other.name,
                other.kind().as_str()
            ),
        )),
        (true, _) => Err(Failure::new(
            Exit::NothingToRun,
            "nothing to measure: no scenario with kind = \"bench\" there",
        )),
    }
}

/// What to say of a flag that is for verdicts rather than figures.
pub fn instead(flag: &str) -> String {
    format!(
        "{flag}: not a flag of `flockwork bench`; `flockwork run FILE {flag} …` measures the same scenario and reports its thresholds as tests"
    )
}

/// What the flags set, in an order that does not depend on how they were typed.
fn overrides(args: &BenchArgs) -> Vec<Override> {
    let listed = |values: &String| if values.contains(',') { format!("[{values}]") } else { values.clone() };
    let flags = [
        ("--duration", args.duration.clone()),
        ("--processes", args.processes.as_ref().map(listed)),
        ("--rounds", args.rounds.clone()),
    ];
    let flags = flags.into_iter().filter_map(|(flag, value)| Some(Override { flag, value: value? }));
    let sets = args.set.iter().map(|set| Override { flag: "--set", value: set.clone() });
    flags.chain(sets).collect()
}

/// Refuses what would take longer than anybody expects, unless they say that they do.
pub fn check_size(name: &str, bench: &Bench, roots: usize, consent: Consent) -> Result<(), Failure> {
    let combinations = Grid::combinations(&bench.axes, roots);
    if combinations > COMBINATIONS_MAX {
        let round_ns = bench.warm_up_ns + bench.duration_ns;
        let about_ns = combinations.saturating_mul(u64::from(bench.rounds)).saturating_mul(round_ns);
        let (combinations, most) = (grouped(combinations), grouped(COMBINATIONS_MAX));
        let about = lasting(about_ns);
        return Err(Failure::new(
            Exit::Usage,
            format!(
                "{name}: the axes have {combinations} combinations, which would take up to {about}; the most is \
                 {most}: give fewer values, or measure in several benchmarks"
            ),
        ));
    }
    let names: Vec<String> = (0..roots).map(|root| root.to_string()).collect();
    let plan = BenchPlan {
        cells: Grid::of(&bench.axes, &names.iter().map(String::as_str).collect::<Vec<_>>()).cells,
        roots: Vec::new(),
        seed: 0,
        warm_up_ns: bench.warm_up_ns,
        duration_ns: bench.duration_ns,
        rounds: bench.rounds,
    };
    let (cells, about_ns) = (plan.cells.len() as u64, plan.estimate_ns());
    if consent == Consent::Given || cells <= CELLS_MAX && about_ns <= bench.budget_ns {
        return Ok(());
    }
    let (cells, about, budget) = (grouped(cells), lasting(about_ns), lasting(bench.budget_ns));
    Err(Failure::new(
        Exit::Usage,
        format!(
            "{name}: {cells} cells with {} rounds each would take about {about}, and the budget is {budget}; \
             add --yes to measure anyway, give fewer values, or set bench.budget",
            bench.rounds
        ),
    ))
}

/// A long time as a person says it.
pub fn lasting(ns: u64) -> String {
    const HOUR_NS: u64 = 3_600_000_000_000;
    match ns / HOUR_NS {
        0 => show_ns(ns),
        hours @ 1..48 => format!("{hours}h {:02}m", ns % HOUR_NS / 60_000_000_000),
        hours => format!("{} days", hours / 24),
    }
}
