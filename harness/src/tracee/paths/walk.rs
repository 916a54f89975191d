//! Where a path leads: walked as the kernel does, entry by entry, through links, `..`, folders' descriptors, and from
//! outside into the state folders or back.

use std::collections::VecDeque;
use std::fs;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags, openat, readlinkat, statat};

use super::Paths;
use crate::books::deed::At;
use crate::books::places::{ATTRIBUTES, File, Kind, Place};
use crate::explore::step::{Access, Object};
use crate::tracee::task::Task;

/// How many symbolic links a path may lead through: as many as Linux allows.
const LINKS_MAX: u32 = 40;

/// Where a path leads.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// Out of the state folders, to this path.
    Outside(String),
    /// Into one.
    Inside(Arc<Place>),
}

/// What becomes of a name that is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// It stays, as far as the call goes that it is looked up for.
    Stays,
    /// The call may take it from its file.
    Ends,
}

/// Where a walk is.
enum Position {
    Outside(String),
    Inside(Inside),
}

struct Inside {
    root: usize,
    /// What the path is relative to.
    base: Arc<OwnedFd>,
    path: String,
    folder: File,
}

struct Walk<'t> {
    process: usize,
    task: &'t Task,
    way: Vec<(Object, Access)>,
    ahead: VecDeque<String>,
    links: u32,
    follow: bool,
    naming: Naming,
}

impl Paths {
    /// Where a path of a task leads.
    pub fn find(&mut self, process: usize, task: &mut Task, at: &At, follow: bool, naming: Naming) -> Found {
        let start = if at.path.starts_with('/') {
            Position::Outside("/".into())
        } else {
            self.start(process, task, at.folder)
        };
        let key = match &start {
            Position::Outside(folder) => Some((join(folder, at.path.trim_start_matches('/')), follow)),
            Position::Inside(_) => None,
        };
        if let Some(key) = &key
            && self.outside.contains(key)
        {
            return Found::Outside(key.0.clone());
        }
        let walk = Walk {
            process,
            task,
            way: vec![(Object::named(&ATTRIBUTES), Access::Read)],
            ahead: parts(&at.path),
            links: 0,
            follow,
            naming,
        };
        let found = self.walk(walk, start);
        if let (Some(key), Found::Outside(_)) = (key, &found)
            && !key.0.starts_with("/proc/")
        {
            self.outside.insert(key);
        }
        found
    }

    /// The place that a path relative to a folder of a task begins at.
    fn start(&mut self, process: usize, task: &mut Task, folder: i32) -> Position {
        let link = if folder == libc::AT_FDCWD {
            format!("/proc/{}/cwd", task.tid)
        } else {
            format!("/proc/{}/fd/{folder}", task.tid)
        };
        let text = match &task.folder {
            Some(known) if folder == libc::AT_FDCWD => known.clone(),
            _ => fs::read_link(&link).map(|path| path.to_string_lossy().into_owned()).unwrap_or_default(),
        };
        if folder == libc::AT_FDCWD {
            task.folder = Some(text.clone());
        }
        let path = text.strip_suffix(" (deleted)").unwrap_or(&text);
        let Some((root, relative)) = self.inside(path) else { return Position::Outside(path.to_owned()) };
        let relative = relative.to_owned();
        self.enter(process, root, &relative, &link).unwrap_or_else(|| Position::Outside(path.to_owned()))
    }

    /// A folder within a state folder, by a link to it.
    fn enter(&mut self, process: usize, root: usize, relative: &str, link: &str) -> Option<Position> {
        if relative.is_empty() {
            return Some(Position::Inside(self.top(root)));
        }
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let base = Arc::new(openat(rustix::fs::CWD, link, flags, Mode::empty()).ok()?);
        let stat = rustix::fs::fstat(&base).ok()?;
        let shown = self.show(process, root, relative).into();
        let folder = self.file(&stat, &shown);
        Some(Position::Inside(Inside { root, base, path: String::new(), folder }))
    }

    fn top(&mut self, root: usize) -> Inside {
        let base = Arc::clone(&self.roots[root].folder);
        let shown: Arc<str> = self.roots[root].prefix.as_str().into();
        // It is open, and so stays the folder that it is.
        let inode = self.roots[root].inode;
        let folder = File { inode, name: self.name_of(inode, &shown), shown, kind: Kind::Folder };
        Inside { root, base, path: String::new(), folder }
    }

    fn walk(&mut self, mut walk: Walk<'_>, mut at: Position) -> Found {
        loop {
            at = match at {
                Position::Outside(folder) => {
                    let Some(name) = walk.ahead.pop_front() else { return Found::Outside(folder) };
                    self.step_outside(&mut walk, folder, &name)
                }
                Position::Inside(inside) => {
                    let Some(name) = walk.ahead.pop_front() else { return stayed(walk, inside.folder) };
                    match self.step_inside(&mut walk, inside, &name) {
                        Ok(next) => next,
                        Err(found) => return found,
                    }
                }
            };
        }
    }

    fn step_outside(&mut self, walk: &mut Walk<'_>, folder: String, name: &str) -> Position {
        if name == ".." {
            let parent = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
            return Position::Outside(if parent.is_empty() { "/".into() } else { parent.to_owned() });
        }
        let next = join(&folder, name);
        if let Some(root) = self.roots.iter().position(|root| root.path == next) {
            return Position::Inside(self.top(root));
        }
        if walk.ahead.is_empty() && !walk.follow {
            return Position::Outside(next);
        }
        match self.link(walk.task, &next) {
            Some(target) => {
                walk.links += 1;
                if walk.links > LINKS_MAX {
                    walk.ahead.clear();
                    return Position::Outside(next);
                }
                let mut ahead = parts(&target);
                ahead.append(&mut walk.ahead);
                walk.ahead = ahead;
                Position::Outside(if target.starts_with('/') { "/".into() } else { folder })
            }
            None => Position::Outside(next),
        }
    }

    /// The text of a link outside.
    fn link(&mut self, task: &Task, path: &str) -> Option<String> {
        match path {
            "/proc/self" => return Some(task.pid.to_string()),
            "/proc/thread-self" => return Some(format!("{}/task/{}", task.pid, task.tid)),
            _ => {}
        }
        if let Some(known) = self.links.get(path) {
            return known.clone();
        }
        let target = fs::read_link(format!("/proc/{}/root{path}", task.tid)).ok();
        let target = target.map(|target| target.to_string_lossy().into_owned());
        if path.starts_with("/proc/") {
            // What is no file has a name, and no path.
            return target.filter(|target| !target.contains(":["));
        }
        self.links.insert(path.to_owned(), target.clone());
        target
    }

    fn step_inside(&mut self, walk: &mut Walk<'_>, inside: Inside, name: &str) -> Result<Position, Found> {
        let Inside { root, base, path, folder } = inside;
        if name == ".." && folder.inode == self.roots[root].inode {
            let parent = self.roots[root].path.rsplit_once('/').map_or("", |(parent, _)| parent);
            return Ok(Position::Outside(if parent.is_empty() { "/".into() } else { parent.to_owned() }));
        }
        let alike = if name == ".." { name.to_owned() } else { self.names.of(walk.process, name) };
        walk.way.push((folder.entry(&alike), Access::Read));
        let here = join_relative(&path, name);
        let stat = statat(&base, here.as_str(), AtFlags::SYMLINK_NOFOLLOW).ok();
        let shown: Arc<str> = if name == ".." {
            folder.shown.rsplit_once('/').map_or("", |(parent, _)| parent).into()
        } else {
            join_relative(&folder.shown, &alike).into()
        };
        let is_last = walk.ahead.is_empty();
        let file = stat.map(|stat| self.file(&stat, &shown));
        if let Some(link) = file.as_ref().filter(|file| file.kind == Kind::Link && (walk.follow || !is_last))
        {
            walk.links += 1;
            let target = readlinkat(&base, here.as_str(), Vec::new()).ok();
            let Some(target) = target.filter(|_| walk.links <= LINKS_MAX) else {
                return Err(self.lost(walk, &folder, &alike));
            };
            // That the link is there and what it says is one: a link never changes.
            walk.way.push((link.links(), Access::Read));
            let target = target.to_string_lossy();
            let mut ahead = parts(&target);
            ahead.append(&mut walk.ahead);
            walk.ahead = ahead;
            return Ok(if target.starts_with('/') {
                Position::Outside("/".into())
            } else {
                Position::Inside(Inside { root, base, path, folder })
            });
        }
        match file {
            file if is_last => {
                let place = Place {
                    way: std::mem::take(&mut walk.way),
                    folder: Some(folder),
                    name: alike,
                    name_on_disk: name.to_owned(),
                    file,
                    shown,
                };
                if walk.naming == Naming::Ends {
                    self.keep(&place, (&base, &here));
                }
                Err(Found::Inside(Arc::new(place)))
            }
            Some(next) if next.kind == Kind::Folder => {
                Ok(Position::Inside(Inside { root, base, path: here, folder: next }))
            }
            _ => Err(self.lost(walk, &folder, &alike)),
        }
    }

    /// It leads nowhere.
    fn lost(&mut self, walk: &mut Walk<'_>, folder: &File, name: &str) -> Found {
        let mut shown = join_relative(&folder.shown, name);
        for name in &walk.ahead {
            // What is drawn at random differs from execution to execution here as elsewhere.
            let alike = if name == ".." { name.clone() } else { self.names.of(walk.process, name) };
            shown = join_relative(&shown, &alike);
        }
        Found::Inside(Arc::new(Place {
            way: std::mem::take(&mut walk.way),
            folder: None,
            name: name.to_owned(),
            name_on_disk: name.to_owned(),
            file: None,
            shown: shown.into(),
        }))
    }
}

/// It ends where it is.
fn stayed(walk: Walk<'_>, folder: File) -> Found {
    let shown = Arc::clone(&folder.shown);
    let (name, name_on_disk) = (String::new(), String::new());
    Found::Inside(Arc::new(Place {
        way: walk.way,
        folder: None,
        name,
        name_on_disk,
        file: Some(folder),
        shown,
    }))
}

/// The entries that a path goes through.
fn parts(path: &str) -> VecDeque<String> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
}

fn join(folder: &str, name: &str) -> String {
    match folder {
        "/" => format!("/{name}"),
        _ if name.is_empty() => folder.to_owned(),
        _ => format!("{folder}/{name}"),
    }
}

fn join_relative(folder: &str, name: &str) -> String {
    match (folder.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (_, true) => folder.to_owned(),
        _ => format!("{folder}/{name}"),
    }
}
