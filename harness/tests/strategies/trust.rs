//! That the reductions leave out nothing: on random programs they see what naive enumeration sees.

use flockwork_harness::explore::step::Object;
use flockwork_harness::explore::strategy::bounded::Bounded;
use flockwork_harness::explore::strategy::exhaustive::Exhaustive;
use flockwork_harness::explore::strategy::frontier::FrontierOrder;
use flockwork_harness::explore::strategy::naive::Naive;
use flockwork_harness::explore::strategy::{Coverage, Strategy};

use crate::explore::{Explored, Lanes, explore};
use crate::random;
use crate::toy::{AtEnd, Mode, Op, Toy, lock, variable};

/// Programs to compare on.
#[derive(Clone)]
struct Toys {
    seeds: std::ops::Range<u64>,
    /// Those with more interleavings than this are left out.
    naive_max: u64,
}

impl Toys {
    const fn few(count: u64) -> Self {
        Self { seeds: 0..count, naive_max: 1_000 }
    }

    const fn many(count: u64) -> Self {
        Self { seeds: 1_000..1_000 + count, naive_max: 5_000 }
    }

    /// Whether most were compared, and not left out.
    fn most(&self, compared: u64) -> bool {
        compared * 4 > (self.seeds.end - self.seeds.start) * 3
    }
}

/// What a comparison met: without reach it would prove nothing.
#[derive(Debug, Default)]
struct Reach {
    toys: u64,
    deadlocks: u64,
    naive: u64,
    reduced: u64,
    redundant: u64,
}

/// What the strategy misses of what naive enumeration sees.
fn missed(naive: &Explored, reduced: &Explored) -> usize {
    naive.traces.keys().filter(|trace| !reduced.traces.contains_key(trace)).count()
}

fn compare(seed: u64, naive_max: u64, order: FrontierOrder, lanes: Lanes, reach: &mut Reach) {
    let mut toy = random::toy(seed);
    let Some(naive) = explore(&mut toy, &mut Naive::new(), Lanes::ONE, naive_max) else { return };
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
    reach.deadlocks += u64::from(naive.seen.iter().any(|seen| seen.deadlock));
    reach.naive += naive.statistics.executions;
    reach.reduced += reduced.statistics.executions;
    reach.redundant += reduced.statistics.redundant;
}

fn compare_many(toys: &Toys) {
    let mut reach = Reach::default();
    for seed in toys.seeds.clone() {
        if seed % 2 == 0 {
            compare(seed, toys.naive_max, FrontierOrder::default(), Lanes::ONE, &mut reach);
        } else {
            let lanes = Lanes { count: 1 + (seed / 2 % 4) as usize, seed };
            compare(seed, toys.naive_max, FrontierOrder::Shuffled { seed }, lanes, &mut reach);
        }
    }
    println!("{reach:?}");
    assert!(toys.most(reach.toys), "{reach:?}");
    assert!(reach.deadlocks * 10 > reach.toys, "{reach:?}");
    assert!(reach.reduced * 4 < reach.naive, "{reach:?}");
    assert!(reach.redundant * 50 < reach.reduced, "{reach:?}");
}

#[test]
fn exhaustive_sees_what_naive_sees() {
    compare_many(&Toys::few(150));
}

/// A program whose reduction was wrong once: what a step writes depends on what another wrote, and a third reads it.
#[test]
fn exhaustive_sees_what_naive_sees_where_footprints_depend_on_data() {
    for order in [FrontierOrder::default(), FrontierOrder::Shuffled { seed: 1 }] {
        compare(2156, 1_000, order, Lanes::ONE, &mut Reach::default());
    }
}

/// Two hold a lock in common, and each lets it go only after the other has come to hold it; a third wants it alone. To
/// begin with one of the two instead of the other leads nowhere: the third must be wanted itself.
#[test]
fn exhaustive_sees_what_naive_sees_where_holders_of_a_lock_need_one_another() {
    let holder = |own, other| {
        let (own_lock, shared) = (Op::Lock(own, Mode::Exclusive), Op::Lock(0, Mode::Shared));
        vec![own_lock, shared, Op::Unlock(own), Op::Lock(other, Mode::Exclusive)]
    };
    for first in 0..3 {
        let mut programs = vec![holder(1, 2), holder(2, 1), vec![Op::Lock(0, Mode::Exclusive)]];
        programs.rotate_left(first);
        let mut toy = Toy { programs, at_end: AtEnd::LetsGo, forgets: None };
        let naive = explore(&mut toy, &mut Naive::new(), Lanes::ONE, 100_000).expect("few");
        let reduced = explore(&mut toy, &mut Exhaustive::new(), Lanes::ONE, 100_000).expect("few");
        assert_eq!(missed(&naive, &reduced), 0);
        assert_eq!(naive.traces.len(), reduced.traces.len());
    }
}

/// Where naive enumeration is hopeless, the searches must still agree with one another, whatever their order.
fn agree(seeds: std::ops::Range<u64>, executions_max: u64) {
    let (mut compared, mut traces) = (0, 0);
    for seed in seeds.clone() {
        let mut toy = random::larger_toy(seed);
        let mut search = Exhaustive::new();
        let Some(simple) = explore(&mut toy, &mut search, Lanes::ONE, executions_max) else { continue };
        let (order, lanes) = (FrontierOrder::Shuffled { seed }, Lanes { count: 4, seed });
        let shuffled = explore(&mut toy, &mut Exhaustive::ordered(order), lanes, u64::MAX).expect("no limit");
        assert_eq!(simple.traces, shuffled.traces, "toy {seed}\n{toy:#?}");
        let unbounded =
            explore(&mut toy, &mut Bounded::with_at_most(u32::MAX), Lanes::ONE, executions_max * 20);
        if let Some(unbounded) = unbounded {
            assert_eq!(missed(&unbounded, &simple), 0, "toy {seed}\n{toy:#?}");
            assert_eq!(missed(&simple, &unbounded), 0, "toy {seed}\n{toy:#?}");
        }
        compared += 1;
        traces += simple.traces.len();
    }
    println!("{compared} toys, {traces} traces");
    assert!(compared * 3 > seeds.end - seeds.start, "{compared}");
}

#[test]
fn searches_agree_on_larger_programs() {
    agree(0..40, 300);
}

#[test]
#[ignore = "long: thousands of larger programs, about a minute in a release build"]
fn searches_agree_on_larger_programs_at_length() {
    agree(1_000..4_000, 2_000);
}

#[test]
#[ignore = "long: tens of thousands of programs"]
fn exhaustive_sees_what_naive_sees_at_length() {
    compare_many(&Toys::many(30_000));
}

fn bound_many(toys: &Toys) {
    for bound in 0..3 {
        let (mut naive_runs, mut reduced_runs, mut compared) = (0, 0, 0);
        for seed in toys.seeds.clone() {
            let mut toy = random::toy(seed);
            let mut within = Naive::with_at_most(bound);
            let Some(naive) = explore(&mut toy, &mut within, Lanes::ONE, toys.naive_max) else { continue };
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
            compared += 1;
        }
        println!("{bound} preemptions: {compared} toys, naive {naive_runs}, reduced {reduced_runs}");
        assert!(reduced_runs < naive_runs && toys.most(compared));
    }
}

#[test]
fn bounded_sees_what_naive_sees_within_the_bound() {
    bound_many(&Toys::few(100));
}

#[test]
#[ignore = "long: tens of thousands of programs"]
fn bounded_sees_what_naive_sees_within_the_bound_at_length() {
    bound_many(&Toys::many(10_000));
}

/// How many of these toys a strategy gets wrong when steps do not tell that they touch the object.
fn wrong(toys: &Toys, forgotten: Object, strategy: &dyn Fn() -> Box<dyn Strategy>) -> u32 {
    let mut wrong = 0;
    for seed in toys.seeds.clone() {
        let mut toy = random::toy(seed);
        let Some(naive) = explore(&mut toy, &mut Naive::new(), Lanes::ONE, toys.naive_max) else { continue };
        let mut broken = Toy { forgets: Some(forgotten), ..toy };
        let reduced = explore(&mut broken, &mut *strategy(), Lanes::ONE, u64::MAX).expect("no limit");
        wrong += u32::from(naive.seen != reduced.seen);
    }
    wrong
}

#[test]
fn a_conflict_that_is_not_told_is_found_out() {
    for forgotten in [variable(0), lock(0), Object::REAL_TIME] {
        let wrong = wrong(&Toys::few(60), forgotten, &|| Box::new(Exhaustive::new()));
        assert!(wrong > 0, "{forgotten:?}: the comparison is blind");
    }
}

#[test]
fn a_bound_is_no_exhaustion() {
    let nothing = Object::named(&"nothing that anybody touches");
    assert_eq!(wrong(&Toys::few(40), nothing, &|| Box::new(Exhaustive::new())), 0);
    assert!(wrong(&Toys::few(40), nothing, &|| Box::new(Bounded::with_at_most(0))) > 0);
}
