//! What the exploration's folders are known to hold, so that the kernel need not be asked at each stop.
//!
//! Every step that makes or removes an entry is foreseen; before it is let go, what is known of its entries is
//! forgotten. What is known outlives an execution: whoever puts the folder back tells which entries that changed.
//! Builds with debug assertions ask the kernel all the same, and compare.

use std::os::fd::AsFd;

use rustc_hash::FxHashMap;
use rustix::fs::{AtFlags, FileType, Stat, statat};
use rustix::path::Arg;

use crate::books::deed::Entry;
use crate::books::places::{Inode, Kind};

/// What an entry of a folder leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub inode: Inode,
    pub kind: Kind,
}

impl From<&Stat> for Found {
    fn from(stat: &Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Kind::Folder,
            FileType::Symlink => Kind::Link,
            FileType::RegularFile => Kind::File,
            _ => Kind::Channel,
        };
        Self { inode: (stat.st_dev, stat.st_ino), kind }
    }
}

/// What is known of entries, by folder and name.
#[derive(Debug, Default)]
pub(super) struct Entries {
    known: FxHashMap<Inode, FxHashMap<String, Option<Found>>>,
}

impl Entries {
    /// What lies at this name of this folder, which is found from `base` by this path.
    pub fn look(&mut self, base: impl AsFd, path: &str, folder: Inode, name: &str) -> Option<Found> {
        if let Some(&known) = self.known.get(&folder).and_then(|names| names.get(name)) {
            debug_assert_eq!(known, ask(base, path), "{path} changed, though no step announced it");
            return known;
        }
        let found = ask(base, path);
        self.known.entry(folder).or_default().insert(name.to_owned(), found);
        found
    }

    /// This entry is about to change, or has changed.
    pub fn forget(&mut self, (folder, name): &Entry) {
        let known = self.known.get_mut(folder).and_then(|names| names.remove(name));
        match known {
            Some(None | Some(Found { kind: Kind::Link | Kind::File | Kind::Channel, .. })) => {}
            // What was in a folder may be reached elsewhere, or its number be given to another.
            Some(Some(Found { kind: Kind::Folder, .. })) | None => self.forget_all(),
        }
    }

    /// The same, for one that is known to have led to no folder.
    pub fn forget_file(&mut self, (folder, name): &Entry) {
        self.known.get_mut(folder).and_then(|names| names.remove(name));
    }

    /// Anything may have changed.
    pub fn forget_all(&mut self) {
        self.known.clear();
    }
}

/// What the kernel finds at a path, the last entry not followed.
pub(super) fn ask(base: impl AsFd, path: impl Arg) -> Option<Found> {
    statat(base, path, AtFlags::SYMLINK_NOFOLLOW).ok().map(|stat| Found::from(&stat))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn an_entry_is_asked_for_once_until_it_is_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let base = File::open(folder.path()).expect("opened");
        let metadata = base.metadata().expect("there");
        let inode = (metadata.dev(), metadata.ino());
        let entry = (inode, "a".to_owned());
        let mut entries = Entries::default();
        assert_eq!(entries.look(&base, "a", inode, "a"), None);
        entries.forget(&entry);
        fs::write(folder.path().join("a"), "").expect("made");
        let found = entries.look(&base, "a", inode, "a").expect("it is seen");
        assert_eq!(found.inode.1, fs::metadata(folder.path().join("a")).expect("there").ino());
        entries.forget(&entry);
        fs::remove_file(folder.path().join("a")).expect("removed");
        fs::create_dir(folder.path().join("a")).expect("made");
        assert_eq!(entries.look(&base, "a", inode, "a").map(|found| found.kind), Some(Kind::Folder));
        assert_eq!(entries.look(&base, "b", inode, "b"), None);
        entries.forget(&entry);
        assert!(entries.known.is_empty(), "with a folder goes all that is known");
    }

    /// In builds with debug assertions: what is known wrongly is found out.
    #[test]
    #[cfg_attr(debug_assertions, should_panic(expected = "no step announced it"))]
    fn a_change_that_nobody_told_of_is_found_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let base = File::open(folder.path()).expect("opened");
        let mut entries = Entries::default();
        assert_eq!(entries.look(&base, "a", (1, 1), "a"), None);
        fs::write(folder.path().join("a"), "").expect("made");
        entries.look(&base, "a", (1, 1), "a");
    }
}
