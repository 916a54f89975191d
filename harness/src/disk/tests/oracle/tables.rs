//! The tables of docs/disks.md as predicates on whole disks.

use super::program::{Effect, FOLDER, What, block_end};
use crate::disk::{Change, Line, Sync};

/// What the tables say of a disk with these effects on it, when so many calls had returned.
pub struct Tables<'a> {
    pub disk: &'a str,
    pub effects: &'a [Effect],
    pub lines: &'a [Line],
}

impl Tables<'_> {
    /// What is there for certain.
    pub fn durable(&self, calls: usize) -> Vec<bool> {
        let mut durable = vec![false; self.effects.len()];
        for (at, line) in self.lines[..calls].iter().enumerate() {
            let before: Vec<usize> = (0..self.effects.len()).filter(|&e| self.effects[e].line < at).collect();
            let lasts: Vec<usize> = match line.change {
                Change::SyncAll => before,
                Change::Sync { inode, what } => self.synced(inode.0, what == Sync::All, &before),
                _ => continue,
            };
            let is_sure =
                |effect: &usize| !matches!(self.effects[*effect].what, What::Zeros { is_sure: false, .. });
            lasts.into_iter().filter(is_sure).for_each(|effect| durable[effect] = true);
        }
        durable
    }

    fn synced(&self, inode: u32, is_full: bool, before: &[usize]) -> Vec<usize> {
        let is_content = |e: &usize| self.effects[*e].content() == Some(inode);
        let names = |e: usize| match &self.effects[e].what {
            What::Names(set, _) => set.as_slice(),
            _ => &[],
        };
        let is_of_folder = |e: &usize| names(*e).iter().any(|((folder, _), _)| *folder == inode);
        let is_name = |e: &usize, of: u32| names(*e).iter().any(|(_, to)| *to == Some(of));
        let is_mode = |e: &usize| matches!(self.effects[*e].what, What::Mode(of, _) if of == inode);
        let kept = |keeps: &dyn Fn(&usize) -> bool| before.iter().copied().filter(|e| keeps(e)).collect();
        match self.disk {
            "posix" => kept(&|e| is_content(e) || is_of_folder(e) || (is_full && is_mode(e))),
            "btrfs" => {
                // The file, its names, and its folders if they are new as well: one folder is made at the most.
                let is_in_new = before.iter().any(|e| {
                    names(*e).iter().any(|((folder, _), to)| *folder == FOLDER && *to == Some(inode))
                });
                kept(&|e| {
                    let is_folders = is_in_new && is_name(e, FOLDER);
                    is_content(e) || is_of_folder(e) || is_name(e, inode) || is_folders || is_mode(e)
                })
            }
            _ => {
                // Its content, and the log up to its last change.
                let made = before.iter().copied().find(|e| is_name(e, inode) && inode >= FOLDER);
                let is_change = |e: &usize| {
                    is_content(e) && !matches!(self.effects[*e].what, What::Bytes { .. })
                        || is_of_folder(e)
                        || (is_full && (is_name(e, inode) || is_mode(e)))
                        || Some(*e) == made
                };
                let last = before.iter().copied().filter(is_change).max();
                kept(&|e| is_content(e) || (self.effects[*e].is_logged() && Some(*e) <= last))
            }
        }
    }

    /// Whether a power loss may leave just these effects.
    pub fn allows(&self, has: &[bool], durable: &[bool], calls: usize) -> bool {
        let all = 0..self.effects.len();
        all.clone().all(|e| {
            let effect = &self.effects[e];
            if has[e] {
                effect.line < calls && (durable[e] && self.disk == "btrfs" || self.may_be_there(e, has))
            } else {
                !durable[e]
            }
        })
    }

    /// Whether one effect may be there beside these.
    fn may_be_there(&self, at: usize, has: &[bool]) -> bool {
        let this = &self.effects[at];
        let must = |which: &dyn Fn(&Effect) -> bool| {
            self.effects.iter().zip(has).all(|(other, has)| *has || !which(other))
        };
        let is_logged_before = |other: &Effect| other.is_logged() && other.line < this.line;
        match (&this.what, self.disk) {
            (_, "posix") | (What::Bytes { .. } | What::Zeros { .. }, "ext4-writeback") => true,
            // Commits in order; a call is whole, and so is a write.
            (What::Bytes { from, .. }, "btrfs") => must(&|other| {
                is_logged_before(other)
                    || (other.line == this.line
                        && match other.what {
                            What::Grow { .. } => true,
                            What::Zeros { from: end, .. } => from <= &end,
                            _ => false,
                        })
            }),
            (What::Grow { .. }, "btrfs") => must(&|other| {
                is_logged_before(other)
                    || (other.line == this.line && matches!(other.what, What::Bytes { .. }))
            }),
            (What::Names(..), "btrfs") => {
                must(&|other| is_logged_before(other) || (other.line == this.line && other.is_logged()))
            }
            (_, "btrfs") | (What::Mode(..), _) => must(&is_logged_before),
            // One log. ext4 allocates what was written to a file before it is renamed over another.
            (What::Names(_, over), _) => must(&|other| {
                is_logged_before(other)
                    || (self.disk != "xfs"
                        && other.line < this.line
                        && matches!(other.what, What::Grow { file, .. } if Some(file) == *over))
            }),
            (What::Cut(..), _) => must(&|other| {
                is_logged_before(other)
                    || (self.disk != "ext4-writeback"
                        && other.line == this.line
                        && matches!(other.what, What::Zeros { .. }))
            }),
            // Each size with its own data: of a write that goes on in new blocks the first size ends with the old one.
            (What::Grow { from, new, to, .. }, "xfs") => must(&|other| {
                let own = if *to == *new { *from..*new } else { *new..*to };
                is_logged_before(other)
                    || (other.line == this.line
                        && matches!(other.what, What::Bytes { from, to, .. } if from < own.end && to > own.start))
            }),
            (What::Grow { file, new, to, .. }, disk) => must(&|other| {
                is_logged_before(other)
                    || matches!(other.what, What::Grow { file: of, to: less, .. }
                        if of == *file && (other.line < this.line || (other.line == this.line && less < *to)))
                    || (disk == "ext4-dioread-lock"
                        && other.line <= this.line
                        && matches!(&other.what, What::Bytes { file: of, from, .. } if of == file && from >= new))
            }),
            // New blocks belong to the file that was cut.
            (What::Bytes { .. } | What::Zeros { .. }, _) => {
                let (file, _, to) = this.written().expect("it writes");
                must(&|other| {
                    other.line < this.line
                        && matches!(other.what, What::Cut(of, size) if of == file && to > block_end(size))
                })
            }
        }
    }
}
