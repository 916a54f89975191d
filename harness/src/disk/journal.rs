//! The journal of an execution: what each call did to the folder, in the order in which it happened.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use super::image::{Image, Node};

/// A file or folder, by the number that the journal gives it; names come and go, it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Inode(pub u32);

/// The folder that the journal is about.
pub const ROOT: Inode = Inode(0);

/// What a call asks the disk to make last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sync {
    /// `fsync`: content and attributes.
    All,
    /// `fdatasync`: content, and what is needed to find it.
    Data,
}

/// What a call did.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// It made a file, a folder or a symbolic link, empty.
    Create {
        /// The inode of the new file.
        inode: Inode,
        /// As which kind, and with which mode.
        node: Node,
        /// The folder that gets the name.
        folder: Inode,
        /// The name that it has in the folder.
        name: Box<str>,
    },
    /// It gave a file one more name.
    Link {
        /// The file that gets another name.
        inode: Inode,
        /// The folder of the new name.
        folder: Inode,
        /// The new name.
        name: Box<str>,
    },
    /// It removed a name: `unlink` or `rmdir`.
    Unlink {
        /// The folder that loses the name.
        folder: Inode,
        /// The name that is gone from it.
        name: Box<str>,
    },
    /// It moved a name.
    Rename {
        /// What the name stands for.
        inode: Inode,
        /// The folder and name before.
        from: (Inode, Box<str>),
        /// The folder and name after.
        to: (Inode, Box<str>),
        /// What the new name stood for, if it was there already.
        replaced: Option<Inode>,
    },
    /// It exchanged two names.
    Exchange {
        /// The first name, and what it stood for.
        one: (Inode, Box<str>, Inode),
        /// The second name, and what it stood for.
        other: (Inode, Box<str>, Inode),
    },
    /// Bytes were written to a file.
    Write {
        /// The file that was written to.
        inode: Inode,
        /// From which byte on.
        offset: u64,
        /// The bytes, as the call had them.
        bytes: Bytes,
    },
    /// It set a file's size: truncation, growth, allocation.
    Resize {
        /// The file whose length changed.
        inode: Inode,
        /// Its size in bytes.
        size: u64,
    },
    /// It set a file's or folder's mode.
    Mode {
        /// The file or folder whose mode changed.
        inode: Inode,
        /// Its permission bits from then on.
        mode: u32,
    },
    /// It asked for a file or folder to last.
    Sync {
        /// The file or folder that was synced.
        inode: Inode,
        /// Its data alone, or its metadata as well.
        what: Sync,
    },
    /// It asked for everything to last: `sync`, `syncfs`.
    SyncAll,
}

/// A call in a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The process that made it, counted from 1.
    pub process: usize,
    /// The step of the execution that it was part of, from 0.
    pub step: usize,
    /// The call as people read it: `rename list.tmp list`.
    pub label: Box<str>,
    /// What the call did to the folder.
    pub change: Change,
}

/// The folder before the first call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// What each inode is; what a file holds is whole and on disk.
    pub inodes: BTreeMap<Inode, Node>,
    /// What each name in each folder stands for.
    pub entries: BTreeMap<(Inode, Box<str>), Inode>,
}

impl Start {
    /// Of a folder's content. Inodes are numbered in the order of paths, from 1 on.
    #[must_use]
    pub fn of(image: &Image) -> Self {
        let mut start = Self::default();
        start.inodes.insert(ROOT, Node::Folder { mode: 0o755 });
        let mut folders: HashMap<&str, Inode> = HashMap::from([("", ROOT)]);
        let mut same: HashMap<u32, Inode> = HashMap::new();
        for (number, (path, (shared, node))) in image.nodes().iter().enumerate() {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            let inode = *same.entry(*shared).or_insert(Inode(number as u32 + 1));
            start.inodes.entry(inode).or_insert_with(|| node.clone());
            start.entries.insert((folders[folder], name.into()), inode);
            if matches!(node, Node::Folder { .. }) {
                folders.insert(path, inode);
            }
        }
        start
    }

    /// The lowest number that no inode bears yet.
    #[must_use]
    pub fn next_inode(&self) -> Inode {
        Inode(self.inodes.keys().next_back().map_or(1, |last| last.0 + 1))
    }
}

/// What an execution did to a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    /// The folder as it was before the command began.
    pub start: Start,
    /// Every call that changed it or asked for something to last, in order.
    pub lines: Vec<Line>,
}

impl Journal {
    /// The folder when every call has returned and everything is on disk.
    #[must_use]
    pub fn image(&self) -> Image {
        super::states::whole(self)
    }
}
