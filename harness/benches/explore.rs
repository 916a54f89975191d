//! What a search costs beside what it runs: time in the strategy per execution, and the peak of memory.
//!
//! `cargo bench -p flockwork-harness --bench explore`. Prints one line a case. The machine is the toy of the tests, so
//! the programs are simulated; the time is that in `next`, in the chooser and in `learn` alone.

#[expect(dead_code, reason = "the judges' benchmarks use the rest")]
mod support;
#[path = "../tests/strategies/toy.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod toy;

use std::time::{Duration, Instant};

use flockwork_harness::explore::machine::{Chooser, Machine, Pick, Point};
use flockwork_harness::explore::step::Event;
use flockwork_harness::explore::strategy::bounded::Bounded;
use flockwork_harness::explore::strategy::exhaustive::Exhaustive;
use flockwork_harness::explore::strategy::{Coverage, Statistics, Strategy};
use support::{peak_mb, reset_peak, spread};
use toy::{AtEnd, Mode, Op, Toy};

const ROUNDS: usize = 3;
const EXECUTIONS_MAX: u64 = 200_000;

/// Adds up the time in a chooser.
struct Timed<'c> {
    chooser: &'c mut dyn Chooser,
    spent: Duration,
}

impl Chooser for Timed<'_> {
    fn choose(&mut self, point: &Point<'_>) -> Pick {
        let since = Instant::now();
        let pick = self.chooser.choose(point);
        self.spent += since.elapsed();
        pick
    }

    fn happened(&mut self, event: &Event) {
        let since = Instant::now();
        self.chooser.happened(event);
        self.spent += since.elapsed();
    }
}

/// What one search took.
struct Round {
    spent: Duration,
    steps: u64,
    waiting_max: usize,
    statistics: Statistics,
    coverage: Coverage,
}

fn search(toy: &mut Toy, strategy: &mut dyn Strategy, executions_max: u64) -> Round {
    let (mut spent, mut steps, mut waiting_max) = (Duration::ZERO, 0, 0);
    while strategy.statistics().executions < executions_max {
        let since = Instant::now();
        let Some(mut assignment) = strategy.next() else { break };
        spent += since.elapsed();
        let mut timed = Timed { chooser: &mut *assignment.chooser, spent: Duration::ZERO };
        let Ok(execution) = toy.run(&mut timed);
        spent += timed.spent;
        steps += execution.events.len() as u64;
        let (execution, _) = execution.split();
        let since = Instant::now();
        strategy.learn(assignment.ticket, &execution);
        spent += since.elapsed();
        waiting_max = waiting_max.max(strategy.statistics().waiting);
    }
    Round { spent, steps, waiting_max, statistics: strategy.statistics(), coverage: strategy.coverage() }
}

fn measure(name: &str, programs: Vec<Vec<Op>>, strategy: &dyn Fn() -> Box<dyn Strategy>) {
    let mut toy = Toy { programs, at_end: AtEnd::LetsGo, forgets: None };
    reset_peak();
    let rounds: Vec<Round> =
        (0..ROUNDS).map(|_| search(&mut toy, &mut *strategy(), EXECUTIONS_MAX)).collect();
    let Round { steps, waiting_max, statistics, coverage, .. } = &rounds[0];
    let times = spread(rounds.iter().map(|round| round.spent).collect());
    let [median, fastest, slowest] = times.map(|ms| ms * 1e3 / statistics.executions as f64);
    println!(
        "{name}: {} executions ({} redundant) of {} steps, {median:.1} us each ({fastest:.1} to {slowest:.1}), \
         at most {waiting_max} waiting, peak {} MB, {coverage:?}",
        statistics.executions,
        statistics.redundant,
        steps / statistics.executions,
        peak_mb(),
    );
}

/// Reads without the lock, then a critical section.
fn guarded(variable: usize) -> Vec<Op> {
    let section =
        [Op::Lock(0, Mode::Exclusive), Op::Read(0), Op::Store(1), Op::Read(1), Op::Store(0), Op::Unlock(0)];
    let around = [Op::Invoke, Op::Read(0), Op::Read(variable)];
    around.into_iter().chain(section).chain([Op::Read(variable), Op::Return]).collect()
}

/// Reads and writes without any lock.
fn racy(pairs: usize) -> Vec<Op> {
    (0..pairs).flat_map(|pair| [Op::Read(pair % 3), Op::Store((pair + 1) % 3)]).collect()
}

fn main() {
    let exhaustive: &dyn Fn() -> Box<dyn Strategy> = &|| Box::new(Exhaustive::new());
    let bounded: &dyn Fn() -> Box<dyn Strategy> = &|| Box::new(Bounded::with_at_most(2));
    measure("two guarded", vec![guarded(2); 2], exhaustive);
    measure("three guarded", vec![guarded(2); 3], exhaustive);
    measure("two racy, 10 steps each", vec![racy(5); 2], exhaustive);
    measure("two racy, 30 steps each", vec![racy(15); 2], exhaustive);
    measure("three racy, 10 steps each", vec![racy(5); 3], exhaustive);
    measure("two racy, 20 steps each, two preemptions", vec![racy(10); 2], bounded);
    measure("three racy, 10 steps each, two preemptions", vec![racy(5); 3], bounded);
}
