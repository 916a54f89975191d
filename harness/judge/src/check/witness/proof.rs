//! The order that the walk found, as a certificate that anybody can validate.
//!
//! Tokens and guesses give the order of most operations. What has neither (a refusal for absence, a failure, a refusal
//! that tells no generation) changes nothing, so it only needs a gap between two of them: one in whose state it is legal,
//! that does not begin after the operation was over, nor end before it was invoked. Each takes the earliest gap that it
//! may; the validator has the last word on whether they all go together.

use super::Walked;
use super::sort::Partition;
use crate::check::certificate::{Certificate, Step};
use crate::check::search::Operations;
use crate::history::{History, Outcome, Record};
use crate::model::Model;
use crate::model::table::{ILLEGAL, STATES_MAX};

/// The certificate of what was walked through, if every operation finds a place.
pub(super) fn certificate(
    history: &History,
    model: &Model,
    partition: &Partition,
    walked: &Walked,
    operations: &Operations,
) -> Option<Certificate> {
    let (container, first) = (partition.container, model.table().initial());
    let gaps = Gaps::between(history, model, first, walked.steps(partition))?;
    let mut placed: Vec<u32> = gaps.steps.iter().filter_map(|step| step.record()).collect();
    placed.sort_unstable();
    let mut lookers = Vec::new();
    for &index in &operations.indexes {
        let record = &history.records[index as usize];
        if record.outcome != Outcome::Unknown && placed.binary_search(&index).is_err() {
            lookers.push((gaps.gap_of(model, record)?, record.invoke_ns, index));
        }
    }
    lookers.sort_unstable();
    let mut lookers = lookers.into_iter().peekable();
    let mut steps = Vec::with_capacity(operations.indexes.len());
    for (gap, step) in (0..).zip(gaps.steps) {
        while let Some((.., index)) = lookers.next_if(|&(of, ..)| of <= gap) {
            steps.push(Step::Acts(index));
        }
        steps.push(step);
    }
    steps.extend(lookers.map(|(.., index)| Step::Acts(index)));
    Some(Certificate { container, first, steps })
}

impl Walked {
    /// What tokens and guesses put in order.
    fn steps(&self, partition: &Partition) -> Vec<Step> {
        let mut steps = Vec::with_capacity(partition.keys.len() + self.guesses.len());
        let mut guesses = self.guesses.iter().peekable();
        let mut tied = self.tied.iter().peekable();
        for (position, key) in (0..).zip(&partition.keys) {
            while let Some((_, step)) = guesses.next_if(|&&(placed, _)| placed <= position) {
                steps.push(*step);
            }
            while tied.next_if(|range| range.end <= position).is_some() {}
            if !tied.peek().is_some_and(|range| range.contains(&position)) {
                steps.push(Step::Acts(key.index));
            }
        }
        steps.extend(guesses.map(|(_, step)| *step));
        steps
    }
}

/// Steps, and the gaps before the first, between any two, and after the last.
struct Gaps {
    steps: Vec<Step>,
    /// For each gap, when the latest operation before it was invoked.
    begins_ns: Vec<u64>,
    /// For each gap, when the earliest operation after it is over.
    ends_ns: Vec<u64>,
    /// For each state, the gaps in which the container is in it.
    of_state: [Vec<u32>; STATES_MAX],
}

impl Gaps {
    /// `None`: the steps are not legal one after the other.
    fn between(history: &History, model: &Model, first: u8, steps: Vec<Step>) -> Option<Self> {
        let absent = model.states_of(None).next()?;
        let (mut state, mut now_ns, mut born) = (first, 0, 0);
        let mut begins_ns = vec![now_ns];
        let mut ends_ns = Vec::with_capacity(steps.len() + 1);
        let mut of_state: [Vec<u32>; STATES_MAX] = Default::default();
        of_state[state as usize].push(0);
        for (number, &step) in steps.iter().enumerate() {
            let record = step.record().map(|index| &history.records[index as usize]);
            let next = match (step, record) {
                (Step::Acts(_), Some(record)) => model.table().row(record.into())[state as usize],
                _ => model.death_row()[state as usize],
            };
            if next == ILLEGAL {
                return None;
            }
            let deadline_ns = record.map_or(u64::MAX, Record::deadline_ns);
            if state == absent && next != absent {
                born = number;
            }
            if let Step::DiesBy(_) = step {
                // It may be noticed at any time, but what was ended had begun by then.
                ends_ns[born] = deadline_ns.min(ends_ns[born]);
                ends_ns.push(u64::MAX);
            } else {
                ends_ns.push(deadline_ns);
            }
            now_ns = record.map_or(0, |record| record.invoke_ns).max(now_ns);
            state = next;
            begins_ns.push(now_ns);
            of_state[state as usize].push(number as u32 + 1);
        }
        ends_ns.push(u64::MAX);
        for gap in (0..steps.len()).rev() {
            ends_ns[gap] = ends_ns[gap].min(ends_ns[gap + 1]);
        }
        Some(Self { steps, begins_ns, ends_ns, of_state })
    }

    /// The earliest gap that the operation may lie in.
    fn gap_of(&self, model: &Model, record: &Record) -> Option<u32> {
        let earliest = self.ends_ns.partition_point(|&ends_ns| ends_ns < record.invoke_ns) as u32;
        let row = model.table().row(record.into());
        let keeps = (0..).zip(row).filter(|&(state, &next): &(u8, _)| next == state);
        let gaps = keeps.filter_map(|(state, _)| {
            let gaps = &self.of_state[state as usize];
            gaps.get(gaps.partition_point(|&gap| gap < earliest)).copied()
        });
        gaps.min().filter(|&gap| self.begins_ns[gap as usize] <= record.deadline_ns())
    }
}
