//! Hands a run's report over in the format that was asked for, and in those that are written besides.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::output::{Ci, Format, Output, print, print_data, print_json, print_words, room, say};
use crate::report::exit::Exit;
use crate::report::github::{self, SUMMARY_BYTES_MAX};
use crate::report::{RunReport, human, junit};

/// GitHub's runner names the file that a step's summary is appended to.
const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Prints the report, and writes JUnit to a file where one is named. The failure keeps the gravest exit code.
pub fn deliver(
    report: &RunReport,
    output: Output,
    junit_file: Option<&Path>,
    exit: Exit,
) -> Result<(), Failure> {
    let printed = match (output.ci, output.format) {
        (Some(Ci::Junit), _) => print_data(&junit::show(report)),
        (Some(Ci::Github), _) => github(report, output),
        (None, Format::Human) => print_words(&human::run_on(report, output.detail, room())),
        (None, Format::Json) => print_json(report),
    };
    let written = junit_file.map_or(Ok(()), |path| write(path, &junit::show(report)));
    printed.and(written).map_err(|failure| Failure { exit: exit.and(failure.exit), ..failure })
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    crate::results::write_whole(path, text.as_bytes()).map_err(|error| {
        Failure::new(Exit::HarnessFailed, format!("{} cannot be written: {error}", path.display()))
    })
}

/// The log as people read it, the annotations, and the step's summary where the runner takes one.
fn github(report: &RunReport, output: Output) -> Result<(), Failure> {
    let told = github::harmless(&human::run(report, output.detail));
    print(&format!("{told}{}", github::annotations(report)))?;
    let Some(path) = std::env::var_os(STEP_SUMMARY).map(PathBuf::from) else { return Ok(()) };
    // Earlier commands of the step have written there too, and GitHub refuses what is too large as a whole.
    let taken = path.metadata().map_or(0, |about| usize::try_from(about.len()).unwrap_or(usize::MAX));
    let text = github::summary(report, SUMMARY_BYTES_MAX.saturating_sub(taken));
    let append = || OpenOptions::new().create(true).append(true).open(&path)?.write_all(text.as_bytes());
    if let Err(error) = append() {
        say(&format!("{STEP_SUMMARY} {}: the summary cannot be written: {error}", path.display()));
    }
    Ok(())
}
