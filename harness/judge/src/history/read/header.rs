//! The first line: version, model, and the containers with their first statuses.

use std::fmt;

use flockwork::Status;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::value::{clipped, shown, syntax, whole, word};
use crate::history::{Clock, Deaths, FORMAT_VERSION, Start, Window};
use crate::model::Builtin;

/// What belongs there.
pub(super) const EXPECTED: &str =
    "expected a header {\"flockwork_history\":1,\"model\":\"runsc\",\"initial\":{\"c1\":\"absent\"}}";

/// The latest version of the form. Of containers it says what the first one does.
const VERSION_MAX: u64 = 2;

/// What the first line of a history says of those that follow.
#[derive(Debug)]
pub(super) struct Header {
    pub model: Option<Builtin>,
    pub deaths: Option<Deaths>,
    /// Which part of a run it holds.
    pub window: Option<Window>,
    pub clock: Clock,
    /// In the order in which the header has them: it is that of the records' indexes.
    pub initial: Vec<(String, Start)>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    flockwork_history: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    deaths: Option<&'a RawValue>,
    #[serde(borrow)]
    initial: Option<&'a RawValue>,
    #[serde(borrow)]
    window: Option<&'a RawValue>,
    #[serde(borrow)]
    clock: Option<&'a RawValue>,
    op: Option<IgnoredAny>,
}

pub(super) fn parse(line: &str) -> Result<Header, String> {
    let fields: Fields<'_> =
        serde_json::from_str(line).map_err(|error| format!("{}; {EXPECTED}", syntax(line, &error)))?;
    let Some(version) = fields.flockwork_history else {
        let found = if fields.op.is_some() { "an operation" } else { "an object without flockwork_history" };
        return Err(format!("found {found}; {EXPECTED}"));
    };
    let version = whole("flockwork_history", version, 0..=u64::MAX)?;
    if version > VERSION_MAX {
        return Err(format!(
            "version {version} of the format is newer than this flockwork, which reads up to version {VERSION_MAX}"
        ));
    }
    if version < u64::from(FORMAT_VERSION) {
        return Err(format!("version {version} of the format; expected {FORMAT_VERSION} or {VERSION_MAX}"));
    }
    Ok(Header {
        model: fields.model.map(model).transpose()?,
        deaths: fields.deaths.map(|raw| word("deaths", raw, &Deaths::ALL, Deaths::as_str)).transpose()?,
        window: fields.window.map(window).transpose()?,
        clock: fields
            .clock
            .map_or(Ok(Clock::default()), |raw| word("clock", raw, &Clock::ALL, Clock::as_str))?,
        initial: fields.initial.map_or(Ok(Vec::new()), initial)?,
    })
}

fn model(raw: &RawValue) -> Result<Builtin, String> {
    word("model", raw, &Builtin::ALL, Builtin::as_str)
        .map_err(|what| format!("{what}; leave it out for a model of your own, and name that to the judge"))
}

fn window(raw: &RawValue) -> Result<Window, String> {
    let expected = "expected a window such as {\"from_ns\":10,\"to_ns\":90}";
    let window: Option<Window> = serde_json::from_str(raw.get()).ok();
    window
        .filter(|window| window.from_ns <= window.to_ns)
        .ok_or_else(|| format!("window: {expected}, found {}", shown(raw.get())))
}

fn initial(raw: &RawValue) -> Result<Vec<(String, Start)>, String> {
    let expected = "expected containers and their first statuses, such as {\"c1\":\"absent\"}";
    let pairs: Pairs<'_> = serde_json::from_str(raw.get())
        .map_err(|_| format!("initial: {expected}, found {}", shown(raw.get())))?;
    let named = |(name, raw): (String, &RawValue)| {
        let field = format!("initial: {}", clipped(&name));
        let all: Vec<_> =
            [Start::Absent].into_iter().chain(Status::ALL.map(Start::At)).chain([Start::Unknown]).collect();
        let start = word(&field, raw, &all, Start::as_str)?;
        Ok((name, start))
    };
    pairs.0.into_iter().map(named).collect()
}

/// An object's entries, in its order.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    pairs.push((name, value));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
