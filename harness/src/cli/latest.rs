//! The folder of a run where something in it was meant: what to name instead.

use std::fs;
use std::path::{Path, PathBuf};

use crate::report::reproduce::quoted;

/// Files that only the folder of a run has.
const MARK: &str = "run.json";

/// Whether a path is the folder of a run.
pub fn is_run(path: &Path) -> bool {
    path.join(MARK).is_file()
}

/// The findings of a run, each as the path that leads to it.
pub fn findings(run: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(run.join("findings")) else { return Vec::new() };
    let mut findings: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("finding.json").is_file())
        .collect();
    findings.sort();
    findings
}

/// The histories of a run: of all of it where that was kept, else those around its findings.
pub fn histories(run: &Path) -> Vec<PathBuf> {
    let whole = run.join("history.jsonl.zst");
    if whole.is_file() {
        return vec![whole];
    }
    let parts = findings(run).into_iter().map(|finding| finding.join("history.jsonl"));
    parts.filter(|path| path.is_file()).collect()
}

/// What to say to somebody who names a run where `command` takes a finding.
pub fn names_a_run(command: &str, run: &Path) -> String {
    let shown = run.display();
    let findings = findings(run);
    if findings.is_empty() {
        return format!("{shown}: a run without findings, so there is nothing to {command}");
    }
    let commands: Vec<String> = findings
        .iter()
        .map(|finding| format!("\n  flockwork {command} {}", quoted(&finding.display().to_string())))
        .collect();
    format!("{shown}: a run; name one of its findings:{}", commands.concat())
}
