//! The same lock measured by others: a loop in C, and stress-ng's stressors where it is installed; each for the same time,
//! and in turns.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use flockwork::LockKind;
use flockwork_harness::engine::bench::run;
use flockwork_harness::measure::Point;
use flockwork_harness::plan::bench::{BenchLock, BenchPlan, CellPlan, Descriptor, Load, Skew, Task, Waiting};
use flockwork_harness::process::Zygote;

const TURNS: usize = 31;
const TURN_NS: u64 = 200_000_000;
const PROCESSES: [u32; 4] = [1, 2, 8, 32];
const DESCRIPTORS: [Descriptor; 2] = [Descriptor::Kept, Descriptor::Opened];

/// Prints the tables.
pub fn table(zygote: &mut Zygote) {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    match compile(folder.path()) {
        Some(program) => beside_c(zygote, folder.path(), &program),
        None => println!("no C compiler (cc): the loop in C was not measured"),
    }
    beside_stress_ng(folder.path());
}

fn compile(folder: &Path) -> Option<PathBuf> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/contention/flock.c");
    let program = folder.join("flock");
    let compiled = Command::new("cc").args(["-O2", "-Wall", "-o"]).arg(&program).arg(source).status();
    compiled.is_ok_and(|status| status.success()).then_some(program)
}

fn beside_c(zygote: &mut Zygote, folder: &Path, program: &Path) {
    println!("flock, acquisitions a second: {TURNS} turns of {} ms each", TURN_NS / 1_000_000);
    println!("medians, the ratio within each turn, and that of the tenths disturbed least");
    println!(
        "{:<10} {:>9} {:>10} {:>10} {:>7} {:>14} {:>7} {:>9}",
        "descriptor", "processes", "C", "flockwork", "ratio", "quartiles", "best", "overlaps"
    );
    for descriptor in DESCRIPTORS {
        for processes in PROCESSES {
            let turn = |_| {
                let (c, overlaps) = c_loop(program, &folder.join("c.lock"), processes, descriptor);
                (c, flockwork(zygote, folder, processes, descriptor), overlaps)
            };
            row(descriptor, processes, &(0..TURNS).map(turn).collect::<Vec<_>>());
        }
    }
}

fn row(descriptor: Descriptor, processes: u32, turns: &[(f64, f64, f64)]) {
    let sorted = |of: fn(&(f64, f64, f64)) -> f64| {
        let mut values: Vec<f64> = turns.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let middle = |values: &[f64]| values[values.len() / 2];
    let best = |values: &[f64]| values[values.len() * 9 / 10];
    let ratios = sorted(|(c, own, _)| own / c);
    let (c, own) = (sorted(|turn| turn.0), sorted(|turn| turn.1));
    println!(
        "{:<10} {processes:>9} {:>10.0} {:>10.0} {:>7.3} {:>14} {:>7.3} {:>9}",
        descriptor.as_str(),
        middle(&c),
        middle(&own),
        middle(&ratios),
        format!("{:.3}..{:.3}", ratios[ratios.len() / 4], ratios[ratios.len() * 3 / 4]),
        best(&own) / best(&c),
        turns.iter().map(|turn| turn.2).sum::<f64>(),
    );
}

/// Acquisitions a second of the loop in C, and how many overlaps it saw.
fn c_loop(program: &Path, file: &Path, processes: u32, descriptor: Descriptor) -> (f64, f64) {
    let seconds = (TURN_NS as f64 / 1e9).to_string();
    let words = [&processes.to_string(), &seconds, descriptor.as_str()];
    let output = Command::new(program).arg(file).args(words).output().expect("the loop in C runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut numbers = text.split(' ').filter_map(|word| word.parse().ok());
    (numbers.next().expect("acquisitions"), numbers.next().expect("overlaps"))
}

/// Acquisitions a second as `flockwork bench` measures them.
fn flockwork(zygote: &mut Zygote, folder: &Path, processes: u32, descriptor: Descriptor) -> f64 {
    let lock = BenchLock::Library(LockKind::Std);
    let root = tempfile::tempdir_in(folder).expect("a root");
    let cell = CellPlan {
        point: Point::default(),
        task: Task::Bare { lock, wait: Waiting::Block, descriptor, spin_ns: 0 },
        processes,
        containers: 1,
        skew: Skew::Uniform,
        load: Load::Closed(0),
        root: 0,
        timed_every: if descriptor == Descriptor::Kept { 8 } else { 1 },
    };
    let plan = BenchPlan {
        cells: vec![cell],
        roots: vec![root.path().to_owned()],
        seed: 1,
        warm_up_ns: 10_000_000,
        duration_ns: TURN_NS,
        rounds: 1,
    };
    let measured = run(zygote, &plan, &AtomicBool::new(false), &()).expect("a run");
    measured.cells[0].rounds[0].throughput()
}

fn beside_stress_ng(folder: &Path) {
    println!("stress-ng, bogo operations a second: see docs/performance.md for what it counts");
    println!("{:<10} {:>9} {:>14}", "stressor", "instances", "operations/s");
    for stressor in ["flock", "lockofd", "lockf"] {
        for instances in [1, 2, 8] {
            match stress_ng(folder, stressor, instances) {
                Some(rate) => println!("{stressor:<10} {instances:>9} {rate:>14.0}"),
                None => return println!("stress-ng is not installed: it was not measured"),
            }
        }
    }
}

fn stress_ng(folder: &Path, stressor: &str, instances: u32) -> Option<f64> {
    let mut command = Command::new("stress-ng");
    command.current_dir(folder).args([&format!("--{stressor}"), &instances.to_string()]);
    command.args(["--timeout", "2s", "--metrics-brief"]);
    let output = command.output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    // "stress-ng: metrc: [1] flock  bogo-ops real usr sys rate rate"
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let at = fields.iter().position(|field| *field == stressor)?;
        let numbers: Vec<f64> = fields[at + 1..].iter().map_while(|field| field.parse().ok()).collect();
        (numbers.len() >= 6).then(|| numbers[4])
    })
}
