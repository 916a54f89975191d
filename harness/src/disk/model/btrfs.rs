//! `btrfs`: commits in order, and an fsync that makes its own file last, out of order.

use super::super::journal::{Inode, Sync};
use super::super::piece::{Part, Piece};
use super::{Disk, Rule, Zeroes, of_one_file};

const SEEN: &str = "seen, below";
const COW: &str = "btrfs documentation, copy on write; seen, below";
const LOG: &str = "btrfs documentation, tree log; seen, below";

/// btrfs as it comes.
#[derive(Debug)]
pub(super) struct Btrfs;

impl Disk for Btrfs {
    fn name(&self) -> &'static str {
        "btrfs"
    }

    fn about(&self) -> &'static str {
        "btrfs with its default options: copy on write, commits in order, fsync of one file alone"
    }

    fn rules(&self) -> &'static [Rule] {
        &[
            Rule {
                event: "operations on metadata",
                promise: "durable in order, but for what fsync writes ahead",
                source: SEEN,
            },
            Rule { event: "write", promise: "old or new as a whole: data and size together", source: COW },
            Rule {
                event: "write, then rename",
                promise: "the name may survive without the write: empty, also over a file",
                source: "kernel commit 8d875f95da43; seen, below",
            },
            Rule {
                event: "two writes beyond the end",
                promise: "each as a whole, in either order: the second alone leaves zeros for the first",
                source: SEEN,
            },
            Rule {
                event: "shorten within a block, then lengthen",
                promise: "the new size may survive without the zeros between: old data comes back there",
                source: SEEN,
            },
            Rule {
                event: "fsync of a file",
                promise: "that file, its names and their folders are durable; no other call is",
                source: LOG,
            },
            Rule {
                event: "rename to another folder, then fsync",
                promise: "both names are possible",
                source: LOG,
            },
            Rule { event: "fsync of a folder", promise: "the names in it are durable", source: LOG },
        ]
    }

    fn tears_at(&self) -> Option<u64> {
        None
    }

    fn grows_by(&self) -> Option<u64> {
        None
    }

    fn zeroes(&self) -> Zeroes {
        Zeroes::AsGrown
    }

    fn splits_rename(&self, within_one_folder: bool) -> bool {
        !within_one_folder
    }

    fn syncs_ahead(&self) -> bool {
        true
    }

    fn needs(&self, later: &Piece, earlier: &Piece) -> bool {
        match (&earlier.part, &later.part) {
            // The extent and the size are set by one transaction, whichever of the two is asked about.
            (Part::Data { .. }, Part::Grown { .. }) | (Part::Grown { .. }, Part::Data { .. })
                if earlier.line == later.line =>
            {
                of_one_file(earlier, later)
            }
            // One rename, of which only an fsync makes the new name last alone.
            (Part::Entries { .. }, Part::Entries { .. }) if earlier.line == later.line => true,
            // What is written over the end of a file is of one block with the zeros there.
            (Part::Zeroed { stretch: zeros, .. }, Part::Data { stretch, .. })
                if earlier.line == later.line =>
            {
                of_one_file(earlier, later) && stretch.offset() <= zeros.offset()
            }
            _ if earlier.line >= later.line => false,
            (earlier, _) => earlier.is_metadata(),
        }
    }

    fn lasts(&self, pieces: &[Piece], inode: Inode, _what: Sync) -> Vec<usize> {
        // The file, its names, and the folders in which they are, up to the root of the journal.
        let mut wanted = vec![inode];
        let mut at = 0;
        while let Some(&this) = wanted.get(at) {
            at += 1;
            for piece in pieces {
                let Part::Entries { set, .. } = &piece.part else { continue };
                for (folder, _, to) in set {
                    if *to == Some(this) && !wanted.contains(folder) {
                        wanted.push(*folder);
                    }
                }
            }
        }
        let lasts = |piece: &Piece| match &piece.part {
            Part::Entries { set, .. } => set
                .iter()
                .any(|(folder, _, to)| to.is_some_and(|to| wanted.contains(&to)) || *folder == inode),
            Part::Mode { inode: of, .. } => *of == inode,
            part => part.content_of() == Some(inode),
        };
        (0..pieces.len()).filter(|&index| lasts(&pieces[index])).collect()
    }
}
