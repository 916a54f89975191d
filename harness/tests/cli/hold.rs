//! `replay --hold` is there to be disturbed: whoever attaches a debugger, traces, stops or freezes the held processes, and
//! lets go of them, sees the replay go on as if nobody had come.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::explore::{lost_update, place, replay};
use crate::support::{Place, skip};

/// How often each disturbance is tried.
const TIMES: usize = 3;

/// What somebody does to the held processes before Enter is pressed; `false`: it is not possible here.
type Disturb = fn(&[i32]) -> bool;

fn stop_and_continue(pids: &[i32]) -> bool {
    for signal in [Signal::SIGSTOP, Signal::SIGCONT] {
        for pid in pids {
            kill(Pid::from_raw(*pid), signal).unwrap();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}

fn gdb(pids: &[i32]) -> bool {
    pids.iter().all(|pid| {
        let mut gdb = Command::new("gdb");
        gdb.args([
            "-nx",
            "-batch",
            "--readnever",
            "-p",
            &pid.to_string(),
            "-ex",
            "info registers rip",
            "-ex",
            "detach",
        ]);
        gdb.stdin(Stdio::null()).output().is_ok_and(|done| done.status.success())
    })
}

fn strace(pids: &[i32]) -> bool {
    let mut strace = Command::new("strace");
    for pid in pids {
        strace.args(["-p", &pid.to_string()]);
    }
    let strace = strace.args(["-o", "/dev/null"]).stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
    let Ok(mut strace) = strace else { return false };
    let mut said = BufReader::new(strace.stderr.take().unwrap()).lines();
    let attached = said
        .by_ref()
        .take(pids.len())
        .filter(|line| line.as_ref().is_ok_and(|line| line.contains("attached")));
    if attached.count() < pids.len() {
        let _ = strace.kill();
        let _ = strace.wait();
        return false;
    }
    kill(Pid::from_raw(strace.id().cast_signed()), Signal::SIGINT).unwrap();
    strace.wait().unwrap();
    true
}

/// A control group that freezes, of either version; removed at the end.
struct Group {
    path: PathBuf,
    /// Where its processes came from.
    home: PathBuf,
    /// File, words that freeze and thaw, and where and how it is told that all are frozen.
    freezer: [&'static str; 5],
}

impl Group {
    fn make() -> Option<Self> {
        const ONE: [&str; 5] = ["freezer.state", "FROZEN", "THAWED", "freezer.state", "FROZEN"];
        const TWO: [&str; 5] = ["cgroup.freeze", "1", "0", "cgroup.events", "frozen 1"];
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        for (base, hierarchy, freezer) in [
            ("/sys/fs/cgroup/freezer", ":freezer:", ONE),
            ("/sys/fs/cgroup", "0::", TWO),
            ("/sys/fs/cgroup/unified", "0::", TWO),
        ] {
            let home =
                own.lines().find_map(|line| Some(line.split_once(hierarchy)?.1.trim_start_matches('/')));
            let home = PathBuf::from(base).join(home.unwrap_or_default()).join("cgroup.procs");
            let path = PathBuf::from(base).join(format!("flockwork-test-{}", std::process::id()));
            let group = Self { path, home, freezer };
            if fs::create_dir(&group.path).is_ok() && group.path.join(freezer[0]).exists() {
                return Some(group);
            }
        }
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}

fn freeze(pids: &[i32]) -> bool {
    let Some(group) = Group::make() else { return false };
    let [file, frozen, thawed, told_in, told] = group.freezer;
    let moved = pids.iter().all(|pid| fs::write(group.path.join("cgroup.procs"), pid.to_string()).is_ok());
    if moved {
        fs::write(group.path.join(file), frozen).unwrap();
        let since = std::time::Instant::now();
        while !fs::read_to_string(group.path.join(told_in)).unwrap().contains(told) {
            assert!(since.elapsed().as_secs() < 60, "not frozen");
            std::thread::sleep(Duration::from_millis(5));
        }
        fs::write(group.path.join(file), thawed).unwrap();
    }
    for pid in pids {
        let _ = fs::write(&group.home, pid.to_string());
    }
    moved
}

/// Replays up to a held step, has the processes disturbed, and presses Enter. `None`: not possible here.
fn disturbed(place: &Place, finding: &str, disturb: Disturb) -> Option<(Option<i32>, String)> {
    let mut hold = replay(place, &[finding, "--hold", "12"]);
    let mut child = hold.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    while !told.contains("strace -p") {
        assert_ne!(out.read_line(&mut told).unwrap(), 0, "{told}");
    }
    let line = told.lines().find(|line| line.contains("strace -p")).unwrap();
    let pids = line.split("-p ").skip(1).map(|rest| rest.split(' ').next().unwrap().parse().unwrap());
    let possible = disturb(&pids.collect::<Vec<i32>>());
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    out.read_to_string(&mut told).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    let code = child.wait().unwrap().code();
    possible.then_some((code, told))
}

#[test]
fn a_held_replay_goes_on_whoever_looked_in() {
    let test = "a_held_replay_goes_on_whoever_looked_in";
    let Some(place) = place(test) else { return };
    let finding = lost_update(&place);
    let ways: [(&str, Disturb); 4] = [
        ("SIGSTOP and SIGCONT", stop_and_continue),
        ("gdb", gdb),
        ("strace", strace),
        ("a frozen control group", freeze),
    ];
    for (way, disturb) in ways {
        for time in 1..=TIMES {
            let Some((code, told)) = disturbed(&place, finding.to_str().unwrap(), disturb) else {
                skip(test, &format!("{way} is not possible here"));
                break;
            };
            assert_eq!(code, Some(0), "{way}, time {time} of {TIMES}: {told}");
            assert!(told.contains("reproduced: lost-update"), "{way}: {told}");
        }
    }
    assert!(place.remains().is_empty(), "{:?}", place.remains());
}
