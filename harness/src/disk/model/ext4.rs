//! `ext4` with data=ordered, as it comes and with `dioread_lock`.

use super::super::journal::{Inode, Sync};
use super::super::piece::{Part, Piece};
use super::{Disk, IN_PLACE, KEPT, Rule, SHORTENED, by_commit, grew_before, is_beyond, of_one_file};

const SEEN: &str = "seen, below";
const ZEROS: &str = "kernel commit 244adf6426ee; seen, below";
const JOURNAL: &str = "kernel documentation, ext4/journal";
const ALLOC: &str = "kernel documentation, ext4, auto_da_alloc; seen, below";

/// When a size reaches the disk, and whether its data is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extents {
    /// `dioread_nolock`, the default: the size commits before the extents are marked as written, and zeros are read.
    MarkedAfterwards,
    /// `dioread_lock`: the data is written before the size commits.
    WrittenFirst,
}

/// ext4, data=ordered.
#[derive(Debug)]
pub(super) struct Ext4 {
    name: &'static str,
    extents: Extents,
}

/// As it comes.
pub(super) const NOLOCK: Ext4 = Ext4 { name: "ext4", extents: Extents::MarkedAfterwards };
/// Mounted with `dioread_lock`.
pub(super) const LOCK: Ext4 = Ext4 { name: "ext4-dioread-lock", extents: Extents::WrittenFirst };

/// What both modes of ext4 share, but for data.
pub(super) fn needs_metadata(later: &Piece, earlier: &Piece) -> bool {
    if grew_before(earlier, later) {
        return true;
    }
    if later.line <= earlier.line {
        return false;
    }
    match (&earlier.part, &later.part) {
        // One journal: a commit has all that came before. A size is in the commit that its allocation falls into.
        (earlier, Part::Entries { .. } | Part::Resized { .. } | Part::Mode { .. } | Part::Grown { .. })
            if earlier.is_metadata() =>
        {
            true
        }
        // auto_da_alloc: a rename over a file allocates what was written to the new one.
        (Part::Grown { inode, .. }, Part::Entries { over: Some(over), .. }) => inode == over,
        _ => false,
    }
}

impl Disk for Ext4 {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        match self.extents {
            Extents::MarkedAfterwards => {
                "ext4 with its default options: data=ordered, dioread_nolock, auto_da_alloc"
            }
            Extents::WrittenFirst => "ext4 with data=ordered and dioread_lock",
        }
    }

    fn rules(&self) -> &'static [Rule] {
        match self.extents {
            Extents::MarkedAfterwards => &[
                Rule { event: "operations on metadata", promise: "durable in order", source: JOURNAL },
                Rule {
                    event: "write beyond the end",
                    promise: "the size may survive without the data: zeros; the file may also end with its old last block",
                    source: ZEROS,
                },
                Rule {
                    event: "write, then rename to a new name",
                    promise: "the name may survive without the size: empty",
                    source: SEEN,
                },
                Rule {
                    event: "write, then rename over a file",
                    promise: "never empty; zeros of the full length are possible",
                    source: ALLOC,
                },
                IN_PLACE,
                Rule { event: "O_TRUNC, then write", promise: "empty, or zeros", source: SEEN },
                SHORTENED,
                KEPT,
                Rule {
                    event: "fsync of a file",
                    promise: "its content is durable, and all metadata up to its last change",
                    source: JOURNAL,
                },
                Rule {
                    event: "fsync of a folder",
                    promise: "all metadata up to the folder's last change is durable",
                    source: JOURNAL,
                },
            ],
            Extents::WrittenFirst => &[
                Rule { event: "operations on metadata", promise: "durable in order", source: JOURNAL },
                Rule {
                    event: "write beyond the end",
                    promise: "the size survives only with the data; the file may also end with its old last block, in zeros or not",
                    source: SEEN,
                },
                Rule {
                    event: "write, then rename to a new name",
                    promise: "the name may survive without the size: empty",
                    source: SEEN,
                },
                Rule { event: "write, then rename over a file", promise: "old or new", source: ALLOC },
                IN_PLACE,
                SHORTENED,
                KEPT,
                Rule {
                    event: "fsync of a file",
                    promise: "its content is durable, and all metadata up to its last change",
                    source: JOURNAL,
                },
                Rule {
                    event: "fsync of a folder",
                    promise: "all metadata up to the folder's last change is durable",
                    source: JOURNAL,
                },
            ],
        }
    }

    fn tears_at(&self) -> Option<u64> {
        Some(4096)
    }

    fn splits_rename(&self, _within_one_folder: bool) -> bool {
        false
    }

    fn needs(&self, later: &Piece, earlier: &Piece) -> bool {
        needs_metadata(later, earlier)
            || match (&earlier.part, &later.part) {
                // New blocks belong to the file that was cut. Those that it kept are in place.
                (Part::Resized { size, .. }, Part::Data { stretch, .. } | Part::Zeroed { stretch, .. }) => {
                    earlier.line < later.line && of_one_file(earlier, later) && is_beyond(stretch, *size)
                }
                // Ordered: the zeros are written before the size commits.
                (Part::Zeroed { .. }, Part::Resized { .. }) => {
                    earlier.line == later.line && of_one_file(earlier, later)
                }
                // Data in a block that the file had before is in place, and waits for nobody.
                (Part::Data { stretch, .. }, Part::Grown { blocks_from, .. }) => {
                    self.extents == Extents::WrittenFirst
                        && earlier.line <= later.line
                        && of_one_file(earlier, later)
                        && stretch.offset() >= *blocks_from
                }
                _ => false,
            }
    }

    fn lasts(&self, pieces: &[Piece], inode: Inode, what: Sync) -> Vec<usize> {
        by_commit(pieces, inode, what)
    }
}
