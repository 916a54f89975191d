//! A metric by cell, where there is no axis of numbers to draw along.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{Drawn, HEAD, MARGIN, Style, Surface, Weight, draw, width_of, write};
use super::lines::{axes, note, scale, words};
use super::palette::{AXIS, FAINT, GRID, LINES, TEXT};
use super::scale::Scale;
use super::{Chart, Kind, file_name};
use crate::measure::statistics::Estimate;
use crate::measure::view::View;
use crate::measure::{Metric, Percentile, Stretch};
use crate::report::bench::columns::shown;

/// What a page on a screen has room for, and what a telephone has, in pixels.
const WIDTHS: [i32; 2] = [900, 440];
const ROW: i32 = 26;
/// More cells than these no longer make a chart.
const ROWS_MAX: usize = 32;
const METRICS: [Metric; 3] = [
    Metric::Throughput,
    Metric::Latency(Stretch::Wait, Percentile::P99),
    Metric::Latency(Stretch::Whole, Percentile::P99),
];

pub fn all(view: &View<'_>) -> Vec<Chart> {
    if !axes(view).is_empty() || view.varying.is_empty() {
        return Vec::new();
    }
    METRICS.into_iter().filter_map(|metric| chart(view, metric)).collect()
}

fn chart(view: &View<'_>, metric: Metric) -> Option<Chart> {
    let bars: Vec<(String, Estimate)> = view
        .valid()
        .filter_map(|(row, statistics)| Some((view.name(&row.cell.point), *statistics.get(metric)?)))
        .take(ROWS_MAX)
        .collect();
    if bars.is_empty() {
        return None;
    }
    let upper = |estimate: &Estimate| estimate.interval.map_or(estimate.value, |interval| interval.upper);
    let values = || bars.iter().flat_map(|(_, estimate)| [estimate.value, upper(estimate)]);
    let scale = scale(metric, values);
    let title = format!("{} by {}", words(metric).trim_end_matches(','), by(view));
    let height = HEAD + 12 + ROW * bars.len() as i32 + 52;
    let [svg, narrow] = WIDTHS.map(|width| {
        draw((width as u32, height as u32), &title, &note(view), |surface| {
            paint(surface, width, metric, &bars, &scale)
        })
    });
    let name = file_name(&[&metric.to_string(), "by", "cell"]);
    Some(Chart { name, title, kind: Kind::Metric, svg, narrow: Some(narrow) })
}

fn by(view: &View<'_>) -> String {
    let names: Vec<&str> = view.varying.iter().map(|axis| axis.as_str()).collect();
    names.join(", ")
}

fn paint(
    surface: &Surface<'_>,
    width: i32,
    metric: Metric,
    bars: &[(String, Estimate)],
    scale: &Scale,
) -> Drawn {
    let names = bars.iter().map(|(name, _)| width_of(name)).max().unwrap_or(0) as i32;
    let left = (names + 2 * MARGIN).min(width / 2);
    // At the right there is room for the longest value.
    let right = width - 96;
    let (low, high) = scale.ends();
    let x = |place: f64| left + ((place - low) / (high - low) * f64::from(right - left)).round() as i32;
    let (top, bottom) = (HEAD + 6, HEAD + 12 + ROW * bars.len() as i32);
    for tick in scale.ticks() {
        let at = x(*tick);
        surface.draw(&PathElement::new(vec![(at, top), (at, bottom)], GRID.light.stroke_width(1)))?;
        let style = Style { size: 12, role: FAINT, anchor: HPos::Center, bold: Weight::Plain };
        write(surface, &scale.written(*tick), (at, bottom + 14), style)?;
    }
    let style = Style { size: 13, role: TEXT, anchor: HPos::Center, bold: Weight::Plain };
    write(surface, &scale.label, (i32::midpoint(left, right), bottom + 36), style)?;
    for (index, (name, estimate)) in bars.iter().enumerate() {
        let middle = HEAD + 12 + ROW * index as i32 + ROW / 2;
        let Some(end) = scale.place(estimate.value).map(x) else { continue };
        let style = Style { size: 12, role: TEXT, anchor: HPos::Right, bold: Weight::Plain };
        write(surface, name, (left - 8, middle), style)?;
        let bar = [(left, middle - 8), (end, middle + 8)];
        surface.draw(&Rectangle::new(bar, LINES[0].light.filled()))?;
        let ends = estimate
            .interval
            .and_then(|interval| Some((x(scale.place(interval.lower)?), x(scale.place(interval.upper)?))));
        let mut after = end;
        if let Some((from, to)) = ends {
            let from = from.max(left);
            surface
                .draw(&PathElement::new(vec![(from, middle), (to, middle)], TEXT.light.stroke_width(1)))?;
            for at in [from, to] {
                let tip = vec![(at, middle - 4), (at, middle + 4)];
                surface.draw(&PathElement::new(tip, TEXT.light.stroke_width(1)))?;
            }
            after = after.max(to);
        }
        let style = Style { size: 12, role: FAINT, anchor: HPos::Left, bold: Weight::Plain };
        write(surface, &shown(metric, estimate.value), (after + 8, middle), style)?;
    }
    surface.draw(&PathElement::new(vec![(left, top), (left, bottom)], AXIS.light.stroke_width(1)))?;
    Ok(())
}
