//! What descriptors are about.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, fstat, statat};

use super::{Places, is_beside};
use crate::books::deed::Entry;
use crate::books::places::{File, Inode, Kind, Place};
use crate::engine::explore::control::entries::Found;
use crate::engine::explore::control::tracee::Tracee;

/// What a process last opened, by the path that it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine::explore::control) struct Opened {
    entry: Entry,
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

impl Places {
    /// What a descriptor is about; `None` for what is no concern of the exploration.
    pub fn descriptor(&mut self, process: usize, tracee: &Tracee, fd: i32) -> Option<File> {
        if let Some(known) = self.open.get(&(process, fd)) {
            let known = known.clone();
            let is_now = || self.linked(tracee, fd).map(|(found, _)| found.inode);
            debug_assert_eq!(known.as_ref().map(|file| file.inode), is_now(), "descriptor {fd} is another");
            return known;
        }
        let found = self.just_opened(process, tracee, fd).or_else(|| self.linked(tracee, fd));
        let file = found.map(|(found, shown)| self.file(found, &shown));
        self.open.insert((process, fd), file.clone());
        file
    }

    /// What a descriptor is about, if it is what the process opened last: its path is known then.
    fn just_opened(&mut self, process: usize, tracee: &Tracee, fd: i32) -> Option<(Found, Arc<str>)> {
        let opened = self.opened.remove(&process)?;
        let copy = tracee.descriptor(fd).ok()?;
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
            self.linked(tracee, fd),
            "descriptor {fd} is not what was opened"
        );
        Some((found, opened.shown))
    }

    /// What a descriptor is about, by what the kernel says of it.
    fn linked(&self, tracee: &Tracee, fd: i32) -> Option<(Found, Arc<str>)> {
        let link = format!("/proc/{}/fd/{fd}", tracee.pid);
        let path = fs::read_link(&link).ok()?;
        let text = path.to_string_lossy();
        let shown = self.inside(Path::new(text.strip_suffix(" (deleted)").unwrap_or(&text)))?;
        let stat = statat(rustix::fs::CWD, link.as_str(), AtFlags::empty()).ok()?;
        Some((Found::from(&stat), shown.into()))
    }
}
