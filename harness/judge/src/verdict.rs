//! What was seen, in one word.

use serde::Serialize;

/// What was seen, whether expected or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything was judged, and no promise was broken.
    Clean,
    /// A promise was broken.
    Violation,
    /// No violation, and no right to call it clean.
    Inconclusive,
    /// It did not run.
    Error,
}

impl Verdict {
    /// The verdict as reports spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Violation => "violation",
            Self::Inconclusive => "inconclusive",
            Self::Error => "error",
        }
    }
}
