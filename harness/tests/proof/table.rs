//! The document's table.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use flockwork_harness::process::Zygote;

use super::explore::{self, Sum};
use super::spaces::{Setting, Space, all};

/// How often it is told on stderr how far a space is.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// Explores the spaces that are wanted, prints the table, and tells everything that is not clean.
pub fn print(zygote: &mut Zygote, is_wanted: impl Fn(&str) -> bool) -> ExitCode {
    println!(
        "| lock | write | faults | programs | cases | schedules | naive, without faults | with a fault | run once more | steps | waits | time | verdict |"
    );
    println!("|---|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|---|");
    let mut is_clean = true;
    for space in all().into_iter().filter(|space| is_wanted(&space.name())) {
        let mut told = Instant::now();
        let sum = explore::space(zygote, &space, |sum| {
            if told.elapsed() >= PROGRESS_EVERY {
                told = Instant::now();
                let (name, all) = (space.name(), space.cases.len());
                eprintln!("{name}: {} of {all} cases, {} schedules", sum.cases, sum.schedules);
            }
        });
        println!("{}", row(&space, &sum));
        for words in sum.partial.iter().chain(&sum.broken) {
            eprintln!("{}: {words}", space.name());
        }
        is_clean &= sum.is_clean();
    }
    if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn row(space: &Space, sum: &Sum) -> String {
    let Setting { lock, write } = space.setting;
    let verdict = match (sum.broken.len(), sum.partial.len()) {
        (0, 0) => "clean".to_owned(),
        (0, partial) => format!("inconclusive: {partial} not exhausted"),
        (broken, _) => format!("**{broken} violations**"),
    };
    let Sum { cases, schedules, naive, faulted, repeated, steps, blocked, duration_ns, .. } = sum;
    let (faults, programs, seconds) = (space.faults.as_str(), space.programs, *duration_ns as f64 / 1e9);
    let naive = if *naive < 1e6 { format!("{naive:.0}") } else { format!("{naive:.1e}") };
    format!(
        "| {lock} | {write} | {faults} | {programs} | {cases} | {schedules} | {naive} | {faulted} | {repeated} | {steps} | {blocked} \
         | {seconds:.1} s | {verdict} |"
    )
}
