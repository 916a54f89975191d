//! An open folder: that of a container, or the root. Every file of the library is reached by one name in one of these.
//!
//! A folder was opened without following a link, and stays what it is when somebody exchanges it for one: no call here
//! takes a path, so none can be led out of the root.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};

use crate::lock::{Request, Wait};
use crate::root::{LOCK, Root};
use crate::{ContainerId, Error, Result};

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder<'a> {
    root: &'a Root,
    /// Where it is not the root itself.
    container: Option<(&'a ContainerId, OwnedFd)>,
}

impl<'a> Folder<'a> {
    /// The root itself.
    pub(crate) const fn of_root(root: &'a Root) -> Self {
        Self { root, container: None }
    }

    /// The folder of a container.
    #[inline]
    pub(crate) fn of_container(root: &'a Root, id: &'a ContainerId, fd: OwnedFd) -> Self {
        Self { root, container: Some((id, fd)) }
    }

    #[inline]
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.container.as_ref().map_or_else(|| self.root.fd().as_fd(), |(_, fd)| fd.as_fd())
    }

    /// Its path, for errors.
    pub(crate) fn path(&self) -> PathBuf {
        match &self.container {
            Some((id, _)) => self.root.path_of(id),
            None => self.root.path().to_owned(),
        }
    }

    /// The path of a file in it, for errors.
    pub(crate) fn full(&self, name: &CStr) -> PathBuf {
        self.path().join(OsStr::from_bytes(name.to_bytes()))
    }

    /// Asks for a lock in this folder, for what needs more than the folder to say what it wants.
    pub(crate) fn request(&self, wait: Wait) -> Request<'_> {
        Request::exclusive(self.root, self.container.as_ref().map(|(id, _)| *id), LOCK, wait)
    }

    /// Opens a file. `ELOOP` says that a symbolic link was met, and not followed.
    #[inline]
    pub(crate) fn open(&self, name: &CStr, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        retry_on_intr(|| fs::openat(self.fd(), name, flags, mode))
    }

    /// Looks at a file without following a link.
    #[inline]
    pub(crate) fn stat(&self, name: &CStr) -> Result<Stat, Errno> {
        fs::statat(self.fd(), name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// What kind of file is there.
    pub(crate) fn kind_of(&self, name: &CStr) -> Result<FileType, Errno> {
        self.stat(name).map(|stat| FileType::from_raw_mode(stat.st_mode))
    }

    /// Whether anything is there.
    pub(crate) fn exists(&self, name: &CStr) -> Result<bool> {
        match self.stat(name) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(self.error("look at", name, errno)),
        }
    }

    pub(crate) fn unlink(&self, name: &CStr) -> Result<(), Errno> {
        fs::unlinkat(self.fd(), name, AtFlags::empty())
    }

    /// Unlinks a file that need not be there.
    pub(crate) fn unlink_if_there(&self, name: &CStr) -> Result<()> {
        match self.unlink(name) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.error("remove", name, errno)),
        }
    }

    pub(crate) fn rename(&self, from: &CStr, to: &CStr) -> Result<(), Errno> {
        fs::renameat(self.fd(), from, self.fd(), to)
    }

    /// Makes the names in it durable.
    pub(crate) fn sync(&self) -> Result<()> {
        self.readable()
            .and_then(|fd| retry_on_intr(|| fs::fsync(&fd)))
            .map_err(|errno| Error::io("make durable", self.path(), errno))
    }

    /// The names in it, without `.` and `..`, and what each is.
    pub(crate) fn entries(&self) -> Result<Vec<(CString, FileType)>> {
        let failed = |errno| Error::io("list", self.path(), errno);
        let mut found = Vec::new();
        let mut entries = self.readable().and_then(Dir::new).map_err(failed)?;
        while let Some(entry) = entries.read() {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => match self.kind_of(name) {
                    Err(Errno::NOENT) => continue,
                    kind => kind.map_err(|errno| self.error("look at", name, errno))?,
                },
                kind => kind,
            };
            found.push((name.to_owned(), kind));
        }
        Ok(found)
    }

    fn readable(&self) -> Result<OwnedFd, Errno> {
        self.open(c".", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
    }

    #[cold]
    pub(crate) fn error(&self, action: &'static str, name: &CStr, errno: Errno) -> Error {
        Error::io(action, self.full(name), errno)
    }

    /// The error for a symbolic link in the place of a file.
    #[cold]
    pub(crate) fn link_error(&self, name: &CStr) -> Error {
        Error::corrupt(self.full(name), "it is a symbolic link, which is never followed; remove it")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::root::META;

    #[test]
    fn links_are_refused() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("meta.json"), "{}").unwrap();
        let folder = tempfile::tempdir().unwrap();
        symlink(outside.path(), folder.path().join("folder-link")).unwrap();
        std::fs::create_dir(folder.path().join("file-link")).unwrap();
        symlink(outside.path().join("meta.json"), folder.path().join("file-link/meta.json")).unwrap();
        std::fs::create_dir(folder.path().join("good")).unwrap();
        std::fs::write(folder.path().join("good/meta.json"), "{}").unwrap();
        std::fs::write(folder.path().join("file"), "{}").unwrap();
        let root = Root::open(folder.path()).unwrap();
        let open = |id: &str| {
            let id = ContainerId::new(id).unwrap();
            let folder = root.folder(&id).map_err(|error| error.to_string())?;
            let folder = folder.ok_or("no folder")?;
            folder
                .open(META, OFlags::RDONLY, Mode::empty())
                .map(|_| ())
                .map_err(|errno| folder.error("open", META, errno).to_string())
        };
        assert_eq!(open("good"), Ok(()));
        for (id, why) in [
            ("folder-link", "it is a symbolic link, which is never followed"),
            ("file-link", "symbolic link"),
            ("file", "it is not a container's folder"),
            ("absent", "no folder"),
        ] {
            let error = open(id).unwrap_err();
            assert!(error.contains(why), "{id}: {error}");
        }
    }

    #[test]
    fn a_folder_stays_itself_when_a_link_takes_its_place() {
        let outside = tempfile::tempdir().unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("c1")).unwrap();
        let root = Root::open(folder.path()).unwrap();
        let id = ContainerId::new("c1").unwrap();
        let open = root.folder(&id).unwrap().unwrap();
        std::fs::rename(folder.path().join("c1"), folder.path().join("moved")).unwrap();
        symlink(outside.path(), folder.path().join("c1")).unwrap();
        open.open(META, OFlags::WRONLY | OFlags::CREATE, Mode::RUSR).unwrap();
        assert!(open.exists(META).unwrap());
        assert_eq!(open.entries().unwrap(), [(META.to_owned(), FileType::RegularFile)]);
        open.sync().unwrap();
        open.unlink_if_there(META).unwrap();
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        root.remove_folder_if_empty(&id).unwrap();
        assert!(folder.path().join("c1").is_symlink(), "a link is no folder");
    }
}
