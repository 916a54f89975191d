//! The journal of an execution, for disk models: every call that changes the folder or asks for something to last, with its
//! bytes and where its open file stood.

use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{SeekFrom, fcntl_getfl, seek};

use super::error::Result;
use super::foresee::{Foreseen, Recording};
use super::places::is_beside;
use super::run::Control;
use crate::books::deed::{Deed, Known, Told};
use crate::books::places::{File, Place};
use crate::explore::step::{Access, Object};
use crate::tracee::{Entry, Stood};

/// A journal, and the step that is at hand.
#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: Vec<Entry>,
    pub step: usize,
}

impl Control {
    /// Keeps a journal of every execution from now on.
    pub fn keep_journal(&mut self) {
        self.journal = Some(Journal::default());
    }

    /// What the last execution did.
    pub fn take_journal(&mut self) -> Vec<Entry> {
        self.journal.as_mut().map(|journal| std::mem::take(&mut journal.entries)).unwrap_or_default()
    }

    /// Whether the bytes of writes are looked at.
    pub(super) fn recording(&self) -> Recording {
        if self.journal.is_some() { Recording::Bytes } else { Recording::Lengths }
    }

    /// The folder is no more what any process left.
    pub fn distrust(&mut self) {
        self.ground.distrust();
        self.places.forget_everywhere();
    }

    /// Notes a call that is let go.
    pub(super) fn journal(&mut self, process: usize, told: &Told, known: Known) -> Result<()> {
        if self.journal.is_none() || !is_kept(&known) {
            return Ok(());
        }
        let stood = match told {
            Deed::Write(fd, _) => {
                let file = self.tracees.tracee(process).descriptor(fd.0)?;
                let position = seek(&file, SeekFrom::Current(0)).unwrap_or(0);
                let flags = fcntl_getfl(&file).map_err(std::io::Error::from)?.bits().cast_signed();
                // Which file it is its inode tells.
                Some(Stood { path: PathBuf::new(), position, flags })
            }
            _ => None,
        };
        if let Some(journal) = &mut self.journal {
            let step = journal.step;
            journal.entries.push(Entry { step, process, deed: known, stood });
        }
        Ok(())
    }
}

/// How a call touches what a power loss leaves of the folder, where it does: by what it writes and names, and by what it makes last.
/// Any two such calls depend on each other, for it shows after a power loss which of them came first; but two that make something
/// last change nothing for each other.
pub(super) fn touches_disk(call: &Foreseen) -> Option<(Object, Access)> {
    let access = match &call.known {
        Deed::Sync(..) | Deed::SyncAll => Access::Update,
        Deed::Change(..) | Deed::ChangeAt(..) | Deed::Truncate(..) | Deed::Resize(..) | Deed::Copy { .. } => {
            Access::Write
        }
        // What is there already is not made, and what is not there is not removed.
        _ if call.prediction.entries.is_empty() && call.prediction.writes.is_none() => return None,
        _ => Access::Write,
    };
    is_kept(&call.known).then_some((Object::DISK, access))
}

/// Whether a disk model has to know of it. Whatever is looked at is kept, too, where it tells which file a path leads to. What lies
/// beside the folder, among the images, is not what the power loss is about.
fn is_kept(deed: &Known) -> bool {
    let is_in = |place: &Option<Arc<Place>>| place.as_ref().is_some_and(|place| !is_beside(&place.shown));
    let is_of = |file: &Option<File>| file.as_ref().is_some_and(|file| !is_beside(&file.shown));
    match deed {
        Deed::Open(place, _)
        | Deed::Truncate(place, _)
        | Deed::Unlink(place)
        | Deed::RemoveFolder(place)
        | Deed::MakeFolder(place)
        | Deed::MakeNode(place, _)
        | Deed::Symlink(_, place)
        | Deed::Look(place, _)
        | Deed::Change(place, ..) => is_in(place),
        Deed::Rename { from, to, .. } | Deed::Link { from, to, .. } => is_in(from) || is_in(to),
        Deed::Write(file, _) | Deed::Resize(file, _) | Deed::Sync(file, _) | Deed::ChangeAt(file, _) => {
            is_of(file)
        }
        Deed::Copy { to, .. } => is_of(to),
        Deed::SyncAll => true,
        _ => false,
    }
}
