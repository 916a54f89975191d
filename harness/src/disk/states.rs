//! Every state that a model allows after a crash: at each point of the journal, each set of pieces that may be missing.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::image::Image;
use super::journal::{Change, Journal};
use super::model::Disk;
use super::piece::{self, Part, Piece, Sizes};

/// How far the enumeration goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// So many sets of pieces at one point are all tried; where there are more, only those of the bound below.
    pub sets_max: usize,
    /// How many pieces may be missing at once, beside those that cannot be there without them.
    pub missing_max: usize,
    /// So many states at the most.
    pub states_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { sets_max: 512, missing_max: 2, states_max: 100_000 }
    }
}

/// A state that a crash may leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// How many calls of the journal had returned when the power went.
    pub calls: usize,
    /// How many acknowledgements had been given by then.
    pub acknowledged: usize,
    /// Which pieces of these calls are not on disk: indexes into [`States::pieces`], ascending.
    pub missing: Vec<usize>,
    /// What is read afterwards.
    pub image: Image,
}

/// All states that a model allows, equal ones once.
#[derive(Clone, Debug)]
pub struct States {
    /// The pieces of the journal.
    pub pieces: Vec<Piece>,
    /// The states, by how many calls had returned, then by how much is missing.
    pub states: Vec<State>,
    /// Whether every state that the model allows is among them.
    pub is_exhaustive: bool,
}

/// What a walk through all states came to.
#[derive(Clone, Debug)]
pub struct Walked {
    /// The pieces of the journal.
    pub pieces: Vec<Piece>,
    /// How many states were shown.
    pub states: u64,
    /// Whether every state that the model allows was shown.
    pub is_exhaustive: bool,
}

/// Enumerates the states. Where an acknowledgement falls between two calls (`acknowledgements` holds how many calls had
/// returned by then, ascending), equal images before and after it are two states.
#[must_use]
pub fn enumerate(journal: &Journal, disk: &dyn Disk, acknowledgements: &[usize], bounds: Bounds) -> States {
    let mut states = Vec::new();
    let walked = walk(journal, disk, acknowledgements, bounds, &mut |state| {
        states.push(state);
        ControlFlow::Continue(())
    });
    States { pieces: walked.pieces, states, is_exhaustive: walked.is_exhaustive }
}

/// The same, one state after the other: none is kept. `show` says whether to go on.
pub fn walk(
    journal: &Journal,
    disk: &dyn Disk,
    acknowledgements: &[usize],
    bounds: Bounds,
    show: &mut dyn FnMut(State) -> ControlFlow<()>,
) -> Walked {
    let pieces = piece::cut(journal, disk);
    let space = Space::new(journal, disk, &pieces);
    let mut known = HashSet::new();
    let mut is_exhaustive = true;
    let mut states = 0;
    'all: for calls in 0..=journal.lines.len() {
        let acknowledged = acknowledgements.iter().filter(|&&at| at <= calls).count();
        let (sets, is_whole) = space.sets(calls, bounds);
        is_exhaustive &= is_whole;
        for missing in sets {
            let image = space.image(calls, &missing);
            if !known.insert((image.digest(), acknowledged)) {
                continue;
            }
            if states >= bounds.states_max as u64 {
                is_exhaustive = false;
                break 'all;
            }
            states += 1;
            if show(State { calls, acknowledged, missing, image }).is_break() {
                is_exhaustive = false;
                break 'all;
            }
        }
    }
    Walked { pieces, states, is_exhaustive }
}

/// The state after so many calls in which these pieces are missing, with the journal's pieces; none where the model does not
/// allow it.
#[must_use]
pub fn state_of(
    journal: &Journal,
    disk: &dyn Disk,
    calls: usize,
    missing: &[usize],
) -> Option<(State, Vec<Piece>)> {
    let pieces = piece::cut(journal, disk);
    let space = Space::new(journal, disk, &pieces);
    let free = space.free(calls);
    let is_allowed = calls <= journal.lines.len()
        && missing.iter().all(|piece| free.binary_search(piece).is_ok())
        && space.without(missing, &free) == missing;
    let image = is_allowed.then(|| space.image(calls, missing))?;
    Some((State { calls, acknowledged: 0, missing: missing.to_vec(), image }, pieces))
}

/// What is read when nothing is missing.
pub(super) fn whole(journal: &Journal) -> Image {
    let disk = super::model::ALL[0];
    let pieces = piece::cut(journal, disk);
    image(journal, &pieces, journal.lines.len(), &[])
}

/// What may be missing, and what hangs on what.
struct Space<'a> {
    journal: &'a Journal,
    pieces: &'a [Piece],
    /// After how many calls each piece is on disk for certain.
    lasts_after: Vec<Option<usize>>,
    /// Which pieces cannot be on disk without this one: itself among them.
    hangs: Vec<Vec<usize>>,
}

impl<'a> Space<'a> {
    fn new(journal: &'a Journal, disk: &dyn Disk, pieces: &'a [Piece]) -> Self {
        let hangs = hanging(disk, pieces);
        Self { journal, pieces, lasts_after: lasting(journal, disk, pieces, &hangs), hangs }
    }

    /// The pieces that may or may not be there after so many calls.
    fn free(&self, calls: usize) -> Vec<usize> {
        let is_free = |&index: &usize| {
            self.pieces[index].line < calls && self.lasts_after[index].is_none_or(|after| after > calls)
        };
        (0..self.pieces.len()).filter(is_free).collect()
    }

    /// What is missing if these are, of what is free.
    fn without(&self, roots: &[usize], free: &[usize]) -> Vec<usize> {
        let mut missing: Vec<usize> = roots
            .iter()
            .flat_map(|&root| self.hangs[root].iter().copied())
            .filter(|index| free.binary_search(index).is_ok())
            .collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    /// Sets of missing pieces after so many calls, the smallest first, and whether they are all.
    fn sets(&self, calls: usize, bounds: Bounds) -> (Vec<Vec<usize>>, bool) {
        let free = self.free(calls);
        if let Some(all) = self.all_sets(&free, bounds.sets_max) {
            return (all, true);
        }
        let mut sets: HashSet<Vec<usize>> = HashSet::from([Vec::new(), free.clone()]);
        let mut units: Vec<Vec<usize>> = free.iter().map(|&index| vec![index]).collect();
        units.extend(self.contents(&free));
        let mut layer: Vec<Vec<usize>> = vec![Vec::new()];
        for _ in 0..bounds.missing_max {
            let mut next = Vec::new();
            for base in &layer {
                for unit in &units {
                    let missing = self.without(&[base.as_slice(), unit].concat(), &free);
                    if sets.len() < bounds.states_max && sets.insert(missing.clone()) {
                        next.push(missing);
                    }
                }
            }
            layer = next;
        }
        (sorted(sets), false)
    }

    /// All that is not on disk of one file's content, file by file: what a cache holds back goes together.
    fn contents(&self, free: &[usize]) -> Vec<Vec<usize>> {
        let mut inodes: Vec<_> =
            free.iter().filter_map(|&index| self.pieces[index].part.content_of()).collect();
        inodes.sort_unstable();
        inodes.dedup();
        let of = |inode| {
            let is_of = |index: &&usize| self.pieces[**index].part.content_of() == Some(inode);
            free.iter().filter(is_of).copied().collect()
        };
        inodes.into_iter().map(of).collect()
    }

    /// Every set that may be missing; `None` where there are more than so many.
    fn all_sets(&self, free: &[usize], most: usize) -> Option<Vec<Vec<usize>>> {
        let mut sets: HashSet<Vec<usize>> = HashSet::from([Vec::new()]);
        let mut layer = vec![Vec::new()];
        while let Some(base) = layer.pop() {
            for &index in free {
                if base.binary_search(&index).is_ok() {
                    continue;
                }
                let missing = self.without(&[base.as_slice(), &[index]].concat(), free);
                if sets.insert(missing.clone()) {
                    if sets.len() > most {
                        return None;
                    }
                    layer.push(missing);
                }
            }
        }
        Some(sorted(sets))
    }

    fn image(&self, calls: usize, missing: &[usize]) -> Image {
        image(self.journal, self.pieces, calls, missing)
    }
}

/// What is read after so many calls when these pieces are missing.
fn image(journal: &Journal, pieces: &[Piece], calls: usize, missing: &[usize]) -> Image {
    let mut state = journal.start.clone();
    for piece in pieces {
        // Whatever was made is there as soon as any name of it is.
        if let Part::Entries { made: Some((inode, node)), .. } = &piece.part {
            state.inodes.insert(*inode, node.clone());
        }
    }
    let mut sizes = Sizes::default();
    for (index, piece) in pieces.iter().enumerate().take_while(|(_, piece)| piece.line < calls) {
        if missing.binary_search(&index).is_err() {
            piece.part.apply(&mut state, &mut sizes);
        }
    }
    sizes.settle(&mut state);
    Image::reachable(&state)
}

fn sorted(sets: HashSet<Vec<usize>>) -> Vec<Vec<usize>> {
    let mut sets: Vec<Vec<usize>> = sets.into_iter().collect();
    sets.sort_unstable_by(|one, other| (one.len(), one).cmp(&(other.len(), other)));
    sets
}

/// After how many calls each piece is on disk for certain.
fn lasting(journal: &Journal, disk: &dyn Disk, pieces: &[Piece], hangs: &[Vec<usize>]) -> Vec<Option<usize>> {
    let mut lasts_after = vec![None; pieces.len()];
    for (line, call) in journal.lines.iter().enumerate() {
        let before = pieces.partition_point(|piece| piece.line < line);
        let lasting = match call.change {
            Change::Sync { inode, what } => disk.lasts(&pieces[..before], inode, what),
            Change::SyncAll => (0..before).collect(),
            _ => continue,
        };
        let mut open = lasting;
        while let Some(index) = open.pop() {
            if lasts_after[index].is_some() {
                continue;
            }
            lasts_after[index] = Some(line + 1);
            if !disk.syncs_ahead() {
                // What lasts brings along what it needs.
                open.extend((0..before).filter(|&other| hangs[other].binary_search(&index).is_ok()));
            }
        }
    }
    lasts_after
}

/// For each piece, those that cannot be on disk without it.
fn hanging(disk: &dyn Disk, pieces: &[Piece]) -> Vec<Vec<usize>> {
    let mut direct = vec![Vec::new(); pieces.len()];
    for (at, one) in pieces.iter().enumerate() {
        for (other_at, other) in pieces.iter().enumerate() {
            let is_pair = one.line < other.line || (one.line == other.line && at != other_at);
            if is_pair && disk.needs(other, one) {
                direct[at].push(other_at);
            }
        }
    }
    let reach = |start: usize| {
        let mut reached = vec![start];
        let mut at = 0;
        while let Some(&this) = reached.get(at) {
            at += 1;
            for &next in &direct[this] {
                if !reached.contains(&next) {
                    reached.push(next);
                }
            }
        }
        reached.sort_unstable();
        reached
    };
    (0..pieces.len()).map(reach).collect()
}
