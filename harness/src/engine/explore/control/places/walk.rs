//! Where paths lead: walked entry by entry, and known until a step touches something on the way.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, openat};

use super::{IMAGES, LINKS_MAX, Places, is_beside};
use crate::books::deed::At;
use crate::books::places::{ATTRIBUTES, File, Inode, Kind, Place};
use crate::engine::explore::control::entries;
use crate::engine::explore::control::tracee::Tracee;
use crate::explore::step::{Access, Object};

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
pub(super) struct Walked {
    folder: Inode,
    rest: String,
    follow: bool,
    pub(super) place: Arc<Place>,
}

/// A path that is being walked.
struct Walk {
    base: Arc<OwnedFd>,
    is_inside: bool,
    root: File,
    /// The folder that the walk has come to.
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

impl Places {
    /// Where a path leads; `None` for what is no concern of the exploration.
    pub fn path(&mut self, process: usize, tracee: &Tracee, at: &At, follow: bool) -> Option<Arc<Place>> {
        let start = self.start(process, tracee, at)?;
        let is_this = |walked: &&Walked| {
            walked.folder == start.folder.inode && walked.follow == follow && walked.rest == start.rest
        };
        let known = self.walked.iter().find(is_this).map(|walked| Arc::clone(&walked.place));
        if let Some(known) = known.filter(|_| start.is_inside) {
            debug_assert_eq!(
                self.set_out(tracee, &start, follow).as_ref(),
                Some(&*known),
                "it led elsewhere"
            );
            return Some(known);
        }
        let place = Arc::new(self.set_out(tracee, &start, follow)?);
        if start.is_inside {
            let (folder, rest) = (start.folder.inode, start.rest.into_owned());
            self.walked.push(Walked { folder, rest, follow, place: Arc::clone(&place) });
        }
        Some(place)
    }

    /// Walks from where a path starts.
    fn set_out(&mut self, tracee: &Tracee, start: &Start<'_>, follow: bool) -> Option<Place> {
        let base = match start.whence {
            Whence::Root => Arc::clone(&self.root),
            Whence::Descriptor(fd) => open_folder(Path::new(&format!("/proc/{}/fd/{fd}", tracee.pid)))?,
            Whence::Beside => open_folder(self.images()?.parent()?)?,
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
            // Each lane has a folder of images of its own, which is the same for all that is told of it.
            let is_images = &*walk.folder.shown == "..";
            let alike = if is_images { IMAGES.to_owned() } else { self.without_pids(&name).into_owned() };
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
            let shown = if is_images { Arc::from(IMAGES) } else { join(&walk.folder.shown, &name).into() };
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
    fn start<'a>(&mut self, process: usize, tracee: &Tracee, at: &'a At) -> Option<Start<'a>> {
        let is_absolute = at.path.starts_with('/');
        if !is_absolute && at.folder != libc::AT_FDCWD {
            let folder = self.descriptor(process, tracee, at.folder)?;
            let is_root = folder.inode == self.root_inode;
            let whence = if is_root { Whence::Root } else { Whence::Descriptor(at.folder) };
            let is_inside = !is_beside(&folder.shown);
            return Some(Start { whence, is_inside, folder, rest: Cow::Borrowed(&at.path) });
        }
        let path = if is_absolute {
            PathBuf::from(&at.path)
        } else {
            fs::read_link(format!("/proc/{}/cwd", tracee.pid)).ok()?.join(&at.path)
        };
        let shown = self.inside(&path)?;
        if let Some(image) = shown.strip_prefix("~images/") {
            // Images are made as they are needed, the folder too.
            let beside = entries::ask(rustix::fs::CWD, self.images()?.parent()?)?;
            let beside = self.file(beside, &Arc::from(".."));
            let name = self.images()?.file_name()?.to_string_lossy().into_owned();
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
