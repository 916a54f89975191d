//! Container ids and their rules. An id names a folder beneath the root, so it must never be able to name anything
//! else: no separator, neither `.` nor `..`, no more than one file name can hold.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Error, Result};

/// The name of a container: 1 to 255 bytes of `A-Z a-z 0-9 _ + . -`, and neither `.` nor `..`.
///
/// ```
/// use flockwork::ContainerId;
///
/// assert!("web-1".parse::<ContainerId>().is_ok());
/// assert!("../web".parse::<ContainerId>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ContainerId(Box<str>);

impl ContainerId {
    /// The most bytes an id can have: those of one file name.
    pub const MAX_BYTES: usize = 255;

    /// Checks the rules and makes an id of `text`.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self> {
        let text = text.into();
        match fault(&text) {
            None => Ok(Self(text)),
            Some(why) => Err(Error::InvalidId { id: text.into(), why }),
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is wrong with `text` as an id.
fn fault(text: &str) -> Option<&'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'.' | b'-');
    match text {
        "" => Some("it is empty"),
        "." | ".." => Some("it names a folder"),
        _ if text.len() > ContainerId::MAX_BYTES => Some("it is longer than 255 bytes"),
        _ if !text.bytes().all(allowed) => Some("only A-Z a-z 0-9 _ + . - are allowed"),
        _ => None,
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ContainerId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

impl TryFrom<&str> for ContainerId {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

impl TryFrom<String> for ContainerId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for ContainerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Box::<str>::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_the_rules() {
        let long = "x".repeat(255);
        for good in ["a", "c1", "a.b", "...", "-", "A_b+c.9-", ".hidden", &long] {
            let id = ContainerId::new(good).expect(good);
            assert_eq!((id.as_ref(), id.to_string().as_str()), (good, good), "{good:?} is an id");
        }
        let too_long = "x".repeat(256);
        for bad in ["", ".", "..", "a/b", "/", "a b", "~generation", "ä", "a\0", "a\n", &too_long] {
            assert!(ContainerId::new(bad).is_err(), "{bad:?} is no id");
        }
    }
}
