//! The instrument held against a clock that is only a number: what it reports must be what was put in.

use std::cell::Cell;
use std::sync::Arc;

use super::bare::Bare;
use super::choice::{Choices, stream};
use super::clock::Clock;
use super::collect;
use super::door::Door;
use super::labour::{Shift, labour};
use super::locker::Locker;
use super::meter::Meter;
use super::noise::Disturbance;
use super::pace::Pace;
use crate::measure::{Latency, Point, Round};
use crate::plan::bench::{BenchLock, CellPlan, Descriptor, Load, Skew, Task, Waiting};
use crate::process::arena::{Arena, Size};

const US: u64 = 1_000;
const MS: u64 = 1_000 * US;
const BEGIN_NS: u64 = 50 * MS;
const HOLD_NS: u64 = 3 * US;

/// Time passes only where somebody lets it.
struct Number(Cell<u64>);

impl Clock for Number {
    fn now_ns(&self) -> u64 {
        self.0.get()
    }

    fn sleep_until(&self, at_ns: u64) {
        self.0.set(self.0.get().max(at_ns));
    }

    fn spin(&self, duration_ns: u64) {
        self.0.set(self.0.get() + duration_ns);
    }
}

/// A lock that is got after known waits, one after the other and again.
struct Calibrated {
    waits_ns: Vec<u64>,
    next: usize,
}

impl Locker for Calibrated {
    fn acquire(&mut self, clock: &impl Clock, _container: u32) -> Result<(), String> {
        clock.spin(self.waits_ns[self.next % self.waits_ns.len()]);
        self.next += 1;
        Ok(())
    }

    fn release(&mut self, _container: u32) -> Result<(), String> {
        Ok(())
    }
}

fn cell(processes: u32, load: Load, timed_every: u32) -> CellPlan {
    CellPlan {
        point: Point::default(),
        task: Task::Bare {
            lock: BenchLock::None,
            wait: Waiting::Block,
            descriptor: Descriptor::Kept,
            spin_ns: HOLD_NS,
        },
        processes,
        containers: 1,
        skew: Skew::Uniform,
        load,
        root: 0,
        timed_every,
    }
}

/// Lets each process work through the round, each with its own waits.
fn round(cell: &CellPlan, duration_ns: u64, waits_ns: &[Vec<u64>]) -> Round {
    let size = Size { processes: cell.processes, containers: 1 };
    let arena = Arc::new(Arena::create(size).expect("an arena"));
    for (process, waits_ns) in (0..).zip(waits_ns) {
        let clock = Number(Cell::new(0));
        let door = Door::new(Arc::clone(&arena), process);
        let locker = Calibrated { waits_ns: waits_ns.clone(), next: 0 };
        let mut job = Bare { locker, door: &door, spin_ns: HOLD_NS };
        let mut meter = Meter::new();
        let mut shift = Shift {
            pace: Pace::new(cell.load, (process, cell.processes), 0),
            choices: Choices::new(1, Skew::Uniform, &mut stream(0, 0)),
            door: &door,
            timed_every: cell.timed_every,
            begin_ns: BEGIN_NS,
            end_ns: BEGIN_NS + duration_ns,
        };
        labour(&mut job, &clock, &mut shift, &mut meter, || false, || ()).expect("nothing fails");
        door.write(&arena.tallies()[process as usize]);
        meter.write(&arena, process).expect("there is room");
    }
    collect::round(&arena, cell, (0, duration_ns), Disturbance::default()).expect("all wrote")
}

#[track_caller]
fn close(measured: f64, true_value: f64) {
    assert!((measured / true_value - 1.0).abs() < 0.02, "measured {measured}, and it was {true_value}");
}

#[track_caller]
fn quantiles(latency: &Latency, expected: &[(f64, u64)]) {
    for (share, true_ns) in expected {
        close(latency.quantile_ns(*share) as f64, *true_ns as f64);
    }
}

/// Of a hundred waits fifty are short, forty ten times as long, nine a hundred times, and one a thousand times.
fn spread_waits() -> Vec<u64> {
    let waits = [(50, 2 * US), (40, 20 * US), (9, 200 * US), (1, 2 * MS)];
    let mut waits: Vec<u64> = waits.into_iter().flat_map(|(count, ns)| vec![ns; count]).collect();
    // Spread over the hundred, as 37 has no divisor in common with it.
    waits = (0..100).map(|index| waits[index * 37 % 100]).collect();
    waits
}

#[test]
fn latencies_and_throughput_are_those_of_the_lock() {
    let waits = spread_waits();
    let cycle_ns: u64 = waits.iter().map(|wait| wait + HOLD_NS).sum();
    let duration_ns = 200 * cycle_ns;
    let round = round(&cell(1, Load::Closed(0), 1), duration_ns, &[waits]);
    close(round.throughput(), 100.0 * 1e9 / cycle_ns as f64);
    assert_eq!(round.wait.count(), round.acquisitions());
    quantiles(
        &round.wait,
        &[(0.5, 2 * US), (0.9, 20 * US), (0.99, 200 * US), (0.999, 2 * MS), (1.0, 2 * MS)],
    );
    quantiles(&round.hold, &[(0.5, HOLD_NS), (1.0, HOLD_NS)]);
    quantiles(&round.whole, &[(0.5, 5 * US), (0.9, 23 * US), (0.99, 203 * US), (1.0, 2003 * US)]);
    close(round.wait.mean_ns() + round.hold.mean_ns(), round.whole.mean_ns());
}

#[test]
fn what_is_timed_now_and_then_tells_the_same() {
    let waits = spread_waits();
    let cycle_ns: u64 = waits.iter().map(|wait| wait + HOLD_NS).sum();
    let round = round(&cell(1, Load::Closed(0), 4), 2000 * cycle_ns, &[waits]);
    close(round.wait.count() as f64 * 4.0, round.acquisitions() as f64);
    assert_eq!(round.whole.count(), round.acquisitions(), "the whole operation is timed always");
    quantiles(&round.wait, &[(0.49, 2 * US), (0.89, 20 * US), (0.98, 200 * US), (1.0, 2 * MS)]);
    quantiles(&round.hold, &[(0.5, HOLD_NS)]);
}

#[test]
fn shares_are_those_that_each_process_had() {
    let waits: Vec<Vec<u64>> = (1..=4).map(|factor| vec![factor * 10 * US - HOLD_NS]).collect();
    let round = round(&cell(4, Load::Closed(0), 1), 120 * MS, &waits);
    for (share, factor) in round.shares.iter().zip(1..) {
        close(*share as f64, f64::from(12_000 / factor));
    }
    // Jain's index of 1, 1/2, 1/3 and 1/4.
    let (sum, squares) = (25.0_f64 / 12.0, 1.0 + 0.25 + 1.0 / 9.0 + 0.0625);
    let shares: Vec<f64> = round.shares.iter().map(|share| *share as f64).collect();
    let measured =
        shares.iter().sum::<f64>().powi(2) / (4.0 * shares.iter().map(|share| share * share).sum::<f64>());
    close(measured, sum * sum / (4.0 * squares));
}

#[test]
fn thinking_is_no_part_of_the_operation() {
    let round = round(&cell(1, Load::Closed(50 * US), 1), 100 * MS, &[vec![7 * US]]);
    close(round.throughput(), 1e9 / (60.0 * US as f64));
    quantiles(&round.whole, &[(0.5, 10 * US), (1.0, 10 * US)]);
    quantiles(&round.wait, &[(1.0, 7 * US)]);
}

/// One wait in a thousand holds everybody up for a tenth of a second. Whoever measures from where an operation begins
/// sees that one alone; a hundred others that were due meanwhile had to wait as well.
#[test]
fn a_stall_under_open_load_is_seen_by_all_that_were_due() {
    let mut waits = vec![7 * US; 1000];
    waits[500] = 100 * MS;
    let round = round(&cell(1, Load::Open(1000.0), 1), 1000 * MS, &[waits]);
    close(round.acquisitions() as f64, 1000.0);
    // One due each millisecond: the first of them waited for 100 ms, the last for next to nothing.
    quantiles(
        &round.whole,
        &[(0.5, 10 * US), (0.925, 26 * MS), (0.95, 51 * MS), (0.975, 76 * MS), (1.0, 100 * MS)],
    );
    quantiles(&round.wait, &[(0.99, 7 * US), (1.0, 100 * MS)]);
}

#[test]
fn handoffs_are_told_by_who_came_after_whom() {
    let arena = Arc::new(Arena::create(Size { processes: 3, containers: 2 }).expect("an arena"));
    let doors: Vec<Door> = (0..3).map(|process| Door::new(Arc::clone(&arena), process)).collect();
    for (process, container) in [(0, 0), (1, 0), (1, 0), (2, 1), (0, 0), (2, 0), (0, 1), (2, 0)] {
        let door: &Door = &doors[process];
        door.enter(container);
        door.leave(container);
    }
    for (door, process) in doors.iter().zip(0..) {
        door.write(&arena.tallies()[process as usize]);
        Meter::new().write(&arena, process).expect("there is room");
    }
    let round = collect::round(&arena, &cell(3, Load::Closed(0), 1), (0, 1), Disturbance::default());
    let round = round.expect("all wrote");
    assert_eq!(round.handoffs, 4);
    assert_eq!(round.handoff_matrix, [[0, 1, 1], [1, 1, 0], [1, 0, 1]]);
    assert_eq!((round.exclusion.watched, round.exclusion.overlaps), (8, 0));
}
