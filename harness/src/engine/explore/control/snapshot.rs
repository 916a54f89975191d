//! The exploration's folder as it was after setup, and how it is put back to that.
//!
//! It is restored, not made again: a file that no step changed stays what it is, inode and all. A folder lists its entries
//! in the order in which it did: who removes a whole folder takes what it lists, one after the other.

mod digest;
mod touched;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use self::digest::{Attributes, Hashed, Volatile, digest};
pub(crate) use self::digest::{Digest, digest_of, without};
use crate::books::places::Inode;
use crate::books::places::Kind;

/// The inode of what is not there at present.
const NOWHERE: Inode = (0, 0);

/// A folder, as it was.
#[derive(Debug)]
pub(super) struct Snapshot {
    root: PathBuf,
    /// The folder itself.
    base: OwnedFd,
    inode: Inode,
    /// Folders that were listed, by their path, until all is put back.
    handles: BTreeMap<PathBuf, OwnedFd>,
    /// Whether every write since the last restoration was seen.
    is_trusted: bool,
    folder: Folder,
    volatile: Volatile,
}

#[derive(Debug)]
struct Folder {
    entries: BTreeMap<OsString, Entry>,
    /// The names, as the folder listed them.
    listing: Vec<OsString>,
}

#[derive(Debug)]
struct Entry {
    /// The inode that holds this at present.
    inode: Inode,
    mode: u32,
    owner: (u32, u32),
    digest: Digest,
    what: What,
}

#[derive(Debug)]
enum What {
    Folder(Folder),
    File {
        bytes: Vec<u8>,
        /// The inode that it had first, where it has several names.
        twins: Option<Inode>,
    },
    Link(PathBuf),
}

impl Snapshot {
    /// Remembers every name and byte below a folder.
    pub fn take(root: &Path, volatile: Volatile) -> io::Result<Self> {
        let base = OwnedFd::from(File::open(root)?);
        let inode = inode(&fs::metadata(root)?);
        let (root, folder) = (root.to_owned(), Folder::read(root, volatile)?);
        Ok(Self { root, base, inode, handles: BTreeMap::new(), is_trusted: true, folder, volatile })
    }

    /// Somebody was at work whose writes were not seen: any file may have another content.
    pub fn distrust(&mut self) {
        self.is_trusted = false;
    }

    /// Puts everything back. `written` are the inodes whose content may have changed; whatever else differs is seen.
    pub fn restore(&mut self, written: &HashSet<Inode>) -> io::Result<()> {
        let changed = Changed { written, is_trusted: self.is_trusted, volatile: self.volatile };
        self.handles.clear();
        let mut twins = Twins::new();
        clear(&self.root, &mut self.folder, &changed, &mut twins)?;
        fill(&self.root, &mut self.folder, &mut twins)?;
        self.is_trusted = true;
        Ok(())
    }

    /// Numbers for what lies in the folder now.
    pub fn digest(&self, written: &HashSet<Inode>) -> io::Result<Digest> {
        let mut hashed = Hashed::default();
        let changed = Changed { written, is_trusted: self.is_trusted, volatile: self.volatile };
        digest(&self.root, Some(&self.folder), &changed, &mut |name, part| hashed.tell(name, part))?;
        Ok(hashed.finish())
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
        let was = if folder.is_dir() { Some(Snapshot::take(&folder, &[])?) } else { None };
        Ok(Self { folder, was })
    }

    /// Puts it back.
    pub fn restore(&mut self) -> io::Result<()> {
        if let Some(was) = &mut self.was {
            was.distrust();
            return was.restore(&HashSet::new());
        }
        flockwork::tree::remove_path(&self.folder)
    }
}

/// Whose content may have changed.
struct Changed<'c> {
    written: &'c HashSet<Inode>,
    is_trusted: bool,
    volatile: Volatile,
}

impl Changed<'_> {
    fn keeps(&self, inode: Inode) -> bool {
        self.is_trusted && !self.written.contains(&inode)
    }
}

fn mode(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o7777
}

fn inode(metadata: &Metadata) -> Inode {
    (metadata.dev(), metadata.ino())
}

/// The names in a folder, as it lists them.
fn listing(folder: &Path) -> io::Result<Vec<OsString>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
}

impl Folder {
    fn read(folder: &Path, volatile: Volatile) -> io::Result<Self> {
        let listing = listing(folder)?;
        let read = |name: &OsString| Ok((name.clone(), Entry::read(&folder.join(name), volatile)?));
        let entries = listing.iter().map(read).collect::<io::Result<_>>()?;
        Ok(Self { entries, listing })
    }

    /// Has the folder list its entries as it did. Filesystems that go by age list the youngest first or last, and what is
    /// renamed is young again; with others, nothing is to be done.
    fn order(&self, folder: &Path) -> io::Result<()> {
        const ASIDE: &str = ".flockwork-aside";
        let oldest_first: [Vec<&OsString>; 2] =
            [self.listing.iter().rev().collect(), self.listing.iter().collect()];
        for by_age in oldest_first {
            if listing(folder)? == self.listing {
                return Ok(());
            }
            for name in by_age {
                fs::rename(folder.join(name), folder.join(ASIDE))?;
                fs::rename(folder.join(ASIDE), folder.join(name))?;
            }
        }
        Ok(())
    }
}

/// Where one name of each file with several lies, by the inode that it had when it was remembered.
type Twins = HashMap<Inode, PathBuf>;

/// Removes what differs, throughout; notes which of the files with several names are still there.
fn clear(folder: &Path, known: &mut Folder, changed: &Changed<'_>, twins: &mut Twins) -> io::Result<()> {
    let entries = &mut known.entries;
    let mut lost: HashSet<OsString> = entries.keys().cloned().collect();
    for found in fs::read_dir(folder)? {
        let found = found?;
        let (name, path, metadata) = (found.file_name(), found.path(), found.metadata()?);
        let known = entries.get_mut(&name).filter(|entry| entry.inode == inode(&metadata));
        match known {
            Some(Entry { mode: known, what: What::Folder(inner), .. }) => {
                if *known != mode(&metadata) {
                    fs::set_permissions(&path, Permissions::from_mode(*known))?;
                }
                clear(&path, inner, changed, twins)?;
                lost.remove(&name);
            }
            Some(entry) if changed.keeps(entry.inode) => {
                if let What::File { twins: Some(twin), .. } = &entry.what {
                    twins.insert(*twin, path);
                }
                lost.remove(&name);
            }
            _ if metadata.is_dir() => remove_folder(&path)?,
            _ => fs::remove_file(&path)?,
        }
    }
    for name in lost {
        if let Some(entry) = entries.get_mut(&name) {
            entry.forget();
        }
    }
    Ok(())
}

/// Makes what is missing, throughout, in the order that the folder had.
fn fill(folder: &Path, known: &mut Folder, twins: &mut Twins) -> io::Result<()> {
    for (name, entry) in &mut known.entries {
        let path = folder.join(name);
        if entry.inode == NOWHERE {
            entry.make(&path, twins)?;
        }
        if let What::Folder(inner) = &mut entry.what {
            fill(&path, inner, twins)?;
        }
    }
    known.order(folder)
}

/// Removes all that lies in a folder, even if its permissions forbid that.
pub(super) fn empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_folder(&entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes a folder with all that is in it, even if its permissions forbid that.
fn remove_folder(path: &Path) -> io::Result<()> {
    match flockwork::tree::remove_path(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            fs::set_permissions(path, Permissions::from_mode(0o700))?;
            for entry in fs::read_dir(path)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    remove_folder(&entry.path())?;
                } else {
                    fs::remove_file(entry.path())?;
                }
            }
            fs::remove_dir(path)
        }
        removed => removed,
    }
}

impl Entry {
    fn read(path: &Path, volatile: Volatile) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        let attributes = Attributes::of(&metadata);
        let (what, digest) = if metadata.is_dir() {
            (What::Folder(Folder::read(path, volatile)?), Digest::default().with(Kind::Folder, attributes))
        } else if metadata.is_symlink() {
            let target = fs::read_link(path)?;
            let digest = Digest::of(target.as_os_str().as_encoded_bytes(), &[]);
            (What::Link(target), digest.with(Kind::Link, attributes))
        } else if metadata.is_file() {
            let bytes = fs::read(path)?;
            let digest = Digest::of(&bytes, volatile);
            let twins = (metadata.nlink() > 1).then(|| inode(&metadata));
            (What::File { bytes, twins }, digest.with(Kind::File, attributes))
        } else {
            let what = format!("{} is not a file, folder or link: it could not be put back", path.display());
            return Err(io::Error::other(what));
        };
        let owner = (metadata.uid(), metadata.gid());
        Ok(Self { inode: inode(&metadata), mode: mode(&metadata), owner, digest, what })
    }

    /// Nothing holds it any more, nor anything within it.
    fn forget(&mut self) {
        self.inode = NOWHERE;
        if let What::Folder(inner) = &mut self.what {
            inner.entries.values_mut().for_each(Self::forget);
        }
    }

    fn make(&mut self, path: &Path, twins: &mut Twins) -> io::Result<()> {
        match &self.what {
            What::Folder(_) => {
                fs::create_dir(path)?;
                fs::set_permissions(path, Permissions::from_mode(self.mode))?;
            }
            What::File { bytes, twins: twin } => {
                match twin.and_then(|twin| twins.get(&twin)) {
                    Some(other) => fs::hard_link(other, path)?,
                    None => self.write(path, bytes)?,
                }
                twins.extend(twin.map(|twin| (twin, path.to_owned())));
            }
            What::Link(target) => symlink(target, path)?,
        }
        self.inode = inode(&fs::symlink_metadata(path)?);
        Ok(())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::options().write(true).create_new(true).mode(self.mode).open(path)?;
        file.write_all(bytes)?;
        // The process's mask must not show.
        file.set_permissions(Permissions::from_mode(self.mode))
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
        let mut snapshot = Snapshot::take(root, &[]).expect("taken");
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
    fn modes_and_names_of_one_file_come_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        for path in ["d", "e"] {
            fs::create_dir(root.join(path)).expect("a folder");
        }
        fs::write(root.join("d/one"), "text").expect("a file");
        fs::hard_link(root.join("d/one"), root.join("e/other")).expect("another name");
        let mut snapshot = Snapshot::take(root, &[]).expect("taken");
        let nothing = HashSet::new();
        let digest = snapshot.digest(&nothing).expect("read");
        let metadata = |path: &str| fs::metadata(root.join(path)).expect("there");
        let chmod = |path: &str, mode| {
            fs::set_permissions(root.join(path), Permissions::from_mode(mode)).expect("changed");
        };
        let mode_of_folder = mode(&metadata("d"));
        let is_restored = |snapshot: &Snapshot| {
            assert_eq!(snapshot.digest(&nothing).expect("read"), digest);
            assert_eq!(metadata("d/one").ino(), metadata("e/other").ino());
            assert_eq!(metadata("d/one").nlink(), 2);
            assert_eq!(mode(&metadata("d")), mode_of_folder);
        };

        chmod("d", 0o700);
        assert_ne!(snapshot.digest(&nothing).expect("read"), digest, "modes count");
        snapshot.restore(&nothing).expect("restored");
        is_restored(&snapshot);

        let mode_of_file = mode(&metadata("d/one"));
        let changed = HashSet::from([inode(&metadata("d/one"))]);
        chmod("d/one", 0o600);
        assert_ne!(snapshot.digest(&changed).expect("read"), digest, "modes of files count");
        snapshot.restore(&changed).expect("restored");
        is_restored(&snapshot);
        assert_eq!(mode(&metadata("d/one")), mode_of_file);

        fs::remove_file(root.join("e/other")).expect("removed");
        fs::write(root.join("e/other"), "text").expect("a copy");
        chmod("e/other", mode_of_file);
        assert_ne!(snapshot.digest(&nothing).expect("read"), digest, "a copy is another file");
        snapshot.restore(&nothing).expect("restored");
        is_restored(&snapshot);

        fs::write(root.join("e/other"), "written in place").expect("written");
        snapshot.restore(&HashSet::from([inode(&metadata("d/one"))])).expect("restored");
        is_restored(&snapshot);

        fs::rename(root.join("d"), root.join("f")).expect("renamed");
        snapshot.restore(&nothing).expect("restored");
        is_restored(&snapshot);

        fs::create_dir_all(root.join("new/deep")).expect("made");
        chmod("new/deep", 0o000);
        chmod("new", 0o000);
        chmod("e", 0o000);
        snapshot.digest(&nothing).expect("what cannot be read is passed over");
        snapshot.restore(&nothing).expect("restored");
        is_restored(&snapshot);
    }

    #[test]
    fn a_folder_lists_what_is_in_it_as_it_did() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        fs::create_dir(root.join("c1")).expect("a folder");
        for file in ["c1/meta.lock", "c1/meta.json", "c1/another"] {
            fs::write(root.join(file), file).expect("a file");
        }
        let mut snapshot = Snapshot::take(root, &[]).expect("taken");
        let (before, inside) = (listing(root).expect("listed"), listing(&root.join("c1")).expect("listed"));
        for gone in ["c1/meta.lock", "c1/meta.json", "c1/another"] {
            fs::remove_file(root.join(gone)).expect("removed");
            snapshot.restore(&HashSet::new()).expect("restored");
            assert_eq!(listing(&root.join("c1")).expect("listed"), inside, "{gone}");
        }
        fs::remove_dir_all(root.join("c1")).expect("removed");
        snapshot.restore(&HashSet::new()).expect("restored");
        assert_eq!(listing(root).expect("listed"), before);
        assert_eq!(listing(&root.join("c1")).expect("listed"), inside);
    }
}
