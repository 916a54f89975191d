//! What is seen beside answers: watched files of every kind, what comes before and after, who waits too long, who stays.

use std::fs;

use super::support::{ends_with, stderr, stdout};
use super::workshop::{LOCKED, OPERATIONS, SUBJECT, Workshop, check, classes};

/// A scenario that watches, of a tool that writes by `writes`, which gets the new count as `$n`.
fn watching(watch: &str, writes: &str) -> Workshop {
    let tool = format!(
        "#!/bin/sh\ncd \"$STATE\" || exit 9\nexec 9>>lock\nflock 9\nn=$(cat n 2>/dev/null || echo 0)\nn=$((n + $2))\n\
         {writes}\necho $n >n\necho $n\n"
    );
    let subject = SUBJECT.replace("time_limit", &format!("watch = [{watch}]\ntime_limit"));
    let operations = OPERATIONS.replace("[subject.operations.read]\ncommand = \"./tool read\"\n", "");
    Workshop::new(&tool, &format!("{subject}{operations}"))
}

#[test]
fn watched_files_of_every_kind() {
    for (watch, file, begin, end) in [
        ("\"*.toml\"", "a.toml", "n = [", "$n]"),
        ("\"*.yaml\"", "a.yaml", "n: [", "$n]"),
        ("\"*.yml\"", "a.yml", "n: {", "a: $n}"),
        ("{ path = \"*.conf\", as = \"json\" }", "a.conf", "[", "$n]"),
        ("{ path = \"*.db\", command = \"grep -q end {file}\" }", "a.db", "begin", "end"),
    ] {
        let torn = format!("printf '{begin}' >{file}\nsleep 0.02\nprintf \"{end}\" >>{file}");
        let found = watching(watch, &torn).run(&["--operations", "24"], 100);
        assert_eq!(classes(&found), ["torn-read"], "{watch}");
        let message = found["violations"][0]["message"].as_str().unwrap();
        assert!(message.contains(file), "{watch}: {message}");
        let whole = format!("printf '{begin}' >new\nprintf \"{end}\" >>new\nmv new {file}");
        let clean = watching(watch, &whole).run(&["--operations", "24"], 0);
        assert_eq!(check(&clean, "torn-read"), "clean", "{watch}");
    }
}

#[test]
fn what_comes_before_and_after_is_run_as_often_as_it_should() {
    let log = |word: &str| format!("sh -c 'echo {word} >>log'");
    let lines = format!(
        "setup = [\"{}\"]\nteardown = [\"{}\"]\nround_setup = [\"{}\"]\nround_teardown = [\"{}\"]\ntime_limit",
        log("setup"),
        log("teardown"),
        log("round"),
        log("over")
    );
    let subject = SUBJECT.replace("time_limit", &lines);
    let workshop = Workshop::new(LOCKED, &format!("{subject}{OPERATIONS}round = 5\n"));
    workshop.run(&[], 0);
    let log = fs::read_to_string(workshop.path().join("log")).unwrap();
    let expected = format!("setup\n{}teardown\n", "round\nover\n".repeat(3));
    assert_eq!(log, expected, "sixty operations are three rounds of five by four");
    assert!(workshop.place.remains().is_empty());
}

#[test]
fn one_that_fails_afterwards_is_told() {
    for key in ["teardown", "round_setup", "round_teardown"] {
        let line = format!("{key} = [\"sh -c 'echo no way >&2; exit 3'\"]\ntime_limit");
        let workshop =
            Workshop::new(LOCKED, &format!("{}{OPERATIONS}", SUBJECT.replace("time_limit", &line)));
        let output = ends_with(&mut workshop.place.run(&["it.toml"]), 2);
        let told = format!("{}{}", stdout(&output), stderr(&output));
        assert!(told.contains(&format!("subject.{key}")) && told.contains("it said: no way"), "{told}");
        assert!(workshop.place.remains().is_empty());
    }
}

#[test]
fn who_waits_while_others_go_on_starves() {
    // The first operation of the first process takes no lock: it waits for a file that nobody makes.
    let tool = LOCKED.replace(
        "exec 9>>lock",
        "if [ \"$3.$4\" = 1.1 ]; then while [ ! -e never ]; do sleep 0.01; done; fi\nexec 9>>lock",
    );
    let operations = OPERATIONS
        .replace("\"{value}\"]", "\"{value}\", \"{process}\", \"{n}\"]")
        .replace("./tool read", "./tool read 0 9 9")
        // Others go on for longer than it may take.
        .replace("operations = 60", "duration = \"3s\"");
    let subject = SUBJECT.replace("20s", "1s");
    let workshop = Workshop::new(&tool, &format!("{subject}{operations}mix = {{ add = 1 }}\n"));
    let scenario = workshop.run(&[], 100);
    assert_eq!(classes(&scenario), ["starvation"], "{scenario:#}");
    let message = scenario["violations"][0]["message"].as_str().unwrap();
    assert!(message.contains("did not end within 1"), "{message}");
}

#[test]
fn who_hangs_without_a_lock_is_told_with_where_in_the_kernel_it_waits() {
    let subject = SUBJECT.replace("20s", "500ms");
    let workshop = Workshop::new("#!/bin/sh\nexec sleep 1000\n", &format!("{subject}{OPERATIONS}"));
    let scenario = workshop.run(&["--operations", "2", "--processes", "2"], 100);
    let told = scenario["violations"].to_string();
    assert!(told.contains("(sleep) waits in the kernel: "), "{told}");
    // The stack is root's to see.
    if nix::unistd::geteuid().is_root()
        && fs::read_to_string("/proc/self/stack").is_ok_and(|stack| stack.len() > 1)
    {
        assert!(told.contains("nanosleep"), "{told}");
    }
}

#[test]
fn who_hides_from_its_parent_is_found_by_its_mark_and_reaped() {
    let word = format!("1002.{}", std::process::id());
    // Twice forked and in a session of its own: nobody's child but the reaper's.
    let tool = LOCKED.replace(
        "echo $((n + $2))\n",
        &format!("(setsid sh -c 'sleep {word} & exit' 9>&- >/dev/null 2>&1 &)\necho $((n + $2))\n"),
    );
    let subject = SUBJECT.replace("time_limit", "strays = \"forbidden\"\ntime_limit");
    let workshop = Workshop::new(&tool, &format!("{subject}{OPERATIONS}"));
    let scenario = workshop.run(&["--operations", "8"], 100);
    assert_eq!(classes(&scenario), ["leftover"]);
    let message = scenario["violations"][0]["message"].as_str().unwrap();
    assert!(message.contains("sleep"), "{message}");
    assert!(!super::tidy::is_there(&word), "it is reaped all the same");
}

#[test]
fn delayed_calls_take_their_time_and_change_nothing() {
    // Of eight commands some are delayed, by the seed: each makes more than ten calls on files of the state.
    let workshop = Workshop::counter(LOCKED, "perturb = \"20ms..20ms\"\noverlap_min = 0.0\n");
    let scenario = workshop.run(&["--operations", "8", "--processes", "1"], 0);
    assert_eq!(check(&scenario, "not-linearizable"), "clean");
    assert!(scenario["duration_s"].as_f64().unwrap() > 0.4, "{scenario:#}");
}

#[test]
fn what_commands_change_elsewhere_is_told() {
    let tool = LOCKED.replace("flock 9\n", "flock 9\necho x >>\"$LOG\"\n");
    let workshop = Workshop::new(&tool, "");
    let log = workshop.path().canonicalize().unwrap().join("log").display().to_string();
    let subject = SUBJECT.replace("env = { ", &format!("env = {{ LOG = {log:?}, "));
    workshop.place.file("it.toml", &format!("{subject}{OPERATIONS}perturb = \"0..1us\"\n"));
    let output = ends_with(&mut workshop.place.run(&["it.toml", "--operations", "8"]), 0);
    if stderr(&output).contains("calls could not be delayed") {
        return super::support::skip("what_commands_change_elsewhere_is_told", "calls cannot be looked at");
    }
    let told = format!("also touched outside the state, so not restored: {log}\n");
    assert!(stderr(&output).contains(&told), "{}", stderr(&output));
}
