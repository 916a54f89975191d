//! Clones of programs never change a verdict: with and without the fork server the same is found, in as many executions.

use super::flockwork::{Raced, race};
use super::pair::{Pair, Variant, names};

/// The pairs of every run; with `FLOCKWORK_LONG=1` all of them. In one a program is C, in one a shell that starts others.
const SHORT: [&str; 2] = ["04-lost-update", "21-check-then-create-shell"];

/// Its programs are started, as clones that leave processes behind are none that are believed.
const LEAVES_A_DAEMON: &str = "22-lock-kept-by-daemon";

#[test]
fn with_clones_the_same_is_found() {
    let test = "with_clones_the_same_is_found";
    if !nix::unistd::geteuid().is_root() || !cfg!(target_arch = "x86_64") {
        assert!(std::env::var_os("FLOCKWORK_REQUIRE_ALL").is_none(), "{test} needs root on x86_64");
        println!("skipped: {test} needs root on x86_64");
        return;
    }
    let is_long = std::env::var_os("FLOCKWORK_LONG").is_some();
    for name in names().iter().filter(|name| is_long || SHORT.contains(&name.as_str())) {
        let pair = Pair::read(name);
        if !pair.controlled || pair.is_skipped(test, &[]) {
            continue;
        }
        for wanted in &pair.races {
            for variant in [Variant::Broken, Variant::Fixed] {
                let [started, cloned] = ["off", "auto"].map(|how| {
                    let options = ["--seed", "1", "--budget", "600s", "--fork-server", how];
                    race(pair.build(variant).path(), wanted, &options.map(str::to_owned))
                });
                let what = format!("{name}, {}, {wanted:?}", variant.as_str());
                assert_eq!(came_to(&started), came_to(&cloned), "{what}: {started:#?} {cloned:#?}");
                let report = cloned.report.expect("a report");
                if !report.controlled {
                    // It was found before anything was held.
                    continue;
                }
                let told = report.fork_server.unwrap_or_else(|| panic!("{what}: nothing is told of clones"));
                if name == LEAVES_A_DAEMON {
                    assert_eq!((told.executions, told.compared), (0, 0), "{what}: {told:?}");
                    assert!(
                        told.refused.is_some_and(|why| why.contains("leaves processes behind")),
                        "{what}"
                    );
                } else {
                    assert!(told.executions > 0 && told.compared > 0, "{what}: {told:?}");
                    assert_eq!(told.refused, None, "{what}");
                }
            }
        }
    }
}

/// What a race came to: its exit code, its verdict, the classes found, how much was seen, and in how many executions.
fn came_to(raced: &Raced) -> (i32, String, Vec<String>, Option<String>, u64) {
    let report = raced.report.as_ref().expect("a report");
    let classes = raced.classes().into_iter().map(str::to_owned).collect();
    (raced.code, report.verdict.clone(), classes, report.coverage.clone(), report.executions)
}
