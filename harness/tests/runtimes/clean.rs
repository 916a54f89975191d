//! Nothing stays behind: no process, no cgroup, no mount, no folder, whoever is killed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use flockwork_harness::process::Zygote;
use flockwork_harness::process::procfs::{self, Stat};
use flockwork_harness::runtimes::{Runtime, cgroup};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::grounds::leaking;
use super::{flockwork, is_usable, run_text, said, workspace};

const UNSUPPORTED: i32 = 96;
/// What a run ends with that found nothing and proved nothing, as one does that was interrupted.
const INCONCLUSIVE: i32 = 102;

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

/// A place for the folders of runs, with a scenario in it.
struct Site {
    folder: tempfile::TempDir,
    base: PathBuf,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let base = folder.path().join("base");
        fs::create_dir(&base).expect("writable");
        Self { folder, base }
    }

    /// A run below this place: of a scenario's text, or of a race where there is none.
    fn command(&self, text: &str, race: &[&str]) -> Command {
        let scenario = self.folder.path().join("tried.toml");
        fs::write(&scenario, text).expect("writable");
        let results = self.folder.path().join("results");
        let paths = [&scenario, &results, &self.base].map(|path| path.to_str().expect("UTF-8"));
        let own = ["--results-dir", paths[1], "--root", paths[2]];
        let words =
            if text.is_empty() { [&["race"][..], &own, race] } else { [&["run", paths[0]][..], &own, &[]] };
        flockwork(&words.concat())
    }

    /// Starts a run, and waits until it has so many grounds with a file of this name below their roots, and a container; gives back
    /// what the names of its folders begin with, whenever they are made, too.
    fn begin(&self, mut command: Command, (grounds, file): (usize, &str)) -> (Child, Vec<String>) {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let names = wait(|| {
            let names = folders(&self.base);
            let are_there =
                names.iter().filter(|name| self.base.join(name).join("root").join(file).exists()).count();
            (are_there >= grounds && !census(&self.base, &names).cgroups.is_empty()).then_some(names)
        });
        let owner = names[0].rsplit_once('-').expect("who made it, and a name").0.to_owned();
        assert!(names.iter().all(|name| name.starts_with(&owner)), "{names:?}");
        (child, vec![owner])
    }
}

/// Races that go on until they are stopped: under control, and free.
const CONTROLLED: &[&str] =
    &["--subject", "crun", "--budget", "600s", "--strategy", "random", "--", "state c1", "create c2"];
const FREE: &[&str] = &[
    "--subject",
    "crun",
    "--budget",
    "600s",
    "--free",
    "--executions",
    "1000000",
    "--setup",
    "create c1",
    "--",
    "state c1",
    "state c1",
];

/// The grounds that a race under control has once its pool is at work, and what each has: the first, and two more where there is a
/// processor for them.
fn pooled() -> (usize, &'static str) {
    let processors = std::thread::available_parallelism().expect("the kernel tells");
    (if processors.get() > 1 { 3 } else { 1 }, "control")
}

/// It ran to its end and found nothing. Whether commands met, so that this counts, is chance.
fn ran(output: &Output) {
    assert!(matches!(output.status.code(), Some(0 | INCONCLUSIVE)), "{}", said(output));
}

/// Killed alone, its warden clears up; killed with its warden and everything else, the next start does.
pub fn a_killed_harness_leaves_nothing_behind(_: &Zygote) {
    if !is_usable(Runtime::Runc) {
        return;
    }
    let long = TEXT.replace("rounds = 3", "rounds = 100000");
    let folder = tempfile::tempdir().expect("a folder");
    // While what a round left is watched, another is played in a ground of its own.
    let leaking = leaking(folder.path(), "0-9", 100_000);
    for (text, grounds) in [(&long, (1, "")), (&leaking, (2, "state"))] {
        for whole in [false, true] {
            leaves_nothing_behind_when_killed(text, &[], grounds, whole);
        }
    }
}

/// The same of races: under control, and free.
pub fn a_killed_race_leaves_nothing_behind(_: &Zygote) {
    if !is_usable(Runtime::Crun) {
        return;
    }
    for (race, grounds, whole) in
        [(CONTROLLED, pooled(), false), (CONTROLLED, pooled(), true), (FREE, (1, ""), false)]
    {
        leaves_nothing_behind_when_killed("", race, grounds, whole);
    }
}

fn leaves_nothing_behind_when_killed(text: &str, race: &[&str], grounds: (usize, &str), whole: bool) {
    let site = Site::new();
    let (mut harness, names) = site.begin(site.command(text, race), grounds);
    let mut victims = vec![harness.id()];
    let mut at = 0;
    while let Some(&pid) = victims.get(at) {
        victims.extend(procfs::children(pid));
        at += 1;
    }
    // The warden first would have time to clear up after the harness: its children are stopped, so that nobody has.
    let last = if whole { victims.len() } else { 1 };
    for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
        for &pid in &victims[..last] {
            _ = kill(Pid::from_raw(pid.cast_signed()), signal);
        }
    }
    harness.wait().expect("our child");
    if whole {
        let left = census(&site.base, &names);
        assert!(!left.is_empty(), "nobody was there to clear up");
        // The next start, of anything that runs, finds it by the register.
        let next = ["--subject", "crun", "--free", "--executions", "1", "--", "state c1", "state c1"];
        let output = site.command(&text.replace("rounds = 100000", "rounds = 1"), &next).output();
        ran(&output.expect("it runs"));
    }
    wait(|| census(&site.base, &names).is_empty().then_some(()));
}

/// Two at once share no root, no id and no cgroup: neither finds anything of the other, nor clears it away.
pub fn two_harnesses_at_once_do_not_meet(_: &Zygote) {
    if !is_usable(Runtime::Crun) {
        return;
    }
    for (race, grounds) in [(FREE, (1, "")), (CONTROLLED, pooled())] {
        does_not_meet_others(race, grounds);
    }
}

fn does_not_meet_others(race: &[&str], grounds: (usize, &str)) {
    let site = Site::new();
    let (mut first, names) = site.begin(site.command("", race), grounds);
    let text = TEXT.replace("\"runc\"", "\"crun\"").replace("rounds = 3", "rounds = 1");
    let free = [
        "--subject",
        "crun",
        "--free",
        "--executions",
        "1",
        "--setup",
        "create c1",
        "--",
        "state c1",
        "start c1",
    ];
    for output in [site.command(&text, &[]).output(), site.command("", &free).output()] {
        ran(&output.expect("it runs"));
    }
    assert_eq!(first.try_wait().expect("our child"), None, "the first ended though nobody stopped it");
    // What it has is still there, and it goes on.
    wait(|| (!census(&site.base, &names).cgroups.is_empty()).then_some(()));
    let left: Vec<_> =
        folders(&site.base).into_iter().filter(|folder| !folder.starts_with(&names[0])).collect();
    assert!(left.is_empty(), "the others left something: {left:?}");
    kill(Pid::from_raw(first.id().cast_signed()), Signal::SIGINT).expect("it is there");
    let ended = first.wait().expect("our child");
    assert_eq!(ended.code(), Some(INCONCLUSIVE), "it found something, or could not go on");
    assert!(census(&site.base, &names).is_empty(), "{:?}", census(&site.base, &names));
}

/// A machine that is full makes commands fail: that is told as what it is, and is no fault of the runtime's.
pub fn a_full_disk_is_no_fault_of_the_runtime(_: &Zygote) {
    if !is_usable(Runtime::Crun) {
        return;
    }
    let ids: Vec<String> = (1..=8).map(|number| format!("\"create c{number}\"")).collect();
    let text = format!(
        "kind = \"stress\"\n[subject]\nname = \"oci\"\nruntime = \"crun\"\n[rounds]\ntogether = [{}]\n\
         budget = {{ rounds = 2, time = \"60s\" }}\n",
        ids.join(", ")
    );
    let race =
        ["--subject", "crun", "--free", "--executions", "1", "--", "create c1", "create c2", "create c3"];
    let cases: [(&str, &str, &[&str]); 4] = [
        // No room for the root filesystem, for the first container, and for all of a round's.
        ("size=1m", &text, &[]),
        ("nr_inodes=20", &text, &[]),
        ("nr_inodes=60", &text, &[]),
        ("nr_inodes=20", "", &race),
    ];
    for (limit, text, race) in cases {
        let site = Site::new();
        let command = site.command(text, race);
        let script = "mount -t tmpfs -o \"$1\" none \"$2\" && shift && base=$1 && shift || exit 77\n\
                      \"$@\"; code=$?; echo \"left: $(ls -A \"$base\")\"; exit $code";
        let mut inside = Command::new("unshare");
        inside.args(["--mount", "sh", "-c", script, "sh", limit]).arg(&site.base);
        inside.arg(command.get_program()).args(command.get_args()).current_dir(workspace());
        let output = inside.output().expect("util-linux");
        let told = said(&output);
        assert_eq!(output.status.code(), Some(UNSUPPORTED), "{limit}: {told}");
        assert!(told.to_lowercase().contains("no space left on device"), "{limit}: {told}");
        assert!(!told.contains("unrecoverable"), "{limit}: {told}");
        assert!(told.lines().any(|line| line == "left: "), "{limit}: {told}");
        let base = site.base.to_str().expect("UTF-8");
        let left = census(&site.base, &[base.to_owned()]);
        assert!(left.is_empty(), "{limit}: {left:?}");
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

/// crun makes a file outside its root, on which it binds its own program, and one that is killed just then leaves it.
pub fn a_killed_create_leaves_no_file_elsewhere(_: &Zygote) {
    if !is_usable(Runtime::Crun) {
        return;
    }
    let copies = || -> BTreeSet<PathBuf> {
        let entries = fs::read_dir("/tmp").expect("it is there").flatten();
        let paths = entries.map(|entry| entry.path());
        paths.filter(|path| path.display().to_string().starts_with("/tmp/crun.")).collect()
    };
    let before = copies();
    let text = "kind = \"stress\"\n[subject]\nname = \"oci\"\nruntime = \"crun\"\n[rounds]\ntogether = [\"create c1\"]\n\
         kill = 1.0\nkill_within = \"6ms\"\nbudget = { rounds = 40, time = \"600s\" }\n[expect]\nalso = [\"duplicate-create\", \
         \"not-linearizable\", \"collateral\", \"leftover\", \"unrecoverable\", \"status-mismatch\"]\n";
    let output = run_text(text);
    assert!(said(&output).contains("40 rounds, "), "{}", said(&output));
    // What others make with a crun of their own is gone in an instant.
    let waited = Instant::now();
    let left = || copies().difference(&before).cloned().collect::<Vec<_>>();
    while !left().is_empty() && waited.elapsed() < Duration::from_secs(2) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(left(), Vec::<PathBuf>::new());
}
