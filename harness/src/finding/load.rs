//! Reads what was kept to be seen again: the folder of a finding, its `finding.json`, or a schedule as a scenario.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{CrashFinding, Finding, RaceFinding, SCHEMA_VERSION};
use crate::plan::StrategyPlan;
use crate::plan::schedule::Schedule;
use crate::scenario::{Crash, Explore, Found, Race, Scenario, Work, find};
use crate::violation::Class;

/// A finding is some operations and a schedule. What is larger is some other file.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Something that can be seen again.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The scenario that replays it.
    pub scenario: Scenario,
    /// What is explored in it.
    pub explore: Explore,
    /// The schedule that shows the violation, with its faults.
    pub schedule: Schedule,
    /// The class it showed; none where a schedule expects nothing.
    pub class: Option<Class>,
    /// Version of flockwork that found it, where that is known.
    pub found_by: Option<String>,
    /// The seed of the run that found it; 0 where that is unknown.
    pub seed: u64,
    /// Where it lies: a folder for findings, the file for schedules.
    pub path: PathBuf,
}

/// What cannot be seen again, and why.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// What lies there is no scenario: each problem has its place.
    #[error("{0}")]
    Scenario(String),
    /// It is no finding that this version can read; the message says what is wrong with it.
    #[error("{path}: {why}", path = path.display())]
    Other {
        /// What was to be read.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl LoadError {
    fn new(path: &Path, why: impl Into<String>) -> Self {
        Self::Other { path: path.to_owned(), why: why.into() }
    }
}

/// Reads what a path leads to.
pub fn load(path: &Path) -> Result<Kept, LoadError> {
    if path.is_dir() {
        return load_finding(&path.join("finding.json"));
    }
    if path.extension().is_some_and(|extension| extension == "json") {
        return load_finding(path);
    }
    load_schedule(path)
}

/// A finding of a race.
#[derive(Clone, Debug)]
pub struct KeptRace {
    /// What `finding.json` says.
    pub finding: Finding,
    /// What it keeps of the race.
    pub record: RaceFinding,
    /// The race, of the processes that take part.
    pub race: Race,
    /// The folder that it was read from: the files beside it are found there.
    pub folder: PathBuf,
}

/// Reads the finding of a race; none where a path leads to something else, which [`load`] reads.
pub fn load_race(path: &Path) -> Result<Option<KeptRace>, LoadError> {
    let file = if path.is_dir() { path.join("finding.json") } else { path.to_owned() };
    if file.extension().is_none_or(|extension| extension != "json") {
        return Ok(None);
    }
    let finding = read(&file).ok().and_then(|bytes| serde_json::from_slice::<Finding>(&bytes).ok());
    let Some(record) = finding.as_ref().and_then(|finding| finding.race.as_deref().cloned()) else {
        return Ok(None);
    };
    let finding = finding.expect("it has a record");
    let wrong = |why: String| LoadError::new(&file, format!("it cannot be replayed: {why}"));
    if finding.schema_version != SCHEMA_VERSION {
        return Err(wrong(format!(
            "it is of schema version {}, and this version of flockwork reads {SCHEMA_VERSION}",
            finding.schema_version
        )));
    }
    let found =
        Found { argument: format!("{}.toml", finding.signature).into(), text: record.scenario.clone() };
    let scenario = Scenario::parse(&found, &[]).map_err(|problems| {
        wrong(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"))
    })?;
    let Work::Race(race) = scenario.work else { return Err(wrong("its scenario is not a race".into())) };
    let folder = file.parent().unwrap_or(Path::new(".")).to_owned();
    let race = Race { modelled: record.modelled.clone(), ..*race };
    Ok(Some(KeptRace { finding, record, race, folder }))
}

/// A finding of a crash.
#[derive(Clone, Debug)]
pub struct KeptCrash {
    /// What `finding.json` says.
    pub finding: Finding,
    /// What it keeps of the crash.
    pub record: CrashFinding,
    /// The crash, from the folders that it was found in.
    pub crash: Crash,
    /// The folder that it was read from: the files beside it are found there.
    pub folder: PathBuf,
}

/// Reads the finding of a crash; none where a path leads to something else.
pub fn load_crash(path: &Path) -> Result<Option<KeptCrash>, LoadError> {
    let file = if path.is_dir() { path.join("finding.json") } else { path.to_owned() };
    if file.extension().is_none_or(|extension| extension != "json") {
        return Ok(None);
    }
    let Some(finding) = read(&file).ok().and_then(|bytes| serde_json::from_slice::<Finding>(&bytes).ok())
    else {
        return Ok(None);
    };
    let Some(record) = finding.crash.as_deref().cloned() else { return Ok(None) };
    let wrong = |why: String| LoadError::new(&file, format!("it cannot be replayed: {why}"));
    if finding.schema_version != SCHEMA_VERSION {
        return Err(wrong(format!(
            "it is of schema version {}, and this version of flockwork reads {SCHEMA_VERSION}",
            finding.schema_version
        )));
    }
    let Some(text) = record.scenario.clone() else {
        return Err(wrong(format!(
            "flockwork {} kept no scenario with it: run its reproduce.sh",
            record.flockwork
        )));
    };
    let found = Found { argument: format!("{}.toml", finding.signature).into(), text };
    let scenario = Scenario::parse(&found, &[]).map_err(|problems| {
        wrong(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"))
    })?;
    let Work::Crash(crash) = scenario.work else { return Err(wrong("its scenario is not a crash".into())) };
    let folder = file.parent().unwrap_or(Path::new(".")).to_owned();
    Ok(Some(KeptCrash { finding, record, crash: *crash, folder }))
}

/// Only as much as every version of the format has.
#[derive(Deserialize)]
struct Head {
    schema_version: u32,
}

fn load_finding(path: &Path) -> Result<Kept, LoadError> {
    let wrong = |why: String| LoadError::new(path, why);
    let bytes = read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => wrong("no such finding: expected results/…/findings/<signature>".into()),
        _ => wrong(format!("cannot be read: {error}")),
    })?;
    if bytes.len() as u64 >= FILE_BYTES_MAX {
        return Err(wrong(format!(
            "it is larger than {} MiB, too large for a finding",
            FILE_BYTES_MAX >> 20
        )));
    }
    let no_finding = |error: serde_json::Error| {
        let (what, place) = (error.classify(), format!("line {} column {}", error.line(), error.column()));
        match what {
            serde_json::error::Category::Eof => wrong(format!("it is truncated: it ends at {place}")),
            _ => wrong(format!("it is not a finding: {error}")),
        }
    };
    let head: Head = serde_json::from_slice(&bytes).map_err(no_finding)?;
    if head.schema_version != SCHEMA_VERSION {
        return Err(wrong(format!(
            "it is a finding of schema version {}; this version of flockwork reads {SCHEMA_VERSION}",
            head.schema_version
        )));
    }
    let finding: Finding = serde_json::from_slice(&bytes).map_err(no_finding)?;
    let Some(exploration) = &finding.exploration else {
        return Err(wrong(
            "it has no schedule, because the processes ran freely. Run its reproduce.sh, or explore the \
             operations of its window (kind = \"explore\")"
                .into(),
        ));
    };
    let text = exploration.scenario(finding.class);
    let found = Found { argument: format!("{}.toml", finding.signature).into(), text };
    let kept = kept(&found, path.parent().unwrap_or(path))
        .map_err(|error| wrong(format!("it cannot be replayed: {error}")))?;
    Ok(Kept {
        class: Some(finding.class),
        found_by: Some(exploration.flockwork.clone()),
        seed: exploration.seed,
        ..kept
    })
}

fn load_schedule(path: &Path) -> Result<Kept, LoadError> {
    let found = find(&[path.to_owned()]).map_err(|error| LoadError::Scenario(error.to_string()))?;
    let [found] = &found[..] else { return Err(LoadError::new(path, "expected one scenario")) };
    kept(found, path)
}

fn kept(found: &Found, path: &Path) -> Result<Kept, LoadError> {
    let scenario = Scenario::parse(found, &[]).map_err(|problems| {
        LoadError::Scenario(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"))
    })?;
    let no_schedule = |what: &str, way: &str| {
        LoadError::new(path, format!("{what}, which has no schedule: expected strategy = \"replay\"{way}"))
    };
    let Work::Explore(explore) = &scenario.work else {
        return Err(no_schedule(&format!("it is a scenario of kind {}", scenario.kind().as_str()), ""));
    };
    let StrategyPlan::Replay(schedule) = &explore.strategy else {
        return Err(no_schedule("it is an exploration", "; `flockwork run` explores it"));
    };
    Ok(Kept {
        explore: explore.clone(),
        schedule: schedule.clone(),
        class: scenario.expect.violations.first().copied(),
        found_by: None,
        seed: 0,
        path: path.to_owned(),
        scenario,
    })
}

/// Bytes, as a file may be cut within a letter.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}
