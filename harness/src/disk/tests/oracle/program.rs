//! Random small programs: as a journal that the enumeration reads, and as effects, cut by hand.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::disk::{Change, Content, Inode, Journal, Line, Node, ROOT, Start, Sync};

const BLOCK: u64 = 4096;
/// So many effects at the most: every subset of them is tried.
pub const EFFECTS_MAX: usize = 13;

pub type Key = (u32, &'static str);

/// What reaches a disk as a whole.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Names that stand for something else from now on, and the file that a rename put over another.
    Names(Vec<(Key, Option<u32>)>, Option<u32>),
    Mode(u32, u32),
    /// A file's size, set by a call that is no write.
    Cut(u32, u64),
    /// A file's size after a write: before, after, and where its new blocks begin.
    Grow {
        file: u32,
        from: u64,
        to: u64,
        new: u64,
    },
    /// Bytes from here to there.
    Bytes {
        file: u32,
        from: u64,
        to: u64,
        tag: u8,
    },
    /// Zeros from the end of a file to that of its last block, and whether a sync makes sure of them.
    Zeros {
        file: u32,
        from: u64,
        to: u64,
        is_sure: bool,
    },
}

#[derive(Clone, Debug)]
pub struct Effect {
    pub line: usize,
    pub what: What,
}

impl Effect {
    /// Whether a journal keeps it in order.
    pub fn is_logged(&self) -> bool {
        matches!(self.what, What::Names(..) | What::Mode(..) | What::Cut(..))
    }

    /// The file whose content it is of.
    pub fn content(&self) -> Option<u32> {
        match self.what {
            What::Cut(file, _)
            | What::Grow { file, .. }
            | What::Bytes { file, .. }
            | What::Zeros { file, .. } => Some(file),
            What::Names(..) | What::Mode(..) => None,
        }
    }

    /// The part of a file that it writes.
    pub fn written(&self) -> Option<(u32, u64, u64)> {
        match self.what {
            What::Bytes { file, from, to, .. } | What::Zeros { file, from, to, .. } => Some((file, from, to)),
            _ => None,
        }
    }
}

/// A random program: as the enumeration reads it, and as the oracle does.
pub struct Program {
    random: ChaCha8Rng,
    disk: &'static str,
    pub journal: Journal,
    names: BTreeMap<Key, u32>,
    sizes: BTreeMap<u32, u64>,
    /// Files whose last block was not zeroed behind their end.
    stale: BTreeSet<u32>,
    pub effects: Vec<Effect>,
}

const FILES: [Key; 5] = [(0, "f"), (0, "g"), (1, "f"), (1, "g"), (5, "h")];
/// The number of the first file that a program makes; a folder that one makes is always the same.
const MADE: u32 = 6;
pub const FOLDER: u32 = 5;

impl Program {
    pub fn new(disk: &'static str, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let lengths = [0, 100, 5000, 8192];
        let [f, g] = [(); 2].map(|()| lengths[random.next_u32() as usize % 4]);
        let file = |length| Node::File { mode: 0o644, content: Content::of(vec![b'o'; length as usize]) };
        let mut start = Start::default();
        start.inodes.insert(ROOT, Node::Folder { mode: 0o755 });
        start.inodes.insert(Inode(1), Node::Folder { mode: 0o755 });
        start.inodes.insert(Inode(2), file(f));
        start.inodes.insert(Inode(3), file(g));
        let names: BTreeMap<Key, u32> = [((0, "d"), 1), ((0, "f"), 2), ((1, "g"), 3)].into_iter().collect();
        for ((folder, name), inode) in &names {
            start.entries.insert((Inode(*folder), (*name).into()), Inode(*inode));
        }
        let sizes = [(2, f), (3, g)].into_iter().collect();
        let journal = Journal { start, lines: Vec::new() };
        let mut program =
            Self { random, disk, journal, names, sizes, stale: BTreeSet::new(), effects: Vec::new() };
        let calls = 2 + program.below(5);
        let mut next = MADE;
        while program.journal.lines.len() < calls as usize {
            let (known, effects) = (program.journal.lines.len(), program.effects.len());
            program.call(&mut next);
            if program.effects.len() > EFFECTS_MAX {
                program.effects.truncate(effects);
                program.journal.lines.truncate(known);
                break;
            }
        }
        program
    }

    fn below(&mut self, end: u32) -> u32 {
        self.random.next_u32() % end
    }

    fn push(&mut self, what: What) {
        self.effects.push(Effect { line: self.journal.lines.len(), what });
    }

    fn line(&mut self, change: Change) {
        self.journal.lines.push(Line { process: 1, step: 0, label: format!("{change:?}").into(), change });
    }

    fn names(&mut self, set: Vec<(Key, Option<u32>)>, over: Option<u32>) {
        for (key, to) in &set {
            match to {
                Some(to) => _ = self.names.insert(*key, *to),
                None => _ = self.names.remove(key),
            }
        }
        self.push(What::Names(set, over));
    }

    /// One more call, if there is something to call it on.
    fn call(&mut self, next: &mut u32) {
        let at = FILES[self.below(5) as usize];
        let other = FILES[self.below(5) as usize];
        let has_folder =
            |key: Key, names: &BTreeMap<Key, u32>| key.0 != FOLDER || names.contains_key(&(0, "e"));
        if !has_folder(at, &self.names) {
            let node = Node::Folder { mode: 0o755 };
            self.names(vec![((0, "e"), Some(FOLDER))], None);
            return self.line(Change::Create { inode: Inode(FOLDER), node, folder: ROOT, name: "e".into() });
        }
        let key = |(folder, name): Key| (Inode(folder), Box::<str>::from(name));
        let Some(file) = self.names.get(&at).copied() else {
            let inode = Inode(*next);
            let node = Node::File { mode: 0o644, content: Content::default() };
            self.names(vec![(at, Some(*next))], None);
            self.sizes.insert(*next, 0);
            *next += 1;
            let (folder, name) = key(at);
            return self.line(Change::Create { inode, node, folder, name });
        };
        let inode = Inode(file);
        let there = self.names.get(&other).copied();
        let is_other = other != at && has_folder(other, &self.names) && there != Some(file);
        match self.below(13) {
            0..=2 => self.write(file),
            3 | 4 => self.cut(file),
            5 | 6 if is_other => {
                let (over, (from, to)) = (there.map(|_| file), (key(at), key(other)));
                let may_split = self.disk == "posix" || (self.disk == "btrfs" && at.0 != other.0);
                if may_split {
                    self.names(vec![(other, Some(file))], over);
                    self.names(vec![(at, None)], None);
                } else {
                    self.names(vec![(at, None), (other, Some(file))], over);
                }
                self.line(Change::Rename { inode, from, to, replaced: there.map(Inode) });
            }
            7 if is_other && there.is_none() => {
                self.names(vec![(other, Some(file))], None);
                let (folder, name) = key(other);
                self.line(Change::Link { inode, folder, name });
            }
            7 if is_other => {
                let than = there.expect("it is there");
                self.names(vec![(at, Some(than)), (other, Some(file))], None);
                let (one, two) = (key(at), key(other));
                self.line(Change::Exchange {
                    one: (one.0, one.1, inode),
                    other: (two.0, two.1, Inode(than)),
                });
            }
            8 => {
                self.names(vec![(at, None)], None);
                let (folder, name) = key(at);
                self.line(Change::Unlink { folder, name });
            }
            9 => {
                let mode = [0o600, 0o640][self.below(2) as usize];
                self.push(What::Mode(file, mode));
                self.line(Change::Mode { inode, mode });
            }
            10 => self.line(Change::Sync { inode, what: Sync::All }),
            11 => {
                let inode = [inode, Inode(at.0)][self.below(2) as usize];
                self.line(Change::Sync { inode, what: Sync::Data });
            }
            12 => {
                let all = self.below(4) == 0;
                self.line(if all {
                    Change::SyncAll
                } else {
                    Change::Sync { inode: Inode(at.0), what: Sync::All }
                });
            }
            _ => {}
        }
    }

    /// Of a disk that tears at sectors a write is short: each of them is an effect.
    fn write(&mut self, file: u32) {
        let is_fine = self.disk == "posix";
        let size = self.sizes[&file];
        let offset = match self.below(5) {
            0 => size,
            1 => size.saturating_sub(60),
            2 => 5000,
            3 => 4096,
            _ => 0,
        };
        let length =
            [40, if is_fine { 700 } else { 4096 }, if is_fine { 300 } else { 6000 }][self.below(3) as usize];
        let (end, tag) = (offset + length, b'a' + self.journal.lines.len() as u8);
        if end > size {
            self.zero_late(file, size);
        }
        let unit = match self.disk {
            "posix" => 512,
            "btrfs" => u64::MAX,
            _ => BLOCK,
        };
        let mut from = offset;
        while from < end {
            let to = (from / unit).saturating_add(1).saturating_mul(unit).min(end);
            self.push(What::Bytes { file, from, to, tag });
            from = to;
        }
        if end > size {
            let new = if self.disk == "btrfs" { size } else { block_end(size).min(end) };
            if self.disk != "btrfs" && offset < new && size < new && new < end {
                self.push(What::Grow { file, from: size, to: new, new });
            }
            self.push(What::Grow { file, from: size, to: end, new });
            self.sizes.insert(file, end);
        }
        let bytes = vec![tag; length as usize].into();
        self.line(Change::Write { inode: Inode(file), offset, bytes });
    }

    fn cut(&mut self, file: u32) {
        let before = self.sizes[&file];
        let size = [0, 50, 4096, 6000][self.below(4) as usize];
        let is_within = size % BLOCK != 0;
        if size > before {
            self.zero_late(file, before);
        } else if size < before {
            self.stale.remove(&file);
            if is_within && self.disk != "btrfs" {
                let is_sure = self.disk != "posix";
                self.push(What::Zeros { file, from: size, to: block_end(size), is_sure });
            }
            if is_within && matches!(self.disk, "btrfs" | "posix") {
                self.stale.insert(file);
            }
        }
        self.push(What::Cut(file, size));
        self.sizes.insert(file, size);
        self.line(Change::Resize { inode: Inode(file), size });
    }

    /// What was not zeroed as the file was cut is so as it grows.
    fn zero_late(&mut self, file: u32, size: u64) {
        if !self.stale.remove(&file) {
            return;
        }
        let unit = if self.disk == "posix" { 512 } else { BLOCK };
        let mut from = size;
        while from < block_end(size) {
            let to = (from / unit + 1) * unit;
            self.push(What::Zeros { file, from, to, is_sure: true });
            from = to;
        }
    }
}

pub fn block_end(offset: u64) -> u64 {
    offset.div_ceil(BLOCK) * BLOCK
}
