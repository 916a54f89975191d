//! The journal: every deed that was let go, with where its open file stood just before.

use std::fs;
use std::path::PathBuf;

use super::machine::Machine;
use crate::books::deed::{Deed, Known, Told};

/// A deed that was let go, for whoever needs more than its step's label.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Which step it was part of.
    pub step: usize,
    /// Whose.
    pub process: usize,
    /// What.
    pub deed: Known,
    /// Where the open file stood that it changes, where it changes one.
    pub stood: Option<Stood>,
}

/// Where an open file stood just before a deed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stood {
    /// Its path, as the command finds it; with ` (deleted)` behind it where it has none any more.
    pub path: PathBuf,
    /// From which byte on it would be read or written.
    pub position: u64,
    /// The flags with which it is open.
    pub flags: i32,
}

impl Stood {
    fn of(tid: u32, fd: i32) -> Option<Self> {
        let path = fs::read_link(format!("/proc/{tid}/fd/{fd}")).ok()?;
        let information = fs::read_to_string(format!("/proc/{tid}/fdinfo/{fd}")).ok()?;
        let field = |name: &str| {
            let line = information.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::trim)
        };
        Some(Self {
            path,
            position: field("pos:")?.parse().ok()?,
            flags: i32::from_str_radix(field("flags:")?, 8).ok()?,
        })
    }
}

impl Machine {
    /// Notes a deed that is let go, where a journal is kept.
    pub(super) fn journal(&mut self, process: usize, tid: u32, told: &Told, deed: Known) {
        if !self.options.keeps_journal {
            return;
        }
        let changed = match told {
            Deed::Write(fd, _) | Deed::Resize(fd, _) | Deed::Sync(fd, _) | Deed::Copy { to: fd, .. } => {
                Some(fd.0)
            }
            _ => None,
        };
        let stood = changed.and_then(|fd| Stood::of(tid, fd));
        let step = self.run.depth.saturating_sub(1);
        self.run.left.journal.push(Entry { step, process, deed, stood });
    }
}
