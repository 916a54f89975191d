//! `ext4-writeback`: ext4 with data=writeback.

use super::super::journal::{Inode, Sync};
use super::super::piece::Piece;
use super::{Disk, Rule, by_commit, ext4};

const SEEN: &str = "seen, below";
const JOURNAL: &str = "kernel documentation, ext4/journal";

/// ext4, data=writeback: metadata in order, data whenever.
#[derive(Debug)]
pub(super) struct Ext4Writeback;

impl Disk for Ext4Writeback {
    fn name(&self) -> &'static str {
        "ext4-writeback"
    }

    fn about(&self) -> &'static str {
        "ext4 with data=writeback: metadata in order, data whenever"
    }

    fn rules(&self) -> &'static [Rule] {
        &[
            Rule { event: "operations on metadata", promise: "durable in order", source: JOURNAL },
            Rule {
                event: "write",
                promise: "before or after any other call; the size may survive without the data, or end with the old last block",
                source: JOURNAL,
            },
            Rule {
                event: "O_TRUNC, then write",
                promise: "empty, zeros, or new blocks in the old file",
                source: SEEN,
            },
            Rule {
                event: "shorten within a block",
                promise: "the zeros in the rest of the block before or after any other call; without them old data may come back",
                source: SEEN,
            },
            Rule {
                event: "fsync of a file",
                promise: "its content is durable, and all metadata up to its last change",
                source: JOURNAL,
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
        ext4::needs_metadata(later, earlier)
    }

    fn lasts(&self, pieces: &[Piece], inode: Inode, what: Sync) -> Vec<usize> {
        by_commit(pieces, inode, what)
    }
}
