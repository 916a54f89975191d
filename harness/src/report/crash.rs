//! What crashes of a command came to, in words and for programs.

use serde::{Deserialize, Serialize};

use super::human::{FAINT, STRONG, line};
use super::race::{Masked, RaceCoverage};
use super::{ScenarioReport, WorkReport};
use crate::crash::CrashRun;
use crate::plan::crash::CrashPlan;
use crate::words::{grouped, plural};

/// What a crash did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrashReport {
    /// The command was held at its system calls: it always is.
    pub controlled: bool,
    /// Which part of all crashes was seen.
    pub coverage: RaceCoverage,
    /// The disk model; absent where no power loss was judged.
    pub disk: Option<String>,
    /// How many different states a power loss may leave were judged; absent likewise.
    pub states: Option<u64>,
    /// How many calls changed the folder, or asked for something to last.
    pub calls: Option<u64>,
    /// Why a power loss was not judged, or not wholly.
    pub unjudged: Option<String>,
    /// How often the command ran alone, to learn what is right.
    pub sequential_runs: u64,
    /// What differs between equal runs, and so was not compared.
    pub masked: Vec<Masked>,
    /// Files that a crash left over, and that are no violation.
    pub left_over: Vec<String>,
    /// What the command changed outside of the state folders.
    pub touched_outside: Vec<String>,
    /// Files that are ignored, and that the command wrote by memory that it shared, which is not recorded.
    #[serde(default)]
    pub mapped: Vec<String>,
}

impl CrashReport {
    /// Of a run.
    #[must_use]
    pub fn of(run: &CrashRun) -> Self {
        let power = run.power.as_ref();
        let coverage = match power {
            _ if run.unjudged.is_some() => RaceCoverage::Sampled,
            Some(power) if !power.is_exhaustive => RaceCoverage::Bounded,
            _ => RaceCoverage::Exhausted,
        };
        let masked =
            run.masked.iter().map(|(place, shown)| Masked { place: place.clone(), shown: shown.clone() });
        Self {
            controlled: true,
            coverage,
            disk: power.map(|power| power.disk.to_owned()),
            states: power.map(|power| power.states),
            calls: power.map(|power| power.calls as u64),
            unjudged: run.unjudged.clone(),
            sequential_runs: run.sequential_runs,
            masked: masked.collect(),
            left_over: run.left_over.iter().cloned().collect(),
            touched_outside: run.touched_outside.iter().cloned().collect(),
            mapped: run.mapped.iter().cloned().collect(),
        }
    }
}

/// Why a crash that found nothing may have been too little.
#[must_use]
pub fn shortfalls(plan: &CrashPlan, run: &CrashRun) -> Vec<String> {
    if !run.discoveries.is_empty() {
        return Vec::new();
    }
    let mut told: Vec<String> = run.unjudged.iter().cloned().collect();
    if plan.disk.is_some() && run.power.is_none() && run.unjudged.is_none() {
        told.push("no power loss was judged".into());
    }
    if run.kills == Some(0) && run.unjudged.is_none() {
        told.push("the command was never killed: none of its steps touches the state folder".into());
    }
    told
}

/// The crash of a scenario in the report for people.
pub(super) fn tell(text: &mut String, scenario: &ScenarioReport) {
    let WorkReport::Crash { crash: Some(crash) } = &scenario.work else { return };
    // Of those that were not tried `unjudged` tells.
    let each = if crash.unjudged.is_some() { "" } else { "each of " };
    let kills = scenario.kills.map(|kills| format!("killed at {each}{}", plural(kills, "step")));
    let power = crash.disk.as_ref().zip(crash.states).map(|(disk, states)| {
        let calls = crash.calls.map_or_else(String::new, |calls| format!(", from {}", plural(calls, "call")));
        let more = match crash.coverage {
            RaceCoverage::Bounded => " (not all: those with up to two pieces missing)",
            _ if crash.unjudged.is_some() => " (not all)",
            _ => "",
        };
        format!("{} of a power loss on {disk}{more}{calls}", plural(states, "state"))
    });
    let tried: Vec<String> = kills.into_iter().chain(power).collect();
    line(text, &format!("  {FAINT}{}{FAINT:#}", tried.join("; ")));
    if let (Some(why), true) = (&crash.unjudged, scenario.violations_total > 0) {
        line(text, &format!("  not all of it was tried: {why}"));
    }
    for masked in &crash.masked {
        line(
            text,
            &format!("  not compared, as it differs from run to run: {}: {}", masked.place, masked.shown),
        );
    }
    if !crash.left_over.is_empty() {
        line(text, &format!("  left over by a crash, but harmless: {}", crash.left_over.join(", ")));
    }
    if !crash.mapped.is_empty() {
        line(
            text,
            &format!(
                "  ignored, and written through shared memory: {}; after a power loss it holds only what system calls wrote",
                crash.mapped.join(", ")
            ),
        );
    }
    if !crash.touched_outside.is_empty() {
        line(text, &format!("  also touched: {}", crash.touched_outside.join(", ")));
    }
}

/// The last words on a crash that ran alone.
pub(super) fn verdict(scenario: &ScenarioReport) -> Option<String> {
    let WorkReport::Crash { crash: Some(crash) } = &scenario.work else { return None };
    let mut said = Vec::new();
    if let Some(kills) = scenario.kills {
        said.push(format!("killed at each of {}", plural(kills, "step")));
    }
    if let (Some(disk), Some(states)) = (&crash.disk, crash.states) {
        let all = match crash.coverage {
            RaceCoverage::Exhausted => {
                format!("in each of the {} that {disk} allows", plural(states, "state"))
            }
            _ => format!(
                "in {} that {disk} allows, including all with up to two pieces missing",
                grouped(states) + " states"
            ),
        };
        said.push(format!("after a power loss {all}"));
    }
    Some(format!(
        "{STRONG}{}, the command leaves the state before or the one after{STRONG:#}",
        said.join(" and ")
    ))
}
