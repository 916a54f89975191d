//! `flockwork compare`: two benchmarks, cell by cell. No process is started.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::args::Format;
use super::failure::Failure;
use super::output::{Output, print_json, print_words, say};
use crate::measure::compare::{self, Comparison};
use crate::measure::threshold::Outcome;
use crate::measure::{BenchRecord, Metric, read};
use crate::report::bench::comparison;
use crate::report::exit::Exit;
use crate::words::nearest;

/// Version of the JSON document.
const SCHEMA_VERSION: u32 = 1;

/// What `compare` takes.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The old benchmark: its bench.json, or its results folder
    #[arg(value_name = "BASE")]
    pub base: PathBuf,
    /// The new one
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// Exit with 103 if a cell is certainly worse by more than this, such as 10%, and with 102 if one may be
    #[arg(long, value_name = "PERCENT")]
    pub threshold: Option<String>,
    /// What to compare, such as throughput, wait.p99 or fairness.jain; repeatable [default: throughput, whole.p99]
    #[arg(long, value_name = "METRIC")]
    pub metric: Vec<String>,
    /// Compare even if the machines differ
    #[arg(long, action = clap::ArgAction::SetTrue)]
    pub force: bool,
}

#[derive(Serialize)]
struct CompareReport<'a> {
    schema_version: u32,
    base: String,
    new: String,
    threshold: Option<f64>,
    outcome: Option<Outcome>,
    exit_code: u8,
    machine_differences: &'a [String],
    #[serde(flatten)]
    comparison: &'a Comparison,
}

/// Compares the two.
pub fn run(args: &CompareArgs, output: Output) -> Result<Exit, Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, message);
    let threshold = args.threshold.as_deref().map(part).transpose().map_err(usage)?;
    let metrics = metrics(&args.metric).map_err(usage)?;
    let read = |path| read::read(path).map_err(|error| usage(error.to_string()));
    let (base, new) = (read(&args.base)?, read(&args.new)?);
    let differences = compare::differences(&base, &new);
    if !differences.is_empty() && !args.force {
        return Err(usage(format!(
            "the machines differ, so differences between the records say nothing about the code:\n  {}\n--force compares them anyway",
            differences.join("\n  ")
        )));
    }
    let mut comparison = compare::compare(&base, &new, &metrics, threshold);
    let other = differences.iter().map(|words| format!("the machines differ in {words}"));
    comparison.notes.extend(other);
    let exit = exit(&comparison, threshold);
    match output.format {
        Format::Human => {
            print_words(&comparison::human(&comparison, (&base, &new), threshold))?;
        }
        Format::Json => print_json(&CompareReport {
            schema_version: SCHEMA_VERSION,
            base: args.base.display().to_string(),
            new: args.new.display().to_string(),
            threshold,
            outcome: threshold.map(|_| comparison.outcome()),
            exit_code: exit.code(),
            machine_differences: &differences,
            comparison: &comparison,
        })?,
    }
    if comparison.cells.is_empty() {
        say(&nothing(&base, &new));
    }
    Ok(exit)
}

fn exit(comparison: &Comparison, threshold: Option<f64>) -> Exit {
    match comparison.outcome() {
        _ if comparison.cells.is_empty() => Exit::NothingToRun,
        _ if threshold.is_none() => Exit::AsExpected,
        Outcome::Exceeded => Exit::ThresholdExceeded,
        Outcome::Inconclusive => Exit::Inconclusive,
        Outcome::Met => Exit::AsExpected,
    }
}

fn nothing(base: &BenchRecord, new: &BenchRecord) -> String {
    format!(
        "flockwork: the two records have no cell in common: {} of {} and {} of {}",
        base.cells.len(),
        base.scenario,
        new.cells.len(),
        new.scenario
    )
}

/// `10%` as 0.1.
fn part(text: &str) -> Result<f64, String> {
    let number = text.trim().strip_suffix('%').and_then(|digits| digits.trim().parse::<f64>().ok());
    number.filter(|percent| (0.0..100.0).contains(percent)).map(|percent| percent / 100.0).ok_or_else(|| {
        format!("--threshold {text}: expected a percentage from 0% to less than 100%, such as 10%")
    })
}

fn metrics(names: &[String]) -> Result<Vec<Metric>, String> {
    if names.is_empty() {
        return Ok(compare::DEFAULT.to_vec());
    }
    let metric = |name: &String| {
        Metric::of_name(name).ok_or_else(|| {
            let known: Vec<String> = Metric::all().map(|metric| metric.to_string()).collect();
            let help = nearest(name, known.iter().map(String::as_str)).map_or_else(
                || format!("known are {}", known.join(", ")),
                |near| format!("the nearest is {near:?}"),
            );
            format!("--metric {name}: unknown metric; {help}")
        })
    };
    names.iter().map(metric).collect()
}
