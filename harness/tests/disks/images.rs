//! What a crash may leave of a disk: at each moment of the log, all that was flushed, and any part of the rest.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::log::{Event, SECTOR, Written};

/// The unit of what reaches a disk as a whole, in bytes, where nothing smaller is tried.
const BLOCK: usize = 4096;

/// A part of a write: its number, and which bytes of it.
pub type Piece = (usize, usize, usize);

/// The calls that a crash may fall between: so many had returned, and so many had begun.
pub type Calls = (usize, usize);

/// What is tried.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// Whether flushes are believed. Where they are not, anything may be missing.
    pub flushes: Flushes,
    /// Whether data tears at sectors rather than blocks.
    pub tearing: Tearing,
    /// How many sets of what is missing are tried at each moment.
    pub breadth: Breadth,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breadth {
    /// Nothing, everything, all data, and each piece of data alone or all but it.
    Narrow,
    /// Each piece alone and all but it, and so many random sets.
    Wide { random: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushes {
    Kept,
    Ignored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tearing {
    Blocks,
    Sectors,
}

/// A disk after a crash.
#[derive(Debug)]
pub struct Candidate {
    /// What reached it, in order.
    pub pieces: Vec<Piece>,
    /// When the crash may have been.
    pub when: BTreeSet<Calls>,
}

/// Every disk that is tried, equal ones once.
pub fn candidates(writes: &[Written], events: &[Event], choice: Choice) -> Vec<Candidate> {
    let mut found = Candidates { writes, known: HashMap::new(), all: Vec::new() };
    let (mut arrived, mut replied) = (Vec::new(), BTreeSet::new());
    let mut covered: BTreeSet<usize> = BTreeSet::new();
    let (mut returned, mut begun) = (0, 0);
    let mut random = Random(7);
    for event in events {
        match event {
            Event::Wrote(number) => arrived.push(*number),
            Event::Replied(number) => {
                replied.insert(*number);
                // What is there is the same as before.
                continue;
            }
            Event::Flushed if choice.flushes == Flushes::Kept => covered.extend(&replied),
            Event::Flushed => continue,
            Event::Mark(mark) => match mark.split_once(' ') {
                Some(("begin", call)) => begun = call.parse::<usize>().expect("a number") + 1,
                Some(("end", call)) => returned = call.parse::<usize>().expect("a number") + 1,
                _ => {}
            },
        }
        let open: Vec<Piece> = arrived
            .iter()
            .filter(|number| !covered.contains(number))
            .flat_map(|number| pieces(*number, writes[*number], choice.tearing))
            .collect();
        let is_data: Vec<bool> = open.iter().map(|(write, ..)| writes[*write].is_data).collect();
        for missing in sets(&is_data, choice.breadth, &mut random) {
            let gone: BTreeSet<&Piece> = missing.iter().map(|index| &open[*index]).collect();
            let there = |number: &usize| {
                pieces(*number, writes[*number], choice.tearing)
                    .into_iter()
                    .filter(|piece| !gone.contains(piece))
                    .collect::<Vec<_>>()
            };
            found.add(arrived.iter().flat_map(there).collect(), (returned, begun));
        }
    }
    found.all
}

struct Candidates<'a> {
    writes: &'a [Written],
    known: HashMap<Vec<(u64, usize, usize)>, usize>,
    all: Vec<Candidate>,
}

impl Candidates<'_> {
    fn add(&mut self, pieces: Vec<Piece>, when: Calls) {
        // A piece that is written again at the same place is not there any more.
        let mut last: BTreeMap<(u64, usize), Piece> = BTreeMap::new();
        for piece in pieces {
            let (write, from, to) = piece;
            last.insert((self.writes[write].offset + from as u64, to - from), piece);
        }
        let key = last.iter().map(|((offset, length), piece)| (*offset, *length, piece.0)).collect();
        let at = match self.known.entry(key) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let mut pieces: Vec<Piece> = last.into_values().collect();
                pieces.sort_unstable();
                self.all.push(Candidate { pieces, when: BTreeSet::new() });
                *new.insert(self.all.len() - 1)
            }
        };
        self.all[at].when.insert(when);
    }
}

/// A write in the units in which it reaches the disk.
fn pieces(number: usize, write: Written, tearing: Tearing) -> Vec<Piece> {
    let unit = if tearing == Tearing::Sectors && write.is_data { SECTOR } else { BLOCK };
    let mut pieces = Vec::new();
    let mut from = 0;
    while from < write.length {
        let until_edge = unit - (write.offset as usize + from) % unit;
        let to = (from + until_edge).min(write.length);
        pieces.push((number, from, to));
        from = to;
    }
    pieces
}

/// Which pieces are missing; it is told of each whether it is data.
fn sets(is_data: &[bool], breadth: Breadth, random: &mut Random) -> Vec<Vec<usize>> {
    let count = is_data.len();
    let data: Vec<usize> = (0..count).filter(|index| is_data[*index]).collect();
    let all_but = |from: &[usize], one: usize| from.iter().copied().filter(|other| *other != one).collect();
    let everything: Vec<usize> = (0..count).collect();
    let mut sets = vec![Vec::new(), everything.clone(), data.clone()];
    for &index in if breadth == Breadth::Narrow { &data } else { &everything } {
        sets.push(vec![index]);
        sets.push(all_but(&data, index));
        if breadth != Breadth::Narrow {
            sets.push(all_but(&everything, index));
        }
    }
    if let Breadth::Wide { random: count } = breadth {
        for _ in 0..count {
            sets.push(everything.iter().copied().filter(|_| random.next().is_multiple_of(2)).collect());
        }
    }
    sets.sort_unstable();
    sets.dedup();
    sets
}

/// xorshift, Marsaglia 2003: the same numbers in every run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 16
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}
