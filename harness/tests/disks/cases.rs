//! What is done to a folder while its disk is watched: cases written by hand, and random ones.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use flockwork_harness::disk::{Change, Content, Image, Inode, Journal, Line, Node, ROOT, Start, Sync};

use super::images::Random;
use super::sys::start_writing;

/// A call. Paths are those below the folder; lengths and offsets are bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    Create(&'static str),
    Write(&'static str, u64, usize),
    Truncate(&'static str, u64),
    Rename(&'static str, &'static str),
    Unlink(&'static str),
    Fsync(&'static str),
    Fdatasync(&'static str),
    FsyncFolder(&'static str),
    /// Has its data written by and by, as the kernel does by itself after some seconds: nothing is promised.
    StartWriting(&'static str),
}

/// What is done, and what lies there before.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    /// Files with their lengths; a folder is a path that ends with a slash.
    pub before: Vec<(&'static str, usize)>,
    pub ops: Vec<Op>,
    /// The file whose states the page shows.
    pub shown: &'static str,
}

/// What one of the cases must leave on a filesystem, as [`words`] puts it: else the disk was not watched as it should be.
pub const ANOMALIES: &[(&str, &str, &str)] = &[
    ("rename over a file, no fsync", "ext4", "f=zeros"),
    ("rename over a file, no fsync", "xfs", "f=empty"),
    ("rename over a file, no fsync", "btrfs", "f=empty"),
    ("rename to a new name", "ext4", "f=empty"),
    ("rename to a new name", "ext4-dioread-lock", "f=empty"),
    ("rename to a new name", "xfs", "f=empty"),
    ("rename to a new name", "btrfs", "f=empty"),
    ("O_TRUNC and write", "ext4", "f=empty"),
    ("O_TRUNC and write", "xfs", "f=empty"),
    ("O_TRUNC and write", "btrfs", "f=empty"),
    ("three blocks in place", "ext4", "f=mixed"),
    ("three blocks in place", "xfs", "f=mixed"),
    ("write in place, then create another file", "ext4", "f=old g=empty"),
    ("write in place, then create another file", "xfs", "f=old g=empty"),
    ("write in place, then create another file", "btrfs", "f=old g=empty"),
    ("create two files, fsync of the second", "btrfs", "2=empty"),
    ("shorten, then write to what is kept", "ext4", "f=mixed"),
    ("shorten, then write to what is kept", "xfs", "f=mixed"),
    ("shorten within a block", "ext4", "f=zeros within"),
    ("shorten within a block", "xfs", "f=zeros within"),
    ("two writes beyond the end, each started", "xfs", "f=zeros within"),
    ("two writes beyond the end, each started", "btrfs", "f=zeros within"),
];

/// Bytes of a file of three blocks.
const LONG: usize = 12288;

fn case(
    name: &str,
    is_short: bool,
    before: &[(&'static str, usize)],
    ops: &[Op],
    shown: &'static str,
) -> (Case, bool) {
    (Case { name: name.into(), before: before.to_vec(), ops: ops.to_vec(), shown }, is_short)
}

/// Case, whether it belongs to the short form, files before, calls, the file shown.
pub fn by_hand() -> Vec<(Case, bool)> {
    use Op::{Create, Fsync, FsyncFolder, Rename, Truncate, Write};
    let replace = || vec![Create("f.tmp"), Write("f.tmp", 0, LONG)];
    let then = |mut ops: Vec<Op>, more: &[Op]| {
        ops.extend_from_slice(more);
        ops
    };
    let mut cases = vec![
        case(
            "rename over a file, no fsync",
            true,
            &[("f", LONG)],
            &then(replace(), &[Rename("f.tmp", "f")]),
            "f",
        ),
        case(
            "the same, and fsync of the folder",
            false,
            &[("f", LONG)],
            &then(replace(), &[Rename("f.tmp", "f"), FsyncFolder("")]),
            "f",
        ),
        case(
            "fsync, rename over a file, fsync of the folder",
            true,
            &[("f", LONG)],
            &then(replace(), &[Fsync("f.tmp"), Rename("f.tmp", "f"), FsyncFolder("")]),
            "f",
        ),
        case("rename to a new name", true, &[], &then(replace(), &[Rename("f.tmp", "f")]), "f"),
        case("O_TRUNC and write", true, &[("f", LONG)], &[Truncate("f", 0), Write("f", 0, LONG)], "f"),
        case("append", false, &[("f", 100)], &[Write("f", 100, LONG)], "f"),
        case("three blocks in place", true, &[("f", LONG)], &[Write("f", 0, LONG)], "f"),
        case(
            "write in place, then create another file",
            false,
            &[("f", LONG)],
            &[Write("f", 0, LONG), Create("g")],
            "f",
        ),
        case("write in place and fsync", false, &[("f", LONG)], &[Write("f", 0, LONG), Fsync("f")], "f"),
        case(
            "move to another folder, then fsync of the file",
            false,
            &[("a/", 0), ("a/p", 100), ("b/", 0)],
            &[Rename("a/p", "b/q"), Fsync("b/q")],
            "a/p",
        ),
        case(
            "create two files, fsync of the second",
            false,
            &[],
            &[Create("1"), Create("2"), Fsync("2")],
            "1",
        ),
        case(
            "shorten, then lengthen",
            false,
            &[("f", LONG)],
            &[Truncate("f", 4096), Write("f", 8192, 4096)],
            "f",
        ),
    ];
    cases.extend(of_sizes());
    cases
}

/// Files that are cut, or written behind their end, with what is dirty written by and by.
fn of_sizes() -> Vec<(Case, bool)> {
    use Op::{Create, Rename, StartWriting, Truncate, Write};
    vec![
        case(
            "shorten, then write to what is kept",
            false,
            &[("f", LONG)],
            &[Truncate("f", 4096), Write("f", 0, 4096), StartWriting("f")],
            "f",
        ),
        case("shorten within a block", false, &[("f", LONG)], &[Truncate("f", 5000), StartWriting("f")], "f"),
        case(
            "shorten within a block, then lengthen",
            false,
            &[("f", LONG)],
            &[Truncate("f", 5000), StartWriting("f"), Truncate("f", 12288)],
            "f",
        ),
        case(
            "shorten within a block, then write to what is kept",
            false,
            &[("f", LONG)],
            &[Truncate("f", 5000), Write("f", 4096, 100), StartWriting("f")],
            "f",
        ),
        case("append within a block", false, &[("f", 100)], &[Write("f", 100, 200), StartWriting("f")], "f"),
        case(
            "append and overwrite",
            false,
            &[("f", 5000)],
            &[Write("f", 4000, 8000), StartWriting("f")],
            "f",
        ),
        case("write behind a gap", false, &[("f", 100)], &[Write("f", 9000, 3000), StartWriting("f")], "f"),
        case(
            "two writes beyond the end, the first started",
            false,
            &[("f", 100)],
            &[Write("f", 100, 100), StartWriting("f"), Write("f", 200, 8000)],
            "f",
        ),
        case(
            "rename over, then write in place",
            false,
            &[("f", LONG)],
            &[
                Create("f.tmp"),
                Write("f.tmp", 0, LONG),
                Rename("f.tmp", "f"),
                Write("f", 0, 4096),
                StartWriting("f"),
            ],
            "f",
        ),
        case(
            "empty and write, started",
            false,
            &[("f", LONG)],
            &[Truncate("f", 0), Write("f", 0, LONG), StartWriting("f")],
            "f",
        ),
        case(
            "write, shorten, write again",
            false,
            &[("f", 100)],
            &[
                Write("f", 0, 8192),
                StartWriting("f"),
                Truncate("f", 50),
                Write("f", 50, 5000),
                StartWriting("f"),
            ],
            "f",
        ),
        case(
            "two writes beyond the end, each started",
            false,
            &[("f", LONG)],
            &[Write("f", 12288, 4096), StartWriting("f"), Write("f", 16384, 4096), StartWriting("f")],
            "f",
        ),
        case(
            "lengthen, then write",
            false,
            &[("f", 100)],
            &[Truncate("f", 12288), Write("f", 4096, 4096), StartWriting("f")],
            "f",
        ),
    ]
}

/// A case of random calls; the same seed gives the same.
pub fn random(seed: u64) -> Case {
    const NAMES: [&str; 4] = ["f", "g", "d/f", "d/g"];
    const LENGTHS: [usize; 4] = [100, 4096, 8192, 12288];
    const OFFSETS: [usize; 5] = [0, 4096, 8192, 100, 5000];
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let before = vec![("d/", 0), ("f", LENGTHS[random.below(4)]), ("d/g", LENGTHS[random.below(4)])];
    let mut there: BTreeMap<&str, usize> = before.iter().skip(1).copied().collect();
    let mut ops = Vec::new();
    while ops.len() < 4 + random.below(3) {
        let name = NAMES[random.below(4)];
        let Some(length) = there.get(name).copied() else {
            there.insert(name, 0);
            ops.push(Op::Create(name));
            continue;
        };
        match random.below(10) {
            0 | 1 => {
                let (offset, written) = (OFFSETS[random.below(5)], LENGTHS[random.below(4)]);
                there.insert(name, length.max(offset + written));
                ops.push(Op::Write(name, offset as u64, written));
            }
            2 => {
                let to = OFFSETS[random.below(5)];
                if to != length {
                    there.insert(name, to);
                    ops.push(Op::Truncate(name, to as u64));
                }
            }
            3 | 4 => {
                let to = NAMES[random.below(4)];
                if to != name {
                    there.remove(name);
                    there.insert(to, length);
                    ops.push(Op::Rename(name, to));
                }
            }
            5 => {
                there.remove(name);
                ops.push(Op::Unlink(name));
            }
            6 => ops.push(Op::Fsync(name)),
            7 | 8 => ops.push(Op::StartWriting(name)),
            _ => ops.push(match random.below(3) {
                0 => Op::FsyncFolder("d"),
                1 => Op::FsyncFolder(""),
                _ => Op::Fdatasync(name),
            }),
        }
    }
    Case { name: format!("random calls, seed {seed}"), before, ops, shown: "f" }
}

/// Bytes that begin with a tag, block by block.
fn content(tag: [u8; 4], length: usize) -> Vec<u8> {
    tag.into_iter().cycle().take(length).collect()
}

impl Case {
    /// Lays out what is there before.
    pub fn lay(&self, folder: &Path) -> io::Result<()> {
        for (path, length) in &self.before {
            if path.ends_with('/') {
                fs::create_dir(folder.join(path))?;
            } else {
                fs::write(folder.join(path), content(*b"old!", *length))?;
            }
        }
        Ok(())
    }

    /// Makes a call.
    pub fn perform(op: &Op, folder: &Path) -> io::Result<()> {
        let writable = |path: &str| OpenOptions::new().write(true).open(folder.join(path));
        match op {
            Op::Create(path) => {
                OpenOptions::new().write(true).create_new(true).open(folder.join(path)).map(drop)
            }
            Op::Write(path, offset, length) => {
                writable(path)?.write_all_at(&content(*b"new!", *length), *offset)
            }
            Op::Truncate(path, 0) => {
                OpenOptions::new().write(true).truncate(true).open(folder.join(path)).map(drop)
            }
            Op::Truncate(path, length) => writable(path)?.set_len(*length),
            Op::Rename(from, to) => fs::rename(folder.join(from), folder.join(to)),
            Op::Unlink(path) => fs::remove_file(folder.join(path)),
            Op::Fsync(path) => writable(path)?.sync_all(),
            Op::Fdatasync(path) => writable(path)?.sync_data(),
            Op::FsyncFolder(path) => File::open(folder.join(path))?.sync_all(),
            Op::StartWriting(path) => start_writing(&writable(path)?),
        }
    }

    /// The same calls as a journal.
    pub fn journal(&self) -> Journal {
        let mut image = Image::default();
        for (number, (path, length)) in self.before.iter().enumerate() {
            let node = if path.ends_with('/') {
                Node::Folder { mode: 0o755 }
            } else {
                Node::File { mode: 0o644, content: Content::of(content(*b"old!", *length)) }
            };
            image.insert(path.trim_end_matches('/'), number as u32 + 1, node);
        }
        let start = Start::of(&image);
        let mut names = Names { entries: start.entries.clone(), next: start.next_inode() };
        let lines = self.ops.iter().map(|op| Line {
            step: 0,
            process: 1,
            label: format!("{op:?}").into(),
            change: names.change(op),
        });
        Journal { lines: lines.collect(), start }
    }
}

struct Names {
    entries: BTreeMap<(Inode, Box<str>), Inode>,
    next: Inode,
}

impl Names {
    fn key(&self, path: &str) -> (Inode, Box<str>) {
        match path.split_once('/') {
            Some((folder, name)) => (self.entries[&(ROOT, folder.into())], name.into()),
            None => (ROOT, path.into()),
        }
    }

    fn inode(&self, path: &str) -> Inode {
        if path.is_empty() { ROOT } else { self.entries[&self.key(path)] }
    }

    fn change(&mut self, op: &Op) -> Change {
        match op {
            Op::Create(path) => {
                let (inode, (folder, name)) = (self.next, self.key(path));
                self.next.0 += 1;
                self.entries.insert((folder, name.clone()), inode);
                let node = Node::File { mode: 0o644, content: Content::default() };
                Change::Create { inode, node, folder, name }
            }
            Op::Write(path, offset, length) => Change::Write {
                inode: self.inode(path),
                offset: *offset,
                bytes: content(*b"new!", *length).into(),
            },
            Op::Truncate(path, size) => Change::Resize { inode: self.inode(path), size: *size },
            Op::Rename(from, to) => {
                let (from, to) = (self.key(from), self.key(to));
                let inode = self.entries.remove(&from).expect("it is there");
                let replaced = self.entries.insert(to.clone(), inode);
                Change::Rename { inode, from, to, replaced }
            }
            Op::Unlink(path) => {
                let (folder, name) = self.key(path);
                self.entries.remove(&(folder, name.clone()));
                Change::Unlink { folder, name }
            }
            Op::Fsync(path) | Op::FsyncFolder(path) => {
                Change::Sync { inode: self.inode(path), what: Sync::All }
            }
            Op::Fdatasync(path) => Change::Sync { inode: self.inode(path), what: Sync::Data },
            Op::StartWriting(path) => {
                Change::Write { inode: self.inode(path), offset: 0, bytes: Vec::new().into() }
            }
        }
    }
}

/// What lies in a folder.
pub fn read(folder: &Path) -> io::Result<Image> {
    use std::os::unix::fs::MetadataExt;
    let mut image = Image::default();
    let mut open = vec![String::new()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(folder.join(&at))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if at.is_empty() { name } else { format!("{at}/{name}") };
            let about = fs::symlink_metadata(entry.path())?;
            let mode = about.mode() & 0o7777;
            let node = if about.is_dir() {
                open.push(path.clone());
                Node::Folder { mode }
            } else {
                Node::File { mode, content: Content::of(fs::read(entry.path())?) }
            };
            image.insert(path, about.ino() as u32, node);
        }
    }
    Ok(image)
}

/// A file's content in a word.
pub fn word(node: Option<&Node>) -> &'static str {
    let bytes = match node {
        None => return "absent",
        Some(Node::File { content, .. }) => content.bytes(),
        Some(_) => return "other",
    };
    let kinds: Vec<char> = bytes
        .chunks(4)
        .map(|part| match part {
            _ if b"old!".starts_with(part) => 'o',
            _ if b"new!".starts_with(part) => 'n',
            _ if part.iter().all(|byte| *byte == 0) => '0',
            _ => '?',
        })
        .collect();
    let mut order = kinds;
    order.dedup();
    match order[..] {
        [] => "empty",
        ['o'] => "old",
        ['n'] => "new",
        ['0'] => "zeros",
        ['o', 'n'] | ['n', 'o'] | ['n', 'o', 'n'] | ['o', 'n', 'o'] => "mixed",
        [.., '0'] => "a tail of zeros",
        _ if order.contains(&'?') => "other",
        _ => "zeros within",
    }
}

/// An image in words: every file with what it holds, in order.
pub fn words(image: &Image) -> String {
    let files = image.nodes().iter().filter(|(_, (_, node))| matches!(node, Node::File { .. }));
    files.map(|(path, (_, node))| format!("{path}={}", word(Some(node)))).collect::<Vec<_>>().join(" ")
}
