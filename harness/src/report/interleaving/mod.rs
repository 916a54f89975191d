//! An interleaving as a table: a column per process, a row per step, and a sentence that says what happened.
//!
//! It is made for somebody who knows neither the subject nor this program, so it shows everything in the order in which
//! it happened, marks what the violation rests on, and explains its marks. Of hundreds of steps few matter: a terminal
//! shows those, and what lies around them.

mod decisive;
mod fold;
mod reason;
mod sentence;

use std::fmt::Write;

use anstyle::Style;
use comfy_table::{ContentArrangement, Table, presets};

use crate::finding::Exploration;
use crate::finding::moments::{self, Moments, Walk, WalkStep};
use crate::history::History;
use crate::plan::schedule::{Fault, Line, without_number};
use crate::violation::Violation;
use crate::words::plural;
use fold::Shown;

use super::human::Detail;

const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();

/// Columns are never squeezed below this: a narrower table would be harder to read than one that wraps.
const WIDTH_MIN: u16 = 60;
/// Where nobody says how wide.
const WIDTH_DEFAULT: u16 = 120;

/// An interleaving, with what it broke.
#[derive(Clone, Copy, Debug)]
pub struct Interleaving<'a> {
    /// Programs and schedule.
    pub exploration: &'a Exploration,
    /// What the processes did and saw; times are numbers of steps.
    pub history: &'a History,
    /// What it broke.
    pub violation: &'a Violation,
}

/// One row: a step, or a mark between steps.
struct Row {
    process: usize,
    text: String,
    is_decisive: bool,
}

/// An interleaving for a terminal, with colours; whoever prints it strips them where they are not wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Every step.
    pub whole: String,
    /// Without the many steps in a row that the violation does not rest on, where there are many in all.
    pub folded: String,
}

impl Tables {
    /// Every step for those who want all details.
    #[must_use]
    pub fn told(&self, detail: Detail) -> &str {
        match detail {
            Detail::Full => &self.whole,
            Detail::Normal | Detail::Brief => &self.folded,
        }
    }
}

impl Interleaving<'_> {
    /// For a terminal so many characters wide.
    #[must_use]
    pub fn tables(&self, width: u16) -> Tables {
        let rows = self.rows();
        let whole = self.table(width, &rows, &fold::none(rows.len()));
        let folded = fold::stretches(&rows).map(|shown| self.table(width, &rows, &shown));
        Tables { folded: folded.unwrap_or_else(|| whole.clone()), whole }
    }

    fn table(&self, width: u16, rows: &[Row], shown: &[Shown]) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(width.max(WIDTH_MIN));
        table.set_header(self.header());
        let mut before = None;
        for shown in shown {
            let process = rows[shown.first()].process;
            if before.is_some_and(|before| before != process) {
                table.add_row(self.cells("", "", None));
            }
            before = Some(process);
            table.add_row(match shown {
                Shown::Step(at) => {
                    let mark = if rows[*at].is_decisive { ">" } else { "" };
                    self.cells(mark, &(at + 1).to_string(), Some(&rows[*at]))
                }
                Shown::Folded(steps) => {
                    let text = format!("({})", plural(steps.len() as u64, "step"));
                    self.cells("", "…", Some(&Row { process, text, is_decisive: false }))
                }
            });
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let mut text = String::new();
        for (index, line) in table.lines().enumerate() {
            let line = line.trim_end();
            let style = if index == 0 || line.starts_with('>') { STRONG } else { Style::new() };
            writeln!(text, "{style}{line}{style:#}").expect("a String takes all");
        }
        let folded: usize = shown.iter().map(Shown::folded).sum();
        let rest = match folded {
            0 => String::new(),
            _ => format!("; {folded} of {} steps are left out here, and shown with -v", rows.len()),
        };
        writeln!(text, "{FAINT}> marks the steps that the violation rests on{rest}{FAINT:#}\n")
            .expect("a String takes all");
        text.push_str(&sentence::tell(self));
        text
    }

    /// For whoever walks through it.
    #[must_use]
    pub fn walk(&self, moments: Option<Moments>) -> Walk {
        let steps = self.rows().into_iter().map(|row| WalkStep {
            process: row.process,
            text: row.text,
            decisive: row.is_decisive,
        });
        Walk {
            schema_version: moments::SCHEMA_VERSION,
            processes: self.header().split_off(2),
            steps: steps.collect(),
            sentence: sentence::tell(self),
            moments,
        }
    }

    /// For a document.
    #[must_use]
    pub fn markdown(&self) -> String {
        let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let header = self.header();
        let mut text = row(header.clone());
        text.push_str(&row(vec!["---".into(); header.len()]));
        for (number, step) in self.rows().iter().enumerate() {
            let shown = Row { text: marked(step), ..*step };
            let mut cells = self.cells("", &(number + 1).to_string(), Some(&shown));
            cells.remove(0);
            text.push_str(&row(std::iter::once(String::new()).chain(cells).collect()));
        }
        text.push('\n');
        text.push_str(&sentence::tell(self));
        text
    }

    fn header(&self) -> Vec<String> {
        let programs = self.exploration.processes.iter().enumerate();
        let columns = programs.map(|(process, program)| format!("p{}: {}", process + 1, program.join(", ")));
        [String::new(), "step".into()].into_iter().chain(columns).collect()
    }

    fn cells(&self, mark: &str, number: &str, row: Option<&Row>) -> Vec<String> {
        let mut cells = vec![mark.to_owned(), number.to_owned()];
        cells.extend((0..self.exploration.processes.len()).map(|process| {
            row.filter(|row| row.process == process).map(|row| row.text.clone()).unwrap_or_default()
        }));
        cells
    }

    fn rows(&self) -> Vec<Row> {
        let decisive = decisive::steps(self);
        let lines = self.exploration.schedule.lines.iter().zip(decisive);
        lines
            .map(|(line, is_decisive)| Row { process: line.process, text: words(line), is_decisive })
            .collect()
    }
}

fn marked(row: &Row) -> String {
    if row.is_decisive { format!("**{}**", row.text) } else { row.text.clone() }
}

/// A step as people read it: without the number that tells recurring steps apart, with what went wrong in it.
fn words(line: &Line) -> String {
    let label = without_number(&line.label);
    match line.fault {
        None => label.to_owned(),
        Some(Fault::Kill) => format!("SIGKILL before: {label}"),
        Some(Fault::KillOne) => format!("SIGKILL for this process alone before: {label}"),
        Some(Fault::Error(error)) => format!("{label} -> fails: {}", error.as_str()),
        Some(Fault::ShortWrite) => format!("{label} -> only half is written"),
        Some(Fault::ShortWriteKill) => format!("{label} -> half is written, then SIGKILL"),
    }
}

/// How wide the terminal is; `COLUMNS` says so where stdout is none.
#[must_use]
pub fn terminal_width() -> u16 {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    terminal_size::terminal_size().map(|(width, _)| width.0).or(columns).unwrap_or(WIDTH_DEFAULT)
}

/// How large it is, in words: `2 processes, 1 preemption`.
#[must_use]
pub fn size(exploration: &Exploration) -> String {
    let processes = plural(exploration.processes.len() as u64, "process");
    format!("{processes}, {}", plural(u64::from(exploration.preemptions), "preemption"))
}

#[cfg(test)]
mod tests;
