//! Configurations: one way in which the operations so far can have been ordered, as far as the rest depends on it.

use super::partition::{OPEN_MAX, States};

/// No step led here.
pub(super) const NO_TRACE: u32 = u32::MAX;

/// One way in which it can have gone. `W`: how many words hold the bits of pending operations; `S`: how many states.
/// Small, because it is copied all the time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Config<const W: usize, const S: usize> {
    /// Zobrist hash of the state and of what has been used.
    pub key: u64,
    /// Which pending operations have acted, by slot.
    pub used: [u64; W],
    /// For each state, one more than the number of the last operation that watched for it when it was left: what was
    /// invoked by then has seen it. 0 where nobody watches, and for the state it is in.
    pub left: [u32; S],
    /// For each class, how many of its open operations have acted.
    pub open: [u16; OPEN_MAX],
    pub state: u8,
    /// The step that led here, where steps are recorded.
    pub trace: u32,
}

/// What an operation does to a configuration when it acts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Act {
    /// The state that it leads to.
    pub next: u8,
    /// What was invoked before this number has seen the state that it leaves.
    pub seen: u32,
    pub mark: Mark,
    pub trace: u32,
}

/// How a configuration remembers that an operation has acted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mark {
    /// Not at all: the operation is over.
    None,
    /// By the bit of this slot: the operation is under way, and has a return.
    Slot(u16),
    /// By one more of the open operations of this place.
    Open(u16),
}

/// A pseudo-random number for each thing that a key is made of (splitmix64).
fn zobrist(thing: u64) -> u64 {
    let mut mixed = thing.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678_9abc_def1);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl<const W: usize, const S: usize> Config<W, S> {
    pub fn first(state: u8) -> Self {
        Self {
            key: zobrist(u64::from(state)),
            used: [0; W],
            left: [0; S],
            open: [0; OPEN_MAX],
            state,
            trace: NO_TRACE,
        }
    }

    #[inline]
    pub fn has_used(&self, slot: u16) -> bool {
        self.used[slot as usize / 64] & (1 << (slot % 64)) != 0
    }

    /// Marks the slot as used, or as free again.
    #[inline]
    pub fn flip(&mut self, slot: u16) {
        self.used[slot as usize / 64] ^= 1 << (slot % 64);
        self.key ^= zobrist(u64::from(slot) + 256);
    }

    /// Lets an operation act.
    #[inline]
    pub fn act(&mut self, act: Act) {
        self.left[self.state as usize] = act.seen;
        self.left[act.next as usize] = 0;
        self.key ^= zobrist(u64::from(self.state)) ^ zobrist(u64::from(act.next));
        self.state = act.next;
        match act.mark {
            Mark::None => {}
            Mark::Slot(slot) => self.flip(slot),
            Mark::Open(place) => self.open[place as usize] += 1,
        }
        self.trace = act.trace;
    }

    /// Forgets when states were left that nobody watches for any more; the first operation that still does, by state.
    #[inline]
    pub fn forget_times(&mut self, first_watchers: &[u32; S]) {
        for (left, &first) in self.left.iter_mut().zip(first_watchers) {
            *left = if first < *left { *left } else { 0 };
        }
    }

    /// Whether the container has been in one of the states since the operation of this number was invoked.
    #[inline]
    pub fn has_seen(&self, states: States, op: usize) -> bool {
        if states & (1 << self.state) != 0 {
            return true;
        }
        let mut rest = states;
        while rest != 0 {
            let state = rest.trailing_zeros() as usize;
            if self.left[state] as usize > op {
                return true;
            }
            rest &= rest - 1;
        }
        false
    }

    /// How many pending and open operations have acted.
    pub fn spent(&self) -> u32 {
        self.used.iter().map(|word| word.count_ones()).sum::<u32>()
            + self.open.iter().map(|&acted| u32::from(acted)).sum::<u32>()
    }

    /// Whether the two may replace each other but for what they have seen and which open operations they have used.
    #[inline]
    pub fn is_like(&self, other: &Self) -> bool {
        self.key == other.key && self.state == other.state && self.used == other.used
    }

    /// Of two that are alike: whether whatever can follow the other can follow this as well.
    #[inline]
    pub fn dominates(&self, other: &Self) -> bool {
        let seen = self.left.iter().zip(&other.left).all(|(mine, theirs)| mine >= theirs);
        seen && self.open.iter().zip(&other.open).all(|(mine, theirs)| mine <= theirs)
    }
}
