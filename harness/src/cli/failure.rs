//! Why a command ended before it had a result.

use std::io;

use crate::report::exit::Exit;

/// An exit code with the words that explain it.
#[derive(Debug)]
pub struct Failure {
    /// The code with which the command ends.
    pub exit: Exit,
    /// What went wrong and what to do about it, as one paragraph for people.
    pub message: String,
}

impl Failure {
    /// A failure that ends the command with this exit code and these words.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// Nothing can be started here: the zygote was not forked.
    #[must_use]
    pub fn no_zygote(error: &io::Error) -> Self {
        let (exit, way_out) = match error.kind() {
            io::ErrorKind::Unsupported => (Exit::Unsupported, ""),
            io::ErrorKind::WouldBlock => {
                (Exit::Unsupported, "; raise the limit of processes (ulimit -u) or of the cgroup (pids.max)")
            }
            _ => (Exit::HarnessFailed, ""),
        };
        Self::new(exit, format!("no process can be started: {error}{way_out}"))
    }
}

impl From<crate::results::ResultsError> for Failure {
    fn from(error: crate::results::ResultsError) -> Self {
        Self::new(Exit::HarnessFailed, error.to_string())
    }
}

impl From<crate::scenario::FindError> for Failure {
    fn from(error: crate::scenario::FindError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}
