//! Finds the runs that are to be merged, and makes sure that they are of one work.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::MERGED_FILE;
use crate::campaign::shard::Shard;
use crate::campaign::{Campaign, Entry, Seeds, Share, Split, Unit};
use crate::plan::parts::Parts;
use crate::report::stored::StoredRun;
use crate::results::RunStatus;
use crate::results::read::ReadError;

/// Why runs cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// One cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// They do not belong together.
    #[error("{0}")]
    Foreign(String),
}

/// Every run that the paths lead to, each once: folders of runs, and folders with such folders in them. What an earlier
/// merge left is no run.
pub fn gather(paths: &[PathBuf]) -> Result<Vec<StoredRun>, ReadError> {
    let mut folders = BTreeMap::<PathBuf, PathBuf>::new();
    for path in paths {
        let mut found = Vec::new();
        find(path, &mut found)?;
        for folder in found {
            let real = folder.canonicalize().unwrap_or_else(|_| folder.clone());
            folders.entry(real).or_insert(folder);
        }
    }
    folders.into_values().map(|folder| StoredRun::read(&folder)).collect()
}

fn find(path: &Path, found: &mut Vec<PathBuf>) -> Result<(), ReadError> {
    if path.join("run.json").symlink_metadata().is_ok() {
        found.push(path.to_owned());
        return Ok(());
    }
    if path.join(MERGED_FILE).exists() {
        return Err(ReadError::new(path, "it is a merged report; expected the runs that it was merged from"));
    }
    let failed = |error: std::io::Error| ReadError::new(path, error.to_string());
    for entry in fs::read_dir(path).map_err(failed)? {
        let folder = entry.map_err(failed)?.path();
        // `latest` leads to one of the others.
        let is_folder = folder.symlink_metadata().is_ok_and(|about| about.is_dir());
        if is_folder && !folder.join(MERGED_FILE).exists() {
            find(&folder, found)?;
        }
    }
    Ok(())
}

/// A run with what it is of a campaign.
#[derive(Clone, Debug)]
pub struct Shared {
    /// What its folder holds.
    pub stored: StoredRun,
    /// Which shard of which campaign it says it is.
    pub share: Share,
}

impl Shared {
    /// A run that is of no campaign is one of its own.
    fn new(stored: StoredRun) -> Self {
        let run = &stored.run;
        let alone = || {
            let scenario = &run.scenario;
            let entry = Entry {
                name: scenario.name.clone(),
                sha256: scenario.sha256.clone(),
                overrides: scenario.overrides.clone(),
                split: Split::BySeed,
            };
            Share {
                campaign: Campaign { scenarios: vec![entry], seeds: Seeds { first: run.seed, count: 1 } },
                shard: Shard::WHOLE,
                unit: Unit { scenario: 0, seed: run.seed, parts: Parts::ALL },
            }
        };
        Self { share: run.share.clone().unwrap_or_else(alone), stored }
    }

    fn name(&self) -> String {
        self.stored.path.display().to_string()
    }

    const fn is_complete(&self) -> bool {
        matches!(self.stored.run.status, RunStatus::Complete) && self.stored.summary.is_some()
    }
}

/// The runs that count, by campaign, and those that were cut short.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    /// The complete runs; no two of them are of one case.
    pub complete: Vec<Shared>,
    /// Runs that were begun and never finished: what they would have shown is missing.
    pub incomplete: Vec<Shared>,
}

/// Sorts runs, and refuses those that do not belong together.
pub fn sort(runs: Vec<StoredRun>) -> Result<Gathered, GatherError> {
    let mut gathered = Gathered::default();
    let mut first: Option<(String, String, String)> = None;
    for shared in runs.into_iter().map(Shared::new) {
        let (version, work, name) =
            (shared.stored.run.version.clone(), shared.share.campaign.work(), shared.name());
        match &first {
            None => first = Some((version, work, name)),
            Some((known, _, other)) if *known != version => {
                return Err(GatherError::Foreign(format!(
                    "{name} was made by flockwork {version}, and {other} by {known}: their results cannot be added"
                )));
            }
            Some((_, known, other)) if *known != work => {
                let why = difference(&gathered, &shared);
                return Err(GatherError::Foreign(format!(
                    "{name} belongs to another campaign than {other}: {why}"
                )));
            }
            Some(_) => {}
        }
        if shared.is_complete() {
            add(&mut gathered.complete, shared)?;
        } else {
            gathered.incomplete.push(shared);
        }
    }
    // Another run did what one that was cut short should have done.
    let Gathered { complete, incomplete } = &mut gathered;
    incomplete.retain(|cut| !complete.iter().any(|whole| is_same_work(whole, cut)));
    Ok(gathered)
}

fn is_same_work(one: &Shared, other: &Shared) -> bool {
    (one.share.unit.scenario, one.share.unit.seed) == (other.share.unit.scenario, other.share.unit.seed)
        && one.share.unit.parts.holds(other.share.unit.parts)
}

/// Adds a run, once. Two that did the same work must be one and the same.
fn add(complete: &mut Vec<Shared>, shared: Shared) -> Result<(), GatherError> {
    let (unit, run) = (shared.share.unit, &shared.stored);
    let overlaps = |known: &&Shared| {
        let other = known.share.unit;
        (other.scenario, other.seed) == (unit.scenario, unit.seed)
            && !other.parts.common(unit.parts).is_none()
    };
    match complete.iter().find(overlaps) {
        None => complete.push(shared),
        Some(known) if known.stored.run == run.run && known.stored.summary == run.summary => {}
        Some(known) => {
            return Err(GatherError::Foreign(format!(
                "{} and {} did the same work (shard {} of {}, seed {}) with different results: leave one out",
                known.name(),
                shared.name(),
                shared.share.shard.number(),
                shared.share.shard.of(),
                unit.seed
            )));
        }
    }
    Ok(())
}

/// What makes two works different, in words.
fn difference(gathered: &Gathered, other: &Shared) -> String {
    let known = gathered.complete.iter().chain(&gathered.incomplete).next();
    let known = known.map_or(&[] as &[Entry], |shared| &shared.share.campaign.scenarios);
    for entry in &other.share.campaign.scenarios {
        match known.iter().find(|it| it.name == entry.name) {
            None => return format!("it runs {}, which the other does not", entry.name),
            Some(it) if it.sha256 != entry.sha256 => {
                return format!("the text of scenario {} is not the same", entry.name);
            }
            Some(it) if it.overrides != entry.overrides => {
                let words = |entry: &Entry| {
                    if entry.overrides.is_empty() { "nothing".into() } else { entry.overrides.join(" ") }
                };
                return format!("for {} it sets {}, and the other {}", entry.name, words(entry), words(it));
            }
            Some(_) => {}
        }
    }
    "it does not have the same scenarios in the same order".into()
}
