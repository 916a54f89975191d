//! Places: which file a path or a descriptor of a controlled process is about, and the objects that it stands for.
//!
//! Inodes are named by the path under which they were first met in an execution, so that a name is the same in every
//! execution that began with the same steps. What lies outside the folder of the exploration is nobody's concern.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};

use super::call::{At, LockKind};
use super::inmate::Inmate;
use crate::engine::explore::step::{Access, Object};

/// How many symbolic links a path may lead through.
const LINKS_MAX: u32 = 8;

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
    pub fn lock(&self, kind: LockKind) -> Object {
        // Both kinds of fcntl lock exclude each other; flock knows nothing of them.
        Object::named(&("lock", self.name, kind == LockKind::Flock))
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
    /// Not followed: a symbolic link lies there.
    pub is_link: bool,
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
        self.open.retain(|_, file| file.as_ref().is_some_and(|file| file.inode == self.root_inode));
    }

    /// A process closed a descriptor, or put something else in its place.
    pub fn forget(&mut self, process: usize, fd: i32) {
        self.open.remove(&(process, fd));
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
        self.walk(process, inmate, at, follow, 0)
    }

    fn walk(&mut self, process: usize, inmate: &Inmate, at: &At, follow: bool, links: u32) -> Option<Place> {
        let (base, origin, rest) = self.start(process, inmate, at)?;
        let mut steps: Vec<&str> = rest.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let last = steps.pop();
        let mut place = Place {
            way: Vec::new(),
            folder: None,
            name: self.without_pids(last.unwrap_or_default()).into_owned(),
            file: None,
            shown: join(&origin.shown, &rest),
            is_link: false,
        };
        let Some(last) = last else {
            place.file = Some(origin);
            return Some(place);
        };
        let mut folder = origin;
        let mut path = String::new();
        for step in steps {
            place.way.push((folder.entry(&self.without_pids(step)), Access::Read));
            path = join(&path, step);
            let Ok(stat) = statat(&base, path.as_str(), AtFlags::empty()) else { return Some(place) };
            folder = self.file(&stat, &join(&folder.shown, step));
        }
        place.way.push((folder.entry(&place.name), Access::Read));
        path = join(&path, last);
        let shown = join(&folder.shown, last);
        if let Ok(stat) = statat(&base, path.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            place.is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
            place.file = Some(self.file(&stat, &shown));
            if place.is_link && follow && links < LINKS_MAX {
                let target = readlinkat(&base, path.as_str(), Vec::new()).ok()?;
                let behind = self.arena.join(&folder.shown).join(OsStr::from_bytes(target.as_bytes()));
                return self.through_link(process, inmate, place, &behind, links);
            }
        }
        place.shown = shown;
        place.folder = Some(folder);
        Some(place)
    }

    /// Goes on behind a symbolic link, having looked at it.
    fn through_link(
        &mut self,
        process: usize,
        inmate: &Inmate,
        place: Place,
        absolute: &Path,
        links: u32,
    ) -> Option<Place> {
        let at = At { folder: libc::AT_FDCWD, path: absolute.to_string_lossy().into_owned() };
        let mut behind = self.walk(process, inmate, &at, true, links + 1)?;
        behind.way.extend(place.way);
        Some(behind)
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
