//! Temporary folders of runs, and the clearing of those whose owner has died.
//!
//! A folder's name says whose it is: `flockwork-<pid>-<start ticks>-<pid namespace>-<random>`. Only a folder of this
//! user, of this pid namespace, whose process no longer lives, may ever be removed.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::TempDir;

use super::machine::{Filesystem, pid_namespace, process_start_ticks};

const SHARED_MEMORY: &str = "/dev/shm";
/// A thousand containers with a payload of 64 KiB, and room to breathe.
const ROOM_BYTES_MIN: u64 = 256 << 20;

/// A temporary folder of this process; gone when dropped.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
}

impl Scratch {
    /// Makes a fresh folder below `base`, and in it an empty root for containers.
    pub fn create(base: &Path) -> io::Result<Self> {
        let pid = std::process::id();
        let start = process_start_ticks(pid).unwrap_or(0);
        // Of one length always: subjects save paths, and with the size of a file it can change in how many calls it is
        // read, so that a schedule of one process would not fit the next.
        let prefix = format!("flockwork-{pid:010}-{start:014}-{}-", pid_namespace());
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(base)?;
        fs::create_dir(folder.path().join("root"))?;
        Ok(Self { folder })
    }

    /// Where the containers of the run live.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Removes it, and says what went wrong.
    pub fn remove(self) -> io::Result<()> {
        self.folder.close()
    }
}

/// Where temporary folders lie unless the user says otherwise: in memory where there is room, else the usual place.
#[must_use]
pub fn default_base() -> PathBuf {
    let shared = Path::new(SHARED_MEMORY);
    match Filesystem::of(shared) {
        Ok(filesystem)
            if filesystem.kind == "tmpfs"
                && filesystem.free_bytes >= ROOM_BYTES_MIN
                && tempfile::tempfile_in(shared).is_ok() =>
        {
            shared.to_owned()
        }
        _ => std::env::temp_dir(),
    }
}

/// Every place where an earlier run may have left something without having been told to use it.
#[must_use]
pub fn usual_bases() -> Vec<PathBuf> {
    let mut bases = vec![PathBuf::from(SHARED_MEMORY), std::env::temp_dir()];
    bases.dedup();
    bases
}

/// A folder that an earlier run had left, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leftover {
    /// The folder.
    pub path: PathBuf,
    /// The process that had made it.
    pub owner_pid: u32,
    /// Why it could not be removed, where it could not.
    pub error: Option<String>,
}

/// Removes the folders below `base` whose owners have died. Processes that could still write there are to be killed
/// first: see [`crate::process::sweep`].
#[must_use]
pub fn clear_leftovers(base: &Path) -> Vec<Leftover> {
    let Ok(entries) = fs::read_dir(base) else { return Vec::new() };
    let me = rustix::process::getuid().as_raw();
    let mut leftovers = Vec::new();
    for entry in entries.flatten() {
        let Some(owner) = entry.file_name().to_str().and_then(Owner::of) else { continue };
        // The entry's own metadata: a symlink is nobody's folder.
        let is_mine = entry.metadata().is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == me);
        if is_mine && owner.is_dead() {
            let error = fs::remove_dir_all(entry.path()).err().map(|error| error.to_string());
            leftovers.push(Leftover { path: entry.path(), owner_pid: owner.pid, error });
        }
    }
    leftovers
}

/// Who made a folder, as its name says.
#[derive(Debug, PartialEq, Eq)]
struct Owner {
    pid: u32,
    start_ticks: u64,
    namespace: u64,
}

impl Owner {
    fn of(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix("flockwork-")?.splitn(4, '-');
        let mut number = || parts.next()?.parse::<u64>().ok();
        let (pid, start_ticks, namespace) = (number()?, number()?, number()?);
        parts.next()?;
        Some(Self { pid: u32::try_from(pid).ok()?, start_ticks, namespace })
    }

    fn is_dead(&self) -> bool {
        self.namespace == pid_namespace() && process_start_ticks(self.pid) != Some(self.start_ticks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_dead_owners_go() {
        let base = tempfile::tempdir().unwrap();
        let alive = Scratch::create(base.path()).unwrap();
        let here = pid_namespace();
        let pid = std::process::id();
        let names = [
            (format!("flockwork-{pid}-1-{here}-reused"), true),
            (format!("flockwork-42949672960-1-{here}-nobody"), false),
            (format!("flockwork-4000000-1-{here}-dead"), true),
            (format!("flockwork-4000000-1-{}-elsewhere", here + 1), false),
            (format!("flockwork-4000000-1-{here}"), false),
            ("flockwork-notes".to_owned(), false),
        ];
        for (name, _) in &names {
            fs::create_dir_all(base.path().join(name).join("root/c1")).unwrap();
        }
        std::os::unix::fs::symlink(".", base.path().join(format!("flockwork-4000000-1-{here}-link")))
            .unwrap();
        let cleared = clear_leftovers(base.path());
        assert_eq!(cleared.len(), 2, "{cleared:?}");
        for (name, goes) in &names {
            assert_eq!(base.path().join(name).exists(), !goes, "{name}");
        }
        assert!(alive.root().is_dir());
        alive.remove().unwrap();
    }
}
