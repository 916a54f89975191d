//! Places: what a path or a descriptor is about, and the objects that it stands for.

use std::sync::Arc;

use crate::books::deed::{LockKind, Range};
use crate::explore::step::{Access, Object};

/// Names the permissions of all files, which decide together what can be reached.
pub const ATTRIBUTES: &str = "attributes";

/// An inode: device and number.
pub type Inode = (u64, u64);

/// What kind of file it is, as far as steps depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A directory: its content is its names.
    Folder,
    /// A symbolic link.
    Link,
    /// A regular file.
    File,
    /// A FIFO, a socket or a device: what goes through it is not a matter of files.
    Channel,
}

/// A file that a process has open, or that a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Which it is on disk.
    pub inode: Inode,
    /// Its name in this execution: the same in every execution that began with the same steps.
    pub name: Object,
    /// The path by which it was met, relative to the state folder, as it reads in schedules.
    pub shown: Arc<str>,
    /// Whether it is a regular file, a folder, or neither.
    pub kind: Kind,
}

impl File {
    /// The object that stands for the file's bytes: a reader and a writer of it conflict.
    #[must_use]
    pub fn content(&self) -> Object {
        Object::named(&("content", self.name))
    }

    /// How many names it has, and whether it still has any.
    #[must_use]
    pub fn links(&self) -> Object {
        Object::named(&("links", self.name))
    }

    /// Which entries it has, where it is a folder.
    #[must_use]
    pub fn list(&self) -> Object {
        Object::named(&("list", self.name))
    }

    /// One of its entries, where it is a folder.
    #[must_use]
    pub fn entry(&self, name: &str) -> Object {
        Object::named(&("entry", self.name, name))
    }

    /// One of its locks. Both kinds of `fcntl` lock exclude each other; `flock` knows nothing of them.
    #[must_use]
    pub fn lock(&self, kind: LockKind, range: Range) -> Object {
        match kind {
            LockKind::Flock => Object::named(&("lock", self.name, true)),
            LockKind::Ofd | LockKind::Posix => {
                Object::named(&("lock", self.name, false, range.start, range.end))
            }
        }
    }

    /// Whether it is a folder.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.kind == Kind::Folder
    }
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What is looked at on the way, the last entry included.
    pub way: Vec<(Object, Access)>,
    /// The folder of the last entry; none where the way does not lead that far.
    pub folder: Option<File>,
    /// The last entry's name, as it reads in schedules.
    pub name: String,
    /// The last entry's name, as it is on disk.
    pub name_on_disk: String,
    /// The file at the end of the path, where there is one.
    pub file: Option<File>,
    /// Relative to the state folder, as it reads in schedules.
    pub shown: Arc<str>,
}

impl Place {
    /// Whether a step that touches this may change where the path leads.
    #[must_use]
    pub fn depends_on(&self, touches: &[(Object, Access)]) -> bool {
        let hits = |(object, access): &(Object, Access)| {
            touches.iter().any(|(touched, how)| touched == object && access.conflicts(*how))
        };
        self.way.iter().any(hits)
    }
}
