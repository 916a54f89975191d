//! Pieces: the parts of a call's effect that reach the disk apart.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::content::{BLOCK, Content, Stretch};
use super::image::Node;
use super::journal::{Change, Inode, Journal, Start};
use super::model::{Disk, Zeroes};

/// A part of a call's effect, whole on disk or not there at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The call: index into the journal's lines.
    pub line: usize,
    /// What reaches the disk.
    pub part: Part,
}

/// What reaches the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Names that change together: all of them, or none.
    Entries {
        /// Names that stand for something else, or for nothing, from now on.
        set: Vec<(Inode, Box<str>, Option<Inode>)>,
        /// What was made, where something was: it is there as soon as any name of it is.
        made: Option<(Inode, Node)>,
        /// The inode that a rename put over another one.
        over: Option<Inode>,
    },
    /// The size that a write gave a file.
    Grown {
        /// The file that became longer; the bytes that it gained are a piece of their own.
        inode: Inode,
        /// Its size in bytes.
        size: u64,
        /// How long it was before the write, in bytes.
        from: u64,
        /// Where the new blocks begin that hold what it gained, in bytes; `size` where it needed none.
        blocks_from: u64,
    },
    /// The size that a call other than a write gave a file.
    Resized {
        /// The file whose length was set.
        inode: Inode,
        /// Its size in bytes.
        size: u64,
    },
    /// Bytes of a file.
    Data {
        /// The file that the bytes belong to.
        inode: Inode,
        /// Which, and from where on: a part of what the call wrote.
        stretch: Stretch,
    },
    /// Zeros from the end of a file that was cut to the end of its last block.
    Zeroed {
        /// The file that was cut.
        inode: Inode,
        /// The zeros.
        stretch: Stretch,
    },
    /// The permission bits of a file or folder were set.
    Mode {
        /// The file or folder whose bits they are.
        inode: Inode,
        /// The bits that it has once this piece is on the disk.
        mode: u32,
    },
}

impl Part {
    /// The file whose content it is about.
    #[must_use]
    pub fn content_of(&self) -> Option<Inode> {
        match self {
            Self::Grown { inode, .. }
            | Self::Resized { inode, .. }
            | Self::Data { inode, .. }
            | Self::Zeroed { inode, .. } => Some(*inode),
            Self::Entries { .. } | Self::Mode { .. } => None,
        }
    }

    /// Whether it is one of the operations on metadata that a journalling filesystem keeps in order.
    #[must_use]
    pub const fn is_metadata(&self) -> bool {
        matches!(self, Self::Entries { .. } | Self::Resized { .. } | Self::Mode { .. })
    }

    /// Whether it concerns this inode: as what a name stands for, as the folder of a name, or as the file itself.
    #[must_use]
    pub fn concerns(&self, inode: Inode) -> bool {
        match self {
            Self::Entries { set, .. } => {
                set.iter().any(|(folder, _, to)| *folder == inode || *to == Some(inode))
            }
            Self::Mode { inode: of, .. } => *of == inode,
            Self::Grown { .. } | Self::Resized { .. } | Self::Data { .. } | Self::Zeroed { .. } => {
                self.content_of() == Some(inode)
            }
        }
    }

    /// Whether it gives this inode a name.
    #[must_use]
    pub fn names(&self, inode: Inode) -> bool {
        matches!(self, Self::Entries { set, .. } if set.iter().any(|(_, _, to)| *to == Some(inode)))
    }

    /// Whether it zeroes the rest of a block as the call that it is of cuts the file.
    pub(super) fn zeroes_as_cut(&self, by: &Change) -> bool {
        matches!((self, by), (Self::Zeroed { stretch, .. }, Change::Resize { size, .. }) if stretch.offset() == *size)
    }

    /// The effect on a folder.
    pub(super) fn apply(&self, state: &mut Start, sizes: &mut Sizes) {
        match self {
            Self::Entries { set, .. } => {
                for (folder, name, to) in set {
                    let key = (*folder, name.clone());
                    match to {
                        Some(inode) => _ = state.entries.insert(key, *inode),
                        None => _ = state.entries.remove(&key),
                    }
                }
            }
            Self::Grown { inode, size, .. } => sizes.grow(state, *inode, *size),
            Self::Resized { inode, size } => sizes.resize(state, *inode, *size),
            Self::Data { inode, stretch } | Self::Zeroed { inode, stretch } => {
                sizes.write(state, *inode, stretch);
            }
            Self::Mode { inode, mode: bits } => match state.inodes.get_mut(inode) {
                Some(Node::File { mode, .. } | Node::Folder { mode }) => *mode = *bits,
                Some(Node::Link { .. }) | None => {}
            },
        }
    }
}

/// The sizes of files whose blocks reach further: what lies beyond cannot be read.
#[derive(Debug, Default)]
pub(super) struct Sizes(HashMap<Inode, u64>);

impl Sizes {
    fn of(&mut self, inode: Inode, content: &Content) -> &mut u64 {
        self.0.entry(inode).or_insert(content.len())
    }

    fn grow(&mut self, state: &mut Start, inode: Inode, to: u64) {
        let Some(Node::File { content, .. }) = state.inodes.get_mut(&inode) else { return };
        let size = self.of(inode, content);
        *size = (*size).max(to);
    }

    fn resize(&mut self, state: &mut Start, inode: Inode, to: u64) {
        let Some(Node::File { content, .. }) = state.inodes.get_mut(&inode) else { return };
        *self.of(inode, content) = to;
        // The block that the file ends in stays whole: zeros in the rest of it are a piece of their own.
        content.resize(to.next_multiple_of(BLOCK).min(content.len()));
    }

    fn write(&mut self, state: &mut Start, inode: Inode, stretch: &Stretch) {
        let Some(Node::File { content, .. }) = state.inodes.get_mut(&inode) else { return };
        self.of(inode, content);
        content.write(stretch);
    }

    /// Cuts or fills every file to its size.
    pub(super) fn settle(&self, state: &mut Start) {
        for (inode, size) in &self.0 {
            if let Some(Node::File { content, .. }) = state.inodes.get_mut(inode) {
                content.resize(*size);
            }
        }
    }
}

/// At most so many pieces does one write make: longer ones tear at coarser places.
const CUTS_MAX: usize = 16;

/// A journal in pieces.
#[derive(Clone, Debug)]
pub(super) struct Pieces {
    /// In the order of the calls.
    pub all: Vec<Piece>,
    /// Whether every write tears wherever the disk may tear it.
    pub is_finest: bool,
}

/// Cuts a journal into pieces: so many at the most, if writes that tear at coarser places make it so few.
pub(super) fn cut(journal: &Journal, disk: &dyn Disk, most: usize) -> Pieces {
    let mut cuts_max = CUTS_MAX;
    loop {
        let pieces = cut_at(journal, disk, cuts_max);
        if pieces.all.len() <= most || cuts_max == 1 {
            return pieces;
        }
        cuts_max /= 4;
    }
}

fn cut_at(journal: &Journal, disk: &dyn Disk, cuts_max: usize) -> Pieces {
    let mut pieces = Vec::new();
    let mut is_finest = true;
    let mut sizes: HashMap<Inode, u64> = journal
        .start
        .inodes
        .iter()
        .filter_map(|(inode, node)| match node {
            Node::File { content, .. } => Some((*inode, content.len())),
            Node::Folder { .. } | Node::Link { .. } => None,
        })
        .collect();
    // Files that were cut within a block of which the rest was not zeroed yet.
    let mut stale: HashSet<Inode> = HashSet::new();
    for (line, call) in journal.lines.iter().enumerate() {
        let mut push = |part| pieces.push(Piece { line, part });
        let entries = |set, over| Part::Entries { set, made: None, over };
        match &call.change {
            Change::Create { inode, node, folder, name } => push(Part::Entries {
                set: vec![(*folder, name.clone(), Some(*inode))],
                made: Some((*inode, node.clone())),
                over: None,
            }),
            Change::Link { inode, folder, name } => {
                push(entries(vec![(*folder, name.clone(), Some(*inode))], None));
            }
            Change::Unlink { folder, name } => push(entries(vec![(*folder, name.clone(), None)], None)),
            Change::Rename { inode, from, to, replaced } => {
                let over = replaced.map(|_| *inode);
                let gone = (from.0, from.1.clone(), None);
                let come = (to.0, to.1.clone(), Some(*inode));
                if disk.splits_rename(from.0 == to.0) {
                    push(entries(vec![come], over));
                    push(entries(vec![gone], None));
                } else {
                    push(entries(vec![gone, come], over));
                }
            }
            Change::Exchange { one, other } => push(entries(
                vec![(one.0, one.1.clone(), Some(other.2)), (other.0, other.1.clone(), Some(one.2))],
                None,
            )),
            Change::Write { inode, offset, bytes } => {
                let (size, end) = (sizes.entry(*inode).or_default(), offset + bytes.len() as u64);
                if end > *size && stale.remove(inode) {
                    zeroed(*inode, *size, disk.tears_at()).for_each(&mut push);
                }
                let (parts, is_fine) = cuts(*offset, bytes, disk.tears_at(), cuts_max);
                is_finest &= is_fine;
                for stretch in parts {
                    push(Part::Data { inode: *inode, stretch });
                }
                if end > *size {
                    let from = *size;
                    let blocks_from =
                        disk.grows_by().map_or(*size, |block| size.next_multiple_of(block)).min(end);
                    // Within the last block that it has a file grows first, without a new one.
                    if *offset < blocks_from && *size < blocks_from && blocks_from < end {
                        push(Part::Grown { inode: *inode, size: blocks_from, from, blocks_from });
                    }
                    *size = end;
                    push(Part::Grown { inode: *inode, size: end, from, blocks_from });
                }
            }
            Change::Resize { inode, size } => {
                let before = sizes.insert(*inode, *size).unwrap_or_default();
                if *size > before && stale.remove(inode) {
                    zeroed(*inode, before, disk.tears_at()).for_each(&mut push);
                } else if *size < before {
                    if !size.is_multiple_of(BLOCK) && disk.zeroes() != Zeroes::AsGrown {
                        zeroed(*inode, *size, None).for_each(&mut push);
                    }
                    if !size.is_multiple_of(BLOCK) && disk.zeroes() != Zeroes::AsCut {
                        stale.insert(*inode);
                    } else {
                        stale.remove(inode);
                    }
                }
                push(Part::Resized { inode: *inode, size: *size });
            }
            Change::Mode { inode, mode } => push(Part::Mode { inode: *inode, mode: *mode }),
            Change::Sync { .. } | Change::SyncAll => {}
        }
    }
    Pieces { all: pieces, is_finest }
}

/// Zeros from the end of a file to the end of the block that it lies in, torn wherever the disk may tear them.
fn zeroed(inode: Inode, from: u64, unit: Option<u64>) -> impl Iterator<Item = Part> {
    let zeros = vec![0; (from.next_multiple_of(BLOCK) - from) as usize];
    let (parts, _) = cuts(from, &zeros.into(), unit, CUTS_MAX);
    parts.into_iter().map(move |stretch| Part::Zeroed { inode, stretch })
}

/// A write, torn wherever the disk may tear it, and whether these are all such places. A disk without a `unit` tears nothing.
fn cuts(offset: u64, bytes: &Bytes, unit: Option<u64>, most: usize) -> (Vec<Stretch>, bool) {
    if bytes.is_empty() {
        return (Vec::new(), true);
    }
    let Some(unit) = unit else { return (vec![Stretch::of(offset, bytes.clone())], true) };
    let units = (offset + bytes.len() as u64).div_ceil(unit) - offset / unit;
    let at_once = units.div_ceil(most as u64).max(1);
    let unit = unit * at_once;
    let mut cut = Vec::new();
    let (mut at, mut rest) = (offset, bytes.clone());
    while !rest.is_empty() {
        let length = usize::try_from(unit - at % unit).unwrap_or(usize::MAX).min(rest.len());
        cut.push(Stretch::of(at, rest.split_to(length)));
        at += length as u64;
    }
    (cut, at_once == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_tears_where_its_units_end_and_never_into_too_many_pieces() {
        let bytes = Bytes::from(vec![1; 10_000]);
        let lengths = |offset, unit| -> Vec<u64> {
            let (cuts, is_finest) = cuts(offset, &bytes, unit, CUTS_MAX);
            assert_eq!(is_finest, unit != Some(512));
            cuts.into_iter().map(|cut| cut.end() - cut.offset()).collect()
        };
        assert_eq!(lengths(0, Some(4096)), [4096, 4096, 1808]);
        assert_eq!(lengths(4000, Some(4096)), [96, 4096, 4096, 1712]);
        assert_eq!(lengths(0, None), [10_000]);
        assert!(lengths(0, Some(512)).len() <= CUTS_MAX);
        assert_eq!(lengths(0, Some(512)).iter().sum::<u64>(), 10_000);
    }
}
