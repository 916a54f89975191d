//! The sync that is missing, or the two: tried, not guessed.

use std::ops::ControlFlow;

use super::journal::{Change, Inode, Journal, Line, Sync};
use super::model::Disk;
use super::states::{Bounds, State, walk_while};

/// So many pairs of fsyncs are tried at the most.
const PAIRS_MAX: usize = 500;

/// An fsync that could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fsync {
    /// Of which file or folder.
    pub inode: Inode,
    /// Before which call: index into the journal's lines, or their number for one at the end.
    pub before: usize,
}

/// Fsyncs that together make every state good: one, or two where none does alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mend {
    /// In the order in which they are to be made.
    pub fsyncs: Vec<Fsync>,
    /// How many states there are with them, all of them good.
    pub states: u64,
}

/// What was found by trying.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mends {
    /// Each of these makes every state good.
    pub found: Vec<Mend>,
    /// Whether every fsync was tried, and every two if none helps alone.
    pub is_whole: bool,
}

/// What a mend must do.
pub struct Trial<'a> {
    /// What was done without it.
    pub journal: &'a Journal,
    /// What may be lost.
    pub disk: &'a dyn Disk,
    /// After how many calls it is said that the work lasts with these fsyncs among them, ascending: see [`acknowledged_behind`].
    pub acknowledgements: &'a dyn Fn(&[Fsync]) -> Vec<usize>,
    /// How far states are enumerated.
    pub bounds: Bounds,
    /// Judges a state, by its image and by what had been acknowledged; it is told of the fsyncs that are tried, in their order, which are
    /// among the calls of the state.
    pub is_good: &'a mut dyn FnMut(&State, &[Fsync]) -> bool,
    /// Whether there is time for more of so many fsyncs together.
    pub goes_on: &'a dyn Fn(usize) -> bool,
}

/// Acknowledgements after so many calls, where all that acknowledge would do so behind these fsyncs.
#[must_use]
pub fn acknowledged_behind(acknowledgements: &[usize], fsyncs: &[Fsync]) -> Vec<usize> {
    acknowledgements.iter().map(|&calls| returned_behind(calls, fsyncs, true)).collect()
}

/// After how many calls, the fsyncs among them, something returns that returns after so many without them. An fsync behind the last
/// of these is made before whoever made that call returns: it comes first where the maker has returned by then.
pub(crate) fn returned_behind(calls: usize, fsyncs: &[Fsync], has_maker_returned: bool) -> usize {
    let is_first = |fsync: &&Fsync| fsync.before < calls || (fsync.before == calls && has_maker_returned);
    calls + fsyncs.iter().filter(is_first).count()
}

/// How many calls of the journal itself are among so many with the fsyncs.
pub(crate) fn recorded_among(fsyncs: &[Fsync], calls: usize) -> usize {
    let is_made = |(number, fsync): &(usize, &Fsync)| fsync.before + number < calls;
    calls - fsyncs.iter().enumerate().filter(is_made).count()
}

impl Trial<'_> {
    /// Single fsyncs that make every state good, for each file or folder the latest at which it does; where there is none, two
    /// fsyncs that do together.
    pub fn mends(&mut self) -> Mends {
        let inodes = candidates(self.journal);
        let places: Vec<Vec<Fsync>> = inodes.iter().map(|&inode| places(self.journal, inode)).collect();
        let mut mends = Mends { found: Vec::new(), is_whole: true };
        for fsyncs in &places {
            let first = fsyncs.iter().find_map(|&fsync| self.with(vec![fsync], &mut mends.is_whole));
            mends.found.extend(first);
        }
        if mends.found.is_empty() {
            self.pairs(&places, &mut mends);
        }
        mends
    }

    fn pairs(&mut self, places: &[Vec<Fsync>], mends: &mut Mends) {
        let mut tried = 0;
        for (at, one) in places.iter().enumerate() {
            for other in &places[at..] {
                let pairs = one.iter().flat_map(|&first| other.iter().map(move |&second| [first, second]));
                for mut pair in pairs.filter(|[first, second]| first != second) {
                    if tried == PAIRS_MAX {
                        mends.is_whole = false;
                        return;
                    }
                    tried += 1;
                    pair.sort_by_key(|fsync| fsync.before);
                    if let Some(mend) = self.with(pair.to_vec(), &mut mends.is_whole) {
                        mends.found.push(mend);
                        break;
                    }
                }
            }
        }
    }

    /// The mend that these fsyncs are, if with them every state is good.
    fn with(&mut self, fsyncs: Vec<Fsync>, is_whole: &mut bool) -> Option<Mend> {
        let (goes_on, count) = (self.goes_on, fsyncs.len());
        if !goes_on(count) {
            *is_whole = false;
            return None;
        }
        let mut mended = self.journal.clone();
        for fsync in fsyncs.iter().rev() {
            mended.lines.insert(fsync.before, line(fsync.inode));
        }
        let moved = (self.acknowledgements)(&fsyncs);
        let (mut all_good, mut is_cut) = (true, false);
        let is_good = &mut self.is_good;
        let still = &mut || {
            is_cut = !goes_on(count);
            !is_cut
        };
        let walked = walk_while(&mended, self.disk, &moved, self.bounds, still, &mut |state| {
            all_good = is_good(&state, &fsyncs);
            if all_good { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if is_cut {
            *is_whole = false;
        }
        let is_mend = all_good && !is_cut && walked.excess.is_none();
        is_mend.then_some(Mend { fsyncs, states: walked.states })
    }
}

/// Whatever the journal changes: files by their content, folders by their names.
fn candidates(journal: &Journal) -> Vec<Inode> {
    let mut inodes = Vec::new();
    let mut add = |inode: Inode| {
        if !inodes.contains(&inode) {
            inodes.push(inode);
        }
    };
    for line in &journal.lines {
        match &line.change {
            Change::Write { inode, .. } | Change::Resize { inode, .. } | Change::Mode { inode, .. } => {
                add(*inode);
            }
            Change::Create { folder, .. } | Change::Link { folder, .. } | Change::Unlink { folder, .. } => {
                add(*folder);
            }
            Change::Rename { from, to, .. } => {
                add(to.0);
                add(from.0);
            }
            Change::Exchange { one, other } => {
                add(one.0);
                add(other.0);
            }
            Change::Sync { .. } | Change::SyncAll => {}
        }
    }
    inodes
}

/// Whether the call just before this place changed the file or folder: elsewhere an fsync does the same as there, or
/// later calls are what it is for.
fn changes_before(journal: &Journal, inode: Inode, before: usize) -> bool {
    before.checked_sub(1).is_some_and(|last| match &journal.lines[last].change {
        Change::Write { inode: of, .. }
        | Change::Resize { inode: of, .. }
        | Change::Mode { inode: of, .. } => *of == inode,
        Change::Create { folder, .. } | Change::Link { folder, .. } | Change::Unlink { folder, .. } => {
            *folder == inode
        }
        Change::Rename { from, to, .. } => from.0 == inode || to.0 == inode,
        Change::Exchange { one, other } => one.0 == inode || other.0 == inode,
        Change::Sync { .. } | Change::SyncAll => false,
    })
}

/// Where an fsync of this file or folder may help, the latest place first.
fn places(journal: &Journal, inode: Inode) -> Vec<Fsync> {
    let befores = (0..=journal.lines.len()).rev().filter(|&before| changes_before(journal, inode, before));
    befores.map(|before| Fsync { inode, before }).collect()
}

fn line(inode: Inode) -> Line {
    Line { process: 0, step: 0, label: "fsync".into(), change: Change::Sync { inode, what: Sync::All } }
}
