//! The exploration's folder as it was after setup, and how it is put back to that.
//!
//! It is restored, not made again: a file that no step changed stays what it is, inode and all.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::places::Inode;

/// A folder, as it was.
#[derive(Debug)]
pub(super) struct Snapshot {
    root: PathBuf,
    entries: BTreeMap<OsString, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// The inode that holds this at present.
    inode: Inode,
    mode: u32,
    what: What,
}

#[derive(Debug)]
enum What {
    Folder(BTreeMap<OsString, Entry>),
    File(Vec<u8>),
    Link(PathBuf),
}

impl Snapshot {
    /// Remembers a folder.
    pub fn take(root: &Path) -> io::Result<Self> {
        Ok(Self { root: root.to_owned(), entries: entries(root)? })
    }

    /// Puts everything back. `written` are the inodes whose content may have changed; whatever else differs is seen.
    pub fn restore(&mut self, written: &HashSet<Inode>) -> io::Result<()> {
        restore(&self.root, &mut self.entries, written)
    }

    /// A number for what lies in the folder now, without times and numbers of processes: the same for the same.
    pub fn digest(&self) -> io::Result<u64> {
        use std::hash::{Hash, Hasher};
        let mut hasher = std::hash::DefaultHasher::new();
        for (path, entry) in flat(Path::new(""), &entries(&self.root)?) {
            (path, entry.mode).hash(&mut hasher);
            match &entry.what {
                What::Folder(_) => 0.hash(&mut hasher),
                What::Link(target) => target.hash(&mut hasher),
                What::File(bytes) => timeless(bytes).hash(&mut hasher),
            }
        }
        Ok(hasher.finish())
    }
}

/// Long numbers are times, whatever writes them; they are left out.
fn timeless(bytes: &[u8]) -> Vec<u8> {
    const DIGITS_MAX: usize = 8;
    let mut kept = Vec::with_capacity(bytes.len());
    for part in bytes.chunk_by(|one, other| one.is_ascii_digit() == other.is_ascii_digit()) {
        let is_time = part[0].is_ascii_digit() && part.len() > DIGITS_MAX;
        kept.extend_from_slice(if is_time { b"#" } else { part });
    }
    kept
}

fn flat<'e>(folder: &Path, entries: &'e BTreeMap<OsString, Entry>) -> Vec<(PathBuf, &'e Entry)> {
    let mut all = Vec::new();
    for (name, entry) in entries {
        let path = folder.join(name);
        all.push((path.clone(), entry));
        if let What::Folder(inner) = &entry.what {
            all.extend(flat(&path, inner));
        }
    }
    all
}

fn inode(metadata: &Metadata) -> Inode {
    (metadata.dev(), metadata.ino())
}

fn entries(folder: &Path) -> io::Result<BTreeMap<OsString, Entry>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, metadata) = (entry.path(), entry.metadata()?);
        let what = if metadata.is_dir() {
            What::Folder(entries(&path)?)
        } else if metadata.is_symlink() {
            What::Link(fs::read_link(&path)?)
        } else {
            What::File(fs::read(&path)?)
        };
        found.insert(
            entry.file_name(),
            Entry { inode: inode(&metadata), mode: metadata.mode() & 0o7777, what },
        );
    }
    Ok(found)
}

fn restore(
    folder: &Path,
    entries: &mut BTreeMap<OsString, Entry>,
    written: &HashSet<Inode>,
) -> io::Result<()> {
    let mut present = HashSet::new();
    for found in fs::read_dir(folder)? {
        let found = found?;
        let (name, path) = (found.file_name(), found.path());
        let metadata = found.metadata()?;
        match entries.get_mut(&name) {
            Some(entry) if entry.inode == inode(&metadata) && !written.contains(&entry.inode) => {
                if let What::Folder(inner) = &mut entry.what {
                    restore(&path, inner, written)?;
                }
                present.insert(name);
            }
            _ if metadata.is_dir() => fs::remove_dir_all(&path)?,
            _ => fs::remove_file(&path)?,
        }
    }
    for (name, entry) in entries.iter_mut().filter(|(name, _)| !present.contains(*name)) {
        entry.make(&folder.join(name), written)?;
    }
    Ok(())
}

impl Entry {
    fn make(&mut self, path: &Path, written: &HashSet<Inode>) -> io::Result<()> {
        match &mut self.what {
            What::Folder(inner) => {
                fs::create_dir(path)?;
                fs::set_permissions(path, Permissions::from_mode(self.mode))?;
                restore(path, inner, written)?;
                self.inode = inode(&fs::metadata(path)?);
            }
            What::File(bytes) => {
                let mut file = File::options().write(true).create_new(true).mode(self.mode).open(path)?;
                file.write_all(bytes)?;
                // The process's mask must not show.
                file.set_permissions(Permissions::from_mode(self.mode))?;
                self.inode = inode(&file.metadata()?);
            }
            What::Link(target) => {
                symlink(target, path)?;
                self.inode = inode(&fs::symlink_metadata(path)?);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_was_done_is_undone_and_what_was_not_touched_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        fs::create_dir(root.join("c1")).expect("a folder");
        for (file, text) in [("c1/meta.json", "{}"), ("c1/meta.lock", ""), ("~generation", "1")] {
            fs::write(root.join(file), text).expect("a file");
        }
        symlink("nowhere", root.join("c1/link")).expect("a link");
        let mut snapshot = Snapshot::take(root).expect("taken");
        let digest = snapshot.digest().expect("read");
        let number = |path: &str| fs::metadata(root.join(path)).expect("there").ino();
        let lock = number("c1/meta.lock");

        fs::write(root.join("c1/new"), "x").expect("made");
        fs::rename(root.join("c1/new"), root.join("c1/meta.json")).expect("replaced");
        fs::create_dir_all(root.join("c2/deep")).expect("made");
        fs::remove_file(root.join("c1/link")).expect("removed");
        assert_ne!(snapshot.digest().expect("read"), digest);
        snapshot.restore(&HashSet::new()).expect("restored");
        assert_eq!(snapshot.digest().expect("read"), digest);
        assert_eq!(number("c1/meta.lock"), lock, "not touched");

        fs::write(root.join("~generation"), "2").expect("written in place");
        let written = inode(&fs::metadata(root.join("~generation")).expect("there"));
        snapshot.restore(&HashSet::from([written])).expect("restored");
        assert_eq!(snapshot.digest().expect("read"), digest);

        fs::remove_dir_all(root.join("c1")).expect("removed");
        snapshot.restore(&HashSet::new()).expect("restored");
        snapshot.restore(&HashSet::new()).expect("and again: nothing to do");
        assert_eq!(snapshot.digest().expect("read"), digest);
    }

    #[test]
    fn times_do_not_count() {
        assert_eq!(timeless(b"{\"a\":1764000000123456789,\"b\":12}"), b"{\"a\":#,\"b\":12}");
    }
}
