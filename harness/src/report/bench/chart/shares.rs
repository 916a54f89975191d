//! Who got how much: a bar for each process of one cell.
//!
//! A process of one round is not that of the next, so the bars are by rank: the middle of what the one with most got in each
//! round, of what the second got, and so on. Bars in the order of processes would hide that each round starved another.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{Drawn, HEAD, MARGIN, Style, Surface, Weight, draw, write};
use super::palette::{AXIS, FAINT, GRID, LINES, TEXT};
use super::scale::{Scale, Spread, plain};
use super::{CELLS_MAX, Chart, Kind, file_name};
use crate::measure::statistics::{CellStatistics, noise::median};
use crate::measure::view::{Row, View};
use crate::measure::{Metric, Round};

const WIDTH: i32 = 440;
const HEIGHT: i32 = 260;

pub fn all(view: &View<'_>) -> Vec<Chart> {
    let cells = crowded(view, |round| round.shares.len());
    cells.into_iter().filter_map(|(row, statistics)| chart(view, row, statistics)).collect()
}

/// The cells with more than one process, those with the most first.
pub fn crowded<'v, 'a>(
    view: &'v View<'a>,
    size: impl Fn(&Round) -> usize,
) -> Vec<(&'v Row<'a>, &'v CellStatistics)> {
    let processes = |row: &Row<'_>| row.cell.rounds.iter().map(&size).max().unwrap_or(0);
    let mut cells: Vec<_> = view.valid().filter(|(row, _)| processes(row) > 1).collect();
    cells.sort_by_key(|(row, _)| std::cmp::Reverse(processes(row)));
    cells.truncate(CELLS_MAX);
    cells
}

fn chart(view: &View<'_>, row: &Row<'_>, statistics: &CellStatistics) -> Option<Chart> {
    let shares = by_rank(&row.cell.rounds);
    let jain = statistics.value(Metric::Jain)?;
    let name = view.name(&row.cell.point);
    let title = if name.is_empty() { "Shares".to_owned() } else { format!("Shares: {name}") };
    let head = "Shares, as multiples of an equal part";
    let between = if name.is_empty() { "" } else { " · " };
    let note = format!("{name}{between}Jain's index {jain:.3}");
    let scale = Scale::fit(String::new(), Spread::Even, shares.iter().copied().chain([1.0]), plain);
    let svg = draw((WIDTH as u32, HEIGHT as u32), head, &note, |surface| paint(surface, &shares, &scale));
    Some(Chart { name: file_name(&["shares", &name]), title, kind: Kind::Shares, svg, narrow: None })
}

/// By rank the middle share of all rounds, as a multiple of an equal part.
fn by_rank(rounds: &[Round]) -> Vec<f64> {
    let sorted: Vec<Vec<f64>> = rounds
        .iter()
        .filter(|round| round.acquisitions() > 0)
        .map(|round| {
            let part = round.acquisitions() as f64 / round.shares.len() as f64;
            let mut shares: Vec<f64> = round.shares.iter().map(|share| *share as f64 / part).collect();
            shares.sort_by(|one, other| other.total_cmp(one));
            shares
        })
        .collect();
    let ranks = sorted.iter().map(Vec::len).min().unwrap_or(0);
    (0..ranks).map(|rank| median(&sorted.iter().map(|shares| shares[rank]).collect::<Vec<_>>())).collect()
}

fn paint(surface: &Surface<'_>, shares: &[f64], scale: &Scale) -> Drawn {
    let (left, right) = (48, WIDTH - MARGIN);
    let (top, bottom) = (HEAD + 6, HEIGHT - 44);
    let (low, high) = scale.ends();
    let y = |place: f64| bottom - ((place - low) / (high - low) * f64::from(bottom - top)).round() as i32;
    let faint = |anchor| Style { size: 12, role: FAINT, anchor, bold: Weight::Plain };
    for tick in scale.ticks() {
        let at = y(*tick);
        surface.draw(&PathElement::new(vec![(left, at), (right, at)], GRID.light.stroke_width(1)))?;
        write(surface, &scale.written(*tick), (left - 6, at), faint(HPos::Right))?;
    }
    let wide = f64::from(right - left) / shares.len().max(1) as f64;
    let x = |rank: f64| left + (rank * wide).round() as i32;
    for (rank, share) in shares.iter().enumerate() {
        let gap = i32::from(wide > 4.0);
        let bar = [(x(rank as f64) + gap, y(*share)), (x(rank as f64 + 1.0) - gap, bottom)];
        surface.draw(&Rectangle::new(bar, LINES[0].light.filled()))?;
    }
    let equal = y(1.0);
    surface.draw(&PathElement::new(vec![(left, equal), (right, equal)], TEXT.light.stroke_width(1)))?;
    surface.draw(&PathElement::new(vec![(left, bottom), (right, bottom)], AXIS.light.stroke_width(1)))?;
    let last = shares.len();
    write(surface, "1", (x(0.5), bottom + 12), faint(HPos::Center))?;
    write(surface, &last.to_string(), (x(last as f64 - 0.5), bottom + 12), faint(HPos::Center))?;
    let text = Style { size: 12, role: TEXT, anchor: HPos::Center, bold: Weight::Plain };
    write(surface, "processes, from the most to the least", (i32::midpoint(left, right), bottom + 30), text)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(shares: &[u64]) -> Round {
        Round { duration_ns: 1, shares: shares.to_vec(), ..Round::default() }
    }

    #[test]
    fn whoever_starves_in_a_round_is_seen() {
        // Each of the three starves once: by process all are equal.
        let rounds = [round(&[0, 3, 3]), round(&[3, 0, 3]), round(&[3, 3, 0])];
        assert_eq!(by_rank(&rounds), [1.5, 1.5, 0.0]);
        assert!(by_rank(&[]).is_empty());
    }
}
