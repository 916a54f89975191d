//! What it costs to hold real programs: schedules a second of pairs of commands, over the same pairs run plain, one after
//! the other on the same processor; and how many of a thousand executions of one schedule repeat step by step.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flockwork_harness::explore::machine::{Chooser, End, Pick, Point};
use flockwork_harness::explore::step::Event;
use flockwork_harness::process::{Marker, Zygote};
use flockwork_harness::tracee::{CommandLine, ForkServer, Machine, Options, Settings};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::row;

const ROUNDS: usize = 7;
/// How long each part of a round measures.
const PART: Duration = Duration::from_millis(400);

/// A pair of commands: one program twice.
struct Pair {
    name: &'static str,
    program: PathBuf,
    words: Vec<String>,
    repeats: usize,
}

/// Ten steps, the program's end among them: a lock, a counter read and written, a file replaced.
const C: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>
int main(void) {
  int lock = open("lock", O_RDWR);
  if (flock(lock, LOCK_EX) != 0) return 1;
  int number = open("n", O_RDWR);
  char digit;
  if (pread(number, &digit, 1, 0) != 1) return 2;
  digit = '0' + (digit - '0' + 1) % 10;
  if (pwrite(number, &digit, 1, 0) != 1) return 3;
  int other = open("t", O_RDWR | O_CREAT | O_TRUNC, 0644);
  if (write(other, "x", 1) != 1) return 4;
  if (rename("t", "m") != 0) return 5;
  close(lock);
  return 0;
}
"#;

const SCRIPT: &str = "exec 9>>lock; flock 9; read n < n; echo $((n + 1)) > t; mv t n";

const PYTHON: &str = "import fcntl,os
l=open('lock','a'); fcntl.flock(l,fcntl.LOCK_EX)
n=int(open('n').read() or 0)
with open('t','w') as f: f.write(str(n+1))
os.rename('t','n')";

const GO: &str = r#"package main
import ("os";"strconv";"strings";"sync";"syscall")
func main() {
	var w sync.WaitGroup
	for i := 0; i < 3; i++ { w.Add(1); go func() { s := 0; for j := 0; j < 1000; j++ { s += j }; w.Done() }() }
	w.Wait()
	l, _ := os.OpenFile("lock", os.O_RDWR, 0); syscall.Flock(int(l.Fd()), syscall.LOCK_EX)
	b, _ := os.ReadFile("n"); n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	os.WriteFile("t", []byte(strconv.Itoa(n+1)), 0644)
	os.Rename("t", "n")
	l.Close()
}
"#;

/// Cargo names folders with libraries to what it runs, and a loader that looks through them all makes a hundred calls that no
/// user's program makes: nobody is told of them here.
const NO_LIBRARIES_OF_CARGO: (&str, &str) = ("LD_LIBRARY_PATH", "");

/// Every pair whose programs this machine has.
fn pairs(folder: &Path) -> Vec<Pair> {
    let source = folder.join("steps.c");
    fs::write(&source, C).expect("written");
    let compile = |compiler: &str, name: &str, more: &[&str]| {
        let path = folder.join(name);
        let mut command = Command::new(compiler);
        command.arg("-O1").args(more).arg("-o").arg(&path).arg(&source);
        command.status().is_ok_and(|done| done.success()).then_some(path)
    };
    let installed = |path: &str| Path::new(path).is_file().then(|| PathBuf::from(path));
    let go = || {
        let source = folder.join("main.go");
        fs::write(&source, GO).ok()?;
        let path = folder.join("go-program");
        let mut command = Command::new("go");
        command.args(["build", "-o"]).arg(&path).arg(&source).env("GOCACHE", folder.join("cache"));
        command.stderr(Stdio::null()).status().is_ok_and(|done| done.success()).then_some(path)
    };
    let candidates = [
        ("static C (musl)", compile("musl-gcc", "musl", &["-static"]), Vec::new(), 1000),
        ("static C (glibc)", compile("gcc", "static", &["-static"]), Vec::new(), 1000),
        ("dynamic C", compile("gcc", "dynamic", &[]), Vec::new(), 1000),
        ("dash, flock(1), mv", installed("/usr/bin/flock").and(installed("/bin/dash")), vec!["-c".into(), SCRIPT.into()], 1000),
        ("Python -S -I", installed("/usr/bin/python3"), ["-S", "-I", "-c", PYTHON].map(str::to_owned).to_vec(), 1000),
        ("Go, four threads", go(), Vec::new(), 1000),
        ("Node", installed("/usr/bin/node"), vec!["-e".into(), "const f=require('fs');const n=+f.readFileSync('n');f.writeFileSync('t',String(n+1));f.renameSync('t','n')".into()], 20),
        ("Perl", installed("/usr/bin/perl"), vec!["-e".into(), "open L,'>>lock';flock L,2;open F,'<n';$n=<F>;open T,'>t';print T $n+1;close T;rename 't','n'".into()], 200),
    ];
    let found = candidates.into_iter().filter_map(|(name, program, words, repeats)| {
        if program.is_none() {
            println!("{name}: skipped, as it is not installed");
        }
        Some(Pair { name, program: program?, words, repeats })
    });
    found.collect()
}

fn put_back(state: &Path) {
    for name in ["t", "m"] {
        _ = fs::remove_file(state.join(name));
    }
    fs::write(state.join("n"), "0\n").expect("written");
    fs::write(state.join("lock"), "").expect("written");
}

/// Takes the turns of a fixed order that mixes both.
#[derive(Default)]
pub struct Mixed(usize);

impl Chooser for Mixed {
    fn choose(&mut self, point: &Point<'_>) -> Pick {
        self.0 += 1;
        let wanted = (self.0 * 7 / 3) % 2;
        let there = Some(wanted).filter(|process| point.enabled.has(*process));
        there.or(point.enabled.lowest()).map_or(Pick::Abandon, Pick::Step)
    }

    fn happened(&mut self, _: &Event) {}
}

fn processor() -> usize {
    let set = sched_getaffinity(Pid::from_raw(0)).expect("an affinity");
    (0..CpuSet::count()).find(|&one| set.is_set(one).unwrap_or(false)).expect("a processor")
}

fn machine(zygote: &Zygote, pair: &Pair, state: &Path, scratch: &Path, fork_server: ForkServer) -> Machine {
    let name = pair.program.file_name().expect("a name").to_string_lossy().into_owned();
    let line = CommandLine {
        program: pair.program.clone(),
        words: std::iter::once(name).chain(pair.words.iter().cloned()).collect(),
        environment: Vec::new(),
        folder: state.to_owned(),
        stdin: None,
    };
    let settings = Settings {
        network: flockwork_harness::process::spawner::Network::Shared,
        marker: Marker::next().to_string(),
        environment: vec![(NO_LIBRARIES_OF_CARGO.0.to_owned(), NO_LIBRARIES_OF_CARGO.1.to_owned())],
        binds: Vec::new(),
        processes: vec![vec![line.clone()], vec![line]],
        folders: vec![state.to_owned()],
        scratch: scratch.to_owned(),
        processor: Some(processor()),
        options: Options { fork_server, ..Options::default() },
    };
    Machine::open(zygote, settings).expect("a machine")
}

/// Runs both at once on one processor, and waits for both.
fn plain(pair: &Pair, state: &Path) {
    let start = || {
        let mut command = Command::new(&pair.program);
        command.args(&pair.words).current_dir(state).stdin(Stdio::null());
        command.env(NO_LIBRARIES_OF_CARGO.0, NO_LIBRARIES_OF_CARGO.1);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started")
    };
    for mut child in [start(), start()] {
        child.wait().expect("ended");
    }
}

fn here(processor: usize) -> CpuSet {
    let before = sched_getaffinity(Pid::from_raw(0)).expect("an affinity");
    let mut set = CpuSet::new();
    set.set(processor).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set)).expect("bound");
    before
}

/// Runs for a while, and tells how often in a second.
fn rate(part: Duration, mut once: impl FnMut()) -> f64 {
    let begun = Instant::now();
    let mut count = 0_u32;
    while begun.elapsed() < part || count < 4 {
        once();
        count += 1;
    }
    f64::from(count) / begun.elapsed().as_secs_f64()
}

/// How long a part of a round measures, how many rounds there are, and how many of the repeats are run: the first for a
/// table that is published, the second for a look.
#[derive(Clone, Copy)]
struct Size {
    part: Duration,
    rounds: usize,
    repeats_max: usize,
}

impl Size {
    fn of_environment() -> Self {
        match std::env::var_os("FLOCKWORK_QUICK") {
            None => Self { part: PART, rounds: ROUNDS, repeats_max: usize::MAX },
            Some(_) => Self { part: PART / 4, rounds: 3, repeats_max: 50 },
        }
    }
}

const HOW: [(&str, ForkServer); 2] = [("off", ForkServer::Off), ("auto", ForkServer::Auto)];

/// Runs one pair again and again, started and then as clones or one of these alone, and tells what an execution took of the
/// controller: its own time, and how many stops that was for. Times of processors scatter less on a busy machine than what the
/// clock says.
pub fn profile(zygote: &mut Zygote, name: &str, executions: u32, how: Option<&str>) {
    let built = tempfile::tempdir().expect("a folder");
    let before = here(processor());
    for pair in pairs(built.path()).iter().filter(|pair| pair.name.contains(name)) {
        let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
        let [state, scratch] = ["state", "scratch"].map(|name| folder.path().join(name));
        for path in [&state, &scratch] {
            fs::create_dir(path).expect("made");
        }
        for (_, how) in HOW.into_iter().filter(|(name, _)| how.is_none_or(|how| how == *name)) {
            let mut machine = machine(zygote, pair, &state, &scratch, how);
            put_back(&state);
            machine.run(&[], &mut Mixed(0), &mut ()).expect("an execution");
            let (begun, clock) = (own_us(), Instant::now());
            for _ in 0..executions {
                put_back(&state);
                machine.run(&[], &mut Mixed(0), &mut ()).expect("an execution");
            }
            let [user, system] = own_us();
            let each = |us: f64| us / f64::from(executions);
            println!(
                "{} {how:?}: {:.1} us user and {:.1} us system of the controller, {:.1} us by the clock, {} stops",
                pair.name,
                each(user - begun[0]),
                each(system - begun[1]),
                each(clock.elapsed().as_secs_f64() * 1e6),
                machine.stops(),
            );
        }
    }
    sched_setaffinity(Pid::from_raw(0), &before).expect("unbound");
}

/// What this process has taken of processors so far, in microseconds: by itself, and by the kernel for it.
fn own_us() -> [f64; 2] {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).expect("told");
    [usage.user_time(), usage.system_time()].map(|time| time.tv_sec() as f64 * 1e6 + time.tv_usec() as f64)
}

/// The table: pairs that are started and held, pairs that are clones and held, and pairs that run plain, side by side.
pub fn programs(zygote: &mut Zygote) {
    let built = tempfile::tempdir().expect("a folder");
    let size = Size::of_environment();
    let before = here(processor());
    for pair in pairs(built.path()) {
        measure(zygote, &pair, size);
    }
    sched_setaffinity(Pid::from_raw(0), &before).expect("unbound");
}

fn measure(zygote: &Zygote, pair: &Pair, size: Size) {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let [state, scratch, other] = ["state", "scratch", "other"].map(|name| folder.path().join(name));
    for path in [&state, &scratch, &other] {
        fs::create_dir(path).expect("made");
    }
    let mut started = machine(zygote, pair, &state, &scratch, ForkServer::Off);
    let mut by_clone = machine(zygote, pair, &state, &other, ForkServer::Auto);
    let [mut rates, mut clone_rates, mut plain_rates, mut ratios, mut clone_ratios] =
        [const { Vec::new() }; 5];
    let mut steps = 0;
    let mut execute = |machine: &mut Machine| {
        put_back(&state);
        steps = machine.run(&[], &mut Mixed(0), &mut ()).expect("an execution").events.len();
    };
    for _ in 0..size.rounds {
        let ours = rate(size.part, || execute(&mut started));
        let clones = rate(size.part, || execute(&mut by_clone));
        let theirs = rate(size.part, || {
            put_back(&state);
            plain(pair, &state);
        });
        ratios.push(ours / theirs);
        clone_ratios.push(clones / theirs);
        rates.push(ours);
        clone_rates.push(clones);
        plain_rates.push(theirs);
    }
    let heard = started.stops();
    let name = pair.name;
    row(&format!("{name}: schedules/s ({steps} steps, {heard} stops)"), rates);
    row(&format!("{name}: plain pairs/s, same processor"), plain_rates);
    row(&format!("{name}: schedules over plain pairs"), ratios);
    match &by_clone.cloned().refused {
        None => {
            row(&format!("{name}: schedules/s, fork server"), clone_rates);
            row(&format!("{name}: the same over plain pairs"), clone_ratios);
        }
        Some(why) => println!("{name}: no fork server: {why}"),
    }
    let repeats = pair.repeats.min(size.repeats_max);
    repeat(&format!("{name}: repeats"), repeats, &mut started, &state);
    if by_clone.cloned().refused.is_none() {
        repeat(&format!("{name}: repeats, fork server"), repeats, &mut by_clone, &state);
    }
}

/// How many of many executions of one schedule took the same steps.
fn repeat(what: &str, repeats: usize, machine: &mut Machine, state: &Path) {
    let mut first: Option<Vec<String>> = None;
    let mut alike = 0;
    for _ in 0..repeats {
        put_back(state);
        let execution = machine.run(&[], &mut Mixed(0), &mut ()).expect("an execution");
        assert_eq!(execution.end, End::Completed);
        let steps: Vec<String> = execution.outcome.schedule().lines.iter().map(ToString::to_string).collect();
        alike += usize::from(*first.get_or_insert_with(|| steps.clone()) == steps);
    }
    println!("{what:<58} {alike:>10} of {repeats}");
}
