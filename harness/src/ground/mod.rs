//! The ground: what commands change, put back to what it was between one execution and the next.
//!
//! The user's own folders are only ever read. Executions work on copies, which are put back from what they were at first: of
//! a file that nobody touched, not even the content is read again.

mod backup;
mod capture;
mod copy;
mod folder;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

pub use backup::{Backup, Restored, restore_left};
pub use capture::{Body, Capture, Entry, Kind, LARGE_BYTES};
pub use copy::{BYTES_MAX, copied_bytes, copy};
pub use folder::Folders;
pub(crate) use folder::put_back_from;

/// What executions start from, over and over again.
pub trait Ground {
    /// Takes what lies there now as that to which everything is put back.
    fn settle(&mut self) -> Result<(), GroundError>;

    /// Puts everything back.
    fn put_back(&mut self) -> Result<(), GroundError>;

    /// What lies there now, a capture for each part, in an order that never changes.
    fn capture(&mut self) -> Result<Vec<Capture>, GroundError>;
}

/// The ground cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum GroundError {
    /// The folder is not there.
    #[error("{path}: no such folder; make it, or name another as the state", path = path.display())]
    Absent {
        /// The path that the user named and that does not exist.
        path: PathBuf,
    },
    /// What is there is no folder.
    #[error("{path}: expected a folder, found {found}", path = path.display())]
    NoFolder {
        /// The path that the user named as a folder.
        path: PathBuf,
        /// What lies there instead: `a file`, `a socket`.
        found: &'static str,
    },
    /// There is more than is copied.
    #[error(
        "{path}: it holds more than {limit_mb} MB, which is too much to be put back for every execution; name a smaller \
         folder as the state, such as the part that the commands change, or keep caches elsewhere",
        path = path.display()
    )]
    TooLarge {
        /// The folder that holds more than may be copied.
        path: PathBuf,
        /// The limit, in millions of bytes.
        limit_mb: u64,
    },
    /// Something lies there that cannot be copied.
    #[error(
        "{path}: it is {found}, which no copy can stand for; remove it, or name a folder without it as the state",
        path = path.display()
    )]
    Uncopied {
        /// What cannot be copied, by its path.
        path: PathBuf,
        /// The kind of thing that it is: `a device`.
        found: &'static str,
    },
    /// Commands made a file that is too long to be read.
    #[error("{path}: it is {bytes} bytes long, holes included, which is too long to be compared", path = path.display())]
    TooLong {
        /// The file, by its path within the folder.
        path: PathBuf,
        /// Its length, in bytes.
        bytes: u64,
    },
    /// The system refused.
    #[error("{path}: {doing}: {source}", path = path.display())]
    Io {
        /// The path at fault.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl GroundError {
    /// What the system said of a path.
    pub(crate) fn io(path: impl Into<PathBuf>, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, doing, source }
    }
}
