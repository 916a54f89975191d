//! Mutations of real clean histories: how many the judges detect, and that what they do not detect is no fault.
//!
//! The library runs under stress with 2, 8 and 64 processes on two containers; each history is mutated again and again, and
//! judged by the witness, without its tokens by the search, and by the same rules read from a file. What a judge detects is proved by the window that the search
//! gives, which an oracle goes through in every order; what it does not detect has an order, which a validator checks.
//!
//! With `--measure` it prints the table of docs/judge.md. Without libtest, whose threads would forbid the zygote's fork.

mod mutate;
#[path = "../support/oracle.rs"]
mod oracle;
#[path = "../support/random.rs"]
mod random;
mod trial;

use std::process::ExitCode;

use flockwork_harness::process::Zygote;
use mutate::Mutation;
use trial::{Tally, Trial};

/// How many processes ran.
const PROCESSES: [u32; 3] = [2, 8, 64];

/// What is run, and how often each history is mutated.
struct Extent {
    runs: u64,
    operations: u64,
    mutations: u64,
}

/// So few operations that the oracle can go through the whole of every order.
const TINY: Extent = Extent { runs: 2, operations: 50, mutations: 8 };
const TEST: Extent = Extent { runs: 1, operations: 800, mutations: 8 };
/// Where 64 processes are under way at once, each judgement takes an unoptimised build seconds.
const WIDE: Extent = Extent { runs: 1, operations: 200, mutations: 1 };
const MEASURE: Extent = Extent { runs: 5, operations: 2000, mutations: 8 };

fn main() -> ExitCode {
    let mut zygote = Zygote::fork().expect("a zygote");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has("--list") {
        println!("what_is_not_detected_is_linearizable: test");
    } else if has("--measure") {
        print_table(&mut zygote, &PROCESSES, &MEASURE);
    } else {
        print_table(&mut zygote, &[2, 4, 8], &TINY);
        print_table(&mut zygote, &[2, 8], &TEST);
        print_table(&mut zygote, &[64], &WIDE);
        println!("test what_is_not_detected_is_linearizable ... ok");
    }
    ExitCode::SUCCESS
}

fn print_table(zygote: &mut Zygote, all_processes: &[u32], extent: &Extent) {
    let mut columns: Vec<Vec<Tally>> = Vec::new();
    for &processes in all_processes {
        let mut tallies = vec![Tally::default(); Mutation::ALL.len()];
        for seed in 1..=extent.runs {
            let trial = Trial::run(zygote, processes, extent.operations, seed);
            for (mutation, tally) in Mutation::ALL.into_iter().zip(&mut tallies) {
                trial.mutate(mutation, extent.mutations, tally);
            }
        }
        columns.push(tallies);
    }
    let heads: Vec<_> = all_processes.iter().map(|processes| format!("{processes} processes")).collect();
    println!("| mutation | {} |", heads.join(" | "));
    println!("|---|{}", "---|".repeat(heads.len()));
    for (row, mutation) in Mutation::ALL.into_iter().enumerate() {
        let cells: Vec<_> = columns.iter().map(|tallies| tallies[row].to_string()).collect();
        println!("| {} | {} |", mutation.as_str(), cells.join(" | "));
    }
    println!("\n{}\n", Tally::sum(columns.iter().flatten()).proofs());
}
