//! Gathers what a run's page shows from what the run left, and writes it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::check::search::Budget;
use crate::cli::findings::lead_to;
use crate::cli::patient::Patient;
use crate::finding::moments::{self, Walk};
use crate::finding::{self, Finding};
use crate::history::holds::Holds;
use crate::history::read::{self, Limits, ReadError};
use crate::history::{AnyHistory, History};
use crate::judge::{Checker, judge};
use crate::model::{Builtin, Model};
use crate::report::html::run::{self, Broken, Page, Source};
use crate::report::html::timeline::Spot;
use crate::report::stored::{Stored, StoredRun};
use crate::results::read::versioned;
use crate::results::{HOLDS_FILE, HOLDS_PART_FILE, write_whole};
use crate::scenario::Kind;
use crate::violation::Class;

/// More findings than these are told without their operations.
const FINDINGS_MAX: usize = 200;
/// What the search for the longest legal order of a finding's few operations may take.
const SEARCH_TIME: Duration = Duration::from_secs(1);
const SEARCH_BYTES: usize = 64 << 20;

/// What reading all histories of a page may take: far more than any that a page can show, and an end to one that unpacks to
/// no end, or that never begins.
const READ_TIME: Duration = Duration::from_secs(60);
const READ_BYTES: usize = 4 << 30;

/// Writes `report.html` into a run's folder.
pub fn write(folder: &Path) -> Result<(), String> {
    let page = of_run(folder)?;
    write_whole(&folder.join("report.html"), page.as_bytes()).map_err(|error| error.to_string())
}

/// The page of a run.
pub fn of_run(folder: &Path) -> Result<String, String> {
    let stored = StoredRun::read(folder).map_err(|error| error.to_string())?;
    let until = Instant::now() + READ_TIME;
    let broken = broken(&stored, until)?;
    let history = history(folder, &stored, &broken, until)?;
    let holds =
        history.as_ref().map(|(_, source)| holds(folder, &broken, *source, until)).transpose()?.flatten();
    let spots: Vec<Spot> = broken.iter().filter_map(|broken| spot(broken.finding.as_ref()?)).collect();
    Ok(run::show(&Page {
        stored: &stored,
        broken: &broken,
        history: history.as_ref().map(|(history, source)| (history, *source)),
        spots: &spots,
        holds: holds.as_ref(),
    }))
}

/// The findings of a run, each with what was kept of it.
fn broken(stored: &StoredRun, until: Instant) -> Result<Vec<Broken>, String> {
    let Some(Stored::Scenario(report)) = &stored.summary else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for (number, violation) in report.violations.iter().enumerate() {
        let folder = stored.path.join("findings").join(&violation.signature);
        if number >= FINDINGS_MAX || !folder.is_dir() {
            all.push(Broken { report: violation.clone(), finding: None, walk: None, order: None });
            continue;
        }
        let told = |error: crate::results::read::ReadError| error.to_string();
        let finding: Option<Finding> =
            versioned(&folder.join("finding.json"), finding::SCHEMA_VERSION).map_err(told)?;
        let walk: Option<Walk> =
            versioned(&folder.join(moments::FILE_NAME), moments::SCHEMA_VERSION).map_err(told)?;
        let order =
            (violation.class == Class::NotLinearizable).then(|| longest_order(&folder, until)).flatten();
        let mut report = violation.clone();
        if report.finding.as_deref().is_some_and(|before| !before.is_dir()) {
            lead_to(&mut report, folder);
        }
        all.push(Broken { report, finding, walk, order });
    }
    Ok(all)
}

/// The longest legal order of a finding's operations, up to the one that has no place; `None` where these few operations
/// alone are legal, or are too many for a search.
fn longest_order(folder: &Path, until: Instant) -> Option<Vec<String>> {
    let history = containers(&folder.join("history.jsonl"), until).ok().flatten()?;
    let model = Model::builtin(history.model.unwrap_or(Builtin::Runsc));
    let budget = Budget { time: Some(SEARCH_TIME), memory_bytes: SEARCH_BYTES, ..Budget::default() };
    let judged = judge(&history, &model, Checker::Search, budget);
    let explained = judged.iter().find_map(|judgement| judgement.explanation());
    explained.map(|explanation| run::order_of(explanation, &model))
}

/// The operations that are drawn: all, where they were kept, else those around the first violation.
fn history(
    folder: &Path,
    stored: &StoredRun,
    broken: &[Broken],
    until: Instant,
) -> Result<Option<(History, Source)>, String> {
    let is_stress =
        matches!(&stored.summary, Some(Stored::Scenario(report)) if report.work.kind() == Kind::Stress);
    let whole = folder.join("history.jsonl.zst");
    if whole.exists() {
        return Ok(containers(&whole, until)?.map(|history| (history, Source::Whole)));
    }
    // Under control, the interleaving says more than times that are numbers of steps.
    let Some(first) = broken.iter().find(|broken| broken.finding.is_some()).filter(|_| is_stress) else {
        return Ok(None);
    };
    let window = folder.join("findings").join(&first.report.signature).join("history.jsonl");
    match fs::metadata(&window) {
        Ok(_) => Ok(containers(&window, until)?.map(|history| (history, Source::Window))),
        Err(_) => Ok(None),
    }
}

/// Who held which lock, beside the operations that are drawn; `None` where that was not kept.
fn holds(folder: &Path, broken: &[Broken], source: Source, until: Instant) -> Result<Option<Holds>, String> {
    let first = || broken.iter().find(|broken| broken.finding.is_some());
    let path = match source {
        Source::Whole => folder.join(HOLDS_FILE),
        Source::Window => match first() {
            Some(first) => folder.join("findings").join(&first.report.signature).join(HOLDS_PART_FILE),
            None => return Ok(None),
        },
    };
    if !path.exists() {
        return Ok(None);
    }
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let limits = Limits { memory_bytes: READ_BYTES, until: Some(until) };
    let input = Patient::open(&path, until).and_then(read::decoded);
    let input = input.map_err(|error| told(&ReadError::from(error)))?;
    Holds::read(input, limits).map(Some).map_err(|error| told(&error))
}

/// A history of containers; what is of anything else is not drawn.
fn containers(path: &Path, until: Instant) -> Result<Option<History>, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let limits = Limits { memory_bytes: READ_BYTES, until: Some(until) };
    let input = Patient::open(path, until).and_then(read::decoded);
    let input = input.map_err(|error| told(&ReadError::from(error)))?;
    match read::read_any(input, None, limits).map_err(|error| told(&error))? {
        AnyHistory::Table(history) => Ok(Some(history)),
        AnyHistory::Object(_) => Ok(None),
    }
}

/// Where a finding lies on the timeline.
fn spot(finding: &Finding) -> Option<Spot> {
    let decisive: Vec<(u32, u64)> = finding
        .window
        .iter()
        .filter(|glimpse| glimpse.decisive)
        .filter_map(|glimpse| {
            let process = glimpse.operation.get("process")?.as_u64()?;
            let at = glimpse.operation.get("invoke_ns")?.as_u64()?;
            Some((u32::try_from(process).ok()?, at))
        })
        .collect();
    let (class, message) = (finding.class.to_string(), finding.message.clone());
    (!decisive.is_empty()).then_some(Spot { class, message, decisive })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_history_holds_a_page_up_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let soon = || Instant::now() + Duration::from_millis(50);
        // Nobody ever writes to it.
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let error = containers(&path, soon()).unwrap_err();
        assert!(error.contains("cannot read the history: timed out"), "{error}");
        assert_eq!(longest_order(folder.path(), soon()), None);
        // Nothing but line ends, and more of them than can be read in the time.
        fs::remove_file(&path).unwrap();
        let header = "{\"flockwork_history\":1,\"model\":\"runsc\",\"initial\":{\"c1\":\"absent\"}}\n";
        fs::write(&path, header.to_owned() + &"\n".repeat(1 << 20)).unwrap();
        let error = containers(&path, Instant::now()).unwrap_err();
        assert!(error.contains("the time budget ran out"), "{error}");
        assert_eq!(longest_order(folder.path(), Instant::now()), None);
    }
}
