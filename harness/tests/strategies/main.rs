//! Strategies against the enumeration of every interleaving, on machines of a few lines.

mod explore;
mod random;
mod toy;

use explore::{Lanes, explore};
use flockwork_harness::engine::explore::strategy::Coverage;
use flockwork_harness::engine::explore::strategy::exhaustive::Exhaustive;
use flockwork_harness::engine::explore::strategy::frontier::FrontierOrder;
use flockwork_harness::engine::explore::strategy::naive::Naive;

#[test]
fn exhaustive_sees_what_naive_sees() {
    let count: u64 = std::env::var("TOYS").ok().and_then(|v| v.parse().ok()).unwrap_or(1000);
    let first: u64 = std::env::var("FIRST").ok().and_then(|v| v.parse().ok()).unwrap_or(0);
    let (mut compared, mut naive_runs, mut reduced_runs, mut redundant, mut deadlocks) = (0, 0, 0, 0, 0);
    for seed in first..first + count {
        let mut toy = random::toy(seed);
        let Some(naive) = explore(&mut toy, &mut Naive::new(), Lanes::ONE, 5000) else { continue };
        for (order, lanes) in [
            (FrontierOrder::FewestPreemptions, Lanes::ONE),
            (FrontierOrder::Shuffled { seed }, Lanes { count: 1 + (seed % 4) as usize, seed }),
        ] {
            let reduced = explore(&mut toy, &mut Exhaustive::ordered(order), lanes, 20_000).expect("fewer");
            let missed: Vec<_> = naive.traces.keys().filter(|t| !reduced.traces.contains_key(t)).collect();
            assert!(
                missed.is_empty(),
                "seed {seed} {lanes:?}: {} of {} traces missed\n{toy:#?}",
                missed.len(),
                naive.traces.len()
            );
            assert_eq!(naive.seen, reduced.seen, "seed {seed}: {toy:#?}");
            assert_eq!(naive.traces.len(), reduced.traces.len());
            assert!(reduced.traces.values().all(|&c| c == 1), "seed {seed}");
            assert_eq!(reduced.coverage, Some(Coverage::Exhausted));
            naive_runs += naive.statistics.executions;
            reduced_runs += reduced.statistics.executions;
            redundant += reduced.statistics.redundant;
        }
        deadlocks += u32::from(naive.seen.iter().any(|s| s.deadlock));
        compared += 1;
    }
    println!(
        "compared {compared} naive {naive_runs} reduced {reduced_runs} redundant {redundant} deadlocks {deadlocks}"
    );
}
