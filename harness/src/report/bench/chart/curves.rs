//! Percentile curves: each latency over how rare it is, along the logarithm of 1 / (1 − share), as `HdrHistogram` plots.

use super::facets::{Group, facets};
use super::lines::constants;
use super::plot::{Line, Mark, Plot, Spot};
use super::scale::{Scale, Spread, duration};
use super::{Chart, Kind, file_name};
use crate::measure::view::View;
use crate::measure::{Latency, Stretch};

/// Shares that have a marker and are written along the axis.
const MARKED: [f64; 7] = [1.0, 2.0, 10.0, 100.0, 1e3, 1e4, 1e5];
const STEPS_A_DECADE: u32 = 12;

pub fn all(view: &View<'_>) -> Vec<Chart> {
    let facets = facets(view, None);
    let stretches = [(Stretch::Wait, "Wait for the lock"), (Stretch::Whole, "Whole operation")];
    let charts = stretches.into_iter().flat_map(|(stretch, words)| {
        facets.iter().filter_map(move |facet| {
            let lines: Vec<Line> = facet.lines.iter().filter_map(|group| line(group, stretch)).collect();
            if lines.is_empty() {
                return None;
            }
            let of = if facet.name.is_empty() { String::new() } else { format!(": {}", facet.name) };
            let title = format!("{words} by percentile{of}");
            let times = || lines.iter().flat_map(|line| &line.points).map(|spot| spot.y);
            let rarest = lines.iter().flat_map(|line| &line.points).map(|spot| spot.x).fold(1.0, f64::max);
            let written: Vec<f64> = MARKED.into_iter().filter(|rarity| *rarity <= rarest).collect();
            let plot = Plot {
                title: title.clone(),
                note: constants(view),
                x: Scale::at("percentile".into(), &written_to(&written, rarest), percentile),
                y: Scale::fit("time (lower is better)".into(), Spread::Logarithmic, times(), duration),
                lines,
            };
            let name = file_name(&["percentiles", stretch.as_str(), &facet.name]);
            Some(Chart {
                name,
                title,
                kind: Kind::Percentiles,
                svg: plot.svg(),
                narrow: Some(plot.narrow_svg()),
            })
        })
    });
    charts.collect()
}

/// The scale reaches to the rarest, which is written as the round share before it.
fn written_to(written: &[f64], rarest: f64) -> Vec<f64> {
    written.iter().copied().chain([rarest]).collect()
}

fn line(group: &Group<'_, '_>, stretch: Stretch) -> Option<Line> {
    let mut merged = Latency::new();
    for (row, _) in &group.rows {
        row.cell.rounds.iter().for_each(|round| merged.merge(round.latency(stretch)));
    }
    if merged.count() == 0 {
        return None;
    }
    let rarest = (merged.count() as f64).min(1e6);
    let steps = (rarest.log10() * f64::from(STEPS_A_DECADE)).floor() as u32;
    let mut rarities: Vec<f64> =
        (0..=steps).map(|step| 10_f64.powf(f64::from(step) / f64::from(STEPS_A_DECADE))).collect();
    rarities.push(2.0_f64.min(rarest));
    rarities.sort_by(f64::total_cmp);
    let points = rarities.into_iter().map(|rarity| {
        let is_marked = MARKED.iter().any(|marked| (marked / rarity - 1.0).abs() < 1e-6);
        Spot {
            x: rarity,
            y: (merged.quantile_ns(1.0 - 1.0 / rarity) as f64).max(1.0),
            interval: None,
            mark: if is_marked { Mark::Marked } else { Mark::Plain },
        }
    });
    Some(Line { name: group.name.clone(), points: points.collect() })
}

/// The share of operations that are no rarer, as people write it: `90%`, `99.9%`.
fn percentile(rarity: f64) -> String {
    let percent = 100.0 - 100.0 / rarity;
    let text = format!("{percent:.4}");
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rarities_are_written_as_percentiles() {
        let written: Vec<String> = MARKED.into_iter().map(percentile).collect();
        assert_eq!(written, ["0%", "50%", "90%", "99%", "99.9%", "99.99%", "99.999%"]);
    }
}
