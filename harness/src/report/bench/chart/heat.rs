//! Who followed whom: a square for each pair of processes of one cell.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{Drawn, HEAD, MARGIN, Style, Surface, Weight, draw, write};
use super::palette::{AXIS, FAINT, HEAT, HIGH_FROM, ON_HIGH, ON_LOW, TEXT};
use super::shares::crowded;
use super::{Chart, Kind, file_name};
use crate::measure::view::{Row, View};
use crate::words::grouped;

const WIDTH: i32 = 440;
const SIDE: i32 = 300;
const LEFT: i32 = 58;
/// So many processes still have their numbers in the squares.
const WRITTEN_MAX: usize = 8;

pub fn all(view: &View<'_>) -> Vec<Chart> {
    let cells = crowded(view, |round| round.handoff_matrix.len());
    cells.into_iter().filter_map(|(row, _)| chart(view, row)).collect()
}

fn chart(view: &View<'_>, row: &Row<'_>) -> Option<Chart> {
    let matrix = summed(row)?;
    let all: u64 = matrix.iter().flatten().sum();
    let name = view.name(&row.cell.point);
    let title = if name.is_empty() { "Handoffs".to_owned() } else { format!("Handoffs: {name}") };
    let head = format!("Handoffs, as shares of {}", grouped(all));
    let height = HEAD + 30 + SIDE + 84;
    let svg = draw((WIDTH as u32, height as u32), &head, &name, |surface| paint(surface, &matrix, all));
    Some(Chart { name: file_name(&["handoffs", &name]), title, kind: Kind::Handoffs, svg, narrow: None })
}

/// The sum over the rounds; `None` where nothing followed anything.
fn summed(row: &Row<'_>) -> Option<Vec<Vec<u64>>> {
    let size = row.cell.rounds.iter().map(|round| round.handoff_matrix.len()).max()?;
    let mut sum = vec![vec![0_u64; size]; size];
    for round in &row.cell.rounds {
        for (into, from) in sum.iter_mut().zip(&round.handoff_matrix) {
            into.iter_mut().zip(from).for_each(|(into, from)| *into = into.saturating_add(*from));
        }
    }
    sum.iter().flatten().any(|count| *count > 0).then_some(sum)
}

fn paint(surface: &Surface<'_>, matrix: &[Vec<u64>], all: u64) -> Drawn {
    let size = matrix.len();
    let most = matrix.iter().flatten().copied().max().unwrap_or(1).max(1);
    let top = HEAD + 30;
    let edge = |index: usize| (f64::from(SIDE) * index as f64 / size as f64).round() as i32;
    let frame = [(LEFT, top), (LEFT + SIDE, top + SIDE)];
    let square = |from: usize, to: std::ops::Range<usize>| {
        [(LEFT + edge(to.start), top + edge(from)), (LEFT + edge(to.end), top + edge(from + 1))]
    };
    surface.draw(&Rectangle::new(frame, HEAT[0].light.filled()))?;
    for (from, row) in matrix.iter().enumerate() {
        let mut to = 0;
        // Neighbours of one level are one rectangle: of 128 processes there are 16384 pairs.
        for run in row.chunk_by(|one, other| level(*one, most) == level(*other, most)) {
            let level = level(run[0], most);
            if level > 0 {
                surface
                    .draw(&Rectangle::new(square(from, to..to + run.len()), HEAT[level].light.filled()))?;
            }
            to += run.len();
        }
        if size > WRITTEN_MAX {
            continue;
        }
        for (to, count) in row.iter().enumerate() {
            let [start, end] = square(from, to..to + 1);
            let middle = (i32::midpoint(start.0, end.0), i32::midpoint(start.1, end.1));
            let role = if level(*count, most) < HIGH_FROM { ON_LOW } else { ON_HIGH };
            let style = Style { size: 11, role, anchor: HPos::Center, bold: Weight::Plain };
            write(surface, &part(*count, all), middle, style)?;
        }
    }
    surface.draw(&Rectangle::new(frame, AXIS.light.stroke_width(1)))?;
    let faint = |anchor| Style { size: 12, role: FAINT, anchor, bold: Weight::Plain };
    let text = Style { size: 12, role: TEXT, anchor: HPos::Center, bold: Weight::Plain };
    let ends: &[usize] = if size > WRITTEN_MAX { &[0, size - 1] } else { &[0, 1, 2, 3, 4, 5, 6, 7][..size] };
    for &process in ends {
        let middle = i32::midpoint(edge(process), edge(process + 1));
        write(surface, &process.to_string(), (LEFT - 8, top + middle), faint(HPos::Right))?;
        write(surface, &process.to_string(), (LEFT + middle, top + SIDE + 12), faint(HPos::Center))?;
    }
    write(surface, "to process", (LEFT + SIDE / 2, top + SIDE + 30), text)?;
    let left = Style { anchor: HPos::Left, ..text };
    write(surface, "from process", (MARGIN, top - 16), left)?;
    legend(surface, top + SIDE + 56, &part(most, all))
}

/// The levels, from nothing to the most.
fn legend(surface: &Surface<'_>, y: i32, most: &str) -> Drawn {
    const STEP: i32 = 20;
    let faint = |anchor| Style { size: 12, role: FAINT, anchor, bold: Weight::Plain };
    write(surface, "0%", (LEFT - 8, y), faint(HPos::Right))?;
    for (level, role) in HEAT.iter().enumerate() {
        let left = LEFT + level as i32 * STEP;
        surface.draw(&Rectangle::new([(left, y - 7), (left + STEP, y + 7)], role.light.filled()))?;
    }
    let right = LEFT + HEAT.len() as i32 * STEP;
    write(surface, most, (right + 8, y), faint(HPos::Left))
}

fn level(count: u64, most: u64) -> usize {
    let last = HEAT.len() as u64 - 1;
    u128::from(count).saturating_mul(u128::from(last)).div_ceil(u128::from(most)) as usize
}

fn part(count: u64, all: u64) -> String {
    let percent = count as f64 * 100.0 / all as f64;
    if percent > 0.0 && percent < 0.1 { "<0.1%".into() } else { format!("{percent:.1}%") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nothing_has_the_lowest_level() {
        assert_eq!((level(0, 100), level(1, 100), level(100, 100)), (0, 1, 9));
        assert_eq!(level(u64::MAX, u64::MAX), 9);
    }
}
