//! Why a race comes to no verdict.

use std::io;

use crate::ground::GroundError;
use crate::process::spawner::{Harm, SpawnerError};

/// A race that comes to no verdict.
#[derive(Debug, thiserror::Error)]
pub enum RaceError {
    /// What was asked for cannot be done as it was asked for.
    #[error("{0}")]
    Usage(String),
    /// This machine lacks what it needs.
    #[error("{0}")]
    Unsupported(String),
    /// The commands are such that nothing can be claimed of them.
    #[error("{0}")]
    Refused(String),
    /// The harness itself failed.
    #[error("{0}")]
    Failed(String),
}

impl RaceError {
    /// The harness's own failure, at this.
    pub(crate) fn failed(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Failed(format!("{doing}: {error}"))
    }
}

impl From<SpawnerError> for RaceError {
    fn from(error: SpawnerError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<GroundError> for RaceError {
    fn from(error: GroundError) -> Self {
        match error {
            GroundError::Io { .. } => Self::Failed(error.to_string()),
            GroundError::TooLong { .. } => Self::Refused(error.to_string()),
            _ => Self::Usage(error.to_string()),
        }
    }
}

impl From<io::Error> for RaceError {
    fn from(error: io::Error) -> Self {
        let harm = error.get_ref().and_then(|inner| inner.downcast_ref::<Harm>());
        match harm {
            Some(Harm::Signal(_) | Harm::Everybody) => Self::Refused(error.to_string()),
            _ => Self::Failed(format!("the spawner of commands: {error}")),
        }
    }
}
