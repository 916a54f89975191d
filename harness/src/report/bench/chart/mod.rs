//! Charts of a benchmark, as SVG files that stand alone: units, title and legend inside, right in light and in dark.

#![expect(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "places on a chart are small and not negative"
)]

mod bars;
mod canvas;
mod curves;
mod facets;
mod heat;
mod lines;
mod palette;
mod plot;
mod scale;
mod shares;

use crate::measure::view::View;

pub use palette::{css, dark_css};

/// How many charts of one cell each are drawn at most: of a larger grid those with the most processes.
pub const CELLS_MAX: usize = 12;

/// A chart of a benchmark: one picture, its lines and its axes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    /// A name for a file, without ending.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// What kind of chart it is.
    pub kind: Kind,
    /// The SVG document.
    pub svg: String,
    /// The same drawn for a narrow screen; `None` where the first one fits.
    pub narrow: Option<String>,
}

/// What kind of chart it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A metric against an axis of numbers, or by cell.
    Metric,
    /// Latency by percentile, the rare ones spread out.
    Percentiles,
    /// Shares of one cell's processes.
    Shares,
    /// Who followed whom in one cell.
    Handoffs,
}

impl Chart {
    /// The chart as a part of a page that has [`css`] already.
    #[must_use]
    pub fn inline(&self) -> String {
        without_style(&self.svg)
    }

    /// The same drawn for a narrow screen, where there is such a drawing.
    #[must_use]
    pub fn inline_narrow(&self) -> Option<String> {
        self.narrow.as_deref().map(without_style)
    }
}

fn without_style(svg: &str) -> String {
    let parts = svg.split_once("<style>").zip(svg.split_once("</style>"));
    parts.map_or_else(|| svg.to_owned(), |((before, _), (_, after))| format!("{before}{after}"))
}

/// All charts that a record can have.
#[must_use]
pub fn all(view: &View<'_>) -> Vec<Chart> {
    let mut charts = lines::all(view);
    charts.extend(bars::all(view));
    charts.extend(curves::all(view));
    charts.extend(shares::all(view));
    charts.extend(heat::all(view));
    charts
}

/// A word for a file's name: `throughput-by-processes`.
fn file_name(words: &[&str]) -> String {
    let tame = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = words.join("-").chars().map(tame).collect();
    let parts: Vec<&str> = name.split('-').filter(|part| !part.is_empty()).collect();
    parts.join("-")
}
