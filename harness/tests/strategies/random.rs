//! Random programs: small enough to run every interleaving of, rich enough to meet every kind of step.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::toy::{AtEnd, LOCKS, Mode, Op, Toy, VARIABLES};

/// The toy of this number, small enough for naive enumeration, mostly.
pub fn toy(seed: u64) -> Toy {
    toy_of(seed, [6, 4, 3])
}

/// The toy of this number, too large for naive enumeration.
pub fn larger_toy(seed: u64) -> Toy {
    toy_of(seed, [12, 8, 5])
}

/// Of two, three or four processes of at most so many instructions each.
fn toy_of(seed: u64, longest: [usize; 3]) -> Toy {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let mut below = |most: usize| (dice.next_u32() as usize) % most;
    let processes = 2 + below(3);
    let longest = longest[processes - 2];
    let (variables, locks) = (1 + below(VARIABLES - 1), 1 + below(LOCKS - 1));
    let flavour = below(5);
    let at_end = if below(4) == 0 { AtEnd::Keeps } else { AtEnd::LetsGo };
    let programs = (0..processes)
        .map(|_| (0..=below(longest)).map(|_| op(&mut below, flavour, variables, locks)).collect())
        .collect();
    Toy { programs, at_end, forgets: None }
}

fn op(below: &mut impl FnMut(usize) -> usize, flavour: usize, variables: usize, locks: usize) -> Op {
    // Some toys are all about variables, some all about locks, some about sleeping; most have everything.
    let kind = match flavour {
        0 => below(7),
        1 => 7 + below(7),
        2 => [0, 1, 4, 14, 14, 16][below(6)],
        _ => below(18),
    };
    let mode = if below(2) == 0 { Mode::Shared } else { Mode::Exclusive };
    let (variable, lock, skipped) = (below(variables), below(locks), 1 + below(2));
    match kind {
        0 => Op::Read(variable),
        1 => Op::Write(variable, 1 + below(3) as u8),
        2 => Op::Store(variable),
        3 => Op::Add(variable),
        4 => Op::FetchAdd(variable),
        5 => Op::Route(variable, below(variables), below(variables)),
        6 | 17 => Op::SkipIfOdd(skipped),
        7 | 8 => Op::Lock(lock, mode),
        9 => Op::LockAndRead(lock, mode, variable),
        10 => Op::TryLock(lock, mode, skipped),
        11..=13 => Op::Unlock(lock),
        14 => Op::Await(variable, 1 + below(2) as u8),
        15 => Op::Invoke,
        _ => Op::Return,
    }
}
