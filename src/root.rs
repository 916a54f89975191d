//! The root folder: every container's folder is reached through this one descriptor.
//!
//! Nothing here may ever leave the root. A name is a single entry of a folder that is open already, and no symbolic link
//! is followed: what a folder is exchanged for between two system calls is never walked through. The one descriptor
//! stands for the root wherever that is moved.

use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use crate::folder::Folder;
use crate::{ContainerId, Error, Result};

/// A container's metadata.
pub(crate) const META: &CStr = c"meta.json";
/// The next metadata, until it takes the place of the present one.
pub(crate) const META_TEMPORARY: &CStr = c"meta.json.tmp";
/// A container's lock.
pub(crate) const LOCK: &CStr = c"meta.lock";

/// The open root folder.
#[derive(Debug)]
pub(crate) struct Root {
    fd: OwnedFd,
    path: PathBuf,
    identity: (u64, u64),
}

impl Root {
    /// Opens a root folder, which must exist.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = retry_on_intr(|| fs::open(path, flags, Mode::empty())).map_err(|errno| match errno {
            Errno::NOENT => Error::io("open the root folder (make it first)", path, errno),
            Errno::NOTDIR => Error::io("use as the root folder (it is not a folder)", path, errno),
            _ => Error::io("open the root folder", path, errno),
        })?;
        let stat = fs::fstat(&fd).map_err(|errno| Error::io("examine the root folder", path, errno))?;
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Ok(Self { fd, path, identity: (stat.st_dev, stat.st_ino) })
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Device and inode.
    pub(crate) fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// The path of a container's folder, for errors.
    pub(crate) fn path_of(&self, id: &ContainerId) -> PathBuf {
        self.path.join(id.as_str())
    }

    /// Opens a container's folder; `None` if there is none. What is no folder is an error, and a link is not followed.
    #[inline]
    pub(crate) fn folder<'a>(&'a self, id: &'a ContainerId) -> Result<Option<Folder<'a>>> {
        // PATH: to reach what is in it takes no permission to list it.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match retry_on_intr(|| fs::openat(&self.fd, id.as_str(), flags, Mode::empty())) {
            Ok(fd) => Ok(Some(Folder::of_container(self, id, fd))),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => Err(self.not_a_folder(id)),
            Err(errno) => Err(self.error("open the folder", id, errno)),
        }
    }

    /// The error for a container's folder that is something else.
    #[cold]
    fn not_a_folder(&self, id: &ContainerId) -> Error {
        let why = match self.kind_of(id) {
            Ok(FileType::Symlink) => "it is a symbolic link, which is never followed; remove it",
            _ => "it is not a container's folder; remove it",
        };
        Error::corrupt(self.path_of(id), why)
    }

    /// What lies at the path of a container's folder.
    fn kind_of(&self, id: &ContainerId) -> Result<FileType, Errno> {
        let stat = fs::statat(&self.fd, id.as_str(), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileType::from_raw_mode(stat.st_mode))
    }

    /// Makes a container's folder.
    pub(crate) fn make_folder(&self, id: &ContainerId, mode: Mode) -> Result<(), Errno> {
        fs::mkdirat(&self.fd, id.as_str(), mode)
    }

    /// Removes a container's folder if it is there and empty. Whoever finds it in use leaves it to its user.
    pub(crate) fn remove_folder_if_empty(&self, id: &ContainerId) -> Result<()> {
        match fs::unlinkat(&self.fd, id.as_str(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => Ok(()),
            Err(errno) => Err(self.error("remove the folder", id, errno)),
        }
    }

    /// Makes the names in the root durable.
    pub(crate) fn sync(&self) -> Result<()> {
        retry_on_intr(|| fs::fsync(&self.fd))
            .map_err(|errno| Error::io("make durable", self.path.clone(), errno))
    }

    /// The entries of the root, with `.` and `..`.
    pub(crate) fn entries(&self) -> Result<Dir> {
        // A descriptor of its own: concurrent listings must not share one position.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        retry_on_intr(|| fs::openat(&self.fd, c".", flags, Mode::empty()))
            .and_then(Dir::new)
            .map_err(|errno| Error::io("list", self.path.clone(), errno))
    }

    #[cold]
    pub(crate) fn error(&self, action: &'static str, id: &ContainerId, errno: Errno) -> Error {
        Error::io(action, self.path_of(id), errno)
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::{FdFlags, fcntl_getfd};

    use super::*;

    #[test]
    fn no_descriptor_of_a_root_is_inherited() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::open(place.path()).unwrap();
        assert_eq!(fcntl_getfd(root.fd()).unwrap(), FdFlags::CLOEXEC);
        let entries = root.entries().unwrap();
        assert_eq!(fcntl_getfd(entries.fd().unwrap()).unwrap(), FdFlags::CLOEXEC);
    }
}
