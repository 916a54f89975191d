//! Enums whose variants people spell in scenarios, options and files: one list gives the spelling, its parser,
//! its serde form and `ALL`, so that they cannot drift apart.

use std::fmt;

/// A word that names no variant, and the words that would have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownWord {
    /// What kind of word was expected, such as "lock backend".
    pub kind: &'static str,
    /// The word that was given.
    pub word: String,
    /// The words that are known.
    pub expected: &'static [&'static str],
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown {} {:?}; expected one of: {}", self.kind, self.word, self.expected.join(", "))
    }
}

impl std::error::Error for UnknownWord {}

/// Defines an enum of words; see the module's documentation.
macro_rules! words {
    (
        $(#[$meta:meta])*
        pub enum $name:ident, $kind:literal {
            $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$variant_meta])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// All variants, in the order in which they are declared.
            pub const ALL: [Self; [$(Self::$variant,)+].len()] = [$(Self::$variant,)+];

            /// The variant as scenarios and options spell it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::UnknownWord {
                        kind: $kind,
                        word: text.to_owned(),
                        expected: &[$($word,)+],
                    }),
                }
            }
        }
    };
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    #[test]
    fn an_unknown_word_is_told_with_the_known_ones() {
        let error = "flok".parse::<crate::LockKind>().unwrap_err().to_string();
        assert!(
            error.starts_with("unknown ") && error.contains("\"flok\"; expected one of: fs2, "),
            "{error}"
        );
    }
}
