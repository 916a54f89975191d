//! report.html of a stress run or an exploration, from what it left: run.json and summary.json.

use maud::{Markup, html};
use serde_json::Value;

use super::{facts, machine, page};
use crate::results::{RunRecord, RunStatus};

/// The page. Without a summary the run was cut short, and the page says so.
#[must_use]
pub fn show(run: &RunRecord, summary: Option<&Value>) -> String {
    let title = format!("Run of {}", run.scenario.name);
    let body = html! {
        h1 { (title) }
        @match summary {
            Some(summary) => (verdict(summary)),
            None => p.doubtful { "No summary: the run was cut short, or is not over." },
        }
        @if run.status == RunStatus::Incomplete && summary.is_some() {
            p.doubtful { "The run is marked incomplete." }
        }
        h2 { "Machine" }
        (facts(&place(run)))
        @if let Some(summary) = summary {
            (numbers(summary))
            (violations(summary))
            (checks(summary))
            (reach(summary))
        }
        h2 { "Command" }
        pre { code { (run.argv.join(" ")) } }
        h2 { "Scenario" }
        @if !run.scenario.overrides.is_empty() {
            p { "With " @for set in &run.scenario.overrides { code { (set) } " " } }
        }
        pre { code { (run.scenario.text) } }
    };
    page(&title, "", &body)
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or("-")
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// A number or a word as it stands in the summary.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn verdict(summary: &Value) -> Markup {
    let is_expected = summary["expected"].as_bool().unwrap_or(false);
    let class = match text(summary, "verdict") {
        _ if is_expected => "good",
        "inconclusive" => "doubtful",
        _ => "bad",
    };
    html! {
        p { strong class=(class) { (text(summary, "verdict")) }
            @if is_expected { ", as the scenario expects" } @else { ", which the scenario does not expect" }
        }
        ul { @for reason in list(summary, "reasons") { li { (plain(reason)) } } }
    }
}

fn place(run: &RunRecord) -> Vec<(&'static str, String)> {
    let mut all = machine(&run.machine);
    if let Some(filesystem) = &run.filesystem {
        all.push(("Filesystem", format!("{} at {}", filesystem.kind, filesystem.path.display())));
    }
    all.push(("Started", run.started_at.clone()));
    all.push(("Ended", run.ended_at.clone().unwrap_or_else(|| "-".into())));
    all.push(("Seed", run.seed.to_string()));
    all.push(("flockwork", run.version.clone()));
    all
}

const NUMBERS: [(&str, &str); 10] = [
    ("Subject", "subject"),
    ("Processes", "processes"),
    ("Operations", "operations"),
    ("Failed operations", "failed"),
    ("Seconds", "duration_s"),
    ("Kills", "kills"),
    ("Handoff ratio", "handoff_ratio"),
    ("Schedules", "schedules"),
    ("Strategy", "strategy"),
    ("Coverage", "coverage"),
];

fn numbers(summary: &Value) -> Markup {
    let known = NUMBERS.into_iter().filter(|(_, key)| !summary[*key].is_null());
    let all: Vec<_> = known.map(|(name, key)| (name, plain(&summary[key]))).collect();
    html! { h2 { "Numbers" } (facts(&all)) }
}

fn violations(summary: &Value) -> Markup {
    let violations = list(summary, "violations");
    html! {
        h2 { "Violations" }
        @if violations.is_empty() { p { "None." } }
        @for violation in violations {
            h3 { (text(violation, "class")) " " code.faint { (text(violation, "signature")) } }
            p { (text(violation, "message")) }
            @if let Some(explained) = violation["explained"].as_str() { p { (explained) } }
            pre { code { (text(violation, "reproduce")) } }
        }
    }
}

fn checks(summary: &Value) -> Markup {
    html! {
        h2 { "Checks" }
        div.wide { table {
            thead { tr { th { "check" } th.number { "examined" } th { "verdict" } } }
            tbody { @for check in list(summary, "checks") { tr {
                td { (text(check, "name")) }
                td.number { (plain(&check["examined"])) }
                td.words { (text(check, "verdict"))
                    @if let Some(why) = check["inconclusive"].as_str() { ": " (why) } }
            } } }
        } }
    }
}

fn reach(summary: &Value) -> Markup {
    let counts = summary["reach"]["counts"].as_object();
    let outcomes = ["ok", "refused", "failed", "unknown"];
    html! { @if let Some(counts) = counts.filter(|counts| !counts.is_empty()) {
        h2 { "Operations" }
        div.wide { table {
            thead { tr { th { "operation" } @for outcome in outcomes { th.number { (outcome) } } } }
            tbody { @for (operation, counts) in counts { tr {
                td { (operation) }
                @for outcome in outcomes { td.number { (counts[outcome].as_u64().unwrap_or(0)) } }
            } } }
        } }
    } }
}
