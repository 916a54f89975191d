//! `flockwork race` finds every broken program, with nothing but command lines, and finds every twin clean.

use super::flockwork::{Raced, race};
use super::pair::{By, Pair, Race, Variant, names};

/// How long a race may take; far more than any needs.
const BUDGET: [&str; 2] = ["--budget", "600s"];
/// How many executions are asked for where commands cannot be controlled.
const EXECUTIONS: [&str; 2] = ["--executions", "100"];

/// Each pair is a test of its own, so that they run beside each other and are told by name.
macro_rules! pairs {
    ($($test:ident: $name:literal,)*) => {
        $(#[test] fn $test() { check($name); })*

        #[test]
        fn every_pair_has_a_test() {
            assert_eq!(names(), [$($name),*].map(str::to_owned).into());
        }
    };
}

pairs! {
    check_then_create: "01-check-then-create",
    unlink_on_release: "02-unlink-on-release",
    truncate_in_place: "03-truncate-in-place",
    lost_update: "04-lost-update",
    lock_released_by_child: "05-lock-released-by-child",
    fcntl_lost_on_close: "06-fcntl-lost-on-close",
    steal_stale_lock: "07-steal-stale-lock",
    fixed_temp_name: "08-fixed-temp-name",
    lock_left_by_kill: "09-lock-left-by-kill",
    queue_double_take: "10-queue-double-take",
    two_files_apart: "11-two-files-apart",
    replace_directory: "12-replace-directory",
    shared_lock_upgrade: "13-shared-lock-upgrade",
    rename_without_fsync: "14-rename-without-fsync",
    prune_against_create: "15-prune-against-create",
    two_places_wrong_order: "16-two-places-wrong-order",
    pid_reuse: "17-pid-reuse",
    append_by_seek: "18-append-by-seek",
    gvisor_2018_shell: "19-gvisor-2018-shell",
    gvisor_2018_go: "20-gvisor-2018-go",
    check_then_create_shell: "21-check-then-create-shell",
    lock_kept_by_daemon: "22-lock-kept-by-daemon",
    upgrade_deadlock: "23-upgrade-deadlock",
    lost_update_node: "24-lost-update-node",
    unlink_on_release_c: "25-unlink-on-release-c",
}

fn check(name: &str) {
    let pair = Pair::read(name);
    if pair.is_skipped("field", &[]) {
        return;
    }
    let mut options: Vec<String> = BUDGET.map(str::to_owned).into();
    if !pair.controlled {
        options.extend(EXECUTIONS.map(str::to_owned));
    }
    for wanted in &pair.races {
        let raced = race(pair.build(Variant::Broken).path(), wanted, &options);
        if wanted.by == By::Crash {
            // No order of calls shows it.
            is_clean(&pair, Variant::Broken, wanted, &raced);
        } else {
            assert_eq!(raced.code, 100, "{name}, {wanted:?}: {raced:#?}");
            assert!(raced.classes().contains(&wanted.found.as_str()), "{name}, {wanted:?}: {raced:#?}");
        }
        let fixed = pair.build(Variant::Fixed);
        let raced = race(fixed.path(), wanted, &options);
        is_clean(&pair, Variant::Fixed, wanted, &raced);
        if pair.kind == "gvisor-2018" {
            // What gVisor's first lock was meant to be is proved of its twins, not sampled.
            let coverage = raced.report.as_ref().and_then(|report| report.coverage.as_deref());
            assert_eq!(coverage, Some("exhausted"), "{name}, {wanted:?}: {raced:#?}");
        }
    }
}

/// Clean, and under control where that can be.
fn is_clean(pair: &Pair, variant: Variant, wanted: &Race, raced: &Raced) {
    let what = format!("{} {}, {wanted:?}: {raced:#?}", pair.name, variant.as_str());
    assert_eq!(raced.code, 0, "{what}");
    let report = raced.report.as_ref().expect("a report");
    assert_eq!((report.verdict.as_str(), report.controlled), ("clean", pair.controlled), "{what}");
}
