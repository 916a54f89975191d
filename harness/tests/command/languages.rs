//! Subjects in other languages than that of a shell: C, compiled here, and Python.

use std::process::Command;

use super::support::skip;
use super::workshop::{OPERATIONS, SUBJECT, Workshop, check, classes};

/// Whether a program is there; said by name where not.
fn has(test: &str, program: &str) -> bool {
    let is_there = Command::new(program).arg("--version").output().is_ok();
    if !is_there {
        skip(test, &format!("it needs {program}"));
    }
    is_there
}

/// A counter in C. With a second lock argument it waits for its turn.
const C: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

int main(int argc, char **argv) {
  char text[32] = "0", name[64];
  if (chdir(getenv("STATE")) != 0) return 9;
  if (LOCKED) {
    int lock = open("lock", O_CREAT | O_RDWR, 0666);
    if (flock(lock, LOCK_EX) != 0) return 9;
  }
  int count = open("count", O_RDONLY);
  if (count >= 0) {
    ssize_t length = read(count, text, sizeof text - 1);
    text[length > 0 ? length : 0] = 0;
    close(count);
  }
  long n = atol(text);
  if (strcmp(argv[1], "add") == 0) {
    n += atol(argv[2]);
    if (!LOCKED) usleep(20000);
    snprintf(name, sizeof name, "new.%d", getpid());
    FILE *file = fopen(name, "w");
    fprintf(file, "%ld\n", n);
    fclose(file);
    rename(name, "count");
  }
  printf("%ld\n", n);
  return argc == 0;
}
"#;

/// The same in Python.
const PYTHON: &str = r#"import fcntl, os, sys, time
os.chdir(os.environ["STATE"])
if LOCKED:
    lock = open("lock", "a")
    fcntl.flock(lock, fcntl.LOCK_EX)
try:
    n = int(open("count").read())
except FileNotFoundError:
    n = 0
if sys.argv[1] == "add":
    n += int(sys.argv[2])
    if not LOCKED:
        time.sleep(0.02)
    name = f"new.{os.getpid()}"
    with open(name, "w") as file:
        file.write(f"{n}\n")
    os.rename(name, "count")
print(n)
"#;

/// The broken program is found, its twin is clean; with calls delayed and without.
fn both(broken: &Workshop, sound: &Workshop) {
    assert_eq!(classes(&broken.run(&[], 100)), ["not-linearizable"]);
    assert_eq!(check(&sound.run(&[], 0), "not-linearizable"), "clean");
    sound.place.file("it.toml", &format!("{SUBJECT}{OPERATIONS}perturb = \"0..500us\"\n"));
    assert_eq!(check(&sound.run(&["--operations", "20"], 0), "not-linearizable"), "clean");
}

#[test]
fn c() {
    if !has("c", "cc") {
        return;
    }
    let compiled = |locked: &str| {
        let workshop = Workshop::new("", &format!("{SUBJECT}{OPERATIONS}"));
        workshop.place.file("tool.c", &C.replace("LOCKED", locked));
        let output = Command::new("cc")
            .args(["-O1", "-o", "tool", "tool.c"])
            .current_dir(workshop.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        workshop
    };
    both(&compiled("0"), &compiled("1"));
}

#[test]
fn python() {
    if !has("python", "/usr/bin/python3") {
        return;
    }
    let script = |locked: &str| {
        let text = format!("#!/usr/bin/python3 -S\n{}", PYTHON.replace("LOCKED", locked));
        Workshop::new(&text, &format!("{SUBJECT}{OPERATIONS}"))
    };
    both(&script("False"), &script("True"));
}
