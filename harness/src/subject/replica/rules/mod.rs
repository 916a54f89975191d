//! `rules`: the library's own protocol in small, whole or with one of its rules switched off.
//!
//! It exists to show that every rule is needed: the explorer finds nothing in `rules`, and a broken promise in each
//! `rules-without-…`. The library itself has no such switches. Steps are in the library's order (docs/protocol.md); what
//! is left out is what no rule is about: sandboxes, the counter of generations, damage, strange files.

mod files;
mod session;

use std::path::{Path, PathBuf};

use self::session::Rules;
use super::folders;
use crate::plan::Rule;
use crate::subject::{Owner, Seat, Session, Subject, Traits};

/// Builds the replica, whole or without one rule.
pub(super) fn build(off: Option<Rule>) -> Box<dyn Subject> {
    Box::new(Replica { off })
}

/// The replica as the subject of a run.
#[derive(Debug)]
struct Replica {
    off: Option<Rule>,
}

impl Subject for Replica {
    fn open(&self, seat: Seat) -> Result<Box<dyn Session>, String> {
        if !seat.root.is_dir() {
            return Err(format!("the root {} is not a folder", seat.root.display()));
        }
        Ok(Box::new(Rules::new(seat, self.off)))
    }

    fn traits(&self) -> Traits {
        super::traits(true)
    }

    fn owner(&self, relative: &Path) -> Owner {
        folders::owner(relative)
    }

    fn metadata_path(&self, container: &str) -> PathBuf {
        folders::metadata_path(container)
    }
}
