//! Random programs: two or three processes with a few steps each, over two files and a folder, with locks.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::script::{Action, Ask, LockOwner, Script};

/// Where processes meet.
const PATHS: [&str; 4] = ["a", "b", "d/x", "d"];

/// A program: what is there first, and what each process does.
pub struct Program {
    pub setup: Script,
    pub scripts: Vec<Script>,
}

/// What is there before every program.
pub fn setup() -> Script {
    vec![
        Action::Open { slot: 0, path: "a".into(), how: "write create".into() },
        Action::Write(0, "first".into()),
        Action::MakeFolder("d".into()),
    ]
}

struct Dice(ChaCha8Rng);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        (self.0.next_u32() as usize) % most
    }

    fn one<'l>(&mut self, of: &'l [&'l str]) -> &'l str {
        of[self.below(of.len())]
    }
}

/// The program of this number. Some are all about names, some about contents, some about locks; most have all.
pub fn program(seed: u64) -> Program {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
    let processes = 2 + usize::from(dice.below(4) == 0);
    let flavour = dice.below(6);
    let scripts = (0..processes)
        .map(|_| {
            let steps = if processes == 3 { 1 + dice.below(2) } else { 2 + dice.below(3) };
            script(&mut dice, steps, flavour)
        })
        .collect();
    Program { setup: setup(), scripts }
}

fn script(dice: &mut Dice, steps: usize, flavour: usize) -> Script {
    if flavour == 5 {
        return crossing(dice);
    }
    let mut script = Vec::new();
    let mut open = 0;
    let mut taken = 0;
    while taken < steps {
        let wants_open = open == 0 && (flavour > 0 || dice.below(3) == 0);
        let action = match (wants_open, flavour) {
            (true, _) => {
                open += 1;
                opening(dice, flavour)
            }
            (false, 1) if open > 0 => locking(dice),
            (false, 2) if open > 0 => content(dice),
            (false, 3 | 4) if open > 0 => match dice.below(3) {
                0 => locking(dice),
                1 => content(dice),
                _ => naming(dice),
            },
            _ => naming(dice),
        };
        taken += 1;
        script.push(action);
    }
    script
}

fn opening(dice: &mut Dice, flavour: usize) -> Action {
    if matches!(flavour, 1 | 2 | 5) {
        return Action::Open { slot: 0, path: "a".into(), how: "write".into() };
    }
    let ways = ["read", "write", "append", "write create", "write create exclusive", "write truncate"];
    let path = if dice.below(5) == 0 { "b" } else { dice.one(&["a", "a", "b", "d/x"]) };
    let how = if path == "a" { dice.one(&ways) } else { dice.one(&ways[3..5]) };
    Action::Open { slot: 0, path: path.into(), how: how.into() }
}

fn content(dice: &mut Dice) -> Action {
    match dice.below(6) {
        0 | 1 => Action::Read(0),
        2 | 3 => Action::Write(0, dice.one(&["one", "other"]).into()),
        4 => Action::Resize(0, dice.below(4) as u64),
        _ => Action::Fstat(0),
    }
}

fn locking(dice: &mut Dice) -> Action {
    let asks = [Ask::Shared, Ask::Exclusive, Ask::Exclusive, Ask::TryShared, Ask::TryExclusive, Ask::Unlock];
    let ask = asks[dice.below(asks.len())];
    let owner = if dice.below(2) == 0 { LockOwner::Description } else { LockOwner::Process };
    if dice.below(2) == 0 {
        return Action::Flock(0, ask);
    }
    let (start, length) = [(0, 10), (10, 10)][usize::from(dice.below(4) == 0)];
    Action::Fcntl { slot: 0, owner, ask, start, length }
}

/// Two locks of one file, to be waited for in either order: in two orders they are a deadlock.
fn crossing(dice: &mut Dice) -> Script {
    let owner = LockOwner::Description;
    let mut locks = [
        Action::Flock(0, Ask::Exclusive),
        Action::Fcntl { slot: 0, owner, ask: Ask::Exclusive, start: 0, length: 10 },
    ];
    if dice.below(2) == 0 {
        locks.reverse();
    }
    let mut script = vec![opening(dice, 5)];
    script.extend(locks);
    script
}

fn naming(dice: &mut Dice) -> Action {
    let (path, other) = (dice.one(&PATHS).to_owned(), dice.one(&PATHS).to_owned());
    match dice.below(16) {
        0 | 1 => Action::Rename(path, other),
        2 | 3 => Action::Unlink(path),
        4 | 5 => Action::Link(path, other),
        6 => Action::MakeFolder(path),
        7 => Action::RemoveFolder("d".into()),
        8 => Action::List(if dice.below(2) == 0 { "." } else { "d" }.into()),
        9 | 10 => Action::Stat(path),
        11 => Action::Lstat(path),
        12 => Action::Symlink { target: dice.one(&["a", "b", "d"]).into(), path },
        13 => Action::Truncate(path, 2),
        14 => Action::Chmod(path, 0o700),
        _ => Action::Exchange(path, other),
    }
}
