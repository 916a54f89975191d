//! Which steps of a long interleaving a terminal shows: a commit of git takes two hundred, and a dozen of them matter.

use std::ops::Range;

use super::Row;

/// So many steps are shown whatever they are.
const ALL_MAX: usize = 60;
/// A stretch of fewer steps is shown: to leave it out would save no room.
const STRETCH_MIN: usize = 4;

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// The step of this number.
    Step(usize),
    /// Steps of one process that are left out.
    Folded(Range<usize>),
}

impl Shown {
    /// The first step that it stands for.
    pub fn first(&self) -> usize {
        match self {
            Self::Step(at) => *at,
            Self::Folded(steps) => steps.start,
        }
    }

    /// How many steps it leaves out.
    pub fn folded(&self) -> usize {
        match self {
            Self::Step(_) => 0,
            Self::Folded(steps) => steps.len(),
        }
    }
}

/// Every step.
pub(super) fn none(count: usize) -> Vec<Shown> {
    (0..count).map(Shown::Step).collect()
}

/// The steps that matter, the first and the last of each turn, and those beside them; `None`: there are so few that all
/// are shown.
pub(super) fn stretches(rows: &[Row]) -> Option<Vec<Shown>> {
    if rows.len() <= ALL_MAX {
        return None;
    }
    let is_kept = |at: usize| {
        let turns = |other: Option<&Row>| other.is_none_or(|other| other.process != rows[at].process);
        rows[at].is_decisive
            || turns(at.checked_sub(1).map(|before| &rows[before]))
            || turns(rows.get(at + 1))
    };
    let is_near = |at: usize| {
        let from = at.saturating_sub(1);
        (from..rows.len().min(at + 2)).any(is_kept)
    };
    let near: Vec<bool> = (0..rows.len()).map(is_near).collect();
    let mut shown = Vec::new();
    let mut at = 0;
    for stretch in near.chunk_by(|one, next| one == next) {
        let steps = at..at + stretch.len();
        at = steps.end;
        if stretch[0] || steps.len() < STRETCH_MIN {
            shown.extend(steps.map(Shown::Step));
        } else {
            shown.push(Shown::Folded(steps));
        }
    }
    Some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(turns: &[(usize, usize)], decisive: &[usize]) -> Vec<Row> {
        let rows = turns.iter().flat_map(|&(process, count)| std::iter::repeat_n(process, count)).enumerate();
        rows.map(|(at, process)| Row {
            process,
            text: format!("step {at}"),
            is_decisive: decisive.contains(&at),
        })
        .collect()
    }

    #[test]
    fn what_matters_stays_with_what_lies_beside_it() {
        let shown = stretches(&rows(&[(0, 50), (1, 40)], &[20])).expect("there are many");
        let expected = [0, 1]
            .map(Shown::Step)
            .into_iter()
            .chain([Shown::Folded(2..19)])
            .chain([19, 20, 21].map(Shown::Step))
            .chain([Shown::Folded(22..48)])
            .chain([48, 49, 50, 51].map(Shown::Step))
            .chain([Shown::Folded(52..88)])
            .chain([88, 89].map(Shown::Step));
        assert_eq!(shown, expected.collect::<Vec<_>>());
    }

    #[test]
    fn every_step_is_shown_or_counted_and_every_decisive_one_is_shown() {
        for every in 1..40 {
            let decisive: Vec<usize> = (0..200).step_by(every).collect();
            let rows = rows(&[(0, 30), (1, 3), (0, 1), (2, 100), (0, 66)], &decisive);
            let shown = stretches(&rows).expect("there are many");
            let mut next = 0;
            for shown in &shown {
                assert_eq!(shown.first(), next);
                next += shown.folded().max(1);
                if let Shown::Folded(steps) = shown {
                    assert!(steps.len() >= STRETCH_MIN);
                    assert!(
                        steps
                            .clone()
                            .all(|at| !rows[at].is_decisive && rows[at].process == rows[steps.start].process)
                    );
                }
            }
            assert_eq!(next, rows.len());
        }
    }

    #[test]
    fn few_steps_are_all_shown() {
        assert_eq!(stretches(&rows(&[(0, ALL_MAX)], &[])), None);
        assert_eq!(none(2), [Shown::Step(0), Shown::Step(1)]);
    }
}
