//! The report for people: violations in words, one table, and a last line.

use std::collections::BTreeMap;
use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use super::table::render;
use super::verdict::Verdict;
use super::{
    ControlReport, ExplorationReport, ReachReport, RunReport, ScenarioReport, ViolationReport, crash, plain,
    race, summary,
};
use crate::history::Outcome;
use crate::scenario::Kind;
use crate::violation::Class;
use crate::words::units::show_ns;
use crate::words::{grouped, plural};

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What matters.
    Normal,
    /// Checks, reach and times as well, and expected violations as fully as the others.
    Full,
}

/// More of one class say little that the first does not.
const STORIES_PER_CLASS: usize = 1;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
pub(super) const STRONG: Style = Style::new().bold();
pub(super) const FAINT: Style = Style::new().dimmed();

/// The whole report. It has colours; whoever prints it strips them where they are not wanted.
#[must_use]
pub fn run(report: &RunReport, detail: Detail) -> String {
    let report = &plain::report(report);
    let mut text = String::new();
    let is_alone = report.scenarios.len() == 1;
    for scenario in &report.scenarios {
        // Whoever explores one scenario wants to see what it found, expected or not.
        let is_wanted = is_alone && scenario.violations.iter().any(|violation| violation.control.is_some());
        if !scenario.expected || is_wanted || detail == Detail::Full {
            tell_scenario(&mut text, scenario, detail);
        }
    }
    // Whoever races commands reads what came of it, not a table of one row.
    let is_told = |only: &&ScenarioReport| matches!(only.work.kind(), Kind::Race | Kind::Crash);
    let race = report.scenarios.first().filter(|only| is_alone && is_told(only));
    match race {
        Some(only) if only.expected && detail != Detail::Full => {
            race::tell(&mut text, only);
            crash::tell(&mut text, only);
            text.extend(
                race::verdict(only)
                    .or_else(|| crash::verdict(only))
                    .filter(|_| only.verdict == Verdict::Clean)
                    .map(|words| words + "\n"),
            );
        }
        Some(_) => {}
        None => text.push_str(&summary::of(&report.scenarios)),
    }
    for scenario in &report.scenarios {
        tell_failures(&mut text, scenario);
        tell_guarantee(&mut text, scenario);
    }
    if !report.not_run.is_empty() {
        line(&mut text, &format!("\nnot run: {}", report.not_run.join(", ")));
    }
    let style = style_of(report.verdict, report.exit_code == 0);
    let scenarios = plural(report.scenarios.len() as u64, "scenario");
    let interrupted = if report.interrupted { ", interrupted" } else { "" };
    let verdict = report.verdict.as_str();
    line(&mut text, &format!("\n{style}{verdict}{style:#}: {scenarios}, seed {}{interrupted}", report.seed));
    text
}

/// The verdict of a scenario in few words, as the table shows it.
#[must_use]
pub fn verdict_words(scenario: &ScenarioReport) -> String {
    let classes = classes(scenario).into_keys().map(Class::as_str).collect::<Vec<_>>().join(", ");
    match (scenario.verdict, scenario.expected) {
        (Verdict::Violation, true) => format!("as expected: {classes}"),
        (Verdict::Violation, false) => format!("violation: {classes}"),
        (Verdict::Clean, false) => "expected violation did not appear".into(),
        (verdict, _) => verdict.as_str().into(),
    }
}

/// An error is no violation, but of a subject that is to be sound people want to know.
fn tell_failures(text: &mut String, scenario: &ScenarioReport) {
    let Some(first) = scenario.first_failure.as_ref().filter(|_| scenario.verdict != Verdict::Violation)
    else {
        return;
    };
    let failures = plural(scenario.failed, "operation");
    line(text, &format!("{}: {failures} failed; the first said: {first}", scenario.name));
}

/// What a strategy that samples is good for, nobody can see in the number of its schedules.
fn tell_guarantee(text: &mut String, scenario: &ScenarioReport) {
    let Some(exploration) = scenario.exploration() else { return };
    if let Some(guarantee) = exploration.guarantee {
        line(text, &format!("{}: {}: {guarantee}", scenario.name, exploration.strategy));
    }
}

fn tell_scenario(text: &mut String, scenario: &ScenarioReport, detail: Detail) {
    let style = style_of(scenario.verdict, scenario.expected);
    let name = &scenario.name;
    line(text, &format!("{STRONG}{name}{STRONG:#}: {style}{}{style:#}", verdict_words(scenario)));
    // Nobody who races commands expects anything but what is told below.
    let is_race =
        matches!(scenario.work.kind(), Kind::Race | Kind::Crash) && scenario.expect.violations.is_empty();
    for reason in scenario.reasons.iter().filter(|_| !is_race || scenario.violations.is_empty()) {
        line(text, &format!("  {reason}"));
    }
    let told = worth_telling(scenario, detail);
    race::tell(text, scenario);
    crash::tell(text, scenario);
    tell_violations(text, scenario, &told, detail);
    if let Some(violation) = told.first().copied().or(scenario.violations.first()) {
        line(text, &format!("\n  run it again: {STRONG}{}{STRONG:#}", violation.reproduce));
    }
    if detail == Detail::Full {
        tell_details(text, scenario);
    }
    if let Some(results) = &scenario.results {
        line(text, &format!("  {FAINT}evidence: {}{FAINT:#}", results.display()));
    }
    text.push('\n');
}

/// The violations to be told, in their order: what nobody expects comes first, then what a known-bug scenario is about.
fn worth_telling(scenario: &ScenarioReport, detail: Detail) -> Vec<&ViolationReport> {
    let is_told = |violation: &&ViolationReport| {
        !violation.expected || violation.control.is_some() || detail == Detail::Full
    };
    let place = |class| scenario.expect.violations.iter().position(|expected| *expected == class);
    let mut told: Vec<_> = scenario.violations.iter().filter(is_told).collect();
    told.sort_by_key(|violation| (violation.expected, place(violation.class).unwrap_or(usize::MAX)));
    told
}

fn tell_violations(
    text: &mut String,
    scenario: &ScenarioReport,
    violations: &[&ViolationReport],
    detail: Detail,
) {
    let mut told = BTreeMap::<Class, usize>::new();
    // One table in full: those of other classes are often of the same bug, and lie in their findings.
    let mut table_is_told = false;
    for violation in violations {
        let count = told.entry(violation.class).or_default();
        *count += 1;
        if *count <= STORIES_PER_CLASS {
            tell_violation(text, violation);
            if let Some(control) =
                violation.control.as_ref().filter(|_| !table_is_told || detail == Detail::Full)
            {
                table_is_told = true;
                tell_control(text, control);
            }
        }
    }
    let kept = scenario.violations.len() as u64;
    let silent: usize = told.values().map(|count| count.saturating_sub(STORIES_PER_CLASS)).sum();
    let silent = silent as u64 + scenario.violations_total.saturating_sub(kept);
    if silent > 0 {
        line(text, &format!("  and {} more of them", grouped(silent)));
    }
}

fn tell_violation(text: &mut String, violation: &ViolationReport) {
    line(text, &format!("\n  {BAD}{}{BAD:#}: {}", violation.class, violation.message));
    for operation in &violation.story {
        line(text, &format!("    {operation}"));
    }
    if let Some(explained) = &violation.explained {
        line(text, &format!("  {explained}"));
    }
    if let Some(finding) = &violation.finding {
        line(text, &format!("  finding: {}", finding.display()));
    }
}

fn tell_control(text: &mut String, control: &ControlReport) {
    let end = if control.minimal { "" } else { ", as far as it was shrunk" };
    line(
        text,
        &format!(
            "  found by schedule {}, and shrunk to {}, {}, {}{end}:\n",
            grouped(control.found_by_schedule),
            plural(control.processes as u64, "process"),
            plural(control.operations as u64, "operation"),
            plural(u64::from(control.preemptions), "preemption"),
        ),
    );
    indented(text, &control.table);
}

fn tell_details(text: &mut String, scenario: &ScenarioReport) {
    if let Some(exploration) = scenario.exploration() {
        return tell_exploration(text, scenario, exploration);
    }
    if let Some(startup_s) = scenario.startup_s {
        let startup = show_ns(std::time::Duration::from_secs_f64(startup_s.max(0.0)).as_nanos() as u64);
        line(text, &format!("  first operation after {startup}, then {:.3}s", scenario.duration_s));
    }
    if let Some(reach) = &scenario.reach {
        tell_reach(text, reach);
    }
    tell_checks(text, scenario);
}

fn tell_reach(text: &mut String, reach: &ReachReport) {
    line(text, &format!("  pairs of processes that met: {} of {}", reach.pairs_seen, reach.pairs_possible));
    if !reach.counts.is_empty() {
        let header: Vec<&str> =
            std::iter::once("operation").chain(Outcome::ALL.map(Outcome::as_str)).collect();
        let rows = reach.counts.iter().map(|(operation, counts)| {
            let counts = Outcome::ALL.map(|outcome| grouped(counts.get(&outcome).copied().unwrap_or(0)));
            std::iter::once(operation.clone()).chain(counts).collect()
        });
        indented(text, &render(&header, &rows.collect::<Vec<_>>(), 1..5));
    }
}

fn tell_exploration(text: &mut String, scenario: &ScenarioReport, exploration: &ExplorationReport) {
    line(
        text,
        &format!(
            "  {}: {}; {} and {} left half-way, {} with a fault, {} repeated step by step",
            exploration.strategy,
            exploration.coverage,
            plural(scenario.schedules.unwrap_or(0), "schedule"),
            grouped(exploration.redundant),
            grouped(exploration.faulted),
            grouped(exploration.repeated),
        ),
    );
    let waits = plural(exploration.blocked, "wait");
    line(text, &format!("  {} and {waits} for a lock", plural(exploration.steps, "step")));
    tell_checks(text, scenario);
}

fn tell_checks(text: &mut String, scenario: &ScenarioReport) {
    if !scenario.checks.is_empty() {
        let rows = scenario.checks.iter().map(|check| {
            let verdict = match (&check.not_applicable, &check.inconclusive) {
                (Some(why), _) => format!("not applicable, because {why}"),
                (None, Some(why)) => format!("{}: {why}", check.verdict),
                (None, None) => check.verdict.to_string(),
            };
            vec![check.name.clone(), grouped(check.examined), verdict]
        });
        indented(text, &render(&["check", "examined", "verdict"], &rows.collect::<Vec<_>>(), 1..2));
    }
}

fn classes(scenario: &ScenarioReport) -> BTreeMap<Class, u64> {
    let mut classes = BTreeMap::new();
    for violation in &scenario.violations {
        *classes.entry(violation.class).or_default() += 1;
    }
    classes
}

pub(super) const fn style_of(verdict: Verdict, expected: bool) -> Style {
    match (verdict, expected) {
        (_, true) => GOOD,
        (Verdict::Inconclusive, false) => DOUBTFUL,
        (_, false) => BAD,
    }
}

fn indented(text: &mut String, block: &str) {
    for row in block.lines() {
        line(text, &format!("  {row}"));
    }
}

pub(super) fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String takes all");
}
