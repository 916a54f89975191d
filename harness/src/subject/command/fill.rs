//! Placeholders of commands: `{object}`, `{value}`, `{state}`, `{process}`, `{n}`.

use serde_json::Value as Json;
use strum::{EnumCount, VariantArray};

use crate::words::{every, nearest};

/// A word that stands between braces and means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumCount, VariantArray)]
pub enum Placeholder {
    /// The object's name.
    Object,
    /// The operation's value.
    Value,
    /// Of a pair the value that is expected.
    From,
    /// Of a pair the value that is written.
    To,
    /// The path of the state folder.
    State,
    /// The process's number, from 1.
    Process,
    /// The operation's number among those of its process, from 1.
    Number,
    /// The path of a watched file.
    File,
}

impl Placeholder {
    /// All placeholders, in the order in which messages name them.
    pub const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// As commands spell it, without its braces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Value => "value",
            Self::From => "from",
            Self::To => "to",
            Self::State => "state",
            Self::Process => "process",
            Self::Number => "n",
            Self::File => "file",
        }
    }

    /// The one of this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|placeholder| placeholder.as_str() == word)
    }
}

/// What placeholders stand for. What is not told is left as it was written.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Placeholders<'a> {
    /// `{state}`: the path of the state folder.
    pub state: &'a str,
    /// `{object}`: the object's name.
    pub object: Option<&'a str>,
    /// `{value}`: the operation's value; of a pair also `{from}` and `{to}`.
    pub value: Option<&'a Json>,
    /// `{process}`: the process's number, from 1.
    pub process: Option<u32>,
    /// `{n}`: the operation's number among those of its process, from 1.
    pub number: Option<u64>,
    /// `{file}`: the path of a watched file.
    pub file: Option<&'a str>,
}

impl Placeholders<'_> {
    /// A text with what its placeholders stand for.
    #[must_use]
    pub fn fill(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut done = 0;
        for (at, name) in braced(text) {
            let Some(stands_for) = self.stands_for(name) else { continue };
            filled.push_str(&text[done..at]);
            filled.push_str(&stands_for);
            done = at + name.len() + 2;
        }
        filled.push_str(&text[done..]);
        filled
    }

    fn stands_for(&self, name: &str) -> Option<String> {
        let part = |key: &str| self.value.and_then(|value| value.get(key));
        match Placeholder::named(name)? {
            Placeholder::State => Some(self.state.to_owned()),
            Placeholder::Object => self.object.map(str::to_owned),
            Placeholder::Value => self.value.map(shown),
            Placeholder::From | Placeholder::To => part(name).map(shown),
            Placeholder::Process => self.process.map(|process| process.to_string()),
            Placeholder::Number => self.number.map(|number| number.to_string()),
            Placeholder::File => self.file.map(str::to_owned),
        }
    }
}

/// A value as a command finds it: a text without quotes, all else as JSON.
#[must_use]
pub fn shown(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether a text has this placeholder.
#[must_use]
pub fn has(text: &str, placeholder: &str) -> bool {
    braced(text).any(|(_, name)| name == placeholder)
}

/// Checks a text for placeholders that mean nothing here; the error says which, and what the nearest is.
pub fn check(text: &str, known: &[&str]) -> Result<(), String> {
    for (_, name) in braced(text) {
        if known.contains(&name) {
            continue;
        }
        if Placeholder::named(name).is_some() {
            return Err(format!("{{{name}}} stands for nothing here; expected {}", braces(known)));
        }
        // Braces mean many things to many programs; only what looks like a slip is one.
        let is_near = |near: &&str| name.len() > 2 && nearest(name, [*near]).is_some();
        if let Some(near) = nearest(name, known.iter().copied()).filter(is_near) {
            return Err(format!("{{{name}}} is not a placeholder; the nearest is {{{near}}}"));
        }
    }
    Ok(())
}

fn braces(known: &[&str]) -> String {
    known.iter().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(", ")
}

/// What stands between braces, with the place of the opening one. `${name}` is the shell's.
fn braced(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.match_indices('{').filter_map(move |(at, _)| {
        if text[..at].ends_with('$') {
            return None;
        }
        let inner = &text[at + 1..];
        let name = &inner[..inner.find('}')?];
        (!name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric())).then_some((at, name))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_placeholder_stands_for_what_it_says() {
        let value = json!({"from": 1, "to": "b"});
        let all = Placeholders {
            state: "/s",
            object: Some("x"),
            value: Some(&value),
            process: Some(3),
            number: Some(7),
            file: None,
        };
        assert_eq!(
            all.fill("{state}/{object} {from}>{to} p{process}.{n} {value}"),
            r#"/s/x 1>b p3.7 {"from":1,"to":"b"}"#
        );
        assert_eq!(all.fill("${state} {file} {} {a,b} {"), "${state} {file} {} {a,b} {");
        let text = json!("plain");
        assert_eq!(Placeholders { value: Some(&text), ..all }.fill("{value}"), "plain");
    }

    #[test]
    fn a_slip_is_told() {
        let known = ["object", "value", "state"];
        assert!(check("{object} {x} {1} {} ${vale}", &known).is_ok());
        let error = check("tool {objct}", &known).unwrap_err();
        assert_eq!(error, "{objct} is not a placeholder; the nearest is {object}");
        assert!(check("tool {process}", &known).unwrap_err().contains("stands for nothing here"));
    }
}
