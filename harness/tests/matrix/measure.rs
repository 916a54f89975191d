//! How long each bug takes to find: the document's table.

use flockwork_harness::process::Zygote;
use flockwork_harness::scenario::Kind;

use super::runs::{names, scenario, sight};

const SEEDS: u64 = 20;

/// Prints the table, for the scenarios wanted.
pub fn print(zygote: &mut Zygote, is_wanted: impl Fn(&str) -> bool) {
    println!("| scenario | class | found | operations | time |");
    println!("|---|---|---|---|---|");
    for name in names().into_iter().filter(|name| is_wanted(name)) {
        let scenario = scenario(name);
        if scenario.kind() == Kind::Explore {
            // It runs no operations freely: it is in the table of schedules.
            continue;
        }
        let sightings = (1..=SEEDS).map(|seed| sight(zygote, &scenario, seed)).collect::<Vec<_>>();
        for class in &scenario.expect.violations {
            let first = sightings.iter().filter_map(|sighting| sighting.first.get(class));
            let (mut operations, mut times_ns): (Vec<_>, Vec<_>) = first.copied().unzip();
            operations.sort_unstable();
            times_ns.sort_unstable();
            let found = operations.len();
            // What was not found took longer than any.
            let middle = SEEDS as usize / 2;
            let (operations, time) = match (operations.get(middle), times_ns.get(middle)) {
                (Some(operations), Some(ns)) => {
                    (operations.to_string(), format!("{:.1} ms", *ns as f64 / 1e6))
                }
                _ => ("–".into(), "–".into()),
            };
            println!("| `{name}` | `{class}` | {found} of {SEEDS} | {operations} | {time} |");
        }
    }
}
