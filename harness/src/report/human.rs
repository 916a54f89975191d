//! The report for people: violations in words, one table, and a last line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use super::table::render;
use super::verdict::Verdict;
use super::{
    ControlReport, ExplorationReport, ReachReport, RunReport, ScenarioReport, ViolationReport, crash, plain,
    race, rounds, summary,
};
use crate::history::Outcome;
use crate::scenario::Kind;
use crate::violation::Class;
use crate::words::units::show_ns;
use crate::words::{grouped, plural};

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The result alone: what nobody expects, and the last line.
    Brief,
    /// One line a scenario, and all that is needed to see a violation again.
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
    run_on(report, detail, None)
}

/// The same, with tables that fit a terminal so many columns wide.
#[must_use]
pub fn run_on(report: &RunReport, detail: Detail, width: Option<u16>) -> String {
    let report = &plain::report(report);
    let told = if detail == Detail::Full { report.clone() } else { in_lives(report) };
    let report = &told;
    let mut text = String::new();
    let is_alone = report.scenarios.len() == 1;
    for scenario in &report.scenarios {
        let is_found_again = scenario.expected && !scenario.violations.is_empty();
        let is_wanted = detail == Detail::Normal && is_found_again && is_alone;
        if !scenario.expected || detail == Detail::Full || is_wanted {
            tell_scenario(&mut text, scenario, detail);
        } else if detail == Detail::Normal && is_found_again {
            tell_known(&mut text, scenario);
        }
    }
    if detail != Detail::Brief {
        tell_table(&mut text, report, detail, width);
    }
    for scenario in &report.scenarios {
        tell_failures(&mut text, scenario);
        tell_guarantee(&mut text, scenario);
        // What was told in full has said so.
        if scenario.expected && detail != Detail::Full {
            rounds::tell(&mut text, scenario);
        }
    }
    if !report.not_run.is_empty() {
        line(&mut text, &format!("\nnot run: {}", report.not_run.join(", ")));
    }
    let gap = if text.is_empty() || text.ends_with("\n\n") { "" } else { "\n" };
    line(&mut text, &format!("{gap}{}", last_line(report)));
    text
}

/// A report as people read it: of generations only which life of a container they are.
fn in_lives(report: &RunReport) -> RunReport {
    let mut told = report.clone();
    for scenario in &mut told.scenarios {
        scenario.violations = scenario.violations.iter().map(ViolationReport::in_lives).collect();
    }
    told
}

/// The table, or for a race or a crash alone, in its place, what came of it.
fn tell_table(text: &mut String, report: &RunReport, detail: Detail, width: Option<u16>) {
    let is_told = |only: &&ScenarioReport| matches!(only.work.kind(), Kind::Race | Kind::Crash);
    let [only] = report.scenarios.as_slice() else {
        separated(text, &summary::of(&report.scenarios, width));
        return;
    };
    match Some(only).filter(is_told) {
        Some(only) if only.expected && only.violations.is_empty() && detail != Detail::Full => {
            race::tell(text, only);
            crash::tell(text, only);
            let words = race::verdict(only).or_else(|| crash::verdict(only));
            text.extend(words.filter(|_| only.verdict == Verdict::Clean).map(|words| words + "\n"));
        }
        Some(_) => {}
        None => separated(text, &summary::of(&report.scenarios, width)),
    }
}

/// A block, with an empty line before it where something stands above.
fn separated(text: &mut String, block: &str) {
    if !text.is_empty() && !text.ends_with("\n\n") {
        text.push('\n');
    }
    text.push_str(block);
}

/// A known bug that was found again, among other scenarios: a line for each of its classes.
fn tell_known(text: &mut String, scenario: &ScenarioReport) {
    let name = &scenario.name;
    line(text, &format!("{STRONG}{name}{STRONG:#}: {GOOD}{}{GOOD:#}", verdict_words(scenario)));
    let mut told = BTreeSet::<Class>::new();
    for violation in worth_telling(scenario) {
        if scenario.expect.violations.contains(&violation.class) && told.insert(violation.class) {
            line(text, &format!("  {}: {}", violation.class, violation.message));
        }
    }
}

/// What happened, in a line: `passed: 33 of 33 scenarios ended as expected; 19 known bugs found again, seed 7`.
fn last_line(report: &RunReport) -> String {
    let all = report.scenarios.len() as u64;
    let good: Vec<&ScenarioReport> = report.scenarios.iter().filter(|scenario| scenario.expected).collect();
    let has_passed = report.exit_code == 0;
    let style = style_of(report.verdict, has_passed);
    let word = if has_passed { "passed" } else { report.verdict.as_str() };
    let said = match report.scenarios.as_slice() {
        [only] if only.expected && has_passed => format!("{} ended as expected", only.name),
        [only] if only.expected => {
            format!("{} ended as expected so far, but part of the work is missing", only.name)
        }
        [only] => format!("{} did not end as expected", only.name),
        _ => format!("{} of {} ended as expected", grouped(good.len() as u64), plural(all, "scenario")),
    };
    let known = good.iter().filter(|scenario| scenario.verdict == Verdict::Violation).count() as u64;
    let known = match known {
        0 => String::new(),
        _ => format!("; {} found again", plural(known, "known bug")),
    };
    let others: Vec<&str> = report
        .scenarios
        .iter()
        .filter(|scenario| !scenario.expected && all > 1)
        .map(|scenario| scenario.name.as_str())
        .collect();
    let others = match others.as_slice() {
        [] => String::new(),
        names => format!("; {} did not", names.join(", ")),
    };
    let interrupted = if report.interrupted { ", interrupted" } else { "" };
    format!("{style}{word}{style:#}: {said}{known}{others}, seed {}{interrupted}", report.seed)
}

/// The verdict of a scenario in few words, as the table shows it.
#[must_use]
pub fn verdict_words(scenario: &ScenarioReport) -> String {
    let seen = classes(scenario);
    let list =
        |classes: &mut dyn Iterator<Item = Class>| classes.map(Class::as_str).collect::<Vec<_>>().join(", ");
    let classes = list(&mut seen.keys().copied());
    let is_permitted = seen.keys().all(|class| scenario.expect.covers(*class));
    let expected = scenario.expect.violations.iter().copied();
    let missing = list(&mut expected.filter(|class| !seen.contains_key(class)));
    match (scenario.verdict, scenario.expected) {
        (Verdict::Violation, true) => format!("as expected: {classes}"),
        (Verdict::Violation, false) if is_permitted && !missing.is_empty() => {
            format!("expected {missing} did not appear")
        }
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
    if let Some(power) = &exploration.power {
        line(text, &format!("{}: {}", scenario.name, power.tell()));
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
    let told = worth_telling(scenario);
    race::tell(text, scenario);
    crash::tell(text, scenario);
    rounds::tell(text, scenario);
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

/// The violations in the order in which they are told: what nobody expects comes first, then what a known-bug scenario is about.
fn worth_telling(scenario: &ScenarioReport) -> Vec<&ViolationReport> {
    let place = |class| scenario.expect.violations.iter().position(|expected| *expected == class);
    let mut told: Vec<_> = scenario.violations.iter().collect();
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
                tell_control(text, control, detail);
            }
        }
    }
    let kept = scenario.violations.len() as u64;
    let silent: usize = told.values().map(|count| count.saturating_sub(STORIES_PER_CLASS)).sum();
    let silent = silent as u64 + scenario.violations_total.saturating_sub(kept);
    if silent > 0 {
        line(text, &format!("\n  {} of the same classes", plural(silent, "more violation")));
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

fn tell_control(text: &mut String, control: &ControlReport, detail: Detail) {
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
    indented(text, control.table.told(detail));
}

fn tell_details(text: &mut String, scenario: &ScenarioReport) {
    if let Some(exploration) = scenario.exploration() {
        return tell_exploration(text, scenario, exploration);
    }
    if let Some(startup_s) = scenario.startup_s {
        let startup = show_ns(std::time::Duration::from_secs_f64(startup_s.max(0.0)).as_nanos() as u64);
        line(text, &format!("  first operation after {startup}; ran for {:.3}s", scenario.duration_s));
    }
    if let Some(reach) = &scenario.reach {
        tell_reach(text, reach);
    }
    tell_checks(text, scenario);
}

fn tell_reach(text: &mut String, reach: &ReachReport) {
    if reach.pairs_possible > 0 {
        let (seen, possible) = (reach.pairs_seen, reach.pairs_possible);
        line(text, &format!("  pairs of processes that met: {seen} of {possible}"));
    }
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
            "  {}: {}; {}, {} abandoned half-way, {} with a fault, {} repeated step by step",
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
            vec![check.name.to_string(), grouped(check.examined), verdict]
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
