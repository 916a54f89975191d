//! The results folder: evidence, written early and in phases.
//!
//! `run.json` is there before the first process starts and says "incomplete"; it is replaced as a whole when the run
//! has ended. So a crash of the harness leaves a run that can be read and cannot be mistaken for a finished one.

pub mod read;

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::campaign::{Share, sha256_hex};
use crate::engine::stress::copy_tree;
use crate::finding::Finding;
use crate::history::holds::Holds;
use crate::history::{self, History};
use crate::measure::machine::{Filesystem, Machine, host_name};
use crate::race::{Discovery, RaceRun};

/// Version of `run.json` and `summary.json`.
pub const SCHEMA_VERSION: u32 = 1;

/// Who held which lock when, in the folder of a run whose whole history is kept.
pub const HOLDS_FILE: &str = "holds.jsonl.zst";
/// The same of the operations around a violation, in the folder of its finding.
pub const HOLDS_PART_FILE: &str = "holds.jsonl";

/// The folder that holds the folders of all runs.
#[derive(Debug)]
pub struct Results {
    base: PathBuf,
}

/// The results folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("results folder {path}: {source}; give another with --results-dir")]
pub struct ResultsError {
    /// The path at fault.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// It runs, or the harness died while it ran.
    Incomplete,
    /// It ended, and its verdict stands in `summary.json`.
    Complete,
}

/// `run.json`: all that was known before the run started, and whether it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Version of this format.
    pub schema_version: u32,
    /// How far the run has come.
    pub status: RunStatus,
    /// The command line that ran it.
    pub argv: Vec<String>,
    /// The seed that decided every random choice.
    pub seed: u64,
    /// What was run, whole: the file may have changed since.
    pub scenario: ScenarioRecord,
    /// Version of flockwork.
    pub version: String,
    /// The kernel, the processors and the filesystem that it ran on.
    #[serde(flatten)]
    pub machine: Machine,
    /// The filesystem that the containers live on.
    pub filesystem: Option<Filesystem>,
    /// Pid of the harness.
    pub pid: u32,
    /// What the machine calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What it is of a campaign; none for runs that are of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    /// When the run started, in RFC 3339.
    pub started_at: String,
    /// When it ended, in UTC; none while it runs or where it was cut off.
    pub ended_at: Option<String>,
}

/// The scenario of a run, with all that changes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioRecord {
    /// The scenario, as its file was called.
    pub name: String,
    /// The text of its file, before any override.
    pub text: String,
    /// SHA-256 of its text.
    pub sha256: String,
    /// What the command line set, as `key.path=value`.
    pub overrides: Vec<String>,
}

impl ScenarioRecord {
    /// Describes a scenario and what the command line set.
    #[must_use]
    pub fn new(name: &str, text: &str, overrides: Vec<String>) -> Self {
        Self { name: name.into(), text: text.into(), sha256: sha256_hex(text), overrides }
    }
}

impl Results {
    /// The folder that holds the folders of all runs.
    #[must_use]
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Makes the folder where there is none, and makes sure that it can be written.
    pub fn open(base: &Path) -> Result<Self, ResultsError> {
        let failed = |source| ResultsError { path: base.to_owned(), source };
        fs::create_dir_all(base).map_err(failed)?;
        tempfile::tempfile_in(base).map_err(failed)?;
        Ok(Self { base: base.to_owned() })
    }

    /// Makes the folder of a run that is about to start, with an incomplete `run.json`.
    pub fn start(
        &self,
        argv: &[String],
        seed: u64,
        scenario: ScenarioRecord,
        root: &Path,
        share: Option<Share>,
    ) -> Result<RunFolder, ResultsError> {
        let failed = |source| ResultsError { path: self.base.clone(), source };
        let now = OffsetDateTime::now_utc();
        let path = self.fresh_folder(now, &scenario.name, seed).map_err(failed)?;
        let record = RunRecord {
            schema_version: SCHEMA_VERSION,
            status: RunStatus::Incomplete,
            argv: argv.to_vec(),
            seed,
            scenario,
            version: env!("CARGO_PKG_VERSION").into(),
            machine: Machine::observe(),
            filesystem: Filesystem::of(root).ok(),
            pid: std::process::id(),
            host: host_name(),
            share,
            started_at: rfc3339(now),
            ended_at: None,
        };
        let folder = RunFolder { path, record };
        folder.write_json("run.json", &folder.record).map_err(failed)?;
        // A convenience: where somebody has put a folder of that name in the way, the run is worth no less.
        let _ = self.point_latest(&folder.path);
        Ok(folder)
    }

    /// Makes a new folder, named after a time, a word and a seed.
    pub fn fresh(&self, word: &str, seed: u64) -> io::Result<PathBuf> {
        self.fresh_folder(OffsetDateTime::now_utc(), word, seed)
    }

    /// Two runs of one second are told apart by a number at the end.
    fn fresh_folder(&self, now: OffsetDateTime, scenario: &str, seed: u64) -> io::Result<PathBuf> {
        let form = format_description!("[year][month][day]T[hour][minute][second]Z");
        let stamp = now.format(form).map_err(io::Error::other)?;
        let name = format!("{stamp}-{}-{seed}", tame(scenario));
        for attempt in 1_u32.. {
            let suffix = if attempt == 1 { String::new() } else { format!("-{attempt}") };
            let path = self.base.join(format!("{name}{suffix}"));
            match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                done => return done.map(|()| path),
            }
        }
        unreachable!("four billion runs fit in no second")
    }

    fn point_latest(&self, folder: &Path) -> io::Result<()> {
        let target = folder.file_name().expect("a run's folder has a name");
        let fresh = self.base.join(format!(".latest-{}", std::process::id()));
        let _ = fs::remove_file(&fresh);
        symlink(target, &fresh)?;
        fs::rename(&fresh, self.base.join("latest")).inspect_err(|_| {
            let _ = fs::remove_file(&fresh);
        })
    }
}

/// The folder of one run: written to while it runs, and complete once it has its final name.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    record: RunRecord,
}

impl RunFolder {
    /// The folder, which changes its name when the run is finished.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was known before the run started.
    #[must_use]
    pub const fn record(&self) -> &RunRecord {
        &self.record
    }

    /// Writes the history, for failures and for whoever wants to keep it.
    pub fn write_history(&self, history: &History) -> io::Result<()> {
        history::write::write_file(history, &self.path.join("history.jsonl.zst"))
    }

    /// Writes who held which lock when, beside the history.
    pub fn write_holds(&self, holds: &Holds) -> io::Result<()> {
        holds.write_file(&self.path.join(HOLDS_FILE))
    }

    /// Writes a history that is JSON lines already, likewise.
    pub fn write_lines(&self, lines: &[u8]) -> io::Result<()> {
        let file = fs::File::create(self.path.join("history.jsonl.zst"))?;
        zstd::stream::copy_encode(lines, file, 0)
    }

    /// Writes a finding with the script that shows it again, and says where it lies. Of those with one signature the
    /// first stands for all.
    pub fn write_finding(
        &self,
        finding: &Finding,
        history: &History,
        reproduce: &Script,
    ) -> io::Result<PathBuf> {
        let findings = self.path.join("findings");
        let folder = findings.join(&finding.signature);
        if !folder.exists() {
            finding.write(history, &findings)?;
            write_script(&folder, reproduce)?;
        }
        Ok(folder)
    }

    /// Writes the finding of a race, and says where it lies. Of those with one signature the first stands for all.
    pub fn write_race_finding(
        &self,
        finding: &Finding,
        run: &RaceRun,
        discovery: &Discovery,
        told: (&str, &str),
    ) -> io::Result<PathBuf> {
        let findings = self.path.join("findings");
        let folder = findings.join(&finding.signature);
        if folder.exists() { Ok(folder) } else { finding.write_race(&findings, run, discovery, told) }
    }

    /// Writes the finding of a crash, likewise.
    pub fn write_crash_finding(
        &self,
        finding: &Finding,
        run: &crate::crash::CrashRun,
        discovery: &crate::crash::Discovery,
        told: (&str, &str),
    ) -> io::Result<PathBuf> {
        let findings = self.path.join("findings");
        let folder = findings.join(&finding.signature);
        if folder.exists() { Ok(folder) } else { finding.write_crash(&findings, run, discovery, told) }
    }

    /// Copies the state folder, as the run left it, to its findings: to the first of them, and the others point there.
    /// There is nothing to copy where the containers were too large.
    pub fn write_state(&self, left: &Path, findings: &[&Path]) -> io::Result<()> {
        let Some((first, others)) = findings.split_first().filter(|_| left.exists()) else { return Ok(()) };
        copy_tree(left, &first.join("state"))?;
        for other in others {
            if let Some(name) = first.file_name() {
                symlink(Path::new("..").join(name).join("state"), other.join("state"))?;
            }
        }
        Ok(())
    }

    /// Writes `summary.json` and marks the run complete, in this order: a complete run has a summary.
    pub fn finish(mut self, summary: &impl Serialize) -> io::Result<()> {
        self.write_json("summary.json", summary)?;
        self.record.status = RunStatus::Complete;
        self.record.ended_at = Some(rfc3339(OffsetDateTime::now_utc()));
        self.write_json("run.json", &self.record)
    }

    /// Writes a value as JSON.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(value)?;
        text.push('\n');
        write_whole(&self.path.join(name), text.as_bytes())
    }
}

/// What a finding's folder keeps to run it again: a script, and the file that it runs where that is none of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// What `reproduce.sh` says.
    pub text: String,
    /// Name and text of the scenario beside it.
    pub scenario: Option<(String, String)>,
}

/// Writes a script beside a finding, so that it can be run.
pub fn write_script(folder: &Path, script: &Script) -> io::Result<()> {
    if let Some((name, text)) = &script.scenario {
        fs::write(folder.join(name), text)?;
    }
    let path = folder.join("reproduce.sh");
    fs::write(&path, &script.text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
}

/// Writes a file that is there as a whole or not at all, and that whoever may read files can read.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".flockwork-")
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)?;
    io::Write::write_all(&mut file, bytes)?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

fn rfc3339(time: OffsetDateTime) -> String {
    time.replace_nanosecond(0).unwrap_or(time).format(&Rfc3339).unwrap_or_default()
}

/// A scenario's name is a file's, and may hold what a folder's name should not.
fn tame(name: &str) -> String {
    let tame = |c: char| if c.is_alphanumeric() || "._-".contains(c) { c } else { '-' };
    name.chars().take(100).map(tame).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(results: &Results) -> RunFolder {
        let scenario = ScenarioRecord::new("a b/c", "kind", vec!["stress.processes=2".into()]);
        results.start(&["flockwork".into()], 7, scenario, Path::new("/"), None).unwrap()
    }

    fn read(path: &Path) -> RunRecord {
        serde_json::from_slice(&fs::read(path.join("run.json")).unwrap()).unwrap()
    }

    #[test]
    fn runs_of_one_second_are_apart_and_the_latest_is_pointed_to() {
        let base = tempfile::tempdir().unwrap();
        let results = Results::open(&base.path().join("new/results")).unwrap();
        let (one, two) = (start(&results), start(&results));
        assert_ne!(one.path(), two.path());
        assert!(one.path().to_str().unwrap().contains("Z-a-b-c-7"));
        let latest = base.path().join("new/results/latest");
        assert_eq!(latest.canonicalize().unwrap(), two.path().canonicalize().unwrap());
    }

    #[test]
    fn every_finding_has_the_state_as_it_was_left() {
        let base = tempfile::tempdir().unwrap();
        let folder = start(&Results::open(base.path()).unwrap());
        let left = base.path().join("left");
        let findings = ["one", "two"].map(|name| folder.path().join("findings").join(name));
        for path in findings.iter().chain([&left.join("c1")]) {
            fs::create_dir_all(path).unwrap();
        }
        fs::write(left.join("c1/meta.json"), "half").unwrap();
        let findings = findings.each_ref().map(PathBuf::as_path);
        folder.write_state(&base.path().join("absent"), &findings).unwrap();
        folder.write_state(&left, &findings).unwrap();
        for finding in findings {
            assert_eq!(fs::read_to_string(finding.join("state/c1/meta.json")).unwrap(), "half");
        }
    }

    #[test]
    fn a_run_is_incomplete_until_it_is_finished() {
        let base = tempfile::tempdir().unwrap();
        let folder = start(&Results::open(base.path()).unwrap());
        let path = folder.path().to_owned();
        let early = read(&path);
        assert_eq!((early.status, early.ended_at), (RunStatus::Incomplete, None));
        assert_eq!(early.scenario.sha256.len(), 64);
        folder.finish(&serde_json::json!({"verdict": "clean"})).unwrap();
        assert_eq!(read(&path).status, RunStatus::Complete);
        assert!(path.join("summary.json").is_file());
    }

    #[test]
    fn a_file_in_the_way_is_known_at_once() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("results");
        fs::write(&path, "").unwrap();
        assert!(Results::open(&path).unwrap_err().to_string().contains("--results-dir"));
    }
}
