//! Clones of programs that were started once: they come to whatever programs come to that are started, or are not used.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flockwork_harness::explore::machine::End;
use flockwork_harness::explore::strategy::Coverage;
use flockwork_harness::explore::strategy::exhaustive::Exhaustive;
use flockwork_harness::explore::strategy::random::Random;
use flockwork_harness::process::Zygote;
use flockwork_harness::tracee::{Cloned, ForkServer, Options, TraceeError};

use crate::Case;
use crate::cases::counter;
use crate::lab::{Build, Explored, Lab, Seen, Turns, act, actor, has, shell, skip_unless};

pub const ALL: &[Case] = &[
    ("clones_come_to_what_started_programs_come_to", clones_come_to_what_started_programs_come_to),
    ("a_clone_has_all_that_its_program_had", a_clone_has_all_that_its_program_had),
    ("clones_are_told_what_started_programs_are_told", clones_are_told_what_started_programs_are_told),
    ("what_a_fork_does_not_hand_on_is_refused", what_a_fork_does_not_hand_on_is_refused),
    ("what_cannot_be_cloned_is_started_and_told", what_cannot_be_cloned_is_started_and_told),
    ("a_clone_that_meets_its_number_begins_anew", a_clone_that_meets_its_number_begins_anew),
    ("clones_that_would_see_another_world_are_an_error", clones_that_would_see_another_world_are_an_error),
];

type Commands = Vec<(PathBuf, Vec<String>)>;

fn with(fork_server: ForkServer) -> Options {
    Options { fork_server, ..Options::default() }
}

/// Whether programs can be cloned here.
fn can_clone(test: &str) -> bool {
    skip_unless(cfg!(target_arch = "x86_64") && nix::unistd::geteuid().is_root(), "root on x86_64", test)
}

fn explored(
    zygote: &Zygote,
    setup: fn(&Path),
    commands: &[(PathBuf, Vec<String>)],
    how: ForkServer,
) -> (Explored, Cloned, Duration) {
    let mut lab = Lab::open(zygote, setup, commands, with(how)).expect("a machine");
    let begun = Instant::now();
    let explored = lab.explore(&mut Exhaustive::new(), 20_000).expect("few executions");
    (explored, lab.machine.cloned().clone(), begun.elapsed())
}

fn clones_come_to_what_started_programs_come_to(zygote: &Zygote) {
    let test = "clones_come_to_what_started_programs_come_to";
    if !can_clone(test) || actor(Build::Static).is_none() {
        return;
    }
    let dynamic = |words: &str| {
        let (_, words) = act(words);
        (actor(Build::Dynamic).expect("gcc").to_owned(), words)
    };
    let python = |code: &str| {
        let words = ["-S", "-I", "-c", code].map(str::to_owned).to_vec();
        (PathBuf::from("/usr/bin/python3"), words)
    };
    let shell_add = "read n < n; echo $((n + 1)) > n";
    let mut programs: Vec<(&str, Commands)> = vec![
        ("static", vec![act("open 0 n w add 0"), act("open 0 n w add 0")]),
        ("static, locked", vec![act("open 1 lock w flock 1 x open 0 n w add 0"); 2]),
        ("dynamic", vec![dynamic("open 0 n w add 0"), dynamic("open 0 n w add 0")]),
        ("sh", vec![shell(shell_add), shell(shell_add)]),
        ("sh, a child", vec![shell("read n < n; (echo $((n + 1)) > n)"), shell("echo 7 > n")]),
        ("sh, pid", vec![shell("echo $((1 + $(cat n))) > n.$$; mv n.$$ n"), shell("read n < n; echo $n")]),
        ("sh, kill", vec![shell("echo $$ > pid; read n < n"), shell("read p < pid && kill -0 $p; echo $?")]),
    ];
    if Path::new("/usr/bin/python3").exists() {
        let add = "n = int(open('n').read()); open('n', 'w').write(str(n + 1))";
        programs.push(("python", vec![python(add), python("open('n', 'w').write('7')")]));
    }
    for (name, commands) in &programs {
        let (off, _, slow) = explored(zygote, counter, commands, ForkServer::Off);
        let (auto, told, fast) = explored(zygote, counter, commands, ForkServer::Auto);
        println!("{name}: {} executions, {slow:?} started, {fast:?} cloned, {told:?}", off.executions);
        assert_eq!(told.refused, None, "{name}");
        assert_eq!((told.executions, told.started), (auto.executions, 0), "{name}");
        assert_eq!(without_pids(&auto), without_pids(&off), "{name}");
        assert_eq!((auto.executions, auto.coverage), (off.executions, off.coverage), "{name}");
        assert_eq!((auto.diverged, &auto.uncertain), (0, &off.uncertain), "{name}");
        assert_eq!(auto.coverage, Coverage::Exhausted, "{name}");
    }
}

/// What was seen, but for the pids that programs wrote down.
fn without_pids(explored: &Explored) -> BTreeSet<Seen> {
    let mut seen: Vec<Seen> = explored.seen.iter().cloned().collect();
    for seen in &mut seen {
        seen.files.retain(|file| !file.starts_with("pid:"));
    }
    seen.into_iter().collect()
}

/// Its pid, its place in a script that is read as it runs, its working folder, its variables.
fn a_clone_has_all_that_its_program_had(zygote: &Zygote) {
    if !can_clone("a_clone_has_all_that_its_program_had") {
        return;
    }
    let setup = |folder: &Path| fs::create_dir(folder.join("d")).expect("a folder");
    let place = crate::lab::folder();
    let script = place.path().join("script");
    // Longer than what a shell reads at once.
    let filler = "# nothing\n".repeat(2_000);
    let text = format!(
        "x=5\n{filler}sh -c 'test $PPID = '$$ && cd d && echo $x >> f\n{filler}pwd | sed s/.*state//\n"
    );
    fs::write(&script, text).expect("written");
    let command = (PathBuf::from("/bin/sh"), vec![script.display().to_string()]);
    let mut lab = Lab::open(zygote, setup, &[command], with(ForkServer::Auto)).expect("a machine");
    for round in 0..5 {
        let execution = lab.run(&mut Turns(Vec::new(), 0)).expect("an execution");
        let seen = lab.see(&execution);
        assert!(seen.commands[0][0].starts_with("Exited(0) /d\n"), "{round}: {seen:?}");
        assert!(seen.files.contains(&"d/f: \"5\\n\"".to_owned()), "{round}: {seen:?}");
        assert!(lab.machine.ran_clones(), "{:?}", lab.machine.cloned());
    }
    assert_eq!(lab.machine.cloned().executions, 5);
}

/// Which line tells the pid of a child's parent: another each time that it is started.
const PARENT_OF_CHILD: usize = 6;

/// Its parent and its session are outside of the namespace of clones; what the kernel does at a thread's end is not inherited.
fn clones_are_told_what_started_programs_are_told(zygote: &Zygote) {
    if !can_clone("clones_are_told_what_started_programs_are_told") || actor(Build::Static).is_none() {
        return;
    }
    let told = act("open 0 n w parent robust ends fork parent endfork wait");
    // Whoever waits for the first thread waits for the kernel to say that it is gone.
    let waits = act("open 0 n w thread joinfirst add 0 endthread leave");
    let waits_early = act("open 0 n w add 0 thread joinfirst endthread leave");
    let ends = act("orphaned reaper open 0 n w ends");
    for command in [told, waits, waits_early, ends] {
        let mut lab = Lab::open(zygote, counter, std::slice::from_ref(&command), with(ForkServer::Auto))
            .expect("a machine");
        let mut seen = Vec::new();
        for is_started in [true, false, false] {
            lab.machine.suspend_clones(is_started);
            let execution = lab.run(&mut Turns(Vec::new(), 0)).expect("an execution");
            assert_eq!(lab.machine.ran_clones(), !is_started, "{:?}", lab.machine.cloned());
            seen.push(lab.see(&execution));
        }
        let told = |seen: &Seen| {
            let lines = seen.commands[0][0].lines().enumerate();
            let all_but_one =
                lines.filter(|(at, line)| *at != PARENT_OF_CHILD || !line.starts_with("parent"));
            (all_but_one.map(|(_, line)| line.to_owned()).collect::<Vec<_>>(), seen.files.clone())
        };
        for clone in &seen[1..] {
            assert_eq!(told(clone), told(&seen[0]), "{command:?}: {seen:#?}");
        }
    }
}

fn what_a_fork_does_not_hand_on_is_refused(zygote: &Zygote) {
    if !can_clone("what_a_fork_does_not_hand_on_is_refused") || actor(Build::Static).is_none() {
        return;
    }
    let refused = [
        // MADV_DONTFORK, MADV_WIPEONFORK.
        ("unforked 10 open 0 n w add 0", Some("do not inherit")),
        ("unforked 18 open 0 n w add 0", Some("do not inherit")),
        ("open 0 n w unforked 10 add 0", None),
    ];
    for (words, why) in refused {
        let mut lab = Lab::open(zygote, counter, &[act(words)], with(ForkServer::Auto)).expect("a machine");
        for _ in 0..2 {
            let execution = lab.run(&mut Turns(Vec::new(), 0)).expect("an execution");
            assert!(lab.see(&execution).files.contains(&"n: \"1\\n\"".to_owned()), "{words}");
        }
        let told = lab.machine.cloned();
        let counted = if why.is_some() { (0, 2) } else { (2, 0) };
        assert_eq!((told.executions, told.started), counted, "{words}: {told:?}");
        let is_told = match (&told.refused, why) {
            (Some(told), Some(why)) => told.contains(why),
            (told, why) => told.is_none() && why.is_none(),
        };
        assert!(is_told, "{words}: {told:?}");
    }
}

fn what_cannot_be_cloned_is_started_and_told(zygote: &Zygote) {
    let test = "what_cannot_be_cloned_is_started_and_told";
    if !can_clone(test) || !has("python3", test) {
        return;
    }
    let early =
        "import threading, time; e = threading.Event(); t = threading.Thread(target=e.wait); t.start()
open('n').read(); e.set()";
    let threaded =
        (PathBuf::from("/usr/bin/python3"), vec!["-S".into(), "-I".into(), "-c".into(), early.into()]);
    // A thread is started by a call before which it is stopped: it can be cloned.
    let mut lab = Lab::open(zygote, counter, &[threaded], with(ForkServer::Auto)).expect("a machine");
    lab.run(&mut Turns(Vec::new(), 0)).expect("an execution");
    assert!(lab.machine.ran_clones(), "{:?}", lab.machine.cloned());
    // A lock outside that is held before: the stop is before that as well. An open FIFO is not.
    let place = crate::lab::folder();
    let fifo = place.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    let holds = shell(&format!("exec 5<>{}; read n < n; echo $n", fifo.display()));
    let holds = [holds.clone(), shell("echo 1 > n")];
    let mut lab = Lab::open(zygote, counter, &holds, with(ForkServer::Auto)).expect("a machine");
    let explored = lab.explore(&mut Random::new(1, 10), 100).expect("few");
    let told = lab.machine.cloned().clone();
    // It is opened to write, outside: the stop is before.
    assert_eq!((explored.executions, told.refused), (10, None));
    let reads =
        "import os; f = os.open(os.environ['LC_ALL'] and '/proc/self/ns/pid', os.O_RDONLY); open('n').read()";
    let reads =
        (PathBuf::from("/usr/bin/python3"), vec!["-S".into(), "-I".into(), "-c".into(), reads.into()]);
    let mut lab = Lab::open(zygote, counter, &[reads], with(ForkServer::Auto)).expect("a machine");
    for _ in 0..3 {
        lab.run(&mut Turns(Vec::new(), 0)).expect("an execution");
        assert!(!lab.machine.ran_clones());
    }
    let told = lab.machine.cloned();
    assert_eq!((told.executions, told.started), (0, 3));
    assert!(told.refused.as_ref().is_some_and(|why| why.contains("open before its first step")), "{told:?}");
}

fn clones_that_would_see_another_world_are_an_error(zygote: &Zygote) {
    if !can_clone("clones_that_would_see_another_world_are_an_error") {
        return;
    }
    let left = shell("read n < n; (read n < n; exec sleep 1000) & exit 0");
    let asks = shell("echo $$ > pid; test -d /proc/$$ && echo 1 > n");
    for (command, told) in [(left, "leaves processes behind"), (asks, "asks /proc/")] {
        let mut lab = Lab::open(zygote, counter, std::slice::from_ref(&command), with(ForkServer::Auto))
            .expect("a machine");
        let error = lab.run(&mut Turns(Vec::new(), 0)).expect_err("told");
        assert!(matches!(&error, TraceeError::NotCloneable(why) if why.contains(told)), "{error}");
        // From then on it is started.
        let execution = lab.run(&mut Turns(Vec::new(), 0)).expect("an execution");
        assert!(!lab.machine.ran_clones());
        assert!(lab.see(&execution).commands[0][0].starts_with("Exited(0)"));
    }
}

/// Threads take one number after the other, and come upon that which another clone is to have.
fn a_clone_that_meets_its_number_begins_anew(zygote: &Zygote) {
    let test = "a_clone_that_meets_its_number_begins_anew";
    let can_count = Path::new("/proc/sys/kernel/ns_last_pid").exists();
    if !can_clone(test)
        || !skip_unless(actor(Build::Static).is_some(), "gcc", test)
        || !skip_unless(can_count, "/proc/sys/kernel/ns_last_pid", test)
    {
        return;
    }
    let outside = tempfile::tempdir().expect("a folder");
    let flag = outside.path().join("flag");
    // The second clone's number follows soon after the first's.
    let commands = [act(&format!("count {} crowd 200 stat n", flag.display())), act("crowd 1 stat n")];
    let mut lab = Lab::open(zygote, counter, &commands, with(ForkServer::Auto)).expect("a machine");
    for _ in 0..4 {
        fs::write(&flag, "").expect("written");
        let execution = lab.run(&mut Turns(vec![0, 1], 0)).expect("an execution by clones");
        assert_eq!(execution.end, End::Completed);
        assert!(!flag.exists());
    }
    let cloned = lab.machine.cloned();
    assert_eq!((cloned.refused.as_deref(), cloned.executions), (None, 4), "{cloned:?}");
}
