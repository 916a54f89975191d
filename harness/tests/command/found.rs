//! What is wrong is found, what is sound is clean, and what was not seen is not claimed.

use std::fs;

use super::support::{ends_with, json, json_file};
use super::workshop::{COUNTER, LOCKED, OPERATIONS, SUBJECT, Workshop, check, classes};

#[test]
fn a_lost_update_is_found_and_the_history_says_the_same_to_the_judge() {
    let workshop = Workshop::counter(COUNTER, "");
    let scenario = workshop.run(&[], 100);
    assert_eq!(classes(&scenario), ["not-linearizable"]);
    assert_eq!(scenario["operations"], 60);
    let message = scenario["violations"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("x: "), "{message}");
    let run = &workshop.place.runs()[0];
    for history in [run.join("history.jsonl.zst"), finding(&scenario, &workshop).join("history.jsonl")] {
        let path = history.display().to_string();
        let checked =
            json(&ends_with(&mut workshop.place.flockwork(&["check", "--format", "json", &path]), 100));
        assert_eq!(checked["histories"][0]["model"], "counter", "{path}");
        assert_eq!(checked["histories"][0]["operations"], 60, "{path}");
    }
    let kept = json_file(&finding(&scenario, &workshop).join("finding.json"));
    assert!(kept["window"].as_array().unwrap().iter().any(|glimpse| glimpse["decisive"] == true), "{kept}");
    assert!(run.join("report.html").is_file());
}

fn finding(scenario: &serde_json::Value, workshop: &Workshop) -> std::path::PathBuf {
    workshop.path().join(scenario["violations"][0]["finding"].as_str().expect("a finding"))
}

#[test]
fn its_twin_with_a_lock_is_clean() {
    let scenario = Workshop::counter(LOCKED, "").run(&[], 0);
    assert_eq!(check(&scenario, "not-linearizable"), "clean");
    assert_eq!(check(&scenario, "deadlock"), "clean");
}

#[test]
fn rounds_begin_with_the_state_as_it_was() {
    let subject = SUBJECT.replace("time_limit", "setup = [\"sh -c 'echo 0 > {state}/count'\"]\ntime_limit");
    let scenario = format!("{subject}{OPERATIONS}round = 3\n");
    let workshop = Workshop::new(LOCKED, &scenario);
    assert_eq!(workshop.run(&["--keep-history"], 0)["operations"], 60);
    let history =
        zstd::decode_all(fs::File::open(workshop.place.runs()[0].join("history.jsonl.zst")).unwrap())
            .unwrap();
    let history = String::from_utf8(history).unwrap();
    for object in ["\"x\"", "\"x@2\"", "\"x@5\""] {
        assert!(history.contains(&format!("\"object\":{object}")), "{object} in {history}");
    }
    assert!(!history.contains("x@6"), "sixty operations are five rounds of three by four");
}

#[test]
fn who_hangs_is_told_with_what_it_waits_for() {
    // A daemon that was started first has the lock for good.
    let daemon = "setup = [\"sh -c 'exec 9>>{state}/lock; flock 9; sleep 1000 &'\"]\ntime_limit";
    let scenario = format!("{SUBJECT}{OPERATIONS}").replace("time_limit", daemon);
    let workshop =
        Workshop::new(LOCKED, &scenario.replace("20s", "500ms").replace("operations = 60", "operations = 8"));
    let scenario = workshop.run(&[], 100);
    assert!(classes(&scenario).iter().any(|class| class == "deadlock"), "{scenario:#}");
    let messages = scenario["violations"].to_string();
    assert!(messages.contains("did not end within 500"), "{messages}");
    assert!(messages.contains("waits for the lock on lock"), "{messages}");
}

#[test]
fn who_crashes_is_told() {
    let scenario = Workshop::counter("#!/bin/sh\nkill -SEGV $$\n", "").run(&[], 100);
    assert_eq!(classes(&scenario), ["subject-crash"]);
    assert!(scenario["violations"][0]["message"].as_str().unwrap().contains("died of SIGSEGV"));
}

#[test]
fn an_answer_that_no_rule_fits_has_failed_and_proves_nothing() {
    // It counts, and says so in a way that nobody understands.
    let tool = LOCKED.replace("echo $((n + $2))\n", "echo done\n");
    let workshop = Workshop::counter(&tool, "");
    let scenario = workshop.run(&[], 102);
    assert_eq!(classes(&scenario), [""; 0]);
    let told = scenario["reasons"].to_string();
    assert!(told.contains("no rule") && told.contains("add never succeeded"), "{told}");
    assert!(
        scenario["first_failure"]
            .as_str()
            .unwrap()
            .contains("stdout \\\"done\\\"".replace('\\', "").as_str())
    );
}

#[test]
fn a_watched_file_that_is_not_whole_is_found() {
    let torn = r#"#!/bin/sh
cd "$STATE" || exit 9
exec 9>>lock
flock 9
n=$(sed 's/[^0-9]//g' count.json 2>/dev/null || echo 0)
n=$((${n:-0} + $2))
printf '{"count": ' > count.json
sleep 0.02
printf '%s}' $n >> count.json
echo $n
"#;
    let whole = torn.replace("> count.json", "> new").replace(">> new", ">> new; mv new count.json");
    let subject = SUBJECT.replace("time_limit", "watch = [\"*.json\"]\ntime_limit");
    let operations = OPERATIONS.replace("[subject.operations.read]\ncommand = \"./tool read\"\n", "");
    let scenario = format!("{subject}{operations}");
    let found = Workshop::new(torn, &scenario).run(&[], 100);
    assert_eq!(classes(&found), ["torn-read"]);
    let message = found["violations"][0]["message"].as_str().unwrap();
    assert!(message.contains("count.json") && message.contains("EOF"), "{message}");
    let clean = Workshop::new(&whole, &scenario).run(&[], 0);
    assert_eq!(check(&clean, "torn-read"), "clean");
}

#[test]
fn commands_that_never_met_prove_nothing() {
    // One command meets nobody, however the machine runs it.
    let workshop = Workshop::counter(LOCKED, "");
    let scenario = workshop.run(&["--operations", "1", "--processes", "2"], 102);
    assert!(scenario["reasons"].to_string().contains("overlapped"), "{scenario:#}");
}
