//! Random programs, explored by the reduction and by the enumeration of every interleaving: both must see the same.
//!
//! They are real programs: an actor that makes system calls as its arguments say, with locks, children, threads and
//! pipes; and shell scripts.

use flockwork_harness::explore::strategy::Coverage;
use flockwork_harness::explore::strategy::exhaustive::Exhaustive;
use flockwork_harness::explore::strategy::naive::Naive;
use flockwork_harness::process::Zygote;
use flockwork_harness::tracee::{Options, Threads};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::Case;
use crate::lab::{Build, Lab, act, actor, shell};

pub const ALL: &[Case] = &[
    ("random_programs_show_all_that_there_is", random_programs_show_all_that_there_is),
    ("random_tasks_show_all_that_there_is", random_tasks_show_all_that_there_is),
    ("random_scripts_show_all_that_there_is", random_scripts_show_all_that_there_is),
];

/// More executions than this are not enumerated.
const NAIVE_MAX: u64 = 1_500;

struct Dice(ChaCha8Rng);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        (self.0.next_u32() as usize) % most
    }

    fn one<'l>(&mut self, of: &[&'l str]) -> &'l str {
        of[self.below(of.len())]
    }
}

fn count(usual: u64, long: u64) -> u64 {
    if std::env::var_os("FLOCKWORK_LONG").is_some() { long } else { usual }
}

const PATHS: [&str; 4] = ["a", "b", "d/x", "d"];

/// One action of an actor.
fn action(dice: &mut Dice, flavour: usize) -> String {
    let (path, other) = (dice.one(&PATHS), dice.one(&PATHS));
    let locks = ["flock 0 x", "flock 0 s", "flock 0 xn", "flock 0 sn", "flock 0 u"];
    let parts = [
        "lock 0 x 0 10",
        "lock 0 s 0 10",
        "lock 0 xn 0 10",
        "lock 0 xp 0 10",
        "lock 0 sp 0 10",
        "lock 0 u 0 10",
    ];
    match flavour {
        0 => match dice.below(5) {
            0 => format!("open 0 a {}", dice.one(&["r", "w", "wt", "wc", "wcx"])),
            1 | 2 => dice.one(&locks).into(),
            _ => dice.one(&["read 0", "put 0 one", "put 0 other", "close 0", "add 0"]).into(),
        },
        1 => match dice.below(4) {
            0 => dice.one(&parts).into(),
            1 => dice.one(&locks).into(),
            _ => dice.one(&["read 0", "put 0 x", "size 0", "end 0", "resize 0 2"]).into(),
        },
        _ => match dice.below(16) {
            0 | 1 => format!("mv {path} {other}"),
            2 => format!("swap {path} {other}"),
            3 | 4 => format!("rm {path}"),
            5 => format!("ln {path} {other}"),
            6 => format!("sym {} {path}", dice.one(&["a", "b", "d", "../a"])),
            7 => format!("mkdir {path}"),
            8 => "rmdir d".into(),
            9 => format!("stat {path}"),
            10 => format!("lstat {path}"),
            11 => format!("ls {}", dice.one(&[".", "d"])),
            12 => format!("trunc {path} 2"),
            13 => format!("chmod {path}"),
            14 => format!("chdir {}", dice.one(&["d", ".."])),
            _ => format!("open 0 {path} {}", dice.one(&["r", "w", "wc", "wcx", "wt"])),
        },
    }
}

/// What one process does; in some, a part of it in a child or a thread.
fn program(dice: &mut Dice, flavour: usize, steps: usize) -> String {
    let mut actions: Vec<String> = (0..steps).map(|_| action(dice, flavour)).collect();
    if flavour == 1 {
        actions.insert(0, "open 0 a w".into());
    }
    match dice.below(7) {
        0 => {
            let at = dice.below(actions.len());
            actions.insert(at, "fork".into());
            actions.push("endfork wait".into());
        }
        1 => {
            let child = action(dice, 2);
            actions.insert(0, format!("pipe fork {child} send endfork"));
            actions.push("recv wait".into());
        }
        2 => {
            let child = action(dice, 2);
            actions.insert(0, format!("thread {child} endthread"));
            actions.push("join".into());
        }
        3 => {
            let child = action(dice, 2);
            actions.insert(0, format!("thread sleep 5 {child} sleep 5 endthread"));
            actions.push("join".into());
        }
        _ => {}
    }
    actions.join(" ")
}

/// Explores both ways; none where there are too many interleavings.
fn compare(zygote: &Zygote, what: &str, open: impl Fn(&Zygote) -> Lab) -> Option<(u64, u64)> {
    let mut lab = open(zygote);
    let naive = lab.explore(&mut Naive::new(), NAIVE_MAX)?;
    let reduced = lab.explore(&mut Exhaustive::new(), NAIVE_MAX * 2);
    let reduced = reduced.unwrap_or_else(|| panic!("the reduction takes more than everything: {what}"));
    assert_eq!((naive.diverged, reduced.diverged), (0, 0), "{what}");
    if !naive.uncertain.is_empty() {
        return None;
    }
    assert_eq!(reduced.coverage, Coverage::Exhausted, "{what}");
    let missed: Vec<_> = naive.seen.difference(&reduced.seen).collect();
    assert!(
        missed.is_empty(),
        "{what}\nof {} executions, {} were run, and never seen: {missed:#?}",
        naive.executions,
        reduced.executions
    );
    let made_up: Vec<_> = reduced.seen.difference(&naive.seen).collect();
    assert!(made_up.is_empty(), "{what}\nseen only by the reduction: {made_up:#?}");
    Some((naive.executions, reduced.executions))
}

fn random_programs_show_all_that_there_is(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    let begin = std::env::var("FLOCKWORK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let (mut compared, mut all, mut run) = (0, 0, 0);
    for seed in begin..begin + count(40, 1_000) {
        let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
        let flavour = dice.below(4);
        let processes = 2 + usize::from(dice.below(5) == 0);
        let programs: Vec<String> = (0..processes)
            .map(|_| {
                let steps = if processes == 3 { 1 + dice.below(2) } else { 2 + dice.below(2) };
                program(&mut dice, flavour, steps)
            })
            .collect();
        let what = format!("seed {seed}: {programs:#?}");
        let open = |zygote: &Zygote| {
            let commands: Vec<_> = programs.iter().map(|words| act(words)).collect();
            Lab::open(zygote, setup, &commands, Options::default()).expect("a machine")
        };
        if let Some((naive, reduced)) = compare(zygote, &what, open) {
            compared += 1;
            all += naive;
            run += reduced;
        }
    }
    println!("{compared} programs: {run} executions instead of {all}");
    assert!(compared > count(40, 1_000) / 2, "only {compared} were small enough");
    assert!(run < all, "nothing was left out");
}

/// The same, where the tasks of each process are explored as well.
fn random_tasks_show_all_that_there_is(zygote: &Zygote) {
    if actor(Build::Static).is_none() {
        return;
    }
    let begin = std::env::var("FLOCKWORK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let (mut compared, mut all, mut run) = (0, 0, 0);
    for seed in begin..begin + count(12, 1_000) {
        let mut dice = Dice(ChaCha8Rng::seed_from_u64(50_000 + seed));
        let flavour = dice.below(4);
        let programs: Vec<String> = (0..2).map(|number| divided(&mut dice, flavour, number == 0)).collect();
        let what = format!("seed {seed}: {programs:#?}");
        let open = |zygote: &Zygote| {
            let commands: Vec<_> = programs.iter().map(|words| act(words)).collect();
            let options = Options { threads: Threads::Explore, ..Options::default() };
            Lab::open(zygote, setup, &commands, options).expect("a machine")
        };
        if let Some((naive, reduced)) = compare(zygote, &what, open) {
            compared += 1;
            all += naive;
            run += reduced;
        }
    }
    println!("{compared} programs: {run} executions instead of {all}");
    assert!(compared > count(12, 1_000) / 3, "only {compared} were small enough");
    assert!(run < all, "nothing was left out");
}

/// What one process does, a part of it in a thread or a child that goes beside the rest.
fn divided(dice: &mut Dice, flavour: usize, is_divided: bool) -> String {
    let open = if flavour == 1 { "open 0 a w " } else { "" };
    let mut some = |most: usize| {
        let steps = 1 + dice.below(most);
        (0..steps).map(|_| action(dice, flavour)).collect::<Vec<_>>().join(" ")
    };
    if !is_divided {
        return format!("{open}{}", some(2));
    }
    let (aside, rest) = (some(2), some(2));
    if dice.below(2) == 0 {
        format!("{open}thread {aside} endthread {rest} join")
    } else {
        format!("{open}fork {aside} endfork {rest} wait")
    }
}

fn setup(folder: &std::path::Path) {
    std::fs::write(folder.join("a"), "first").expect("written");
    std::fs::create_dir(folder.join("d")).expect("made");
}

fn random_scripts_show_all_that_there_is(zygote: &Zygote) {
    const LINES: [&str; 9] = [
        "read x < a; echo \"$x\"",
        "echo new > a",
        "echo more >> a",
        "[ -e b ] && echo there",
        "mv a b 2>/dev/null; echo $?",
        "mkdir c 2>/dev/null; echo $?",
        "rm -f b",
        "(echo child > b)",
        "cat a 2>/dev/null | (read x; echo \"$x\")",
    ];
    let mut compared = 0;
    for seed in 0..count(6, 100) {
        let mut dice = Dice(ChaCha8Rng::seed_from_u64(1_000 + seed));
        let scripts: Vec<&str> = (0..2).map(|_| dice.one(&LINES)).collect();
        let what = format!("seed {seed}: {scripts:#?}");
        let open = |zygote: &Zygote| {
            let commands: Vec<_> = scripts.iter().map(|script| shell(script)).collect();
            Lab::open(zygote, setup, &commands, Options::default()).expect("a machine")
        };
        compared += u64::from(compare(zygote, &what, open).is_some());
    }
    assert!(compared > 0);
}
