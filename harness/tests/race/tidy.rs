//! Whatever is killed: the user's folder stays as it was, and nothing is left behind.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use flockwork_harness::process::procfs;

use super::workshop::{SOUND, Workshop, contents};

#[test]
fn the_users_folder_is_never_touched() {
    let workshop = Workshop::new(SOUND);
    let before = contents(&workshop.state());
    workshop
        .race(&["--state", "state", "--free", "--executions", "3", "--", "./tool", "./tool"])
        .output()
        .unwrap();
    assert_eq!(contents(&workshop.state()), before);
    assert!(workshop.place.remains().is_empty());
}

#[test]
fn after_a_sigkill_nothing_is_left_and_the_next_start_clears_the_copies() {
    // It says where it is, outside of the state, and stays there.
    let workshop =
        Workshop::new("#!/bin/sh\necho x >>state/count\necho $$ >>../pids\n[ -e ../quick ] || sleep 600\n");
    let inner = workshop.path().join("inner");
    fs::create_dir(&inner).unwrap();
    fs::rename(workshop.path().join("tool"), inner.join("tool")).unwrap();
    fs::rename(workshop.state(), inner.join("state")).unwrap();
    let before = contents(&inner.join("state"));
    let mut command = workshop
        .place
        .flockwork(&["race", "--root", "../root", "--state", "state", "--", "./tool", "./tool"]);
    let mut race = command.current_dir(&inner).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pids = workshop.path().join("pids");
    let pid: u32 = until(|| fs::read_to_string(&pids).ok()?.lines().next()?.parse().ok());
    race.kill().unwrap();
    race.wait().unwrap();
    until(|| procfs::Stat::of(pid).is_none_or(|stat| stat.is_dead()).then_some(()));
    assert_eq!(contents(&inner.join("state")), before);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&*workshop.path().to_string_lossy()));
    // What is left of the copies goes with the next start.
    fs::write(workshop.path().join("quick"), "").unwrap();
    let words = [
        "race",
        "--root",
        "../root",
        "--free",
        "--executions",
        "1",
        "--state",
        "state",
        "--",
        "./tool",
        "./tool",
    ];
    // Whether they met is a matter of luck.
    let code = workshop.flockwork(&words).current_dir(&inner).output().unwrap().status.code();
    assert!([Some(0), Some(102)].contains(&code), "{code:?}");
    assert!(workshop.place.remains().is_empty());
    assert_eq!(contents(&inner.join("state")), before);
}

fn until<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn in_place_the_folder_is_put_back_even_after_a_sigkill() {
    let workshop = Workshop::new("#!/bin/sh\necho x >>state/count\n: >started\nsleep 600\n");
    let before = contents(&workshop.state());
    let words = ["--state", "state", "--in-place", "--free", "--executions", "2", "--", "./tool", "./tool"];
    // Whatever is started next puts it back.
    for next in ["list", "config"] {
        let mut killed = workshop.race(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until(|| workshop.path().join("started").exists().then_some(()));
        killed.kill().unwrap();
        killed.wait().unwrap();
        assert_ne!(contents(&workshop.state()), before, "it is worked on in place");
        fs::remove_file(workshop.path().join("started")).unwrap();
        let told = super::support::stderr(&workshop.flockwork(&[next]).output().unwrap());
        assert!(told.contains("restored") && told.contains("/state to its state before"), "{next}: {told}");
        assert_eq!(contents(&workshop.state()), before);
    }
    let kept = fs::read_dir(workshop.path().join("home/flockwork/in-place")).unwrap();
    assert_eq!(kept.count(), 0);
}
