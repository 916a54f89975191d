//! The register of temporary folders: one small file for each, in the user's folder for state
//! (`$XDG_STATE_HOME/flockwork/roots`, or `~/.local/state/flockwork/roots`), with the folder's path in it.
//!
//! A run may keep its containers anywhere (`--root`). When it is killed, the next one looks there too, though nobody told
//! it to. Without such a place nothing is registered, and everything else works as well.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The longest path there is.
const PATH_BYTES_MAX: u64 = 4096;

/// An entry of this process; gone when dropped.
#[derive(Debug)]
pub(super) struct Entry(PathBuf);

impl Entry {
    /// Registers a folder; `None` where that cannot be done.
    pub fn write(folder: &Path) -> Option<Self> {
        let place = place()?;
        DirBuilder::new().recursive(true).mode(0o700).create(&place).ok()?;
        let entry = Self(place.join(folder.file_name()?));
        let path = std::path::absolute(folder).ok()?;
        fs::write(&entry.0, path.as_os_str().as_bytes()).ok()?;
        Some(entry)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        forget(&self.0);
    }
}

/// Every entry, and the folder that it names: one of the same name, or none, as of an entry that was not written to its end.
pub(super) fn entries() -> Vec<(PathBuf, Option<PathBuf>)> {
    let listed = place().and_then(|place| fs::read_dir(place).ok());
    let read = |entry: &Path| {
        let is_small =
            entry.symlink_metadata().is_ok_and(|file| file.is_file() && file.len() <= PATH_BYTES_MAX);
        let folder = PathBuf::from(OsString::from_vec(is_small.then(|| fs::read(entry).ok())??));
        (folder.is_absolute() && folder.file_name() == entry.file_name()).then_some(folder)
    };
    let entries = listed.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    entries.map(|entry| (entry.clone(), read(&entry))).collect()
}

/// Removes an entry.
pub(super) fn forget(entry: &Path) {
    // One that stays costs the next start a look at a folder that is gone.
    _ = fs::remove_file(entry);
}

fn place() -> Option<PathBuf> {
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let state = env::var_os("XDG_STATE_HOME").and_then(absolute);
    let state = state.or_else(|| Some(env::var_os("HOME").and_then(absolute)?.join(".local/state")))?;
    Some(state.join("flockwork/roots"))
}
