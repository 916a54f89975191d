//! Publishes measured locks: from the folders of runs to results/published/, and from there to the tables of docs/locks.md.
//!
//! `just locks` runs it. `publish RUN…` stores each record's numbers as CSV, the charts that the document shows, and the
//! machine; `document` fills in the tables that the document asks for in its comments.

mod document;
mod publish;

use std::path::Path;
use std::process::ExitCode;

/// Where published results lie.
const PUBLISHED: &str = "results/published";
/// The document.
const DOCUMENT: &str = "docs/locks.md";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.split_first() {
        Some((command, runs)) if command == "publish" => publish::publish(runs, Path::new(PUBLISHED)),
        Some((command, [])) if command == "document" => {
            document::fill(Path::new(DOCUMENT), Path::new(PUBLISHED))
        }
        _ => Err("expected publish RUN…, or document".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("locks: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What ends it.
type Error = Box<dyn std::error::Error>;
