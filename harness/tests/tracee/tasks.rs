//! The tasks of one process explored against each other: every order of them, told by their places.

use flockwork_harness::explore::strategy::Coverage;
use flockwork_harness::explore::strategy::exhaustive::Exhaustive;
use flockwork_harness::explore::strategy::naive::Naive;
use flockwork_harness::plan::schedule::Fault;
use flockwork_harness::process::Zygote;
use flockwork_harness::tracee::{Ending, Options, Planned, Threads};

use crate::Case;
use crate::lab::{Build, Explored, Lab, Turns, act, actor, shell};

pub const ALL: &[Case] = &[
    ("all_orders_of_two_threads_are_run", all_orders_of_two_threads_are_run),
    ("threads_that_race_with_each_other_are_found", threads_that_race_with_each_other_are_found),
    ("one_process_of_a_command_is_killed_alone", one_process_of_a_command_is_killed_alone),
];

fn exploring() -> Options {
    Options { threads: Threads::Explore, ..Options::default() }
}

/// A thread beside the first, each with so many steps.
fn two_threads(steps: usize) -> String {
    let half = |name: &str| vec![format!("stat {name}"); steps].join(" ");
    format!("thread {} endthread {} join", half("a"), half("b"))
}

fn all_of(zygote: &Zygote, words: &str, options: Options) -> Explored {
    let mut lab = Lab::open(zygote, |_| {}, &[act(words)], options).expect("a machine");
    lab.explore(&mut Naive::new(), 2_000).expect("few executions")
}

fn all_orders_of_two_threads_are_run(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    // C(2n, n) orders of two times n steps.
    let long = std::env::var_os("FLOCKWORK_LONG").is_some();
    for (steps, orders) in [(1, 2), (2, 6), (3, 20), (4, 70), (6, 924)] {
        if steps == 6 && !long {
            continue;
        }
        let explored = all_of(zygote, &two_threads(steps), exploring());
        assert_eq!((explored.executions, explored.diverged), (orders, 0), "{steps} steps: {explored:?}");
        assert_eq!(explored.coverage, Coverage::Exhausted);
        let fixed = all_of(zygote, &two_threads(steps), Options::default());
        assert_eq!(fixed.executions, 1, "{fixed:?}");
    }
}

fn threads_that_race_with_each_other_are_found(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    let setup = |folder: &std::path::Path| std::fs::write(folder.join("n"), "0\n").expect("written");
    let words = "open 0 n w thread add 0 endthread add 0 join";
    let mut lab = Lab::open(zygote, setup, &[act(words)], exploring()).expect("a machine");
    let explored = lab.explore(&mut Exhaustive::new(), 1_000).expect("few executions");
    let files: std::collections::BTreeSet<_> = explored.seen.iter().map(|seen| seen.files.concat()).collect();
    assert_eq!(files, ["n: \"1\\n\"", "n: \"2\\n\""].map(String::from).into(), "{explored:?}");
    assert_eq!((explored.coverage, explored.diverged), (Coverage::Exhausted, 0));
}

fn one_process_of_a_command_is_killed_alone(zygote: &Zygote) {
    // The parent waits for its child, and tells how that ended; what the child of one that is killed does, it does.
    let commands = [shell("(: >a; : >b); echo $? >c")];
    for threads in Threads::ALL {
        let options = Options { threads, ..Options::default() };
        let mut lab = Lab::open(zygote, |_| {}, &commands, options).expect("a machine");
        let plain = lab.run(&mut Turns(Vec::new(), 0)).expect("an execution");
        let chances: Vec<Planned> = plain
            .outcome
            .chances
            .iter()
            .filter(|(_, _, faults)| faults.has(Fault::KillOne))
            .map(|(process, label, _)| Planned {
                process: *process,
                label: label.clone(),
                fault: Fault::KillOne,
            })
            .collect();
        let mut seen = std::collections::BTreeSet::new();
        for planned in chances {
            lab.planned = vec![planned.clone()];
            let execution = lab.run(&mut Turns(Vec::new(), 0)).expect("an execution");
            let left = &execution.outcome;
            assert_eq!(left.faults.len(), 1, "{planned:?}");
            assert_eq!(left.commands[0][0].ending, Ending::Killed, "{planned:?}");
            let line = left.schedule().lines[left.faults[0].0].to_string();
            assert_eq!(line, format!("p1 {} ! kill-one", planned.label));
            seen.insert(lab.see(&execution).files);
        }
        let of = |files: &[&str]| files.iter().map(|file| (*file).to_owned()).collect::<Vec<_>>();
        // Killed before its first step, and before its second: the parent goes on.
        assert!(seen.contains(&of(&["c: \"137\\n\""])), "{threads:?}: {seen:?}");
        assert!(seen.contains(&of(&["a: \"\"", "c: \"137\\n\""])), "{threads:?}: {seen:?}");
    }
}
