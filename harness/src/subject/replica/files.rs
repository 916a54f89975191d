//! Files as Go's standard library and its flock package handle them: the same system calls in the same order.
//!
//! What looks careless here is so in the original. That is what a replica is for.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::retry_on_intr;

use super::failure::Failure;

/// `os.MkdirAll` with mode 0711: looks first, and takes a folder that someone else made meanwhile.
pub fn mkdir_all(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => return Err(ErrorKind::NotADirectory.into()),
        Err(_) => {}
    }
    if let Some(parent) = path.parent() {
        mkdir_all(parent)?;
    }
    DirBuilder::new().mode(0o711).create(path).or_else(|error| match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        _ => Err(error),
    })
}

/// `ioutil.WriteFile` with mode 0640: truncates the file in place, and then writes it.
///
/// A reader in between finds it empty, and a kill in between leaves it so.
pub fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(path)?;
    file.write_all(bytes)
}

/// `ioutil.ReadDir`, of which only the names are used: sorted.
pub fn read_names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}

/// `os.RemoveAll`: each entry in the folder's own order, and what is gone already is no error.
///
/// Goes on after an error, and reports the first. What others put into a folder after it was read makes the removal of
/// the folder fail.
pub fn remove_all(path: &Path) -> io::Result<()> {
    if matches!(gone(remove(path)), Ok(())) {
        return Ok(());
    }
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let mut first_error = Ok(());
    for entry in entries {
        first_error = first_error.and(entry.and_then(|entry| remove_all(&entry.path())));
    }
    match gone(remove(path)) {
        Ok(()) => Ok(()),
        Err(error) => first_error.and(Err(error)),
    }
}

/// `os.Remove`: a file, or else an empty folder.
fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path).or_else(|error| match fs::remove_dir(path) {
        Err(other) if other.kind() == ErrorKind::NotADirectory => Err(error),
        result => result,
    })
}

/// `os.Remove` of a file that may be gone already.
pub fn remove_if_there(path: &Path) -> io::Result<()> {
    gone(remove(path))
}

/// What is not there need not be removed.
fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// An exclusive flock on a lock file; let go when it is dropped, also by a panic, as Go's deferred calls do.
#[derive(Debug)]
pub struct FileLock(File);

impl FileLock {
    /// Makes the folder and the lock file where they are missing, and waits for the lock.
    ///
    /// Whether the file is still there once the lock is had, it does not ask.
    pub fn take(folder: &Path, name: &str) -> Result<Self, Failure> {
        mkdir_all(folder).map_err(Failure::io("error creating container root directory", folder))?;
        Self::take_at(folder.join(name))
    }

    /// Makes the lock file where it is missing, and waits for the lock. That the folder is there is taken for granted.
    pub fn take_at(path: PathBuf) -> Result<Self, Failure> {
        Self::wait_for(&path).map_err(Failure::io("error acquiring lock on container lock file", path))
    }

    fn wait_for(path: &Path) -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))?;
        Ok(Self(file))
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // The file is closed next, which lets go of it in any case.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}
