//! Programs that look again and again for what never comes: they hang, unless they give up.

use std::time::Duration;

use flockwork_harness::explore::machine::End;
use flockwork_harness::process::Zygote;
use flockwork_harness::tracee::Options;

use crate::Case;
use crate::cases::{counter, in_turn, steps};
use crate::lab::{Build, Lab, act, actor, has, shell, which};

pub const ALL: &[Case] = &[
    ("vain::who_looks_for_ever_hangs", who_looks_for_ever_hangs),
    ("vain::those_who_look_in_vain_together_hang_together", those_who_look_in_vain_together_hang_together),
    ("vain::who_gives_up_is_waited_for", who_gives_up_is_waited_for),
    (
        "vain::who_gives_up_and_waits_for_something_else_begins_anew",
        who_gives_up_and_waits_for_something_else_begins_anew,
    ),
    ("vain::who_sleeps_for_longer_than_others_look_goes_on", who_sleeps_for_longer_than_others_look_goes_on),
    ("vain::who_only_sleeps_keeps_nobody_from_the_end", who_only_sleeps_keeps_nobody_from_the_end),
];

const SHORT: Duration = Duration::from_millis(300);

fn impatient() -> Options {
    Options { patience: SHORT, ..Options::default() }
}

fn who_looks_for_ever_hangs(zygote: &Zygote) {
    let test = "who_looks_for_ever_hangs";
    let mut commands = vec![
        shell("while ! [ -e never ]; do sleep 0.1; done"),
        shell("mkdir never; while ! mkdir never 2>/dev/null; do sleep 3600; done"),
        shell("while :; do sleep 5; done"),
        // It writes each time, and nobody looks there.
        shell("until : >t.$$; ln t.$$ lock 2>/dev/null; do rm t.$$; sleep 5; done"),
    ];
    if actor(Build::Static).is_some() {
        commands.push(act("until never"));
        commands.push(act("pipe thread until never send endthread recv join"));
    }
    if has("python3", test) {
        let script = "import os,time\nwhile not os.path.exists('never'): time.sleep(1e9)";
        commands.push((which("python3"), vec!["-c".into(), script.into()]));
    }
    if has("flock", test) {
        commands.push(shell("exec 9>lock; flock 9; while ! flock -n lock true; do sleep 1; done"));
    }
    for command in commands {
        let mut lab =
            Lab::open(zygote, counter, std::slice::from_ref(&command), impatient()).expect("a machine");
        let mut first = None;
        for _ in 0..2 {
            let execution = lab.run(&mut in_turn()).unwrap_or_else(|error| panic!("{command:?}: {error}"));
            let taken = steps(&execution.outcome);
            assert_eq!(execution.end, End::Deadlock, "{command:?}: {} steps", taken.len());
            assert!(execution.outcome.looked_for_long, "{command:?}");
            let stall = execution.outcome.stall.expect("told");
            assert_eq!(stall.len(), 1, "{command:?}: {stall:?}");
            let why = "for a change to what it looked at, and no process is left to make one: it has looked in vain for 0.3 s";
            assert!(
                stall[0].starts_with("p1 waits at sleep") && stall[0].ends_with(why),
                "{command:?}: {stall:?}"
            );
            assert!((10..100).contains(&taken.len()), "{command:?}: {taken:?}");
            assert_eq!(first.get_or_insert_with(|| taken.clone()), &taken, "{command:?}");
        }
    }
}

fn those_who_look_in_vain_together_hang_together(zygote: &Zygote) {
    let waits = |name: &str| {
        shell(&format!("until : >{name}; ln {name} lock 2>/dev/null; do rm {name}; sleep 5; done"))
    };
    let mut lab = Lab::open(zygote, counter, &[waits("a"), waits("b")], impatient()).expect("a machine");
    let execution = lab.run(&mut in_turn()).expect("an execution");
    let taken = steps(&execution.outcome);
    assert!(execution.end == End::Deadlock && taken.len() < 200, "{} steps", taken.len());
    let stall = execution.outcome.stall.expect("told");
    assert_eq!(
        stall.iter().filter(|told| told.ends_with("it has looked in vain for 0.3 s")).count(),
        2,
        "{stall:?}"
    );
    // Each sees what the other writes: nobody can tell what they wait for.
    let listed =
        |name: &str| shell(&format!("while :; do : >{name}; rm {name}; ls >/dev/null; sleep 5; done"));
    let options = Options { time_limit: Duration::from_secs(3), ..impatient() };
    let mut lab = Lab::open(zygote, counter, &[listed("a"), listed("b")], options).expect("a machine");
    match lab.run(&mut in_turn()) {
        Ok(execution) => assert_eq!(execution.end, End::TooLong, "{:?}", execution.outcome.stall),
        Err(error) => assert!(error.to_string().contains("longer than 3 s"), "{error}"),
    }
}

fn who_gives_up_is_waited_for(zygote: &Zygote) {
    let test = "who_gives_up_is_waited_for";
    let mut commands = vec![shell(
        "i=0; while ! mkdir lock 2>/dev/null && [ $i -lt 60 ]; do sleep 60; i=$((i+1)); done; echo $i",
    )];
    if has("python3", test) {
        // By the clock, which shows the real time, and after so many looks.
        let script = "import os,time\nend=time.time()+1\nwhile not os.path.exists('never') and time.time()<end: time.sleep(0.1)\nprint(60)";
        commands.push((which("python3"), vec!["-c".into(), script.into()]));
        let script = "import os,time\nfor i in range(1000):\n  if not os.path.exists('never'): time.sleep(1)\nprint(60)";
        commands.push((which("python3"), vec!["-c".into(), script.into()]));
    }
    for command in commands {
        let options = Options { patience: Duration::from_secs(60), ..Options::default() };
        let mut lab = Lab::open(zygote, counter, std::slice::from_ref(&command), options).expect("a machine");
        let execution = lab.run(&mut in_turn()).expect("an execution");
        let seen = lab.see(&execution);
        assert_eq!(execution.end, End::Completed, "{command:?}: {seen:?}");
        assert_eq!(seen.commands[0], ["Exited(0) 60\n"], "{command:?}");
        assert!(!execution.outcome.looked_for_long && steps(&execution.outcome).len() < 100, "{command:?}");
    }
}

/// Each of two waits is shorter than the limit, and both together are longer.
fn who_gives_up_and_waits_for_something_else_begins_anew(zygote: &Zygote) {
    if !has("python3", "who_gives_up_and_waits_for_something_else_begins_anew") {
        return;
    }
    let script = "import os,time\nfor name in 'ab':\n  end=time.time()+2\n  \
                  while not os.path.exists(name) and time.time()<end: time.sleep(0.1)";
    let command = (which("python3"), vec!["-c".into(), script.into()]);
    let options = Options { patience: Duration::from_secs(3), ..Options::default() };
    let mut lab = Lab::open(zygote, counter, &[command], options).expect("a machine");
    let execution = lab.run(&mut in_turn()).expect("an execution");
    assert_eq!(execution.end, End::Completed, "{:?}", execution.outcome.stall);
}

fn who_sleeps_for_longer_than_others_look_goes_on(zygote: &Zygote) {
    let test = "who_sleeps_for_longer_than_others_look_goes_on";
    let looks = shell("while ! [ -e go ]; do sleep 0.001; done; echo came");
    let mut others = vec![
        // Sleeps that wait for a change as well, but are fewer.
        shell("for i in 1 2 3; do [ -e absent ]; sleep 10000; done; mkdir go"),
        // A process that was left behind.
        shell("read x < n; (sleep 3; sleep 10000; mkdir go) & exit 0"),
    ];
    if has("timeout", test) {
        others.push(shell("timeout 10000 sh -c 'while ! [ -e go ]; do sleep 0.001; done'; mkdir go"));
    }
    for other in others {
        for commands in [[looks.clone(), other.clone()], [other.clone(), looks.clone()]] {
            let mut lab = Lab::open(zygote, counter, &commands, impatient()).expect("a machine");
            let execution = lab.run(&mut in_turn()).unwrap_or_else(|error| panic!("{other:?}: {error}"));
            let (seen, uncertain) = (lab.see(&execution), &execution.outcome.uncertain);
            assert_eq!(execution.end, End::Completed, "{other:?}: {seen:?} {:?}", execution.outcome.stall);
            assert!(seen.commands.iter().flatten().any(|told| told.contains("came")), "{seen:?}");
            assert!(uncertain.iter().any(|what| what.contains("looked in vain")), "{other:?}: {uncertain:?}");
        }
    }
}

fn who_only_sleeps_keeps_nobody_from_the_end(zygote: &Zygote) {
    let test = "who_only_sleeps_keeps_nobody_from_the_end";
    let mut commands = vec![
        shell("(sleep 1; while :; do sleep 1000000; done) & read x < n; exit 0"),
        shell("(sleep infinity; sleep infinity; sleep infinity) & read x < n; exit 0"),
    ];
    if has("python3", test) {
        let script = "import os,time\nif os.fork() == 0:\n  while True: time.sleep(1e9)\nopen('n').read()";
        commands.push((which("python3"), vec!["-c".into(), script.into()]));
    }
    for command in commands {
        let others = [command.clone(), shell("read x < n; echo read")];
        let mut lab = Lab::open(zygote, counter, &others, impatient()).expect("a machine");
        let execution = lab.run(&mut in_turn()).unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let seen = lab.see(&execution);
        assert_eq!(execution.end, End::Completed, "{command:?}: {seen:?}");
        assert_eq!(seen.commands[1], ["Exited(0) read\n"], "{command:?}");
    }
}
