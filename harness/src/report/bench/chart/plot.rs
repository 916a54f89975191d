//! Lines in a frame, with their legend beside it or, on a narrow screen, below it.

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{Drawn, HEAD, MARGIN, Style, Surface, Weight, draw, marker, width_of, write};
use super::palette::{AXIS, FAINT, GRID, LINES, TEXT};
use super::scale::Scale;

/// What a page on a screen has room for.
const WIDE: Size = Size { width: 900, height: 460, legend: Legend::Beside };
/// What a telephone has room for: the letters keep their size, so the legend goes below.
const NARROW: Size = Size { width: 440, height: 400, legend: Legend::Below };
const LEGEND_ROW: i32 = 22;
/// Length of the sample of a line in the legend.
const SAMPLE: i32 = 30;

/// How large a plot is drawn, without a legend below it, in pixels.
#[derive(Clone, Copy)]
struct Size {
    width: u32,
    height: u32,
    legend: Legend,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Legend {
    Beside,
    Below,
}

/// Lines in a frame.
pub struct Plot {
    pub title: String,
    pub note: String,
    pub x: Scale,
    pub y: Scale,
    pub lines: Vec<Line>,
}

/// A line of a plot: its points, and what the legend calls it.
pub struct Line {
    pub name: String,
    pub points: Vec<Spot>,
}

/// One point of a line.
#[derive(Clone, Copy)]
pub struct Spot {
    pub x: f64,
    pub y: f64,
    /// Where the value lies with a confidence of 95 %.
    pub interval: Option<(f64, f64)>,
    pub mark: Mark,
}

/// Whether a point has a marker.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Marked,
    Plain,
}

impl Plot {
    /// The SVG document.
    pub fn svg(&self) -> String {
        draw((WIDE.width, WIDE.height), &self.title, &self.note, |surface| self.paint(surface, WIDE))
    }

    /// The same for a narrow screen, which has no room for a long title: its end stands in the line below it.
    pub fn narrow_svg(&self) -> String {
        let parts = [", against ", ": "].iter().find_map(|at| {
            let (title, rest) = self.title.split_once(at)?;
            Some((title, format!("{}{rest}", at.trim_start_matches([',', ':', ' ']))))
        });
        let (title, note) = parts.unwrap_or((&self.title, self.note.clone()));
        let height = NARROW.height + self.below(NARROW) as u32;
        draw((NARROW.width, height), title, &note, |surface| self.paint(surface, NARROW))
    }

    /// The height of a legend below the frame.
    fn below(&self, size: Size) -> i32 {
        if size.legend == Legend::Beside || self.lines.len() < 2 {
            0
        } else {
            self.lines.len() as i32 * LEGEND_ROW
        }
    }

    /// The width of a legend beside the frame.
    fn beside(&self, size: Size) -> i32 {
        let names = self.lines.iter().map(|line| width_of(&line.name)).max().unwrap_or(0);
        if size.legend == Legend::Below || self.lines.len() < 2 {
            0
        } else {
            names.min(size.width / 3) as i32 + SAMPLE + 2 * MARGIN
        }
    }

    fn paint(&self, surface: &Surface<'_>, size: Size) -> Drawn {
        let (beside, below) = (self.beside(size), self.below(size));
        let frame = surface.margin(HEAD, 4 + below, MARGIN, beside + MARGIN);
        let mut chart = ChartBuilder::on(&frame)
            .x_label_area_size(46)
            .y_label_area_size(64)
            .margin_top(20)
            .build_cartesian_2d(Coordinate::of(&self.x), Coordinate::of(&self.y))?;
        chart
            .configure_mesh()
            .x_labels(64)
            .y_labels(64)
            .x_desc(self.x.label.clone())
            .x_label_formatter(&|place| self.x.written(*place))
            .y_label_formatter(&|place| self.y.written(*place))
            .label_style(("sans-serif", 12).into_font().color(&FAINT.light))
            .axis_desc_style(("sans-serif", 13).into_font().color(&TEXT.light))
            .bold_line_style(GRID.light.stroke_width(1))
            .light_line_style(TRANSPARENT)
            .axis_style(AXIS.light.stroke_width(1))
            .draw()?;
        let place = |spot: &Spot, value: f64| Some((self.x.place(spot.x)?, self.y.place(value)?));
        for (index, line) in self.lines.iter().enumerate() {
            let colour = LINES[index].light;
            let at = line.points.iter().filter_map(|spot| place(spot, spot.y));
            chart.draw_series(LineSeries::new(at, colour.stroke_width(2)))?;
            for spot in &line.points {
                let ends =
                    spot.interval.and_then(|(low, high)| Some((place(spot, low)?, place(spot, high)?)));
                if let Some((low, high)) = ends {
                    chart.draw_series([PathElement::new(vec![low, high], colour.stroke_width(1))])?;
                }
                if let Some(at) = place(spot, spot.y).filter(|_| spot.mark == Mark::Marked) {
                    marker(surface, index, chart.backend_coord(&at))?;
                }
            }
        }
        let label = Style { size: 13, role: TEXT, anchor: HPos::Left, bold: Weight::Plain };
        write(surface, &self.y.label, (MARGIN, HEAD + 10), label)?;
        if beside > 0 {
            self.legend(surface, (size.width as i32 - beside, HEAD + 34))?;
        }
        if below > 0 {
            self.legend(surface, (MARGIN, size.height as i32 + LEGEND_ROW / 2))?;
        }
        Ok(())
    }

    fn legend(&self, surface: &Surface<'_>, (left, top): (i32, i32)) -> Drawn {
        for (index, line) in self.lines.iter().enumerate() {
            let y = top + index as i32 * LEGEND_ROW;
            let ends = vec![(left, y), (left + SAMPLE, y)];
            surface.draw(&PathElement::new(ends, LINES[index].light.stroke_width(2)))?;
            marker(surface, index, (left + SAMPLE / 2, y))?;
            let style = Style { size: 12, role: TEXT, anchor: HPos::Left, bold: Weight::Plain };
            write(surface, &line.name, (left + SAMPLE + 8, y), style)?;
        }
        Ok(())
    }
}

/// A scale as plotters takes it: its own measure is even, and it is written where the scale says.
struct Coordinate {
    ends: (f64, f64),
    ticks: Vec<f64>,
}

impl Coordinate {
    fn of(scale: &Scale) -> Self {
        Self { ends: scale.ends(), ticks: scale.ticks().to_vec() }
    }
}

impl Ranged for Coordinate {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (low, high): (i32, i32)) -> i32 {
        let part = (value - self.ends.0) / (self.ends.1 - self.ends.0);
        low + (part * f64::from(high - low)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.ends.0..self.ends.1
    }
}
