//! How many executions the searches take on programs whose number of different executions is known.

use flockwork_harness::explore::strategy::Strategy;
use flockwork_harness::explore::strategy::bounded::Bounded;
use flockwork_harness::explore::strategy::exhaustive::Exhaustive;
use flockwork_harness::explore::strategy::naive::Naive;

use crate::explore::{Lanes, explore};
use crate::toy::{AtEnd, Mode, Op, Toy};

fn toy(programs: Vec<Vec<Op>>) -> Toy {
    Toy { programs, at_end: AtEnd::LetsGo, forgets: None }
}

fn alike(count: usize, program: &[Op]) -> Toy {
    toy(vec![program.to_vec(); count])
}

/// Executions, redundant ones among them.
fn runs(toy: &mut Toy, strategy: &mut dyn Strategy) -> (u64, u64) {
    let explored = explore(toy, strategy, Lanes::ONE, 1_000_000).expect("within the limit");
    (explored.statistics.executions, explored.statistics.redundant)
}

fn exhaustive(mut toy: Toy) -> (u64, u64) {
    runs(&mut toy, &mut Exhaustive::new())
}

fn naive(mut toy: Toy) -> u64 {
    runs(&mut toy, &mut Naive::new()).0
}

const CRITICAL: [Op; 3] = [Op::Lock(0, Mode::Exclusive), Op::FetchAdd(0), Op::Unlock(0)];

#[test]
fn writers_of_one_variable_come_in_every_order() {
    for (count, orders) in [(2, 2), (3, 6), (4, 24), (5, 120)] {
        assert_eq!(exhaustive(alike(count, &[Op::Write(0, 1)])), (orders, 0));
    }
}

#[test]
fn what_commutes_comes_in_one_order() {
    for program in [[Op::Read(0); 3], [Op::Add(0); 3]] {
        assert_eq!(exhaustive(alike(3, &program)), (1, 0));
        assert_eq!(naive(alike(3, &program)), 1_680);
    }
    let apart = toy(vec![vec![Op::Write(0, 1); 4], vec![Op::Write(1, 1); 4]]);
    assert_eq!(exhaustive(apart.clone()), (1, 0));
    assert_eq!(naive(apart), 70);
}

/// One writer, and readers that each read before or after it.
#[test]
fn readers_are_independent_of_one_another() {
    for (readers, executions) in [(1, 2), (2, 4), (3, 8)] {
        let mut programs = vec![vec![Op::Read(0)]; readers];
        programs.push(vec![Op::Write(0, 1)]);
        assert_eq!(exhaustive(toy(programs)).0, executions);
    }
}

/// Between two processes a lock's order is all that matters; among more, the orders in which they come.
#[test]
fn critical_sections_come_in_the_orders_of_the_lock() {
    for (count, orders) in [(2, 2), (3, 6), (4, 24)] {
        assert_eq!(exhaustive(alike(count, &CRITICAL)), (orders, 0));
    }
    // Two each: which of the four sections are whose.
    let twice = [CRITICAL, CRITICAL].concat();
    assert_eq!(exhaustive(alike(2, &twice)), (6, 0));
}

#[test]
fn shared_sections_come_in_one_order() {
    let section = [Op::Lock(0, Mode::Shared), Op::Read(0), Op::Unlock(0)];
    assert_eq!(exhaustive(alike(3, &section)), (1, 0));
}

/// The indexer of Flanagan and Godefroid: whether two collide is known only while they run.
#[test]
fn what_is_touched_decides_and_not_what_might_be() {
    let collide = toy(vec![vec![Op::Route(0, 1, 2)], vec![Op::Route(0, 1, 2)]]);
    assert_eq!(exhaustive(collide), (2, 0));
    let pass = toy(vec![vec![Op::Route(0, 1, 2)], vec![Op::Route(0, 2, 1)]]);
    assert_eq!(exhaustive(pass), (1, 0));
}

#[test]
fn locks_taken_crosswise_are_found_to_deadlock() {
    let crosswise = |one, other| {
        let (one, other) = (Op::Lock(one, Mode::Exclusive), Op::Lock(other, Mode::Exclusive));
        vec![one, other]
    };
    let mut dining = toy(vec![crosswise(0, 1), crosswise(1, 2), crosswise(2, 0)]);
    let explored = explore(&mut dining, &mut Exhaustive::new(), Lanes::ONE, 1_000).expect("few");
    assert!(explored.seen.iter().any(|seen| seen.deadlock));
    assert!(explored.seen.iter().any(|seen| !seen.deadlock));
}

/// A deadlock that takes one preemption is not there without, and is there with one.
#[test]
fn a_bound_finds_what_is_within_it() {
    let crosswise = vec![
        vec![Op::Lock(0, Mode::Exclusive), Op::Lock(1, Mode::Exclusive)],
        vec![Op::Lock(1, Mode::Exclusive), Op::Lock(0, Mode::Exclusive)],
    ];
    for (bound, found) in [(0, false), (1, true)] {
        let mut toy = toy(crosswise.clone());
        let explored = explore(&mut toy, &mut Bounded::with_at_most(bound), Lanes::ONE, 1_000).expect("few");
        assert_eq!(explored.seen.iter().any(|seen| seen.deadlock), found, "{bound}");
    }
}

/// The first execution in which something went wrong has as few preemptions as any.
#[test]
fn simple_executions_come_first() {
    use flockwork_harness::explore::machine::Machine;
    let mut lost = alike(3, &[Op::Read(0), Op::Store(0), Op::Read(1), Op::Store(1)]);
    let mut search = Exhaustive::new();
    while let Some(mut assignment) = search.next() {
        let Ok(execution) = lost.run(&mut *assignment.chooser);
        if execution.outcome.variables[0] != 3 {
            assert_eq!(execution.preemptions(), 1, "the first lost update takes one preemption");
            return;
        }
        search.learn(assignment.ticket, &execution.split().0);
    }
    panic!("no update was lost");
}

/// What was seen completely is given up: only what is wanted still is kept.
#[test]
fn nothing_is_kept_at_the_end() {
    let mut search = Exhaustive::new();
    runs(&mut alike(4, &CRITICAL), &mut search);
    assert_eq!(search.kept(), 1);
}
