//! How long the search takes over large histories without tokens, and how much memory it needs.
//!
//! `cargo bench -p flockwork-harness --bench search`. Prints one line a case: median and spread of several rounds, and
//! the peak of resident memory, the history itself included. All processes are always pending, on one container: the
//! most that a history of so many processes can leave to guess. `told` histories carry the status that each operation
//! saw, `bare` ones only what `state` saw.

use std::fs;
use std::time::{Duration, Instant};

use flockwork::Operation;
use flockwork_harness::check::search::{Budget, Verdict, judge};
use flockwork_harness::history::{History, Outcome, Reason, Record};
use flockwork_harness::model::{self, Seen, State};
use flockwork_harness::model::{Builtin, Model};

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

/// What a history tells of the statuses that operations saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tells {
    Told,
    Bare,
}

fn perform(state: &mut State, record: &mut Record, tells: Tells) {
    let ok = Seen { operation: record.operation, outcome: Outcome::Ok, reason: None, status: None };
    if let Ok(next) = model::step(*state, ok) {
        record.outcome = Outcome::Ok;
        *state = next;
    } else {
        record.outcome = Outcome::Refused;
        record.reason = Some(match (record.operation, *state) {
            (Operation::Create, _) => Reason::Exists,
            (_, State::Absent) => Reason::Absent,
            _ => Reason::Status,
        });
    }
    if tells == Tells::Told || record.operation == Operation::State {
        record.status = state.status();
    }
}

/// A legal history in which all processes are always pending; one operation in so many is killed, and half of those act.
fn simulate(operations: usize, processes: usize, killed_one_in: u64, tells: Tells, seed: u64) -> History {
    let mut random = Random(operations as u64 ^ (seed << 32));
    let mut state = State::Absent;
    let mut history = History::default();
    history.containers.push("c1".into());
    let mut pending: Vec<Record> = (0..processes)
        .map(|process| Record::invoked(process as u32, Some(0), random.operation(), process as u64))
        .collect();
    let mut now_ns = 1000;
    for _ in 0..operations {
        let process = random.below(processes as u64) as usize;
        let mut record = pending[process];
        now_ns = record.invoke_ns.max(now_ns) + 100;
        if random.below(killed_one_in) > 0 {
            perform(&mut state, &mut record, tells);
        } else if random.below(2) == 0 {
            perform(&mut state, &mut { record }, tells);
        }
        record.set_return_ns(Some(now_ns + random.below(300)));
        let next_ns = record.deadline_ns() + random.below(100);
        history.records.push(record);
        pending[process] = Record::invoked(process as u32, Some(0), random.operation(), next_ns);
    }
    history
}

/// Turns a refusal in the middle into a success, of a kind that no order allows.
fn break_in_the_middle(history: &mut History, model: &Model) {
    let middle = history.records.len() / 2;
    for index in middle..history.records.len() {
        let record = history.records[index];
        if record.operation != Operation::Create || record.outcome != Outcome::Refused {
            continue;
        }
        let changed = &mut history.records[index];
        (changed.outcome, changed.reason, changed.status) = (Outcome::Ok, None, None);
        let verdict = judge(history, model, Budget::default());
        if verdict.iter().any(|verdict| matches!(verdict, Verdict::NotLinearizable(_))) {
            return;
        }
        history.records[index] = record;
    }
    panic!("no wrong outcome was found that shows");
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

fn measure(name: &str, history: &History, model: &Model, rounds: usize) {
    reset_peak();
    let mut times: Vec<Duration> = Vec::new();
    let mut verdicts = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        verdicts = judge(history, model, Budget::default());
        times.push(start.elapsed());
    }
    times.sort();
    let [median, fastest, slowest] =
        [times[rounds / 2], times[0], times[rounds - 1]].map(|time| time.as_secs_f64() * 1e3);
    let verdict = match &verdicts[0] {
        Verdict::Linearizable => "linearizable".to_owned(),
        Verdict::NotLinearizable(why) => format!("not, window of {}", why.window.len()),
        Verdict::Inconclusive(why) => format!("inconclusive: {why}"),
    };
    println!(
        "{name:<48} {median:>9.2} ms ({fastest:.2} to {slowest:.2})  peak {:>4} MB  {verdict}",
        peak_mb()
    );
}

fn main() {
    let model = Model::builtin(Builtin::Runsc);
    for tells in [Tells::Told, Tells::Bare] {
        for (operations, processes, rounds) in [
            (100, 64, 99),
            (1000, 64, 99),
            (10_000, 4, 49),
            (10_000, 16, 49),
            (10_000, 64, 49),
            (100_000, 64, 9),
            (1_000_000, 64, 5),
        ] {
            for (what, one_in) in [("clean", u64::MAX), ("1% unknown", 100)] {
                let history = simulate(operations, processes, one_in, tells, 0);
                measure(
                    &format!("{operations:>9} by {processes:>2} {tells:?} {what}"),
                    &history,
                    &model,
                    rounds,
                );
            }
        }
        for seed in 0..3 {
            let mut history = simulate(100_000, 64, u64::MAX, tells, seed);
            break_in_the_middle(&mut history, &model);
            measure(
                &format!("   100000 by 64 {tells:?} one wrong outcome, seed {seed}"),
                &history,
                &model,
                3,
            );
        }
    }
}
