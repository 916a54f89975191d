//! Which pieces may be missing at a point of the journal, and which cannot be there without which.

use std::collections::HashSet;

use fixedbitset::FixedBitSet;
use siphasher::sip128::{Hasher128, SipHasher13};

use super::journal::{Change, Journal};
use super::model::{Disk, Zeroes};
use super::piece::Piece;
use super::states::Bounds;

/// What may be missing, and what hangs on what.
pub(super) struct Space<'a> {
    pieces: &'a [Piece],
    /// After how many calls each piece is on disk for certain.
    lasts_after: Vec<Option<usize>>,
    /// Which pieces cannot be on disk without this one: itself among them.
    hangs: Vec<FixedBitSet>,
}

/// Sets of missing pieces at one point, the smallest first. Large ones are kept as what makes them up.
pub(super) struct Sets {
    /// The pieces that may be there or not.
    free: FixedBitSet,
    /// What goes missing at once: a piece, or all that is missing of a file.
    units: Vec<Vec<usize>>,
    /// How many pieces each set has, and of which units it is.
    by_size: Vec<(usize, Box<[usize]>)>,
    /// Whether these are all sets.
    pub is_whole: bool,
    /// Whether there were too many of those that are to be tried.
    pub is_full: bool,
}

impl Sets {
    pub(super) fn len(&self) -> usize {
        self.by_size.len()
    }
}

impl<'a> Space<'a> {
    pub(super) fn new(journal: &Journal, disk: &dyn Disk, pieces: &'a [Piece]) -> Self {
        let hangs = hanging(disk, pieces);
        Self { pieces, lasts_after: lasting(journal, disk, pieces, &hangs), hangs }
    }

    /// The pieces that may or may not be there after so many calls.
    fn free(&self, calls: usize) -> FixedBitSet {
        let mut free = FixedBitSet::with_capacity(self.pieces.len());
        let before = self.pieces.partition_point(|piece| piece.line < calls);
        free.extend((0..before).filter(|&index| self.lasts_after[index].is_none_or(|after| after > calls)));
        free
    }

    /// What is missing if these are, of what is free.
    fn without(&self, roots: impl IntoIterator<Item = usize>, free: &FixedBitSet) -> FixedBitSet {
        let mut missing = FixedBitSet::with_capacity(self.pieces.len());
        for root in roots {
            missing.union_with(&self.hangs[root]);
        }
        missing.intersect_with(free);
        missing
    }

    /// Whether just these pieces may be missing after so many calls.
    pub(super) fn may_be(&self, calls: usize, missing: &[usize]) -> bool {
        let free = self.free(calls);
        missing.iter().all(|&piece| piece < self.pieces.len() && free.contains(piece))
            && self.without(missing.iter().copied(), &free).ones().eq(missing.iter().copied())
    }

    /// The pieces of one of these sets, ascending.
    pub(super) fn missing(&self, sets: &Sets, number: usize) -> Vec<usize> {
        let roots = sets.by_size[number].1.iter().flat_map(|&unit| sets.units[unit].iter().copied());
        self.without(roots, &sets.free).ones().collect()
    }

    /// Sets of missing pieces after so many calls.
    pub(super) fn sets(&self, calls: usize, bounds: Bounds) -> Sets {
        let free = self.free(calls);
        self.all_sets(&free, bounds.sets_max).unwrap_or_else(|| self.some_sets(free, bounds))
    }

    /// Sets of so many units, nothing and everything.
    fn some_sets(&self, free: FixedBitSet, bounds: Bounds) -> Sets {
        let mut units: Vec<Vec<usize>> = free.ones().map(|index| vec![index]).collect();
        units.extend(self.contents(&free));
        let several = units.len();
        units.push(free.ones().collect());
        let mut known: HashSet<u128> = HashSet::new();
        let mut sets: Vec<(usize, Box<[usize]>)> = Vec::new();
        let mut add = |roots: &[usize]| {
            let missing = self.without(roots.iter().flat_map(|&unit| units[unit].iter().copied()), &free);
            let is_new = known.insert(number_of(&missing));
            if is_new {
                sets.push((missing.count_ones(..), roots.into()));
            }
            is_new
        };
        add(&[]);
        add(&[several]);
        let mut layer: Vec<Vec<usize>> = vec![Vec::new()];
        let mut is_full = false;
        let mut tried = 0;
        'all: for _ in 0..bounds.missing_max {
            let mut next = Vec::new();
            for base in &layer {
                for unit in base.last().map_or(0, |last| last + 1)..several {
                    tried += 1;
                    if tried > bounds.states_max {
                        is_full = true;
                        break 'all;
                    }
                    let roots = [base.as_slice(), &[unit]].concat();
                    if add(&roots) {
                        next.push(roots);
                    }
                }
            }
            layer = next;
        }
        sets.sort_unstable();
        Sets { free, units, by_size: sets, is_whole: false, is_full }
    }

    /// All that is not on disk of one file's content, file by file: what a cache holds back goes together.
    fn contents(&self, free: &FixedBitSet) -> Vec<Vec<usize>> {
        let mut inodes: Vec<_> =
            free.ones().filter_map(|index| self.pieces[index].part.content_of()).collect();
        inodes.sort_unstable();
        inodes.dedup();
        let of = |inode| {
            let is_of = |index: &usize| self.pieces[*index].part.content_of() == Some(inode);
            free.ones().filter(is_of).collect()
        };
        inodes.into_iter().map(of).collect()
    }

    /// Every set that may be missing; `None` where there are more than so many.
    fn all_sets(&self, free: &FixedBitSet, most: usize) -> Option<Sets> {
        let none = FixedBitSet::with_capacity(self.pieces.len());
        let mut all: HashSet<FixedBitSet> = HashSet::from([none.clone()]);
        let mut layer = vec![none];
        while let Some(base) = layer.pop() {
            for index in free.difference(&base) {
                let mut missing = self.without([index], free);
                missing.union_with(&base);
                if !all.contains(&missing) {
                    if all.len() == most {
                        return None;
                    }
                    all.insert(missing.clone());
                    layer.push(missing);
                }
            }
        }
        let mut units: Vec<Vec<usize>> = all.iter().map(|set| set.ones().collect()).collect();
        units.sort_unstable_by(|one, other| (one.len(), one).cmp(&(other.len(), other)));
        let by_size = units.iter().enumerate().map(|(unit, set)| (set.len(), [unit].into())).collect();
        Some(Sets { free: free.clone(), units, by_size, is_whole: true, is_full: false })
    }
}

/// A number that equal sets share, and different ones do not.
fn number_of(set: &FixedBitSet) -> u128 {
    use std::hash::Hash;
    let mut hasher = SipHasher13::new();
    set.as_slice().hash(&mut hasher);
    hasher.finish128().as_u128()
}

/// After how many calls each piece is on disk for certain.
fn lasting(
    journal: &Journal,
    disk: &dyn Disk,
    pieces: &[Piece],
    hangs: &[FixedBitSet],
) -> Vec<Option<usize>> {
    let mut lasts_after = vec![None; pieces.len()];
    for (line, call) in journal.lines.iter().enumerate() {
        let before = pieces.partition_point(|piece| piece.line < line);
        let mut open = match call.change {
            Change::Sync { inode, what } => disk.lasts(&pieces[..before], inode, what),
            Change::SyncAll => (0..before).collect(),
            _ => continue,
        };
        if disk.zeroes() == Zeroes::Either {
            let is_of_cut = |piece: &Piece| piece.part.zeroes_as_cut(&journal.lines[piece.line].change);
            open.retain(|&index| !is_of_cut(&pieces[index]));
        }
        while let Some(index) = open.pop() {
            if lasts_after[index].is_some() {
                continue;
            }
            lasts_after[index] = Some(line + 1);
            if !disk.syncs_ahead() {
                // What lasts brings along what it needs.
                open.extend((0..before).filter(|&other| hangs[other].contains(index)));
            }
        }
    }
    lasts_after
}

/// For each piece, those that cannot be on disk without it.
fn hanging(disk: &dyn Disk, pieces: &[Piece]) -> Vec<FixedBitSet> {
    let mut hangs: Vec<FixedBitSet> = Vec::with_capacity(pieces.len());
    for (at, one) in pieces.iter().enumerate() {
        let mut direct = FixedBitSet::with_capacity(pieces.len());
        direct.insert(at);
        let line = pieces[..at].partition_point(|other| other.line < one.line);
        let needs = |&other: &usize| other != at && disk.needs(&pieces[other], one);
        direct.extend((line..pieces.len()).filter(needs));
        hangs.push(direct);
    }
    // What hangs on what hangs on it does so as well. Only pieces of one call hang on each other both ways, so that the last
    // first takes few rounds.
    loop {
        let mut is_same = true;
        for at in (0..pieces.len()).rev() {
            let mut all = hangs[at].clone();
            // What came by a later piece came with all that hangs on it.
            let mut by_later = FixedBitSet::with_capacity(pieces.len());
            for other in hangs[at].ones().filter(|&other| other != at) {
                if by_later.contains(other) {
                    continue;
                }
                all.union_with(&hangs[other]);
                if other > at {
                    by_later.union_with(&hangs[other]);
                }
            }
            if all != hangs[at] {
                is_same = false;
                hangs[at] = all;
            }
        }
        if is_same {
            return hangs;
        }
    }
}
