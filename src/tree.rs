//! Removal of whatever lies somewhere: files, and folders with everything beneath them, however deep. No link is followed,
//! and no path is walked. A folder that keeps its owner from changing it is changed so that it does not. For the harness
//! too; no part of the promises of this crate.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, Mode, OFlags, RenameFlags, chmod, fchmod, openat, renameat, renameat_with, unlinkat,
};
use rustix::io::Errno;

/// How folders are called that were taken out of the depth, until they are removed too.
const LIFTED: &str = "~lifted";

/// Removes a file, or a folder with everything beneath it. One that is not there is no error.
pub fn remove(parent: impl AsFd, name: &CStr) -> Result<(), Errno> {
    let parent = parent.as_fd();
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        // Some systems say PERM of a folder.
        Err(Errno::ISDIR | Errno::PERM) => remove_folder(parent, name),
        Err(errno) => Err(errno),
    }
}

/// The same, of a path. The last part of it is not followed where it is a link.
pub fn remove_path(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} has no name", path.display())));
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let name = std::ffi::CString::new(name.as_bytes())?;
    match File::open(parent) {
        Ok(parent) => Ok(remove(parent, &name)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes a folder, and nothing that is no folder.
///
/// It may be deeper than the stack, or the number of descriptors, allows to follow. So no more than two folders are open
/// at a time: what has folders in it gives them to the uppermost one, where they are emptied in their turn.
fn remove_folder(parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    let top = match open_folder(parent, name) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(()),
        // It is no folder after all: what unlink said stands.
        Err(Errno::NOTDIR) => return Err(Errno::PERM),
        Err(errno) => return Err(errno),
    };
    let mut lifted = 0_u64;
    while let Some(folder) = empty_of_files(&top)? {
        empty_into(&top, &folder, &mut lifted)?;
    }
    remove_empty(parent, name)
}

/// Removes what is no folder with something in it; one that is, if any is left.
fn empty_of_files(folder: &OwnedFd) -> Result<Option<std::ffi::CString>, Errno> {
    let mut entries = allowed(folder, || Dir::read_from(folder))?;
    while let Some(entry) = entries.read() {
        let entry = entry?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") && remove_unless_full(folder, name)? == Left::Full {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}

/// Empties a folder, and removes it. Folders in it are lifted out of it.
fn empty_into(top: &OwnedFd, name: &CStr, lifted: &mut u64) -> Result<(), Errno> {
    let folder = match open_folder(top.as_fd(), name) {
        Ok(folder) => folder,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    // Again from the start as long as something is found: a listing may miss what lies behind what is removed.
    loop {
        let mut is_empty = true;
        let mut entries = allowed(&folder, || Dir::read_from(&folder))?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let inner = entry.file_name();
            if matches!(inner.to_bytes(), b"." | b"..") {
                continue;
            }
            is_empty = false;
            if remove_unless_full(&folder, inner)? == Left::Full {
                lift(&folder, inner, top, lifted)?;
            }
        }
        if is_empty {
            return remove_empty(top.as_fd(), name);
        }
    }
}

/// Moves a folder to the uppermost one, under a name that is free there.
fn lift(folder: &OwnedFd, name: &CStr, top: &OwnedFd, lifted: &mut u64) -> Result<(), Errno> {
    loop {
        *lifted += 1;
        let free = format!("{LIFTED}{lifted}");
        match renameat_with(folder, name, top, &*free, RenameFlags::NOREPLACE) {
            // What moves has its own entry `..` changed, so its mode may forbid it.
            Err(Errno::ACCESS) => {
                let inner = open_folder(folder.as_fd(), name)?;
                fchmod(&inner, Mode::RWXU).map_err(|_| Errno::ACCESS)?;
                match renameat(folder, name, top, &*free) {
                    Err(Errno::EXIST | Errno::NOTEMPTY) => (),
                    result => return result,
                }
            }
            // A filesystem that cannot promise it: a folder replaces none but an empty one.
            Err(Errno::INVAL | Errno::NOSYS) => match renameat(folder, name, top, &*free) {
                Err(Errno::EXIST | Errno::NOTEMPTY) => (),
                result => return result,
            },
            Err(Errno::EXIST) => (),
            result => return result,
        }
    }
}

/// What became of an entry.
#[derive(PartialEq, Eq)]
enum Left {
    Nothing,
    /// A folder with something in it.
    Full,
}

/// Removes a file or an empty folder.
fn remove_unless_full(folder: &OwnedFd, name: &CStr) -> Result<Left, Errno> {
    let refused = match allowed(folder, || unlinkat(folder, name, AtFlags::empty())) {
        Ok(()) | Err(Errno::NOENT) => return Ok(Left::Nothing),
        Err(refused @ (Errno::ISDIR | Errno::PERM)) => refused,
        Err(errno) => return Err(errno),
    };
    match unlinkat(folder, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(Left::Nothing),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(Left::Full),
        Err(Errno::NOTDIR) => Err(refused),
        Err(errno) => Err(errno),
    }
}

fn remove_empty(parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn open_folder(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || openat(parent, name, flags | OFlags::RDONLY, Mode::empty());
    match open() {
        Err(Errno::ACCESS) => {
            let folder = openat(parent, name, flags | OFlags::PATH, Mode::empty())?;
            // No descriptor that it can be changed by is had of what cannot be read.
            let path = format!("/proc/self/fd/{}", folder.as_raw_fd());
            chmod(path, Mode::RWXU).map_err(|_| Errno::ACCESS)?;
            open()
        }
        result => result,
    }
}

/// Does something in a folder, and if its mode forbids that to its owner, changes the mode and does it again.
fn allowed<T>(folder: &OwnedFd, act: impl Fn() -> Result<T, Errno>) -> Result<T, Errno> {
    match act() {
        Err(Errno::ACCESS) => {
            fchmod(folder, Mode::RWXU).map_err(|_| Errno::ACCESS)?;
            act()
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use rustix::io::{FdFlags, fcntl_getfd};

    use super::*;
    use crate::unprivileged::unprivileged;

    #[test]
    fn a_folder_that_its_owner_may_not_read_is_removed_by_him() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(place.path().join("closed/deep/er")).unwrap();
        std::fs::write(place.path().join("closed/deep/file"), "").unwrap();
        for name in ["closed/deep", "closed"] {
            std::fs::set_permissions(place.path().join(name), std::fs::Permissions::from_mode(0o000))
                .unwrap();
        }
        let parent = File::open(place.path()).unwrap();
        assert_eq!(unprivileged(|| remove(parent, c"closed")), Ok(()));
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_not_there_is_removed_and_what_cannot_be_reached_is_not() {
        let place = tempfile::tempdir().unwrap();
        assert!(remove_path(&place.path().join("nowhere/tree")).is_ok());
        std::fs::write(place.path().join("file"), "").unwrap();
        let error = remove_path(&place.path().join("file/nowhere/tree")).expect_err("a file has no entries");
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }

    #[test]
    fn a_folder_is_opened_without_following_a_link_and_not_inherited() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("folder")).unwrap();
        std::os::unix::fs::symlink("folder", place.path().join("link")).unwrap();
        let parent = File::open(place.path()).unwrap();
        let folder = open_folder(parent.as_fd(), c"folder").expect("a folder");
        assert_eq!(fcntl_getfd(&folder).unwrap(), FdFlags::CLOEXEC);
        let errno = open_folder(parent.as_fd(), c"link").expect_err("a link");
        assert!(matches!(errno, Errno::NOTDIR | Errno::LOOP), "{errno}");
    }
}
