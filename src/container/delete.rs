//! Delete, with and without force.
//!
//! Without force only a container in order is deleted. Force is the way out of everything else: a status that
//! forbids, metadata that is corrupt, a folder with strange files in it. Neither ever touches a file without the lock.

use std::ffi::{CStr, CString};
use std::os::fd::AsRawFd as _;

use rustix::fs::{FileType, Mode, OFlags, chmod, fstat};
use rustix::io::Errno;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};

use super::transaction::Transaction;
use crate::folder::Folder;
use crate::lock::{LockKind, is_break_lock, names_an_owner};
use crate::metadata::{MAX_METADATA_BYTES, SandboxRecord, Tombstone};
use crate::read::{self, Loaded, regular_file};
use crate::root::{LOCK, META, META_TEMPORARY};
use crate::status::Operation;
use crate::store::Store;
use crate::{ContainerId, Error, Result, generation, tree};

/// Removes a container that does not run.
pub(super) fn delete(store: &Store, id: &ContainerId) -> Result<Tombstone> {
    let (transaction, loaded) = Transaction::begin(store, id, Operation::Delete)?.load()?;
    transaction.permit(&loaded.metadata)?;
    let folder = transaction.folder();
    if let Some((name, _)) = strange_files(folder, store.options.lock)?.first() {
        let action = "delete with strange files in it (remove them, or delete with force):";
        return Err(folder.error(action, name, Errno::NOTEMPTY));
    }
    // What cannot be removed is found out before the sandbox is.
    transaction.target().clear_leftover(transaction.lock())?;
    transaction.sandbox_did(store.sandbox().destroy(id, &loaded.metadata.sandbox))?;
    transaction.remove_container(&loaded)?;
    Ok(loaded.metadata.tombstone())
}

/// Removes whatever is there.
pub(super) fn force_delete(store: &Store, id: &ContainerId) -> Result<Option<Tombstone>> {
    let Some(transaction) = begin_by_force(store, id)? else { return Ok(None) };
    let folder = transaction.folder();
    let kind = folder.kind_of(META);
    let (record, loaded) = match kind {
        // What is no file holds no metadata, and a device is not opened to see.
        Ok(kind) if kind != FileType::RegularFile => (None, None),
        _ => read_by_force(folder, id)?,
    };
    // What may be in the way goes first: once meta.json is gone, nobody is told to come back for it, and what cannot be
    // removed is told while the container is still there.
    for (name, _) in strange_files(folder, store.options.lock)? {
        if *name != *META {
            remove_strange(folder, &name)?;
        }
    }
    transaction.target().clear_leftover(transaction.lock())?;
    if let Some(record) = record {
        transaction.sandbox_did(store.sandbox().destroy(id, &record))?;
    }
    if kind == Ok(FileType::Directory) {
        remove_strange(folder, META)?;
    }
    let tombstone = loaded.as_ref().map(|loaded| loaded.metadata.tombstone());
    match &loaded {
        Some(loaded) => transaction.remove_container(loaded)?,
        None => transaction.remove()?,
    }
    Ok(tombstone)
}

/// Reads what can be read: metadata, or at least the sandbox's record, whose process must not outlive the container.
fn read_by_force(folder: &Folder<'_>, id: &ContainerId) -> Result<(Option<SandboxRecord>, Option<Loaded>)> {
    match read::metadata(folder, id) {
        Ok(Some(loaded)) => Ok((Some(loaded.metadata.sandbox.clone()), Some(loaded))),
        Ok(None) => Ok((None, None)),
        Err(Error::Corrupt { .. }) => Ok((salvage(folder), None)),
        // Its owner may have taken the right to read it from himself.
        Err(_) if make_readable(folder, META) => read_by_force(folder, id),
        Err(error) => Err(error),
    }
}

/// Takes the lock of whatever is there, and makes a lock file where it is missing or of no use; `None`: nothing is
/// there.
fn begin_by_force<'a>(store: &'a Store, id: &'a ContainerId) -> Result<Option<Transaction<'a>>> {
    loop {
        // A folder that is a link or a file is not the library's to remove: that is reported.
        let Some(folder) = store.root.folder(id)? else { return Ok(None) };
        match Transaction::begin_with_new_lock(store, id, Operation::ForceDelete) {
            Ok(None) => (),
            Ok(some) => return Ok(some),
            Err(error) => {
                if !clear_the_locks_place(store, &folder)? {
                    return Err(error);
                }
            }
        }
    }
}

/// Removes what lies in the place of the lock, or of a lock that guards its removal, and can be nobody's lock: whether
/// anything did. The counter's lock is held meanwhile, so that none of those who do this hits the lock file that
/// another of them has made since.
fn clear_the_locks_place(store: &Store, folder: &Folder<'_>) -> Result<bool> {
    let in_the_way = |folder: &Folder<'_>| -> Result<Vec<_>> {
        let is_in_a_locks_place = |name: &CStr| name == LOCK || is_break_lock(name.to_bytes(), LOCK);
        let can_be_a_lock = |name: &CStr, kind| match kind {
            FileType::RegularFile => true,
            FileType::Symlink => names_an_owner(folder, name),
            _ => false,
        };
        let mut found = folder.entries()?;
        found.retain(|(name, kind)| is_in_a_locks_place(name) && !can_be_a_lock(name, *kind));
        Ok(found)
    };
    if in_the_way(folder)?.is_empty() {
        return Ok(false);
    }
    let _alone = generation::lock(&store.root, store.options.lock, store.options.wait)?;
    for (name, _) in in_the_way(folder)? {
        remove_strange(folder, &name)?;
    }
    Ok(true)
}

/// What is in a container's folder that this library does not make, or not so.
fn strange_files(folder: &Folder<'_>, lock: LockKind) -> Result<Vec<(CString, FileType)>> {
    let mut found = folder.entries()?;
    found.retain(|(name, kind)| {
        let is_own = match name.to_bytes() {
            name if name == META.to_bytes() || name == META_TEMPORARY.to_bytes() => {
                *kind == FileType::RegularFile
            }
            // It is held.
            name if name == LOCK.to_bytes() => true,
            // A breaker's that lives, or did: a link that names nobody is no lock.
            bytes => {
                lock == LockKind::Lockfile
                    && *kind == FileType::Symlink
                    && is_break_lock(bytes, LOCK)
                    && names_an_owner(folder, name)
            }
        };
        !is_own
    });
    Ok(found)
}

fn remove_strange(folder: &Folder<'_>, name: &CStr) -> Result<()> {
    tree::remove(folder.fd(), name).map_err(|errno| folder.error("remove", name, errno))
}

/// Gives the owner the right to read a regular file of his, whose permissions do not: whether that was so.
fn make_readable(folder: &Folder<'_>, name: &CStr) -> bool {
    let attempt = || {
        let file = folder.open(name, OFlags::PATH, Mode::empty())?;
        let stat = fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile
            || Mode::from_raw_mode(stat.st_mode).contains(Mode::RUSR)
        {
            return Err(Errno::PERM);
        }
        // By its descriptor, so that it is this file and no other.
        chmod(format!("/proc/self/fd/{}", file.as_raw_fd()), Mode::RUSR | Mode::WUSR | Mode::RGRP)
    };
    attempt().is_ok()
}

/// Reads the sandbox's record from metadata that is corrupt elsewhere: its process must not outlive the container.
fn salvage(folder: &Folder<'_>) -> Option<SandboxRecord> {
    let bytes = regular_file(folder, META, MAX_METADATA_BYTES).ok()??;
    let mut record = None;
    // An error further on does not matter: what was read until then is kept.
    let _ = Salvage(&mut record).deserialize(&mut serde_json::Deserializer::from_slice(&bytes));
    record
}

/// Reads a document until it breaks, and keeps its sandbox.
struct Salvage<'a>(&'a mut Option<SandboxRecord>);

impl<'de> DeserializeSeed<'de> for Salvage<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Salvage<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("what is left of a container's metadata")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if name == "sandbox" {
                *self.0 = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::root::Root;

    #[test]
    fn a_file_is_made_readable_where_it_is_one_and_is_not() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::open(place.path()).unwrap();
        let path = place.path().join("meta.json");
        for (is_file, mode, made) in [
            (true, 0o000, 0o640),
            (true, 0o200, 0o640),
            (true, 0o400, 0o400),
            (false, 0o000, 0o000),
            (false, 0o600, 0o600),
        ] {
            if is_file {
                fs::write(&path, "").unwrap();
            } else {
                nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(make_readable(&Folder::of_root(&root), META), mode != made, "{is_file} {mode:o}");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, made, "{is_file} {mode:o}");
            fs::remove_file(&path).unwrap();
        }
    }
}
