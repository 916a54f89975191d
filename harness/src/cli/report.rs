//! `flockwork report`: a run's report.html, written from what the run left. No process is started.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::args::Format;
use super::failure::Failure;
use super::merge::{MERGED_FILE, Merged};
use super::output::{Output, print, print_json};
use super::page;
use crate::measure::read::{self, ReadError};
use crate::measure::threshold::Threshold;
use crate::report::bench::{BenchReport, Scene};
use crate::report::exit::Exit;
use crate::report::html;
use crate::results::read::versioned;
use crate::results::{RunRecord, write_whole};

/// What `report` takes.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A run's folder, such as results/latest, or a benchmark's bench.json
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Where to write the page [default: report.html in the run's folder]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write a benchmark's charts as SVG files into this folder as well
    #[arg(long, value_name = "D")]
    pub charts: Option<PathBuf>,
}

#[derive(Serialize)]
struct Written {
    schema_version: u32,
    report: PathBuf,
    charts: Vec<PathBuf>,
}

/// Writes the page.
pub fn run(args: &ReportArgs, output: Output) -> Result<Exit, Failure> {
    let folder = if args.run.is_dir() { args.run.clone() } else { parent(&args.run) };
    let (page, charts) = match read::read(&args.run) {
        Ok(record) => {
            let run: Option<RunRecord> = json(&folder.join("run.json"))?;
            let scenario = run.filter(|run| run.scenario.sha256 == record.scenario_sha256);
            let scene = Scene { reproduce: None, scenario: scenario.map(|run| run.scenario.text) };
            let report = BenchReport::of(&record, &[] as &[Threshold]);
            let charts = if args.charts.is_some() { report.charts() } else { Vec::new() };
            (report.html(&scene), charts)
        }
        Err(ReadError::NoRecord(_)) if folder.join(MERGED_FILE).exists() => (merged(&folder)?, Vec::new()),
        Err(ReadError::NoRecord(_)) if folder.join("run.json").exists() => (of_run(&folder)?, Vec::new()),
        Err(error) => return Err(Failure::new(Exit::Usage, error.to_string())),
    };
    let path = args.output.clone().unwrap_or_else(|| folder.join("report.html"));
    write(&path, &page)?;
    let mut written = Vec::new();
    if let Some(into) = &args.charts {
        fs::create_dir_all(into).map_err(|error| failed(into, &error))?;
        for chart in &charts {
            let path = into.join(format!("{}.svg", chart.name));
            write(&path, &chart.svg)?;
            written.push(path);
        }
    }
    match output.format {
        Format::Human => print(&format!("{}\n", path.display()))?,
        Format::Json => print_json(&Written {
            schema_version: crate::report::SCHEMA_VERSION,
            report: path,
            charts: written,
        })?,
    }
    Ok(Exit::AsExpected)
}

/// The page of what `flockwork merge` united.
fn merged(folder: &Path) -> Result<String, Failure> {
    let path = folder.join(MERGED_FILE);
    let merged: Option<Merged> = versioned(&path, crate::report::SCHEMA_VERSION)
        .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let gone = || Failure::new(Exit::Usage, format!("{}: no such file", path.display()));
    let merged = merged.ok_or_else(gone)?;
    Ok(html::merged::show(&merged.report, &merged.missing, &[]))
}

fn of_run(folder: &Path) -> Result<String, Failure> {
    page::of_run(folder).map_err(|error| Failure::new(Exit::Usage, error))
}

/// `None` where there is no such file.
fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Failure> {
    let bytes = match fs::File::open(path).and_then(read::bounded) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::new(Exit::Usage, format!("{}: {error}", path.display()))),
    };
    let read = serde_json::from_slice(&bytes);
    read.map(Some).map_err(|error| Failure::new(Exit::Usage, format!("{}: {error}", path.display())))
}

fn parent(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    write_whole(path, text.as_bytes()).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::HarnessFailed, format!("{} cannot be written: {error}", path.display()))
}
