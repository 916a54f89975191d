//! Divides the cells of a grid among charts, so that none has more lines than can be told apart.

use super::palette::LINES_MAX;
use crate::measure::statistics::CellStatistics;
use crate::measure::view::{Row, View, axes_of, named, values_on};
use crate::measure::{Axis, Point};

/// The cells of one chart, by line.
pub struct Facet<'v, 'a> {
    /// What all of them share and others do not; empty where there is one chart.
    pub name: String,
    pub lines: Vec<Group<'v, 'a>>,
}

/// The cells of one line, in the order of the grid.
pub struct Group<'v, 'a> {
    pub name: String,
    pub rows: Vec<(&'v Row<'a>, &'v CellStatistics)>,
}

/// Charts with a line for each combination of the axes that vary, but for this one, along which lines run.
pub fn facets<'v, 'a>(view: &'v View<'a>, along: Option<Axis>) -> Vec<Facet<'v, 'a>> {
    let rows: Vec<_> = view.valid().collect();
    let free: Vec<Axis> = view.varying.iter().copied().filter(|axis| Some(*axis) != along).collect();
    let mut facets = Vec::new();
    divide(&rows, &free, &[], &mut facets);
    facets
}

type Rows<'v, 'a> = [(&'v Row<'a>, &'v CellStatistics)];

fn divide<'v, 'a>(rows: &Rows<'v, 'a>, free: &[Axis], fixed: &[Axis], facets: &mut Vec<Facet<'v, 'a>>) {
    let points = || rows.iter().map(|(row, _)| &row.cell.point);
    let lines = grouped(rows, free);
    if lines.len() <= LINES_MAX || free.is_empty() {
        let name = points().next().map_or_else(String::new, |point| named(point, fixed));
        // Without a free axis all lie on one line, and there is one; so no line is left out here.
        facets.extend((!lines.is_empty()).then_some(Facet { name, lines }));
        return;
    }
    let axis = dividing(free, lines.len(), |axis| values_on(axis, points()).len());
    let rest: Vec<Axis> = free.iter().copied().filter(|own| *own != axis).collect();
    let fixed: Vec<Axis> = fixed.iter().copied().chain([axis]).collect();
    for value in values_on(axis, points()) {
        let part: Vec<_> =
            rows.iter().copied().filter(|(row, _)| row.cell.point.get(axis) == Some(&value)).collect();
        divide(&part, &rest, &fixed, facets);
    }
}

/// Whether people compare it within one chart, as far as they can: other axes divide first.
const fn is_compared(axis: Axis) -> bool {
    match axis {
        Axis::Subject | Axis::Lock | Axis::Wait | Axis::Read | Axis::Write => true,
        Axis::Descriptor
        | Axis::Work
        | Axis::Reads
        | Axis::Payload
        | Axis::Processes
        | Axis::Containers
        | Axis::Skew
        | Axis::Load
        | Axis::Root => false,
    }
}

/// The axis that leaves few enough lines with the fewest charts; where none does, the one with the most values.
fn dividing(free: &[Axis], lines: usize, count: impl Fn(Axis) -> usize) -> Axis {
    let counts: Vec<(usize, Axis)> = free.iter().map(|axis| (count(*axis), *axis)).collect();
    let (compared, mut others): (Vec<_>, Vec<_>) = counts.iter().partition(|(_, axis)| is_compared(*axis));
    others.retain(|(count, _)| *count > 1);
    let candidates = if others.is_empty() { compared } else { others };
    let enough = candidates.iter().filter(|(count, _)| lines.div_ceil((*count).max(1)) <= LINES_MAX).min();
    enough.or_else(|| candidates.iter().max()).map_or(free[0], |(_, axis)| *axis)
}

fn grouped<'v, 'a>(rows: &Rows<'v, 'a>, free: &[Axis]) -> Vec<Group<'v, 'a>> {
    let key = |point: &Point| -> Vec<_> { free.iter().map(|axis| point.get(*axis).cloned()).collect() };
    let told_apart: Vec<Axis> = axes_of(rows.iter().map(|(row, _)| &row.cell.point)).0;
    let telling: Vec<Axis> = free.iter().copied().filter(|axis| told_apart.contains(axis)).collect();
    let mut groups: Vec<(Vec<_>, Group<'v, 'a>)> = Vec::new();
    for (row, statistics) in rows {
        let own = key(&row.cell.point);
        if let Some((_, group)) = groups.iter_mut().find(|(known, _)| *known == own) {
            group.rows.push((row, statistics));
        } else {
            let name = named(&row.cell.point, &telling);
            groups.push((own, Group { name, rows: vec![(row, statistics)] }));
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}
