//! The folder put back where every change was foreseen: nothing but the entries that were touched, and the files that
//! were written, is looked at. What this cannot do is left to the way that looks at everything.

use std::collections::btree_map::Entry::{Occupied, Vacant};
use std::collections::{BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, RawDir, SeekFrom, Stat, fchmod, fstat, openat, statat, unlinkat};

use super::{Attributes, Digest, Entry, Folder, Hashed, Snapshot, Volatile, What};
use crate::books::deed::Entry as EntryName;
use crate::books::places::{Inode, Kind};
use crate::engine::explore::control::entries::Found;

/// What was seen to change since the folder was put back last.
#[derive(Clone, Copy)]
struct Seen<'s> {
    /// Files whose content may have changed.
    written: &'s HashSet<Inode>,
    /// Entries that may have been made or removed.
    touched: &'s HashSet<EntryName>,
    volatile: Volatile,
}

impl Seen<'_> {
    /// The entries of a folder that were touched.
    fn within(&self, folder: Inode) -> impl Iterator<Item = &OsStr> {
        self.touched.iter().filter(move |(inside, _)| *inside == folder).map(|(_, name)| OsStr::new(name))
    }

    /// Those, and those of files that were written, in their order.
    fn changed<'n>(&'n self, inode: Inode, folder: &'n Folder) -> BTreeSet<&'n OsStr> {
        let is_written = |entry: &Entry| self.written.contains(&entry.inode);
        let written = folder.entries.iter().filter(|(_, entry)| is_written(entry));
        self.within(inode).chain(written.map(|(name, _)| name.as_os_str())).collect()
    }
}

/// An entry to be put back.
struct Repair {
    /// Of its folder, from the root.
    folder: PathBuf,
    inode: Inode,
    name: OsString,
    /// What lies there now.
    found: Option<Stat>,
    is_missed: bool,
}

impl Repair {
    fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// Whether what lies there becomes what was there by its content alone: a file of one name, of the same mode and
    /// owner. It takes far less than to remove it and to make another.
    fn is_alike(&self, entry: &Entry) -> bool {
        self.found.is_some_and(|stat| {
            Found::from(&stat).kind == Kind::File
                && stat.st_nlink == 1
                && stat.st_mode & 0o7777 == entry.mode
                && (stat.st_uid, stat.st_gid) == entry.owner
        })
    }
}

impl Snapshot {
    /// Puts back what was touched; gives back the entries that changed by that. `None`, and nothing is done, where it
    /// takes more than to remove and to write files.
    pub fn restore_touched(
        &mut self,
        written: &HashSet<Inode>,
        touched: &HashSet<EntryName>,
    ) -> io::Result<Option<Vec<EntryName>>> {
        let mut plan = Plan::default();
        let seen = Seen { written, touched, volatile: self.volatile };
        if !self.is_trusted || !plan.add(&self.base, &self.folder, self.inode, Path::new(""), seen) {
            return Ok(None);
        }
        for repair in &plan.repairs {
            let folder = self.folder.at_mut(&repair.folder);
            let missed = folder.and_then(|folder| folder.entries.get_mut(&repair.name));
            match missed.filter(|_| repair.is_missed) {
                Some(entry) => entry.inode = write(&self.base, repair, entry)?,
                None => unlinkat(&self.base, repair.path(), AtFlags::empty())?,
            }
        }
        for path in &plan.disordered {
            self.order(path)?;
        }
        debug_assert!(self.is_put_back()?, "something changed that was not foreseen");
        let name = |repair: &Repair| (repair.inode, repair.name.to_string_lossy().into_owned());
        Ok(Some(plan.repairs.iter().map(name).collect()))
    }

    /// Numbers for what lies in the folder now; `None` where more has to be looked at than what was touched.
    pub fn digest_touched(
        &self,
        written: &HashSet<Inode>,
        touched: &HashSet<EntryName>,
    ) -> io::Result<Option<Digest>> {
        let mut hashed = Hashed::default();
        let seen = Seen { written, touched, volatile: self.volatile };
        let is_known = self.is_trusted
            && digest(&self.base, &self.folder, self.inode, Path::new(""), seen, &mut hashed)?;
        let digest = hashed.finish();
        debug_assert!(
            !is_known || digest == self.digest(written)?,
            "something changed that was not foreseen"
        );
        Ok(is_known.then_some(digest))
    }

    /// Has a folder list its entries as it did, all of which are there.
    fn order(&mut self, path: &Path) -> io::Result<()> {
        let Some(folder) = self.folder.at_mut(path) else { return Ok(()) };
        let handle = match self.handles.entry(path.to_owned()) {
            Occupied(known) => known.into_mut(),
            Vacant(new) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                new.insert(openat(&self.base, Path::new(".").join(path), flags, Mode::empty())?)
            }
        };
        rustix::fs::seek(&*handle, SeekFrom::Start(0))?;
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut listed = RawDir::new(&*handle, &mut space);
        let mut next = || loop {
            match listed.next() {
                Some(Ok(entry)) if matches!(entry.file_name().to_bytes(), b"." | b"..") => {}
                Some(Ok(entry)) => return Some(entry.file_name().to_bytes().to_owned()),
                Some(Err(_)) | None => return None,
            }
        };
        // No more of them are asked for than there are: it would take another call to see that these were all.
        if folder.listing.iter().all(|name| next().is_some_and(|found| found == name.as_bytes())) {
            return Ok(());
        }
        folder.order(&self.root.join(path))
    }

    fn is_put_back(&self) -> io::Result<bool> {
        Ok(self.folder.is_like(&Folder::read(&self.root, self.volatile)?))
    }
}

impl Folder {
    /// The folder at a path from here.
    fn at_mut(&mut self, path: &Path) -> Option<&mut Self> {
        path.iter().try_fold(self, |folder, name| match &mut folder.entries.get_mut(name)?.what {
            What::Folder(inner) => Some(inner),
            _ => None,
        })
    }

    fn is_like(&self, other: &Self) -> bool {
        let alike = |(one, other): ((&OsString, &Entry), (&OsString, &Entry))| {
            let what = match (&one.1.what, &other.1.what) {
                (What::Folder(one), What::Folder(other)) => one.is_like(other),
                _ => one.1.digest == other.1.digest,
            };
            what && one.0 == other.0 && one.1.inode == other.1.inode && one.1.mode == other.1.mode
        };
        self.listing == other.listing && self.entries.iter().zip(&other.entries).all(alike)
    }
}

/// What is to be put back.
#[derive(Default)]
struct Plan {
    repairs: Vec<Repair>,
    /// Folders that may list their entries in another order: what was renamed back or
    /// is made anew comes as the youngest.
    disordered: Vec<PathBuf>,
}

impl Plan {
    /// Finds out what is to be put back, throughout a folder; `false` where that is not files alone.
    fn add(&mut self, base: &OwnedFd, folder: &Folder, inode: Inode, path: &Path, seen: Seen<'_>) -> bool {
        let changed = seen.changed(inode, folder);
        if changed.iter().any(|name| folder.entries.contains_key(*name)) {
            self.disordered.push(path.to_owned());
        }
        for name in changed {
            let found = statat(base, path.join(name), AtFlags::SYMLINK_NOFOLLOW).ok();
            let known = folder.entries.get(name);
            if known.map(|known| known.inode) == found.map(|stat| Found::from(&stat).inode)
                && known.is_none_or(|known| !seen.written.contains(&known.inode))
            {
                continue;
            }
            let is_plain = known.is_none_or(|known| matches!(known.what, What::File { twins: None, .. }));
            if !is_plain || found.is_some_and(|stat| Found::from(&stat).kind == Kind::Folder) {
                return false;
            }
            let (folder, name) = (path.to_owned(), name.to_owned());
            self.repairs.push(Repair { folder, inode, name, found, is_missed: known.is_some() });
        }
        let mut inner = folder.entries.iter().filter_map(|(name, entry)| match &entry.what {
            What::Folder(inner) => Some((name, entry.inode, inner)),
            _ => None,
        });
        inner.all(|(name, inode, folder)| self.add(base, folder, inode, &path.join(name), seen))
    }
}

/// Puts a file back that is missed; gives back its inode.
fn write(base: &OwnedFd, repair: &Repair, entry: &Entry) -> io::Result<Inode> {
    let What::File { bytes, .. } = &entry.what else { unreachable!("only files are put back so") };
    let path = repair.path();
    if let Some(stat) = repair.found.filter(|_| repair.is_alike(entry)) {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(base, path, flags, Mode::empty())?);
        file.write_all_at(bytes, 0)?;
        if stat.st_size != bytes.len().cast_signed() as i64 {
            file.set_len(bytes.len() as u64)?;
        }
        return Ok(Found::from(&stat).inode);
    }
    if repair.found.is_some() {
        unlinkat(base, path.as_path(), AtFlags::empty())?;
    }
    let mode = Mode::from_raw_mode(entry.mode);
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let mut file = File::from(openat(base, path, flags, mode)?);
    file.write_all(bytes)?;
    let stat = fstat(&file)?;
    if stat.st_mode & 0o7777 != entry.mode {
        // The process's mask must not show.
        fchmod(&file, mode)?;
    }
    Ok(Found::from(&stat).inode)
}

/// Goes through a folder as the way that looks at everything does; `false` where it must.
fn digest(
    base: &OwnedFd,
    folder: &Folder,
    inode: Inode,
    path: &Path,
    seen: Seen<'_>,
    hashed: &mut Hashed,
) -> io::Result<bool> {
    let changed = seen.changed(inode, folder);
    let names: BTreeSet<&OsStr> =
        changed.iter().copied().chain(folder.entries.keys().map(OsString::as_os_str)).collect();
    for name in names {
        let known = folder.entries.get(name);
        let here = path.join(name);
        if changed.contains(name) {
            let stat = statat(base, here.as_path(), AtFlags::SYMLINK_NOFOLLOW).ok();
            let found = stat.as_ref().map(Found::from);
            let known = known.filter(|known| {
                Some(known.inode) == found.map(|found| found.inode) && !seen.written.contains(&known.inode)
            });
            match (stat, known) {
                (None, _) => continue,
                (Some(_), Some(_)) => {}
                (Some(stat), None) if Found::from(&stat).kind == Kind::File => {
                    let content = Digest::of(&read(base, &here)?, seen.volatile);
                    hashed.tell(name, content.with(Kind::File, Attributes::from(&stat)));
                    continue;
                }
                _ => return Ok(false),
            }
        }
        match known {
            Some(Entry { what: What::Folder(inner), inode, digest: known, .. }) => {
                hashed.tell(name, *known);
                if !digest(base, inner, *inode, &here, seen, hashed)? {
                    return Ok(false);
                }
                hashed.tell(OsStr::from_bytes(b".."), Digest::default());
            }
            Some(known) => hashed.tell(name, known.digest),
            None => {}
        }
    }
    Ok(true)
}

fn read(base: &OwnedFd, path: &Path) -> io::Result<Vec<u8>> {
    // Most files are shorter.
    const STRETCH_BYTES: usize = 4096;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = openat(base, path, flags, Mode::empty())?;
    let mut bytes = Vec::new();
    loop {
        let known = bytes.len();
        bytes.resize(known + STRETCH_BYTES, 0);
        let read = rustix::io::read(&file, &mut bytes[known..])?;
        bytes.truncate(known + read);
        // Of a file less than was asked for comes at its end alone.
        if read < STRETCH_BYTES {
            return Ok(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn what_was_touched_is_put_back_and_listed_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        for name in ["a", "z"] {
            fs::write(root.join(name), "first").expect("a file");
        }
        let mut snapshot = Snapshot::take(root, &[]).expect("taken");
        let entry = |name: &str| (snapshot.inode, name.to_owned());
        let [a, b, z] = ["a", "b", "z"].map(entry);
        let inode = |name: &str| {
            let metadata = fs::metadata(root.join(name)).expect("there");
            (metadata.dev(), metadata.ino())
        };
        let mut back = |written: &[Inode], touched: &[&EntryName]| {
            let written = written.iter().copied().collect();
            let touched = touched.iter().map(|entry| (*entry).clone()).collect();
            let digest = snapshot.digest_touched(&written, &touched).expect("read").expect("files alone");
            assert_eq!(digest, snapshot.digest(&written).expect("read"));
            snapshot.restore_touched(&written, &touched).expect("put back").expect("files alone");
            assert!(snapshot.is_put_back().expect("read"));
        };
        // Written in place, longer and by another name that is gone again: it is made anew.
        let first = inode("a");
        fs::write(root.join("a"), "something longer").expect("written");
        back(&[first], &[]);
        assert_eq!(inode("a"), first, "its content alone had to change");
        fs::hard_link(root.join("a"), root.join("b")).expect("linked");
        fs::write(root.join("b"), "x").expect("written");
        back(&[first], &[&b]);
        // Replaced; renamed and renamed back; removed.
        fs::write(root.join("b"), "new").expect("made");
        fs::rename(root.join("b"), root.join("a")).expect("replaced");
        back(&[inode("a")], &[&a, &b]);
        fs::rename(root.join("z"), root.join("b")).expect("renamed");
        fs::rename(root.join("b"), root.join("z")).expect("renamed back");
        back(&[], &[&z, &b]);
        fs::remove_file(root.join("z")).expect("removed");
        back(&[], &[&z]);
        assert_eq!(fs::read(root.join("a")).expect("read"), b"first");
    }
}
