//! Programs of every kind, each with what must be found of it, or must not be.

use std::fs;
use std::path::{Path, PathBuf};

use flockwork_harness::engine::explore::machine::End;
use flockwork_harness::engine::explore::strategy::Coverage;
use flockwork_harness::engine::explore::strategy::exhaustive::Exhaustive;
use flockwork_harness::process::Zygote;
use flockwork_harness::tracee::{Left, Options, TraceeError};

use crate::Case;
use crate::lab::{Build, Explored, Lab, Turns, act, actor, has, shell};

pub const ALL: &[Case] = &[
    ("one_command_ends_as_it_ends", one_command_ends_as_it_ends),
    ("the_lost_update_of_a_program_is_found", the_lost_update_of_a_program_is_found),
    ("with_a_lock_nothing_is_lost", with_a_lock_nothing_is_lost),
    ("the_lost_update_of_a_shell_script_is_found", the_lost_update_of_a_shell_script_is_found),
    ("a_shell_script_with_flock_is_clean", a_shell_script_with_flock_is_clean),
    ("a_schedule_repeats_itself", a_schedule_repeats_itself),
];

type Commands = Vec<(PathBuf, Vec<String>)>;

fn counter(folder: &Path) {
    fs::write(folder.join("n"), "0\n").expect("written");
    fs::write(folder.join("lock"), "").expect("written");
}

fn all_of(zygote: &Zygote, setup: fn(&Path), commands: &[(PathBuf, Vec<String>)]) -> Explored {
    let mut lab = Lab::open(zygote, setup, commands, Options::default()).expect("a machine");
    lab.explore(&mut Exhaustive::new(), 100_000).expect("few executions")
}

/// The counter's values at the end of all executions.
fn ends(explored: &Explored) -> Vec<String> {
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

const ADD: &str = "read n < n; echo $((n + 1)) > n.$$; mv n.$$ n";

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
    let scripts: [Commands; 1] = [vec![shell(ADD), shell(ADD)]];
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

fn steps(left: &Left) -> Vec<String> {
    left.schedule().lines.iter().map(ToString::to_string).collect()
}

#[expect(dead_code, reason = "for what is refused")]
fn refused(result: Result<Lab, TraceeError>) -> String {
    result.err().map(|error| error.to_string()).unwrap_or_default()
}
