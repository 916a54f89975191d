//! Timers that commands set: they are due on the clock by which sleeps end, whatever time really passes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flockwork_harness::explore::machine::End;
use flockwork_harness::explore::strategy::exhaustive::Exhaustive;
use flockwork_harness::process::Zygote;
use flockwork_harness::tracee::{Options, Threads};

use crate::Case;
use crate::cases::{in_turn, steps};
use crate::lab::{Build, Lab, act, actor, has, shell, which};

pub const ALL: &[Case] = &[
    ("timers::a_loop_that_sleeps_is_ended_in_its_own_time", a_loop_that_sleeps_is_ended_in_its_own_time),
    (
        "timers::who_never_stands_still_is_ended_as_time_passes",
        who_never_stands_still_is_ended_as_time_passes,
    ),
    ("timers::a_sleep_may_end_before_others_go_on", a_sleep_may_end_before_others_go_on),
    ("timers::a_timer_that_runs_is_told_of", a_timer_that_runs_is_told_of),
    (
        "timers::a_timer_that_comes_again_and_again_is_no_way_out",
        a_timer_that_comes_again_and_again_is_no_way_out,
    ),
];

/// What a command came to, by all of these executions: one thing.
fn repeated(zygote: &Zygote, commands: &[(PathBuf, Vec<String>)], options: &Options, times: usize) -> String {
    let mut lab = Lab::open(zygote, |_| {}, commands, options.clone()).expect("a machine");
    let mut seen = BTreeSet::new();
    for _ in 0..times {
        let execution = lab.run(&mut in_turn()).unwrap_or_else(|error| panic!("{commands:?}: {error}"));
        let told = lab.see(&execution);
        let spoilt = &execution.outcome.spoilt;
        assert!(execution.end == End::Completed && spoilt.is_empty(), "{commands:?}: {told:?} {spoilt:?}");
        seen.insert((told, steps(&execution.outcome)));
    }
    assert_eq!(seen.len(), 1, "{commands:?}: {seen:#?}");
    seen.pop_first().map(|(seen, _)| seen.commands[0][0].clone()).expect("an execution")
}

fn a_loop_that_sleeps_is_ended_in_its_own_time(zygote: &Zygote) {
    let test = "a_loop_that_sleeps_is_ended_in_its_own_time";
    if !has("timeout", test) {
        return;
    }
    // Six ticks in five and a half seconds, and as many tries, whatever a try costs; an hour passes as quickly as a second.
    let tries =
        "mkdir d; timeout 5.5 sh -c 'while ! mkdir d 2>/dev/null; do echo tick; sleep 1; done'; echo $?";
    for (script, ticks) in [
        ("timeout 5.5 sh -c 'while :; do echo tick; sleep 1; done'; echo $?", 6),
        (tries, 6),
        ("timeout 0.1 sh -c 'while :; do echo tick; sleep 1; done'; echo $?", 1),
        ("timeout 3600 sleep 100000; echo $?", 0),
        ("timeout -k 1 3600 sh -c 'trap : TERM; while :; do sleep 5000; done'; echo $?", 0),
    ] {
        for (without_real_time, threads) in
            [(false, Threads::Fixed), (true, Threads::Fixed), (false, Threads::Explore)]
        {
            let options = Options { without_real_time, threads, ..Options::default() };
            let begun = Instant::now();
            let told = repeated(zygote, &[shell(script)], &options, 5);
            assert_eq!(told.matches("tick").count(), ticks, "{script}: {told}");
            let code = if script.contains("-k") { "137" } else { "124" };
            assert!(told.split_whitespace().any(|word| word == code), "{script}: {told}");
            // Not by a timer of the kernel's.
            assert!(begun.elapsed() < Duration::from_secs(3000), "{script}");
        }
    }
}

fn who_never_stands_still_is_ended_as_time_passes(zygote: &Zygote) {
    let test = "who_never_stands_still_is_ended_as_time_passes";
    if !has("timeout", test) {
        return;
    }
    // It runs, or calls what concerns nobody, for ever.
    for script in ["while :; do :; done", "while :; do (:); done", "while :; do echo x >/dev/null; done"] {
        let script = format!("timeout 0.1 sh -c '{script}'; echo $?");
        let mut lab = Lab::open(zygote, |_| {}, &[shell(&script)], Options::default()).expect("a machine");
        let execution = lab.run(&mut in_turn()).unwrap_or_else(|error| panic!("{script}: {error}"));
        assert_eq!(execution.end, End::Completed, "{script}");
        let told = &lab.see(&execution).commands[0][0];
        assert!(told.starts_with("Exited(0) 124\n"), "{script}: {told}");
        assert!(!execution.outcome.is_certain(), "{script}");
    }
}

/// Who sleeps after a look at something that nobody changes may go on while another is half-way.
fn a_sleep_may_end_before_others_go_on(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    let setup = |state: &Path| fs::write(state.join("b"), "").expect("written");
    let other = act("stat b stat b");
    for (words, is_certain) in [
        ("rm b", true),
        ("sleep 100 rm b", true),
        ("stat absent sleep 100 rm b", true),
        ("stat absent ppoll rm b", true),
        // Whether it has tried often enough is not known: either all is seen, or it is said that it may not be.
        ("tries absent 3 rm b", false),
        ("tries absent 2 stat b tries absent 2 rm b", false),
    ] {
        for threads in Threads::ALL {
            let options = Options { threads, ..Options::default() };
            let mut lab = Lab::open(zygote, setup, &[act(words), other.clone()], options).expect("a machine");
            let explored = lab.explore(&mut Exhaustive::new(), 10_000).expect("few executions");
            let middle = explored.seen.iter().any(|seen| seen.commands[1][0].contains("stat 100\nstat -2"));
            let is_said = !explored.uncertain.is_empty();
            assert!(middle || is_said, "{words}: {:?}", explored.seen);
            if is_certain && threads == Threads::Fixed {
                assert!(middle && !is_said, "{words}: {:?} {:?}", explored.seen, explored.uncertain);
            }
        }
    }
}

fn a_timer_that_runs_is_told_of(zygote: &Zygote) {
    let test = "a_timer_that_runs_is_told_of";
    if has("perl", test) {
        let script = "alarm 10; sleep 3; print alarm 5; print ' '; print alarm 0; print ' '; print alarm 0";
        let command = (which("perl"), ["-e", script].map(str::to_owned).to_vec());
        assert_eq!(repeated(zygote, &[command], &Options::default(), 3), "Exited(0) 7 5 0");
        // It outlives what is executed.
        let script = "alarm 10; exec 'sleep', '1000'";
        let command = (which("perl"), ["-e", script].map(str::to_owned).to_vec());
        assert_eq!(repeated(zygote, &[command], &Options::default(), 3), "Signaled(14) ");
    }
    if has("python3", test) {
        let script = "\
import signal, time
R = signal.ITIMER_REAL
heard = []
signal.signal(signal.SIGALRM, lambda *_: heard.append(1))
print(signal.setitimer(R, 5, 2), signal.getitimer(R))
time.sleep(1)
left, every = signal.getitimer(R)
print(round(left), every)
signal.pause(); signal.pause()
print(signal.setitimer(R, 0), signal.getitimer(R), len(heard))
signal.setitimer(R, 100)
try: signal.setitimer(R, -1)
except OSError as error: print(error.errno)
print(signal.sigtimedwait([signal.SIGUSR1], 0))
";
        let command = (which("python3"), ["-I", "-S", "-c", script].map(str::to_owned).to_vec());
        let told = repeated(zygote, &[command], &Options::default(), 3);
        let wanted = "Exited(0) (0.0, 0.0) (5.0, 2.0)\n4 2.0\n(2.0, 2.0) (0.0, 0.0) 2\n22\nNone\n";
        assert_eq!(told, wanted);
    }
}

fn a_timer_that_comes_again_and_again_is_no_way_out(zygote: &Zygote) {
    let test = "a_timer_that_comes_again_and_again_is_no_way_out";
    if !has("python3", test) {
        return;
    }
    let script = "\
import fcntl, signal, sys
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
one, other = [open(name, 'w') for name in sys.argv[1:]]
fcntl.flock(one, fcntl.LOCK_EX)
open('met' + sys.argv[1], 'w').close()
import os, time
while len([name for name in os.listdir('.') if name.startswith('met')]) < 2: time.sleep(1)
fcntl.flock(other, fcntl.LOCK_EX)
";
    let program = |names: [&str; 2]| {
        let words = ["-I", "-S", "-c", script].into_iter().chain(names).map(str::to_owned);
        (which("python3"), words.collect::<Vec<_>>())
    };
    let commands = [program(["a", "b"]), program(["b", "a"])];
    let setup = |state: &Path| {
        for name in ["a", "b"] {
            fs::write(state.join(name), "").expect("written");
        }
    };
    let mut lab = Lab::open(zygote, setup, &commands, Options::default()).expect("a machine");
    let execution = lab.run(&mut in_turn()).expect("an execution");
    assert_eq!(execution.end, End::Deadlock, "{:?}", lab.see(&execution));
}
