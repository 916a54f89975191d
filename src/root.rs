//! The root folder: every file of every container is reached through this one descriptor.
//!
//! Nothing here may ever leave the root: files are opened beneath it and no symbolic link is followed, so that a
//! link that somebody put there cannot make the library read or write elsewhere.

use std::ffi::{CStr, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::{Errno, retry_on_intr};

use crate::{ContainerId, Error, Result};

/// A container's metadata.
pub(crate) const META: &str = "meta.json";
/// The next metadata, until it takes the place of the present one.
pub(crate) const META_TEMPORARY: &str = "meta.json.tmp";
/// A container's lock.
pub(crate) const LOCK: &str = "meta.lock";
/// What is appended to a lock's name for the lock that guards the removal of a dead owner's lock.
pub(crate) const BREAK: &str = ".break";

/// The longest relative path: an id, a separator, a lock's name with every break suffix, and the final NUL.
const CAPACITY: usize = ContainerId::MAX_BYTES + 1 + 64 + 1;

/// A path relative to the root: `<id>`, `<id>/<name>`, or a name of the library's own such as `~generation`.
///
/// It lives on the stack: an operation needs several, and none is worth an allocation.
#[derive(Clone)]
pub(crate) struct RelPath {
    bytes: [u8; CAPACITY],
    length: usize,
    folder_length: usize,
}

impl std::fmt::Debug for RelPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_c_str().fmt(f)
    }
}

impl RelPath {
    /// A container's folder, or a file in the root itself.
    #[inline]
    pub(crate) fn top(name: &str) -> Self {
        Self::joined([name.as_bytes(), b"", b""], 0)
    }

    /// A container's folder.
    #[inline]
    pub(crate) fn folder(id: &ContainerId) -> Self {
        Self::top(id.as_str())
    }

    /// A file in a container's folder.
    #[inline]
    pub(crate) fn in_folder(id: &ContainerId, name: &str) -> Self {
        let id = id.as_str().as_bytes();
        Self::joined([id, b"/", name.as_bytes()], id.len())
    }

    #[inline]
    fn joined(parts: [&[u8]; 3], folder_length: usize) -> Self {
        let mut path = Self { bytes: [0; CAPACITY], length: 0, folder_length };
        for part in parts {
            path.push(part);
        }
        path
    }

    /// The same path with `suffix` appended to its last name; `None` where it would be too long.
    pub(crate) fn with_suffix(&self, suffix: &str) -> Option<Self> {
        let mut path = self.clone();
        (self.length + suffix.len() < CAPACITY).then(|| {
            path.push(suffix.as_bytes());
            path
        })
    }

    /// The folder this path is in, where it is not the root.
    pub(crate) fn parent(&self) -> Option<Self> {
        (self.folder_length > 0).then(|| Self::joined([&self.bytes[..self.folder_length], b"", b""], 0))
    }

    #[inline]
    fn push(&mut self, more: &[u8]) {
        let end = self.length + more.len();
        self.bytes[self.length..end].copy_from_slice(more);
        self.length = end;
    }

    #[inline]
    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_with_nul(&self.bytes[..=self.length]).expect("ids and names hold no NUL")
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// How paths are kept beneath the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resolution {
    /// The kernel keeps them there (`openat2`, since Linux 5.6).
    ByKernel,
    /// The folder is looked at first, and the file is opened without following a link. A folder that is exchanged
    /// for a link between the two would be followed: the best that an older kernel can do.
    ByLooking,
}

/// The open root folder.
#[derive(Debug)]
pub(crate) struct Root {
    fd: OwnedFd,
    path: PathBuf,
    resolution: Resolution,
    identity: (u64, u64),
}

impl Root {
    /// Opens a root folder, which must exist.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = retry_on_intr(|| fs::open(path, flags, Mode::empty())).map_err(|errno| match errno {
            Errno::NOENT => Error::io("open the root folder (make it first)", path, errno),
            Errno::NOTDIR => Error::io("use as the root folder (it is no folder)", path, errno),
            _ => Error::io("open the root folder", path, errno),
        })?;
        let stat = fs::fstat(&fd).map_err(|errno| Error::io("look at the root folder", path, errno))?;
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        // A seccomp filter that does not know openat2 answers EPERM.
        let resolution = match openat2(&fd, c".", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()) {
            Err(Errno::NOSYS | Errno::PERM) => Resolution::ByLooking,
            _ => Resolution::ByKernel,
        };
        Ok(Self { fd, path, resolution, identity: (stat.st_dev, stat.st_ino) })
    }

    /// The same root as an older kernel would reach it.
    #[cfg(test)]
    pub(crate) fn without_openat2(mut self) -> Self {
        self.resolution = Resolution::ByLooking;
        self
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

    /// A relative path in full, for errors.
    pub(crate) fn full(&self, path: &RelPath) -> PathBuf {
        self.path.join(OsStr::from_bytes(path.as_bytes()))
    }

    /// Opens a file beneath the root. `ELOOP` says that a symbolic link was met, and not followed.
    #[inline]
    pub(crate) fn open_in(&self, path: &RelPath, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC;
        // openat2 takes permissions for a file that cannot be made as a mistake.
        let mode = if flags.contains(OFlags::CREATE) { mode } else { Mode::empty() };
        match self.resolution {
            Resolution::ByKernel => openat2(&self.fd, path.as_c_str(), flags, mode),
            Resolution::ByLooking => {
                if let Some(folder) = path.parent() {
                    match self.kind_of(&folder)? {
                        FileType::Directory => (),
                        FileType::Symlink => return Err(Errno::LOOP),
                        _ => return Err(Errno::NOTDIR),
                    }
                }
                retry_on_intr(|| fs::openat(&self.fd, path.as_c_str(), flags | OFlags::NOFOLLOW, mode))
            }
        }
    }

    /// Looks at a file without following a link.
    #[inline]
    pub(crate) fn stat(&self, path: &RelPath) -> Result<Stat, Errno> {
        fs::statat(&self.fd, path.as_c_str(), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// What kind of file is there.
    pub(crate) fn kind_of(&self, path: &RelPath) -> Result<FileType, Errno> {
        self.stat(path).map(|stat| FileType::from_raw_mode(stat.st_mode))
    }

    /// Whether anything is there.
    pub(crate) fn exists(&self, path: &RelPath) -> Result<bool> {
        match self.stat(path) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(errno) => Err(self.error("look at", path, errno)),
        }
    }

    pub(crate) fn make_folder(&self, path: &RelPath, mode: Mode) -> Result<(), Errno> {
        fs::mkdirat(&self.fd, path.as_c_str(), mode)
    }

    pub(crate) fn unlink(&self, path: &RelPath) -> Result<(), Errno> {
        fs::unlinkat(&self.fd, path.as_c_str(), AtFlags::empty())
    }

    /// Unlinks a file that need not be there.
    pub(crate) fn unlink_if_there(&self, path: &RelPath) -> Result<()> {
        match self.unlink(path) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.error("remove", path, errno)),
        }
    }

    /// Removes a folder if it is there and empty. Whoever finds it in use leaves it to its user.
    pub(crate) fn remove_folder_if_empty(&self, path: &RelPath) -> Result<()> {
        match fs::unlinkat(&self.fd, path.as_c_str(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => Ok(()),
            Err(errno) => Err(self.error("remove the folder", path, errno)),
        }
    }

    pub(crate) fn rename(&self, from: &RelPath, to: &RelPath) -> Result<(), Errno> {
        fs::renameat(&self.fd, from.as_c_str(), &self.fd, to.as_c_str())
    }

    /// Makes the names in a folder (`None`: the root itself) durable.
    pub(crate) fn sync_folder(&self, folder: Option<&RelPath>) -> Result<()> {
        let Some(path) = folder else {
            return retry_on_intr(|| fs::fsync(&self.fd))
                .map_err(|errno| Error::io("make durable", self.path.clone(), errno));
        };
        self.open_in(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
            .and_then(|fd| retry_on_intr(|| fs::fsync(&fd)))
            .map_err(|errno| self.error("make durable", path, errno))
    }

    /// The entries of a folder (`None`: the root itself), without `.` and `..`.
    pub(crate) fn entries(&self, folder: Option<&RelPath>) -> Result<Dir> {
        let opened = match folder {
            // A descriptor of its own: concurrent listings must not share one position.
            None => retry_on_intr(|| {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                fs::openat(&self.fd, c".", flags, Mode::empty())
            }),
            Some(path) => self.open_in(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()),
        };
        let failed = |errno| match folder {
            None => Error::io("list", self.path.clone(), errno),
            Some(path) => self.error("list", path, errno),
        };
        Dir::new(opened.map_err(failed)?).map_err(failed)
    }

    #[cold]
    pub(crate) fn error(&self, action: &'static str, path: &RelPath, errno: Errno) -> Error {
        Error::io(action, self.full(path), errno)
    }

    /// The error for a symbolic link that was met on the way to `path`.
    #[cold]
    pub(crate) fn link_error(&self, path: &RelPath) -> Error {
        let culprit = match path.parent() {
            Some(folder) if self.kind_of(&folder) == Ok(FileType::Symlink) => folder,
            _ => path.clone(),
        };
        Error::corrupt(self.full(&culprit), "it is a symbolic link, which is never followed; remove it")
    }
}

#[inline]
fn openat2(fd: &OwnedFd, path: &CStr, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    // A relative path without `..`, and all are such, cannot leave the root unless a link leads it out. RESOLVE_BENEATH
    // would make the kernel prove that once more, at the end of each open, for a tenth of its time.
    let resolve = ResolveFlags::NO_SYMLINKS;
    retry_on_intr(|| fs::openat2(fd, path, flags, mode, resolve))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_meta(root: &Root, id: &str) -> Result<OwnedFd, Errno> {
        let path = RelPath::in_folder(&ContainerId::new(id).unwrap(), META);
        root.open_in(&path, OFlags::RDONLY, Mode::empty())
    }

    #[test]
    fn links_are_refused_with_and_without_openat2() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join(META), "{}").unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("folder-link")).unwrap();
        std::fs::create_dir(folder.path().join("file-link")).unwrap();
        std::os::unix::fs::symlink(outside.path().join(META), folder.path().join("file-link").join(META))
            .unwrap();
        std::fs::create_dir(folder.path().join("good")).unwrap();
        std::fs::write(folder.path().join("good").join(META), "{}").unwrap();
        std::fs::write(folder.path().join("file"), "{}").unwrap();
        for root in [Root::open(folder.path()).unwrap(), Root::open(folder.path()).unwrap().without_openat2()]
        {
            assert!(open_meta(&root, "good").is_ok());
            assert_eq!(open_meta(&root, "folder-link").unwrap_err(), Errno::LOOP);
            assert_eq!(open_meta(&root, "file-link").unwrap_err(), Errno::LOOP);
            assert_eq!(open_meta(&root, "file").unwrap_err(), Errno::NOTDIR);
            assert_eq!(open_meta(&root, "absent").unwrap_err(), Errno::NOENT);
        }
    }

    #[test]
    fn the_longest_id_fits_with_every_suffix() {
        let id = ContainerId::new("x".repeat(ContainerId::MAX_BYTES)).unwrap();
        let path = RelPath::in_folder(&id, LOCK);
        assert_eq!(path.as_bytes().len(), 255 + 1 + LOCK.len());
        assert!(path.with_suffix(BREAK).and_then(|path| path.with_suffix(BREAK)).is_some());
        assert_eq!(path.parent().unwrap().as_bytes(), id.as_str().as_bytes());
    }
}
