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

/// A child sends it a signal every few milliseconds, whose handler does not restart calls. An open of a regular file never
/// fails because of that, unless whoever delays it lets the signal in.
const SIGNALLED: &str = r#"#!/usr/bin/perl
use POSIX;
$SIG{USR1} = sub {};
my $parent = $$;
my $child = fork // die;
if (!$child) { for (1 .. 30) { kill USR1 => $parent; select undef, undef, undef, 0.005 } exit }
for (1 .. 3) {
    my $file = POSIX::open("state/count", O_RDONLY);
    if (defined $file) { POSIX::close($file) or print "close: $!\n" } else { print "open: $!\n" }
}
1 while waitpid($child, 0) == -1 && $! == EINTR;
"#;

#[test]
fn commands_are_not_blamed_for_calls_that_a_signal_interrupts_while_they_are_delayed() {
    let workshop = Workshop::new(SIGNALLED);
    let flags = [
        "--perturb",
        "10ms..10ms",
        "--executions",
        "4",
        "--seed",
        "1",
        "--budget",
        "10s",
        "--format",
        "json",
    ];
    let words = [&["--state", "state"], &flags[..], &["--", "./tool", "./tool"]].concat();
    let output = workshop.race(&words).output().unwrap();
    let report = super::support::json(&output);
    let scenario = &report["scenarios"][0];
    // A signal that comes before the delay has begun still interrupts: such executions are left out, on a busy machine all.
    let kept = [0, 102].contains(&output.status.code().unwrap());
    assert!(kept && scenario["violations"] == serde_json::json!([]), "{scenario:#}");
}

#[test]
fn what_commands_that_run_freely_change_elsewhere_is_told() {
    let workshop = Workshop::new(&format!("{SOUND}echo x >>elsewhere\n"));
    for flags in [&["--free"][..], &["--perturb", "0..1us"]] {
        let flags = [flags, &["--executions", "12", "--seed", "1"]].concat();
        let report = workshop.json(&flags, &["./tool", "./tool"], 0);
        let scenario = &report["scenarios"][0];
        if !are_delayed("what_commands_that_run_freely_change_elsewhere", scenario) {
            return;
        }
        let elsewhere = workshop.path().canonicalize().unwrap().join("elsewhere").display().to_string();
        assert_eq!(scenario["also_touched"], serde_json::json!([elsewhere]), "{scenario:#}");
        assert_eq!(scenario["executions"], 12, "{scenario:#}");
    }
}
