//! What can go wrong with control.

use std::borrow::Cow;
use std::io;
use std::panic::Location;

use crate::engine::EngineError;

/// Why an execution could not be run: never the subject's fault, unless it does what cannot be controlled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// The machine or the harness. An error of the system names no place, so that of the harness stands for it.
    #[error("{}", placed(.0, .1))]
    Io(io::Error, &'static Location<'static>),
    /// A process does something that cannot be controlled.
    #[error("p{process} {what} in {operation}: such a subject cannot be explored")]
    Escape {
        /// Who, counted from 1.
        process: usize,
        /// What it did that nobody can control.
        what: Cow<'static, str>,
        /// The operation that it was at.
        operation: String,
    },
    /// A process ran on without a system call.
    #[error(
        "p{process} (pid {pid}) ran for {seconds} s without a system call after {last}; set explore.step_limit to allow more"
    )]
    Runaway {
        /// Who, counted from 1.
        process: usize,
        /// The process that ran too long between two stops.
        pid: u32,
        /// How long it was allowed.
        seconds: f64,
        /// The last step that it took before.
        last: String,
    },
    /// A process said that it had answered, and no answer could be read.
    #[error("the answer of p{process} could not be read: the harness is at fault")]
    Lost {
        /// Who, counted from 1.
        process: usize,
    },
    /// The fork server said so.
    #[error("{0}")]
    ForkServer(String),
    /// The kernel, or whoever restricts it, lets no process be controlled.
    #[error("{0}")]
    Unsupported(String),
}

impl From<io::Error> for ControlError {
    #[track_caller]
    fn from(error: io::Error) -> Self {
        Self::Io(error, Location::caller())
    }
}

fn placed(error: &io::Error, at: &Location<'_>) -> String {
    match error.raw_os_error() {
        Some(_) => format!("processes cannot be controlled: {error}{} (at {at})", way_out(error)),
        None => error.to_string(),
    }
}

/// What a person does next whom the system gave this error.
fn way_out(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => "; raise the limit of open files (ulimit -n)",
        Some(libc::EAGAIN) => "; raise the limit of processes (ulimit -u) or of the cgroup (pids.max)",
        Some(libc::ENOSPC | libc::EDQUOT) => "; free some space below --root",
        _ => "",
    }
}

impl From<ControlError> for EngineError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Unsupported(why) => Self::Unsupported(why),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// What comes of a request to controlled processes, which may end or escape.
pub(super) type Result<T, E = ControlError> = std::result::Result<T, E>;
