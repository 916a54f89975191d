//! The fields of a line, as JSON texts. What tools usually write is taken apart by hand; everything else is left to a
//! JSON parser, which takes the same to the same result, and says what is wrong with the rest.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::history::object::value::Entries;
use crate::history::read::value::{shown, syntax};

/// The fields; `None`: it is not there, or null where null means nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields<'a> {
    pub process: Option<&'a str>,
    pub actor: Option<&'a str>,
    pub object: Option<&'a str>,
    pub container: Option<&'a str>,
    pub op: Option<&'a str>,
    pub value: Option<&'a str>,
    pub saw: Option<&'a str>,
    pub status: Option<&'a str>,
    pub invoke_ns: Option<&'a str>,
    pub return_ns: Option<&'a str>,
    pub outcome: Option<&'a str>,
    pub reason: Option<&'a str>,
    pub message: Option<&'a str>,
}

/// The same for the JSON parser.
#[derive(Deserialize)]
struct Slow<'a> {
    #[serde(borrow)]
    process: Option<&'a RawValue>,
    #[serde(borrow)]
    actor: Option<&'a RawValue>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    container: Option<&'a RawValue>,
    #[serde(borrow)]
    op: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    value: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    saw: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    invoke_ns: Option<&'a RawValue>,
    #[serde(borrow)]
    return_ns: Option<&'a RawValue>,
    #[serde(borrow)]
    outcome: Option<&'a RawValue>,
    #[serde(borrow)]
    reason: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

/// A null that is there.
fn even_null<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Fields<'a> {
    /// Takes a line apart.
    pub fn of(line: &'a str) -> Result<Self, String> {
        match Self::fast(line) {
            Some(fields) => Ok(fields),
            None => Self::slow(line),
        }
    }

    fn slow(line: &'a str) -> Result<Self, String> {
        if line.trim_start().starts_with('[') {
            // serde takes a list of as many values for the fields in their order; a history has none of that.
            return Err("column 1: a list; expected one JSON object per line".into());
        }
        let slow: Slow<'a> = serde_json::from_str(line).map_err(|error| syntax(line, &error))?;
        let text = |raw: Option<&'a RawValue>| raw.map(RawValue::get);
        Ok(Self {
            process: text(slow.process),
            actor: text(slow.actor),
            object: text(slow.object),
            container: text(slow.container),
            op: text(slow.op),
            value: text(slow.value),
            saw: text(slow.saw),
            status: text(slow.status),
            invoke_ns: text(slow.invoke_ns),
            return_ns: text(slow.return_ns),
            outcome: text(slow.outcome),
            reason: text(slow.reason),
            message: text(slow.message),
        })
    }

    /// Only fields that are known, each once, and in them whole numbers, texts without escapes, `null`, `true`, `false`
    /// and lists of those.
    fn fast(line: &'a str) -> Option<Self> {
        let mut cursor = Cursor { text: line, at: 0 };
        let mut fields = Self::default();
        cursor.space();
        cursor.must(b'{')?;
        loop {
            cursor.space();
            let key = cursor.string()?;
            cursor.space();
            cursor.must(b':')?;
            cursor.space();
            let json = cursor.value(true)?;
            let key = &key[1..key.len() - 1];
            let (field, is_any) = match key {
                "process" => (&mut fields.process, false),
                "actor" => (&mut fields.actor, false),
                "object" => (&mut fields.object, false),
                "container" => (&mut fields.container, false),
                "op" => (&mut fields.op, false),
                "value" => (&mut fields.value, true),
                "saw" => (&mut fields.saw, true),
                "status" => (&mut fields.status, false),
                "invoke_ns" => (&mut fields.invoke_ns, false),
                "return_ns" => (&mut fields.return_ns, false),
                "outcome" => (&mut fields.outcome, false),
                "reason" => (&mut fields.reason, false),
                "message" => (&mut fields.message, false),
                _ => return None,
            };
            if field.is_some() {
                return None;
            }
            *field = Some(json).filter(|&json| is_any || json != "null");
            cursor.space();
            match cursor.next()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
        cursor.space();
        (cursor.at == line.len()).then_some(fields)
    }
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn must(&mut self, expected: u8) -> Option<()> {
        (self.next()? == expected).then_some(())
    }

    #[inline]
    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// A text without escapes, with its quotes.
    #[inline]
    fn string(&mut self) -> Option<&'a str> {
        let from = self.at;
        self.must(b'"')?;
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ')?;
        if rest[length] != b'"' {
            return None;
        }
        self.at += length + 1;
        self.text.get(from..self.at)
    }

    /// A whole number as JSON has them: no leading zero.
    #[inline]
    fn number(&mut self) -> Option<&'a str> {
        let from = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let digits = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        let length = self.at - digits;
        let is_number = length == 1 || length > 1 && self.text.as_bytes()[digits] != b'0';
        let is_more = matches!(self.peek(), Some(b'.' | b'e' | b'E'));
        (is_number && !is_more).then(|| &self.text[from..self.at])
    }

    fn word(&mut self, word: &'static str) -> Option<&'a str> {
        let from = self.at;
        self.text.as_bytes()[from..].starts_with(word.as_bytes()).then(|| {
            self.at += word.len();
            &self.text[from..self.at]
        })
    }

    fn value(&mut self, may_be_list: bool) -> Option<&'a str> {
        match self.peek()? {
            b'"' => self.string(),
            b'0'..=b'9' | b'-' => self.number(),
            b'n' => self.word("null"),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'[' if may_be_list => {
                let from = self.at;
                self.list(|_| Some(()))?;
                Some(&self.text[from..self.at])
            }
            _ => None,
        }
    }

    fn list(&mut self, mut each: impl FnMut(&'a str) -> Option<()>) -> Option<()> {
        self.must(b'[')?;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Some(());
        }
        loop {
            self.space();
            each(self.value(false)?)?;
            self.space();
            match self.next()? {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }
}

/// The items of a list.
pub fn each_item<'a>(
    json: &'a str,
    mut each: impl FnMut(&'a str) -> Result<(), String>,
) -> Result<(), String> {
    let mut items = Vec::new();
    let mut cursor = Cursor { text: json, at: 0 };
    let all = cursor.list(|item| {
        items.push(item);
        Some(())
    });
    if all.is_some() && cursor.at == json.len() {
        return items.into_iter().try_for_each(each);
    }
    let items: Vec<&'a RawValue> =
        serde_json::from_str(json).map_err(|_| format!("expected a list, found {}", shown(json)))?;
    items.into_iter().try_for_each(|item| each(item.get()))
}

/// The values of `{"from":a,"to":b}`.
pub fn from_and_to(json: &str) -> Result<(&str, &str), String> {
    let expected = || format!("value: expected {{\"from\":…,\"to\":…}}, found {}", shown(json));
    let entries = serde_json::from_str::<Entries<'_>>(json).map_err(|_| expected())?.0;
    let find = |key: &str| entries.iter().find(|(name, _)| name == key).map(|(_, raw)| raw.get());
    match (find("from"), find("to"), entries.len()) {
        (Some(from), Some(to), 2) => Ok((from, to)),
        _ => Err(expected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_take_a_line_apart_alike() {
        for line in [
            r#"{"process":1,"object":"x","op":"add","value":1,"saw":1,"invoke_ns":10,"return_ns":40,"outcome":"ok"}"#,
            r#" { "actor" : "a b" , "value" : null, "saw":[1, "é",-2 ,null], "return_ns": null } "#,
            r#"{"value":[],"saw":-0,"reason":null,"message":"é"}"#,
        ] {
            let fast = Fields::fast(line).expect("of the usual shape");
            assert_eq!(Ok(fast), Fields::slow(line), "{line}");
        }
        for line in [
            r#"{"value":01}"#,
            r#"{"value":1.5}"#,
            r#"{"value":"\n"}"#,
            r#"{"value":{"a":1}}"#,
            r#"{"value":1,"value":2}"#,
            r#"{"value":1,}"#,
            r#"{"value":1} x"#,
            r#"{"other":1}"#,
            r#"{"value":[1,]}"#,
            r#"{"value":[[1]]}"#,
            "{}",
            "",
            r#"{"value":tru}"#,
            r#"{"value":-}"#,
        ] {
            assert_eq!(Fields::fast(line), None, "{line}");
        }
    }
}
