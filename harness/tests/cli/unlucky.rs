//! An unlucky world: limits, namespaces and full disks. Each is told as what it is, and harms nobody else.

use std::fs;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::program;
use crate::support::{Place, SOUND, ends_with, json, skip, stderr, stdout};

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
        assert!(!said.contains("left behind by a killed run"), "{said}");
    }
    let output = first.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

/// The processes below this one, and those below them.
fn descendants(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut at = 0;
    while let Some(pid) = all.get(at) {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        all.extend(children.split_whitespace().map(|child| child.parse::<u32>().unwrap()));
        at += 1;
    }
    all
}

/// What an auditor would have seen between its stop and the end nobody has seen.
#[test]
fn an_auditor_that_is_stopped_and_killed_at_the_end_is_told() {
    let place = Place::new();
    place.file("s.toml", &SOUND.replace("processes = 4", "processes = 4\nauditors = 1"));
    let mut command = place.run(&["s.toml", "--duration", "2s", "--format", "json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let is_auditor =
        |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "fw-4\n");
    let begun = std::time::Instant::now();
    let auditor = loop {
        if let Some(pid) = descendants(child.id()).into_iter().find(is_auditor) {
            break pid;
        }
        assert!(begun.elapsed().as_secs() < 60, "no auditor appears");
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    // It has looked at something by then, so that the run has begun.
    std::thread::sleep(std::time::Duration::from_millis(500));
    kill(Pid::from_raw(auditor.cast_signed()), Signal::SIGSTOP).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(102), "{}{}", stdout(&output), stderr(&output));
    let told = json(&output)["scenarios"][0]["reasons"].to_string();
    assert!(told.contains("auditor p4") && told.contains("was killed"), "{told}");
}

/// A root that is full from the start, or is filled by the run, on a filesystem of its own.
#[test]
fn a_full_root_is_the_machines_lack() {
    let test = "a_full_root_is_the_machines_lack";
    if !is_possible(test, &["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /mnt"]) {
        return;
    }
    for (sandbox, size, fill) in [("inert", "16k", "yes"), ("inert", "64k", "no"), ("process", "64k", "no")] {
        let place = Place::new();
        let payload = "payload = \"16KiB\"\nthink =";
        let scenario = SOUND.replace("\"library\"", &format!("\"library\"\nsandbox = \"{sandbox}\""));
        place.file(
            "s.toml",
            &scenario.replace("think =", payload).replace("processes = 4", "processes = 4\ncontainers = 6"),
        );
        let script = "mount -t tmpfs -o size=$1 none root && shift && \
                      if [ $1 = yes ]; then cat /dev/zero >root/full 2>/dev/null; fi; shift; exec \"$@\"";
        let words = ["unshare", "--mount", "sh", "-c", script, "sh", size, fill];
        let output = by(&words, &place.run(&["s.toml", "--format", "json"])).output().unwrap();
        let told = stdout(&output) + &stderr(&output);
        let code = output.status.code();
        assert!(matches!(code, Some(1 | 96 | 102)), "{size} {sandbox}: {code:?}\n{told}");
        assert!(told.contains("No space left") || told.contains("ENOSPC"), "{told}");
        assert!(!told.contains("\"violation\""), "{told}");
    }
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
        program::copy(assert_cmd::cargo::cargo_bin!("flockwork"), &program);
        let mut command = Command::new(program);
        command.current_dir(place.path()).args(["run", "--root", "root", "--no-explain", "s.toml"]);
        let said = stderr(&ends_with(&mut by(&limited, &command), 96));
        assert!(said.contains(what) && said.contains("ulimit -u"), "{said}");
    }
}

/// Beyond column 65,536 a formatter's width is too large; a megabyte is no line for a person either.
#[test]
fn a_mistake_in_a_very_long_line_is_quoted_around_its_place() {
    let place = Place::new();
    for (text, column) in [
        (format!("about = \"{}\"  y\n", "ä".repeat(70_000)), "70013"),
        (format!("about = \"x\" {} y\n", "\t".repeat(300_000)), "300014"),
        (format!("a{} = 1\n", "b".repeat(200_000)), "1:1:"),
    ] {
        place.file("long.toml", &text);
        let said = stderr(&ends_with(&mut place.flockwork(&["run", "long.toml"]), 2));
        assert!(said.contains("long.toml:1:") && said.contains(column), "{}", &said[..200]);
        assert!(said.lines().skip(1).all(|line| line.chars().count() < 200), "{} bytes", said.len());
    }
}

#[test]
fn every_known_key_is_told_once() {
    let place = Place::new();
    place.file(
        "keys.toml",
        "about = \"x\"\nkind = \"explore\"\n[subject]\nname = \"library\"\n[explore]\nprocesses = [[\"create c1\"]]\nzzz = 1\n",
    );
    let said = stderr(&ends_with(&mut place.flockwork(&["run", "keys.toml"]), 2));
    let known = said.split("known keys: ").nth(1).expect("the keys").lines().next().unwrap();
    let mut keys: Vec<&str> = known.split(", ").collect();
    let all = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), all, "{known}");
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
