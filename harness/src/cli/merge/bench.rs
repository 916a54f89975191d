//! Benchmarks that several runs measured: the rounds of one cell are put together, and thresholds judge the whole.

use crate::cli::bench::{BenchVerdict, judge};
use crate::cli::failure::Failure;
use crate::measure::{BenchRecord, Cell, read};
use crate::report::bench::BenchReport;
use crate::report::exit::Exit;
use crate::results::RunRecord;
use crate::scenario::bench::Grid;
use crate::scenario::{Found, Override, Scenario};

use super::gather::Shared;

/// A benchmark put together.
#[derive(Debug)]
pub struct United {
    /// What was measured, by all.
    pub record: BenchRecord,
    /// The benchmark that all runs are rounds of.
    pub scenario: Scenario,
    /// What it comes to.
    pub verdict: BenchVerdict,
}

/// Puts the records of one scenario together, in the order given.
pub fn unite(runs: &[&Shared]) -> Result<United, Failure> {
    let usage = |why: String| Failure::new(Exit::Usage, why);
    let mut united: Option<BenchRecord> = None;
    for run in runs {
        let record = read::read(&run.stored.path).map_err(|error| usage(error.to_string()))?;
        united = Some(match united {
            None => record,
            Some(known) if known.machine != record.machine => {
                return Err(usage(format!(
                    "{}: measured on another machine ({}, {} processors) than the others ({}, {}): times from two machines do not make a benchmark",
                    run.stored.path.display(),
                    record.machine.kernel,
                    record.machine.processors,
                    known.machine.kernel,
                    known.machine.processors
                )));
            }
            Some(known) => together(known, record),
        });
    }
    let record = united.expect("there is at least one run");
    let scenario = scenario(&runs[0].stored.run).map_err(usage)?;
    let bench = scenario.bench().expect("its record is a benchmark's");
    let names: Vec<&str> = record.filesystems.iter().map(|named| named.root.as_str()).collect();
    let plans = Grid::of(&bench.axes, &names).cells;
    let verdict = judge(&BenchReport::of(&record, &bench.thresholds), &plans, !record.complete);
    Ok(United { record, scenario, verdict })
}

fn together(mut known: BenchRecord, other: BenchRecord) -> BenchRecord {
    known.complete &= other.complete;
    for cell in other.cells {
        match known.cells.iter_mut().find(|it| it.point == cell.point) {
            Some(it) => add(it, cell),
            None => known.cells.push(cell),
        }
    }
    known
}

fn add(known: &mut Cell, other: Cell) {
    // Rounds of another run come after those that are there.
    let first = known.rounds.iter().map(|round| round.order + 1).max().unwrap_or(0);
    known.rounds.extend(other.rounds.into_iter().map(|mut round| {
        round.order += first;
        round
    }));
    known.invalid = known.invalid.take().or(other.invalid);
    let new = other.warnings.into_iter().filter(|warning| !known.warnings.contains(warning));
    let new: Vec<String> = new.collect();
    known.warnings.extend(new);
}

/// The scenario that a run was of, with what the command line set.
fn scenario(run: &RunRecord) -> Result<Scenario, String> {
    let found =
        Found { argument: format!("{}.toml", run.scenario.name).into(), text: run.scenario.text.clone() };
    let overrides: Vec<Override> =
        run.scenario.overrides.iter().map(|value| Override { flag: "--set", value: value.clone() }).collect();
    Scenario::parse(&found, &overrides)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"))
}
