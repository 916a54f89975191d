//! What the instrument costs: each acquisition measured, against the bare loop, in turns within one process.

use flockwork::LockKind;
use flockwork_harness::engine::bench::cost::{Turn, turns};
use flockwork_harness::plan::bench::BenchLock;
use flockwork_harness::process::clock::now_ns;

/// Many short turns: others interrupt some of them, and the tenth disturbed least tells what the loops themselves cost.
const TURNS: u32 = 1001;
const TURN_NS: u64 = 1_000_000;

const LOCKS: [BenchLock; 4] =
    [BenchLock::Library(LockKind::Fs2), BenchLock::Library(LockKind::Ofd), BenchLock::Mutex, BenchLock::None];

/// Prints the table.
pub fn table() {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    std::fs::create_dir(folder.path().join("c1")).expect("a container's folder");
    println!("a reading of the clock: {:.1} ns", clock_ns());
    println!("{TURNS} turns of {} µs each: medians, and the tenth disturbed least", TURN_NS / 1_000);
    println!("{:<15}{:>25}{:>25}{:>25}", "", "bare ns", "measured ns", "overhead ns");
    println!("{:<6} {:>8}{}", "lock", "timed", format!("{:>13} {:>11}", "median", "p10").repeat(3));
    for lock in LOCKS {
        for timed_every in [1, 8] {
            let turns = turns(folder.path(), lock, timed_every, (TURNS, TURN_NS)).expect("turns");
            row(lock, timed_every, &turns);
        }
    }
}

fn row(lock: BenchLock, timed_every: u32, turns: &[Turn]) {
    let spread = |of: fn(&Turn) -> f64| {
        let mut values: Vec<f64> = turns.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        [values.len() / 2, values.len() / 10].map(|at| values[at])
    };
    let (bare, measured) = (spread(|turn| turn.bare_ns), spread(|turn| turn.measured_ns));
    let overhead = [measured[0] - bare[0], measured[1] - bare[1]];
    let cells = [bare, measured, overhead].map(|[median, least]| format!("{median:>13.1} {least:>11.1}"));
    println!("{:<6} {:>8}{}", lock.to_string(), format!("1 in {timed_every}"), cells.concat());
}

fn clock_ns() -> f64 {
    const READINGS: u32 = 1_000;
    let reading = |_| {
        let begin_ns = now_ns();
        (0..READINGS).for_each(|_| {
            std::hint::black_box(now_ns());
        });
        now_ns() - begin_ns
    };
    let mut times: Vec<u64> = (0..1_000).map(reading).collect();
    times.sort_unstable();
    times[times.len() / 10] as f64 / f64::from(READINGS)
}
