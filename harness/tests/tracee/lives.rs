//! Programs of whole languages, programs that kill, stop and outlive each other, and how each ends.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flockwork_harness::explore::machine::{Chooser, End, Pick, Point};
use flockwork_harness::explore::step::Event;
use flockwork_harness::explore::strategy::Coverage;
use flockwork_harness::explore::strategy::exhaustive::Exhaustive;
use flockwork_harness::process::Zygote;
use flockwork_harness::process::procfs::{self, Stat};
use flockwork_harness::tracee::{Options, TraceeError};

use crate::Case;
use crate::cases::{ADD, all_of, counter, ends, in_turn, steps};
use crate::lab::{ACTORS, Build, Lab, Turns, act, actor, files, has, shell, skip_unless, which};

/// How long what commands leave behind may go on by itself.
const GRACE: Duration = Duration::from_secs(1);

pub const ALL: &[Case] = &[
    ("whoever_spins_is_ended_and_told", whoever_spins_is_ended_and_told),
    ("what_is_left_behind_is_killed_and_told", what_is_left_behind_is_killed_and_told),
    ("names_of_the_moment_are_alike", names_of_the_moment_are_alike),
    ("paths_are_walked_as_the_kernel_does", paths_are_walked_as_the_kernel_does),
    ("python_is_held", python_is_held),
    ("stopped_and_continued_programs_go_on", stopped_and_continued_programs_go_on),
    ("without_privileges_the_same_is_found", without_privileges_the_same_is_found),
    ("delays_alone_lose_an_update_as_well", delays_alone_lose_an_update_as_well),
    ("whoever_holds_programs_is_left_as_it_was", whoever_holds_programs_is_left_as_it_was),
    ("nothing_stays_of_a_killed_harness", nothing_stays_of_a_killed_harness),
    ("go_is_held", go_is_held),
    ("locks_outside_are_locks", locks_outside_are_locks),
    ("one_program_kills_another", one_program_kills_another),
];

fn whoever_spins_is_ended_and_told(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    let options = Options { step_limit: Duration::from_millis(500), ..Options::default() };
    let commands = [act("open 0 n w add 0 spin"), act("open 0 n w add 0")];
    let mut lab = Lab::open(zygote, counter, &commands, options).expect("a machine");
    match lab.run(&mut in_turn()) {
        Err(TraceeError::Runaway { process: 1, last, .. }) => assert_eq!(last, "write n"),
        other => panic!("{other:?}"),
    }
    // Nobody is left, and the machine still runs.
    assert!(lab.machine.pids().iter().all(Option::is_none));
    assert!(lab.run(&mut Turns(vec![1; 9], 0)).is_err());
}

fn what_is_left_behind_is_killed_and_told(zygote: &Zygote) {
    for (script, has_more_to_do) in
        [("sleep 1000 & echo $! > PID", false), ("(echo late > n; echo later > n) & echo $! > PID", true)]
    {
        left_behind(zygote, script, has_more_to_do);
    }
}

fn left_behind(zygote: &Zygote, script: &str, has_more_to_do: bool) {
    let mut lab = Lab::open(zygote, counter, &[shell(script)], Options::default()).expect("a machine");
    let execution = lab.run(&mut in_turn()).expect("an execution");
    assert_eq!(execution.end, End::Completed);
    assert_eq!(execution.outcome.left_behind, [0].into(), "{script}");
    assert_eq!(
        !execution.outcome.is_certain(),
        has_more_to_do,
        "{script}: {:?}",
        execution.outcome.uncertain
    );
    let pid = fs::read_to_string(lab.state.join("PID")).expect("there").trim().parse().expect("a pid");
    assert!(Stat::of(pid).is_none_or(|stat| stat.is_dead()), "{pid} lives");
}

fn names_of_the_moment_are_alike(zygote: &Zygote) {
    let script = "t=$(mktemp state.XXXXXX); echo $$ > $t; echo x > log.$$; mv $t n";
    let mut lab =
        Lab::open(zygote, counter, &[shell(script), shell(script)], Options::default()).expect("a machine");
    let turns = || Turns([0, 0, 1, 0, 1, 1, 1, 0].repeat(10), 0);
    for _ in 0..2 {
        lab.run(&mut turns()).expect("an execution");
    }
    lab.machine.learn_names();
    let all: Vec<Vec<String>> =
        (0..10).map(|_| steps(&lab.run(&mut turns()).expect("an execution").outcome)).collect();
    assert!(all.iter().all(|steps| *steps == all[0]), "{all:#?}");
    assert!(all[0].iter().any(|step| step.contains("new1#1")), "{all:#?}");
    assert!(lab.machine.words().is_some_and(|words| words.contains("n")));
}

fn paths_are_walked_as_the_kernel_does(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    let outside = tempfile::tempdir().expect("a folder");
    let link = outside.path().join("way");
    let into = link.clone();
    let setup = move |folder: &Path| {
        counter(folder);
        fs::create_dir(folder.join("d")).expect("made");
        symlink("../n", folder.join("d/up")).expect("made");
        symlink("/etc/hostname", folder.join("out")).expect("made");
        _ = fs::remove_file(&into);
        symlink(folder, &into).expect("made");
    };
    let way = link.display();
    let words = format!(
        "open 0 {way}/n r chdir d open 1 ../n r open 2 up r open 3 /proc/self/cwd/../n r stat ../out stat {way}/d/../n"
    );
    let mut lab = Lab::open(zygote, setup, &[act(&words)], Options::default()).expect("a machine");
    let execution = lab.run(&mut in_turn()).expect("an execution");
    let labels: Vec<&str> = execution.events.iter().map(|event| &*event.step.label).collect();
    assert_eq!(
        labels,
        ["open n", "chdir d", "open n #2", "open n #3", "open n #4", "stat n", "exit 0"],
        "{execution:?}"
    );
    assert!(lab.see(&execution).commands[0][0].lines().all(|line| !line.contains('-')));
}

fn python_is_held(zygote: &Zygote) {
    if !has("python3", "python_is_held") {
        return;
    }
    let script = "import os\nn=int(open('n').read())\nt=f'n.tmp{os.getpid()}'\nf=open(t,'w')\nf.write(str(n+1))\nf.close()\nos.rename(t,'n')";
    let python = (which("python3"), vec!["-S".into(), "-I".into(), "-c".into(), script.into()]);
    let mut lab =
        Lab::open(zygote, counter, &[python.clone(), python], Options::default()).expect("a machine");
    let mut first: Option<Vec<String>> = None;
    for _ in 0..5 {
        let execution = lab.run(&mut Turns([0, 1].repeat(10), 0)).expect("an execution");
        assert_eq!(execution.end, End::Completed);
        assert_eq!(lab.see(&execution).files[1], "n: \"1\"", "one is lost: {execution:?}");
        let steps = steps(&execution.outcome);
        assert_eq!(first.get_or_insert_with(|| steps.clone()), &steps);
    }
    let execution = lab.run(&mut in_turn()).expect("an execution");
    assert_eq!(lab.see(&execution).files[1], "n: \"2\"");
}

/// Stops and continues the program before each step, as a shell does with a job.
struct Interrupting<'l>(&'l dyn Fn() -> Vec<Option<u32>>, u32);

impl Chooser for Interrupting<'_> {
    fn choose(&mut self, point: &Point<'_>) -> Pick {
        for pid in (self.0)().into_iter().flatten() {
            for signal in [nix::sys::signal::Signal::SIGSTOP, nix::sys::signal::Signal::SIGCONT] {
                _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), signal);
            }
            self.1 += 1;
        }
        point.enabled.lowest().map_or(Pick::Abandon, Pick::Step)
    }

    fn happened(&mut self, _: &Event) {}
}

fn stopped_and_continued_programs_go_on(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    let commands = [act("open 0 n w flock 0 x add 0 close 0 sleep 1 stat n exit 5")];
    let mut lab = Lab::open(zygote, counter, &commands, Options::default()).expect("a machine");
    let expected = steps(&lab.run(&mut in_turn()).expect("an execution").outcome);
    let own = std::process::id();
    let actors = move || {
        let mut found = procfs::children(own);
        let mut at = 0;
        while let Some(&pid) = found.get(at) {
            found.extend(procfs::children(pid));
            at += 1;
        }
        let is_actor = |pid: &u32| procfs::name(*pid).is_some_and(|name| name.starts_with("actor"));
        found.into_iter().filter(is_actor).map(Some).collect::<Vec<_>>()
    };
    let mut interrupting = Interrupting(&actors, 0);
    let execution = lab.run(&mut interrupting).expect("an execution");
    assert_eq!(steps(&execution.outcome), expected);
    assert!(interrupting.1 >= 5, "interrupted {} times", interrupting.1);
    assert!(lab.see(&execution).commands[0][0].starts_with("Exited(5)"), "{execution:?}");
}

fn without_privileges_the_same_is_found(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    // Without the class SCHED_FIFO.
    let options = || Options { without_real_time: true, ..Options::default() };
    let locked = shell("exec 9>>lock; flock 9; read n < n; (echo $((n + 1)) | cat > n.$$); mv n.$$ n");
    for (commands, found) in [
        (vec![act("open 0 n w add 0"), act("open 0 n w add 0")], 2),
        (vec![shell(ADD), shell("mkdir d; rmdir d")], 1),
        (vec![locked.clone(), locked], 1),
    ] {
        let mut lab = Lab::open(zygote, counter, &commands, options()).expect("a machine");
        assert!(!lab.machine.has_real_time());
        let explored = lab.explore(&mut Exhaustive::new(), 10_000).expect("few executions");
        assert_eq!((explored.coverage, explored.diverged), (Coverage::Exhausted, 0), "{commands:?}");
        assert_eq!(ends(&explored).len(), found, "{explored:?}");
    }
    // As an ordinary user.
    if !skip_unless(nix::unistd::geteuid().is_root(), "root", "the part of an ordinary user")
        || !has("setpriv", "the part of an ordinary user")
    {
        return;
    }
    let own = std::env::current_exe().expect("a path");
    let part = ["one_command_ends", "the_lost_update_of", "a_schedule_repeats"];
    let told = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"])
        .arg(own)
        .args(part)
        .env(ACTORS, env!("CARGO_TARGET_TMPDIR"))
        .output()
        .expect("run");
    let text = String::from_utf8_lossy(&told.stdout);
    assert!(told.status.success(), "{text}{}", String::from_utf8_lossy(&told.stderr));
    assert_eq!(text.matches("... ok").count(), 4, "{text}");
}

fn delays_alone_lose_an_update_as_well(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    let add = act("open 0 n w add 0 exit 0");
    let mut lab =
        Lab::open(zygote, counter, std::slice::from_ref(&add), Options::perturbing()).expect("a machine");
    counter(&lab.state);
    let begun = Instant::now();
    let alone =
        lab.machine.run_perturbed(&mut |_: usize| Duration::from_millis(5), GRACE).expect("an execution");
    let calls: Vec<&str> = alone.left.chances.iter().map(|(_, label, _)| &**label).collect();
    assert_eq!(calls, ["open n", "read n", "write n", "exit 0"]);
    assert!(begun.elapsed() >= Duration::from_millis(20) && alone.in_time);
    assert_eq!(files(&lab.state), ["lock: \"\"", "n: \"1\\n\""]);
    let locked = act("open 1 lock w flock 1 x open 0 n w add 0 exit 0");
    for (command, wanted) in [(add, "n: \"1\\n\""), (locked, "n: \"2\\n\"")] {
        let commands = [command.clone(), command];
        let mut lab = Lab::open(zygote, counter, &commands, Options::perturbing()).expect("a machine");
        let mut dice = 1_u64;
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            counter(&lab.state);
            let mut delay = |_: usize| {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                Duration::from_micros(dice >> 54)
            };
            let done = lab.machine.run_perturbed(&mut delay, GRACE).expect("an execution");
            assert!(done.in_time);
            seen.insert(files(&lab.state)[1].clone());
            if wanted.contains('1') && seen.contains(wanted) {
                break;
            }
        }
        assert!(seen.contains(wanted) && (wanted.contains('1') || seen.len() == 1), "{wanted}: {seen:?}");
    }
}

fn whoever_holds_programs_is_left_as_it_was(zygote: &Zygote) {
    let niceness = || rustix::process::getpriority_process(None).expect("told");
    let (before, allowed) =
        (niceness(), nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).expect("told"));
    let told = format!("{before}\n");
    let mut lab =
        Lab::open(zygote, counter, &[shell("nice; echo x > a")], Options::default()).expect("a machine");
    let execution = lab.run(&mut in_turn()).expect("an execution");
    assert_eq!(execution.outcome.commands[0][0].stdout, told.as_bytes(), "commands are no nicer than we are");
    assert_eq!(niceness(), before);
    assert_eq!(nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).expect("told"), allowed);
}

/// Stays where everybody stands.
struct Stay;
impl Chooser for Stay {
    fn choose(&mut self, point: &Point<'_>) -> Pick {
        if point.depth == 4 {
            println!("here");
            std::thread::sleep(Duration::from_secs(1000));
        }
        point.enabled.lowest().map_or(Pick::Abandon, Pick::Step)
    }

    fn happened(&mut self, _: &Event) {}
}

/// What the harness that is killed does: see below.
pub fn hang(zygote: &Zygote) -> ! {
    let commands =
        [act("open 0 n w add 0 fork open 1 lock w endfork add 0"), shell("sleep 1000 & read x < n; cat")];
    let mut lab = Lab::open(zygote, counter, &commands, Options::default()).expect("a machine");
    // Whoever kills this process clears its folder.
    println!("{}", lab.state.display());
    _ = lab.run(&mut Stay);
    std::process::exit(1)
}

fn nothing_stays_of_a_killed_harness(_: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    let own = std::env::current_exe().expect("a path");
    let mut harness = Command::new(own).arg("--hang").stdout(Stdio::piped()).spawn().expect("started");
    let mut told = std::io::BufRead::lines(std::io::BufReader::new(harness.stdout.take().expect("piped")));
    let state = PathBuf::from(told.next().expect("a line").expect("read"));
    assert_eq!(told.next().expect("a line").expect("read"), "here");
    let all = |of: u32| {
        let mut found = procfs::children(of);
        let mut at = 0;
        while let Some(&pid) = found.get(at) {
            found.extend(procfs::children(pid));
            at += 1;
        }
        found
    };
    let before: Vec<(u32, u64)> =
        all(harness.id()).into_iter().filter_map(|pid| Some((pid, Stat::of(pid)?.start_ticks))).collect();
    assert!(before.len() >= 6, "zygote, spawner, slots and commands: {before:?}");
    harness.kill().expect("killed");
    harness.wait().expect("reaped");
    let lives = |(pid, ticks): &(u32, u64)| {
        Stat::of(*pid).is_some_and(|stat| stat.start_ticks == *ticks && !stat.is_dead())
    };
    let begun = Instant::now();
    while before.iter().any(lives) {
        let left: Vec<_> = before.iter().filter(|one| lives(one)).map(|one| procfs::name(one.0)).collect();
        assert!(begun.elapsed() < Duration::from_secs(60), "they live on: {left:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    fs::remove_dir_all(state.parent().expect("the folder of the laboratory")).expect("removed");
}

/// Adds to the counter in a goroutine.
const GO_SOURCE: &str = "package main\nimport (\"os\";\"strconv\";\"strings\";\"sync\")\nfunc main() {\n\
    var w sync.WaitGroup\nw.Add(1)\ngo func() { defer w.Done(); b, _ := os.ReadFile(\"n\")\n\
    n, _ := strconv.Atoi(strings.TrimSpace(string(b)))\n\
    os.WriteFile(\"n\", []byte(strconv.Itoa(n+1)), 0644) }()\nw.Wait()\n}\n";

fn go_is_held(zygote: &Zygote) {
    if !has("go", "go_is_held") {
        return;
    }
    let place = tempfile::tempdir().expect("a folder");
    let (source, program) = (place.path().join("main.go"), place.path().join("add-in-go"));
    fs::write(&source, GO_SOURCE).expect("written");
    let mut compiler = Command::new("go");
    compiler.args(["build", "-o"]).arg(&program).arg(&source);
    compiler.env("GOCACHE", place.path().join("cache")).env("GOFLAGS", "-mod=mod").env("GO111MODULE", "off");
    assert!(compiler.status().expect("go").success());
    let add = (program, Vec::new());
    let mut lab = Lab::open(zygote, counter, &[add.clone(), add], Options::default()).expect("a machine");
    let mut first: Option<Vec<String>> = None;
    let mut alike = 0;
    for _ in 0..20 {
        let execution = lab.run(&mut Turns([0, 1].repeat(20), 0)).expect("an execution");
        assert_eq!(execution.end, End::Completed, "{:?}", execution.outcome.stall);
        assert_eq!(lab.see(&execution).files[1], "n: \"1\"", "one is lost");
        let steps = steps(&execution.outcome);
        alike += usize::from(*first.get_or_insert_with(|| steps.clone()) == steps);
    }
    println!("{alike} of 20 alike: {first:?}");
    assert!(alike >= 19, "{alike} of 20 repeat");
}

fn locks_outside_are_locks(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    let outside = tempfile::NamedTempFile::new().expect("a file");
    let add = act(&format!("open 1 {} w flock 1 x open 0 n w add 0 close 0", outside.path().display()));
    let explored = all_of(zygote, counter, &[add.clone(), add]);
    assert_eq!((explored.coverage, explored.diverged), (Coverage::Exhausted, 0));
    assert!(explored.uncertain.is_empty(), "{explored:?}");
    assert_eq!(ends(&explored), ["n: \"2\\n\""], "{explored:?}");
    assert_eq!(explored.executions, 2);
}

fn one_program_kills_another(zygote: &Zygote) {
    let commands = [
        shell("echo $$ > pid; read x < n; read x < n; echo late > n; exit 3"),
        shell("while ! [ -s pid ]; do sleep 0.01; done; read p < pid; kill -9 $p; kill -0 $p && echo there"),
    ];
    for without_real_time in [false, true] {
        let options = Options { without_real_time, ..Options::default() };
        let mut lab = Lab::open(zygote, counter, &commands, options).expect("a machine");
        let first = lab.run(&mut Turns([vec![0; 4], vec![1; 30]].concat(), 0)).expect("an execution");
        assert_eq!(first.end, End::Completed);
        let seen = lab.see(&first);
        assert!(seen.commands[0][0].starts_with("Signaled(9)"), "{seen:?}");
        assert!(seen.files.contains(&"n: \"0\\n\"".to_owned()), "{seen:?}");
        let explored = lab.explore(&mut Exhaustive::new(), 5_000).expect("few executions");
        assert_eq!((explored.coverage, explored.diverged), (Coverage::Exhausted, 0));
        let killed =
            explored.seen.iter().filter(|seen| seen.commands[0][0].starts_with("Signaled(9)")).count();
        assert!(killed > 0 && killed < explored.seen.len(), "{explored:?}");
    }
}
