//! What can go wrong with control.

use std::borrow::Cow;
use std::io;

use crate::engine::EngineError;

/// Why an execution could not be run: never the subject's fault, unless it does what cannot be controlled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// The machine or the harness.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A process does something that cannot be controlled.
    #[error("p{process} {what} in {operation}: such a subject cannot be explored")]
    Escape {
        /// Who, counted from 1.
        process: usize,
        /// What.
        what: Cow<'static, str>,
        /// During which operation.
        operation: String,
    },
    /// A process ran on without a system call.
    #[error(
        "p{process} (pid {pid}) ran for {seconds} s without a system call after {last}; set explore.step_limit to allow more"
    )]
    Runaway {
        /// Who, counted from 1.
        process: usize,
        /// Its pid.
        pid: u32,
        /// How long it was allowed.
        seconds: f64,
        /// Its last step.
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

impl From<ControlError> for EngineError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Unsupported(why) => Self::Unsupported(why),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// What control gives.
pub(super) type Result<T, E = ControlError> = std::result::Result<T, E>;
