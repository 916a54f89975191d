//! What a race or a crash of commands broke, for the page: how what was left differs from what is right, and after a crash
//! what had reached the disk.

use maud::{Markup, html};

use crate::finding::crash::StepRecord;
use crate::finding::race::DifferenceRecord;
use crate::finding::{CrashFinding, RaceFinding};
use crate::report::plain;

/// What is known of a race.
#[must_use]
pub fn race(race: &RaceFinding) -> Markup {
    html! {
        ol { @for commands in &race.processes { li { code { (commands.join(", then ")) } } } }
        @if !race.nearest.is_empty() {
            p { "The nearest sequential order: " strong { (race.nearest) } "." }
        }
        (differences("that order gives", "this execution gave", &race.differences))
        @if !race.waiting.is_empty() {
            p { "Who waits for what:" }
            ul { @for waiting in &race.waiting { li { (waiting) } } }
        }
    }
}

/// What is known of a crash.
#[must_use]
pub fn crash(crash: &CrashFinding) -> Markup {
    let is_power_loss = crash.disk.is_some();
    html! {
        p { code { (crash.command) } ": "
            @match &crash.disk {
                Some(disk) => { "power loss, on a disk that keeps what " strong { (disk) } " promises." }
                None => { "it was killed." }
            }
        }
        div.wide { table {
            thead { tr { th.number { "step" } th { "what it did" } th { @if is_power_loss { "what had reached the disk" } @else { "whether it was done" } } } }
            tbody { @for (number, step) in crash.steps.iter().enumerate() {
                tr class=[is_lost(step).then_some("decisive")] {
                    td.number { (number + 1) }
                    td.words { (step.step) }
                    td { (sign(step)) " " (words(&step.reached)) }
                }
            } }
        } }
        (differences("expected", "found", &crash.differences))
        @if crash.is_undone { p { "The state itself is right, but the command had already reported success." } }
        @if !crash.mends.is_empty() {
            p { "Each of these alone makes every state right:" }
            ul { @for mend in &crash.mends { li { (mend) } } }
        }
    }
}

fn differences(expected: &str, found: &str, differences: &[DifferenceRecord]) -> Markup {
    let shown = |text: &Option<String>| {
        text.as_deref().map_or_else(|| "(nothing)".to_owned(), |text| plain::lines(text).into_owned())
    };
    html! { @if !differences.is_empty() {
        div.wide { table {
            thead { tr { th { "where" } th { (expected) } th { (found) } } }
            tbody { @for difference in differences { tr {
                td.words { (difference.place) }
                td.words { code { (shown(&difference.expected)) } }
                td.words { code { (shown(&difference.found)) } }
            } } }
        } }
    } }
}

fn is_lost(step: &StepRecord) -> bool {
    matches!(step.reached.as_str(), "lost" | "part" | "not-made")
}

/// A sign as well as words: colours alone are not enough.
fn sign(step: &StepRecord) -> &'static str {
    if is_lost(step) { "✕" } else { "✓" }
}

fn words(reached: &str) -> &str {
    match reached {
        "disk" => "all of it",
        "part" => "a part of it",
        "lost" => "nothing of it",
        "sync" => "synced what came before",
        "not-made" => "not made: the crash came before it",
        "done" => "done",
        other => other,
    }
}
