//! report.html of a benchmark: what it came to, where and how it was measured, table, charts, and the command.

use maud::{Markup, PreEscaped, html};

use super::chart::{self, Chart, Kind};
use super::columns::{self, Remark};
use super::{BenchReport, human};
use crate::measure::statistics::RESAMPLES;
use crate::measure::threshold::{Assessment, Outcome};
use crate::measure::view::Group;
use crate::measure::{Metric, Point};
use crate::report::html::{facts, machine, page};
use crate::report::reproduce::quoted;
use crate::report::table::bytes;
use crate::words::plural;

/// The warnings about more cells than these are folded.
const WARNED_MAX: usize = 8;

/// More groups of cells than these are only marked in the table.
const GROUPS_MAX: usize = 6;

/// More charts of one kind than these are folded.
const SHOWN_MAX: usize = 8;

/// What a page tells besides the record.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// The command that measures the same again, ready for a shell; `None`: as the record's command line has it.
    pub reproduce: Option<String>,
    /// The scenario's text.
    pub scenario: Option<String>,
}

/// A table of many columns needs more room than prose; a chart that is squeezed is not read, so a narrow screen has its own.
const STYLE: &str = "main{max-width:1560px}th,td{padding:5px 7px;font-size:13px}th{white-space:normal;vertical-align:bottom}td:last-child{white-space:normal;min-width:18ch}\
    .narrow{display:none}@media (max-width:760px){.roomy{display:none}.narrow{display:block}}";

pub fn show(report: &BenchReport<'_>, scene: &Scene) -> String {
    let record = report.view.record;
    let title = format!("Benchmark {}", record.scenario);
    let body = html! {
        h1 { (title) }
        (summary(report))
        @for sentence in report.answer() { p { (sentence) } }
        (charts(&report.charts()))
        h2 { "Results" }
        @if !report.view.constant.is_empty() { p.faint { "Everywhere: " (report.view.constants()) "." } }
        (table(report))
        (invalid(report))
        (thresholds(report))
        (warnings(report))
        h2 { "Run it again" }
        pre { code { (reproduce(report, scene)) } }
        h2 { "Machine" }
        (place(report))
        (method(report))
        @if let Some(text) = &scene.scenario { h2 { "Scenario" } pre { code { (text) } } }
    };
    page(&title, &format!("{}{STYLE}", chart::css()), &body)
}

fn reproduce(report: &BenchReport<'_>, scene: &Scene) -> String {
    let typed = || {
        let words = report.view.record.argv.iter().skip(1).map(|word| quoted(word));
        std::iter::once("flockwork".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
    };
    scene.reproduce.clone().unwrap_or_else(typed)
}

fn summary(report: &BenchReport<'_>) -> Markup {
    let record = report.view.record;
    let cells = plural(record.cells.len() as u64, "cell");
    let invalid = record.cells.iter().filter(|cell| cell.invalid.is_some()).count() as u64;
    let (class, outcome) = match report.outcome() {
        _ if report.verdicts.is_empty() => ("faint", "no thresholds"),
        Outcome::Met => ("good", "every threshold met"),
        Outcome::Inconclusive => ("doubtful", "thresholds inconclusive"),
        Outcome::Exceeded => ("bad", "a threshold was exceeded"),
    };
    let marked: Vec<(Metric, Vec<Group<'_>>)> =
        columns::MARKED.map(|metric| (metric, report.view.groups(metric))).into_iter().collect();
    html! {
        p { (cells) ", " span class=(class) { (outcome) }
            @if !record.complete { ", " span.doubtful { "incomplete: some cells lack rounds" } }
            @if invalid > 0 { ", " span.bad { (plural(invalid, "invalid cell")) } }
        }
        @for (metric, groups) in marked { @if !groups.is_empty() {
            p { strong { (metric.to_string()) } ", where the intervals of comparable cells do not overlap:" }
            ul { @for group in groups.iter().take(GROUPS_MAX) {
                li { @if !group.name.is_empty() { (group.name) ": " }
                    @if let Some(best) = group.best { "best " span.good { (report.view.name(best)) } }
                    @if group.best.is_some() && group.worst.is_some() { "; " }
                    @if let Some(worst) = group.worst { "worst " span.bad { (report.view.name(worst)) } }
                }
            } @if groups.len() > GROUPS_MAX { li.faint { "and " (groups.len() - GROUPS_MAX) " more, marked in the table" } } }
        } }
    }
}

fn place(report: &BenchReport<'_>) -> Markup {
    let record = report.view.record;
    let mut all = machine(&record.machine);
    for named in &record.filesystems {
        let (kind, free) = (&named.filesystem.kind, bytes(named.filesystem.free_bytes));
        // A root that nobody named is called by its filesystem.
        let name = if named.root == *kind { String::new() } else { format!("{}: ", named.root) };
        all.push(("Filesystem", format!("{name}{kind}, {free} free")));
    }
    all.push(("Started", record.started_at.clone()));
    all.push(("Seed", record.seed.to_string()));
    all.push(("flockwork", record.version.clone()));
    facts(&all)
}

fn table(report: &BenchReport<'_>) -> Markup {
    let view = &report.view;
    let class = |column| if columns::is_number(view, column) { "number" } else { "" };
    html! {
        div.wide { table {
            thead { tr {
                @for (column, name) in columns::header(view).iter().enumerate() { th class=(class(column)) { (name) } }
                th {}
            } }
            tbody { @for (row, said) in view.rows.iter().zip(columns::remarks(view)) { tr {
                @for (column, text) in columns::row(view, row).iter().enumerate() {
                    td class=(class(column)) { (text) }
                }
                td { (remarks(&said)) }
            } } }
        } }
        p.faint { "Throughput: acquisitions per second by all processes; ±: half the 95 % confidence interval; wait, hold and whole: times;
            handoff: share of acquisitions that followed one by another process; CPU: processors in use; switches: context switches per
            acquisition." }
    }
}

fn remarks(remarks: &[Remark]) -> Markup {
    html! { @for (index, remark) in remarks.iter().enumerate() {
        @if index > 0 { ", " }
        span class=(class_of(remark)) { (remark.words()) }
    } }
}

const fn class_of(remark: &Remark) -> &'static str {
    match remark {
        Remark::Best(_) => "good",
        Remark::Worst(_) | Remark::Invalid => "bad",
        Remark::Starved(_) | Remark::Refused(_) | Remark::Noisy(_) => "doubtful",
    }
}

fn invalid(report: &BenchReport<'_>) -> Markup {
    let rows = report.view.rows.iter().filter_map(|row| Some((row, row.cell.invalid.as_ref()?)));
    html! { ul { @for (row, why) in rows {
        li { span.bad { "Invalid" } ": " (report.view.name(&row.cell.point)) ": " (why) }
    } } }
}

/// What became of each threshold. A cell is named by what varies: what is the same everywhere stands above the results.
fn thresholds(report: &BenchReport<'_>) -> Markup {
    let verdicts: &[Assessment] = &report.verdicts;
    let word = |outcome| match outcome {
        Outcome::Met => ("good", "met"),
        Outcome::Inconclusive => ("doubtful", "inconclusive"),
        Outcome::Exceeded => ("bad", "exceeded"),
    };
    html! { @if !verdicts.is_empty() {
        h2 { "Thresholds" }
        div.wide { table {
            thead { tr { th { "threshold" } th { "cell" } th { "outcome" } th { "measured" } } }
            tbody { @for verdict in verdicts { tr {
                td { (verdict.threshold) }
                td.words { (cell(report, &verdict.point)) }
                td class=(word(verdict.outcome).0) { (word(verdict.outcome).1) }
                td.words { (human::measured(verdict)) (verdict.why) }
            } } }
        } }
    } }
}

/// A cell by what varies; where nothing does, there is one.
fn cell(report: &BenchReport<'_>, point: &Point) -> String {
    let name = report.view.name(point);
    if name.is_empty() { "the only cell".into() } else { name }
}

/// A cell's warnings stand together; many cells' are folded.
fn warnings(report: &BenchReport<'_>) -> Markup {
    let warnings = report.warnings();
    let cells: Vec<&[(String, String)]> = warnings.chunk_by(|one, other| one.0 == other.0).collect();
    let list = html! { ul { @for cell in &cells {
        li { @if !cell[0].0.is_empty() { strong { (cell[0].0) } ": " }
            @for (index, (_, warning)) in cell.iter().enumerate() { @if index > 0 { "; " } (warning) }
        }
    } } };
    html! { @if !warnings.is_empty() {
        h2 { "Warnings" }
        @if cells.len() > WARNED_MAX {
            details { summary { (plural(warnings.len() as u64, "warning")) " about " (plural(cells.len() as u64, "cell")) } (list) }
        } @else { (list) }
    } }
}

fn charts(charts: &[Chart]) -> Markup {
    let of = |kind: Kind| charts.iter().filter(move |chart| chart.kind == kind);
    let groups = [("Charts", Kind::Metric), ("Percentile curves", Kind::Percentiles)];
    let small = [("Shares of the processes", Kind::Shares), ("Who followed whom", Kind::Handoffs)];
    html! {
        @for (name, kind) in groups { @if of(kind).next().is_some() {
            h2 { (name) }
            @let (first, rest) = (of(kind).take(SHOWN_MAX), of(kind).skip(SHOWN_MAX));
            @for chart in first { (figure(chart)) }
            @if of(kind).nth(SHOWN_MAX).is_some() { details {
                summary { (plural((of(kind).count() - SHOWN_MAX) as u64, "more chart")) }
                @for chart in rest { (figure(chart)) }
            } }
        } }
        @for (name, kind) in small { @if of(kind).next().is_some() {
            h2 { (name) }
            p.faint { "The cells with the most processes, at most " (chart::CELLS_MAX) "." }
            div.grid { @for chart in of(kind) { figure { (PreEscaped(chart.inline())) } } }
        } }
    }
}

/// A chart, and where it would not be legible on a narrow screen, its narrow drawing.
fn figure(chart: &Chart) -> Markup {
    html! { @if let Some(narrow) = chart.inline_narrow() {
        figure.roomy { (PreEscaped(chart.inline())) }
        figure.narrow { (PreEscaped(narrow)) }
    } @else { figure { (PreEscaped(chart.inline())) } } }
}

fn method(report: &BenchReport<'_>) -> Markup {
    let rounds = report.view.rows.iter().map(|row| row.cell.rounds.len()).max().unwrap_or(0);
    html! {
        h2 { "Method" }
        p { "Each process is a real process, never a thread, and opens the lock file itself. Each cell was measured in up to "
            (plural(rounds as u64, "round")) ", after a warm-up. The rounds of all cells ran in one random order, so that drift affects all
            cells alike." }
        p { "Percentiles come from merged HDR histograms with " (crate::measure::Latency::DIGITS) " significant digits; they are never averages
            of percentiles. Confidence intervals (95 %) are over rounds: the standard error of " (RESAMPLES) " bootstrap resamples, times
            Student's t. Fairness is the index of Jain, Chiu and Hawe (1984). Noisy rounds are named, and count." }
    }
}
