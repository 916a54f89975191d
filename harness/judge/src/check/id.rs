//! Which check an examination is of. Reports tell it by its name; everything else asks for the class.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::violation::Class;

/// A check, and so the class of the violations that it yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CheckId {
    /// The check of this class. It has the class's name.
    Of(Class),
    /// The order by generation and revision, which yields what is `not-linearizable`.
    Witness,
}

impl CheckId {
    /// The class of the violations that the check yields.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::Of(class) => class,
            Self::Witness => Class::NotLinearizable,
        }
    }

    /// Its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Of(class) => class.as_str(),
            Self::Witness => "witness",
        }
    }

    /// The check that reports call so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        if name == Self::Witness.as_str() {
            return Some(Self::Witness);
        }
        Class::ALL.into_iter().find(|class| class.as_str() == name).map(Self::Of)
    }
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for CheckId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for CheckId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::named(&name).ok_or_else(|| {
            de::Error::custom(format!("{name:?} is not a check; expected `witness` or a class of violations"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_found_by_its_name_and_by_no_other() {
        for id in Class::ALL.into_iter().map(CheckId::Of).chain([CheckId::Witness]) {
            assert_eq!(CheckId::named(id.as_str()), Some(id));
            let written = serde_json::to_string(&id).unwrap();
            assert_eq!(written, format!("\"{id}\""));
            assert_eq!(serde_json::from_str::<CheckId>(&written).unwrap(), id);
        }
        let error = serde_json::from_str::<CheckId>("\"schedule\"").unwrap_err();
        assert!(error.to_string().contains("is not a check"), "{error}");
    }
}
