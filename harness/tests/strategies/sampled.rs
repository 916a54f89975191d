//! Strategies that sample, estimates, and replay.

use std::collections::BTreeSet;
use std::sync::Arc;

use flockwork_harness::explore::machine::{End, Execution, Machine};
use flockwork_harness::explore::strategy::Strategy;
use flockwork_harness::explore::strategy::pct::Pct;
use flockwork_harness::explore::strategy::pos::Pos;
use flockwork_harness::explore::strategy::random::Random;
use flockwork_harness::explore::strategy::replay::{Fidelity, Follower, Turn};
use flockwork_harness::explore::strategy::size::{NaiveSize, naive_size};

use crate::explore::{Lanes, explore};
use crate::toy::{AtEnd, Mode, Op, Seen, Toy};

fn toy(programs: Vec<Vec<Op>>) -> Toy {
    Toy { programs, at_end: AtEnd::LetsGo, forgets: None }
}

fn increments(count: usize) -> Toy {
    toy(vec![vec![Op::Read(0), Op::Store(0)]; count])
}

fn samplers(seed: u64, executions: u64) -> [Box<dyn Strategy>; 3] {
    [
        Box::new(Random::new(seed, executions)),
        Box::new(Pct::new(seed, executions, 3)),
        Box::new(Pos::new(seed, executions)),
    ]
}

#[test]
fn samplers_repeat_by_the_seed_in_any_lanes() {
    for which in 0..3 {
        let traces = |seed, lanes| {
            let strategy = &mut samplers(seed, 40)[which];
            explore(&mut increments(3), &mut **strategy, lanes, 1_000).expect("few").traces
        };
        assert_eq!(traces(1, Lanes::ONE), traces(1, Lanes { count: 3, seed: 5 }), "{which}");
        assert_ne!(traces(1, Lanes::ONE), traces(2, Lanes::ONE), "{which}");
    }
}

#[test]
fn who_learns_nothing_waits_for_no_execution() {
    let handed_out = samplers(7, 10).map(|mut strategy| std::iter::from_fn(|| strategy.next()).count());
    // The first round of pct is one execution.
    assert_eq!(handed_out, [10, 1, 10]);
}

#[test]
fn only_pct_promises() {
    let promises: Vec<bool> = samplers(7, 10).iter().map(|strategy| strategy.promise().is_some()).collect();
    assert_eq!(promises, [false, true, false]);
}

#[test]
fn samplers_run_as_many_as_asked_and_find_what_is_common() {
    for mut strategy in samplers(7, 100) {
        let explored = explore(&mut increments(2), &mut *strategy, Lanes::ONE, 1_000).expect("few");
        assert_eq!((explored.statistics.executions, explored.statistics.waiting), (100, 0));
        let ends: BTreeSet<u8> = explored.seen.iter().map(|seen| seen.variables[0]).collect();
        assert_eq!(ends, BTreeSet::from([1, 2]));
    }
}

/// A chain of five handovers, each the other way round than processes are numbered.
#[test]
fn pct_keeps_its_guarantee() {
    let mut toy = toy(vec![vec![Op::Read(0), Op::Store(1)], vec![Op::Read(1), Op::Store(0), Op::Read(2)]]);
    let rare = |seen: &Seen| seen.observations == [vec![0], vec![1, 0]];
    let (mut strategy, executions) = (Pct::new(3, 2_000, 2), 2_000_u32);
    let mut met = 0;
    while let Some(mut assignment) = strategy.next() {
        let Ok(execution) = toy.run(&mut *assignment.chooser);
        met += u32::from(rare(&execution.outcome));
        strategy.learn(assignment.ticket, &execution.split().0);
    }
    let promise = strategy.promise().expect("pct promises");
    assert_eq!((promise.guarantee.processes, promise.guarantee.steps), (2, 5));
    let each = promise.guarantee.probability();
    assert!((each - 0.1).abs() < 1e-12);
    // The first execution could not know how many steps there are.
    assert_eq!(promise.executions, u64::from(executions) - 1);
    assert!(f64::from(met) >= each * f64::from(executions), "{met}");
}

/// The rarest order of a chain in which each process waits for the other's last word is met as often, over many runs of
/// few executions, as is promised for all of a run together.
#[test]
fn pct_keeps_what_it_promises_for_a_whole_run() {
    let mut toy = toy(vec![vec![Op::Read(0), Op::Store(1)], vec![Op::Read(1), Op::Store(0), Op::Read(2)]]);
    let rare = |seen: &Seen| seen.observations == [vec![0], vec![1, 0]];
    let (runs, mut met, mut least) = (400, 0, 1.0_f64);
    for seed in 0..runs {
        let mut strategy = Pct::new(seed, 5, 2);
        let mut is_met = false;
        while let Some(mut assignment) = strategy.next() {
            let Ok(execution) = toy.run(&mut *assignment.chooser);
            is_met |= rare(&execution.outcome);
            strategy.learn(assignment.ticket, &execution.split().0);
        }
        met += u32::from(is_met);
        least = least.min(strategy.promise().expect("pct promises").probability());
    }
    // Four executions of the five knew how many steps there are.
    assert!((least - (1.0 - 0.9_f64.powi(4))).abs() < 1e-12, "{least}");
    assert!(f64::from(met) >= least * runs as f64, "{met} of {runs}");
}

/// Where a later execution takes more steps than those before, what these chose among was too little.
#[test]
fn pct_promises_nothing_for_executions_that_knew_of_too_few_steps() {
    // The loop of the second is longer the later the first writes.
    let waits = vec![Op::Read(0), Op::SkipIfOdd(2), Op::Read(1), Op::Read(1), Op::Read(1)];
    let mut toy = toy(vec![vec![Op::Write(0, 1)], waits]);
    let mut informed = Vec::new();
    for seed in 0..50 {
        let mut strategy = Pct::new(seed, 8, 2);
        let mut depths = Vec::new();
        while let Some(mut assignment) = strategy.next() {
            let Ok(execution) = toy.run(&mut *assignment.chooser);
            depths.push(execution.events.len());
            strategy.learn(assignment.ticket, &execution.split().0);
        }
        let longest = *depths.iter().max().expect("eight");
        // Rounds begin at the executions 0, 1, 2 and 4; each knows the most steps of those before.
        let knew = |at: &usize| {
            let begun = if *at == 0 { 0 } else { 1 << at.ilog2() };
            depths[..begun].iter().max() == Some(&longest)
        };
        let expected = (0..depths.len()).filter(knew).count() as u64;
        assert_eq!(strategy.promise().expect("pct promises").executions, expected, "{depths:?}");
        informed.push(expected);
    }
    informed.dedup();
    assert!(informed.len() > 1, "all runs were alike: {informed:?}");
}

#[test]
fn the_naive_size_is_counted_or_estimated() {
    // 8! / 2!⁴ = 2520 orders of four pairs.
    let NaiveSize::Exact(count) = naive_size(&mut increments(4), 3_000, 100, 1).expect("infallible") else {
        panic!("few enough to count");
    };
    assert_eq!(count, 2_520);
    let NaiveSize::Estimate(estimate) = naive_size(&mut increments(4), 100, 4_000, 1).expect("infallible")
    else {
        panic!("too many to count");
    };
    let error = estimate.standard_error().expect("many walks");
    assert!(error > 0.0 && error < 50.0, "{error}");
    assert!((estimate.mean() - 2_520.0).abs() < 5.0 * error, "{estimate:?}");
    assert_eq!(estimate.walks(), 4_000);
}

fn schedule(execution: &Execution<Seen>) -> Arc<[Turn]> {
    execution.events.iter().map(Turn::from).collect()
}

fn locking() -> Toy {
    let section = [Op::Lock(0, Mode::Exclusive), Op::FetchAdd(0), Op::Unlock(0), Op::Read(1)];
    toy(vec![section.to_vec(), section.to_vec()])
}

#[test]
fn a_schedule_is_replayed_to_the_letter() {
    let mut toy = locking();
    let mut strategy = Random::new(11, 20);
    while let Some(mut assignment) = strategy.next() {
        let Ok(execution) = toy.run(&mut *assignment.chooser);
        for fidelity in [Fidelity::Strict, Fidelity::Prefix, Fidelity::Lenient] {
            let mut follower = Follower::new(schedule(&execution), fidelity);
            let Ok(again) = toy.run(&mut follower);
            assert!(follower.followed().to_the_letter());
            assert_eq!(again, execution);
        }
        strategy.learn(assignment.ticket, &execution.split().0);
    }
}

fn turns(turns: &[(usize, &str)]) -> Arc<[Turn]> {
    turns.iter().map(|&(process, label)| Turn { process, label: label.into() }).collect()
}

#[test]
fn a_schedule_that_does_not_fit_is_told_where() {
    const LOCK: &str = "Lock(0, Exclusive)";
    let told = |schedule: &[(usize, &str)], fidelity| {
        let mut follower = Follower::new(turns(schedule), fidelity);
        let Ok(execution) = locking().run(&mut follower);
        (execution.end, follower.followed().clone())
    };
    // The second lock must wait, so it is not possible.
    let (end, followed) = told(&[(0, LOCK), (1, LOCK)], Fidelity::Strict);
    let divergence = followed.divergence.expect("not possible");
    assert_eq!((end, followed.taken, followed.left, divergence.depth), (End::Abandoned, 1, 1, 1));
    assert_eq!(divergence.expected, Some(turns(&[(1, LOCK)])[0].clone()));
    assert_eq!(divergence.pending, [Some("FetchAdd(0)".into()), Some(LOCK.into())]);
    assert!(divergence.enabled.has(0) && !divergence.enabled.has(1));
    // The schedule is over, the execution is not.
    let (end, followed) = told(&[(0, LOCK)], Fidelity::Strict);
    assert_eq!((end, followed.divergence.expect("not over").expected), (End::Abandoned, None));
    let (end, followed) = told(&[(0, LOCK)], Fidelity::Prefix);
    assert_eq!((end, followed.to_the_letter()), (End::Completed, true));
    // What does not fit is left out, and what does is kept.
    let (end, followed) = told(&[(1, LOCK), (0, LOCK), (1, "FetchAdd(0)")], Fidelity::Lenient);
    assert_eq!((end, followed.taken, followed.skipped, followed.left), (End::Completed, 2, 1, 0));
    assert_eq!(followed.divergence.map(|divergence| divergence.depth), Some(1));
}
