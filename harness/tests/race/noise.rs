//! Noise is learnt, told and seen through no further than it must be; what is nothing but noise is refused.

use super::support::{ends_with, stdout};
use super::workshop::Workshop;

/// So many that they meet: each holds on for a while.
const FREE: [&str; 3] = ["--free", "--executions", "12"];

#[test]
fn pids_times_and_drawn_names_are_masked_and_told() {
    let noisy = "#!/bin/sh\necho pid $$ at $(date +%s.%N)\nexec 9>>state/lock\nflock 9\necho by $$ >>state/log\nsleep 0.1\n\
                 : >state/tmp.$$\n";
    let workshop = Workshop::new(noisy);
    let report = workshop.json(&FREE, &["./tool", "./tool"], 0);
    let masked = report["scenarios"][0]["masked"].to_string();
    for told in ["pid * at *.*", "by *", "tmp.*"] {
        assert!(masked.contains(told), "{told} in {masked}");
    }
    let words = [&["--state", "state"][..], &FREE, &["--", "./tool", "./tool"]].concat();
    let text = stdout(&ends_with(&mut workshop.race(&words), 0));
    assert!(text.contains("not compared, as it differs from run to run: p1 stdout: pid * at *.*"), "{text}");
}

#[test]
fn a_mask_hides_nothing_beside_it() {
    let tool =
        "#!/bin/sh\nexec 9>>door\nif flock -n 9; then sleep 0.3; n=1; else n=2; fi\necho pid $$ n $n\n";
    let workshop = Workshop::new(tool);
    let report = workshop.json(&["--free"], &["./tool", "./tool"], 100);
    let message = report["scenarios"][0]["violations"][0]["message"].as_str().unwrap();
    assert!(message.contains("n 2\" rather than \"pid * n 1\""), "{message}");
}

#[test]
fn two_that_got_one_id_are_found_through_the_mask() {
    let takes = "read -r id <state/next\ncat /proc/sys/kernel/random/uuid >state/new.$$\nmv state/new.$$ state/next\n\
                 echo id $id\n";
    let setup = ["--setup", "cat /proc/sys/kernel/random/uuid >state/next"];
    let workshop = Workshop::new(&format!("#!/bin/sh\n{takes}"));
    let report = workshop.json(&setup, &["./tool", "./tool"], 100);
    let violation = &report["scenarios"][0]["violations"][0];
    assert_eq!(violation["class"], "not-serializable");
    let message = violation["message"].as_str().unwrap();
    assert!(message.contains(", as p1 stdout has") || message.contains(", as p2 stdout has"), "{message}");
    // With a lock nobody gets what another has, and where nothing can be controlled that proves nothing.
    workshop.program("tool", &format!("#!/bin/sh\nexec 9>>state/lock\nflock 9\n{takes}"));
    let words = [&["--state", "state", "--format", "json"][..], &setup, &["--", "./tool", "./tool"]].concat();
    let output = workshop.race(&words).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 102)), "{}", stdout(&output));
}

/// Prints a number that it never printed before: what is drawn may by chance be the same twice.
const NEVER_TWICE: &str =
    "#!/bin/sh\nflock count sh -c 'read -r n <count; echo $((n + 1)) | tee count.new; mv count.new count'\n";

#[test]
fn what_differs_wildly_even_alone_is_refused() {
    for (tool, told) in [
        // So many words, never as many as before.
        ("head -c $((n * 8)) /dev/urandom | od -A n -v -w8000 -t x8", "p1 stdout: almost nothing"),
        ("exit $((n % 250))", "p1: it is"),
        ("seq $n", "p1 stdout: the number of lines differs"),
        ("head -c 9 /dev/urandom >state/data; printf '\\0' >>state/data", "data: it is not text"),
    ] {
        let workshop = Workshop::new(&format!("#!/bin/sh\nn=$(./next)\n{tool}\n"));
        workshop.program("next", NEVER_TWICE);
        workshop.place.file("count", "0\n");
        let report = workshop.json(&FREE, &["./tool", "./tool"], 102);
        let reasons = report["scenarios"][0]["reasons"].to_string();
        assert!(reasons.contains("differ from run to run even one after the other"), "{reasons}");
        assert!(reasons.contains(told) && reasons.contains("--ignore PATH"), "{reasons}");
        assert_eq!(report["scenarios"][0]["violations"], serde_json::json!([]));
    }
}

#[test]
fn what_is_masked_or_ignored_by_hand_is_not_compared() {
    let workshop = Workshop::new(
        "#!/bin/sh\nsleep 0.1\nseq $(($$ % 90 + 1)) >state/seq.log\necho by x$(($$ % 90 + 1))/\n",
    );
    let flags = [&FREE[..], &["--ignore", "*.log", "--mask", "x[0-9]+/"]].concat();
    workshop.json(&flags, &["./tool", "./tool"], 0);
}

/// A comparison that leaves out all that commands change finds nothing wrong, whatever they do.
#[test]
fn where_nothing_is_compared_nothing_is_clean() {
    let workshop = Workshop::new(
        "#!/bin/sh\nread -r n <state/count\necho $((n + 1)) >state/new.$$\nmv state/new.$$ state/count\n",
    );
    workshop.place.file("state/count", "0\n");
    workshop.json(&[], &["./tool", "./tool"], 100);
    for (flags, told) in [
        (&["--ignore", "*"][..], "nothing that the commands change is compared (count)"),
        (&["--mask", "[0-9]+"], "nothing that the commands change is compared (count)"),
        (&["--compare", "stderr"], "nothing that the commands change is compared (count)"),
        (&["--observe", "true"], "--observe \"true\" prints nothing, whether the commands run or not, so"),
        (
            &["--observe", "cat nowhere"],
            "run or not (exit code 1: cat: nowhere: No such file or directory), so",
        ),
    ] {
        let report = workshop.json(flags, &["./tool", "./tool"], 102);
        let scenario = &report["scenarios"][0];
        assert!(
            scenario["reasons"].to_string().replace("\\\"", "\"").contains(told),
            "{}",
            scenario["reasons"]
        );
        assert_eq!(scenario["violations"], serde_json::json!([]));
    }
    // What comes after compares for itself, and what prints or ends otherwise is compared.
    workshop.json(&["--ignore", "*", "--then", "grep 2 state/count"], &["./tool", "./tool"], 100);
    workshop.json(&["--observe", "cat state/count"], &["./tool", "./tool"], 100);
    workshop.program("tool", "#!/bin/sh\nmkdir state/door 2>/dev/null\n");
    workshop.json(&["--ignore", "*"], &["./tool", "./tool"], 0);
}

/// A kill is drawn for some executions, and may come when its command has ended.
#[test]
fn where_nobody_was_killed_nothing_is_said_of_kills() {
    let workshop = Workshop::new("#!/bin/sh\nsleep 0.05\n");
    let run = |seed: &str| {
        let words = ["--free", "--executions", "1", "--faults", "kill", "--then", "true", "--seed", seed];
        let words =
            [&["--state", "state", "--format", "json"], &words[..], &["--", "./tool", "./tool"]].concat();
        super::support::json(&workshop.race(&words).output().unwrap())["scenarios"][0].clone()
    };
    for seed in ["1", "2", "3"] {
        let scenario = run(seed);
        let told = scenario["reasons"].to_string().contains("no fault met a command in 1 execution");
        assert_eq!(told, scenario["faulted"] == 0, "{scenario:#}");
        // For these nobody is drawn.
        assert!(seed != "1" || (told && scenario["verdict"] == "inconclusive"), "{scenario:#}");
    }
}
