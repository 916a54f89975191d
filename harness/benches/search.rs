//! How long the search takes over large histories without tokens, and how much memory it needs.
//!
//! `cargo bench -p flockwork-harness --bench search`. Prints one line a case: median and spread of several rounds, and
//! the peak of resident memory, the history itself included. All processes are always pending, on one container: the
//! most that a history of so many processes can leave to guess. `told` histories carry the status that each operation
//! saw, `bare` ones only what `state` saw.

mod support;

use std::time::{Duration, Instant};

use flockwork::Operation;
use flockwork_harness::check::search::{Budget, Verdict, judge};
use flockwork_harness::history::{History, Outcome, Record};
use flockwork_harness::model::{Builtin, Model, State};
use support::{Random, peak_mb, perform, reset_peak, spread};

/// What a history tells of the statuses that operations saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tells {
    Told,
    Bare,
}

fn perform_and_tell(state: &mut State, record: &mut Record, tells: Tells) {
    perform(state, record);
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
            perform_and_tell(&mut state, &mut record, tells);
        } else if random.below(2) == 0 {
            perform_and_tell(&mut state, &mut { record }, tells);
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

fn measure(name: &str, history: &History, model: &Model, rounds: usize) {
    reset_peak();
    let mut times: Vec<Duration> = Vec::new();
    let mut verdicts = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        verdicts = judge(history, model, Budget::default());
        times.push(start.elapsed());
    }
    let [median, fastest, slowest] = spread(times);
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
