//! `flockwork bench`: measures the cells of benchmarks, with evidence on disk before, and a report after.

mod conduct;
mod export;
mod judge;
mod progress;
mod request;

use std::io;

use super::args::{BenchArgs, Format};
use super::failure::Failure;
use super::interrupt::Interrupt;
use super::output::{Output, print_json, print_words, room, say};
use super::run::clear_leftovers;
use crate::process::Zygote;
use crate::report::bench::BenchReport;
use crate::report::exit::Exit;
use crate::results::Results;
use request::BenchRequest;

pub use conduct::{Conducted, Conductor};
pub use export::ExportArgs;
pub use judge::{BenchVerdict, judge};
pub use request::{Consent, check_size, instead};

/// Measures what the arguments ask for, and reports.
pub fn run(
    zygote: io::Result<Zygote>,
    args: BenchArgs,
    command_line: &[String],
    output: Output,
) -> Result<Exit, Failure> {
    let request = BenchRequest::new(args)?;
    let results = Results::open(&request.results_dir)?;
    let mut zygote = zygote.map_err(|error| Failure::no_zygote(&error))?;
    let interrupt = Interrupt::listen()
        .map_err(|error| Failure::new(Exit::HarnessFailed, format!("signals cannot be received: {error}")))?;
    for base in &request.bases {
        clear_leftovers(base, output);
    }
    say(&format!("seed: {}", request.seed));
    let mut exit = Exit::AsExpected;
    let mut measured = Vec::new();
    for scenario in &request.scenarios {
        if interrupt.is_set() {
            exit = exit.and(Exit::Inconclusive);
            break;
        }
        let conducted = Conductor {
            zygote: &mut zygote,
            results: &results,
            interrupt: &interrupt,
            command_line,
            output,
            seed: request.seed,
            share: None,
            bases: &request.bases,
            overrides: &request.overrides,
        }
        .conduct(scenario)?;
        exit = exit.and(conducted.verdict.exit);
        if output.format == Format::Human {
            print_words(&conducted.report(scenario).human_on(output.detail, room()))?;
            conducted.verdict.reasons.iter().for_each(|reason| say(reason));
            say(&format!("results: {}", conducted.folder.display()));
        }
        measured.push(conducted);
    }
    if output.format == Format::Human && request.exports.are_none() {
        return Ok(exit);
    }
    let scenarios = measured.iter().zip(&request.scenarios);
    let results: Vec<(BenchReport<'_>, &BenchVerdict)> =
        scenarios.map(|(conducted, scenario)| (conducted.report(scenario), &conducted.verdict)).collect();
    request.exports.write(&results)?;
    if output.format == Format::Json {
        let documents =
            results.iter().map(|(report, verdict)| report.document(verdict.exit, &verdict.reasons));
        let documents: Vec<_> = documents.collect();
        match documents.as_slice() {
            [only] => print_json(only)?,
            all => print_json(&all)?,
        }
    }
    Ok(exit)
}
