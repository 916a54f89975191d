//! How long the witness check takes over large legal histories, how it grows, and how much memory it needs.
//!
//! `cargo bench -p flockwork-harness --bench witness`. Prints one line a case: medians and spreads of several rounds,
//! by the clock and by processor time, and the peak of resident memory, the history itself included. `-- large`: ten
//! million operations instead, beside one million.

mod support;

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use flockwork_harness::check;
use flockwork_harness::check::witness::{DeathRule, WitnessOrder};
use flockwork_harness::evidence::Evidence;
use flockwork_harness::history::{History, Outcome, Record, read, write};
use flockwork_harness::model::{self, State};
use support::{Random, peak_mb, perform, processor_time, reset_peak, spread};

const PROCESSES: usize = 64;
const ROUNDS: usize = 9;

/// A container that one process after the other holds, while the others wait.
#[derive(Default)]
struct Container {
    state: State,
    generation: u64,
    revision: u64,
}

impl Container {
    fn perform(&mut self, record: &mut Record) {
        let was = self.state;
        perform(&mut self.state, record);
        if was == State::Absent && self.state != State::Absent {
            self.generation += 1;
            self.revision = 1;
        } else if record.outcome == Outcome::Ok && model::changes((&*record).into()) {
            self.revision += 1;
        }
        record.status = self.state.status();
        if was != State::Absent || self.state != State::Absent {
            record.generation = NonZeroU64::new(self.generation);
            record.revision = NonZeroU64::new(self.revision);
        }
    }
}

/// A legal history in which nearly all processes wait for the lock nearly all the time.
///
/// One operation in `killed_one_in` is killed: half of those act before.
fn simulate(operations: usize, containers: usize, killed_one_in: u64) -> History {
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
        if random.below(killed_one_in) > 0 {
            world[container].perform(&mut record);
        } else if random.below(2) == 0 {
            world[container].perform(&mut { record });
        }
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

/// Measures the check; gives back the medians of time and processor time, in milliseconds.
fn measure(name: &str, history: &History) -> [f64; 2] {
    reset_peak();
    let (mut times, mut processor_times) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (start, processor_start) = (Instant::now(), processor_time());
        let order = WitnessOrder::of_history(history, DeathRule::AfterUnknown);
        times.push(start.elapsed());
        processor_times.push(processor_time().saturating_sub(processor_start));
        assert!(order.faults().next().is_none() && order.open().next().is_none());
        let reads_killed =
            |record: &&Record| record.outcome == Outcome::Unknown && !model::can_change(record.operation);
        let skipped = history.records.iter().filter(reads_killed).count();
        assert_eq!(order.examined, (history.records.len() - skipped) as u64);
    }
    let ([time, fastest, slowest], [processor, least, most]) = (spread(times), spread(processor_times));
    let million = history.records.len() as f64 / 1e6;
    println!(
        "{name:<26} {million:>2.0} M  {time:>7.1} ms ({fastest:.1} to {slowest:.1})  \
         processor {processor:>7.1} ms ({least:.1} to {most:.1})  peak {:>4} MB",
        peak_mb()
    );
    [time, processor]
}

/// What the witness shares a run with: every check, and the stored form of the history.
fn measure_company(history: &History) {
    let evidence = Evidence { starvation_ns: Ok(u64::MAX), stall: Ok(None), ..Evidence::of_history(history) };
    let (start, processor_start) = (Instant::now(), processor_time());
    let clean =
        check::examine_all(&evidence).iter().all(|(_, examination)| examination.violations.is_empty());
    assert!(clean, "the history is legal");
    let line = |name: &str, start: Instant, processor_start: Duration| {
        let processor_ms = processor_time().saturating_sub(processor_start).as_secs_f64() * 1e3;
        println!(
            "{name:<32} {:>7.1} ms  processor {processor_ms:>7.1} ms",
            start.elapsed().as_secs_f64() * 1e3
        );
    };
    line("all checks, 1 M, once", start, processor_start);
    let (start, processor_start) = (Instant::now(), processor_time());
    let mut bytes = Vec::with_capacity(200 << 20);
    write::write(history, &mut bytes).expect("memory");
    line("write as JSON lines, 1 M, once", start, processor_start);
    let (start, processor_start) = (Instant::now(), processor_time());
    let again = read::read(bytes.as_slice()).expect("our own");
    line("read JSON lines, 1 M, once", start, processor_start);
    assert_eq!(again.records.len(), history.records.len());
}

/// The same history in two sizes, in millions, and how the time grows from one to the other.
fn measure_growth(millions: [usize; 2]) {
    let [small, large] = millions;
    for (name, containers) in [("one container", 1), ("100 containers", 100)] {
        let [before, after] = millions.map(|million| {
            measure(&format!("{name}, by worker"), &simulate(million * 1_000_000, containers, u64::MAX))
        });
        let [time, processor] = [0, 1].map(|which| after[which] / before[which]);
        println!(
            "{name}: {large} M take {time:.2} times as long as {small} M, by processor time {processor:.2} times"
        );
    }
}

fn main() {
    println!("witness check, {PROCESSES} processes, {ROUNDS} rounds");
    if std::env::args().any(|argument| argument == "large") {
        return measure_growth([1, 10]);
    }
    measure_growth([1, 4]);
    let mut history = simulate(1_000_000, 1, u64::MAX);
    history.records.sort_by_key(Record::deadline_ns);
    measure("one container, by return", &history);
    measure_company(&history);
    for (name, killed_one_in) in [("killed: one in 10,000", 10_000), ("killed: one in 500", 500)] {
        measure(name, &simulate(1_000_000, 1, killed_one_in));
    }
}
