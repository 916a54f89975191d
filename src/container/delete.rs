//! Delete, with and without force.
//!
//! Without force only a container in order is deleted. Force is the way out of everything else: a status that
//! forbids, metadata that is corrupt, a folder with strange files in it. Neither ever touches a file without the lock.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};

use super::transaction::{Transaction, is_own_file};
use crate::metadata::{MAX_METADATA_BYTES, SandboxRecord, Tombstone};
use crate::read::{self, regular_file};
use crate::root::{LOCK, META, RelPath, Root};
use crate::status::Operation;
use crate::store::Store;
use crate::{ContainerId, Error, Result};

/// Removes a container that does not run.
pub(super) fn delete(store: &Store, id: &ContainerId) -> Result<Tombstone> {
    let (transaction, loaded) = Transaction::begin(store, id, Operation::Delete)?.load()?;
    transaction.permit(&loaded.metadata)?;
    if let Some(name) = strange_files(&store.root, id)?.into_iter().next() {
        let folder = store.root.full(&RelPath::folder(id));
        let action = "delete with strange files in it (remove them, or delete with force):";
        return Err(Error::io(action, folder.join(OsStr::from_bytes(name.to_bytes())), Errno::NOTEMPTY));
    }
    transaction.sandbox_did(store.sandbox().destroy(id, &loaded.metadata.sandbox))?;
    transaction.remove_container(&loaded)?;
    Ok(loaded.metadata.tombstone())
}

/// Removes whatever is there.
pub(super) fn force_delete(store: &Store, id: &ContainerId) -> Result<Option<Tombstone>> {
    let Some(transaction) = begin_by_force(store, id)? else { return Ok(None) };
    let root = &store.root;
    let (record, loaded) = match read::metadata(root, id) {
        Ok(Some(loaded)) => (Some(loaded.metadata.sandbox.clone()), Some(loaded)),
        Ok(None) => (None, None),
        Err(Error::Corrupt { .. }) => (salvage(root, id), None),
        Err(error) => return Err(error),
    };
    if let Some(record) = record {
        transaction.sandbox_did(store.sandbox().destroy(id, &record))?;
    }
    // Strange files go first: once meta.json is gone, nobody is told to come back for them.
    for name in strange_files(root, id)? {
        remove_from_folder(root, id, &name)?;
    }
    if root.kind_of(&RelPath::in_folder(id, META)) == Ok(FileType::Directory) {
        remove_from_folder(root, id, c"meta.json")?;
    }
    let tombstone = loaded.as_ref().map(|loaded| loaded.metadata.tombstone());
    match &loaded {
        Some(loaded) => transaction.remove_container(loaded)?,
        None => transaction.remove()?,
    }
    Ok(tombstone)
}

/// Takes the lock of whatever is there, and makes a lock file where it is missing or of no use; `None`: nothing is
/// there.
fn begin_by_force<'a>(store: &'a Store, id: &'a ContainerId) -> Result<Option<Transaction<'a>>> {
    let root = &store.root;
    loop {
        match root.kind_of(&RelPath::folder(id)) {
            Err(Errno::NOENT) => return Ok(None),
            // A folder that is a link or a file is not the library's to remove; opening the lock reports it.
            Ok(_) => (),
            Err(errno) => return Err(root.error("look at", &RelPath::folder(id), errno)),
        }
        match Transaction::begin_with_new_lock(store, id, Operation::ForceDelete) {
            Ok(None) => (),
            Ok(some) => return Ok(some),
            // A folder in the lock's place is nobody's lock. Only folders are removed here: a lock file that somebody
            // made meanwhile is not hit.
            Err(Error::Corrupt { .. })
                if root.kind_of(&RelPath::in_folder(id, LOCK)) == Ok(FileType::Directory) =>
            {
                let folder = open_folder(root, id)?;
                let lock = CString::new(LOCK).unwrap_or_default();
                remove_folder_at(&folder, &lock)
                    .map_err(|errno| root.error("remove", &RelPath::in_folder(id, LOCK), errno))?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The names in a container's folder that this library does not make.
fn strange_files(root: &Root, id: &ContainerId) -> Result<Vec<CString>> {
    let folder = RelPath::folder(id);
    let mut strange = Vec::new();
    let mut entries = root.entries(Some(&folder))?;
    while let Some(entry) = entries.read() {
        let entry = entry.map_err(|errno| root.error("list", &folder, errno))?;
        let name = entry.file_name();
        if !name.to_str().is_ok_and(|name| matches!(name, "." | "..") || is_own_file(name)) {
            strange.push(name.to_owned());
        }
    }
    Ok(strange)
}

fn open_folder(root: &Root, id: &ContainerId) -> Result<OwnedFd> {
    let path = RelPath::folder(id);
    root.open_in(&path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
        .map_err(|errno| root.error("open", &path, errno))
}

fn remove_from_folder(root: &Root, id: &ContainerId, name: &CStr) -> Result<()> {
    let folder = open_folder(root, id)?;
    let failed = |errno| {
        let path = root.full(&RelPath::folder(id)).join(OsStr::from_bytes(name.to_bytes()));
        Error::io("remove", path, errno)
    };
    remove_at(&folder, name).map_err(failed)
}

/// Removes a file, or a folder with everything beneath it. No link is followed.
fn remove_at(folder: &OwnedFd, name: &CStr) -> Result<(), Errno> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => remove_folder_at(folder, name),
        Err(errno) => Err(errno),
    }
}

/// Removes a folder with everything beneath it, and nothing that is no folder.
fn remove_folder_at(parent: &OwnedFd, name: &CStr) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = openat(parent, name, flags, Mode::empty())?;
    let mut entries = Dir::read_from(&folder)?;
    while let Some(entry) = entries.read() {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            remove_at(&folder, entry.file_name())?;
        }
    }
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Reads the sandbox's record from metadata that is corrupt elsewhere: its process must not outlive the container.
fn salvage(root: &Root, id: &ContainerId) -> Option<SandboxRecord> {
    let bytes = regular_file(root, &RelPath::in_folder(id, META), MAX_METADATA_BYTES).ok()??;
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
