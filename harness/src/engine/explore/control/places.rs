//! Places: which file a path or a descriptor of a controlled process is about, and the objects that it stands for.
//!
//! Inodes are named by the path under which they were first met in an execution, so that a name is the same in every
//! execution that began with the same steps. What lies outside the folder of the exploration is nobody's concern.
//!
//! The kernel is asked as little as can be: where a path leads is known until a step that is let go touches something
//! on its way. Builds with debug assertions walk it all the same, and compare; likewise with descriptors.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use rustix::fs::{AtFlags, Mode, OFlags, fstat, openat, statat};

use super::call::{At, LockKind, Range};
use super::entries::{self, Entries, EntryName, Found, Kind};
use super::inmate::Inmate;
use crate::engine::explore::step::{Access, Object};

/// How many symbolic links a path may lead through.
const LINKS_MAX: u32 = 8;

/// Names the permissions of all files, which decide together what can be reached.
pub(super) const ATTRIBUTES: &str = "attributes";

/// An inode: device and number.
pub(super) type Inode = (u64, u64);

/// A file that a process has open, or a path that leads to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub inode: Inode,
    pub name: Object,
    /// Relative to the exploration's folder.
    pub shown: Arc<str>,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// What was looked at on the way, the last entry included.
    pub way: Vec<(Object, Access)>,
    /// The folder of the last entry; none where the way does not lead that far.
    pub folder: Option<File>,
    /// The last entry's name, without pids.
    pub name: String,
    /// The last entry's name, as it is.
    pub name_on_disk: String,
    /// What is there.
    pub file: Option<File>,
    /// Relative to the exploration's folder.
    pub shown: Arc<str>,
}

impl Place {
    /// Whether a step that touches this may change where the path leads.
    fn depends_on(&self, touches: &[(Object, Access)]) -> bool {
        let hits = |(object, access): &(Object, Access)| {
            touches.iter().any(|(touched, how)| touched == object && access.conflicts(*how))
        };
        self.way.iter().any(hits)
    }
}

/// Where a path starts.
struct Start<'a> {
    whence: Whence,
    /// Whether it is within the exploration's folder, every step in which is foreseen.
    is_inside: bool,
    folder: File,
    /// The path from there.
    rest: Cow<'a, str>,
}

/// What a walk can be made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whence {
    /// The exploration's folder.
    Root,
    /// A descriptor of the process.
    Descriptor(i32),
    /// The folder beside which the exploration's lies, and that of the images.
    Beside,
}

/// A path that was walked in this execution.
#[derive(Debug)]
struct Walked {
    folder: Inode,
    rest: String,
    follow: bool,
    place: Arc<Place>,
}

/// What a process last opened, by the path that it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    entry: EntryName,
    /// What is there; none where the call makes it.
    inode: Option<Inode>,
    shown: Arc<str>,
}

impl Opened {
    /// By a path that leads here, within the exploration's folder.
    pub fn at(place: &Place) -> Option<Self> {
        let folder = place.folder.as_ref().filter(|_| !is_beside(&place.shown))?;
        let entry = (folder.inode, place.name_on_disk.clone());
        Some(Self {
            entry,
            inode: place.file.as_ref().map(|file| file.inode),
            shown: Arc::clone(&place.shown),
        })
    }
}

/// Whether this lies beside the exploration's folder, among the images.
pub(super) fn is_beside(shown: &str) -> bool {
    shown.starts_with("..") || shown.starts_with(IMAGES)
}

/// How the folder of the images is shown.
const IMAGES: &str = "~images";

/// A path that is being walked.
struct Walk {
    base: Arc<OwnedFd>,
    is_inside: bool,
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
    fn arrived(self, name: String, name_on_disk: String, file: Option<File>, shown: Arc<str>) -> Place {
        Place { way: self.way, folder: Some(self.folder), name, name_on_disk, file, shown }
    }

    /// It leads nowhere, or out of what concerns the exploration.
    fn lost(self, name: &str) -> Place {
        let shown = join(&self.folder.shown, name).into();
        let name = name.to_owned();
        Place { way: self.way, folder: None, name_on_disk: name.clone(), name, file: None, shown }
    }

    /// It ends where it is.
    fn stayed(self) -> Place {
        let shown = Arc::clone(&self.folder.shown);
        let (name, name_on_disk) = (String::new(), String::new());
        Place { way: self.way, folder: None, name, name_on_disk, file: Some(self.folder), shown }
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
    /// What folders hold, in this execution and the next.
    entries: Entries,
    /// Where paths lead at present.
    walked: Vec<Walked>,
    names: FxHashMap<Inode, Object>,
    /// How many inodes were met under each path.
    met: FxHashMap<String, u32>,
    /// What descriptors are, by process and number; outside files are none.
    open: FxHashMap<(usize, i32), Option<File>>,
    /// What each process last opened, as long as no name has changed since.
    opened: FxHashMap<usize, Opened>,
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
        let stat = fstat(&descriptor)?;
        let mut images = OsString::from(&arena);
        images.push(".images");
        Ok(Self {
            images: images.into(),
            arena,
            root: Arc::new(descriptor),
            root_inode: (stat.st_dev, stat.st_ino),
            entries: Entries::default(),
            walked: Vec::new(),
            names: FxHashMap::default(),
            met: FxHashMap::default(),
            open: FxHashMap::default(),
            opened: FxHashMap::default(),
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
        self.walked.clear();
        self.opened.clear();
        self.names.clear();
        self.met.clear();
        self.copied.clear();
        self.kept.clear();
        self.open.retain(|_, file| file.as_ref().is_some_and(|file| file.inode == self.root_inode));
    }

    /// A step is about to be let go that makes or removes these entries, and touches this.
    pub fn forget_entries(&mut self, changed: &[EntryName], touches: &[(Object, Access)]) {
        if !changed.is_empty() {
            changed.iter().for_each(|entry| self.entries.forget(entry));
            self.walked.retain(|walked| !walked.place.depends_on(touches));
            self.opened.clear();
        }
    }

    /// The folder was put back, by which these entries changed: none leads to a folder, or did.
    pub fn forget_restored(&mut self, changed: &[EntryName]) {
        changed.iter().for_each(|entry| self.entries.forget_file(entry));
    }

    /// Anything may have changed.
    pub fn forget_everywhere(&mut self) {
        self.entries.forget_all();
        self.walked.clear();
        self.opened.clear();
    }

    /// A process opens this.
    pub fn note_opened(&mut self, process: usize, opened: Opened) {
        self.opened.insert(process, opened);
    }

    /// What lies there is about to lose its name, and may be gone by that. As long as the execution lasts it keeps its
    /// inode's number: many filesystems give a free one to the next file, which would be taken for this one.
    pub fn keep(&mut self, place: &Place) {
        let Some(file) = place.file.as_ref().filter(|file| !self.kept.contains_key(&file.inode)) else {
            return;
        };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // What is gone already has nothing to keep.
        if let Ok(descriptor) = openat(self.root.as_fd(), &*place.shown, flags, Mode::empty()) {
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
        self.opened.remove(&process);
        self.open.retain(|(owner, _), _| *owner != process);
    }

    /// Which processes there are in this execution.
    pub fn know(&mut self, pids: &[Option<u32>]) {
        self.pids = pids.iter().map(|pid| pid.map(|pid| pid.to_string()).unwrap_or_default()).collect();
    }

    /// The same text with the processes' pids replaced by their numbers. Some put their pid into names of files; it is
    /// another in every life of a process, and names must be the same in every execution.
    pub fn without_pids<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut alike = String::new();
        let mut copied = 0;
        let mut at = 0;
        for run in text.as_bytes().chunk_by(|one, other| one.is_ascii_digit() == other.is_ascii_digit()) {
            let end = at + run.len();
            if run[0].is_ascii_digit()
                && let Some(process) = self.pids.iter().position(|pid| pid.as_bytes() == run)
            {
                alike.push_str(&text[copied..at]);
                alike.push_str("PID");
                alike.push_str(&(process + 1).to_string());
                copied = end;
            }
            at = end;
        }
        if copied == 0 {
            return Cow::Borrowed(text);
        }
        alike.push_str(&text[copied..]);
        Cow::Owned(alike)
    }

    fn give_name(&mut self, inode: Inode, shown: &str) -> Object {
        let alike = self.without_pids(shown).into_owned();
        let met = self.met.entry(alike.clone()).or_insert(0);
        *met += 1;
        let name = Object::named(&("inode", alike, *met));
        self.names.insert(inode, name);
        name
    }

    fn file(&mut self, found: Found, shown: &Arc<str>) -> File {
        let inode = found.inode;
        let name = self.names.get(&inode).copied().unwrap_or_else(|| self.give_name(inode, shown));
        File { inode, name, shown: Arc::clone(shown), is_folder: found.kind == Kind::Folder }
    }

    fn root_file(&mut self) -> File {
        self.file(Found { inode: self.root_inode, kind: Kind::Folder }, &Arc::from(""))
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
            let known = known.clone();
            let is_now = || self.linked(inmate, fd).map(|(found, _)| found.inode);
            debug_assert_eq!(known.as_ref().map(|file| file.inode), is_now(), "descriptor {fd} is another");
            return known;
        }
        let found = self.just_opened(process, inmate, fd).or_else(|| self.linked(inmate, fd));
        let file = found.map(|(found, shown)| self.file(found, &shown));
        self.open.insert((process, fd), file.clone());
        file
    }

    /// What a descriptor is about, if it is what the process opened last: its path is known then.
    fn just_opened(&mut self, process: usize, inmate: &Inmate, fd: i32) -> Option<(Found, Arc<str>)> {
        let opened = self.opened.remove(&process)?;
        let copy = inmate.descriptor(fd).ok()?;
        let stat = fstat(&copy).ok()?;
        let found = Found::from(&stat);
        let (folder, name) = &opened.entry;
        let inode =
            opened.inode.or_else(|| Some(self.entries.look(&self.root, &opened.shown, *folder, name)?.inode));
        // A file of several names may have been opened by another one before.
        let has_one_name = stat.st_nlink == 1 || found.kind == Kind::Folder;
        if inode != Some(found.inode) || !has_one_name {
            return None;
        }
        debug_assert_eq!(
            Some((found, Arc::clone(&opened.shown))),
            self.linked(inmate, fd),
            "descriptor {fd} is not what was opened"
        );
        Some((found, opened.shown))
    }

    /// What a descriptor is about, by what the kernel says of it.
    fn linked(&self, inmate: &Inmate, fd: i32) -> Option<(Found, Arc<str>)> {
        let link = format!("/proc/{}/fd/{fd}", inmate.pid);
        let path = fs::read_link(&link).ok()?;
        let text = path.to_string_lossy();
        let shown = self.inside(Path::new(text.strip_suffix(" (deleted)").unwrap_or(&text)))?;
        let stat = statat(rustix::fs::CWD, link.as_str(), AtFlags::empty()).ok()?;
        Some((Found::from(&stat), shown.into()))
    }

    /// Where a path leads; `None` for what is no concern of the exploration.
    pub fn path(&mut self, process: usize, inmate: &Inmate, at: &At, follow: bool) -> Option<Arc<Place>> {
        let start = self.start(process, inmate, at)?;
        let is_this = |walked: &&Walked| {
            walked.folder == start.folder.inode && walked.follow == follow && walked.rest == start.rest
        };
        let known = self.walked.iter().find(is_this).map(|walked| Arc::clone(&walked.place));
        if let Some(known) = known.filter(|_| start.is_inside) {
            debug_assert_eq!(
                self.set_out(inmate, &start, follow).as_ref(),
                Some(&*known),
                "it led elsewhere"
            );
            return Some(known);
        }
        let place = Arc::new(self.set_out(inmate, &start, follow)?);
        if start.is_inside {
            let (folder, rest) = (start.folder.inode, start.rest.into_owned());
            self.walked.push(Walked { folder, rest, follow, place: Arc::clone(&place) });
        }
        Some(place)
    }

    /// Walks from where a path starts.
    fn set_out(&mut self, inmate: &Inmate, start: &Start<'_>, follow: bool) -> Option<Place> {
        let base = match start.whence {
            Whence::Root => Arc::clone(&self.root),
            Whence::Descriptor(fd) => open_folder(Path::new(&format!("/proc/{}/fd/{fd}", inmate.pid)))?,
            Whence::Beside => open_folder(self.images.parent()?)?,
        };
        let walk = Walk {
            base,
            is_inside: start.is_inside,
            root: self.root_file(),
            folder: start.folder.clone(),
            path: String::new(),
            way: vec![(Object::named(&ATTRIBUTES), Access::Read)],
            ahead: parts(&start.rest),
        };
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
            let found = if walk.is_inside {
                self.entries.look(&walk.base, &path, walk.folder.inode, &name)
            } else {
                entries::ask(&walk.base, path.as_str())
            };
            let is_last = walk.ahead.is_empty();
            let is_link = found.is_some_and(|found| found.kind == Kind::Link && (follow || !is_last));
            if is_link {
                links += 1;
                if links > LINKS_MAX || !self.step_through(&mut walk, &path)? {
                    return Ok(walk.lost(&name));
                }
                continue;
            }
            let shown = join(&walk.folder.shown, &name).into();
            let file = found.map(|found| self.file(found, &shown));
            match file {
                file if is_last => return Ok(walk.arrived(alike, name, file, shown)),
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
            walk.is_inside = true;
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

    /// From where a path starts.
    fn start<'a>(&mut self, process: usize, inmate: &Inmate, at: &'a At) -> Option<Start<'a>> {
        let is_absolute = at.path.starts_with('/');
        if !is_absolute && at.folder != libc::AT_FDCWD {
            let folder = self.descriptor(process, inmate, at.folder)?;
            let is_root = folder.inode == self.root_inode;
            let whence = if is_root { Whence::Root } else { Whence::Descriptor(at.folder) };
            let is_inside = !is_beside(&folder.shown);
            return Some(Start { whence, is_inside, folder, rest: Cow::Borrowed(&at.path) });
        }
        let path = if is_absolute {
            PathBuf::from(&at.path)
        } else {
            fs::read_link(format!("/proc/{}/cwd", inmate.pid)).ok()?.join(&at.path)
        };
        let shown = self.inside(&path)?;
        if let Some(image) = shown.strip_prefix("~images/") {
            // Images are made as they are needed, the folder too.
            let beside = entries::ask(rustix::fs::CWD, self.images.parent()?)?;
            let beside = self.file(beside, &Arc::from(".."));
            let name = self.images.file_name()?.to_string_lossy().into_owned();
            let rest = join(&name, image).into();
            return Some(Start { whence: Whence::Beside, is_inside: false, folder: beside, rest });
        }
        Some(Start { whence: Whence::Root, is_inside: true, folder: self.root_file(), rest: shown.into() })
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
