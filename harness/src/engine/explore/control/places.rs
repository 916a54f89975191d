//! Places: which file a path or a descriptor of a controlled process is about, and the objects that it stands for.
//!
//! Inodes are named by the path under which they were first met in an execution, so that a name is the same in every
//! execution that began with the same steps. What lies outside the folder of the exploration is nobody's concern.
//!
//! The kernel is asked as little as can be: where a path leads is known until a step that is let go touches something
//! on its way. Builds with debug assertions walk it all the same, and compare; likewise with descriptors.

mod descriptor;
mod walk;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use rustix::fs::{Mode, OFlags, fstat, openat};

use super::entries::{Entries, Found};
use crate::books::deed::Entry;
use crate::books::places::{File, Inode, Kind, Place};
use crate::explore::step::{Access, Object};

pub(super) use descriptor::Opened;
use walk::Walked;

/// How many symbolic links a path may lead through.
const LINKS_MAX: u32 = 8;

/// Whether this lies beside the exploration's folder, among the images.
pub(super) fn is_beside(shown: &str) -> bool {
    shown.starts_with("..") || shown.starts_with(IMAGES)
}

/// How the folder of the images is shown.
const IMAGES: &str = "~images";

/// What paths and descriptors mean, in one execution.
#[derive(Debug)]
pub(super) struct Places {
    arena: PathBuf,
    /// The folder beside it in which the subject keeps images, where it says that it has one.
    images: Option<PathBuf>,
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
    /// The subject has a folder beside the root's where `beside` says what it is called, behind the root's name.
    pub fn new(root: &Path, beside: Option<&str>) -> io::Result<Self> {
        let arena = root.canonicalize()?;
        let descriptor = openat(
            rustix::fs::CWD,
            &arena,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let stat = fstat(&descriptor)?;
        let images = beside.map(|suffix| {
            let mut images = OsString::from(&arena);
            images.push(suffix);
            images.into()
        });
        Ok(Self {
            images,
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

    /// The folder beside the exploration's in which the subject keeps its images.
    pub fn images(&self) -> Option<&Path> {
        self.images.as_deref()
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
    pub fn forget_entries(&mut self, changed: &[Entry], touches: &[(Object, Access)]) {
        if !changed.is_empty() {
            for entry in changed {
                self.entries.forget(entry);
            }
            self.walked.retain(|walked| !walked.place.depends_on(touches));
            self.opened.clear();
        }
    }

    /// The folder was put back, by which these entries changed: none leads to a folder, or did.
    pub fn forget_restored(&mut self, changed: &[Entry]) {
        for entry in changed {
            self.entries.forget_file(entry);
        }
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
        let image = place.shown.strip_prefix(IMAGES).zip(self.images());
        let path = image.map_or_else(
            || PathBuf::from(&*place.shown),
            |(image, folder)| folder.join(image.trim_start_matches('/')),
        );
        // What is gone already has nothing to keep.
        if let Ok(descriptor) = openat(self.root.as_fd(), &path, flags, Mode::empty()) {
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
        File { inode, name, shown: Arc::clone(shown), kind: found.kind }
    }

    fn root_file(&mut self) -> File {
        self.file(Found { inode: self.root_inode, kind: Kind::Folder }, &Arc::from(""))
    }

    /// The path as it is shown, where it lies within the exploration's folder or beside it among the images.
    fn inside(&self, path: &Path) -> Option<String> {
        if let Ok(relative) = path.strip_prefix(&self.arena) {
            return Some(relative.to_string_lossy().into_owned());
        }
        let relative = path.strip_prefix(self.images()?).ok()?;
        Some(format!("~images/{}", relative.to_string_lossy()))
    }
}
