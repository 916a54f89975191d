//! report.html of a run, from what it left.

use maud::{Markup, html};

use super::{facts, machine, page};
use crate::history::Outcome;
use crate::report::stored::{BenchSummary, Stored, StoredRun};
use crate::report::verdict::Verdict;
use crate::report::{CheckReport, ReachReport, ScenarioReport, ViolationReport};
use crate::results::{RunRecord, RunStatus};
use crate::words::grouped;

/// The page. Without a summary the run was cut short, and the page says so.
#[must_use]
pub fn show(stored: &StoredRun) -> String {
    let run = &stored.run;
    let title = format!("Run of {}", run.scenario.name);
    let body = html! {
        h1 { (title) }
        @match &stored.summary {
            Some(Stored::Scenario(report)) => (verdict(report.verdict, report.expected, &report.reasons)),
            Some(Stored::Bench(bench)) => (measured(bench)),
            None => p.doubtful { "No summary: the run was cut short, or is not over." },
        }
        @if run.status == RunStatus::Incomplete && stored.summary.is_some() {
            p.doubtful { "The run is marked incomplete." }
        }
        h2 { "Machine" }
        (facts(&place(run)))
        @if let Some(Stored::Scenario(report)) = &stored.summary { (outcome(report)) }
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

fn verdict(verdict: Verdict, expected: bool, reasons: &[String]) -> Markup {
    let class = match verdict {
        _ if expected => "good",
        Verdict::Inconclusive => "doubtful",
        _ => "bad",
    };
    html! {
        p { strong class=(class) { (verdict.as_str()) }
            @if expected { ", as the scenario expects" } @else { ", which the scenario does not expect" }
        }
        ul { @for reason in reasons { li { (reason) } } }
    }
}

fn measured(bench: &BenchSummary) -> Markup {
    html! {
        (verdict(bench.verdict, bench.verdict == Verdict::Clean, &bench.reasons))
        p { "bench.json, which holds the figures, is not in the folder." }
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

fn outcome(report: &ScenarioReport) -> Markup {
    html! {
        h2 { "Numbers" }
        (facts(&numbers(report)))
        h2 { "Violations" }
        @if report.violations.is_empty() { p { "None." } }
        @for violation in &report.violations { (broken(violation)) }
        (checks(&report.checks))
        @if let Some(reach) = &report.reach { (reached(reach)) }
    }
}

/// What was observed; what was not is left out.
fn numbers(report: &ScenarioReport) -> Vec<(&'static str, String)> {
    let exploration = report.exploration();
    let known = [
        ("Subject", Some(report.subject.clone())),
        ("Processes", Some(report.processes.to_string())),
        ("Operations", Some(grouped(report.operations))),
        ("Failed operations", Some(grouped(report.failed))),
        ("Seconds", Some(format!("{:.3}", report.duration_s))),
        ("Kills", report.kills.map(grouped)),
        ("Handoff ratio", report.handoff_ratio.map(|ratio| format!("{ratio:.3}"))),
        ("Schedules", report.schedules.map(grouped)),
        ("Strategy", exploration.map(|exploration| exploration.strategy.clone())),
        ("Coverage", exploration.map(|exploration| exploration.coverage.to_string())),
    ];
    known.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn broken(violation: &ViolationReport) -> Markup {
    html! {
        h3 { (violation.class.as_str()) " " code.faint { (violation.signature) } }
        p { (violation.message) }
        @if let Some(explained) = &violation.explained { p { (explained) } }
        pre { code { (violation.reproduce) } }
    }
}

fn checks(checks: &[CheckReport]) -> Markup {
    html! {
        h2 { "Checks" }
        div.wide { table {
            thead { tr { th { "check" } th.number { "examined" } th { "verdict" } } }
            tbody { @for check in checks { tr {
                td { (check.name) }
                td.number { (grouped(check.examined)) }
                td.words { @if let Some(why) = &check.not_applicable {
                    "not applicable, because " (why)
                } @else {
                    (check.verdict) @if let Some(why) = &check.inconclusive { ": " (why) }
                } }
            } } }
        } }
    }
}

fn reached(reach: &ReachReport) -> Markup {
    html! { @if !reach.counts.is_empty() {
        h2 { "Operations" }
        div.wide { table {
            thead { tr { th { "operation" } @for outcome in Outcome::ALL { th.number { (outcome) } } } }
            tbody { @for (operation, counts) in &reach.counts { tr {
                td { (operation) }
                @for outcome in Outcome::ALL {
                    td.number { (grouped(counts.get(&outcome).copied().unwrap_or(0))) }
                }
            } } }
        } }
    } }
}
