//! Folders on disk as a ground: a copy that stays as it was, and one that executions work on.
//!
//! What an execution touched is found by what the kernel says of each entry (inode, size, mode, time of change). A time of
//! change counts only where it is clearly older than the look at it: the kernel's clock for files has coarse ticks, and two
//! changes of one tick cannot be told apart by it.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::{self, Metadata, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use flockwork::tree::remove_path;
use nix::unistd::{AccessFlags, eaccess};

use super::capture::{Body, Capture, Entry, Kind};
use super::copy::{copy, dress};
use super::{Ground, GroundError};

/// How much older than the look at it a time of change must be to be believed, in nanoseconds: a few of the longest ticks.
const CLEARLY_OLDER_NS: i128 = 50_000_000;

/// Several folders, each with a copy in which it stays as it was.
#[derive(Debug)]
pub struct Folders {
    folders: Vec<Folder>,
}

impl Folders {
    /// These folders: each is `(what executions work on, where its copy is kept)`. Neither copy exists yet.
    pub fn new(folders: impl IntoIterator<Item = (PathBuf, PathBuf)>) -> Self {
        let folder = |(work, kept)| Folder { work, kept, seen: HashMap::new(), as_was: Capture::default() };
        Self { folders: folders.into_iter().map(folder).collect() }
    }
}

impl Ground for Folders {
    fn settle(&mut self) -> Result<(), GroundError> {
        self.folders.iter_mut().try_for_each(Folder::settle)
    }

    fn put_back(&mut self) -> Result<(), GroundError> {
        self.folders.iter_mut().try_for_each(Folder::put_back)
    }

    fn capture(&mut self) -> Result<Vec<Capture>, GroundError> {
        self.folders.iter_mut().map(Folder::capture).collect()
    }
}

/// Puts a folder back to what its copy holds.
pub(crate) fn put_back_from(work: &Path, kept: &Path) -> Result<(), GroundError> {
    let mut look = Look::new(HashMap::new());
    look.walk(kept, Path::new(""))?;
    let (work, kept) = (work.to_owned(), kept.to_owned());
    Folder { work, kept, seen: HashMap::new(), as_was: look.capture }.put_back()
}

/// What the kernel said of an entry, and when it was asked.
#[derive(Clone, Debug)]
struct Seen {
    stamp: Stamp,
    /// Whether the stamp alone proves that nothing has changed.
    is_proof: bool,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    size: u64,
    mode: u32,
    owner: (u32, u32),
    links: u64,
    changed_ns: i128,
}

impl Stamp {
    fn of(about: &Metadata) -> Self {
        Self {
            inode: (about.dev(), about.ino()),
            size: about.len(),
            mode: about.mode(),
            owner: (about.uid(), about.gid()),
            links: about.nlink(),
            changed_ns: i128::from(about.ctime()) * 1_000_000_000 + i128::from(about.ctime_nsec()),
        }
    }
}

#[derive(Debug)]
struct Folder {
    work: PathBuf,
    kept: PathBuf,
    /// What was seen of each entry the last time, by its path within the folder.
    seen: HashMap<PathBuf, Seen>,
    as_was: Capture,
}

impl Folder {
    fn settle(&mut self) -> Result<(), GroundError> {
        remove_path(&self.kept).map_err(GroundError::io(&self.kept, "it cannot be removed"))?;
        fs::create_dir_all(&self.kept).map_err(GroundError::io(&self.kept, "it cannot be made"))?;
        copy(&self.work, &self.kept, &|_| false)?;
        self.seen.clear();
        self.as_was = self.capture()?;
        Ok(())
    }

    fn capture(&mut self) -> Result<Capture, GroundError> {
        let mut look = Look::new(std::mem::take(&mut self.seen));
        look.walk(&self.work, Path::new(""))?;
        self.seen = look.seen;
        Ok(look.capture)
    }

    fn put_back(&mut self) -> Result<(), GroundError> {
        let mut now = self.capture()?;
        if now == self.as_was {
            return Ok(());
        }
        // What lies in a folder that was closed to us is seen only once it is open.
        while self.open_up(&now)? {
            now = self.capture()?;
        }
        // Linked files are written through all their names: they are put back together, or not at all.
        let differs = |path: &str| now.entries.get(path) != self.as_was.entries.get(path);
        let mut stale: Vec<&String> =
            now.entries.keys().filter(|path| !path.is_empty() && differs(path)).collect();
        let linked: Vec<&String> = stale
            .iter()
            .filter_map(|path| now.entries[*path].same_as.as_ref())
            .flat_map(|first| {
                now.entries.iter().filter(move |(_, entry)| entry.same_as.as_ref() == Some(first))
            })
            .map(|(path, _)| path)
            .collect();
        stale.extend(linked);
        // A folder that stays one keeps its entries; whatever else differs goes, the deepest first.
        stale.sort_unstable();
        stale.dedup();
        for path in stale.iter().rev() {
            let stays = is_folder(path, &now) && is_folder(path, &self.as_was);
            if !stays {
                self.remove(path)?;
            }
        }
        self.fill()
    }

    /// Lets us change what lies in folders whose mode forbids that to us, their owner; whether there were any. They get their
    /// modes back when the folder is filled.
    fn open_up(&self, now: &Capture) -> Result<bool, GroundError> {
        let all = AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK;
        let mut is_any = false;
        for (path, entry) in &now.entries {
            let path = self.work.join(path);
            if entry.kind != Kind::Folder || entry.mode & 0o700 == 0o700 || eaccess(&path, all).is_ok() {
                continue;
            }
            let open = Permissions::from_mode(entry.mode | 0o700);
            fs::set_permissions(&path, open).map_err(GroundError::io(&path, "it cannot be put back"))?;
            is_any = true;
        }
        Ok(is_any)
    }

    fn remove(&self, path: &str) -> Result<(), GroundError> {
        let path = self.work.join(path);
        remove_path(&path).map_err(GroundError::io(&path, "it cannot be put back"))
    }

    /// Copies what is missing from the folder as it was, and gives folders their modes again.
    fn fill(&self) -> Result<(), GroundError> {
        let mut folders = vec![PathBuf::new()];
        let mut linked: BTreeMap<(u64, u64), PathBuf> = BTreeMap::new();
        while let Some(at) = folders.pop() {
            let (kept, work) = (self.kept.join(&at), self.work.join(&at));
            for entry in fs::read_dir(&kept).map_err(GroundError::io(&kept, "it cannot be listed"))? {
                let name = entry.map_err(GroundError::io(&kept, "it cannot be listed"))?.file_name();
                let (kept, work) = (kept.join(&name), work.join(&name));
                let about = fs::symlink_metadata(&kept).map_err(GroundError::io(&kept, "it is gone"))?;
                let is_there = fs::symlink_metadata(&work).is_ok();
                if about.is_dir() {
                    if !is_there {
                        fs::create_dir(&work).map_err(GroundError::io(&work, "it cannot be put back"))?;
                    }
                    folders.push(at.join(&name));
                    continue;
                }
                if is_there {
                    if about.nlink() > 1 {
                        linked.entry((about.dev(), about.ino())).or_insert(work);
                    }
                    continue;
                }
                if about.is_symlink() {
                    let points_to =
                        fs::read_link(&kept).map_err(GroundError::io(&kept, "it cannot be read"))?;
                    symlink(points_to, &work).map_err(GroundError::io(&work, "it cannot be put back"))?;
                } else if let Some(first) = linked.get(&(about.dev(), about.ino())) {
                    fs::hard_link(first, &work).map_err(GroundError::io(&work, "it cannot be put back"))?;
                    continue;
                } else {
                    fs::copy(&kept, &work).map_err(GroundError::io(&work, "it cannot be put back"))?;
                    if about.nlink() > 1 {
                        linked.insert((about.dev(), about.ino()), work.clone());
                    }
                }
                dress(&work, &about)?;
            }
            let about = fs::metadata(&kept).map_err(GroundError::io(&kept, "it is gone"))?;
            let now = fs::metadata(&work).map_err(GroundError::io(&work, "it is gone"))?;
            if (now.mode(), now.uid(), now.gid()) != (about.mode(), about.uid(), about.gid()) {
                dress(&work, &about)?;
            }
        }
        Ok(())
    }
}

fn is_folder(path: &str, capture: &Capture) -> bool {
    capture.entries.get(path).is_some_and(|entry| entry.kind == Kind::Folder)
}

/// One walk through a folder.
struct Look {
    before: HashMap<PathBuf, Seen>,
    seen: HashMap<PathBuf, Seen>,
    capture: Capture,
    /// The first path of each file with several names.
    linked: HashMap<(u64, u64), String>,
}

impl Look {
    fn new(before: HashMap<PathBuf, Seen>) -> Self {
        Self { before, seen: HashMap::new(), capture: Capture::default(), linked: HashMap::new() }
    }

    fn walk(&mut self, root: &Path, at: &Path) -> Result<(), GroundError> {
        let path = if at.as_os_str().is_empty() { root.to_owned() } else { root.join(at) };
        let about = match fs::symlink_metadata(&path) {
            Ok(about) => about,
            // It lies in a folder that can be listed, and not entered.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(()),
            Err(error) => return Err(GroundError::io(&path, "it cannot be looked at")(error)),
        };
        self.note(&path, at, &about)?;
        if !about.is_dir() {
            return Ok(());
        }
        let listing = match fs::read_dir(&path) {
            Ok(listing) => listing,
            // A folder that its commands have closed to everybody is what it is.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(()),
            Err(error) => return Err(GroundError::io(&path, "it cannot be listed")(error)),
        };
        let names: Result<Vec<OsString>, _> =
            listing.map(|entry| entry.map(|entry| entry.file_name())).collect();
        let mut names = names.map_err(GroundError::io(&path, "it cannot be listed"))?;
        names.sort_unstable();
        for name in names {
            self.walk(root, &at.join(name))?;
        }
        Ok(())
    }

    fn note(&mut self, path: &Path, at: &Path, about: &Metadata) -> Result<(), GroundError> {
        let stamp = Stamp::of(about);
        let known = self.before.remove(at).filter(|seen| seen.is_proof && seen.stamp == stamp);
        let kind = match known {
            Some(seen) => seen.kind,
            None => kind_of(path, at, about)?,
        };
        let shown = at.to_string_lossy().into_owned();
        let is_link = matches!(kind, Kind::Link(_));
        let mode = if is_link { 0 } else { about.mode() & 0o7777 };
        let has_names = about.is_file() && about.nlink() > 1;
        let same_as =
            has_names.then(|| self.linked.entry(stamp.inode).or_insert_with(|| shown.clone()).clone());
        self.capture.entries.insert(shown, Entry { kind: kind.clone(), mode, same_as });
        let is_proof = now_ns() - stamp.changed_ns > CLEARLY_OLDER_NS;
        self.seen.insert(at.to_owned(), Seen { stamp, is_proof, kind });
        Ok(())
    }
}

fn now_ns() -> i128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos().cast_signed())
}

/// Files longer than this are not read, if only because most of such a one is holes.
const FILE_BYTES_MAX: u64 = 4 << 30;

/// Reads a file, also one that its owner, who we are, has closed to itself.
fn read(path: &Path, about: &Metadata) -> std::io::Result<Body> {
    match Body::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let mode = about.mode() & 0o7777;
            fs::set_permissions(path, Permissions::from_mode(mode | 0o400))?;
            let body = Body::read(path);
            fs::set_permissions(path, Permissions::from_mode(mode))?;
            body
        }
        result => result,
    }
}

fn kind_of(path: &Path, at: &Path, about: &Metadata) -> Result<Kind, GroundError> {
    let kind = about.file_type();
    Ok(match () {
        () if kind.is_dir() => Kind::Folder,
        () if kind.is_symlink() => {
            let points_to = fs::read_link(path).map_err(GroundError::io(path, "it cannot be read"))?;
            Kind::Link(points_to.to_string_lossy().into_owned())
        }
        () if kind.is_file() => {
            if about.len() > FILE_BYTES_MAX {
                return Err(GroundError::TooLong { path: at.to_owned(), bytes: about.len() });
            }
            Kind::File(read(path, about).map_err(GroundError::io(path, "it cannot be read"))?)
        }
        () if kind.is_fifo() => Kind::Fifo,
        () if kind.is_socket() => Kind::Socket,
        () => Kind::Other,
    })
}
