//! That the reductions leave out nothing: on random programs they see what naive enumeration sees.

use flockwork_harness::engine::explore::step::Object;
use flockwork_harness::engine::explore::strategy::bounded::Bounded;
use flockwork_harness::engine::explore::strategy::exhaustive::Exhaustive;
use flockwork_harness::engine::explore::strategy::frontier::FrontierOrder;
use flockwork_harness::engine::explore::strategy::naive::Naive;
use flockwork_harness::engine::explore::strategy::{Coverage, Strategy};

use crate::explore::{Explored, Lanes, explore};
use crate::random;
use crate::toy::{Toy, lock, variable};

/// Programs with more interleavings than this are left out.
const NAIVE_MAX: u64 = 5_000;

/// What a comparison met: without reach it would prove nothing.
#[derive(Debug, Default)]
struct Reach {
    toys: u32,
    deadlocks: u32,
    naive: u64,
    reduced: u64,
    redundant: u64,
}

/// What the strategy misses of what naive enumeration sees.
fn missed(naive: &Explored, reduced: &Explored) -> usize {
    naive.traces.keys().filter(|trace| !reduced.traces.contains_key(trace)).count()
}

fn compare(seed: u64, order: FrontierOrder, lanes: Lanes, reach: &mut Reach) {
    let mut toy = random::toy(seed);
    let Some(naive) = explore(&mut toy, &mut Naive::new(), Lanes::ONE, NAIVE_MAX) else { return };
    let reduced = explore(&mut toy, &mut Exhaustive::ordered(order), lanes, naive.statistics.executions);
    let reduced = reduced.unwrap_or_else(|| panic!("toy {seed}: more executions than naive\n{toy:#?}"));
    assert_eq!(missed(&naive, &reduced), 0, "toy {seed}, {order:?}, {lanes:?}\n{toy:#?}");
    assert_eq!(naive.seen, reduced.seen, "toy {seed}\n{toy:#?}");
    assert_eq!(naive.traces.len(), reduced.traces.len(), "toy {seed}\n{toy:#?}");
    assert!(
        reduced.traces.values().all(|&times| times == 1),
        "toy {seed}: something was run twice\n{toy:#?}"
    );
    assert_eq!(reduced.coverage, Some(Coverage::Exhausted));
    reach.toys += 1;
    reach.deadlocks += u32::from(naive.seen.iter().any(|seen| seen.deadlock));
    reach.naive += naive.statistics.executions;
    reach.reduced += reduced.statistics.executions;
    reach.redundant += reduced.statistics.redundant;
}

fn compare_many(seeds: std::ops::Range<u64>) {
    let mut reach = Reach::default();
    for seed in seeds.clone() {
        if seed % 2 == 0 {
            compare(seed, FrontierOrder::default(), Lanes::ONE, &mut reach);
        } else {
            let lanes = Lanes { count: 1 + (seed / 2 % 4) as usize, seed };
            compare(seed, FrontierOrder::Shuffled { seed }, lanes, &mut reach);
        }
    }
    println!("{reach:?}");
    let toys = u64::from(reach.toys);
    assert!(toys * 10 > (seeds.end - seeds.start) * 9, "{reach:?}");
    assert!(u64::from(reach.deadlocks) * 10 > toys, "{reach:?}");
    assert!(reach.reduced * 4 < reach.naive, "{reach:?}");
    assert!(reach.redundant * 50 < reach.reduced, "{reach:?}");
}

#[test]
fn exhaustive_sees_what_naive_sees() {
    compare_many(0..300);
}

/// A program whose reduction was wrong once: what a step writes depends on what another wrote, and a third reads it.
#[test]
fn exhaustive_sees_what_naive_sees_where_footprints_depend_on_data() {
    for order in [FrontierOrder::default(), FrontierOrder::Shuffled { seed: 1 }] {
        compare(2156, order, Lanes::ONE, &mut Reach::default());
    }
}

#[test]
#[ignore = "long: tens of thousands of programs"]
fn exhaustive_sees_what_naive_sees_at_length() {
    compare_many(1_000..31_000);
}

fn bound_many(seeds: std::ops::Range<u64>) {
    for bound in 0..3 {
        let (mut naive_runs, mut reduced_runs, mut toys) = (0, 0, 0);
        for seed in seeds.clone() {
            let mut toy = random::toy(seed);
            let mut within = Naive::with_at_most(bound);
            let Some(naive) = explore(&mut toy, &mut within, Lanes::ONE, NAIVE_MAX) else { continue };
            let (order, lanes) = match seed % 2 {
                0 => (FrontierOrder::default(), Lanes::ONE),
                _ => (FrontierOrder::Shuffled { seed }, Lanes { count: 3, seed }),
            };
            let mut strategy = Bounded::ordered(bound, order);
            let reduced = explore(&mut toy, &mut strategy, lanes, naive.statistics.executions);
            let reduced = reduced.unwrap_or_else(|| panic!("toy {seed}: more than naive\n{toy:#?}"));
            assert_eq!(missed(&naive, &reduced), 0, "toy {seed}, {bound} preemptions, {lanes:?}\n{toy:#?}");
            assert_eq!(reduced.coverage, Some(Coverage::ExhaustedTo { preemptions: bound }));
            naive_runs += naive.statistics.executions;
            reduced_runs += reduced.statistics.executions;
            toys += 1;
        }
        println!("{bound} preemptions: {toys} toys, naive {naive_runs}, reduced {reduced_runs}");
        assert!(reduced_runs < naive_runs && toys * 10 > (seeds.end - seeds.start) * 9);
    }
}

#[test]
fn bounded_sees_what_naive_sees_within_the_bound() {
    bound_many(0..200);
}

#[test]
#[ignore = "long: tens of thousands of programs"]
fn bounded_sees_what_naive_sees_within_the_bound_at_length() {
    bound_many(1_000..11_000);
}

/// How many of these toys a strategy gets wrong when steps do not tell that they touch the object.
fn wrong(seeds: std::ops::Range<u64>, forgotten: Object, strategy: &dyn Fn() -> Box<dyn Strategy>) -> u32 {
    let mut wrong = 0;
    for seed in seeds {
        let mut toy = random::toy(seed);
        let Some(naive) = explore(&mut toy, &mut Naive::new(), Lanes::ONE, NAIVE_MAX) else { continue };
        let mut broken = Toy { forgets: Some(forgotten), ..toy };
        let reduced = explore(&mut broken, &mut *strategy(), Lanes::ONE, u64::MAX).expect("no limit");
        wrong += u32::from(naive.seen != reduced.seen);
    }
    wrong
}

#[test]
fn a_conflict_that_is_not_told_is_found_out() {
    for forgotten in [variable(0), lock(0), Object::REAL_TIME] {
        let wrong = wrong(0..150, forgotten, &|| Box::new(Exhaustive::new()));
        assert!(wrong > 0, "{forgotten:?}: the comparison is blind");
    }
}

#[test]
fn a_bound_is_no_exhaustion() {
    let nothing = Object::named(&"nothing that anybody touches");
    assert_eq!(wrong(0..60, nothing, &|| Box::new(Exhaustive::new())), 0);
    assert!(wrong(0..60, nothing, &|| Box::new(Bounded::with_at_most(0))) > 0);
}
