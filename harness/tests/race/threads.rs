//! The threads of one command explored against each other: what their order alone brings about is found, and what they
//! bring about with no other command beside them is right.

use std::fs;
use std::process::Command;

use super::support::{ends_with, json, skip, stdout};
use super::workshop::{Workshop, said};

/// Two threads; what each does is a function of its own.
const THREADS: &str = r#"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>
static void make(const char *path) { close(open(path, O_CREAT | O_WRONLY, 0644)); }
static void add(void) {
    char text[32] = {0};
    int fd = open("state/count", O_RDWR);
    if (pread(fd, text, 30, 0) < 0) exit(1);
    int length = snprintf(text, sizeof text, "%d\n", atoi(text) + 1);
    if (pwrite(fd, text, length, 0) < 0) exit(1);
    close(fd);
}
static int lock(const char *path) { int fd = open(path, O_CREAT | O_RDWR, 0644); flock(fd, LOCK_EX); return fd; }
#ifdef PUBLISHES
static void *one(void *_) { make("state/a"); return _; }
static void *other(void *_) { make("state/c"); return _; }
#elif defined(LOSES)
static void *one(void *_) { add(); return _; }
static void *other(void *_) { add(); return _; }
#elif defined(CROSSES)
static void *one(void *_) { lock("state/x"); lock("state/y"); exit(0); }
static void *other(void *_) { lock("state/y"); lock("state/x"); exit(0); }
#endif
int main(void) {
    pthread_t threads[2];
    pthread_create(&threads[0], 0, one, 0);
    pthread_create(&threads[1], 0, other, 0);
    pthread_join(threads[0], 0);
    pthread_join(threads[1], 0);
    return 0;
}
"#;

/// A workshop with that program; none where nothing compiles it, or commands cannot be controlled.
fn workshop(test: &str, kind: &str, other: &str) -> Option<Workshop> {
    let workshop = Workshop::new(other);
    fs::write(workshop.path().join("threads.c"), THREADS).unwrap();
    let mut compiler = Command::new("gcc");
    compiler.args(["-O1", "-pthread", "-w", "-o", "threads", "threads.c", &format!("-D{kind}")]);
    match compiler.current_dir(workshop.path()).status() {
        Ok(done) => assert!(done.success(), "it does not compile"),
        Err(error) => {
            skip(test, &format!("gcc: {error}"));
            return None;
        }
    }
    Some(workshop)
}

fn race(test: &str, workshop: &Workshop, threads: &str) -> Option<serde_json::Value> {
    let words = ["--state", "state", "--format", "json", "--threads", threads, "--", "./threads", "./tool"];
    let report = json(&workshop.race(&words).output().unwrap());
    if let Some(why) = report["scenarios"][0]["uncontrolled"].as_str() {
        assert!(why.contains("doctor"), "these commands can be controlled: {why}");
        skip(test, why);
        return None;
    }
    Some(report)
}

#[test]
fn what_only_another_order_of_threads_brings_about_is_found() {
    let name = "what_only_another_order_of_threads_brings_about_is_found";
    // In the fixed order `a` is made first, so whoever sees `c` sees `a`.
    let looks = "#!/bin/sh\n[ -e state/c ] && [ ! -e state/a ] && echo c alone\nexit 0\n";
    let Some(workshop) = workshop(name, "PUBLISHES", looks) else { return };
    let Some(fixed) = race(name, &workshop, "fixed") else { return };
    assert_eq!(fixed["exit_code"], 0, "{fixed}");
    assert_eq!(
        fixed["scenarios"][0]["threads"],
        serde_json::json!({ "order": "fixed", "concerned": ["p1"] }),
        "{fixed}"
    );
    let explored = race(name, &workshop, "explore").unwrap();
    assert_eq!(explored["exit_code"], 100, "{explored}");
    let scenario = &explored["scenarios"][0];
    let threads = &scenario["threads"];
    assert_eq!((&threads["order"], &threads["concerned"]), (&"explore".into(), &serde_json::json!(["p1"])));
    assert_eq!(threads["alone"]["outcomes"], 2, "one an order: {threads}");
    let violation = &scenario["violations"][0];
    assert_eq!(violation["class"], "not-serializable", "{violation}");
    assert_eq!(violation["explained"], "reproduced in 3 of 3 replays", "{violation}");
    let finding = violation["finding"].as_str().unwrap();
    let table = fs::read_to_string(workshop.path().join(finding).join("table.txt")).unwrap();
    assert!(table.contains("[task 2]"), "{table}");
    let again = ["replay", finding, "--times", "3", "--root", "root", "--format", "json"];
    let again = json(&ends_with(&mut workshop.flockwork(&again), 0));
    assert_eq!((&again["verdict"], &again["reproduced"]), (&"reproduced".into(), &3.into()), "{again}");
    ends_with(&mut workshop.flockwork(&["shrink", finding, "--root", "root"]), 0);
}

#[test]
fn what_threads_bring_about_alone_is_right() {
    let name = "what_threads_bring_about_alone_is_right";
    let Some(workshop) = workshop(name, "LOSES", "#!/bin/sh\n[ -s state/count ] && echo full\n") else {
        return;
    };
    let Some(explored) = race(name, &workshop, "explore") else { return };
    assert_eq!(explored["exit_code"], 0, "{explored}");
    let threads = &explored["scenarios"][0]["threads"];
    // The count is 1 or 2 in the end, in either order of the commands.
    assert_eq!(threads["alone"]["outcomes"], 4, "{explored}");
    let words = ["--state", "state", "--threads", "explore", "--", "./threads", "./tool"];
    let told = said(&workshop.race(&words).output().unwrap());
    for line in [
        "4 different outcomes, depending on the order of their own threads",
        "between processes and their threads",
    ] {
        assert!(told.contains(line), "{told}");
    }
}

#[test]
fn threads_that_wait_for_each_other_hang_alone() {
    let name = "threads_that_wait_for_each_other_hang_alone";
    let Some(workshop) = workshop(name, "CROSSES", "#!/bin/sh\n: >state/z\n") else { return };
    let Some(explored) = race(name, &workshop, "explore") else { return };
    assert_eq!(explored["exit_code"], 100, "{explored}");
    assert_eq!(explored["scenarios"][0]["violations"][0]["class"], "deadlock", "{explored}");
}

#[test]
fn more_orders_of_threads_than_can_be_run_are_refused() {
    let name = "more_orders_of_threads_than_can_be_run_are_refused";
    let many = "#!/bin/sh\nfor i in 1 2 3 4 5 6; do (echo $i >>state/log; echo $i >>state/log; echo $i >>state/log) & done; wait\n";
    let workshop = Workshop::new(many);
    let words = [
        "--state",
        "state",
        "--threads",
        "explore",
        "--budget",
        "1s",
        "--format",
        "json",
        "--",
        "./tool",
        "./tool",
    ];
    let output = workshop.race(&words).output().unwrap();
    let told = said(&output);
    if told.contains("doctor") {
        skip(name, &told);
        return;
    }
    assert_ne!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("--threads fixed"), "{told}");
    assert!(!stdout(&output).contains("not-serializable"), "{told}");
}

#[test]
fn one_process_of_a_command_is_killed_alone() {
    let name = "one_process_of_a_command_is_killed_alone";
    // Its child takes the lock and gives it back; when the child alone is killed the lock stays, and all that come after refuse.
    // Killed as a whole, the command never comes so far that the trap tells of it: only the parent does.
    let tool =
        "#!/bin/sh\n[ -e state/broken ] && exit 9\n(: >state/x)\n[ $? -gt 128 ] && : >state/broken\nexit 0\n";
    let workshop = Workshop::new(tool);
    let flags = ["--state", "state", "--strict", "--format", "json", "--faults"];
    let commands = ["--then", "./tool", "--", "./tool", "./tool"];
    let whole = json(&workshop.race(&[&flags[..], &["kill"], &commands].concat()).output().unwrap());
    if let Some(why) = whole["scenarios"][0]["uncontrolled"].as_str() {
        skip(name, why);
        return;
    }
    assert_eq!(whole["exit_code"], 0, "{whole}");
    let one = json(&workshop.race(&[&flags[..], &["kill-one"], &commands].concat()).output().unwrap());
    assert_eq!(one["exit_code"], 100, "{one}");
    let violation = &one["scenarios"][0]["violations"][0];
    let finding = violation["finding"].as_str().unwrap();
    let table = fs::read_to_string(workshop.path().join(finding).join("table.txt")).unwrap();
    assert!(table.contains("SIGKILL for this process alone before"), "{table}");
    assert_eq!(violation["explained"], "reproduced in 3 of 3 replays", "{violation}");
    ends_with(&mut workshop.flockwork(&["replay", finding, "--root", "root"]), 0);
}
