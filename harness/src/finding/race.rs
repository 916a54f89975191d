//! What a finding of a race keeps: the commands, the nearest order, the differences, and how it was seen.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::crash::StepRecord;
use super::{Finding, SCHEMA_VERSION};
use crate::ground::{Body, Capture, Kind};
use crate::plan::race::{ControlRecord, Modelled, RacePlan};
use crate::race::expected::Difference;
use crate::race::outcome::{Outcome, Who};
use crate::race::tell::{message, nearest};
use crate::race::{Discovery, RaceRun};
use crate::scenario::Race;
use crate::signature::fnv1a;

/// A race's finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RaceFinding {
    /// The command lines of each process.
    pub processes: Vec<Vec<String>>,
    /// The sequential order that it comes nearest to.
    pub nearest: String,
    /// How it differs from that.
    pub differences: Vec<DifferenceRecord>,
    /// Who waits for what, where somebody did not end.
    pub waiting: Vec<String>,
    /// Whether the same shows one after the other.
    pub also_alone: bool,
    /// The race as a scenario, of those processes that take part, with absolute paths.
    pub scenario: String,
    /// For a violation that was seen under control: the steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<ControlRecord>,
    /// For a violation that a power loss shows: the calls, and how much of each had reached the disk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepRecord>,
    /// Likewise: calls of which each alone makes every state good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mends: Vec<String>,
    /// The number of the execution that showed it first, from 1; 0 for a sequential order.
    pub execution: u64,
    /// How often it was tried whether it shows again.
    pub tried_again: u64,
    /// How often it did.
    pub shown_again: u64,
    /// What the commands are to a model, where one judges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modelled: Option<Modelled>,
    /// Whether the state is an empty folder of the run's own.
    #[serde(default)]
    pub own_state: bool,
    /// The seed of the run that found it: it decides what random strategies choose.
    pub seed: u64,
    /// Version of flockwork that found it.
    pub flockwork: String,
}

/// How an execution differs from an order at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceRecord {
    /// The path or stream that differs, as messages spell it.
    pub place: String,
    /// What the order gives; `*` is what may be anything.
    pub expected: Option<String>,
    /// What the execution gave.
    pub found: Option<String>,
}

impl DifferenceRecord {
    pub(super) fn of(difference: &Difference) -> Self {
        Self {
            place: difference.place.to_string(),
            expected: difference.expected.clone(),
            found: difference.found.clone(),
        }
    }
}

impl Finding {
    /// The finding of a race's discovery.
    #[must_use]
    pub fn of_race(plan: &RacePlan, race: &Race, discovery: &Discovery, subject: &str) -> Self {
        let control = discovery.record();
        let race = Race {
            processes: plan.processes.clone(),
            state: plan.state.clone(),
            // The operations of a runtime run in no folder of the user's, and a scenario of them names none.
            folder: if plan.oci.is_some() { race.folder.clone() } else { plan.folder.clone() },
            disk: plan.disk.clone(),
            ..race.clone()
        };
        let broken = &discovery.broken;
        let differences = broken.differences.iter().map(DifferenceRecord::of);
        Self {
            schema_version: SCHEMA_VERSION,
            signature: signature(plan, discovery),
            class: broken.class,
            subject: subject.to_owned(),
            container: None,
            message: message(plan, discovery),
            window: Vec::new(),
            exploration: None,
            crash: None,
            race: Some(Box::new(RaceFinding {
                processes: plan.processes.clone(),
                nearest: nearest(plan, broken),
                differences: differences.collect(),
                waiting: broken.waiting.clone(),
                also_alone: broken.also_alone,
                scenario: race.to_toml("", &[]),
                control,
                steps: discovery.lost.as_deref().map(StepRecord::all).unwrap_or_default(),
                mends: discovery.lost.as_ref().and_then(|lost| lost.mends.clone()).unwrap_or_default(),
                execution: discovery.number,
                tried_again: discovery.again.times,
                shown_again: discovery.again.shown,
                modelled: plan.modelled.clone(),
                own_state: plan.own_state,
                seed: plan.seed,
                flockwork: env!("CARGO_PKG_VERSION").into(),
            })),
        }
    }
}

/// One mistake has one signature, whichever of the commands suffers from it.
fn signature(plan: &RacePlan, discovery: &Discovery) -> String {
    let mut commands: Vec<String> = plan.processes.iter().map(|commands| commands.join(";")).collect();
    commands.sort();
    let class = discovery.broken.class;
    let is_killed = !discovery.broken.killed.is_empty();
    let lost = if discovery.lost.is_some() { "\npower-loss" } else { "" };
    let text = format!("{class}\n{}\n{is_killed}{lost}", commands.join("\n"));
    format!("{class}-{:08x}", fnv1a(text.as_bytes()) as u32)
}

/// What is kept of an execution beside what is told of it.
pub(super) struct Evidence<'a> {
    pub outcome: &'a Outcome,
    pub before: &'a [Capture],
    pub after: &'a [Capture],
}

/// Writes what belongs to a finding of a race beside its `finding.json`: the folders before and after, outputs, the table, and a
/// script that runs it again.
pub(super) fn write(
    folder: &Path,
    run: &RaceRun,
    discovery: &Discovery,
    told: &str,
    script: &str,
) -> io::Result<()> {
    let outcome = discovery.seen.outcome();
    let after = if discovery.broken.killed.is_empty() || outcome.folders_then.is_empty() {
        &outcome.folders
    } else {
        &outcome.folders_then
    };
    write_evidence(folder, &Evidence { outcome, before: &run.initial, after }, told, script)
}

/// The same, of any execution of commands.
pub(super) fn write_evidence(
    folder: &Path,
    evidence: &Evidence<'_>,
    told: &str,
    script: &str,
) -> io::Result<()> {
    fs::write(folder.join("table.txt"), told)?;
    let path = folder.join("reproduce.sh");
    fs::write(&path, script)?;
    fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    let outputs = folder.join("outputs");
    fs::create_dir_all(&outputs)?;
    for (who, done) in evidence.outcome.everybody() {
        let name = match who {
            Who::Command { process, index, .. } => format!("p{}.{}", process + 1, index + 1),
            Who::Observe => "observe".to_owned(),
            Who::Then(index) => format!("then{}", index + 1),
        };
        fs::write(outputs.join(format!("{name}.stdout")), &done.stdout.text)?;
        fs::write(outputs.join(format!("{name}.stderr")), &done.stderr.text)?;
        fs::write(outputs.join(format!("{name}.status")), format!("{}\n", done.ending))?;
    }
    for (name, captures) in [("before", evidence.before), ("after", evidence.after)] {
        for (number, capture) in captures.iter().enumerate() {
            let suffix = if captures.len() == 1 { String::new() } else { (number + 1).to_string() };
            lay_out(capture, &folder.join(format!("{name}{suffix}")))?;
        }
    }
    Ok(())
}

/// Lays out what a folder held. Of files that are too long to be kept, of sockets and the like only the names are there.
fn lay_out(capture: &Capture, at: &Path) -> io::Result<()> {
    fs::create_dir_all(at)?;
    for (path, entry) in capture.entries.iter().filter(|(path, _)| !path.is_empty()) {
        let target = at.join(path);
        match &entry.kind {
            Kind::Folder => fs::create_dir_all(&target)?,
            Kind::Link(points_to) => symlink(points_to, &target)?,
            Kind::File(Body::Whole(bytes)) => {
                fs::write(&target, bytes)?;
                // Whoever looks at it must be able to read it.
                fs::set_permissions(&target, Permissions::from_mode(entry.mode & 0o777 | 0o600))?;
            }
            Kind::File(Body::Large { bytes, .. }) => {
                fs::write(at.join(format!("{path}.not-kept")), format!("{bytes} bytes\n"))?;
            }
            kind => fs::write(at.join(format!("{path}.not-kept")), format!("{}\n", kind.as_str()))?,
        }
    }
    Ok(())
}
