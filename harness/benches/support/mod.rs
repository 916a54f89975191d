//! What the benchmarks of the judges share: what simulated processes do, a faithful subject, and the measures.

use std::fs;
use std::time::Duration;

use flockwork::Operation;
use flockwork_harness::history::Record;
use flockwork_harness::model::{self, State};

/// What processes do, by weight.
const MIX: [(Operation, u64); 8] = [
    (Operation::Create, 4),
    (Operation::Start, 8),
    (Operation::Pause, 30),
    (Operation::Resume, 30),
    (Operation::State, 22),
    (Operation::Kill, 2),
    (Operation::Delete, 3),
    (Operation::ForceDelete, 1),
];

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub fn operation(&mut self) -> Operation {
        let total: u64 = MIX.iter().map(|&(_, weight)| weight).sum();
        let mut rest = self.below(total);
        for (operation, weight) in MIX {
            if rest < weight {
                return operation;
            }
            rest -= weight;
        }
        unreachable!("the weights add up to the total")
    }
}

/// Performs the record's operation as a subject does that keeps to the model.
pub fn perform(state: &mut State, record: &mut Record) {
    let (seen, next) = model::answer(*state, record.operation);
    (record.outcome, record.reason, *state) = (seen.outcome, seen.reason, next);
}

/// Peak of resident memory since the last reset, in MB.
pub fn peak_mb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Forgets the peak so far.
pub fn reset_peak() {
    // Without it the peak of making the history counts as well: too much rather than too little.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Median, fastest and slowest, in milliseconds.
pub fn spread(mut rounds: Vec<Duration>) -> [f64; 3] {
    rounds.sort();
    [rounds[rounds.len() / 2], rounds[0], rounds[rounds.len() - 1]].map(|time| time.as_secs_f64() * 1e3)
}
