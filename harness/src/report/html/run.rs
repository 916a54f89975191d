//! report.html of a run, from what it left. It answers in this order: what was promised, what broke, when, who did it, how
//! to see it again.

use maud::{Markup, html};

use super::timeline::{self, Locks, Spot, Timeline};
use super::{commands, facts, machine, page, walk};
use crate::check::search::Explanation;
use crate::finding::moments::Walk;
use crate::finding::{Finding, RaceFinding};
use crate::history::holds::Holds;
use crate::history::{History, Outcome};
use crate::model::Model;
use crate::report::lives::Lives;
use crate::report::reproduce::quoted;
use crate::report::stored::{BenchSummary, Stored, StoredRun};
use crate::report::verdict::Verdict;
use crate::report::{CheckReport, ReachReport, ScenarioReport, ViolationReport, WorkReport};
use crate::results::{RunRecord, RunStatus};
use crate::violation::Class;
use crate::words::grouped;

/// More violations than these are folded.
const SHOWN_MAX: usize = 8;

/// What a page shows.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// What the run left.
    pub stored: &'a StoredRun,
    /// Its violations, each with what was kept of it, in the order of the report.
    pub broken: &'a [Broken],
    /// The operations that are drawn, and how many of the run they are.
    pub history: Option<(&'a History, Source)>,
    /// Where the violations lie among them.
    pub spots: &'a [Spot],
    /// Who held which lock meanwhile, where it was kept.
    pub holds: Option<&'a Holds>,
}

/// What the drawn operations are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// All of the run.
    Whole,
    /// Those around the first violation.
    Window,
}

/// A violation with what was kept of it.
#[derive(Clone, Debug)]
pub struct Broken {
    /// What the report says.
    pub report: ViolationReport,
    /// The stored finding; none where it was not kept.
    pub finding: Option<Finding>,
    /// The interleaving, where it was seen under control.
    pub walk: Option<Walk>,
    /// The longest legal order and where it ends, a line each, where no order is legal.
    pub order: Option<Vec<String>>,
}

/// The longest legal order of what a search found illegal, and where it ends.
#[must_use]
pub fn order_of(explanation: &Explanation, model: &Model) -> Vec<String> {
    explanation.lines(model.table())
}

/// The page. Without a summary the run was cut short, and the page says so.
#[must_use]
pub fn show(about: &Page<'_>) -> String {
    let stored = about.stored;
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
        @if let Some(Stored::Scenario(report)) = &stored.summary {
            (promised(run, report))
            (violations(about))
            (timeline(about, report))
            h2 { "Figures" }
            (facts(&numbers(report)))
            (checks(&report.checks))
            @if let Some(reach) = &report.reach { (reached(reach)) }
        }
        h2 { "Machine" }
        (facts(&place(run)))
        h2 { "Command" }
        pre { code { (run.argv.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")) } }
        h2 { "Scenario" }
        @if !run.scenario.overrides.is_empty() {
            p { "With " @for set in &run.scenario.overrides { code { (set) } " " } }
        }
        pre { code { (run.scenario.text) } }
        @if about.broken.iter().any(|broken| broken.walk.is_some()) { (walk::script()) }
    };
    page(&title, "", &body)
}

/// What the scenario is about, and what it expects.
fn promised(run: &RunRecord, report: &ScenarioReport) -> Markup {
    let table = toml::from_str::<toml::Table>(&run.scenario.text).unwrap_or_default();
    let about = table.get("about").and_then(toml::Value::as_str).unwrap_or_default().to_owned();
    let classes = |classes: &[Class]| classes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    html! {
        h2 { "What was promised" }
        @if !about.is_empty() { p { (about) } }
        p {
            "Tested: " strong { (report.subject) } ". "
            @if report.expect.violations.is_empty() {
                "No promise may be broken"
            } @else {
                "A known bug: " strong { (classes(&report.expect.violations)) } " must show"
            }
            @if !report.expect.also.is_empty() { ", and these may: " (classes(&report.expect.also)) }
            "."
        }
    }
}

fn violations(about: &Page<'_>) -> Markup {
    let (first, rest) = about.broken.split_at(about.broken.len().min(SHOWN_MAX));
    // The timeline knows only those that have operations.
    let spot = |broken: &Broken| {
        let message = &broken.finding.as_ref()?.message;
        about.history?;
        about
            .spots
            .iter()
            .position(|spot| spot.message == *message && spot.class == broken.report.class.as_str())
    };
    html! {
        h2 { "What broke" }
        @if about.broken.is_empty() { p { "Nothing." } }
        @for broken in first { (violation(broken, spot(broken), about.history.is_some())) }
        @if !rest.is_empty() { details {
            summary { (grouped(rest.len() as u64)) " more" }
            @for broken in rest { (violation(broken, spot(broken), about.history.is_some())) }
        } }
    }
}

fn violation(broken: &Broken, spot: Option<usize>, is_drawn: bool) -> Markup {
    let report = &broken.report.in_lives();
    let class = if report.expected { "doubtful" } else { "bad" };
    html! {
        section.finding {
            h3 { span class=(class) { (report.class.as_str()) } @if report.expected { " (expected)" } " " code.faint { (report.signature) } }
            p.lines { (report.message) }
            @if let Some(explained) = &report.explained { p { (explained) } }
            @if let Some(rate) = report.rate() {
                p.faint { (rate) }
            }
            @if let Some(number) = spot {
                p { button type="button" data-finding=(number) { "Show it on the timeline" } }
            }
            @if let Some(race) = finding_of_race(broken) { (commands::race(race)) }
            @if let Some(crash) = broken.finding.as_ref().and_then(|finding| finding.crash.as_deref()) { (commands::crash(crash)) }
            @if let Some(walk) = &broken.walk { (walk::show(walk)) }
            @if let Some(order) = &broken.order { details open=[broken.walk.is_none().then_some("")] {
                summary { "Why no order is legal: the longest legal order, and where it ends" }
                pre { (order.join("\n")) }
            } }
            @if let Some(finding) = &broken.finding { (window(finding, &report.lives, is_drawn || broken.walk.is_some())) }
            p { "See it again:" }
            pre { code { (report.reproduce) } }
        }
    }
}

fn finding_of_race(broken: &Broken) -> Option<&RaceFinding> {
    broken.finding.as_ref()?.race.as_deref()
}

/// The operations around a violation, as a table: it says without script, colour or canvas what the timeline shows.
fn window(finding: &Finding, lives: &Lives, is_folded: bool) -> Markup {
    let text = |glimpse: &crate::finding::Glimpse, name: &str| match glimpse.operation.get(name) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    html! { @if !finding.window.is_empty() { details open=[(!is_folded).then_some("")] {
        summary { "The operations around it" }
        div.wide { table {
            thead { tr { th {} th.number { "from, ms" } th.number { "to, ms" } th { "process" } th { "operation" } th { "how it ended" } } }
            tbody { @for glimpse in &finding.window { tr class=[glimpse.decisive.then_some("decisive")] {
                td { @if glimpse.decisive { "▶" } }
                td.number { (format!("{:.3}", glimpse.invoke_ms)) }
                td.number { (glimpse.return_ms.map_or_else(|| "open".into(), |end_ms| format!("{end_ms:.3}"))) }
                td { "p" (text(glimpse, "process")) }
                td { (text(glimpse, "op")) }
                td.words { (lives.tell(&glimpse.ending)) }
            } } }
        } }
    } } }
}

fn timeline(about: &Page<'_>, report: &ScenarioReport) -> Markup {
    let Some((history, source)) = about.history else { return html! {} };
    html! {
        h2 { "Timeline" }
        @if source == Source::Window {
            p.faint { "Only the operations around the first violation were kept; --keep-history keeps all." }
        }
        (timeline::show(&Timeline { history, violations: about.spots, workers: report.processes, locks: locks(about, report) }))
    }
}

/// Who held which lock, or why that is not known: the check that needs it too says why it could not look.
fn locks<'a>(about: &Page<'a>, report: &'a ScenarioReport) -> Locks<'a> {
    let unwatched = || {
        let check = report.checks.iter().find(|check| check.name.class() == Class::LockOverlap)?;
        check.not_applicable.as_deref()
    };
    about.holds.map_or_else(|| Locks::NotSeen(unwatched().unwrap_or("the run did not keep it")), Locks::Seen)
}

pub(super) fn verdict(verdict: Verdict, expected: bool, reasons: &[String]) -> Markup {
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

/// What a scenario came to, without what its folder keeps.
pub(super) fn outcome(report: &ScenarioReport) -> Markup {
    html! {
        (facts(&numbers(report)))
        @for violation in &report.violations { (self::violation(&Broken::alone(violation), None, false)) }
        (checks(&report.checks))
        @if let Some(reach) = &report.reach { (reached(reach)) }
    }
}

impl Broken {
    fn alone(report: &ViolationReport) -> Self {
        Self { report: report.clone(), finding: None, walk: None, order: None }
    }
}

/// What was observed; what was not is left out.
fn numbers(report: &ScenarioReport) -> Vec<(&'static str, String)> {
    let exploration = report.exploration();
    let (race, crash) = match &report.work {
        WorkReport::Race { race } => (race.as_ref(), None),
        WorkReport::Crash { crash } => (None, crash.as_ref()),
        WorkReport::Stress | WorkReport::Bench | WorkReport::Explore { .. } => (None, None),
    };
    let known = [
        ("Subject", Some(report.subject.clone())),
        ("Processes", Some(report.processes.to_string())),
        ("Operations", Some(grouped(report.operations))),
        ("Failed operations", (race.is_none() && crash.is_none()).then(|| grouped(report.failed))),
        ("Seconds", Some(format!("{:.3}", report.duration_s))),
        ("Kills", report.kills.map(grouped)),
        ("Handoff ratio", report.handoff_ratio.map(|ratio| format!("{ratio:.3}"))),
        ("Schedules", report.schedules.map(grouped)),
        ("Strategy", exploration.map(|exploration| exploration.strategy.clone())),
        ("Coverage", exploration.map(|exploration| exploration.coverage.to_string())),
        ("Executions that overlap", race.map(|race| grouped(race.executions))),
        ("Sequential orders", race.map(|race| grouped(race.sequential_orders))),
        ("Coverage", race.map(|race| race.coverage.as_str().to_owned())),
        ("Disk model", crash.and_then(|crash| crash.disk.clone())),
        ("States of a power loss", crash.and_then(|crash| crash.states).map(grouped)),
        ("Coverage", crash.map(|crash| crash.coverage.as_str().to_owned())),
    ];
    known.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn checks(checks: &[CheckReport]) -> Markup {
    html! { @if !checks.is_empty() {
        h2 { "Checks" }
        div.wide { table {
            thead { tr { th { "check" } th.number { "examined" } th { "verdict" } } }
            tbody { @for check in checks { tr {
                td { (check.name.as_str()) }
                td.number { (grouped(check.examined)) }
                td.words { @if let Some(why) = &check.not_applicable {
                    "not applicable, because " (why)
                } @else {
                    (check.verdict) @if let Some(why) = &check.inconclusive { ": " (why) }
                } }
            } } }
        } }
    } }
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
