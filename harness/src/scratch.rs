//! Temporary folders of runs, and the clearing of those whose owner has died.
//!
//! A folder's name says whose it is: `flockwork-<owner>-<random>`. Only a folder of this user whose owner has certainly
//! ended may ever be removed; of one of another pid namespace that cannot be known. A register tells where folders are
//! that do not lie in a usual place, so that whoever comes next finds them without being told to look there.

mod owner;
mod register;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use flockwork::ProcessIdentity;
use flockwork::tree::remove_path;
use serde::Serialize;

use self::register::Entry;
use crate::measure::machine::Filesystem;
use crate::runtimes::clean;

const SHARED_MEMORY: &str = "/dev/shm";
/// A thousand containers with a payload of 64 KiB, and room to breathe.
const ROOM_BYTES_MIN: u64 = 256 << 20;

/// A temporary folder of this process; gone when dropped.
#[derive(Debug)]
pub struct Scratch {
    /// There until it is removed.
    path: Option<PathBuf>,
    _entry: Option<Entry>,
}

impl Scratch {
    /// Makes a fresh folder below `base`, which nobody but this user can look into, and in it an empty root for
    /// containers.
    pub fn create(base: &Path) -> io::Result<Self> {
        let own = ProcessIdentity::own().ok_or_else(crate::process::procfs::no_view)?;
        let made = tempfile::Builder::new().prefix(&owner::prefix(own)).make_in(base, |path| {
            // Before there is a folder: whoever is killed in between leaves none that nobody finds.
            let entry = Entry::write(path);
            DirBuilder::new().mode(0o700).create(path).map(|()| entry)
        })?;
        // From here on it is removed by the drop.
        let (entry, folder) = made.keep().map_err(|error| error.error)?;
        let scratch = Self { path: Some(folder), _entry: entry };
        fs::create_dir(scratch.root())?;
        Ok(scratch)
    }

    fn path(&self) -> &Path {
        self.path.as_deref().expect("a folder is there until it is removed")
    }

    /// Where the containers of the run live.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.path().join("root")
    }

    /// Removes it, and says what went wrong.
    pub fn remove(mut self) -> io::Result<()> {
        self.path.take().map_or(Ok(()), |path| {
            end_containers(&path);
            remove_path(&path)
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            end_containers(&path);
            // What stays is cleared by the next start.
            _ = remove_path(&path);
        }
    }
}

/// Ends and removes what containers that were made in a folder left on the machine, so that nothing writes there any more.
fn end_containers(path: &Path) {
    if clean::has_sign(path)
        && let Some(ground) = path.file_name().and_then(|name| name.to_str())
    {
        // What stays is seen by the removal that follows, or by the next start.
        _ = clean::away(ground, None);
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
    /// The temporary folder that a dead run left.
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
    entries.flatten().filter_map(|entry| clear(&entry.path())).collect()
}

/// The same, wherever the register says that folders are.
#[must_use]
pub fn clear_registered() -> Vec<Leftover> {
    let mut leftovers = Vec::new();
    for (entry, path) in register::entries() {
        // Where its owner was killed as it wrote the entry there is no folder yet.
        let path = path.unwrap_or_else(|| entry.clone());
        if owner::of_path(&path).is_some_and(|owner| !owner.is_alive()) {
            let leftover = clear(&path);
            if leftover.as_ref().is_none_or(|leftover| leftover.error.is_none()) {
                register::forget(&entry);
            }
            leftovers.extend(leftover);
        }
    }
    leftovers
}

/// Removes a folder if it is one of ours, of this user, and its owner has died.
fn clear(path: &Path) -> Option<Leftover> {
    let owner = owner::of_path(path)?;
    // The entry's own metadata: a symlink is nobody's folder.
    let metadata = fs::symlink_metadata(path).ok()?;
    let is_mine = metadata.is_dir() && metadata.uid() == rustix::process::getuid().as_raw();
    if !is_mine || owner.is_alive() {
        return None;
    }
    end_containers(path);
    let error = remove_path(path).err().map(|error| error.to_string());
    Some(Leftover { path: path.to_owned(), owner_pid: owner.pid, error })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn named(owner: ProcessIdentity, random: &str) -> String {
        format!("{}{random}", owner::prefix(owner))
    }

    #[test]
    fn only_folders_of_dead_owners_go() {
        let base = tempfile::tempdir().unwrap();
        let alive = Scratch::create(base.path()).unwrap();
        let own = ProcessIdentity::own().unwrap();
        let view = own.view.unwrap();
        let mut later = own;
        later.start_time += 1;
        let mut nobody = own;
        nobody.pid = 4_000_000;
        let mut elsewhere = nobody;
        elsewhere.view.as_mut().unwrap().pid_namespace = view.pid_namespace + 1;
        let mut rebooted = own;
        rebooted.view.as_mut().unwrap().boot ^= 1;
        // Nobody can tell who it is: its time is another, and no inode says.
        let mut other_time = own;
        other_time.view.as_mut().unwrap().time_namespace += 1;
        other_time.inode = None;
        let names = [
            (named(later, "reused"), true),
            (named(nobody, "dead"), true),
            (named(rebooted, "rebooted"), true),
            (named(elsewhere, "elsewhere"), false),
            (named(other_time, "time"), false),
            (named(own, "alive"), false),
            (named(nobody, "").trim_end_matches('-').to_owned(), false),
            ("flockwork-notes".to_owned(), false),
            ("flockwork-4000000-1-2-old".to_owned(), false),
        ];
        for (name, _) in &names {
            fs::create_dir_all(base.path().join(name).join("root/c1")).unwrap();
        }
        symlink(".", base.path().join(named(nobody, "link"))).unwrap();
        let cleared = clear_leftovers(base.path());
        assert_eq!(cleared.len(), 3, "{cleared:?}");
        for (name, goes) in &names {
            assert_eq!(base.path().join(name).exists(), !goes, "{name}");
        }
        assert!(alive.root().is_dir());
        alive.remove().unwrap();
    }

    /// Who is killed between the two leaves an entry without a folder, and never a folder without an entry.
    #[test]
    fn an_entry_is_there_before_its_folder_and_goes_with_a_dead_owner() {
        let base = tempfile::tempdir().unwrap();
        let _one = Scratch::create(base.path()).unwrap();
        let Some((entry, _)) = register::entries().into_iter().find(|(_, path)| path.is_some()) else {
            // Nothing is registered where there is no place for it.
            return;
        };
        let mut nobody = ProcessIdentity::own().unwrap();
        nobody.pid = 4_000_000;
        for content in ["", "/half/of/a/pa"] {
            let unfinished = entry.with_file_name(named(nobody, "unfinished"));
            fs::write(&unfinished, content).unwrap();
            drop(clear_registered());
            assert!(!unfinished.exists());
        }
        let missing = base.path().join("missing");
        assert!(Scratch::create(&missing).is_err());
        let is_there = |path: &Option<PathBuf>| path.as_ref().is_some_and(|path| path.starts_with(&missing));
        assert!(!register::entries().iter().any(|(_, path)| is_there(path)));
    }

    #[test]
    fn nobody_else_can_look_into_it() {
        let base = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(base.path()).unwrap();
        assert_eq!(fs::metadata(scratch.path()).unwrap().permissions().mode() & 0o777, 0o700);
        let path = scratch.path().to_owned();
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn what_lies_deeper_than_a_stack_is_removed() {
        let base = tempfile::tempdir_in(default_base()).unwrap();
        let scratch = Scratch::create(base.path()).unwrap();
        let mut at = fs::File::open(scratch.root()).unwrap();
        for _ in 0..10_000 {
            rustix::fs::mkdirat(&at, "d", rustix::fs::Mode::RWXU).unwrap();
            let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
            at = rustix::fs::openat(&at, "d", flags, rustix::fs::Mode::empty()).unwrap().into();
        }
        drop(at);
        scratch.remove().unwrap();
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
    }
}
