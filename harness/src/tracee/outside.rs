//! What commands do outside of the state folders, where nothing is held: where two of them meet there, orders were possible
//! that nobody tried, so that a search cannot claim to have run them all.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use crate::books::deed::{Deed, Known};

/// What a call does to a path outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Looks,
    /// It opens the file to write. A lock file is opened so, too, and stays empty.
    MayWrite,
    /// It changes what is there under a name.
    ChangesNames,
}

/// Who did what to one path.
#[derive(Clone, Copy, Debug, Default)]
struct Visitors {
    all: u64,
    may_write: u64,
    change_names: u64,
}

/// What the commands of one execution did outside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outside {
    paths: HashMap<String, Visitors>,
}

/// Whether a path is of a filesystem that keeps nothing.
pub(crate) fn keeps_nothing(path: &str) -> bool {
    ["/dev/", "/proc/", "/sys/"].iter().any(|folder| path.starts_with(folder))
        && !path.starts_with("/dev/shm/")
}

fn act_of(known: &Known) -> Act {
    match known {
        Deed::Open(_, how) if how.has(libc::O_CREAT | libc::O_EXCL) => Act::ChangesNames,
        Deed::Open(_, how) if how.writes() || how.has(libc::O_TRUNC) => Act::MayWrite,
        Deed::Truncate(..) => Act::MayWrite,
        Deed::Rename { .. }
        | Deed::Link { .. }
        | Deed::Symlink(..)
        | Deed::Unlink(_)
        | Deed::MakeFolder(_)
        | Deed::RemoveFolder(_)
        | Deed::MakeNode(..)
        | Deed::Change(..) => Act::ChangesNames,
        _ => Act::Looks,
    }
}

impl Outside {
    /// A process makes a call that names these paths.
    pub fn note(&mut self, process: usize, known: &Known, paths: &[String]) {
        let act = act_of(known);
        let who = 1u64 << process.min(63);
        for path in paths.iter().filter(|path| !keeps_nothing(path)) {
            let visitors = self.paths.entry(path.clone()).or_default();
            visitors.all |= who;
            visitors.may_write |= if act == Act::MayWrite { who } else { 0 };
            visitors.change_names |= if act == Act::ChangesNames { who } else { 0 };
        }
    }

    /// What was done elsewhere was done here as well.
    pub fn add(&mut self, other: &Self) {
        for (path, more) in &other.paths {
            let visitors = self.paths.entry(path.clone()).or_default();
            visitors.all |= more.all;
            visitors.may_write |= more.may_write;
            visitors.change_names |= more.change_names;
        }
    }

    /// A path that was changed here, and that somebody else came by.
    pub fn changed_of(&self, other: &Self) -> Option<&str> {
        let is_changed = |(path, visitors): &(&String, &Visitors)| {
            (visitors.change_names != 0 || visitors.may_write != 0) && other.paths.contains_key(*path)
        };
        self.paths.iter().find(is_changed).map(|(path, _)| path.as_str())
    }

    /// Where one changed what another came by: each path, and who they are.
    pub fn meetings(&self) -> BTreeMap<&str, Vec<usize>> {
        let meet = |(path, visitors): (&'_ String, &Visitors)| {
            let changed = visitors.change_names != 0 || (visitors.may_write != 0 && is_written(path));
            changed && visitors.all.count_ones() > 1
        };
        let who = |visitors: &Visitors| (0..64).filter(|bit| visitors.all & (1 << bit) != 0).collect();
        let visited = self.paths.iter().filter(|visited| meet(*visited));
        visited.map(|(path, visitors)| (path.as_str(), who(visitors))).collect()
    }
}

/// Whether something lies in a file that was opened to write: whoever only locks a file leaves it empty.
fn is_written(path: &str) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() || metadata.len() > 0)
}
