//! What the engine itself costs: recording, starting, and putting the history together.
//!
//! A `main` of its own: these measures need forked processes, and a process that forks must have no threads.

#[path = "../tests/engine/subject.rs"]
mod subject;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use flockwork::{Operation, Status};
use flockwork_harness::engine::stress::{Recorded, measure, run};
use flockwork_harness::history::Outcome;
use flockwork_harness::plan::{Audit, Budget, StressPlan, SubjectPlan};
use flockwork_harness::process::Zygote;
use flockwork_harness::process::clock::now_ns;
use flockwork_harness::process::log::{Recorder, Writer};
use flockwork_harness::process::region::{Layout, Region};
use flockwork_harness::subject::Answer;

fn main() {
    let mut zygote = Zygote::fork_with(subject::build).expect("a zygote");
    println!("{:<58} {:>10} {:>10} {:>10}", "what", "least", "median", "most");
    recording();
    throughput(&mut zygote, "locked", 20_000);
    throughput(&mut zygote, "nothing", 2_000_000);
    startup(&mut zygote);
    putting_together(&mut zygote);
}

/// Shows a row.
fn row(what: &str, unit: &str, mut samples: Vec<f64>) {
    samples.sort_by(f64::total_cmp);
    let [least, median, most] = [0, samples.len() / 2, samples.len() - 1].map(|index| samples[index]);
    println!("{:<58} {least:>10.3} {median:>10.3} {most:>10.3}", format!("{what}, {unit}"));
}

fn sample(times: usize, mut measured: impl FnMut() -> f64) -> Vec<f64> {
    std::iter::repeat_with(&mut measured).take(times).collect()
}

/// Time that this process has had a processor, system calls and page faults included: what else runs does not count.
fn processor_ns() -> f64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    spent.tv_sec as f64 * 1e9 + spent.tv_nsec as f64
}

/// One operation recorded: into a log whose pages do not exist yet, as in a run, and into one that was used before.
fn recording() {
    const OPERATIONS: u64 = 2_000_000;
    let layout = Layout {
        workers: 1,
        auditors: 0,
        containers: 1,
        worker_entries: OPERATIONS,
        auditor_entries: 0,
        examiner_entries: 0,
        holds_per_entry: 0,
    };
    let answer = Answer {
        outcome: Outcome::Ok,
        reason: None,
        status: Some(Status::Paused),
        generation: Some(3),
        revision: Some(5),
        ..Answer::done()
    };
    let fill = |region: &Region| {
        region.header(0).published.store(0, Ordering::Relaxed);
        let mut writer = Writer::new(region, 0);
        let begun_ns = processor_ns();
        while writer.next_sequence().is_some() {
            writer.invoked(Operation::Pause, Some(0));
            writer.returned(Operation::Pause, black_box(&answer));
        }
        (processor_ns() - begun_ns) / OPERATIONS as f64
    };
    let clock = || {
        let begun_ns = processor_ns();
        (0..OPERATIONS).for_each(|_| _ = black_box((now_ns(), now_ns())));
        (processor_ns() - begun_ns) / OPERATIONS as f64
    };
    row("two clock readings", "ns", sample(11, clock));
    row("recording, new pages", "ns", sample(11, || fill(&Region::create(layout).expect("a region"))));
    let region = Region::create(layout).expect("a region");
    fill(&region);
    row("recording, pages in place", "ns", sample(11, || fill(&region)));
}

/// Two processes without think time, with and without recording, turn about.
fn throughput(zygote: &mut Zygote, subject: &str, operations: u64) {
    let (mut ratios, mut rates) = (Vec::new(), Vec::new());
    let (mut least_with_ns, mut least_without_ns) = (f64::INFINITY, f64::INFINITY);
    for round in 0..41 {
        let mut took_ns = |recorded| {
            let folder = folder();
            let plan = plan(subject, folder.path(), 2, operations);
            measure(zygote, &plan, recorded).expect("measured") as f64
        };
        // Each goes first as often as the other.
        let (with_ns, without_ns) = if round % 2 == 0 {
            let with_ns = took_ns(Recorded::Yes);
            (with_ns, took_ns(Recorded::No))
        } else {
            let without_ns = took_ns(Recorded::No);
            (took_ns(Recorded::Yes), without_ns)
        };
        ratios.push(without_ns / with_ns);
        (least_with_ns, least_without_ns) = (least_with_ns.min(with_ns), least_without_ns.min(without_ns));
        rates.push(operations as f64 / with_ns * 1e6);
    }
    row(&format!("throughput ({subject}), recorded/unrecorded"), "pairs", ratios);
    // The quickest run of each kind is the one that others disturbed least.
    let quickest = vec![least_without_ns / least_with_ns];
    row(&format!("throughput ({subject}), recorded/unrecorded"), "quickest", quickest);
    row(&format!("throughput ({subject}), recorded"), "1000/s", rates);
}

fn startup(zygote: &mut Zygote) {
    let once = || {
        let folder = folder();
        let plan = plan("nothing", folder.path(), 64, 6400);
        run(zygote, &plan, &AtomicBool::new(false), &()).expect("a run").startup_ns as f64 / 1e6
    };
    row("start to first operation, 64 workers", "ms", sample(21, once));
}

/// All that comes after the last operation: the examination, and the history of 10 million records.
fn putting_together(zygote: &mut Zygote) {
    let once = || {
        let folder = folder();
        let plan = plan("nothing", folder.path(), 2, 10_000_000);
        let begun = Instant::now();
        let run = run(zygote, &plan, &AtomicBool::new(false), &()).expect("a run");
        (begun.elapsed().as_nanos() as f64 - (run.startup_ns + run.duration_ns) as f64) / 1e9
    };
    row("10,000,000 records put together", "s", sample(5, once));
}

fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::tempdir_in(parent).expect("a folder")
}

fn plan(subject: &str, folder: &Path, processes: u32, operations: u64) -> StressPlan {
    let root: PathBuf = folder.join("root");
    _ = std::fs::create_dir(&root);
    StressPlan {
        subject: SubjectPlan::Custom { word: subject.into() },
        root,
        seed: 1,
        processes,
        auditors: 0,
        audit: Audit::Locked,
        containers: 1,
        budget: Budget::Operations(operations),
        think_ns: 0..=0,
        hold_ns: 0..=0,
        mix: vec![(Operation::Pause, 1), (Operation::Resume, 1), (Operation::State, 1)],
        kill_every_ns: None,
        payload_bytes: 0,
        fresh_processes: false,
        starvation_ns: 60_000_000_000,
        stall_ns: 60_000_000_000,
    }
}
