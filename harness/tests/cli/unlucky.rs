//! An unlucky world: limits, namespaces and full disks. Each is told as what it is, and harms nobody else.

use std::fs;
use std::process::{Command, Stdio};

use crate::support::{Place, SOUND, ends_with, skip, stderr, stdout};

/// The same command, started by another such as `unshare`.
fn by(starter: &[&str], command: &Command) -> Command {
    let mut wrapped = Command::new(starter[0]);
    wrapped.args(&starter[1..]).arg(command.get_program()).args(command.get_args());
    wrapped.current_dir(command.get_current_dir().unwrap());
    wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    wrapped
}

fn is_possible(test: &str, starter: &[&str]) -> bool {
    let done = Command::new(starter[0]).args(&starter[1..]).arg("true").output();
    let is_possible = done.is_ok_and(|output| output.status.success());
    if !is_possible {
        skip(test, &format!("{} is not permitted here", starter.join(" ")));
    }
    is_possible
}

#[test]
fn where_proc_is_foreign_nothing_is_started_and_nobody_is_harmed() {
    let unshare = ["unshare", "--pid", "--fork", "--kill-child"];
    if !is_possible("where_proc_is_foreign_nothing_is_started_and_nobody_is_harmed", &unshare) {
        return;
    }
    let place = Place::new();
    place.file("s.toml", SOUND);
    let said = stderr(&ends_with(&mut by(&unshare, &place.run(&["s.toml"])), 96));
    assert!(said.contains("/proc") && said.contains("--mount-proc"), "{said}");
    assert!(place.remains().is_empty());
    // Doctor says so too, and clears nothing.
    let doctor = place.flockwork(&["doctor", "--root", "root"]);
    let told = stdout(&ends_with(&mut by(&unshare, &doctor), 96));
    assert!(told.contains("is that of another pid namespace"), "{told}");
}

/// A second harness in another time namespace, where all processes seem to have started at other times.
#[test]
fn a_harness_of_another_time_namespace_does_not_take_the_living_for_dead() {
    let unshare = ["unshare", "--time", "--boottime", "5000", "--fork", "--kill-child"];
    if !is_possible("a_harness_of_another_time_namespace_does_not_take_the_living_for_dead", &unshare) {
        return;
    }
    let place = Place::new();
    place.file("s.toml", &SOUND.replace("\"library\"", "\"library\"\nsandbox = \"process\""));
    let mut first = place.run(&["s.toml", "--duration", "4s"]);
    let first = first.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while place.remains().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    for _ in 0..3 {
        let said = stderr(&ends_with(&mut by(&unshare, &place.run(&["s.toml", "--operations", "300"])), 0));
        assert!(!said.contains("left by a run that was killed"), "{said}");
    }
    let output = first.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn a_limit_of_the_size_of_files_is_told() {
    let place = Place::new();
    place.file("s.toml", &SOUND.replace("think =", "payload = \"64KiB\"\nthink ="));
    // In blocks of 1,024 bytes.
    let limited = ["bash", "-c", "ulimit -f 8; exec \"$@\"", "bash"];
    let output = by(&limited, &place.run(&["s.toml"])).output().unwrap();
    let said = stdout(&output) + &stderr(&output);
    assert!(output.status.code().is_some_and(|code| code != 0), "it is not ended by a signal: {output:?}");
    assert!(said.to_lowercase().contains("too large"), "{said}");
    assert!(place.remains().is_empty(), "{:?}", place.remains());
}

#[test]
fn processes_and_threads_that_are_refused_are_told_with_the_way_out() {
    // A user who has no other process here.
    let few = |limit: &str| {
        let words = ["setpriv", "--reuid=61234", "--regid=61234", "--clear-groups", "prlimit", limit];
        words.map(str::to_owned)
    };
    for (limit, what) in [("--nproc=1:1", "process"), ("--nproc=3:3", "threads")] {
        let limited = few(limit);
        let limited: Vec<&str> = limited.iter().map(String::as_str).collect();
        if !is_possible("processes_and_threads_that_are_refused_are_told_with_the_way_out", &limited) {
            return;
        }
        let place = Place::new();
        place.file("s.toml", SOUND);
        let permissions = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o777);
        for folder in [place.path().to_owned(), place.root()] {
            fs::set_permissions(folder, permissions.clone()).unwrap();
        }
        let program = place.path().join("flockwork");
        fs::copy(assert_cmd::cargo::cargo_bin!("flockwork"), &program).unwrap();
        let mut command = Command::new(program);
        command.current_dir(place.path()).args(["run", "--root", "root", "--no-explain", "s.toml"]);
        let said = stderr(&ends_with(&mut by(&limited, &command), 96));
        assert!(said.contains(what) && said.contains("ulimit -u"), "{said}");
    }
}

#[test]
fn help_that_cannot_be_written_is_a_failure() {
    for words in [&["--help"][..], &["--version"], &["run", "--help"], &["list"]] {
        let place = Place::new();
        let mut command = place.flockwork(words);
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let said = stderr(&ends_with(command.stdout(full), 1));
        assert!(said.contains("stdout cannot be written"), "{said}");
    }
}

#[test]
fn a_program_that_sandboxes_need_and_is_missing_is_the_machines_lack() {
    let place = Place::new();
    place.file("s.toml", &SOUND.replace("\"library\"", "\"library\"\nsandbox = \"process\""));
    let output = ends_with(place.run(&["s.toml"]).env("PATH", place.path()), 96);
    assert!((stdout(&output) + &stderr(&output)).contains("needs setsid"), "{output:?}");
}
