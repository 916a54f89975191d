//! Reports of benchmarks. One value, [`BenchReport`], holds what a record came to; each format only shows that value.
//!
//! ```text
//! let report = BenchReport::of(&record, &thresholds);
//! report.human(detail)   the table for people, with colours
//! report.document(…)     what `--format json` and `--export-json` write (docs/bench.md)
//! report.csv()           a row a cell, all numbers in base units
//! report.markdown()      a table for README files and pull requests
//! report.bencher()       Bencher Metric Format
//! report.charts()        SVG, each a file of its own
//! report.html(&scene)    report.html: all of the above in one file
//! report.outcome()       what the thresholds came to
//! ```
//!
//! None of it prints, starts anything, or reads a file.

mod answer;
mod bencher;
pub mod chart;
mod columns;
pub mod comparison;
mod csv;
mod document;
mod human;
mod markdown;
mod page;

use crate::measure::BenchRecord;
use crate::measure::threshold::{Assessment, Outcome, Threshold, judge, overall};
use crate::measure::view::View;
use crate::report::exit::Exit;
use crate::report::human::Detail;

pub use chart::Chart;
pub use document::Document;
pub use page::Scene;

/// What a record came to.
#[derive(Clone, Debug)]
pub struct BenchReport<'a> {
    /// The record with its statistics.
    pub view: View<'a>,
    /// What became of each threshold in each cell.
    pub verdicts: Vec<Assessment>,
}

impl<'a> BenchReport<'a> {
    /// Works out the statistics of a record and judges it.
    #[must_use]
    pub fn of(record: &'a BenchRecord, thresholds: &[Threshold]) -> Self {
        Self { view: View::of(record), verdicts: judge(record, thresholds) }
    }

    /// What the thresholds came to.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        overall(&self.verdicts)
    }

    /// What it answers, in a sentence for each group of cells that compare.
    #[must_use]
    pub fn answer(&self) -> Vec<String> {
        answer::sentences(&self.view)
    }

    /// For people. It has colours; whoever prints it strips them where they are not wanted.
    #[must_use]
    pub fn human(&self, detail: Detail) -> String {
        human::show(self, detail, None)
    }

    /// The same, with a table that fits a terminal so many columns wide.
    #[must_use]
    pub fn human_on(&self, detail: Detail, width: Option<u16>) -> String {
        human::show(self, detail, width)
    }

    /// For programs: with the exit code that the run ends with, and why where it is not simply as expected.
    #[must_use]
    pub fn document<'d>(&'d self, exit: Exit, reasons: &'d [String]) -> Document<'d> {
        Document::of(self, exit, reasons)
    }

    /// Comma-separated values: a header, and a row a cell. Latencies are in nanoseconds.
    #[must_use]
    pub fn csv(&self) -> String {
        csv::show(&self.view)
    }

    /// A table in Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        markdown::show(&self.view)
    }

    /// Bencher Metric Format, as JSON.
    #[must_use]
    pub fn bencher(&self) -> String {
        bencher::show(&self.view)
    }

    /// The charts that this record can have.
    #[must_use]
    pub fn charts(&self) -> Vec<Chart> {
        chart::all(&self.view)
    }

    /// One self-contained page.
    #[must_use]
    pub fn html(&self, scene: &Scene) -> String {
        page::show(self, scene)
    }
}
