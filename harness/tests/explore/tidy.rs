//! That nothing is left: no process of an exploration lives on once it is over.

use std::fs;
use std::time::{Duration, Instant};

use flockwork_harness::process::{Zygote, procfs};

/// How long dying may take on a busy machine: nothing is concluded from how long it does take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The processes of explorations that are this zygote's, by name, and whose parents have gone.
fn living(zygote: &Zygote) -> Vec<String> {
    let mut own = vec![zygote.pid()];
    let mut living = Vec::new();
    let stats: Vec<_> =
        procfs::pids().into_iter().filter_map(|pid| Some((pid, procfs::Stat::of(pid)?))).collect();
    // Children have no lower number than their parents as a rule; where they have, another round finds them.
    for _ in 0..3 {
        for (pid, stat) in &stats {
            if own.contains(&stat.parent) && !own.contains(pid) {
                own.push(*pid);
                if !stat.is_dead() {
                    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                    living.push(format!("{pid} {}", name.trim()));
                }
            }
        }
    }
    living
}

/// Waits until nobody of the zygote's lives any more.
pub fn assert_nobody_left(zygote: &Zygote) {
    let begun = Instant::now();
    loop {
        let living = living(zygote);
        if living.is_empty() {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "still there: {living:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
