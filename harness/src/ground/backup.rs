//! Backups of folders that are worked on in place: put back whatever happens, by a later start where this one is killed.
//!
//! A backup lies where the user's programs keep their state, under the marker of its run. It counts from the moment at which
//! its list of folders is there, which is written last and as a whole.

use std::fs;
use std::path::{Path, PathBuf};

use super::GroundError;
use super::copy::{copied_bytes, copy};
use super::folder::put_back_from;
use crate::process::Marker;

/// The list of folders.
const LIST: &str = "folders.json";

/// A backup. Dropped, it puts everything back.
#[derive(Debug)]
pub struct Backup {
    /// None once all is put back.
    entry: Option<PathBuf>,
}

impl Backup {
    /// Backs these folders up, but for what is left out of them.
    pub fn take(folders: &[PathBuf], leaves_out: &dyn Fn(&Path) -> bool) -> Result<Self, GroundError> {
        let entry = home().join(Marker::next().to_string());
        fs::create_dir_all(&entry).map_err(GroundError::io(&entry, "it cannot be made"))?;
        let backup = Self { entry: Some(entry.clone()) };
        for (number, folder) in folders.iter().enumerate() {
            copied_bytes(folder, leaves_out)?;
            let kept = entry.join(number.to_string());
            fs::create_dir(&kept).map_err(GroundError::io(&kept, "it cannot be made"))?;
            copy(folder, &kept, leaves_out)?;
        }
        let list = serde_json::to_vec(folders).expect("paths in UTF-8, as was checked");
        let (fresh, path) = (entry.join("list.tmp"), entry.join(LIST));
        fs::write(&fresh, list)
            .and_then(|()| fs::rename(&fresh, &path))
            .map_err(GroundError::io(&path, "it cannot be written"))?;
        Ok(backup)
    }

    /// Puts everything back, and says what went wrong.
    pub fn put_back(mut self) -> Result<(), GroundError> {
        self.entry.take().map_or(Ok(()), |entry| restore(&entry).map(drop))
    }
}

impl Drop for Backup {
    fn drop(&mut self) {
        // Where it cannot be put back, the backup stays, and the next start tries again and tells.
        self.entry.take().map(|entry| restore(&entry));
    }
}

/// A folder that a run had worked on in place when it was killed, and what became of it.
#[derive(Debug)]
pub struct Restored {
    /// The user's folders that hold again what they held before the run.
    pub folders: Vec<PathBuf>,
    /// Why they could not be put back, where they could not.
    pub error: Option<GroundError>,
}

/// Puts back what runs left that were killed.
#[must_use]
pub fn restore_left() -> Vec<Restored> {
    let Ok(entries) = fs::read_dir(home()) else { return Vec::new() };
    let is_orphaned = |name: &str| name.parse::<Marker>().is_ok_and(|marker| !marker.owner_alive());
    let orphaned = entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_orphaned));
    orphaned
        .filter_map(|entry| {
            let folders = listed(&entry.path()).unwrap_or_default();
            match restore(&entry.path()) {
                Ok(folders) if folders.is_empty() => None,
                Ok(folders) => Some(Restored { folders, error: None }),
                Err(error) => Some(Restored { folders, error: Some(error) }),
            }
        })
        .collect()
}

fn listed(entry: &Path) -> Option<Vec<PathBuf>> {
    serde_json::from_slice(&fs::read(entry.join(LIST)).ok()?).ok()
}

/// Puts back what an entry lists, and removes it. One without a list was never worked on.
fn restore(entry: &Path) -> Result<Vec<PathBuf>, GroundError> {
    let folders = listed(entry).unwrap_or_default();
    for (number, folder) in folders.iter().enumerate() {
        put_back_from(folder, &entry.join(number.to_string()))?;
    }
    flockwork::tree::remove_path(entry).map_err(GroundError::io(entry, "it cannot be removed"))?;
    Ok(folders)
}

/// Where backups lie.
fn home() -> PathBuf {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    state.unwrap_or_else(std::env::temp_dir).join("flockwork").join("in-place")
}
