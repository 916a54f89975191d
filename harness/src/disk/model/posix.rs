//! `posix`: nothing is promised that no fsync asked for.

use super::super::journal::{Inode, Sync};
use super::super::piece::{Part, Piece};
use super::{Disk, Rule, Zeroes};

const OSDI_2014: &str = "Pillai and others, OSDI 2014";
const POSIX_1: &str = "POSIX.1-2017, fsync and rename";

/// The strictest model: data, size and names reach the disk apart, in any order.
#[derive(Debug)]
pub(super) struct Posix;

impl Disk for Posix {
    fn name(&self) -> &'static str {
        "posix"
    }

    fn about(&self) -> &'static str {
        "promises nothing that no fsync asked for"
    }

    fn rules(&self) -> &'static [Rule] {
        &[
            Rule {
                event: "write",
                promise: "data and size separately, torn at sectors of 512 bytes; the size may also end where the old last block does",
                source: OSDI_2014,
            },
            Rule { event: "any two calls", promise: "in any order", source: OSDI_2014 },
            Rule {
                event: "rename",
                promise: "the new name stands for the old file or the new one; the old name may stay or be gone, whichever the new one does",
                source: POSIX_1,
            },
            Rule {
                event: "shorten within a block",
                promise: "the zeros in the rest of the block before or after any other call; only fsync after the file grew again makes them durable",
                source: "seen, below",
            },
            Rule {
                event: "fsync of a file",
                promise: "its data and size are durable; its names are not",
                source: POSIX_1,
            },
            Rule { event: "fdatasync of a file", promise: "its data and size are durable", source: POSIX_1 },
            Rule { event: "fsync of a folder", promise: "the names in it are durable", source: OSDI_2014 },
            Rule { event: "sync, syncfs", promise: "everything before it is durable", source: "sync(2)" },
        ]
    }

    fn tears_at(&self) -> Option<u64> {
        Some(512)
    }

    fn zeroes(&self) -> Zeroes {
        Zeroes::Either
    }

    fn splits_rename(&self, _within_one_folder: bool) -> bool {
        true
    }

    fn needs(&self, _later: &Piece, _earlier: &Piece) -> bool {
        false
    }

    fn lasts(&self, pieces: &[Piece], inode: Inode, what: Sync) -> Vec<usize> {
        let is_synced = |piece: &Piece| match &piece.part {
            Part::Entries { set, .. } => set.iter().any(|(folder, _, _)| *folder == inode),
            Part::Mode { inode: of, .. } => *of == inode && what == Sync::All,
            part => part.content_of() == Some(inode),
        };
        (0..pieces.len()).filter(|&index| is_synced(&pieces[index])).collect()
    }
}
