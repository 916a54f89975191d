//! Disk models: one trait, one file per model.

mod btrfs;
mod ext4;
mod ext4_writeback;
mod posix;
mod xfs;

use super::content::{BLOCK, Stretch};
use super::journal::{Inode, Sync};
use super::piece::{Part, Piece};

/// One line of a model's table: an event, and what it promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What happens: a call, or two calls in a row.
    pub event: &'static str,
    /// What the model allows or promises.
    pub promise: &'static str,
    /// Where that is known from.
    pub source: &'static str,
}

/// What holds of every model.
pub const COMMON: [Rule; 10] = [
    Rule {
        event: "create, mkdir, symlink, link, unlink, rmdir",
        promise: "one name each; a new file exists, with its type, as soon as any of its names does",
        source: "path_resolution(7)",
    },
    Rule {
        event: "rename with RENAME_EXCHANGE",
        promise: "both names are exchanged, or none is",
        source: "rename(2)",
    },
    Rule {
        event: "truncate, and O_TRUNC",
        promise: "the size, and with it all blocks beyond; within a block, zeros from there to the block's end are separate",
        source: "truncate(2)",
    },
    Rule {
        event: "append",
        promise: "a write at the file's end at that moment",
        source: "open(2), O_APPEND",
    },
    Rule {
        event: "fallocate",
        promise: "the size alone, filled with zeros; nothing with FALLOC_FL_KEEP_SIZE; other modes are not judged",
        source: "fallocate(2)",
    },
    Rule {
        event: "write to a file open with O_SYNC or O_DSYNC",
        promise: "the write, then an fsync or an fdatasync of the file",
        source: "open(2), O_SYNC",
    },
    Rule {
        event: "fdatasync",
        promise: "as fsync, but for permissions, which may be lost (btrfs keeps them)",
        source: "fdatasync(2)",
    },
    Rule { event: "sync, syncfs", promise: "everything before it is durable", source: "sync(2)" },
    Rule { event: "sync_file_range", promise: "nothing is durable", source: "sync_file_range(2)" },
    Rule {
        event: "msync",
        promise: "not judged: the report names the state file that the command maps as shared memory",
        source: "msync(2)",
    },
];

/// What ext4, where data is ordered, and xfs have in common.
const IN_PLACE: Rule = Rule {
    event: "write in place",
    promise: "any mix of blocks of 4 KiB, before or after any other call",
    source: "seen, below",
};
const SHORTENED: Rule = Rule {
    event: "shorten within a block",
    promise: "the zeros in the rest of the block are there with the size; they may be without it",
    source: "seen, below",
};
const KEPT: Rule = Rule {
    event: "shorten, then write to what is kept",
    promise: "as in place: before the size or after it",
    source: "seen, below",
};

/// When the rest of the block in which a file was cut is zeroed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zeroes {
    /// As it is cut.
    AsCut,
    /// When it grows again: until then the block is as it was, whatever is synced.
    AsGrown,
    /// One or the other: that it was zeroed as it was cut is never certain.
    Either,
}

/// What a filesystem keeps in order, and what makes what last.
pub trait Disk: std::marker::Sync + std::fmt::Debug {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// What it is, in one sentence.
    fn about(&self) -> &'static str;

    /// Its table, as documentation shows it.
    fn rules(&self) -> &'static [Rule];

    /// Bytes at whose multiples a write may tear; `None` where a write is whole or absent.
    fn tears_at(&self) -> Option<u64>;

    /// Bytes of the blocks by which a file grows, where one that ends within a block may grow to that block's end first;
    /// `None` where it grows at once.
    fn grows_by(&self) -> Option<u64> {
        Some(4096)
    }

    /// When the rest of the block in which a file was cut is zeroed.
    fn zeroes(&self) -> Zeroes {
        Zeroes::AsCut
    }

    /// Whether the new name of a rename may reach the disk without the old one's removal.
    fn splits_rename(&self, within_one_folder: bool) -> bool;

    /// Whether a sync may make a piece last ahead of others that it needs otherwise.
    fn syncs_ahead(&self) -> bool {
        false
    }

    /// Whether the later piece can only be on disk when the earlier one is. Both are of one journal, in its order;
    /// pieces of one call count as a pair in both directions.
    fn needs(&self, later: &Piece, earlier: &Piece) -> bool;

    /// Which pieces a sync of this inode makes last, among all that came before it.
    fn lasts(&self, pieces: &[Piece], inode: Inode, what: Sync) -> Vec<usize>;
}

/// Every model, the strictest first.
pub const ALL: [&dyn Disk; 6] =
    [&posix::Posix, &ext4::NOLOCK, &ext4::LOCK, &ext4_writeback::Ext4Writeback, &xfs::Xfs, &btrfs::Btrfs];

/// The model of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static dyn Disk> {
    ALL.into_iter().find(|disk| disk.name() == name)
}

/// What an fsync of a filesystem with one journal makes last: the file's content, and every operation on metadata up to
/// the last that the commit waits for.
fn by_commit(pieces: &[Piece], inode: Inode, what: Sync) -> Vec<usize> {
    let waits_for = |piece: &Piece| match (&piece.part, what) {
        (Part::Data { .. }, _) => false,
        (part, Sync::All) => part.concerns(inode),
        // Only what is needed to find the content: that the file was made, and its size. A folder's content is its names.
        (Part::Entries { made, set, .. }, Sync::Data) => {
            made.as_ref().is_some_and(|(made, _)| *made == inode)
                || set.iter().any(|(folder, _, _)| *folder == inode)
        }
        (part, Sync::Data) => part.content_of() == Some(inode),
    };
    let last = pieces.iter().rposition(waits_for);
    let lasts = |piece: &Piece, index: usize| {
        piece.part.content_of() == Some(inode)
            || (piece.part.is_metadata() && last.is_some_and(|last| index <= last))
    };
    (0..pieces.len()).filter(|&index| lasts(&pieces[index], index)).collect()
}

/// Whether a piece of content lies in blocks that the file lost when it was cut to this size.
fn is_beyond(stretch: &Stretch, size: u64) -> bool {
    stretch.end() > size.next_multiple_of(BLOCK)
}

/// Whether one size of a file came before another: by an earlier write, or by the first part of the same.
fn grew_before(earlier: &Piece, later: &Piece) -> bool {
    match (&earlier.part, &later.part) {
        (Part::Grown { inode: one, size, .. }, Part::Grown { inode: other, size: then, .. }) => {
            one == other && (earlier.line < later.line || (earlier.line == later.line && size < then))
        }
        _ => false,
    }
}

/// Whether both are about the content of one file.
fn of_one_file(one: &Piece, other: &Piece) -> bool {
    one.part.content_of().is_some() && one.part.content_of() == other.part.content_of()
}
