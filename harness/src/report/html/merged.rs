//! report.html of what `flockwork merge` united.

use maud::html;

use super::page;
use super::run::{outcome, verdict};
use crate::report::RunReport;
use crate::words::plural;

/// The page of several runs that were merged, as HTML; the missing ones are named at its head.
#[must_use]
pub fn show(report: &RunReport, missing: &[String], command_line: &[String]) -> String {
    let scenarios = plural(report.scenarios.len() as u64, "scenario");
    let title = format!("Merged: {}", report.verdict.as_str());
    let body = html! {
        h1 { (title) }
        p { (scenarios) ", seed " (report.seed) ", exit code " (report.exit_code) }
        @if !missing.is_empty() {
            p.doubtful { "Something is missing:" }
            ul { @for words in missing { li { (words) } } }
        }
        @for scenario in &report.scenarios {
            h2 { (scenario.name) }
            (verdict(scenario.verdict, scenario.expected, &scenario.reasons))
            (outcome(scenario))
        }
        h2 { "Command" }
        pre { code { (command_line.join(" ")) } }
    };
    page(&title, "", &body)
}
