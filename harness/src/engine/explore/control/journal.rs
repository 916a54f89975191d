//! The journal of an execution, for disk models: every call that changes the folder or asks for something to last, with its
//! bytes and where its open file stood.

use std::path::PathBuf;

use rustix::fs::{SeekFrom, fcntl_getfl, seek};

use super::error::Result;
use super::foresee::{Foreseen, Recording};
use super::places::is_beside;
use super::run::Control;
use crate::books::deed::{Deed, Known, Told};
use crate::books::lasting;
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

    /// Notes a call that is let go.
    pub(super) fn journal(&mut self, process: usize, told: &Told, known: Known) -> Result<()> {
        if self.journal.is_none() || !lasting::is_kept(&known, counts) {
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

/// How a call touches what a power loss leaves of the folder. What lies beside it, among the images, is not what the power loss is
/// about.
pub(super) fn touches_disk(call: &Foreseen) -> Option<(Object, Access)> {
    lasting::touches_disk(&call.known, &call.prediction, counts)
}

fn counts(shown: &str) -> bool {
    !is_beside(shown)
}
