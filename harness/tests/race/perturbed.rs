//! Commands whose calls are delayed: what that finds, and that what they do stays what it was.

use super::workshop::{DOOR, SOUND, Workshop};

/// Whether calls can be delayed here; said by name where not.
fn are_delayed(test: &str, scenario: &serde_json::Value) -> bool {
    let is = scenario["unperturbed"].is_null();
    if !is {
        super::support::skip(test, &scenario["unperturbed"].to_string());
    }
    is
}

#[test]
fn a_finding_tells_in_which_order_calls_began() {
    let workshop = Workshop::new(DOOR);
    let report = workshop.json(&["--perturb", "1us..100us", "--seed", "1"], &["./tool", "./tool"], 100);
    let scenario = &report["scenarios"][0];
    assert_eq!(scenario["controlled"], false);
    let violation = &scenario["violations"][0];
    assert_eq!(violation["class"], "not-serializable");
    let story = violation["story"].to_string();
    assert!(story.contains("ran from"), "{story}");
}

#[test]
fn sound_commands_stay_sound_and_each_call_takes_its_time() {
    let workshop = Workshop::new(SOUND);
    let flags = ["--perturb", "10ms..10ms", "--executions", "8", "--seed", "1"];
    let report = workshop.json(&flags, &["./tool", "./tool"], 0);
    let scenario = &report["scenarios"][0];
    if !are_delayed("sound_commands_stay_sound", scenario) {
        return;
    }
    assert_eq!((&scenario["executions"], &scenario["diverged"]), (&8.into(), &0.into()), "{scenario:#}");
    // Each opens, locks, reads and writes: the delayed ones of eight executions cannot have been faster.
    assert!(scenario["duration_s"].as_f64().unwrap() > 0.2, "{scenario:#}");
}

#[test]
fn what_goes_on_in_the_background_is_waited_for() {
    // Its last word is written by a child that nobody waits for.
    let tool = "#!/bin/sh\nexec 9>>state/lock\nflock 9\n(sleep 0.05; echo done >>state/log) &\n";
    let workshop = Workshop::new(tool);
    workshop.place.file("state/log", "");
    let flags = ["--perturb", "0..1ms", "--executions", "6", "--seed", "1"];
    let report = workshop.json(&flags, &["./tool", "./tool"], 0);
    assert_eq!(report["scenarios"][0]["executions"], 6, "{report:#}");
}
