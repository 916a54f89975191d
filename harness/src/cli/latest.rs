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

/// The histories of a run: the one that was kept of the whole run, and those of its findings. The first does not stand for
/// the others: of an exploration it is one execution, and findings come from others.
pub fn histories(run: &Path) -> Vec<PathBuf> {
    let whole = std::iter::once(run.join("history.jsonl.zst"));
    let parts = findings(run).into_iter().map(|finding| finding.join("history.jsonl"));
    whole.chain(parts).filter(|path| path.is_file()).collect()
}

/// What to say to somebody who wants to check a run without histories.
pub fn kept_no_history(run: &Path) -> String {
    let shown = run.display();
    let kind = fs::read_to_string(run.join("summary.json")).ok().and_then(|text| {
        let summary: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(summary.get("kind")?.as_str()?.to_owned())
    });
    match kind.as_deref() {
        Some(kind @ ("race" | "crash")) => format!(
            "{shown}: a {kind} run, which has no history to check: it compares results; `flockwork report` shows them, and \
             `flockwork replay` repeats its findings"
        ),
        Some("bench") => {
            format!("{shown}: a benchmark, which has no history to check; `flockwork report` shows it")
        }
        _ => format!("{shown}: this run kept no history; run it again with --keep-history"),
    }
}

/// What to say to somebody who names a run where `command` takes a finding.
pub fn names_a_run(command: &str, run: &Path) -> String {
    let shown = run.display();
    let findings = findings(run);
    if findings.is_empty() {
        return format!("{shown}: this run has no findings, so there is nothing to {command}");
    }
    let commands: Vec<String> = findings
        .iter()
        .map(|finding| format!("\n  flockwork {command} {}", quoted(&finding.display().to_string())))
        .collect();
    format!("{shown}: this is a run with several findings; name one:{}", commands.concat())
}
