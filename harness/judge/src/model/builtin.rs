//! The models that flockwork knows by name.

use std::fmt;

use strum::{EnumCount, VariantArray};

use crate::words::every;

/// A model that is compiled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumCount, VariantArray)]
pub enum Builtin {
    /// The library's own, and gVisor's runsc since it locks.
    Runsc,
    /// The OCI runtime specification's, with runc's pause and resume.
    Oci,
}

impl Builtin {
    /// All models that need no file.
    pub const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// Its name, as histories and the command line spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Runsc => "runsc",
            Self::Oci => "oci",
        }
    }

    /// The model of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|builtin| builtin.as_str() == name)
    }
}

impl fmt::Display for Builtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
