//! Stopping a process that forks must never leave a child stopped for ever: that would be told as a deadlock.

use std::fs;

use super::flockwork::flockwork_race;
use super::program;

/// Forks all the time, so that stops fall into forks.
const FORKS: &str = "#!/bin/sh\ni=0\nwhile [ $i -lt 60 ]; do x=$(:); i=$((i + 1)); done\n";

#[test]
fn nobody_stays_stopped() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("state")).unwrap();
    let script = place.path().join("forks");
    program::write(&script, FORKS);
    let words =
        ["--perturb", "0..1us", "--executions", "200", "--budget", "600s", "--", "./forks", "./forks"];
    let raced = flockwork_race(place.path(), &words.map(str::to_owned));
    assert_eq!(raced.code, 0, "{raced:#?}");
}
