//! The table at the terminal.

use anstyle::{AnsiColor, Style};

use super::BenchReport;
use super::columns::{self, Remark};
use crate::measure::threshold::{Assessment, JudgedScale, Outcome};
use crate::report::human::{Detail, STRONG, line};
use crate::report::table::{fitting, render_columns};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DOUBTFUL: Style = AnsiColor::Yellow.on_default();

pub fn show(report: &BenchReport<'_>, detail: Detail, width: Option<u16>) -> String {
    let mut text = String::new();
    let view = &report.view;
    if detail != Detail::Brief {
        if !view.constant.is_empty() {
            line(&mut text, &format!("everywhere: {}\n", view.constants()));
        }
        table(&mut text, report, width);
    }
    invalid(&mut text, report);
    if detail != Detail::Brief {
        warnings(&mut text, report, detail);
    }
    thresholds(&mut text, report, detail);
    if !view.record.complete {
        line(&mut text, &format!("\n{DOUBTFUL}incomplete{DOUBTFUL:#}: some cells lack rounds"));
    }
    for sentence in report.answer() {
        line(&mut text, &format!("\n{STRONG}{sentence}{STRONG:#}"));
    }
    text
}

/// The columns that are left out first where there is no room.
const DISPENSABLE: [&str; 9] =
    ["switches", "CPU", "handoff", "hold p50", "whole p99", "p99.9", "max", "Jain", "±"];

fn table(text: &mut String, report: &BenchReport<'_>, width: Option<u16>) {
    let view = &report.view;
    let remarks = columns::remarks(view);
    let mut header = columns::header(view);
    header.push(String::new());
    let words = |remarks: &[Remark]| remarks.iter().map(Remark::words).collect::<Vec<_>>().join(", ");
    let rows: Vec<Vec<String>> = view
        .rows
        .iter()
        .zip(&remarks)
        .map(|(row, remarks)| columns::row(view, row).into_iter().chain([words(remarks)]).collect())
        .collect();
    // What is said of a row comes behind the columns, and may break.
    let room = width.map(|width| width.max(60));
    let (header, rows) = fitting(&header, &rows, room, &DISPENSABLE);
    let last = header.len() - 1;
    let plain = render_columns(&header, &rows, |column| column != last && columns::is_number(view, column));
    let mut lines = plain.lines();
    line(text, &format!("{STRONG}{}{STRONG:#}", lines.next().unwrap_or_default()));
    for (row, remarks) in lines.zip(&remarks) {
        // The remarks come last, so that their colours move no column.
        let rest = row.strip_suffix(&words(remarks)).unwrap_or(row);
        let coloured: Vec<String> = remarks.iter().map(coloured).collect();
        line(text, format!("{rest}{}", coloured.join(", ")).trim_end());
    }
}

fn coloured(remark: &Remark) -> String {
    let style = match remark {
        Remark::Best(_) => GOOD,
        Remark::Worst(_) | Remark::Invalid => BAD,
        Remark::Starved(_) | Remark::Refused(_) | Remark::Noisy(_) => DOUBTFUL,
    };
    format!("{style}{}{style:#}", remark.words())
}

fn invalid(text: &mut String, report: &BenchReport<'_>) {
    for row in &report.view.rows {
        if let Some(why) = &row.cell.invalid {
            let name = report.view.name(&row.cell.point);
            line(text, &format!("\n{BAD}invalid{BAD:#}: {name}: {why}"));
        }
    }
}

/// Warnings that differ in numbers only stand for each other.
fn warnings(text: &mut String, report: &BenchReport<'_>, detail: Detail) {
    let warnings = report.warnings();
    let without_numbers = |warning: &str| warning.replace(|c: char| c.is_ascii_digit(), "");
    let mut kinds: Vec<(String, &(String, String), usize)> = Vec::new();
    for told in &warnings {
        let kind = without_numbers(&told.1);
        match kinds.iter_mut().find(|(known, ..)| *known == kind) {
            Some((.., count)) if detail == Detail::Normal => *count += 1,
            _ => kinds.push((kind, told, 1)),
        }
    }
    if !kinds.is_empty() {
        text.push('\n');
    }
    for (_, (name, warning), count) in &kinds {
        let name = if name.is_empty() { String::new() } else { format!("{name}: ") };
        let more = if *count > 1 {
            format!(" (and {} more of this kind: --verbose shows all)", count - 1)
        } else {
            String::new()
        };
        line(text, &format!("{DOUBTFUL}warning{DOUBTFUL:#}: {name}{warning}{more}"));
    }
}

fn thresholds(text: &mut String, report: &BenchReport<'_>, detail: Detail) {
    let verdicts: &[Assessment] = &report.verdicts;
    if verdicts.is_empty() {
        return;
    }
    text.push('\n');
    let mut met = 0;
    for verdict in verdicts {
        let (style, word) = match verdict.outcome {
            Outcome::Met => (GOOD, "met"),
            Outcome::Inconclusive => (DOUBTFUL, "inconclusive"),
            Outcome::Exceeded => (BAD, "exceeded"),
        };
        met += u64::from(verdict.outcome == Outcome::Met);
        if verdict.outcome != Outcome::Met || detail == Detail::Full {
            let what = measured(verdict);
            let name = report.view.name(&verdict.point);
            let place = if name.is_empty() { name } else { format!(" ({name})") };
            line(
                text,
                &format!("{style}{word}{style:#}: {}{place}: {what}{}", verdict.threshold, verdict.why),
            );
        }
    }
    line(text, &format!("thresholds: {met} of {} met", verdicts.len()));
}

/// `4.9ms (4.7ms to 5.2ms): `
pub fn measured(verdict: &Assessment) -> String {
    let Some(judged) = verdict.judged else { return String::new() };
    let show = |value: f64| match judged.scale {
        JudgedScale::Absolute => columns::shown(judged.metric, value),
        JudgedScale::Ratio => format!("{value:.3} times"),
    };
    let interval = judged.interval.map_or_else(String::new, |interval| {
        format!(" ({} to {})", show(interval.lower), show(interval.upper))
    });
    format!("{}{interval}: ", show(judged.value))
}

impl BenchReport<'_> {
    /// What makes the numbers doubtful: the cell, empty where all of the run is meant, and the words.
    #[must_use]
    pub fn warnings(&self) -> Vec<(String, String)> {
        let rows = self.view.rows.iter().flat_map(|row| {
            let own = row.cell.warnings.iter().cloned();
            let is_valid = row.cell.invalid.is_none();
            let statistics = row.statistics.iter().filter(move |_| is_valid);
            let found = statistics.flat_map(crate::measure::statistics::CellStatistics::warnings);
            let name = self.view.name(&row.cell.point);
            own.chain(found).map(move |warning| (name.clone(), warning))
        });
        rows.collect()
    }
}
