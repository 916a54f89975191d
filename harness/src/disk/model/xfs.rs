//! `xfs`: metadata in order, and a size only with its data.

use super::super::journal::{Inode, Sync};
use super::super::piece::{Part, Piece};
use super::{Disk, IN_PLACE, KEPT, Rule, SHORTENED, by_commit, is_beyond, of_one_file};

const SEEN: &str = "seen, below";

/// xfs as it comes.
#[derive(Debug)]
pub(super) struct Xfs;

impl Disk for Xfs {
    fn name(&self) -> &'static str {
        "xfs"
    }

    fn about(&self) -> &'static str {
        "xfs with its default options: metadata in order, a size only with its data"
    }

    fn rules(&self) -> &'static [Rule] {
        &[
            Rule { event: "operations on metadata", promise: "durable in order", source: SEEN },
            Rule {
                event: "write beyond the end",
                promise: "the old size, or the new one with its data: never zeros in the new blocks; those in the old last block may be lost",
                source: SEEN,
            },
            Rule {
                event: "two writes beyond the end",
                promise: "each size comes with its own data, in either order: the second alone leaves zeros for the first",
                source: SEEN,
            },
            Rule {
                event: "write, then rename",
                promise: "the name may survive without the size: empty, also over a file",
                source: SEEN,
            },
            IN_PLACE,
            SHORTENED,
            KEPT,
            Rule {
                event: "fsync of a file",
                promise: "its content is durable, and all metadata up to its last change",
                source: SEEN,
            },
            Rule {
                event: "fsync of a folder",
                promise: "all metadata up to the folder's last change is durable",
                source: SEEN,
            },
        ]
    }

    fn tears_at(&self) -> Option<u64> {
        Some(4096)
    }

    fn splits_rename(&self, _within_one_folder: bool) -> bool {
        false
    }

    fn needs(&self, later: &Piece, earlier: &Piece) -> bool {
        match (&earlier.part, &later.part) {
            // A size is told when its own data is written: in the last block that the file had, or in the new ones. Data in
            // blocks that the file has is in place, and nobody waits for it.
            (Part::Data { stretch, .. }, Part::Grown { size, from, blocks_from, .. }) => {
                let begins = if size > blocks_from { blocks_from } else { from };
                earlier.line == later.line && of_one_file(earlier, later) && stretch.end() > *begins
            }
            (Part::Zeroed { .. }, Part::Resized { .. }) if earlier.line == later.line => {
                of_one_file(earlier, later)
            }
            _ if earlier.line >= later.line => false,
            (Part::Resized { size, .. }, Part::Data { stretch, .. } | Part::Zeroed { stretch, .. }) => {
                of_one_file(earlier, later) && is_beyond(stretch, *size)
            }
            (earlier, later) => {
                earlier.is_metadata() && (later.is_metadata() || matches!(later, Part::Grown { .. }))
            }
        }
    }

    fn lasts(&self, pieces: &[Piece], inode: Inode, what: Sync) -> Vec<usize> {
        by_commit(pieces, inode, what)
    }
}
