//! Places: which file a path or a descriptor of a controlled process is about, and the objects that it stands for.
//!
//! Inodes are named by the path under which they were first met in an execution, so that a name is the same in every
//! execution that began with the same steps. What lies outside the folder of the exploration is nobody's concern.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, openat, statat};

use super::call::{At, LockKind, Range};
use super::inmate::Inmate;
use crate::engine::explore::step::{Access, Object};

/// How many symbolic links a path may lead through.
const LINKS_MAX: u32 = 8;

/// Names the permissions of all files, which decide together what can be reached.
pub(super) const ATTRIBUTES: &str = "attributes";

/// An inode: device and number.
pub(super) type Inode = (u64, u64);

/// A file that a process has open, or a path that leads to one.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub inode: Inode,
    pub name: Object,
    /// Relative to the exploration's folder.
    pub shown: String,
    pub is_folder: bool,
}

impl File {
    /// What is in it.
    pub fn content(&self) -> Object {
        Object::named(&("content", self.name))
    }

    /// How many names it has, and whether it still has any.
    pub fn links(&self) -> Object {
        Object::named(&("links", self.name))
    }

    /// Which entries it has, where it is a folder.
    pub fn list(&self) -> Object {
        Object::named(&("list", self.name))
    }

    /// One of its entries, where it is a folder.
    pub fn entry(&self, name: &str) -> Object {
        Object::named(&("entry", self.name, name))
    }

    /// One of its locks.
    pub fn lock(&self, kind: LockKind, range: Range) -> Object {
        // Both kinds of fcntl lock exclude each other; flock knows nothing of them.
        match kind {
            LockKind::Flock => Object::named(&("lock", self.name, true)),
            LockKind::Ofd | LockKind::Posix => {
                Object::named(&("lock", self.name, false, range.start, range.end))
            }
        }
    }
}

/// Where a path leads.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// What was looked at on the way, the last entry included.
    pub way: Vec<(Object, Access)>,
    /// The folder of the last entry; none where the way does not lead that far.
    pub folder: Option<File>,
    /// The last entry's name.
    pub name: String,
    /// What is there.
    pub file: Option<File>,
    /// Relative to the exploration's folder.
    pub shown: String,
}

/// A path that is being walked.
struct Walk {
    base: Arc<OwnedFd>,
    root: File,
    /// Where it is.
    folder: File,
    /// The same, from `base`.
    path: String,
    way: Vec<(Object, Access)>,
    ahead: VecDeque<String>,
}

impl Walk {
    /// It leads to an entry of a folder.
    fn arrived(self, name: String, file: Option<File>, shown: String) -> Place {
        Place { way: self.way, folder: Some(self.folder), name, file, shown }
    }

    /// It leads nowhere, or out of what concerns the exploration.
    fn lost(self, name: &str) -> Place {
        let shown = join(&self.folder.shown, name);
        Place { way: self.way, folder: None, name: name.to_owned(), file: None, shown }
    }

    /// It ends where it is.
    fn stayed(self) -> Place {
        let shown = self.folder.shown.clone();
        Place { way: self.way, folder: None, name: String::new(), file: Some(self.folder), shown }
    }
}

/// The entries that a path goes through.
fn parts(path: &str) -> VecDeque<String> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
}

/// What paths and descriptors mean, in one execution.
#[derive(Debug)]
pub(super) struct Places {
    arena: PathBuf,
    images: PathBuf,
    root: Arc<OwnedFd>,
    root_inode: Inode,
    names: HashMap<Inode, Object>,
    /// How many inodes were met under each path.
    met: HashMap<String, u32>,
    /// What descriptors are, by process and number; outside files are none.
    open: HashMap<(usize, i32), Option<File>>,
    /// Processes that copied a descriptor.
    copied: HashSet<usize>,
    /// Inodes that lost a name in this execution.
    kept: HashMap<Inode, OwnedFd>,
    /// The processes' pids, as text.
    pids: Vec<String>,
}

impl Places {
    pub fn new(root: &Path) -> io::Result<Self> {
        let arena = root.canonicalize()?;
        let descriptor = openat(
            rustix::fs::CWD,
            &arena,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let stat = rustix::fs::fstat(&descriptor)?;
        let mut images = OsString::from(&arena);
        images.push(".images");
        Ok(Self {
            images: images.into(),
            arena,
            root: Arc::new(descriptor),
            root_inode: (stat.st_dev, stat.st_ino),
            names: HashMap::new(),
            met: HashMap::new(),
            open: HashMap::new(),
            copied: HashSet::new(),
            kept: HashMap::new(),
            pids: Vec::new(),
        })
    }

    /// The folder beside the exploration's in which subjects keep their images.
    pub fn images(&self) -> &Path {
        &self.images
    }

    /// A new execution begins: all names are given anew.
    pub fn begin(&mut self) {
        self.names.clear();
        self.met.clear();
        self.copied.clear();
        self.kept.clear();
        self.open.retain(|_, file| file.as_ref().is_some_and(|file| file.inode == self.root_inode));
    }

    /// What lies there is about to lose its name, and may be gone by that. As long as the execution lasts it keeps its
    /// inode's number: many filesystems give a free one to the next file, which would be taken for this one.
    pub fn keep(&mut self, place: &Place) {
        let Some(file) = place.file.as_ref().filter(|file| !self.kept.contains_key(&file.inode)) else {
            return;
        };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // What is gone already has nothing to keep.
        if let Ok(descriptor) = openat(self.root.as_fd(), place.shown.as_str(), flags, Mode::empty()) {
            self.kept.insert(file.inode, descriptor);
        }
    }

    /// A process closed a descriptor, or put something else in its place.
    pub fn forget(&mut self, process: usize, fd: i32) {
        self.open.remove(&(process, fd));
    }

    /// A process copied a descriptor: two of its numbers stand for one open file description.
    pub fn note_copy(&mut self, process: usize) {
        self.copied.insert(process);
    }

    /// Whether a process copied a descriptor.
    pub fn has_copies(&self, process: usize) -> bool {
        self.copied.contains(&process)
    }

    /// Nothing is known of a process's descriptors any more.
    pub fn forget_all(&mut self, process: usize) {
        self.open.retain(|(owner, _), _| *owner != process);
    }

    /// Which processes there are in this execution.
    pub fn know(&mut self, pids: &[Option<u32>]) {
        self.pids = pids.iter().map(|pid| pid.map(|pid| pid.to_string()).unwrap_or_default()).collect();
    }

    /// The same text with the processes' pids replaced by their numbers. Some put their pid into names of files; it is
    /// another in every life of a process, and names must be the same in every execution.
    pub fn without_pids<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for (process, pid) in self.pids.iter().enumerate().filter(|(_, pid)| !pid.is_empty()) {
            if let Some(at) = text.find(pid.as_str()) {
                let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
                let (before, behind) = (&text[..at], &text[at + pid.len()..]);
                if !is_digit(before.as_bytes().last()) && !is_digit(behind.as_bytes().first()) {
                    text = Cow::Owned(format!("{before}PID{}{behind}", process + 1));
                }
            }
        }
        text
    }

    fn give_name(&mut self, inode: Inode, shown: &str) -> Object {
        let alike = self.without_pids(shown).into_owned();
        let met = self.met.entry(alike.clone()).or_insert(0);
        *met += 1;
        let name = Object::named(&("inode", alike, *met));
        self.names.insert(inode, name);
        name
    }

    fn file(&mut self, stat: &Stat, shown: &str) -> File {
        let inode = (stat.st_dev, stat.st_ino);
        let name = self.names.get(&inode).copied().unwrap_or_else(|| self.give_name(inode, shown));
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        File { inode, name, shown: shown.to_owned(), is_folder }
    }

    /// The path as it is shown, where it lies within the exploration's folder or beside it among the images.
    fn inside(&self, path: &Path) -> Option<String> {
        if let Ok(relative) = path.strip_prefix(&self.arena) {
            return Some(relative.to_string_lossy().into_owned());
        }
        let relative = path.strip_prefix(&self.images).ok()?;
        Some(format!("~images/{}", relative.to_string_lossy()))
    }

    /// What a descriptor is about; `None` for what is no concern of the exploration.
    pub fn descriptor(&mut self, process: usize, inmate: &Inmate, fd: i32) -> Option<File> {
        if let Some(known) = self.open.get(&(process, fd)) {
            return known.clone();
        }
        let link = format!("/proc/{}/fd/{fd}", inmate.pid);
        let file = fs::read_link(&link).ok().and_then(|path| {
            let text = path.to_string_lossy();
            let path = Path::new(text.strip_suffix(" (deleted)").unwrap_or(&text));
            let shown = self.inside(path)?;
            let stat = statat(rustix::fs::CWD, link.as_str(), AtFlags::empty()).ok()?;
            Some(self.file(&stat, &shown))
        });
        self.open.insert((process, fd), file.clone());
        file
    }

    /// Where a path leads; `None` for what is no concern of the exploration.
    pub fn path(&mut self, process: usize, inmate: &Inmate, at: &At, follow: bool) -> Option<Place> {
        let (base, folder, rest) = self.start(process, inmate, at)?;
        let stat = rustix::fs::fstat(&self.root).ok()?;
        let root = self.file(&stat, "");
        let way = vec![(Object::named(&ATTRIBUTES), Access::Read)];
        let walk = Walk { base, root, folder, path: String::new(), way, ahead: parts(&rest) };
        self.walk(walk, follow).ok()
    }

    /// The walk that is left to do, entry by entry: links on the way are followed, and each entry that was looked at is
    /// part of the way.
    fn walk(&mut self, mut walk: Walk, follow: bool) -> io::Result<Place> {
        let mut links = 0;
        while let Some(name) = walk.ahead.pop_front() {
            if name == ".." && walk.folder.inode == self.root_inode {
                return Ok(walk.lost(&name));
            }
            let alike = self.without_pids(&name).into_owned();
            walk.way.push((walk.folder.entry(&alike), Access::Read));
            let path = join(&walk.path, &name);
            let shown = join(&walk.folder.shown, &name);
            let stat = statat(&walk.base, path.as_str(), AtFlags::SYMLINK_NOFOLLOW).ok();
            let is_last = walk.ahead.is_empty();
            let is_link = stat.is_some_and(|stat| {
                FileType::from_raw_mode(stat.st_mode) == FileType::Symlink && (follow || !is_last)
            });
            if is_link {
                links += 1;
                if links > LINKS_MAX || !self.step_through(&mut walk, &path)? {
                    return Ok(walk.lost(&name));
                }
                continue;
            }
            let file = stat.map(|stat| self.file(&stat, &shown));
            match file {
                file if is_last => return Ok(walk.arrived(alike, file, shown)),
                Some(folder) => (walk.folder, walk.path) = (folder, path),
                None => return Ok(walk.lost(&name)),
            }
        }
        Ok(walk.stayed())
    }

    /// Goes on behind a symbolic link; `false` where it leads out of what concerns the exploration.
    fn step_through(&self, walk: &mut Walk, path: &str) -> io::Result<bool> {
        let target = rustix::fs::readlinkat(&walk.base, path, Vec::new())?;
        let target = target.to_string_lossy();
        let inside = if target.starts_with('/') {
            let Some(shown) = self.inside(Path::new(&*target)) else { return Ok(false) };
            walk.base = Arc::clone(&self.root);
            walk.path.clear();
            walk.folder = walk.root.clone();
            shown
        } else {
            target.into_owned()
        };
        let mut ahead = parts(&inside);
        ahead.append(&mut walk.ahead);
        walk.ahead = ahead;
        Ok(true)
    }

    /// From where a path starts: a descriptor to look from, the folder it is, and the rest of the path.
    fn start(&mut self, process: usize, inmate: &Inmate, at: &At) -> Option<(Arc<OwnedFd>, File, String)> {
        let is_absolute = at.path.starts_with('/');
        if !is_absolute && at.folder != libc::AT_FDCWD {
            let folder = self.descriptor(process, inmate, at.folder)?;
            let base = if folder.inode == self.root_inode {
                Arc::clone(&self.root)
            } else {
                open_folder(Path::new(&format!("/proc/{}/fd/{}", inmate.pid, at.folder)))?
            };
            return Some((base, folder, at.path.clone()));
        }
        let path = if is_absolute {
            PathBuf::from(&at.path)
        } else {
            fs::read_link(format!("/proc/{}/cwd", inmate.pid)).ok()?.join(&at.path)
        };
        let shown = self.inside(&path)?;
        if let Some(image) = shown.strip_prefix("~images/") {
            // Images are made as they are needed, the folder too.
            let base = open_folder(self.images.parent()?)?;
            let stat = rustix::fs::fstat(&base).ok()?;
            let beside = self.file(&stat, "..");
            let name = self.images.file_name()?.to_string_lossy().into_owned();
            return Some((base, beside, join(&name, image)));
        }
        let stat = rustix::fs::fstat(&self.root).ok()?;
        let root = self.file(&stat, "");
        Some((Arc::clone(&self.root), root, shown))
    }
}

fn open_folder(path: &Path) -> Option<Arc<OwnedFd>> {
    openat(rustix::fs::CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok().map(Arc::new)
}

fn join(folder: &str, name: &str) -> String {
    match (folder.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (_, true) => folder.to_owned(),
        _ => format!("{folder}/{name}"),
    }
}
