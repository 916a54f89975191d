//! The one error type of the library. Each message names the container, the file and the way out; each refusal
//! carries what was seen, so that a history can order it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;

use crate::ContainerId;
use crate::lock::Holder;
use crate::metadata::Stamp;
use crate::printable::printable;
use crate::status::{Operation, Refusal, Status};

/// What the library's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation was refused, or failed. Either way it changed nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Refused: create found the container there already.
    #[error("container {id} already exists ({seen}): choose another id, or delete it first")]
    AlreadyExists {
        /// The id that is taken.
        id: ContainerId,
        /// The life that was found.
        seen: Stamp,
    },
    /// Refused: the container is absent.
    #[error("container {id} does not exist")]
    NotFound {
        /// The id, or the prefix that no id has.
        id: ContainerId,
    },
    /// Refused: a prefix that several containers share.
    #[error("{prefix} begins several ids: {}; give more of the id", list(candidates))]
    Ambiguous {
        /// The beginning that several ids share.
        prefix: String,
        /// Every id it may mean.
        candidates: Vec<ContainerId>,
    },
    /// Refused: the container's status does not permit the operation.
    #[error("cannot {operation} container {id}: it is {seen}{}", way_out(*operation, *status))]
    WrongStatus {
        /// The container whose status does not permit the operation.
        id: ContainerId,
        /// The operation that was refused.
        operation: Operation,
        /// The status that forbids it.
        status: Status,
        /// The save that the status was read from.
        seen: Stamp,
    },
    /// The lock was not to be had within the bound.
    #[error("{} is locked{}; waited {waited:?}", shown(path), by(holder.as_ref()))]
    Locked {
        /// The lock file that somebody else holds.
        path: PathBuf,
        /// Who holds it, where that can be found out.
        holder: Option<Holder>,
        /// How long was waited.
        waited: Duration,
    },
    /// A file is not what the library wrote. It is left as it is.
    #[error("{} is corrupt: {}", shown(path), printable(why))]
    Corrupt {
        /// The metadata file that cannot be read as such.
        path: PathBuf,
        /// What is wrong with it, with line and column where there are any, and the way out.
        why: String,
    },
    /// A text that is no container id.
    #[error("{id:?} is not a container id: {why}")]
    InvalidId {
        /// The text that is no id.
        id: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// This machine, this filesystem or this combination of options cannot do it.
    #[error("{}: {}", shown(path), printable(why))]
    Unsupported {
        /// The file or folder whose filesystem lacks what the library needs.
        path: PathBuf,
        /// What is lacking, and the way out.
        why: String,
    },
    /// The container did not stop within the time that wait was given.
    #[error("container {id} is still {} after {waited:?} ({seen})", seen.status)]
    TimedOut {
        /// The container whose lock was not free in time.
        id: ContainerId,
        /// How long was waited.
        waited: Duration,
        /// The newest save that was seen.
        seen: Stamp,
    },
    /// The sandbox could not do what the operation asked of it.
    #[error("cannot {operation} container {id}: its sandbox failed: {}", printable(&source.to_string()))]
    Sandbox {
        /// The container whose sandbox reported the error.
        id: ContainerId,
        /// The operation that needed the sandbox.
        operation: Operation,
        /// The sandbox's own words.
        source: io::Error,
    },
    /// A system call failed.
    #[error("cannot {action} {}: {source}{}", shown(path), hint(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was to be done with it.
        action: &'static str,
        /// The system's own words.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self::Io { path: path.into(), action, source: source.into() }
    }

    pub(crate) fn corrupt(path: impl Into<PathBuf>, why: impl fmt::Display) -> Self {
        Self::Corrupt { path: path.into(), why: why.to_string() }
    }

    pub(crate) fn unsupported(path: impl Into<PathBuf>, why: impl fmt::Display) -> Self {
        Self::Unsupported { path: path.into(), why: why.to_string() }
    }

    /// The reason, where this is a refusal of the transition table rather than a failure.
    #[must_use]
    pub const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::AlreadyExists { .. } => Some(Refusal::Exists),
            Self::NotFound { .. } => Some(Refusal::Absent),
            Self::WrongStatus { .. } => Some(Refusal::Status),
            _ => None,
        }
    }

    /// The save that a refusal was decided on.
    #[must_use]
    pub const fn seen(&self) -> Option<Stamp> {
        match self {
            Self::AlreadyExists { seen, .. }
            | Self::WrongStatus { seen, .. }
            | Self::TimedOut { seen, .. } => Some(*seen),
            _ => None,
        }
    }

    /// The file or folder the error is about.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Locked { path, .. }
            | Self::Corrupt { path, .. }
            | Self::Unsupported { path, .. }
            | Self::Io { path, .. } => Some(path),
            _ => None,
        }
    }
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy()).to_string()
}

fn list(ids: &[ContainerId]) -> String {
    ids.iter().map(ContainerId::as_str).collect::<Vec<_>>().join(", ")
}

fn by(holder: Option<&Holder>) -> String {
    holder.map_or_else(
        || " (the system does not say by which process)".to_owned(),
        |holder| format!(" by {holder}"),
    )
}

/// What a person does next who got this refusal.
const fn way_out(operation: Operation, status: Status) -> &'static str {
    match (operation, status) {
        (Operation::Delete, _) => "; kill it first, or delete it with force",
        (Operation::Resume, _) => "; only a paused container can be resumed",
        (Operation::Pause, Status::Paused) => "; resume it first",
        (Operation::Start | Operation::Restore, _) => "; only a created container can be started",
        (_, Status::Stopped) => "; its sandbox has ended",
        _ => "",
    }
}

/// What a person does next whom the system gave this error.
fn hint(source: &io::Error) -> &'static str {
    match Errno::from_io_error(source) {
        Some(Errno::NOSPC | Errno::DQUOT) => "; free some space, nothing was changed",
        Some(Errno::ROFS) => "; the filesystem is mounted read-only",
        Some(Errno::ACCESS | Errno::PERM) => "; run as the owner of the root folder",
        Some(Errno::MFILE | Errno::NFILE) => "; raise the limit of open files (ulimit -n)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do_instead() {
        for (operation, status, expected) in [
            (Operation::Delete, Status::Running, "kill it first, or delete it with force"),
            (Operation::Delete, Status::Paused, "kill it first, or delete it with force"),
            (Operation::Resume, Status::Running, "only a paused container can be resumed"),
            (Operation::Resume, Status::Stopped, "only a paused container can be resumed"),
            (Operation::Pause, Status::Paused, "resume it first"),
            (Operation::Pause, Status::Stopped, "its sandbox has ended"),
            (Operation::Start, Status::Running, "only a created container can be started"),
            (Operation::Restore, Status::Stopped, "only a created container can be started"),
            (Operation::Kill, Status::Stopped, "its sandbox has ended"),
        ] {
            assert_eq!(way_out(operation, status), format!("; {expected}"), "{operation} of {status}");
        }
        assert_eq!(way_out(Operation::Checkpoint, Status::Created), "");
    }

    #[test]
    fn an_error_of_the_system_says_what_helps() {
        for (errno, expected) in [
            (Errno::NOSPC, "; free some space, nothing was changed"),
            (Errno::DQUOT, "; free some space, nothing was changed"),
            (Errno::ROFS, "; the filesystem is mounted read-only"),
            (Errno::ACCESS, "; run as the owner of the root folder"),
            (Errno::PERM, "; run as the owner of the root folder"),
            (Errno::MFILE, "; raise the limit of open files (ulimit -n)"),
            (Errno::NFILE, "; raise the limit of open files (ulimit -n)"),
            (Errno::IO, ""),
        ] {
            assert_eq!(hint(&errno.into()), expected, "{errno:?}");
        }
    }
}
