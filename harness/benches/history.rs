//! How fast histories are written and read: JSON lines, plain and compressed.
//!
//! `cargo bench -p flockwork-harness --bench history`. One line a case: median, slowest and fastest of several rounds,
//! in operations per second, by the clock and by processor time. All in memory, on one thread.

use std::hint::black_box;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use flockwork::{Operation, Status};
use flockwork_harness::history::{History, Outcome, Reason, Record, read, write};

const OPERATIONS: u64 = 1_000_000;
const PROCESSES: u64 = 64;
const ROUNDS: usize = 9;

/// A history as a stress run leaves one: 64 processes, 8 containers, stamps on all, a message on one in a thousand.
fn history() -> History {
    let mut history = History::default();
    history.containers = (1..=8).map(|number| format!("c{number}")).collect();
    let changing = [Operation::Pause, Operation::Resume, Operation::State, Operation::Start, Operation::Kill];
    for number in 0..OPERATIONS {
        let (process, turn) = (number % PROCESSES, number / PROCESSES);
        let invoke_ns = 81_234_000_000 + turn * 70_000 + process * 977;
        let operation = changing[(number % 5) as usize];
        let mut record = Record::invoked(process as u32, Some((number * 7 % 8) as u32), operation, invoke_ns);
        record.set_return_ns(Some(invoke_ns + 30_000 + number * 31 % 39_000));
        (record.outcome, record.reason) = match number % 3 {
            0 => (Outcome::Refused, Some(Reason::Status)),
            _ => (Outcome::Ok, None),
        };
        record.status = Some(Status::ALL[(number % 4) as usize]);
        record.generation = NonZeroU64::new(1 + number / 5_000);
        record.revision = NonZeroU64::new(1 + number % 5_000);
        if number.is_multiple_of(1000) {
            history.attach_message(&mut record, format!("no \"{number}\" here"));
        }
        history.records.push(record);
    }
    history
}

/// Processor time of this process so far: steadier than the clock where others use the machine as well.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

/// Median, least and most, in millions of operations per second.
fn spread(mut rounds: Vec<Duration>) -> [f64; 3] {
    rounds.sort();
    [rounds.len() / 2, rounds.len() - 1, 0].map(|at| OPERATIONS as f64 / 1e6 / rounds[at].as_secs_f64())
}

fn measure<T>(name: &str, mut work: impl FnMut() -> T) {
    let (mut times, mut processor_times) = (Vec::new(), Vec::new());
    black_box(work());
    for _ in 0..ROUNDS {
        let (start, processor_start) = (Instant::now(), processor_time());
        let done = black_box(work());
        times.push(start.elapsed());
        processor_times.push(processor_time().saturating_sub(processor_start));
        drop(done);
    }
    let ([median, least, most], [processor, low, high]) = (spread(times), spread(processor_times));
    println!(
        "{name:<44} {median:>6.2} M/s ({least:.2} to {most:.2})  by processor {processor:>6.2} M/s ({low:.2} to {high:.2})"
    );
}

fn main() {
    let history = history();
    let mut plain = Vec::new();
    write::write(&history, &mut plain).expect("memory");
    let mut packed = Vec::new();
    write::write_compressed(&history, &mut packed).expect("memory");
    let text = String::from_utf8(plain.clone()).expect("JSON is UTF-8");
    // As Python's json module writes it, and so as many others do.
    let spaced = text.replace("\":", "\": ").replace(",\"", ", \"");
    println!(
        "{OPERATIONS} operations, {} MB plain, {} MB compressed, {ROUNDS} rounds",
        plain.len() >> 20,
        packed.len() >> 20
    );
    measure("write", || {
        let mut out = Vec::with_capacity(plain.len());
        write::write(&history, &mut out).expect("memory");
        out
    });
    measure("write, compressed", || {
        let mut out = Vec::with_capacity(packed.len());
        write::write_compressed(&history, &mut out).expect("memory");
        out
    });
    measure("read", || read::read(plain.as_slice()).expect("our own"));
    measure("read, compressed", || {
        read::read(read::decoded(std::io::Cursor::new(packed.clone())).expect("memory")).expect("our own")
    });
    measure("read, with spaces, as others write", || read::read(spaced.as_bytes()).expect("well-formed"));
}
