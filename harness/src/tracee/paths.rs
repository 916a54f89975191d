//! Which files a task's paths and descriptors are about.
//!
//! Inodes are named by the path under which they were first met in an execution, so that a name is the same in every
//! execution that began with the same steps. What lies outside of the state folders is nobody's concern.

mod opened;
mod walk;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, openat};

use super::descriptors::{Lockable, Open};
use super::names::Names;
use super::task::{Information, Task};
use crate::books::places::{File, Inode, Kind, Place};
use crate::explore::step::Object;

use opened::{Opened, OwnEntries};
pub(crate) use walk::{Found, Naming};

/// A state folder.
#[derive(Debug)]
struct Root {
    /// Where commands find it.
    path: String,
    folder: Arc<OwnedFd>,
    inode: Inode,
    /// What comes before its paths, as they are shown.
    prefix: String,
}

/// What paths and descriptors mean.
#[derive(Debug)]
pub(crate) struct Paths {
    roots: Vec<Root>,
    pub names: Names,
    given: FxHashMap<Inode, Object>,
    /// How many inodes were met under each path.
    met: FxHashMap<String, u32>,
    /// Inodes that lost a name in this execution: as long as it lasts, their numbers must not be given to others.
    kept: HashMap<Inode, OwnedFd>,
    /// What outside paths are: the text of a link, or no link.
    links: FxHashMap<String, Option<String>>,
    own: OwnEntries,
    /// Paths known to lead outside, with whether a link at their end is followed.
    outside: FxHashSet<(String, bool)>,
}

impl Paths {
    /// Of these folders, as this process sees them.
    pub fn new(folders: &[PathBuf], seen_by: u32, names: Names) -> io::Result<Self> {
        let roots = folders.iter().enumerate().map(|(number, folder)| {
            let inside = folder.strip_prefix("/").unwrap_or(folder);
            let path = Path::new(&format!("/proc/{seen_by}/root")).join(inside);
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = openat(rustix::fs::CWD, &path, flags, Mode::empty())?;
            let stat = fstat(&opened)?;
            let path = canonical(folder, seen_by)?;
            let prefix = if number == 0 { String::new() } else { format!("~{}", number + 1) };
            Ok(Root { path, folder: Arc::new(opened), inode: (stat.st_dev, stat.st_ino), prefix })
        });
        Ok(Self {
            roots: roots.collect::<io::Result<_>>()?,
            names,
            given: FxHashMap::default(),
            met: FxHashMap::default(),
            kept: HashMap::new(),
            links: FxHashMap::default(),
            own: OwnEntries::open()?,
            outside: FxHashSet::default(),
        })
    }

    /// A new execution begins: all names are given anew.
    pub fn begin(&mut self, processes: usize) {
        self.names.begin(processes);
        self.given.clear();
        self.met.clear();
    }

    /// An execution is over: nothing is kept from whoever puts the folders back.
    pub fn end(&mut self) {
        self.kept.clear();
    }

    /// A name outside is about to change.
    pub fn forget_outside(&mut self) {
        self.links.clear();
        self.outside.clear();
    }

    /// What a descriptor is about; none for what is nobody's concern.
    pub fn descriptor(&mut self, process: usize, task: &mut Task, fd: i32) -> Option<File> {
        if let Some(known) = task.open.get(fd) {
            return known.file.clone();
        }
        let opened = Opened::of(task, fd);
        let text = opened.path(&self.own)?;
        let file = match self.inside(text.strip_suffix(" (deleted)").unwrap_or(&text)) {
            None => None,
            Some((root, relative)) => {
                let stat = opened.stat()?;
                let shown = self.show(process, root, relative);
                Some(self.file(&stat, &shown.into()))
            }
        };
        let open = Open { file: file.clone(), lockable: Lockable::Unknown, access: None, locked_as: None };
        task.open.remember(fd, open);
        file
    }

    /// The file that a descriptor is open on, wherever it lies: whoever locks it meets whoever else does.
    pub fn lockable(&mut self, process: usize, task: &mut Task, fd: i32) -> Option<File> {
        if let Some(file) = self.descriptor(process, task, fd) {
            return Some(file);
        }
        match task.open.get(fd).map(|open| &open.lockable) {
            Some(Lockable::File(file)) => return Some(file.clone()),
            Some(Lockable::Nothing) => return None,
            Some(Lockable::Unknown) | None => {}
        }
        let file = self.lockable_outside(process, task, fd);
        if let Some(open) = task.open.get_mut(fd) {
            open.lockable = Lockable::of(file.clone());
        }
        file
    }

    fn lockable_outside(&mut self, process: usize, task: &Task, fd: i32) -> Option<File> {
        let opened = Opened::of(task, fd);
        let path = opened.path(&self.own)?;
        let stat = opened.stat()?;
        let is_file =
            matches!(FileType::from_raw_mode(stat.st_mode), FileType::RegularFile | FileType::Directory);
        let path = Some(path).filter(|path| is_file && path.starts_with('/'))?;
        let mut shown = String::new();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            shown.push('/');
            shown.push_str(&self.names.of(process, name));
        }
        Some(self.file(&stat, &shown.into()))
    }

    /// The inode of a descriptor of a process that need not be known.
    pub fn inode(pid: u32, fd: i32) -> Option<Inode> {
        Opened::by_entry(pid, fd).inode()
    }

    /// The inode of a descriptor.
    pub fn inode_of(task: &Task, fd: i32) -> Option<Inode> {
        Opened::of(task, fd).inode()
    }

    /// What the open file of a descriptor is like, and which locks it holds.
    pub fn information(&self, task: &Task, fd: i32) -> Option<Information> {
        Opened::of(task, fd).information(task, fd, &self.own)
    }

    /// The state folder that a path of a command lies in, and the path from there.
    fn inside<'t>(&self, path: &'t str) -> Option<(usize, &'t str)> {
        self.roots.iter().enumerate().find_map(|(number, root)| {
            match path.strip_prefix(root.path.as_str())? {
                "" => Some((number, "")),
                rest => Some((number, rest.strip_prefix('/')?)),
            }
        })
    }

    /// Whether a path of a command lies below a state folder, and is not one.
    pub fn is_below(&self, path: &str) -> bool {
        self.inside(path).is_some_and(|(_, relative)| !relative.is_empty())
    }

    /// Whether a path of a command is a state folder.
    pub fn is_root(&self, path: &str) -> bool {
        self.roots.iter().any(|root| root.path == path)
    }

    /// Whether a path of a command is a state folder, or lies below one.
    pub fn is_within(&self, path: &str) -> bool {
        self.inside(path).is_some()
    }

    /// A path within a state folder, as it is shown.
    fn show(&mut self, process: usize, root: usize, relative: &str) -> String {
        let mut shown = self.roots[root].prefix.clone();
        for name in relative.split('/').filter(|name| !name.is_empty()) {
            let name = self.names.of(process, name);
            if !shown.is_empty() {
                shown.push('/');
            }
            shown.push_str(&name);
        }
        shown
    }

    fn file(&mut self, stat: &Stat, shown: &Arc<str>) -> File {
        let inode = (stat.st_dev, stat.st_ino);
        let name = self.name_of(inode, shown);
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Kind::Folder,
            FileType::Symlink => Kind::Link,
            FileType::RegularFile => Kind::File,
            _ => Kind::Channel,
        };
        File { inode, name, shown: Arc::clone(shown), kind }
    }

    fn name_of(&mut self, inode: Inode, shown: &str) -> Object {
        match self.given.get(&inode) {
            Some(name) => *name,
            None => self.give_name(inode, shown),
        }
    }

    /// The name of a file that was met in this execution.
    pub fn name_met(&self, inode: &Inode) -> Option<Object> {
        self.given.get(inode).copied()
    }

    fn give_name(&mut self, inode: Inode, shown: &str) -> Object {
        let met = self.met.entry(shown.to_owned()).or_insert(0);
        *met += 1;
        let name = Object::named(&("inode", shown, *met));
        self.given.insert(inode, name);
        name
    }

    /// What lies there is about to lose its name, and may be gone by that. As long as the execution lasts it keeps its
    /// inode's number: many filesystems give a free one to the next file, which would be taken for this one.
    pub fn keep(&mut self, place: &Place, at: (impl AsFd, &str)) {
        let Some(file) = place.file.as_ref().filter(|file| !self.kept.contains_key(&file.inode)) else {
            return;
        };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // What is gone already has nothing to keep.
        if let Ok(descriptor) = openat(at.0, at.1, flags, Mode::empty()) {
            self.kept.insert(file.inode, descriptor);
        }
    }
}

/// A folder's own path, as a process sees it: without links.
fn canonical(folder: &Path, seen_by: u32) -> io::Result<String> {
    let mut way = PathBuf::from("/");
    let mut links = 0;
    let mut ahead: Vec<std::ffi::OsString> =
        folder.components().rev().map(|part| part.as_os_str().to_owned()).collect();
    while let Some(part) = ahead.pop() {
        if part == "/" {
            way = PathBuf::from("/");
            continue;
        }
        if part == ".." {
            way.pop();
            continue;
        }
        let next = way.join(&part);
        let inside = next.strip_prefix("/").unwrap_or(&next);
        match fs::read_link(Path::new(&format!("/proc/{seen_by}/root")).join(inside)) {
            Ok(target) => {
                links += 1;
                if links > 40 {
                    return Err(io::Error::from_raw_os_error(libc::ELOOP));
                }
                ahead.extend(target.components().rev().map(|part| part.as_os_str().to_owned()));
            }
            Err(_) => way = next,
        }
    }
    Ok(way.to_string_lossy().into_owned())
}
