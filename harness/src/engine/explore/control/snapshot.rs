//! The exploration's folder as it was after setup, and how it is put back to that.
//!
//! It is restored, not made again: a file that no step changed stays what it is, inode and all.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::places::Inode;

/// A folder, as it was.
#[derive(Debug)]
pub(super) struct Snapshot {
    root: PathBuf,
    /// Whether every write since the last restoration was seen.
    is_trusted: bool,
    entries: BTreeMap<OsString, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// The inode that holds this at present.
    inode: Inode,
    mode: u32,
    digest: Digest,
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
        Ok(Self { root: root.to_owned(), is_trusted: true, entries: entries(root)? })
    }

    /// Somebody was at work whose writes were not seen: any file may have another content.
    pub fn distrust(&mut self) {
        self.is_trusted = false;
    }

    /// Puts everything back. `written` are the inodes whose content may have changed; whatever else differs is seen.
    pub fn restore(&mut self, written: &HashSet<Inode>) -> io::Result<()> {
        let changed = Changed { written, is_trusted: self.is_trusted };
        restore(&self.root, &mut self.entries, &changed)?;
        self.is_trusted = true;
        Ok(())
    }

    /// Numbers for what lies in the folder now.
    pub fn digest(&self, written: &HashSet<Inode>) -> io::Result<Digest> {
        let (mut whole, mut timeless) = (DefaultHasher::new(), DefaultHasher::new());
        let changed = Changed { written, is_trusted: self.is_trusted };
        digest(&self.root, Some(&self.entries), &changed, &mut |name, part| {
            (name, part.whole).hash(&mut whole);
            (name, part.timeless).hash(&mut timeless);
        })?;
        Ok(Digest { whole: whole.finish(), timeless: timeless.finish() })
    }
}

/// A folder beside the exploration's that need not be there: where a subject keeps its images. Of who wrote what in it
/// no record is kept.
#[derive(Debug)]
pub(super) struct Beside {
    folder: PathBuf,
    was: Option<Snapshot>,
}

impl Beside {
    /// Remembers the folder, or that there is none.
    pub fn take(folder: PathBuf) -> io::Result<Self> {
        let was = if folder.is_dir() { Some(Snapshot::take(&folder)?) } else { None };
        Ok(Self { folder, was })
    }

    /// Puts it back.
    pub fn restore(&mut self) -> io::Result<()> {
        if let Some(was) = &mut self.was {
            was.distrust();
            return was.restore(&HashSet::new());
        }
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }
}

/// What stands for the content of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Digest {
    /// For all of it.
    pub whole: u64,
    /// For all but times and other long numbers.
    pub timeless: u64,
}

impl Digest {
    fn of(bytes: &[u8]) -> Self {
        let hash = |bytes: &[u8]| {
            let mut hasher = DefaultHasher::new();
            bytes.hash(&mut hasher);
            hasher.finish()
        };
        Self { whole: hash(bytes), timeless: hash(&timeless(bytes)) }
    }
}

/// Whose content may have changed.
struct Changed<'c> {
    written: &'c HashSet<Inode>,
    is_trusted: bool,
}

impl Changed<'_> {
    fn keeps(&self, inode: Inode) -> bool {
        self.is_trusted && !self.written.contains(&inode)
    }
}

/// Goes through a folder, in the order of names, with a number for each entry; what did not change is not read.
fn digest(
    folder: &Path,
    known: Option<&BTreeMap<OsString, Entry>>,
    changed: &Changed<'_>,
    tell: &mut dyn FnMut(&OsStr, Digest),
) -> io::Result<()> {
    let mut found = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    found.sort_by_key(fs::DirEntry::file_name);
    for entry in found {
        let (name, path, metadata) = (entry.file_name(), entry.path(), entry.metadata()?);
        let known = known.and_then(|known| known.get(&name)).filter(|known| known.inode == inode(&metadata));
        if metadata.is_dir() {
            tell(&name, Digest::default());
            let inner = known.and_then(|known| match &known.what {
                What::Folder(inner) => Some(inner),
                _ => None,
            });
            digest(&path, inner, changed, tell)?;
            tell(OsStr::new(".."), Digest::default());
        } else if let Some(known) = known.filter(|known| changed.keeps(known.inode)) {
            tell(&name, known.digest);
        } else if metadata.is_symlink() {
            tell(&name, Digest::of(fs::read_link(&path)?.as_os_str().as_encoded_bytes()));
        } else {
            tell(&name, Digest::of(&fs::read(&path)?));
        }
    }
    Ok(())
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

fn inode(metadata: &Metadata) -> Inode {
    (metadata.dev(), metadata.ino())
}

fn entries(folder: &Path) -> io::Result<BTreeMap<OsString, Entry>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, metadata) = (entry.path(), entry.metadata()?);
        let (what, digest) = if metadata.is_dir() {
            (What::Folder(entries(&path)?), Digest::default())
        } else if metadata.is_symlink() {
            let target = fs::read_link(&path)?;
            let digest = Digest::of(target.as_os_str().as_encoded_bytes());
            (What::Link(target), digest)
        } else {
            let bytes = fs::read(&path)?;
            let digest = Digest::of(&bytes);
            (What::File(bytes), digest)
        };
        let mode = metadata.mode() & 0o7777;
        found.insert(entry.file_name(), Entry { inode: inode(&metadata), mode, digest, what });
    }
    Ok(found)
}

fn restore(folder: &Path, entries: &mut BTreeMap<OsString, Entry>, changed: &Changed<'_>) -> io::Result<()> {
    let mut present = HashSet::new();
    for found in fs::read_dir(folder)? {
        let found = found?;
        let (name, path) = (found.file_name(), found.path());
        let metadata = found.metadata()?;
        match entries.get_mut(&name) {
            Some(Entry { inode: known, what: What::Folder(inner), .. }) if *known == inode(&metadata) => {
                restore(&path, inner, changed)?;
                present.insert(name);
            }
            Some(entry) if entry.inode == inode(&metadata) && changed.keeps(entry.inode) => {
                present.insert(name);
            }
            _ if metadata.is_dir() => fs::remove_dir_all(&path)?,
            _ => fs::remove_file(&path)?,
        }
    }
    for (name, entry) in entries.iter_mut().filter(|(name, _)| !present.contains(*name)) {
        entry.make(&folder.join(name), changed)?;
    }
    Ok(())
}

impl Entry {
    fn make(&mut self, path: &Path, changed: &Changed<'_>) -> io::Result<()> {
        match &mut self.what {
            What::Folder(inner) => {
                fs::create_dir(path)?;
                fs::set_permissions(path, Permissions::from_mode(self.mode))?;
                restore(path, inner, changed)?;
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
        let nothing = HashSet::new();
        let digest = snapshot.digest(&nothing).expect("read");
        let number = |path: &str| fs::metadata(root.join(path)).expect("there").ino();
        let lock = number("c1/meta.lock");

        fs::write(root.join("c1/new"), "x").expect("made");
        fs::rename(root.join("c1/new"), root.join("c1/meta.json")).expect("replaced");
        fs::create_dir_all(root.join("c2/deep")).expect("made");
        fs::remove_file(root.join("c1/link")).expect("removed");
        assert_ne!(snapshot.digest(&nothing).expect("read"), digest);
        snapshot.restore(&HashSet::new()).expect("restored");
        assert_eq!(snapshot.digest(&nothing).expect("read"), digest);
        assert_eq!(number("c1/meta.lock"), lock, "not touched");

        fs::write(root.join("~generation"), "2").expect("written in place");
        let written = inode(&fs::metadata(root.join("~generation")).expect("there"));
        snapshot.restore(&HashSet::from([written])).expect("restored");
        assert_eq!(snapshot.digest(&nothing).expect("read"), digest);

        fs::remove_dir_all(root.join("c1")).expect("removed");
        snapshot.restore(&HashSet::new()).expect("restored");
        snapshot.restore(&HashSet::new()).expect("and again: nothing to do");
        assert_eq!(snapshot.digest(&nothing).expect("read"), digest);
    }

    #[test]
    fn times_do_not_count() {
        assert_eq!(timeless(b"{\"a\":1764000000123456789,\"b\":12}"), b"{\"a\":#,\"b\":12}");
    }
}
