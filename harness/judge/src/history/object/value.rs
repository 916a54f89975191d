//! Values: any JSON, as one word each. Equal words are equal values and the reverse.
//!
//! Whole numbers, `null`, `true` and `false` are the word itself; everything else is a text kept once, in a form that
//! does not depend on how it was written: keys sorted, no spaces, escapes resolved, `1.0` as `1`.

use std::fmt::{self, Write as _};
use std::num::NonZeroU64;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A value, which [`Values`] can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(NonZeroU64);

const WHOLE: u64 = 1;
const TEXT: u64 = 2;
const WORD: u64 = 3;
const LIST: u64 = 4;
const TAG_BITS: u32 = 3;
const WHOLE_MAX: i64 = (1 << 60) - 1;
const NULL: u64 = 0;
const FALSE: u64 = 1;
const TRUE: u64 = 2;
const UNNAMED: u64 = 3;
/// How deep a value may be nested.
pub const DEPTH_MAX: usize = 64;

impl Value {
    /// JSON's `null`, which is a value like any other: not the same as one that was not told.
    pub const NULL: Self = Self::of(NULL, WORD);

    /// A value that no history names: it stands for all of which nothing is known but that they are none of those.
    pub(crate) const UNNAMED: Self = Self::of(UNNAMED, WORD);

    const fn of(payload: u64, tag: u64) -> Self {
        match NonZeroU64::new(payload << TAG_BITS | tag) {
            Some(word) => Self(word),
            None => unreachable!(),
        }
    }

    /// A whole number; `None` beyond 2^60, where a number is kept as a text.
    #[must_use]
    #[expect(clippy::cast_sign_loss, reason = "the sign comes back by an arithmetic shift")]
    pub const fn whole(number: i64) -> Option<Self> {
        if number > WHOLE_MAX || number < -WHOLE_MAX {
            return None;
        }
        Some(Self::of(number as u64, WHOLE))
    }

    /// `true` or `false`.
    #[must_use]
    pub const fn truth(is_true: bool) -> Self {
        Self::of(if is_true { TRUE } else { FALSE }, WORD)
    }

    /// The whole number that it is.
    #[must_use]
    #[expect(clippy::cast_possible_wrap, reason = "the sign comes back by an arithmetic shift")]
    pub const fn as_whole(self) -> Option<i64> {
        let word = self.0.get();
        if word & ((1 << TAG_BITS) - 1) == WHOLE { Some(word as i64 >> TAG_BITS) } else { None }
    }

    /// Whether it is `true`, if it is one of the two.
    #[must_use]
    pub fn as_truth(self) -> Option<bool> {
        match self {
            value if value == Self::truth(true) => Some(true),
            value if value == Self::truth(false) => Some(false),
            _ => None,
        }
    }

    const fn payload(self) -> usize {
        (self.0.get() >> TAG_BITS) as usize
    }

    const fn tag(self) -> u64 {
        self.0.get() & ((1 << TAG_BITS) - 1)
    }
}

/// Where values are kept.
#[derive(Clone, Debug, Default)]
pub struct Values {
    texts: Vec<Arc<str>>,
    indexes: FxHashMap<Arc<str>, u32>,
    /// Where a list's items begin, and how many there are.
    lists: Vec<(usize, usize)>,
    items: Vec<Value>,
    texts_bytes: usize,
}

impl Values {
    /// Keeps a JSON value, or says what is wrong with it.
    pub fn parse(&mut self, json: &str) -> Result<Value, String> {
        if let Some(value) = simple(json) {
            return Ok(value);
        }
        let bytes = json.as_bytes();
        if bytes.first() == Some(&b'"') && !bytes.contains(&b'\\') {
            return Ok(self.text(json));
        }
        let mut text = String::new();
        canonical(json, 0, &mut text)?;
        Ok(simple(&text).unwrap_or_else(|| self.text(&text)))
    }

    /// Keeps any JSON value, and gives back what stands for it: equal values are kept once.
    pub fn of(&mut self, value: &serde_json::Value) -> Value {
        self.parse(&value.to_string()).expect("what is made of values is well-formed, and not deep")
    }

    fn text(&mut self, canonical: &str) -> Value {
        let index = self.indexes.get(canonical).copied().unwrap_or_else(|| {
            let index = u32::try_from(self.texts.len()).expect("fewer than 2^32 texts");
            let text: Arc<str> = canonical.into();
            self.texts_bytes += text.len();
            self.texts.push(Arc::clone(&text));
            self.indexes.insert(text, index);
            index
        });
        Value::of(u64::from(index), TEXT)
    }

    /// Keeps a list. Where it begins as `near` does, or goes on where that ends, the two share their items: whoever
    /// reads a growing log again and again does not keep it again and again.
    pub fn list(&mut self, items: &[Value], near: Option<Value>) -> Value {
        let place = near.filter(|near| near.tag() == LIST).map(|near| self.lists[near.payload()]);
        let at = match place {
            Some((from, length))
                if self.items[from..from + length.min(items.len())] == items[..length.min(items.len())] =>
            {
                if items.len() <= length {
                    from
                } else if from + length == self.items.len() {
                    self.items.extend_from_slice(&items[length..]);
                    from
                } else {
                    self.append(items)
                }
            }
            _ => self.append(items),
        };
        self.lists.push((at, items.len()));
        Value::of(self.lists.len() as u64 - 1, LIST)
    }

    fn append(&mut self, items: &[Value]) -> usize {
        let from = self.items.len();
        self.items.extend_from_slice(items);
        from
    }

    /// The items of what [`Values::list`] kept; nothing of anything else.
    #[must_use]
    pub fn items(&self, value: Value) -> &[Value] {
        match value.tag() {
            LIST => {
                let (from, length) = self.lists[value.payload()];
                &self.items[from..from + length]
            }
            _ => &[],
        }
    }

    /// How much memory the texts and lists take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        /// What a text costs beside its bytes: both its places, and its count of references.
        const TEXT_BYTES: usize = 64;
        self.texts_bytes
            + self.texts.len() * TEXT_BYTES
            + self.lists.len() * size_of::<(usize, usize)>()
            + self.items.len() * size_of::<Value>()
    }

    /// The value as JSON.
    #[must_use]
    pub fn json(&self, value: Value) -> String {
        match value.tag() {
            TEXT => self.texts[value.payload()].to_string(),
            LIST => {
                let items: Vec<String> = self.items(value).iter().map(|&item| self.json(item)).collect();
                format!("[{}]", items.join(","))
            }
            WORD => ["null", "false", "true", "another value"][value.payload()].to_owned(),
            _ => value.as_whole().map_or(String::new(), |number| number.to_string()),
        }
    }

    /// The value for a person: as JSON, cut where it is long.
    #[must_use]
    pub fn shown(&self, value: Value) -> String {
        const ITEMS_MAX: usize = 8;
        const CHARS_MAX: usize = 60;
        if value.tag() == LIST {
            let items = self.items(value);
            let mut shown: Vec<String> = items.iter().take(ITEMS_MAX).map(|&item| self.shown(item)).collect();
            if items.len() > ITEMS_MAX {
                shown.push(format!("… {} in all", items.len()));
            }
            return format!("[{}]", shown.join(", "));
        }
        let json = self.json(value);
        match json.char_indices().nth(CHARS_MAX) {
            Some((end, _)) => format!("{}…", &json[..end]),
            None => json,
        }
    }
}

/// What needs no keeping: a whole number, `null`, `true`, `false`.
fn simple(json: &str) -> Option<Value> {
    match json.as_bytes() {
        [b'0'..=b'9' | b'-', ..] => json.parse().ok().and_then(Value::whole),
        b"null" => Some(Value::NULL),
        b"true" => Some(Value::truth(true)),
        b"false" => Some(Value::truth(false)),
        _ => None,
    }
}

/// Writes a value in the one form that all ways to write it share.
fn canonical(json: &str, depth: usize, out: &mut String) -> Result<(), String> {
    let wrong = |error: serde_json::Error| format!("not JSON: {error}");
    if depth > DEPTH_MAX {
        return Err(format!("nested deeper than {DEPTH_MAX}"));
    }
    match json.as_bytes().first() {
        Some(b'"') => {
            let text: String = serde_json::from_str(json).map_err(wrong)?;
            out.push_str(&serde_json::to_string(&text).map_err(wrong)?);
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(json).map_err(wrong)?;
            out.push('[');
            for (position, item) in items.into_iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                canonical(item.get(), depth + 1, out)?;
            }
            out.push(']');
        }
        Some(b'{') => {
            let mut entries = serde_json::from_str::<Entries<'_>>(json).map_err(wrong)?.0;
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            if let Some(pair) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(format!("the key {:?} appears twice", pair[0].0));
            }
            out.push('{');
            for (position, (key, item)) in entries.into_iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                out.push_str(&serde_json::to_string(&key).map_err(wrong)?);
                out.push(':');
                canonical(item.get(), depth + 1, out)?;
            }
            out.push('}');
        }
        Some(b'0'..=b'9' | b'-') => number(json, out),
        _ => out.push_str(json),
    }
    Ok(())
}

/// A number: whole ones as they are however large, others as the shortest text of the double that they are.
fn number(json: &str, out: &mut String) {
    /// Up to here a double is a whole number and no other is the same double.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let is_whole = json.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    match json.parse::<f64>() {
        Ok(0.0) => out.push('0'),
        _ if is_whole => out.push_str(json),
        Ok(double) if double.fract() == 0.0 && double.abs() < EXACT => _ = write!(out, "{double:.0}"),
        Ok(double) if double.is_finite() => _ = write!(out, "{double:e}"),
        _ => out.push_str(json),
    }
}

/// An object's entries, in its order.
pub(crate) struct Entries<'a>(pub Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry::<String, &'de RawValue>()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(All)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_equal_however_they_are_written() {
        let mut values = Values::default();
        for (one, other) in [
            ("1", "1.0"),
            ("0", "-0.0"),
            ("1e2", "100"),
            (r#""é""#, r#""\u00e9""#),
            (r#"{"a":1,"b":[2]}"#, r#"{ "b": [ 2.0 ], "a": 1 }"#),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
        ] {
            assert_eq!(values.parse(one), values.parse(other), "{one} and {other}");
        }
        for (one, other) in [
            ("1", "\"1\""),
            ("null", "false"),
            ("9007199254740993", "9007199254740992"),
            ("123456789012345678901234567890", "123456789012345678901234567891"),
            ("1.5", "1.25"),
            ("[1,2]", "[2,1]"),
            ("-1", "1"),
        ] {
            assert_ne!(values.parse(one), values.parse(other), "{one} and {other}");
        }
    }

    #[test]
    fn values_are_shown_as_they_are() {
        let mut values = Values::default();
        for json in
            ["0", "-7", "1152921504606846975", "1152921504606846976", "null", "true", "\"a\"", "[1,\"b\"]"]
        {
            let value = values.parse(json).expect("JSON");
            assert_eq!(values.json(value), json);
        }
        assert!(values.parse(&("[".repeat(70) + &"]".repeat(70))).is_err());
        assert!(values.parse(r#"{"a":1,"a":2}"#).is_err());
    }

    #[test]
    fn lists_that_grow_share_their_items() {
        let mut values = Values::default();
        let items: Vec<Value> = (0..100).filter_map(Value::whole).collect();
        let short = values.list(&items[..50], None);
        let long = values.list(&items, Some(short));
        let again = values.list(&items[..70], Some(long));
        assert_eq!(values.items.len(), 100);
        assert_eq!(values.items(again), &items[..70]);
        let other = values.list(&items[1..], Some(long));
        assert_eq!(values.items(other), &items[1..]);
        assert_eq!(values.items(short), &items[..50]);
    }
}
