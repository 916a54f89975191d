//! Programs of every kind, each with what must be found of it, or must not be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flockwork_harness::explore::machine::End;
use flockwork_harness::explore::strategy::Coverage;
use flockwork_harness::explore::strategy::exhaustive::Exhaustive;
use flockwork_harness::plan::schedule::{Fault, Injected};
use flockwork_harness::process::Zygote;
use flockwork_harness::tracee::{Ending, Left, Options, Planned, Threads, TraceeError};

use crate::Case;
use crate::lab::{Build, Explored, Lab, Turns, act, actor, has, shell, which};

pub const ALL: &[Case] = &[
    ("one_command_ends_as_it_ends", one_command_ends_as_it_ends),
    ("the_lost_update_of_a_program_is_found", the_lost_update_of_a_program_is_found),
    ("with_a_lock_nothing_is_lost", with_a_lock_nothing_is_lost),
    (
        "an_exit_that_gives_up_a_lock_meets_only_who_wants_it",
        an_exit_that_gives_up_a_lock_meets_only_who_wants_it,
    ),
    ("the_lost_update_of_a_shell_script_is_found", the_lost_update_of_a_shell_script_is_found),
    ("a_shell_script_with_flock_is_clean", a_shell_script_with_flock_is_clean),
    ("a_schedule_repeats_itself", a_schedule_repeats_itself),
    ("what_is_independent_is_one_order", what_is_independent_is_one_order),
    ("threads_and_children_are_of_one_tree", threads_and_children_are_of_one_tree),
    ("a_childs_end_interrupts_no_call_that_is_held", a_childs_end_interrupts_no_call_that_is_held),
    (
        "a_call_that_a_signal_interrupts_spoils_the_execution",
        a_call_that_a_signal_interrupts_spoils_the_execution,
    ),
    ("crossed_locks_are_a_deadlock", crossed_locks_are_a_deadlock),
    ("whoever_sleeps_waits_for_a_change", whoever_sleeps_waits_for_a_change),
    ("patience_ends_when_nobody_else_can_go_on", patience_ends_when_nobody_else_can_go_on),
    ("rows_of_commands_tell_when_they_began", rows_of_commands_tell_when_they_began),
    ("channels_join_processes", channels_join_processes),
    ("faults_meet_any_program", faults_meet_any_program),
    ("what_cannot_be_foreseen_is_refused_by_name", what_cannot_be_foreseen_is_refused_by_name),
    (
        "requests_of_files_are_steps_and_those_of_devices_are_none",
        requests_of_files_are_steps_and_those_of_devices_are_none,
    ),
    ("who_did_not_come_is_not_waited_for_again", who_did_not_come_is_not_waited_for_again),
];

type Commands = Vec<(PathBuf, Vec<String>)>;

pub fn counter(folder: &Path) {
    fs::write(folder.join("n"), "0\n").expect("written");
    fs::write(folder.join("lock"), "").expect("written");
}

pub fn all_of(zygote: &Zygote, setup: fn(&Path), commands: &[(PathBuf, Vec<String>)]) -> Explored {
    let mut lab = Lab::open(zygote, setup, commands, Options::default()).expect("a machine");
    lab.explore(&mut Exhaustive::new(), 100_000).expect("few executions")
}

/// The counter's values at the end of all executions.
pub fn ends(explored: &Explored) -> Vec<String> {
    let mut ends: Vec<String> = explored
        .seen
        .iter()
        .map(|seen| seen.files.iter().find(|file| file.starts_with("n:")).cloned().unwrap_or_default())
        .collect();
    ends.sort();
    ends.dedup();
    ends
}

fn one_command_ends_as_it_ends(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    let commands = [act("open 0 n w add 0 exit 7")];
    let mut lab = Lab::open(zygote, counter, &commands, Options::default()).expect("a machine");
    let execution = lab.run(&mut Turns(Vec::new(), 0)).expect("an execution");
    assert_eq!(execution.end, End::Completed);
    let labels: Vec<&str> = execution.events.iter().map(|event| &*event.step.label).collect();
    assert_eq!(labels, ["open n", "read n", "write n", "exit 7"]);
    let seen = lab.see(&execution);
    assert_eq!(seen.commands, [["Exited(7) open 0\nadd 2\n"]]);
    assert_eq!(seen.files, ["lock: \"\"", "n: \"1\\n\""]);
}

fn the_lost_update_of_a_program_is_found(zygote: &Zygote) {
    for build in [Build::Static, Build::Dynamic] {
        let Some(actor) = actor(build) else { return };
        let add = (actor.to_owned(), "open 0 n w add 0".split(' ').map(str::to_owned).collect::<Vec<_>>());
        let explored = all_of(zygote, counter, &[add.clone(), add]);
        assert_eq!(explored.coverage, Coverage::Exhausted);
        assert_eq!(ends(&explored), ["n: \"1\\n\"", "n: \"2\\n\""], "{explored:?}");
        assert!(explored.executions <= 8, "{} executions", explored.executions);
    }
}

fn with_a_lock_nothing_is_lost(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    for lock in ["flock 1 x", "lock 1 x 0 0", "lock 1 xp 0 0"] {
        let add = act(&format!("open 1 lock w {lock} open 0 n w add 0 close 0"));
        let explored = all_of(zygote, counter, &[add.clone(), add.clone(), add]);
        assert_eq!(explored.coverage, Coverage::Exhausted, "{lock}");
        assert_eq!(ends(&explored), ["n: \"3\\n\""], "{lock}: {explored:?}");
        assert!(explored.executions >= 6, "{lock}: {} executions", explored.executions);
        assert!(explored.uncertain.is_empty(), "{explored:?}");
    }
}

fn an_exit_that_gives_up_a_lock_meets_only_who_wants_it(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    for lock in ["flock 1 x", "lock 1 x 0 0", "lock 1 xp 0 0"] {
        let add = act(&format!("open 0 n w open 1 lock w {lock} add 0 exit 0"));
        let explored = all_of(zygote, counter, &[add.clone(), add]);
        assert_eq!((explored.coverage, explored.diverged), (Coverage::Exhausted, 0), "{lock}");
        assert_eq!(ends(&explored), ["n: \"2\\n\""], "{lock}: {explored:?}");
        // One for each that takes it first.
        assert_eq!(explored.executions, 2, "{lock}: {explored:?}");
    }
    // Another task that sleeps meanwhile changes nothing of that.
    let beside = |does: &str| {
        act(&format!("thread sleep 1000 endthread open 0 n w open 1 lock w flock 1 x {does} exit 0"))
    };
    let explored = all_of(zygote, counter, &[beside("add 0"), beside("put 0 seven")]);
    assert_eq!((explored.coverage, explored.diverged, explored.seen.len()), (Coverage::Exhausted, 0, 2));
    // A child that has the file open keeps the lock; one that closed it does not, though it lives on.
    let wants = act("open 1 lock w flock 1 x open 0 n w add 0");
    for (keeps, stuck) in [("", true), ("close 1", false)] {
        let leaves = act(&format!("open 1 lock w flock 1 x open 0 n w fork {keeps} pipe recv endfork add 0"));
        let mut lab =
            Lab::open(zygote, counter, &[leaves, wants.clone()], Options::default()).expect("a machine");
        let execution = lab.run(&mut in_turn()).expect("an execution");
        assert_eq!(execution.end == End::Deadlock, stuck, "{keeps}: {:?}", execution.outcome.stall);
    }
}

pub const ADD: &str = "read n < n; echo $((n + 1)) > n.$$; mv n.$$ n";

fn the_lost_update_of_a_shell_script_is_found(zygote: &Zygote) {
    let explored = all_of(zygote, counter, &[shell(ADD), shell(ADD)]);
    assert_eq!(explored.coverage, Coverage::Exhausted);
    assert_eq!(explored.diverged, 0);
    assert_eq!(ends(&explored), ["n: \"1\\n\"", "n: \"2\\n\""], "{explored:?}");
}

fn a_shell_script_with_flock_is_clean(zygote: &Zygote) {
    if !has("flock", "a_shell_script_with_flock_is_clean") {
        return;
    }
    let locked = format!("exec 9>>lock; flock 9; {ADD}");
    let explored = all_of(zygote, counter, &[shell(&locked), shell(&locked)]);
    assert_eq!(explored.coverage, Coverage::Exhausted);
    assert_eq!((explored.diverged, explored.uncertain.len()), (0, 0), "{explored:?}");
    assert_eq!(ends(&explored), ["n: \"2\\n\""], "{explored:?}");
}

fn a_schedule_repeats_itself(zygote: &Zygote) {
    let piped = shell("cat n | (read x; echo \"$x\")");
    let scripts: [Commands; 2] = [vec![shell(ADD), shell(ADD)], vec![piped, shell("rm -f b")]];
    for commands in scripts {
        let mut lab = Lab::open(zygote, counter, &commands, Options::default()).expect("a machine");
        let mut first: Option<Vec<String>> = None;
        for _ in 0..30 {
            let turns = [0, 1, 0, 1, 1, 0, 0, 1].repeat(8);
            let execution = lab.run(&mut Turns(turns, 0)).expect("an execution");
            let steps = steps(&execution.outcome);
            assert_eq!(first.get_or_insert_with(|| steps.clone()), &steps);
        }
    }
}

pub fn steps(left: &Left) -> Vec<String> {
    left.schedule().lines.iter().map(ToString::to_string).collect()
}

pub fn in_turn() -> Turns {
    Turns(Vec::new(), 0)
}

fn what_is_independent_is_one_order(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    let busy = |name: &str| {
        let each = (0..6).map(|at| format!("open 0 {name}{at} wc write 0 x close 0"));
        act(&each.collect::<Vec<_>>().join(" "))
    };
    let setup = |folder: &Path| {
        for name in ["a", "b"] {
            for at in 0..6 {
                fs::write(folder.join(format!("{name}{at}")), "").expect("written");
            }
        }
    };
    let mut lab = Lab::open(zygote, setup, &[busy("a"), busy("b")], Options::default()).expect("a machine");
    let explored = lab.explore(&mut Exhaustive::new(), 10).expect("few executions");
    assert_eq!((explored.executions, explored.coverage), (1, Coverage::Exhausted));
}

fn threads_and_children_are_of_one_tree(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    // Threads and children do half of the work each; the parent hears of its child by a pipe.
    for program in [
        "open 0 n w thread add 0 endthread join add 0",
        "open 0 n w pipe fork add 0 send endfork recv wait add 0",
        "open 0 n w fork open 1 lock w flock 1 x add 0 endfork open 2 lock w flock 2 x add 0 close 2 wait",
    ] {
        let alone = all_of(zygote, counter, &[act(program)]);
        assert_eq!(ends(&alone), ["n: \"2\\n\""], "{program}: {alone:?}");
        let both = all_of(zygote, counter, &[act(program), act("open 0 n w add 0")]);
        assert_eq!((both.coverage, both.diverged), (Coverage::Exhausted, 0), "{program}");
        assert!(
            ends(&both).len() > 1 && ends(&both).contains(&"n: \"3\\n\"".to_owned()),
            "{program}: {both:?}"
        );
    }
}

fn a_childs_end_interrupts_no_call_that_is_held(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    // The parent hears of its children by a handler that does not have calls made again, as dash does. Its own calls on
    // files never fail of that where nothing holds them: they take no time.
    for child in ["open 0 a wc", "mkdir a", "open 0 lock wc flock 0 x"] {
        let words = format!("catch child fork {child} endfork open 1 z wc rm z rm y wait");
        for (threads, uninterrupted) in Threads::ALL.iter().flat_map(|one| [(*one, false), (*one, true)]) {
            let options = Options { threads, uninterrupted, ..Options::default() };
            let mut lab = Lab::open(zygote, |_| {}, &[act(&words)], options).expect("a machine");
            let explored = lab.explore(&mut Exhaustive::new(), 1_000).expect("few executions");
            for seen in &explored.seen {
                let told = seen.commands[0][0].as_str();
                assert!(!told.contains("-4"), "{child} {threads:?}: {told}");
            }
            assert!(!explored.seen.is_empty(), "{child} {threads:?}: {explored:?}");
        }
    }
}

fn a_call_that_a_signal_interrupts_spoils_the_execution(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    // The child signals its parent while that is held at a call, which then fails though nobody made it fail: where somebody
    // may attach to commands, and before Linux 5.19.
    let commands = [act("catch user fork mkdir a signal endfork open 1 z wc wait")];
    let options = || Options { uninterrupted: false, ..Options::default() };
    let mut lab = Lab::open(zygote, |_| {}, &commands, options()).expect("a machine");
    let execution = lab.run(&mut Turns(Vec::new(), 0)).expect("an execution");
    let told = lab.see(&execution).commands[0][0].clone();
    assert!(told.contains("open -4"), "{told}");
    assert!(execution.outcome.is_spoilt() && !execution.outcome.is_certain(), "{told}");
    // Who has the call made again is not disturbed.
    let mut plain = Lab::open(zygote, |_| {}, &[act("fork mkdir a endfork open 1 z wc wait")], options());
    let plain = plain.as_mut().expect("a machine").run(&mut Turns(Vec::new(), 0)).expect("an execution");
    assert!(!plain.outcome.is_spoilt() && plain.outcome.is_certain());
}

fn crossed_locks_are_a_deadlock(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    let commands = [
        act("open 0 n w open 1 lock w flock 0 x flock 1 x"),
        act("open 0 n w open 1 lock w flock 1 x flock 0 x"),
    ];
    let mut lab = Lab::open(zygote, counter, &commands, Options::default()).expect("a machine");
    let explored = lab.explore(&mut Exhaustive::new(), 1_000).expect("few executions");
    assert_eq!(explored.seen.iter().filter(|seen| seen.stuck).count(), 1, "{explored:?}");
    let stuck = lab.run(&mut Turns(vec![0, 0, 0, 1, 1, 1], 0)).expect("an execution");
    assert_eq!(stuck.end, End::Deadlock);
    let stall = stuck.outcome.stall.expect("told");
    assert_eq!(
        stall,
        ["p1 waits at flock lock exclusive, held by p2", "p2 waits at flock n exclusive, held by p1"]
    );
}

fn whoever_sleeps_waits_for_a_change(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    let explored = all_of(zygote, counter, &[act("until ready read 0"), act("open 0 n w open 1 ready wc")]);
    assert_eq!((explored.coverage, explored.diverged), (Coverage::Exhausted, 0));
    assert!(explored.seen.iter().all(|seen| !seen.stuck), "{explored:?}");
    let shells = [
        shell("while ! mkdir l 2>/dev/null; do sleep 0.05; done; read n < n; echo $((n+1)) > n; rmdir l"),
        shell("while ! mkdir l 2>/dev/null; do sleep 0.05; done; read n < n; echo $((n+1)) > n; rmdir l"),
    ];
    let begun = Instant::now();
    let explored = all_of(zygote, counter, &shells);
    assert_eq!(ends(&explored), ["n: \"2\\n\""], "{explored:?}");
    println!("{} executions in {:?}", explored.executions, begun.elapsed());
}

fn patience_ends_when_nobody_else_can_go_on(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    let begun = Instant::now();
    let commands = [act("open 0 n r read 0 tries never 200")];
    let mut lab = Lab::open(zygote, counter, &commands, Options::default()).expect("a machine");
    let execution = lab.run(&mut in_turn()).expect("an execution");
    assert_eq!(execution.end, End::Completed);
    assert!(lab.see(&execution).commands[0][0].contains("tries 0"), "{execution:?}");
    assert!(begun.elapsed() < Duration::from_secs(100), "two hundred seconds of sleep take no time");
}

fn rows_of_commands_tell_when_they_began(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    let add = act("open 0 n w add 0");
    let rows = [vec![add.clone(), add.clone()], vec![add]];
    let mut lab = Lab::rows(zygote, counter, &rows, Options::default()).expect("a machine");
    let execution = lab.run(&mut Turns(vec![0, 0, 0, 0, 1, 1, 1, 1], 0)).expect("an execution");
    assert_eq!((execution.end, lab.see(&execution).files[1].as_str()), (End::Completed, "n: \"3\\n\""));
    let times: Vec<_> =
        execution.outcome.commands.iter().flatten().map(|one| (one.invoked, one.returned)).collect();
    assert_eq!(times, [(Some(0), Some(4)), (Some(8), Some(12)), (Some(0), Some(8))]);
    let explored = lab.explore(&mut Exhaustive::new(), 10_000).expect("few executions");
    assert_eq!(explored.coverage, Coverage::Exhausted);
    assert_eq!(ends(&explored).len(), 3, "{explored:?}");
}

fn channels_join_processes(zygote: &Zygote) {
    let setup = |folder: &Path| {
        nix::unistd::mkfifo(&folder.join("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("made");
    };
    let commands = [shell("read x < fifo; echo got $x > out"), shell("echo hello > fifo")];
    let mut lab = Lab::open(zygote, setup, &commands, Options::default()).expect("a machine");
    for turns in [vec![0; 20], vec![1; 20], vec![0, 1, 0, 1, 0, 1]] {
        let execution = lab.run(&mut Turns(turns, 0)).expect("an execution");
        assert_eq!(execution.end, End::Completed, "{:?}", execution.outcome.stall);
        assert!(lab.see(&execution).files.contains(&"out: \"got hello\\n\"".to_owned()));
    }
}

fn faults_meet_any_program(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    let commands = [act("open 0 n w put 0 hello exit 3"), act("open 0 n r read 0")];
    let mut lab = Lab::open(zygote, counter, &commands, Options::default()).expect("a machine");
    let plan = |label: &str, fault| vec![Planned { process: 0, label: label.into(), fault }];
    for (label, fault, ending, content) in [
        ("write n", Fault::Kill, Ending::Killed, "0\n"),
        ("write n", Fault::ShortWrite, Ending::NotBegun, "he"),
        ("write n", Fault::ShortWriteKill, Ending::Killed, "he"),
        ("write n", Fault::Error(Injected::NoSpace), Ending::NotBegun, "0\n"),
        ("open n", Fault::Kill, Ending::Killed, "0\n"),
    ] {
        lab.planned = plan(label, fault);
        let execution = lab.run(&mut in_turn()).expect("an execution");
        assert_eq!(execution.end, End::Completed, "{label} {fault}");
        let first = &execution.outcome.commands[0][0];
        match ending {
            Ending::Killed => assert_eq!(first.ending, Ending::Killed),
            _ => assert!(
                String::from_utf8_lossy(&first.stdout).contains(if fault == Fault::ShortWrite {
                    "put 2"
                } else {
                    "put -28"
                }),
                "{first:?}"
            ),
        }
        assert_eq!(fs::read_to_string(lab.state.join("n")).expect("there"), content, "{label} {fault}");
        let told = execution.outcome.schedule().lines;
        assert!(told.iter().any(|line| line.fault == Some(fault)), "{told:?}");
    }
    lab.planned = Vec::new();
    let execution = lab.run(&mut in_turn()).expect("an execution");
    assert_eq!(execution.outcome.faults, []);
}

fn what_cannot_be_foreseen_is_refused_by_name(zygote: &Zygote) {
    if !has("python3", "what_cannot_be_foreseen_is_refused_by_name") {
        return;
    }
    let python =
        |script: &str| (which("python3"), vec!["-S".into(), "-I".into(), "-c".into(), script.into()]);
    for (script, call, why) in [
        ("import mmap,os; f=open('n','r+'); mmap.mmap(f.fileno(), 2)", "mmap", "shares memory through n"),
        ("import socket; socket.create_connection(('127.0.0.1', 9), 1)", "connect", "not under control"),
        ("import ctypes; ctypes.CDLL(None).shmget(77, 100, 0o1600)", "shmget", "shares memory"),
        ("import ctypes; ctypes.CDLL(None).unshare(0x20000)", "unshare", "what paths mean"),
        (
            "import fcntl; fcntl.ioctl(open('n', 'r+'), 0xc0189436, bytes(24))",
            "ioctl",
            "share what is alike (FIDEDUPERANGE): n",
        ),
        (
            "import fcntl; fcntl.ioctl(open('n', 'r+'), 0x40087afe, bytes(8))",
            "ioctl",
            "the unknown request 0x40087afe: n",
        ),
        ("import ctypes; ctypes.CDLL(None).syscall(1000)", "system call 1000", "is not known"),
        // CLONE_VM, CLONE_FS, CLONE_SIGHAND, CLONE_THREAD and CLONE_SYSVSEM.
        (
            "import ctypes as c; l=c.CDLL(None); s=(c.c_char*65536)(); l.clone(l.getpid, c.c_void_p(c.addressof(s)+65520), 0x50b00, None)",
            "clone",
            "a thread with descriptors of its own",
        ),
        // CLOSE_RANGE_UNSHARE
        (
            "import ctypes,threading; t=threading.Thread(target=lambda: ctypes.CDLL(None).syscall(436, 100, 100, 2)); t.start(); t.join()",
            "close_range",
            "gives a thread descriptors of its own",
        ),
    ] {
        let mut lab = Lab::open(zygote, counter, &[python(script)], Options::default()).expect("a machine");
        match lab.run(&mut in_turn()) {
            Err(TraceeError::Refused { process: 1, call: told, why: reason, .. }) => {
                assert_eq!(told, call);
                assert!(reason.contains(why), "{reason}");
            }
            other => panic!("{script}: {other:?}"),
        }
        // The machine goes on; and what is allowed is noted.
        let allowing = Options { allow_uncontrolled: true, ..Options::default() };
        let mut lab = Lab::open(zygote, counter, &[python(script)], allowing).expect("a machine");
        let execution = lab.run(&mut in_turn()).expect("an execution");
        assert!(
            execution.outcome.uncontrolled.keys().any(|key| key.starts_with(call)),
            "{:?}",
            execution.outcome
        );
        assert!(!execution.outcome.is_certain());
    }
}

fn requests_of_files_are_steps_and_those_of_devices_are_none(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        assert!(std::env::var_os("FLOCKWORK_REQUIRE_ALL").is_none(), "gcc");
        return;
    }
    // How much is left to be read is what another has written, or not yet; a file that is asked to be a tape says that it is none.
    let commands = [act("open 0 n w tape 0 ask 0 ask 0"), act("open 0 n w put 0 12345")];
    let explored = all_of(zygote, counter, &commands);
    let left: BTreeSet<String> = explored.seen.iter().map(|seen| seen.commands[0].join(" ")).collect();
    println!("{left:?}");
    assert_eq!(explored.coverage, Coverage::Exhausted);
    assert_eq!(left.len(), 3, "{left:?}");
}

/// One thread looks for a file again and again, and sleeps in between; another waits in the kernel until the first has given up.
fn who_did_not_come_is_not_waited_for_again(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        assert!(std::env::var_os("FLOCKWORK_REQUIRE_ALL").is_none(), "gcc");
        return;
    }
    let commands = [act("pipe thread recv endthread tries absent 50 send join")];
    let mut lab = Lab::open(zygote, counter, &commands, Options::default()).expect("a machine");
    let executions = if std::env::var_os("FLOCKWORK_LONG").is_some() { 1000 } else { 3 };
    let mut first = None;
    for number in 1..=executions {
        let execution = lab.run(&mut in_turn()).expect("an execution");
        let steps = steps(&execution.outcome);
        let seen = lab.see(&execution);
        assert_eq!(execution.end, End::Completed, "{number}: {steps:?}");
        assert!(seen.commands[0][0].contains("tries 0"), "{number}: {seen:?}");
        let waited = lab.machine.waited_in_vain();
        assert!((1..=5).contains(&waited), "{number}: {waited} times");
        assert_eq!(first.get_or_insert_with(|| steps.clone()), &steps, "{number}");
    }
}
