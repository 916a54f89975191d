//! Nothing stays behind: no process, no cgroup, no mount, no folder, whoever is killed.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use flockwork_harness::process::Zygote;
use flockwork_harness::process::procfs::{self, Stat};
use flockwork_harness::runtimes::{Runtime, cgroup};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{flockwork, is_usable, said};

/// What a run has on the machine whose folders lie below a base.
#[derive(Debug, PartialEq, Eq)]
struct Census {
    processes: Vec<String>,
    cgroups: Vec<String>,
    mounts: Vec<String>,
    folders: Vec<String>,
}

impl Census {
    fn is_empty(&self) -> bool {
        self.processes.is_empty()
            && self.cgroups.is_empty()
            && self.mounts.is_empty()
            && self.folders.is_empty()
    }
}

/// Counts by the names of the folders that were ever seen below the base.
fn census(base: &Path, names: &[String]) -> Census {
    let is_ours = |text: &str| names.iter().any(|name| text.contains(name.as_str()));
    let lives = |pid: u32| Stat::of(pid).is_some_and(|stat| !stat.is_dead());
    let own = std::process::id();
    let processes = procfs::pids().into_iter().filter(|pid| *pid != own && lives(*pid)).filter_map(|pid| {
        let line = procfs::command_line(pid).unwrap_or_default().join(" ");
        let groups = procfs::cgroups(pid).unwrap_or_default();
        (is_ours(&line) || is_ours(&groups)).then(|| format!("{pid} {line}"))
    });
    let cgroups = cgroup::hierarchies().into_iter().flat_map(|hierarchy| {
        let entries = fs::read_dir(hierarchy).into_iter().flatten().flatten();
        entries.map(|entry| entry.path().display().to_string()).collect::<Vec<_>>()
    });
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").expect("procfs");
    Census {
        processes: processes.collect(),
        cgroups: cgroups.filter(|path| is_ours(path)).collect(),
        mounts: mountinfo.lines().filter(|line| is_ours(line)).map(str::to_owned).collect(),
        folders: folders(base),
    }
}

fn folders(base: &Path) -> Vec<String> {
    let entries = fs::read_dir(base).expect("the base").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

const TEXT: &str = "kind = \"stress\"\n[subject]\nname = \"oci\"\nruntime = \"runc\"\n[rounds]\n\
                    setup = [\"create c1\", \"start c1\"]\ntogether = [\"2 pause c1\", \"create c2\"]\n\
                    budget = { rounds = 3, time = \"60s\" }\n[expect]\n\
                    also = [\"not-linearizable\", \"collateral\", \"leftover\", \"unrecoverable\"]\n";

pub fn a_run_leaves_nothing_behind(_: &Zygote) {
    if !is_usable(Runtime::Runc) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let base = folder.path().join("base");
    fs::create_dir(&base).expect("writable");
    let scenario = folder.path().join("tried.toml");
    fs::write(&scenario, TEXT).expect("writable");
    let results = folder.path().join("results");
    let paths = [&scenario, &results, &base].map(|path| path.to_str().expect("UTF-8"));
    let output = flockwork(&["run", paths[0], "--results-dir", paths[1], "--root", paths[2]])
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("3 rounds"), "{}", said(&output));
    let left = census(&base, &["flockwork-no-such".to_owned()]);
    assert!(left.folders.is_empty(), "{left:?}");
}

/// Killed alone, its warden clears up; killed with its warden and everything else, the next start does.
pub fn a_killed_harness_leaves_nothing_behind(_: &Zygote) {
    if !is_usable(Runtime::Runc) {
        return;
    }
    for whole in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let base = folder.path().join("base");
        fs::create_dir(&base).expect("writable");
        let scenario = folder.path().join("tried.toml");
        fs::write(&scenario, TEXT.replace("rounds = 3", "rounds = 100000")).expect("writable");
        let results = folder.path().join("results");
        let paths = [&scenario, &results, &base].map(|path| path.to_str().expect("UTF-8"));
        let arguments = ["run", paths[0], "--results-dir", paths[1], "--root", paths[2]];
        let mut harness =
            flockwork(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        // Until there is a container.
        let names = wait(|| {
            let names = folders(&base);
            (!names.is_empty() && !census(&base, &names).cgroups.is_empty()).then_some(names)
        });
        let mut victims = vec![harness.id()];
        let mut at = 0;
        while let Some(&pid) = victims.get(at) {
            victims.extend(procfs::children(pid));
            at += 1;
        }
        // The warden first would have time to clear up after the harness: its children are stopped, so that nobody has.
        let last = if whole { victims.len() } else { 1 };
        for &pid in &victims[..last] {
            _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGSTOP);
        }
        for &pid in &victims[..last] {
            _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
        }
        harness.wait().expect("our child");
        if whole {
            let left = census(&base, &names);
            assert!(!left.is_empty(), "nobody was there to clear up");
            // The next start, of anything that runs, finds it by the register.
            let next = fs::write(&scenario, TEXT.replace("rounds = 3", "rounds = 1"));
            next.expect("writable");
            let output = flockwork(&arguments).output().expect("it runs");
            assert!(output.status.success(), "{}", said(&output));
        }
        wait(|| census(&base, &names).is_empty().then_some(()));
    }
}

fn wait<T>(mut seen: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = seen() {
            return seen;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}
