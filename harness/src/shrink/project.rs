//! Projections: what is left of a schedule when some of those it speaks of are gone.

use std::collections::HashMap;

use crate::plan::schedule::{Line, Schedule, without_number};

/// How the line begins that ends an operation.
const RETURN: &str = "return ";

/// Without a process; those behind it move up.
pub(super) fn without_process(schedule: &Schedule, gone: usize) -> Schedule {
    renamed(schedule, |process| match process {
        _ if process == gone => None,
        _ if process > gone => Some(process - 1),
        _ => Some(process),
    })
}

/// With other numbers for the processes; of those that get none, nothing is left.
pub(super) fn renamed(schedule: &Schedule, number: impl Fn(usize) -> Option<usize>) -> Schedule {
    let rename = |line: &Line| Some(Line { process: number(line.process)?, ..line.clone() });
    schedule.lines.iter().filter_map(rename).collect::<Vec<_>>().into()
}

/// Without one operation of a process: its steps are those up to its return, from behind the return before.
pub(super) fn without_operation(schedule: &Schedule, process: usize, index: usize) -> Schedule {
    let mut returned = 0;
    let mut lines = schedule.lines.clone();
    lines.retain(|line| {
        let is_its = line.process == process && returned == index;
        if line.process == process && line.label.starts_with(RETURN) {
            returned += 1;
        }
        !is_its
    });
    renumbered(lines)
}

/// Steps that recur are numbered, and those that are gone no longer count.
fn renumbered(lines: Vec<Line>) -> Schedule {
    let mut counts = HashMap::<(usize, String), u32>::new();
    let renumber = |line: Line| {
        let label = without_number(&line.label).to_owned();
        let count = counts.entry((line.process, label.clone())).or_default();
        *count += 1;
        let label = if *count == 1 { label } else { format!("{label} #{count}") };
        Line { label, ..line }
    };
    lines.into_iter().map(renumber).collect::<Vec<_>>().into()
}

/// The processes in the order in which they come to their first step.
pub(super) fn turns(schedule: &Schedule) -> Vec<usize> {
    let mut turns = Vec::new();
    for line in &schedule.lines {
        if !turns.contains(&line.process) {
            turns.push(line.process);
        }
    }
    turns
}
