//! Signals that a tree sends to itself, by handlers that do not have calls made again: to the program they come during a call,
//! and no call fails of them that never does.

use std::collections::BTreeSet;
use std::path::PathBuf;

use flockwork_harness::explore::machine::{Chooser, End, Pick, Point};
use flockwork_harness::explore::step::Event;
use flockwork_harness::explore::strategy::exhaustive::Exhaustive;
use flockwork_harness::plan::race::ForkServer;
use flockwork_harness::process::Zygote;
use flockwork_harness::tracee::{Options, Threads};

use crate::Case;
use crate::cases::{counter, in_turn, steps};
use crate::lab::{Build, Lab, act, actor, has, shell, which};

pub const ALL: &[Case] = &[
    ("signals::no_call_that_is_held_fails_of_a_signal", no_call_that_is_held_fails_of_a_signal),
    ("signals::orders_with_signals_repeat_themselves", orders_with_signals_repeat_themselves),
    ("signals::who_waits_for_a_lock_is_interrupted", who_waits_for_a_lock_is_interrupted),
    ("signals::who_sleeps_is_interrupted", who_sleeps_is_interrupted),
    ("signals::whoever_runs_until_a_signal_comes_gets_it", whoever_runs_until_a_signal_comes_gets_it),
    ("signals::a_child_ends_while_its_parent_looks_for_that", a_child_ends_while_its_parent_looks_for_that),
    ("signals::who_waits_with_a_timer_is_in_no_deadlock", who_waits_with_a_timer_is_in_no_deadlock),
    ("signals::who_ends_its_child_is_not_interrupted", who_ends_its_child_is_not_interrupted),
    ("signals::scripts_that_end_what_they_started_repeat", scripts_that_end_what_they_started_repeat),
    ("signals::the_locks_of_whoever_is_killed_are_free", the_locks_of_whoever_is_killed_are_free),
    ("signals::a_python_program_times_out_at_a_lock", a_python_program_times_out_at_a_lock),
];

/// Every way to hold programs that signals may meet.
fn ways() -> Vec<Options> {
    let of = |threads, without_real_time, fork_server| Options {
        threads,
        without_real_time,
        fork_server,
        ..Options::default()
    };
    let mut ways = Vec::new();
    for without_real_time in [false, true] {
        ways.extend(Threads::ALL.iter().map(|threads| of(*threads, without_real_time, ForkServer::Off)));
    }
    ways.push(of(Threads::Fixed, false, ForkServer::Auto));
    ways
}

/// A parent that is signalled by its child, and a thread that is signalled by another, again and again.
const SIGNALLED: [&str; 3] = [
    "catch user fork signal mkdir a signal signal rmdir a signal endfork open 1 z wc put 1 x size 1 rm z wait",
    "catch user thread signalfirst mkdir a signalfirst signalfirst rmdir a endthread open 1 z wc put 1 x rm z join",
    "catch user fork signal signal endfork fork signal open 2 b wc signal endfork open 1 z wc put 1 x rm z wait",
];

/// Calls that failed with `EINTR`, but for those that may wait for others.
fn failed(told: &str) -> Vec<&str> {
    let may = |line: &&str| line.ends_with(" -4") && !line.starts_with("wait") && !line.starts_with("join");
    told.lines().filter(may).collect()
}

/// Plays this part again and again, in every way: no signal interrupts a call that is held, and what it tells contains this.
fn plays_undisturbed(zygote: &Zygote, words: &str, tells: &str) {
    for options in ways() {
        let told = format!("{words} {options:?}");
        let mut lab = Lab::open(zygote, |_| {}, &[act(words)], options).expect("a machine");
        for _ in 0..20 {
            let execution = lab.run(&mut in_turn());
            let execution = execution.unwrap_or_else(|error| panic!("{told}: {error}"));
            let seen = lab.see(&execution);
            assert_eq!(execution.end, End::Completed, "{told}: {seen:?}");
            assert!(execution.outcome.spoilt.is_empty(), "{told}: {:?}", execution.outcome.spoilt);
            assert_eq!(failed(&seen.commands[0][0]), [""; 0], "{told}: {seen:?}");
            assert!(seen.commands[0][0].contains(tells), "{told}: {seen:?}");
        }
    }
}

fn no_call_that_is_held_fails_of_a_signal(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    for words in SIGNALLED {
        plays_undisturbed(zygote, words, "");
    }
}

fn orders_with_signals_repeat_themselves(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    for words in SIGNALLED {
        let commands = [act(words), act("open 0 z wc put 0 y rm z")];
        let mut lab = Lab::open(zygote, |_| {}, &commands, Options::default()).expect("a machine");
        let explored = lab.explore(&mut Exhaustive::new(), 20_000).expect("few executions");
        assert_eq!(explored.diverged, 0, "{words}");
        for seen in &explored.seen {
            assert_eq!(failed(&seen.commands[0][0]), [""; 0], "{words}: {seen:?}");
        }
        let taken: BTreeSet<Vec<String>> = (0..50)
            .map(|_| {
                let execution = lab.run(&mut in_turn()).expect("an execution");
                assert!(execution.outcome.spoilt.is_empty(), "{words}: {:?}", execution.outcome.spoilt);
                steps(&execution.outcome)
            })
            .collect();
        assert_eq!(taken.len(), 1, "{words}: {taken:?}");
    }
}

fn who_waits_for_a_lock_is_interrupted(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    // The child gives the lock up only when its parent has given up waiting for it.
    let words = "catch user open 0 lock wc pipe fork open 1 lock w flock 1 x send signal until done endfork recv flock 0 x mkdir done wait";
    for options in ways() {
        let explores = options.threads == Threads::Explore;
        let mut lab = Lab::open(zygote, |_| {}, &[act(words)], options.clone()).expect("a machine");
        for _ in 0..20 {
            let execution = lab.run(&mut in_turn()).expect("an execution");
            let seen = lab.see(&execution);
            assert_eq!(execution.end, End::Completed, "{options:?}: {seen:?}");
            assert!(execution.outcome.spoilt.is_empty(), "{options:?}: {:?}", execution.outcome.spoilt);
            let told = &seen.commands[0][0];
            // Where tasks are explored the signal may come before the parent waits.
            assert!(told.contains("flock -4") || explores && told.contains("recv -4"), "{options:?}: {told}");
        }
    }
}

fn who_sleeps_is_interrupted(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    // The signal comes before the wait, which lets it in.
    let words = "catch user block fork signal endfork stat n wait ppoll";
    for options in ways() {
        let mut lab = Lab::open(zygote, counter, &[act(words)], options.clone()).expect("a machine");
        let execution = lab.run(&mut in_turn()).expect("an execution");
        let told = &lab.see(&execution).commands[0][0];
        assert!(told.contains("ppoll -4") && execution.outcome.spoilt.is_empty(), "{options:?}: {told}");
    }
    // Or while it lasts: the child goes on when the file is there, so that its parent sleeps for longer.
    let words = "catch user block fork until go signal endfork stat n mkdir go ppoll wait";
    for options in ways() {
        let mut lab = Lab::open(zygote, counter, &[act(words)], options.clone()).expect("a machine");
        let execution = lab.run(&mut in_turn()).expect("an execution");
        let told = &lab.see(&execution).commands[0][0];
        assert!(told.contains("ppoll -4") && execution.outcome.spoilt.is_empty(), "{options:?}: {told}");
    }
}

fn whoever_runs_until_a_signal_comes_gets_it(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    let words = "catch user fork signal endfork heard open 1 z wc wait";
    for options in ways() {
        let mut lab = Lab::open(zygote, |_| {}, &[act(words)], options.clone()).expect("a machine");
        let execution = lab.run(&mut in_turn()).expect("an execution");
        let told = &lab.see(&execution).commands[0][0];
        assert!(told.contains("heard 0") && execution.outcome.spoilt.is_empty(), "{options:?}: {told}");
    }
}

fn a_child_ends_while_its_parent_looks_for_that(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    // The parent is held whenever it does not run.
    let words = "catch child fork exit 3 endfork poll n";
    for options in ways() {
        let mut lab = Lab::open(zygote, counter, &[act(words)], options.clone()).expect("a machine");
        let execution = lab.run(&mut in_turn()).expect("an execution");
        assert_eq!(execution.end, End::Completed, "{options:?}");
        let told = &lab.see(&execution).commands[0][0];
        assert!(told.contains("poll 3") && execution.outcome.spoilt.is_empty(), "{options:?}: {told}");
    }
}

fn a_python_program_times_out_at_a_lock(zygote: &Zygote) {
    if !has("python3", "a_python_program_times_out_at_a_lock") {
        return;
    }
    let script = "\
import fcntl, os, signal, threading
class Late(Exception): pass
def late(*_): raise Late
signal.signal(signal.SIGUSR1, late)
lock, ready, done = open('lock', 'w'), os.pipe(), os.pipe()
if not (child := os.fork()):
    held = open('lock', 'w')
    fcntl.flock(held, fcntl.LOCK_EX)
    os.write(ready[1], b'x')
    os.kill(os.getppid(), signal.SIGUSR1)
    os.read(done[0], 1)
    os._exit(0)
os.read(ready[0], 1)
try:
    fcntl.flock(lock, fcntl.LOCK_EX)
    print('locked')
except Late:
    print('late')
for number in range(10):
    open(f'f{number}', 'w').close()
os.write(done[1], b'x')
print(os.waitpid(child, 0)[1])
";
    let command: (PathBuf, Vec<String>) =
        (which("python3"), ["-I", "-S", "-c", script].map(str::to_owned).to_vec());
    let mut lab = Lab::open(zygote, |_| {}, &[command], Options::default()).expect("a machine");
    for _ in 0..5 {
        let execution = lab.run(&mut in_turn()).expect("an execution");
        let seen = lab.see(&execution);
        assert_eq!(seen.commands[0][0], "Exited(0) late\n0\n", "{seen:?}");
        assert!(execution.outcome.spoilt.is_empty(), "{:?}", execution.outcome.spoilt);
        assert_eq!(seen.files.len(), 11, "{seen:?}");
    }
}

/// Two scripts that lock two files in opposite orders, and wait for the second only for a while.
fn who_waits_with_a_timer_is_in_no_deadlock(zygote: &Zygote) {
    let test = "who_waits_with_a_timer_is_in_no_deadlock";
    if !["flock", "timeout", "perl"].iter().all(|program| has(program, test)) {
        return;
    }
    let alarm = "perl -e '$SIG{ALRM} = sub { die \"late\\n\" }; alarm 1000; open L, \">>&=@\"; flock L, 2 or die \"late\\n\"'";
    for (waits, has_late) in
        [("flock -w 1000 @", true), ("timeout 1000 flock @", true), (alarm, true), ("flock @", false)]
    {
        let script = |first: &str, second: &str| {
            let wait = waits.replace('@', second);
            shell(&format!("exec 8>>a 9>>b; flock {first}; {wait} 2>/dev/null || echo late"))
        };
        let commands = [script("8", "9"), script("9", "8")];
        let mut lab = Lab::open(zygote, |_| {}, &commands, Options::default()).expect("a machine");
        // Each takes its first lock, and then its second.
        let mut crossed = Crossed::default();
        let execution = lab.run(&mut crossed).expect("an execution");
        let seen = lab.see(&execution);
        assert_eq!(
            execution.end == End::Completed,
            has_late,
            "{waits}: {seen:?} {:?}",
            execution.outcome.stall
        );
        let late = seen.commands.iter().any(|row| row[0].contains("late"));
        assert_eq!(late, has_late, "{waits}: {seen:?}");
        // When it was late was decided by time.
        assert_eq!(execution.outcome.is_certain(), !has_late, "{waits}");
        let spoilt = &execution.outcome.spoilt;
        assert!(spoilt.is_empty(), "{waits}: {spoilt:?}");
    }
}

/// Lets the first go on until it has its lock, then the second, and then whoever can.
#[derive(Default)]
struct Crossed {
    locked: [bool; 2],
}

impl Chooser for Crossed {
    fn choose(&mut self, point: &Point<'_>) -> Pick {
        let without = (0..2).find(|process| !self.locked[*process] && point.enabled.has(*process));
        without.or(point.enabled.lowest()).map_or(Pick::Abandon, Pick::Step)
    }

    fn happened(&mut self, event: &Event) {
        self.locked[event.process] |= event.step.label.starts_with("flock ");
    }
}

/// Parents that end or stop their children, and hear of it by a handler that has no call made again.
const ENDING: [(&str, &str); 7] = [
    ("catch child fork pause endfork kill 9 mkdir a rmdir a open 1 z wc put 1 x rm z wait", "wait 1009"),
    ("catch child fork pause endfork kill 15 mkdir a rmdir a open 1 z wc put 1 x rm z wait", "wait 1015"),
    (
        "catch child fork until never endfork kill 15 mkdir a rmdir a open 1 z wc put 1 x rm z wait",
        "wait 1015",
    ),
    (
        "catch child fork pause endfork fork pause endfork kill 10 mkdir a rmdir a ignore 15 killgroup 15 mkdir a rmdir a wait",
        "wait 1010",
    ),
    (
        "catch child group fork fork pause endfork pause endfork ignore 1 killgroup 1 mkdir a rmdir a wait",
        "wait 1001",
    ),
    (
        "group fork pause endfork fork pause endfork catch user catch child killgroup 10 mkdir a rmdir a wait",
        "wait 1010",
    ),
    (
        "catch child fork pause endfork kill 19 mkdir a rmdir a kill 18 mkdir a rmdir a kill 9 mkdir a rmdir a wait",
        "wait 1009",
    ),
];

fn who_ends_its_child_is_not_interrupted(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    for (words, ends) in ENDING {
        plays_undisturbed(zygote, words, ends);
    }
}

fn scripts_that_end_what_they_started_repeat(zygote: &Zygote) {
    let test = "scripts_that_end_what_they_started_repeat";
    let mut scripts = vec![
        ("sh", "sleep 100 & kill -9 $!; mkdir d; rmdir d; wait; echo $?"),
        ("sh", "trap 'echo child' CHLD; sleep 100 & kill $!; mkdir d; rmdir d; wait; echo $?"),
        ("sh", "(while :; do sleep 1; done) & kill $!; mkdir d; rmdir d; wait $!; echo $?"),
        ("sh", "trap : TERM; sleep 100 & sleep 100 & kill 0; mkdir d; rmdir d; wait; echo over"),
    ];
    if has("bash", test) {
        scripts.extend([
            ("bash", "trap 'echo child' CHLD; sleep 100 & kill $!; mkdir d; rmdir d; wait; echo $?"),
            ("bash", "coproc sleep 100; kill $COPROC_PID; mkdir d; rmdir d; wait; echo $?"),
        ]);
    }
    for (program, script) in scripts {
        let command = (which(program), ["-c", script].map(str::to_owned).to_vec());
        let other = shell("mkdir d2; rmdir d2");
        let mut lab = Lab::open(zygote, |_| {}, &[command, other], Options::default()).expect("a machine");
        let mut taken = BTreeSet::new();
        for _ in 0..25 {
            let execution = lab.run(&mut in_turn());
            let execution = execution.unwrap_or_else(|error| panic!("{script}: {error}"));
            let spoilt = &execution.outcome.spoilt;
            assert!(spoilt.is_empty() && execution.end == End::Completed, "{script}: {spoilt:?}");
            taken.insert((steps(&execution.outcome), lab.see(&execution)));
        }
        assert_eq!(taken.len(), 1, "{script}: {taken:#?}");
    }
}

/// A child holds a lock, is killed, and its parent takes the lock: it is free for both processes.
fn the_locks_of_whoever_is_killed_are_free(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    let take = ["flock 0 x", "lock 0 x 0 0", "lock 0 xp 0 0"];
    // By its parent, by itself, by its child, and by what no call tells.
    let deaths = [
        (
            "fork open 0 lock wc @ mkdir held pause endfork until held kill 9 wait open 0 lock wc @ rmdir held",
            "wait 1009",
        ),
        ("fork open 0 lock wc @ killself 15 endfork wait open 0 lock wc @", "wait 1015"),
        ("fork open 0 lock wc @ fork killparent 9 endfork pause endfork wait open 0 lock wc @", "wait 1009"),
        ("fork open 0 lock wc @ crash endfork wait open 0 lock wc @", "wait 1011"),
    ];
    for take in take {
        for (words, ends) in deaths {
            let words = words.replace('@', take);
            let other = act(&format!("mkdir go open 0 lock wc {take} rmdir go"));
            for options in ways() {
                let explores = options.threads == Threads::Explore;
                let commands = [act(&words), other.clone()];
                let mut lab = Lab::open(zygote, |_| {}, &commands, options.clone()).expect("a machine");
                for _ in 0..if explores { 2 } else { 10 } {
                    let execution = lab.run(&mut in_turn()).expect("an execution");
                    let seen = lab.see(&execution);
                    assert_eq!(
                        execution.end,
                        End::Completed,
                        "{words} {options:?}: {:?}",
                        execution.outcome.stall
                    );
                    assert!(seen.commands[0][0].contains(ends), "{words}: {seen:?}");
                    assert!(execution.outcome.spoilt.is_empty(), "{words}: {:?}", execution.outcome.spoilt);
                }
            }
        }
    }
}
