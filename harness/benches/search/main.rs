//! How long the search takes over large histories without tokens, and how much memory it needs.
//!
//! `cargo bench -p flockwork-harness --bench search`. Prints one line a case: median and spread of several rounds, and
//! the peak of resident memory, the history itself included. `told` histories carry the status that each operation
//! saw, `bare` ones only what `state` saw.
//!
//! To set another judge beside it: `-- write FOLDER` writes such histories, and `-- judge FILE` judges one of them.

mod compare;
mod pending;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use flockwork_harness::check::search::{Budget, SearchRuling, judge};
use flockwork_harness::history::History;
use flockwork_harness::model::{Builtin, Model};
use pending::{Tells, break_in_the_middle, simulate};
use support::{peak_mb, processor_time, reset_peak, spread};

/// How long judging took.
pub struct Timing {
    /// How many rounds were timed.
    pub rounds: usize,
    /// The first round, which may have threads to start.
    pub first_ms: f64,
    /// The median of all rounds, in milliseconds.
    pub median_ms: f64,
    /// The fastest round.
    pub fastest_ms: f64,
    /// The slowest round.
    pub slowest_ms: f64,
    /// The median by processor time: steadier where others use the machine as well.
    pub processor_ms: f64,
    /// The peak of resident memory in MB, the history included.
    pub peak_mb: u64,
    /// What came of it, in a few words.
    pub verdict: String,
}

/// Judges so many times, and no more once that has taken so long in all.
#[must_use]
pub fn judge_often(history: &History, model: &Model, rounds_max: usize, enough: Duration) -> Timing {
    reset_peak();
    let (mut times, mut processor_times) = (Vec::new(), Vec::new());
    let mut verdicts = Vec::new();
    let begin = Instant::now();
    while times.is_empty() || (times.len() < rounds_max && begin.elapsed() < enough) {
        let (start, processor_start) = (Instant::now(), processor_time());
        verdicts = judge(history, model, Budget::default());
        times.push(start.elapsed());
        processor_times.push(processor_time().saturating_sub(processor_start));
    }
    let (rounds, first_ms) = (times.len(), times[0].as_secs_f64() * 1e3);
    let [median_ms, fastest_ms, slowest_ms] = spread(times);
    let [processor_ms, ..] = spread(processor_times);
    let verdict = match &verdicts[0] {
        SearchRuling::Legal(_) => "linearizable".to_owned(),
        SearchRuling::Illegal(why) => format!("not, window of {}", why.window.len()),
        SearchRuling::Undecided(why) => format!("inconclusive: {}", why.why()),
    };
    Timing { rounds, first_ms, median_ms, fastest_ms, slowest_ms, processor_ms, peak_mb: peak_mb(), verdict }
}

fn measure(name: &str, history: &History, model: &Model, rounds: usize) {
    let Timing { median_ms, fastest_ms, slowest_ms, processor_ms, peak_mb, verdict, .. } =
        judge_often(history, model, rounds, Duration::MAX);
    println!(
        "{name:<48} {median_ms:>9.2} ms ({fastest_ms:.2} to {slowest_ms:.2})  processor {processor_ms:>8.2} ms  peak {peak_mb:>4} MB  {verdict}"
    );
}

fn measure_all(model: &Model) {
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
                let name = format!("{operations:>9} by {processes:>2} {} {what}", tells.as_str());
                measure(&name, &history, model, rounds);
            }
        }
        for seed in 0..3 {
            let mut history = simulate(100_000, 64, u64::MAX, tells, seed);
            assert!(break_in_the_middle(&mut history, model), "one wrong outcome shows");
            let name = format!("   100000 by 64 {} one wrong outcome, seed {seed}", tells.as_str());
            measure(&name, &history, model, 3);
        }
    }
}

fn main() {
    let model = Model::builtin(Builtin::Runsc);
    // Cargo adds a `--bench` of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => measure_all(&model),
        ["write", folder] => compare::write_all(Path::new(folder), &model).expect("a folder to write to"),
        ["judge", file] => compare::judge_file(Path::new(file), &model),
        _ => {
            eprintln!("expected nothing, `write FOLDER` or `judge FILE`; got {arguments:?}");
            std::process::exit(2);
        }
    }
}
