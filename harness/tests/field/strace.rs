//! Holding a command after a call that it makes, by strace: it delivers SIGSTOP on the calls that are watched, and the
//! command goes on by SIGCONT. Nothing here depends on how long anything takes.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Read;
use std::os::unix::fs::DirEntryExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// How long we wait for what must come. No verdict rests on it but the failure of the test.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a command answered: its exit code and what it printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    code: Option<i32>,
    stdout: String,
}

impl Answer {
    /// Runs a command to its end.
    pub fn of(place: &Path, command: &str) -> Self {
        let output = shell(Command::new("sh"), place, command).output().expect("sh runs");
        Self { code: output.status.code(), stdout: String::from_utf8_lossy(&output.stdout).into_owned() }
    }
}

fn shell(mut start: Command, place: &Path, command: &str) -> Command {
    start.args(["-c", command]).current_dir(place).env("TOOL_DIR", "state").stdin(Stdio::null());
    start
}

/// A call after which to hold, or to kill.
#[derive(Clone, Debug)]
pub struct Stop {
    /// The call by a word for all its variants.
    call: String,
    /// The end of the path that it touches.
    path: Option<String>,
    /// Which of them, counted from 1.
    nth: usize,
    kills: bool,
}

impl Stop {
    /// From the words of a step: the call, then a path where it has one, then which of them.
    pub fn read(words: &[&str], kills: bool) -> Self {
        let nth = words.get(2).map_or(1, |nth| nth.parse().expect("a number"));
        Self { call: words[0].to_owned(), path: words.get(1).map(|&path| path.to_owned()), nth, kills }
    }

    /// The system calls that the word stands for.
    fn calls(&self) -> &'static [&'static str] {
        match self.call.as_str() {
            "kill" => &["kill"],
            "lock" => &["flock", "fcntl"],
            "mkdir" => &["mkdir", "mkdirat"],
            "open" => &["open", "openat"],
            "pread" => &["pread64"],
            "rename" => &["rename", "renameat", "renameat2"],
            "rmdir" => &["rmdir"],
            "seek" => &["lseek"],
            "stat" => &["stat", "newfstatat", "statx"],
            "write" => &["write", "pwrite64"],
            other => panic!("no call is known as {other:?}"),
        }
    }

    /// Whether a line of the trace is such a call.
    fn is(&self, line: &str) -> bool {
        let call = self.calls().iter().any(|call| line.starts_with(&format!("{call}(")));
        let path = self.path.as_ref().is_none_or(|path| {
            ["\"", "/"].iter().any(|before| {
                ["\"", ">"].iter().any(|after| line.contains(&format!("{before}{path}{after}")))
            })
        });
        call && path
    }
}

/// A command under strace, held after each of its watched calls until it may go on.
pub struct Held {
    strace: Child,
    folder: tempfile::TempDir,
    state: PathBuf,
    /// The stops of the trace that were dealt with.
    dealt: usize,
    /// The task that stopped, until it may go on.
    stopped: Option<Pid>,
}

impl Held {
    /// Starts a command that stops at each of the calls.
    pub fn start(place: &Path, command: &str, stops: &[Stop]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut calls: Vec<String> =
            stops.iter().flat_map(Stop::calls).map(|call| format!("?{call}")).collect();
        calls.push("?exit_group".into());
        let calls = calls.join(",");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-y", "-s", "4096", "-o"]).arg(folder.path().join("trace"));
        strace.args(["-e", &format!("trace={calls}")]);
        if !stops.is_empty() {
            strace.args([
                "-e",
                &format!("inject={}:signal=SIGSTOP:when=1+", calls.replace(",?exit_group", "")),
            ]);
        }
        strace.arg("sh");
        let mut start = shell(strace, place, command);
        start.process_group(0);
        let strace = start.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("strace starts");
        Self { strace, folder, state: place.join("state"), dealt: 0, stopped: None }
    }

    /// Lets it go on.
    pub fn go(&mut self) {
        if let Some(pid) = self.stopped.take() {
            let _ = kill(pid, Signal::SIGCONT);
        }
    }

    /// Waits until it has made the call, and holds it there.
    pub fn wait_for(&mut self, stop: &Stop) {
        let begun = Instant::now();
        self.go();
        loop {
            assert!(begun.elapsed() < PATIENCE, "it never came to {stop:?}:\n{}", self.trace());
            if let Some((pid, line)) = self.next_stop() {
                self.stopped = Some(pid);
                if stop.is(&line) && self.count(stop) >= stop.nth {
                    if stop.kills {
                        killpg(self.group(), Signal::SIGKILL).expect("it runs");
                        self.strace.wait().expect("it is ours");
                    }
                    return;
                }
                self.go();
            } else {
                let ended = self.strace.try_wait().expect("it is ours");
                assert!(ended.is_none(), "it ended before {stop:?}:\n{}", self.trace());
                sleep(Duration::from_millis(1));
            }
        }
    }

    /// Whether it has ended; until then it goes on from wherever it stops.
    pub fn has_ended(&mut self) -> bool {
        if let Some((pid, _)) = self.next_stop() {
            self.stopped = Some(pid);
            self.go();
        }
        self.strace.try_wait().expect("it is ours").is_some()
    }

    /// What it answered; none where it has not.
    pub fn answer(&mut self) -> Option<Answer> {
        let status = self.strace.try_wait().expect("it is ours")?;
        let mut stdout = String::new();
        self.strace.stdout.take().expect("piped").read_to_string(&mut stdout).expect("UTF-8");
        Some(Answer { code: status.code(), stdout })
    }

    fn group(&self) -> Pid {
        Pid::from_raw(self.strace.id().cast_signed())
    }

    fn trace(&self) -> String {
        fs::read_to_string(self.trace_path()).unwrap_or_default()
    }

    fn trace_path(&self) -> PathBuf {
        self.folder.path().join("trace")
    }

    /// The next task that stopped, and the call after which it did.
    fn next_stop(&mut self) -> Option<(Pid, String)> {
        let trace = self.trace();
        let mut last: HashMap<&str, &str> = HashMap::new();
        let mut stopping: HashSet<&str> = HashSet::new();
        let mut stops = 0;
        for line in trace.lines() {
            let Some((pid, rest)) = line.split_once(' ') else { continue };
            let rest = rest.trim_start();
            if rest.starts_with("--- SIGSTOP {") {
                stopping.insert(pid);
            } else if rest.starts_with("--- stopped by SIGSTOP") {
                // Each thread tells its stop: one is enough.
                if stopping.remove(pid) {
                    stops += 1;
                    if stops > self.dealt {
                        self.dealt = stops;
                        let pid = Pid::from_raw(pid.parse().expect("a pid"));
                        return Some((
                            pid,
                            last.get(pid.to_string().as_str()).copied().unwrap_or_default().to_owned(),
                        ));
                    }
                }
            } else if !rest.starts_with("---") && !rest.starts_with("+++") && !rest.starts_with("<...") {
                last.insert(pid, rest);
            }
        }
        None
    }

    /// How many calls so far were such.
    fn count(&self, stop: &Stop) -> usize {
        let trace = self.trace();
        let calls = trace.lines().filter_map(|line| line.split_once(' ')).map(|(_, rest)| rest.trim_start());
        calls.filter(|rest| stop.is(rest)).count()
    }

    /// Whether two wait for locks on one file of the state, as the kernel tells: then nobody will ever go on.
    fn is_deadlocked(&self) -> bool {
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        let waits = locks.lines().filter(|line| line.contains("-> OFDLCK"));
        let inodes: Vec<&str> =
            waits.filter_map(|line| line.split_whitespace().nth(6)?.rsplit(':').next()).collect();
        let files = fs::read_dir(&self.state).expect("readable");
        files
            .filter_map(|file| Some(file.ok()?.ino().to_string()))
            .any(|file| inodes.iter().filter(|inode| **inode == file).count() > 1)
    }
}

/// Lets all of them go on to their ends, or until they wait for each other for ever.
pub fn end(processes: &mut [&mut Held]) {
    let begun = Instant::now();
    for process in &mut *processes {
        process.go();
    }
    loop {
        // Each is asked every time: asking lets it go on.
        let running = processes.iter_mut().filter_map(|process| (!process.has_ended()).then_some(())).count();
        if running == 0 || processes.iter().any(|process| process.is_deadlocked()) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "it never ended:\n{}", processes[0].trace());
        sleep(Duration::from_millis(1));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = killpg(self.group(), Signal::SIGKILL);
        let _ = self.strace.wait();
    }
}
