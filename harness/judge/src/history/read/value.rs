//! Single JSON values of a line, and what is told where they are not what belongs there.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use serde_json::value::RawValue;

use crate::words::nearest;

/// A JSON string, its escapes resolved; the error names the field and what was found.
pub(in crate::history) fn text<'a>(field: &str, raw: &'a RawValue) -> Result<Cow<'a, str>, String> {
    text_of(field, raw.get())
}

/// A text, of JSON that is well-formed.
pub(in crate::history) fn text_of<'a>(field: &str, json: &'a str) -> Result<Cow<'a, str>, String> {
    let inner = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(plain) if !plain.contains('\\') => Ok(Cow::Borrowed(plain)),
        _ => serde_json::from_str(json)
            .map(Cow::Owned)
            .map_err(|_| format!("{field}: expected a text, found {}", shown(json))),
    }
}

/// A whole number. Floats are none, not even 1.0: beyond 2^53 they would lose nanoseconds without a word.
pub(in crate::history) fn whole(
    field: &str,
    raw: &RawValue,
    range: RangeInclusive<u64>,
) -> Result<u64, String> {
    whole_of(field, raw.get(), range)
}

/// A whole number, of JSON that is well-formed.
pub(in crate::history) fn whole_of(
    field: &str,
    json: &str,
    range: RangeInclusive<u64>,
) -> Result<u64, String> {
    let is_whole = json.bytes().all(|byte| byte.is_ascii_digit());
    json.parse().ok().filter(|number| is_whole && range.contains(number)).ok_or_else(|| {
        let (low, high) = (range.start(), range.end());
        format!("{field}: expected a whole number from {low} to {high}, found {}", shown(json))
    })
}

/// One of several words.
pub(in crate::history) fn word<T: Copy>(
    field: &str,
    raw: &RawValue,
    all: &[T],
    spelled: impl Fn(T) -> &'static str,
) -> Result<T, String> {
    word_of(field, raw.get(), all, spelled)
}

/// One of several words, of JSON that is well-formed.
pub(in crate::history) fn word_of<T: Copy>(
    field: &str,
    json: &str,
    all: &[T],
    spelled: impl Fn(T) -> &'static str,
) -> Result<T, String> {
    let text = text_of(field, json)?;
    if let Some(&known) = all.iter().find(|&&known| spelled(known) == text) {
        return Ok(known);
    }
    let words = || all.iter().map(|&known| spelled(known));
    let hint = match nearest(&clipped(&text), words()) {
        Some(near) => format!("the nearest is {near:?}"),
        None => format!("expected one of {}", words().collect::<Vec<_>>().join(", ")),
    };
    Err(format!("{field}: unknown {:?}; {hint}", clipped(&text)))
}

/// What stands there, short enough for a message.
pub(in crate::history) fn shown(json: &str) -> Cow<'_, str> {
    match json.as_bytes().first() {
        Some(b'{') => "an object".into(),
        Some(b'[') => "a list".into(),
        _ => clipped(json),
    }
}

/// A text as far as it fits a message.
pub(in crate::history) fn clipped(text: &str) -> Cow<'_, str> {
    const CHARS_MAX: usize = 40;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// What is wrong with a line that is no JSON object.
pub(in crate::history) fn syntax(text: &str, error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "the line is truncated; expected a whole JSON object".into();
    }
    if text.starts_with('\u{feff}') {
        return "a byte order mark; expected JSON without one".into();
    }
    let what = error.to_string();
    // It counts lines within the line: there is only one.
    let place = format!(" at line {} column {}", error.line(), error.column());
    let what = what.strip_suffix(&place).unwrap_or(&what);
    format!("column {}: {what}; expected one JSON object per line", error.column())
}
