//! Calls that would reach who is not under control: the process that starts commands, others of the harness, everybody.

use flockwork_harness::explore::machine::End;
use flockwork_harness::plan::race::ForkServer;
use flockwork_harness::process::Zygote;
use flockwork_harness::tracee::{Options, TraceeError};

use crate::Case;
use crate::cases::in_turn;
use crate::lab::{Build, Lab, act, actor, shell};

pub const ALL: &[Case] = &[
    ("spared::nobody_reaches_the_process_that_started_it", nobody_reaches_the_process_that_started_it),
    ("spared::nobody_signals_who_is_not_under_control", nobody_signals_who_is_not_under_control),
    ("spared::what_reaches_ones_own_is_let_through", what_reaches_ones_own_is_let_through),
];

/// Each with what it is refused for. Where a call reaches others than the parent, its signal is one that nobody minds: SIGWINCH.
const REACHING: [(&str, &str, &str); 13] = [
    ("reach kill 15", "kill", "started it"),
    ("reach kill 9", "kill", "started it"),
    ("reach kill 19", "kill", "started it"),
    ("reach tkill 15", "tkill", "started it"),
    ("reach tgkill 15", "tgkill", "started it"),
    ("reach queue 15", "rt_sigqueueinfo", "started it"),
    ("reach pidfd 9", "pidfd_send_signal", "started it"),
    ("reach group 15", "kill", "flockwork"),
    ("reach ptrace 0", "ptrace", "reaches into the process that started it"),
    ("reach memory 0", "process_vm_writev", "reaches into the process that started it"),
    ("reach descriptor 0", "pidfd_getfd", "reaches into the process that started it"),
    ("reach limits 0", "prlimit64", "sets limits of the process that started it"),
    ("killall 28", "kill", "signals every process there is"),
];

fn nobody_reaches_the_process_that_started_it(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    for (words, call, why) in REACHING {
        // By the command itself, where its parent is flockwork's; also where what cannot be foreseen is let through.
        for (fork_server, allow_uncontrolled) in
            [(ForkServer::Off, false), (ForkServer::Auto, false), (ForkServer::Off, true)]
        {
            // Clones do not find their parent where they are: compared with a started program, they would be found out.
            if fork_server == ForkServer::Auto
                && ["pidfd", "group", "descriptor"].iter().any(|how| words.contains(how))
            {
                continue;
            }
            let options = Options { fork_server, allow_uncontrolled, ..Options::default() };
            let words = format!("mkdir a {words} rmdir a");
            let mut lab = Lab::open(zygote, |_| {}, &[act(&words)], options).expect("a machine");
            match lab.run(&mut in_turn()) {
                Err(TraceeError::Harmful { process: 1, call: told, why: reason, .. }) => {
                    assert_eq!(told, call, "{words}");
                    assert!(reason.contains(why) && reason.contains("flockwork"), "{words}: {reason}");
                }
                other => panic!("{words}, {fork_server:?}, {allow_uncontrolled}: {other:?}"),
            }
        }
    }
}

fn nobody_signals_who_is_not_under_control(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    let mut outside = std::process::Command::new("sleep").arg("1000").spawn().expect("started");
    // It is of the harness, whoever started it.
    let words = format!("reachpid {} 15", outside.id());
    let mut lab = Lab::open(zygote, |_| {}, &[act(&words)], Options::default()).expect("a machine");
    let refused = lab.run(&mut in_turn());
    let is_alive = matches!(outside.try_wait(), Ok(None));
    outside.kill().and_then(|()| outside.wait()).expect("ended");
    assert!(is_alive && matches!(refused, Err(TraceeError::Harmful { .. })), "{refused:?}");
    // The first process of all is nobody's child here.
    let mut lab = Lab::open(zygote, |_| {}, &[act("reachpid 1 28")], Options::default()).expect("a machine");
    match lab.run(&mut in_turn()) {
        Err(TraceeError::Refused { call, why, .. }) => {
            assert!(call == "kill" && why.contains("not under control"), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

fn what_reaches_ones_own_is_let_through(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    for words in [
        // Whether somebody is there harms nobody.
        "reach kill 0",
        "reach group 0",
        "killall 0",
        "ignore 15 killgroup 15",
        "fork pause endfork kill 9 wait",
        // It is told if its parent ends, and that one does not.
        "orphaned mkdir a rmdir a",
        // Nobody is there.
        "reachpid 4194303 9",
    ] {
        let mut lab = Lab::open(zygote, |_| {}, &[act(words)], Options::default()).expect("a machine");
        let execution = lab.run(&mut in_turn()).unwrap_or_else(|error| panic!("{words}: {error}"));
        assert_eq!(execution.end, End::Completed, "{words}");
    }
    // Between two trees, and in a group that is one's own.
    let commands = [
        shell("echo $$ >pid; while ! [ -e never ]; do sleep 1; done"),
        shell("while ! [ -s pid ]; do sleep 1; done; kill -9 $(cat pid)"),
    ];
    let mut lab = Lab::open(zygote, |_| {}, &commands, Options::default()).expect("a machine");
    let execution = lab.run(&mut in_turn()).expect("an execution");
    assert_eq!(execution.end, End::Completed);
    assert!(lab.see(&execution).commands[0][0].starts_with("Signaled(9)"), "{:?}", lab.see(&execution));
}
