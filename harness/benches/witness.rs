//! How long the witness check takes over large legal histories, how it grows, and how much memory it needs.
//!
//! `cargo bench -p flockwork-harness --bench witness`. Prints one line a case: the median of several rounds, their
//! spread, and the peak of resident memory, the history itself included.

use std::fs;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use flockwork::Operation;
use flockwork_harness::check::witness::{Deaths, Order};
use flockwork_harness::history::{History, Outcome, Reason, Record};
use flockwork_harness::model::{self, Seen, State};

const PROCESSES: usize = 64;
const ROUNDS: usize = 9;

/// What processes do, by weight.
const MIX: [(Operation, u64); 8] = [
    (Operation::Create, 4),
    (Operation::Start, 8),
    (Operation::Pause, 30),
    (Operation::Resume, 30),
    (Operation::State, 22),
    (Operation::Kill, 2),
    (Operation::Delete, 3),
    (Operation::ForceDelete, 1),
];

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn operation(&mut self) -> Operation {
        let total: u64 = MIX.iter().map(|&(_, weight)| weight).sum();
        let mut rest = self.below(total);
        for (operation, weight) in MIX {
            if rest < weight {
                return operation;
            }
            rest -= weight;
        }
        unreachable!("the weights add up to the total")
    }
}

/// A container that one process after the other holds, while the others wait.
#[derive(Default)]
struct Container {
    state: State,
    generation: u64,
    revision: u64,
}

impl Container {
    fn perform(&mut self, record: &mut Record) {
        let ok = Seen { operation: record.operation, outcome: Outcome::Ok, reason: None, status: None };
        let was = self.state;
        if let Ok(next) = model::step(was, ok) {
            record.outcome = Outcome::Ok;
            if was == State::Absent && next != State::Absent {
                self.generation += 1;
                self.revision = 1;
            } else if model::changes(ok) {
                self.revision += 1;
            }
            self.state = next;
        } else {
            record.outcome = Outcome::Refused;
            record.reason = Some(match (record.operation, was) {
                (Operation::Create, _) => Reason::Exists,
                (_, State::Absent) => Reason::Absent,
                _ => Reason::Status,
            });
        }
        record.status = self.state.status();
        if was != State::Absent || self.state != State::Absent {
            record.generation = NonZeroU64::new(self.generation);
            record.revision = NonZeroU64::new(self.revision);
        }
    }
}

/// A legal history in which nearly all processes wait for the lock nearly all the time.
fn simulate(operations: usize, containers: usize) -> History {
    let mut random = Random(operations as u64);
    let mut world: Vec<_> = (0..containers).map(|_| Container::default()).collect();
    let mut logs = vec![Vec::<Record>::new(); PROCESSES];
    let mut invoke_ns: Vec<u64> = (0..PROCESSES as u64).collect();
    let mut now_ns = 0;
    for _ in 0..operations {
        let process = random.below(PROCESSES as u64) as usize;
        now_ns = invoke_ns[process].max(now_ns) + 100 + random.below(2000);
        let container = random.below(containers as u64) as usize;
        let mut record =
            Record::invoked(process as u32, Some(container as u32), random.operation(), invoke_ns[process]);
        world[container].perform(&mut record);
        let return_ns = now_ns + random.below(500);
        record.set_return_ns(Some(return_ns));
        invoke_ns[process] = return_ns + random.below(1000);
        logs[process].push(record);
    }
    let mut history = History::default();
    history.containers = (1..=containers).map(|number| format!("c{number}")).collect();
    history.records = Vec::with_capacity(operations);
    for log in logs {
        history.records.extend(log);
    }
    history
}

/// Peak of resident memory since the last reset, in MB.
fn peak_mb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn reset_peak() {
    // Without it the peak of making the history counts as well: too much rather than too little.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

fn measure(name: &str, history: &History) -> Duration {
    reset_peak();
    let mut rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            let order = Order::of_history(history, Deaths::AfterUnknown);
            let took = start.elapsed();
            assert!(order.faults.is_empty() && order.inconclusive.is_none(), "{order:?}");
            assert_eq!(order.examined, history.records.len() as u64);
            took
        })
        .collect();
    rounds.sort();
    let median = rounds[ROUNDS / 2];
    let [fastest, slowest] = [rounds[0], rounds[ROUNDS - 1]];
    let million = history.records.len() as f64 / 1e6;
    println!(
        "{name:<44} {million:>4.0} M  median {:>7.1} ms  ({:.1} to {:.1})  peak {:>4} MB",
        median.as_secs_f64() * 1e3,
        fastest.as_secs_f64() * 1e3,
        slowest.as_secs_f64() * 1e3,
        peak_mb()
    );
    median
}

fn main() {
    println!("witness check, {PROCESSES} processes, {ROUNDS} rounds");
    for (name, containers) in [("one container", 1), ("100 containers", 100)] {
        let mut medians = Vec::new();
        for million in [1, 4] {
            let history = simulate(million * 1_000_000, containers);
            medians.push(measure(&format!("{name}, by worker"), &history));
        }
        let ratio = medians[1].as_secs_f64() / medians[0].as_secs_f64();
        println!("{name}: four times the operations take {ratio:.2} times as long");
    }
    let mut history = simulate(1_000_000, 1);
    history.records.sort_by_key(Record::deadline_ns);
    measure("one container, by return", &history);
}
