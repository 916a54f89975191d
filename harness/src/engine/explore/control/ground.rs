//! The ground of an exploration: what the folder was after setup, what of it changed since, and how it is put back.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use super::foresee::{Change, Foreseen};
use super::snapshot::{self, Beside, Digest, Snapshot};
use crate::books::deed::Entry;
use crate::books::places::Inode;

/// What of the folder has to be put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Changed {
    Nothing,
    /// Files that were written and entries that were touched.
    Known,
    Anything,
}

/// The folder that every execution starts from, and what was seen to change in it.
#[derive(Debug)]
pub(super) struct Ground {
    /// None before the setup is over: nothing is put back until then.
    taken: Option<(Snapshot, Option<Beside>)>,
    /// Files whose content may have changed.
    written: HashSet<Inode>,
    /// Entries that may have been made or removed.
    touched: HashSet<Entry>,
    changed: Changed,
}

impl Default for Ground {
    fn default() -> Self {
        Self { taken: None, written: HashSet::new(), touched: HashSet::new(), changed: Changed::Nothing }
    }
}

/// What a restoration may have changed.
#[derive(Debug)]
pub(super) enum Restored {
    /// Only these entries were changed by the restoration, so only they are looked up anew.
    Entries(Vec<Entry>),
    /// Nobody kept a record of it.
    Anything,
}

impl Ground {
    /// The present state of the folder, and of that beside it where there is one, is the one that is put back.
    pub fn take(root: &Path, beside: Option<&Path>, volatile: &'static [&'static str]) -> io::Result<Self> {
        let beside = beside.map(|folder| Beside::take(folder.to_owned())).transpose()?;
        let taken = (Snapshot::take(root, volatile)?, beside);
        Ok(Self { taken: Some(taken), ..Self::default() })
    }

    /// Somebody was at work whose writes were not seen.
    pub fn distrust(&mut self) {
        if let Some((snapshot, _)) = &mut self.taken {
            snapshot.distrust();
        }
        self.changed = Changed::Anything;
    }

    /// A call is let go that may change this.
    pub fn note(&mut self, call: &Foreseen) {
        self.written.extend(call.written());
        self.touched.extend(call.prediction.entries.iter().cloned());
        self.changed = self.changed.max(match call.change {
            Change::Nothing => Changed::Nothing,
            Change::Told => Changed::Known,
            Change::Anything => Changed::Anything,
        });
    }

    /// Puts everything back.
    pub fn restore(&mut self) -> io::Result<Restored> {
        let mut restored = Some(Vec::new());
        if let Some((snapshot, beside)) = &mut self.taken {
            restored = match self.changed {
                Changed::Nothing => Some(Vec::new()),
                Changed::Known => snapshot.restore_touched(&self.written, &self.touched)?,
                Changed::Anything => None,
            };
            if restored.is_none() {
                snapshot.restore(&self.written)?;
            }
            if let Some(beside) = beside.as_mut().filter(|_| self.changed == Changed::Anything) {
                beside.restore()?;
            }
        }
        self.written.clear();
        self.touched.clear();
        self.changed = Changed::Nothing;
        Ok(restored.map_or(Restored::Anything, Restored::Entries))
    }

    /// Puts everything away: nothing lies in the folder then, and that beside it is what it was.
    pub fn clear(&mut self, root: &Path) -> io::Result<()> {
        self.distrust();
        if let Some((_, Some(beside))) = &mut self.taken {
            beside.restore()?;
        }
        snapshot::empty(root)
    }

    /// Numbers for what lies in the folder.
    pub fn digest(&self) -> io::Result<Digest> {
        let Some((snapshot, _)) = self.taken.as_ref() else { return Ok(Digest::default()) };
        let seen = match self.changed {
            Changed::Anything => None,
            Changed::Nothing | Changed::Known => snapshot.digest_touched(&self.written, &self.touched)?,
        };
        seen.map_or_else(|| snapshot.digest(&self.written), Ok)
    }
}
