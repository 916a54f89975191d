//! Why an invocation of runsc did not do what it is for, in the original's words, and what the harness makes of it.

use std::io;
use std::path::PathBuf;

use flockwork::{Operation, Status};

use super::container::RunscStatus;
use crate::answer::errno_of;
use crate::history::{Outcome, Reason};
use crate::subject::Answer;

/// What an operation saw or left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The status; `None` where the container is absent.
    pub status: Option<Status>,
    /// The generation that the operation left or found.
    pub generation: Option<u64>,
    /// The revision that the operation left or found.
    pub revision: Option<u64>,
}

/// Why an invocation did not do what it is for.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Create found the container.
    #[error("container with id {0:?} already exists")]
    Exists(String),
    /// Load found no container: no folder, or none with metadata in it. The original cannot tell these two apart.
    #[error("error loading container {0:?}: file does not exist")]
    Absent(String),
    /// The id is a prefix of several.
    #[error("id {partial:?} is ambiguous and could refer to multiple containers: {first:?}, {second:?}")]
    Ambiguous {
        /// The beginning of an id, as it was asked for.
        partial: String,
        /// One that begins so.
        first: String,
        /// Another container whose id begins so.
        second: String,
    },
    /// The loaded copy's status does not permit it.
    #[error("cannot {action} container {id:?} in state {status}")]
    Status {
        /// What cannot be done.
        action: &'static str,
        /// The container whose status does not permit the operation.
        id: String,
        /// The status that it had when it was looked at.
        status: RunscStatus,
        /// What the copy held that was looked at.
        seen: Seen,
    },
    /// Delete without force found the container alive.
    #[error("cannot delete container that is not stopped without --force flag")]
    Alive(Seen),
    /// The metadata could not be parsed.
    #[error("error unmarshaling container metadata from {path:?}: {why}")]
    Corrupt {
        /// The file that could not be parsed.
        path: PathBuf,
        /// What the parser said.
        why: String,
    },
    /// A file operation went wrong.
    #[error("{doing} {path:?}: {source}")]
    Io {
        /// What it was for.
        doing: &'static str,
        /// The file or folder that the call was about.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// List found a name whose container it could not load.
    #[error("error loading container {id:?} for the list: {source}")]
    Unlisted {
        /// The name that the list had and that could not be loaded.
        id: String,
        /// Why it could not be loaded.
        source: Box<Self>,
    },
    /// The create was one of those that are to fail.
    #[error("cannot create container {0:?}: {1}")]
    BadBundle(String, &'static str),
    /// A replica cannot do it, for lack of a process.
    #[error("{0} concerns a sandbox's process, and {1} has none: leave {0} out of the mix")]
    Unsupported(Operation, &'static str),
}

impl Failure {
    /// For `map_err`: a file operation went wrong.
    pub fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }

    fn reason(&self) -> Reason {
        match self {
            Self::Exists(_) => Reason::Exists,
            Self::Absent(_) => Reason::Absent,
            Self::Ambiguous { .. } => Reason::Ambiguous,
            Self::Status { .. } | Self::Alive(_) => Reason::Status,
            Self::Corrupt { .. } => Reason::Corrupt,
            Self::Io { .. } => Reason::Io,
            // A name without a container is refused to whoever asks for it, but to list it is an error.
            Self::Unlisted { source, .. } => match source.reason() {
                Reason::Absent => Reason::Io,
                reason => reason,
            },
            Self::BadBundle(..) | Self::Unsupported(..) => Reason::Other,
        }
    }

    fn seen(&self) -> Seen {
        match self {
            Self::Status { seen, .. } | Self::Alive(seen) => *seen,
            _ => Seen::default(),
        }
    }
}

/// The answer of an invocation that ended so.
pub fn answer(result: Result<Seen, Failure>) -> Answer {
    let (outcome, seen, failure) = match result {
        Ok(seen) => (Outcome::Ok, seen, None),
        Err(failure) => match failure.reason() {
            Reason::Exists | Reason::Absent | Reason::Ambiguous | Reason::Status => {
                (Outcome::Refused, failure.seen(), Some(failure))
            }
            Reason::Corrupt | Reason::Locked | Reason::Sandbox | Reason::Io | Reason::Other => {
                (Outcome::Failed, failure.seen(), Some(failure))
            }
        },
    };
    let Seen { status, generation, revision } = seen;
    let reason = failure.as_ref().map(Failure::reason);
    // Refusals are frequent, and their reason says it all.
    let failure = failure.filter(|_| outcome == Outcome::Failed);
    let errno = failure.as_ref().and_then(|failure| errno_of(failure));
    let message = failure.map(|failure| failure.to_string());
    Answer { outcome, reason, status, generation, revision, message, errno }
}
