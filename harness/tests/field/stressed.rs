//! Each pair has a scenario that stresses its program, with a model that says what is right: of the twin nothing is wrong.

use std::collections::BTreeSet;

use super::flockwork::stress;
use super::pair::{By, Pair, Variant, names};

/// The pairs of every run; with `FLOCKWORK_LONG=1` all of them.
const SHORT: [&str; 3] = ["08-fixed-temp-name", "18-append-by-seek", "25-unlink-on-release-c"];

#[test]
fn every_pair_whose_fault_an_order_shows_has_a_scenario() {
    let lacks = |name: &String| {
        let pair = Pair::read(name);
        pair.stress().is_none() && pair.races.iter().any(|race| race.by != By::Crash)
    };
    assert_eq!(names().into_iter().filter(lacks).collect::<BTreeSet<_>>(), BTreeSet::new());
}

#[test]
fn twins_break_no_model() {
    let is_long = std::env::var_os("FLOCKWORK_LONG").is_some();
    for name in names().iter().filter(|name| is_long || SHORT.contains(&name.as_str())) {
        let pair = Pair::read(name);
        let Some(scenario) = pair.stress() else { continue };
        if pair.is_skipped("twins_break_no_model", &[]) {
            continue;
        }
        let words = ["--seed", "1", "--operations", "100", "--set", "stress.overlap_min=0.0"];
        let raced = stress(pair.build(Variant::Fixed).path(), &scenario, &words.map(str::to_owned));
        assert_eq!(raced.code, 0, "{name}: {raced:#?}");
    }
}
