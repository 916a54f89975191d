//! The moves: each makes of one case all that are one step simpler in its own way.

use flockwork::Operation;

use super::{Case, project};
use crate::plan::Call;
use crate::plan::schedule::Line;

/// Without one of the processes; there must be one left.
pub(super) fn without_a_process(case: &Case) -> Vec<Case> {
    if case.programs.len() < 2 {
        return Vec::new();
    }
    // The later ones first: they are more often bystanders.
    let drop = |process: usize| {
        let mut programs = case.programs.clone();
        programs.remove(process);
        let schedule = project::without_process(&case.schedule, process);
        Case { programs, schedule, setup: case.setup.clone() }
    };
    (0..case.programs.len()).rev().map(drop).collect()
}

/// Without one operation of a process that has several.
pub(super) fn without_an_operation(case: &Case) -> Vec<Case> {
    let drop = |process: usize, index: usize| {
        let mut programs = case.programs.clone();
        programs[process].remove(index);
        let schedule = project::without_operation(&case.schedule, process, index);
        Case { programs, schedule, setup: case.setup.clone() }
    };
    operations(case)
        .filter(|&(process, _)| case.programs[process].len() > 1)
        .map(|(p, i)| drop(p, i))
        .collect()
}

/// Every operation, by process and index, from the last to the first.
fn operations(case: &Case) -> impl Iterator<Item = (usize, usize)> {
    let programs = case.programs.iter().enumerate().rev();
    programs.flat_map(|(process, program)| (0..program.len()).rev().map(move |index| (process, index)))
}

/// With one fault less.
pub(super) fn without_a_fault(case: &Case) -> Vec<Case> {
    let lines = &case.schedule.lines;
    let faulty = (0..lines.len()).filter(|index| lines[*index].fault.is_some());
    faulty
        .map(|index| {
            let mut lines = lines.clone();
            lines[index].fault = None;
            Case { schedule: lines.into(), ..case.clone() }
        })
        .collect()
}

/// With two blocks of one process joined, by moving the later up to the earlier, or the earlier down to the later.
pub(super) fn with_blocks_joined(case: &Case) -> Vec<Case> {
    let blocks: Vec<&[Line]> =
        case.schedule.lines.chunk_by(|one, other| one.process == other.process).collect();
    let mut cases = Vec::new();
    for later in 0..blocks.len() {
        let earlier = (0..later).rev().find(|index| blocks[*index][0].process == blocks[later][0].process);
        let Some(earlier) = earlier else { continue };
        for (moved, to) in [(later, earlier + 1), (earlier, later - 1)] {
            let mut order = blocks.clone();
            let block = order.remove(moved);
            order.insert(to, block);
            let lines = order.concat();
            cases.push(Case { schedule: lines.into(), ..case.clone() });
        }
    }
    cases
}

/// With one operation replaced by a simpler one.
pub(super) fn with_a_simpler_operation(case: &Case) -> Vec<Case> {
    let mut cases = Vec::new();
    for (process, index) in operations(case) {
        for operation in simpler(case.programs[process][index].operation) {
            let mut programs = case.programs.clone();
            programs[process][index] = Call { operation: *operation, ..programs[process][index] };
            cases.push(Case { programs, ..case.clone() });
        }
    }
    cases
}

const fn simpler(operation: Operation) -> &'static [Operation] {
    match operation {
        // `list` is about no container: there is nothing that `state` could look at instead.
        Operation::State | Operation::List => &[],
        Operation::ForceDelete => &[Operation::State, Operation::Delete],
        Operation::Restore => &[Operation::State, Operation::Start],
        _ => &[Operation::State],
    }
}

/// With one operation less before.
pub(super) fn with_a_shorter_setup(case: &Case) -> Vec<Case> {
    let drop = |index: usize| {
        let mut setup = case.setup.clone();
        setup.remove(index);
        Case { setup, ..case.clone() }
    };
    (0..case.setup.len()).rev().map(drop).collect()
}

/// With the processes numbered in the order in which they come to their first step: one bug, one table.
pub(super) fn in_turn(case: &Case) -> Vec<Case> {
    let turns = project::turns(&case.schedule);
    if turns.len() != case.programs.len() || turns.iter().enumerate().all(|(turn, who)| turn == *who) {
        return Vec::new();
    }
    let programs = turns.iter().map(|who| case.programs[*who].clone()).collect();
    let schedule = project::renamed(&case.schedule, |process| turns.iter().position(|who| *who == process));
    vec![Case { programs, schedule, setup: case.setup.clone() }]
}
