//! Why a command ended before it had a result.

use crate::report::exit::Exit;

/// An exit code with the words that explain it.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The words.
    pub message: String,
}

impl Failure {
    /// A failure.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
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
