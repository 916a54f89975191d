//! What a finding of a crash keeps: the command, the steps with those that had reached the disk, and the differences.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::race::{DifferenceRecord, Evidence, write_evidence};
use super::{Finding, SCHEMA_VERSION};
use crate::crash::tell::message;
use crate::crash::{CrashRun, Discovery, How, Lost, Reached, StepOnDisk};
use crate::plan::crash::CrashPlan;
use crate::plan::race::PowerRecord;
use crate::scenario::{Crash, Race, crash_to_toml};
use crate::signature::fnv1a;

/// A crash's finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrashFinding {
    /// The command line that was run, as it was written.
    pub command: String,
    /// `kill` or `power-loss`.
    pub fault: String,
    /// The disk model of a power loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
    /// The steps, and how much of each had reached the disk.
    pub steps: Vec<StepRecord>,
    /// How the state differs from the nearer of the two that are right.
    pub differences: Vec<DifferenceRecord>,
    /// Whether the state is right but for an acknowledgement.
    pub is_undone: bool,
    /// Calls of which each alone makes every state good.
    pub mends: Vec<String>,
    /// The crash as a scenario, with absolute paths; findings of older versions have none, and are not replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// The power loss that shows it, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<PowerRecord>,
    /// The words that names are made of in its steps; other names have numbers.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub words: BTreeSet<String>,
    /// The seed of the run that found it.
    #[serde(default)]
    pub seed: u64,
    /// Version of flockwork that found it.
    pub flockwork: String,
}

/// A step of the command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The call at which it was killed, or after which the power went, as schedules spell steps.
    pub step: String,
    /// `disk`, `part`, `lost`, `sync`, `not-made`, or `done` where nothing is known of the disk.
    pub reached: String,
}

impl StepRecord {
    /// The steps of what a power loss left.
    pub(super) fn all(lost: &Lost) -> Vec<Self> {
        let record =
            |step: &StepOnDisk| Self { step: step.label.clone(), reached: word(step.reached).into() };
        lost.steps.iter().map(record).collect()
    }
}

impl Finding {
    /// The finding of a crash's discovery.
    #[must_use]
    pub fn of_crash(plan: &CrashPlan, crash: &Crash, discovery: &Discovery, subject: &str) -> Self {
        let record =
            |step: &str, reached: &str| StepRecord { step: step.to_owned(), reached: reached.to_owned() };
        let (fault, disk, steps, is_undone, mends) = match &discovery.how {
            How::Killed { before, steps, .. } => {
                let done = steps.iter().map(|step| record(step, "done"));
                let all = done.chain([record(before, "not-made")]).collect();
                ("kill", None, all, false, Vec::new())
            }
            How::PowerLost(lost) => {
                let all = StepRecord::all(lost);
                (
                    "power-loss",
                    Some(lost.disk.to_owned()),
                    all,
                    lost.is_undone,
                    lost.mends.clone().unwrap_or_default(),
                )
            }
        };
        let (power, words) = match &discovery.how {
            How::Killed { words, .. } => (None, words.clone()),
            How::PowerLost(lost) => {
                let (disk, calls) = (lost.disk.to_owned(), lost.calls);
                (Some(PowerRecord { disk, calls, missing: lost.missing.clone() }), BTreeSet::new())
            }
        };
        let (state, folder) = (plan.race.state.clone(), plan.race.folder.clone());
        let race = Race { state, folder, ..crash.race.clone() };
        let again = Crash { race, disk: plan.disk.clone(), ..crash.clone() };
        let command = plan.race.processes[0].join(", then ");
        let class = discovery.broken.class;
        let kind = format!("{class}\n{command}\n{fault}\n{is_undone}");
        Self {
            schema_version: SCHEMA_VERSION,
            signature: format!("{class}-{:08x}", fnv1a(kind.as_bytes()) as u32),
            class,
            subject: subject.to_owned(),
            container: None,
            message: message(discovery),
            window: Vec::new(),
            exploration: None,
            race: None,
            crash: Some(Box::new(CrashFinding {
                command,
                fault: fault.into(),
                disk,
                steps,
                differences: discovery.broken.differences.iter().map(DifferenceRecord::of).collect(),
                is_undone,
                mends,
                scenario: Some(crash_to_toml(&again, "")),
                power,
                words,
                seed: plan.race.seed,
                flockwork: env!("CARGO_PKG_VERSION").into(),
            })),
        }
    }
}

const fn word(reached: Reached) -> &'static str {
    match reached {
        Reached::Disk => "disk",
        Reached::PartOfIt => "part",
        Reached::Nothing => "lost",
        Reached::Sync => "sync",
        Reached::NotMade => "not-made",
    }
}

/// Writes what belongs to a finding of a crash beside its `finding.json`.
pub(super) fn write(
    folder: &Path,
    run: &CrashRun,
    discovery: &Discovery,
    told: &str,
    script: &str,
) -> io::Result<()> {
    write_evidence(
        folder,
        &Evidence { outcome: &discovery.outcome, before: &run.initial, after: &discovery.outcome.folders },
        told,
        script,
    )
}
