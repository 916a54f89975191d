//! The sync that is missing: tried, not guessed.

use std::ops::ControlFlow;

use super::journal::{Change, Inode, Journal, Line, Sync};
use super::model::Disk;
use super::states::{Bounds, State, walk};

/// An fsync that makes every state good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mend {
    /// Of which file or folder.
    pub inode: Inode,
    /// Before which call: index into the journal's lines, or their number for one at the end.
    pub before: usize,
    /// How many states there are with it, all of them good.
    pub states: u64,
}

/// Single fsyncs, each of which makes every state good; the latest place of each file or folder at which it does.
///
/// `is_good` judges a state by its image and by what had been acknowledged.
pub fn mends(
    journal: &Journal,
    disk: &dyn Disk,
    acknowledgements: &[usize],
    bounds: Bounds,
    is_good: &mut dyn FnMut(&State) -> bool,
) -> Vec<Mend> {
    let mut found = Vec::new();
    for inode in candidates(journal) {
        for before in (0..=journal.lines.len()).rev().filter(|&before| changes_before(journal, inode, before))
        {
            let mended = with_sync(journal, inode, before);
            // Whoever acknowledges would do so after the fsync.
            let later = |&at: &usize| if at >= before { at + 1 } else { at };
            let moved: Vec<usize> = acknowledgements.iter().map(later).collect();
            let mut all_good = true;
            let walked = walk(&mended, disk, &moved, bounds, &mut |state| {
                all_good = is_good(&state);
                if all_good { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            if all_good {
                found.push(Mend { inode, before, states: walked.states });
                break;
            }
        }
    }
    found
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

fn with_sync(journal: &Journal, inode: Inode, before: usize) -> Journal {
    let mut mended = journal.clone();
    let line =
        Line { process: 0, step: 0, label: "fsync".into(), change: Change::Sync { inode, what: Sync::All } };
    mended.lines.insert(before, line);
    mended
}
