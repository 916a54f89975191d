//! `rules`: the library's own protocol in small, whole or with one of its rules switched off.
//!
//! It exists to show that every rule is needed: the explorer finds nothing in `rules`, and a broken promise in each
//! `rules-without-…`. The library itself has no such switches. Steps are in the library's order (docs/protocol.md); what
//! is left out is what no rule is about: sandboxes, the counter of generations, damage, strange files.

mod files;
mod session;

use std::path::{Path, PathBuf};

use strum::{EnumCount, VariantArray};

use self::session::Rules;
use super::folders;
use crate::subject::{Owner, Seat, Session, Subject, Traits};
use crate::words::every;

/// The name of the replica that keeps all rules.
const NAME: &str = "rules";

/// A rule that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumCount, VariantArray)]
enum Rule {
    /// After the lock is taken, the locked inode is compared with the one at the path.
    Recheck,
    /// The status that is checked is read under the lock.
    FreshStatus,
    /// The lock is held until the save is done.
    LockedSave,
    /// A temporary file belongs to one lock.
    OwnTemporary,
    /// A container is deleted under its lock.
    LockedDelete,
    /// A create that fails removes what it made.
    CleanCreate,
    /// What a killed holder left is cleared by the next.
    ClearedLeftovers,
}

impl Rule {
    const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// The name of the replica without it.
    const fn replica(self) -> &'static str {
        match self {
            Self::Recheck => "rules-without-recheck",
            Self::FreshStatus => "rules-without-fresh-status",
            Self::LockedSave => "rules-without-locked-save",
            Self::OwnTemporary => "rules-without-own-temporary",
            Self::LockedDelete => "rules-without-locked-delete",
            Self::CleanCreate => "rules-without-clean-create",
            Self::ClearedLeftovers => "rules-without-cleared-leftovers",
        }
    }
}

/// Names of the replica and of all its broken forms.
pub fn names() -> impl Iterator<Item = &'static str> {
    std::iter::once(NAME).chain(Rule::ALL.map(Rule::replica))
}

/// The replica of that name, where it is one of these.
pub fn build(name: &str) -> Option<Box<dyn Subject>> {
    let off = Rule::ALL.into_iter().find(|rule| rule.replica() == name);
    (off.is_some() || name == NAME).then(|| Box::new(Replica { off }) as Box<dyn Subject>)
}

/// The replica as the subject of a run.
#[derive(Debug)]
struct Replica {
    off: Option<Rule>,
}

impl Subject for Replica {
    fn open(&self, seat: Seat) -> Result<Box<dyn Session>, String> {
        if !seat.root.is_dir() {
            return Err(format!("the root {} is no folder", seat.root.display()));
        }
        Ok(Box::new(Rules::new(seat, self.off)))
    }

    fn traits(&self) -> Traits {
        super::traits()
    }

    fn owner(&self, relative: &Path) -> Owner {
        folders::owner(relative)
    }

    fn allows_lock_free_audit(&self) -> bool {
        true
    }

    fn metadata_path(&self, container: &str) -> PathBuf {
        folders::metadata_path(container)
    }
}
