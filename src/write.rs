//! Saving `meta.json`. A save by rename has two steps, so that the sandbox can act between them: what can fail for
//! lack of space is done before, and what is left after is a rename, which a kill cannot divide.
//!
//! Every function takes the exclusive guard: nothing is ever written without the lock.

use std::ffi::CStr;
use std::os::fd::{IntoRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags, fstat, fsync, ftruncate};
use rustix::io::{Errno, retry_on_intr};

use crate::folder::Folder;
use crate::lock::Exclusive;
use crate::metadata::{MAX_METADATA_BYTES, Metadata};
use crate::root::{META, META_TEMPORARY};
use crate::words::words;
use crate::{Error, Result};

words! {
    /// How a save reaches the disk, and what a crash of the machine may leave of it. (A kill of the process is another matter: it
    /// takes nothing that was written.)
    pub enum WritePolicy, "write policy" {
        /// The file is cut to nothing and written, as the original did. A kill in between destroys it.
        InPlace = "in-place",
        /// A temporary file takes the place of the old one: the default. A kill leaves one of the two. A power loss may leave a
        /// third thing, for nothing keeps the new name from reaching the disk before the content: on ext4 with its default options
        /// a `meta.json` of the full length that holds zeros, on xfs and btrfs an empty one (on ext4 mounted with `dioread_lock`,
        /// the old or the new). Such a container can only be deleted by force. Right where the root does not outlive a boot, such
        /// as on tmpfs below `/run`.
        Rename = "rename",
        /// The same, and it is durable when the operation returns: a crash of the machine leaves one of the two, on every
        /// filesystem, and never undoes what returned. The file is synced before it is renamed and the folder after; a create also
        /// syncs its lock file's name, the counter of generations and the root. It costs two fsyncs for a save, and five for a
        /// create. The image of a checkpoint lasts, too.
        Fsync = "fsync",
    }
}

/// The files of one container that a save is about.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub folder: &'a Folder<'a>,
    pub policy: WritePolicy,
}

/// A save whose bytes are ready. Dropped without a commit it leaves nothing behind.
#[must_use = "a save that is not committed changes nothing"]
pub(crate) struct Prepared<'a> {
    target: Target<'a>,
    bytes: Vec<u8>,
    has_temporary: bool,
}

/// A commit that failed.
pub(crate) struct CommitError {
    pub error: Error,
    /// Whether the new metadata can be seen in spite of it.
    pub is_visible: bool,
}

impl<'a> Target<'a> {
    /// Gets everything ready that may fail.
    pub(crate) fn prepare(self, lock: &Exclusive<'_>, metadata: &Metadata) -> Result<Prepared<'a>> {
        self.prepare_within(MAX_METADATA_BYTES, lock, metadata)
    }

    /// The same of metadata that must not be larger than this.
    fn prepare_within(
        self,
        bytes_max: u64,
        lock: &Exclusive<'_>,
        metadata: &Metadata,
    ) -> Result<Prepared<'a>> {
        let path = || self.folder.full(META);
        let bytes = metadata.to_json().map_err(|error| Error::unsupported(path(), error))?;
        if bytes.len() as u64 > bytes_max {
            let why = format_args!(
                "the metadata would have {} bytes, at most {bytes_max} can be read back: the spec is too large",
                bytes.len()
            );
            return Err(Error::unsupported(path(), why));
        }
        self.prepare_bytes(lock, bytes)
    }

    /// The same for bytes that were read earlier.
    pub(crate) fn prepare_bytes(self, lock: &Exclusive<'_>, bytes: Vec<u8>) -> Result<Prepared<'a>> {
        let has_temporary = self.policy != WritePolicy::InPlace;
        if has_temporary {
            write_new(lock, META_TEMPORARY, self.policy, &bytes)?;
        }
        Ok(Prepared { target: self, bytes, has_temporary })
    }

    /// Removes what a killed holder left of its save.
    pub(crate) fn clear_leftover(&self, _lock: &Exclusive<'_>) -> Result<()> {
        self.folder.unlink_if_there(META_TEMPORARY)
    }
}

impl Prepared<'_> {
    /// What `meta.json` will hold.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Makes the new metadata the present one.
    pub(crate) fn commit(mut self, lock: &Exclusive<'_>) -> Result<(), CommitError> {
        let Target { folder, policy } = self.target;
        if policy == WritePolicy::InPlace {
            return write_in_place(lock, META, &self.bytes);
        }
        folder.rename(META_TEMPORARY, META).map_err(|errno| CommitError {
            error: folder.error("replace", META, errno),
            is_visible: false,
        })?;
        self.has_temporary = false;
        if policy == WritePolicy::Fsync {
            folder.sync().map_err(|error| CommitError { error, is_visible: true })?;
        }
        Ok(())
    }
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        if self.has_temporary {
            // The next holder clears it where this fails.
            let _ = self.target.folder.unlink(META_TEMPORARY);
        }
    }
}

/// Writes a file that replaces another one later, in the folder whose lock is held. One that is there already is the
/// leftover of a killed process: whoever writes here holds the lock.
pub(crate) fn write_new(lock: &Exclusive<'_>, name: &CStr, policy: WritePolicy, bytes: &[u8]) -> Result<()> {
    let folder = lock.folder();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let permissions = Mode::RUSR | Mode::WUSR | Mode::RGRP;
    let file = loop {
        match folder.open(name, flags, permissions) {
            Ok(file) => break file,
            Err(Errno::EXIST) => folder.unlink_if_there(name)?,
            Err(errno) => return Err(folder.error("make", name, errno)),
        }
    };
    let written = write_all(&file, bytes).and_then(|()| match policy {
        WritePolicy::Fsync => retry_on_intr(|| fsync(&file)),
        WritePolicy::InPlace | WritePolicy::Rename => Ok(()),
    });
    written.and(close(file)).map_err(|errno| {
        let _ = folder.unlink(name);
        folder.error("write", name, errno)
    })
}

/// Cuts the file only once it is known to be this container's alone: under another name it may be anybody's.
fn write_in_place(lock: &Exclusive<'_>, name: &CStr, bytes: &[u8]) -> Result<(), CommitError> {
    let folder = lock.folder();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NONBLOCK;
    let permissions = Mode::RUSR | Mode::WUSR | Mode::RGRP;
    let failed =
        |is_visible| move |errno| CommitError { error: folder.error("write", name, errno), is_visible };
    let file = folder.open(name, flags, permissions).map_err(failed(false))?;
    let found = fstat(&file).map_err(failed(false))?;
    if found.st_nlink > 1 {
        let why = format!(
            "the file has {} names (hard links), and writing in place would change it under all of them: remove the others, or \
             write by rename",
            found.st_nlink
        );
        return Err(CommitError { error: Error::unsupported(folder.full(name), why), is_visible: false });
    }
    let written = retry_on_intr(|| ftruncate(&file, 0)).and_then(|()| write_all(&file, bytes));
    written.and(close(file)).map_err(failed(true))
}

/// Closes a file that was written to: a filesystem that writes late (NFS, or one with quotas) says only here that it
/// could not. The descriptor is gone in any case, so that an interrupted close is not made again.
pub(crate) fn close(file: impl IntoRawFd) -> Result<(), Errno> {
    match nix::unistd::close(file) {
        Ok(()) | Err(nix::Error::EINTR) => Ok(()),
        Err(errno) => Err(Errno::from_raw_os_error(errno as i32)),
    }
}

/// Writes everything, however little the system takes at a time.
fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match retry_on_intr(|| rustix::io::write(file, bytes))? {
            0 => return Err(Errno::IO),
            written => bytes = &bytes[written..],
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::unprivileged::unprivileged;
    use crate::{ContainerId, CreateRequest, Store, read};

    /// To sync a folder it is opened for reading, which one that may only be written to does not allow.
    #[test]
    fn the_folder_is_synced_where_the_policy_says_so() {
        let place = tempfile::tempdir().unwrap();
        let id = ContainerId::new("c1").unwrap();
        let folder = place.path().join("c1");
        let open = |policy| Store::open(place.path(), Store::options().write(policy)).unwrap();
        open(WritePolicy::Rename).create(&id, CreateRequest::default()).unwrap();
        open(WritePolicy::Rename).container(&id).start().unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o300)).unwrap();
        unprivileged(|| {
            open(WritePolicy::Rename).container(&id).pause().expect("nothing is synced");
            open(WritePolicy::InPlace).container(&id).resume().expect("nothing is synced");
            let store = open(WritePolicy::Fsync);
            let before = store.container(&id).state().unwrap();
            let error = store.container(&id).pause().unwrap_err().to_string();
            assert!(error.contains("make durable"), "{error}");
            let after = store.container(&id).state().unwrap();
            assert_eq!(after.stamp(), before.stamp(), "what could not be made durable was taken back");
        });
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        open(WritePolicy::Fsync).container(&id).pause().unwrap();
    }

    /// A store with one container, whose lock is held.
    fn with_target(test: impl FnOnce(Target<'_>, &Exclusive<'_>, Metadata)) {
        let place = tempfile::tempdir().unwrap();
        let id = ContainerId::new("c1").unwrap();
        let store = Store::open(place.path(), Store::options()).unwrap();
        store.create(&id, CreateRequest::default()).unwrap();
        let container = store.container(&id);
        let metadata = container.state().unwrap();
        let lock = container.lock_exclusive().unwrap();
        test(Target { folder: lock.folder(), policy: WritePolicy::Rename }, &lock, metadata);
    }

    #[test]
    fn metadata_of_exactly_the_greatest_size_is_saved() {
        with_target(|target, lock, mut metadata| {
            metadata.owner = "somebody".to_owned();
            let bytes = metadata.to_json().unwrap().len() as u64;
            assert!(target.prepare_within(bytes, lock, &metadata).is_ok(), "it has that many bytes");
            let error = target.prepare_within(bytes - 1, lock, &metadata).map(|_| ()).unwrap_err();
            let why = format!("would have {bytes} bytes, at most {} can be read back", bytes - 1);
            assert!(error.to_string().contains(&why), "{error}");
        });
    }

    /// Who takes a save back later writes these bytes again.
    #[test]
    fn the_bytes_of_a_save_are_those_that_are_read_back() {
        with_target(|target, lock, mut metadata| {
            metadata.owner = "somebody else".to_owned();
            let prepared = target.prepare(lock, &metadata).unwrap();
            let bytes = prepared.bytes().to_vec();
            prepared.commit(lock).map_err(|commit| commit.error).unwrap();
            let loaded = read::metadata(target.folder, &metadata.id).unwrap().expect("it was saved");
            assert!(loaded.bytes == bytes && loaded.metadata.owner == "somebody else");
        });
    }

    #[test]
    fn metadata_has_the_same_mode_however_it_is_written() {
        let id = ContainerId::new("c1").unwrap();
        let mode = |policy| {
            let place = tempfile::tempdir().unwrap();
            let store = Store::open(place.path(), Store::options().write(policy)).unwrap();
            store.create(&id, CreateRequest::default()).unwrap();
            std::fs::metadata(place.path().join("c1/meta.json")).unwrap().permissions().mode() & 0o777
        };
        let by_rename = mode(WritePolicy::Rename);
        assert_eq!(by_rename & 0o617, 0o600, "{by_rename:o}: the owner may write, and others may nothing");
        assert_eq!(mode(WritePolicy::InPlace), by_rename);
    }
}
