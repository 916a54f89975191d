//! The instrument of `flockwork bench`: what it costs, and what others measure of the same locks. The tables of
//! docs/performance.md.
//!
//! `cargo bench -p flockwork-harness --bench contention -- cost` or `-- others` (a C compiler is needed, and stress-ng is
//! measured where it is installed); without a word, both.
//!
//! A `main` of its own: the zygote must be forked before there is a thread.

mod cost;
mod others;

use flockwork_harness::process::Zygote;

fn main() {
    let mut zygote = Zygote::fork().expect("a zygote");
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wants = |part: &str| asked.is_empty() || asked.iter().any(|word| word == part);
    if wants("cost") {
        cost::table();
    }
    if wants("others") {
        others::table(&mut zygote);
    }
}
