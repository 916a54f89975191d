//! Lines exactly as our own writer makes them: no space, every field in its order, no escape. Anything else is left to
//! [`Line::parse`], which reads this shape to the same result; a test holds the two together.

use std::borrow::Cow;
use std::num::NonZeroU64;

use flockwork::{Operation, Status};

use super::line::Line;
use crate::history::{Outcome, Reason};

/// The line, if it has exactly this shape.
pub(super) fn parse(line: &str) -> Option<Line<'_>> {
    let mut cursor = Cursor { text: line, at: 0 };
    cursor.must("{\"process\":")?;
    let process = u32::try_from(cursor.number()?).ok()?;
    let container = cursor.field(",\"container\":\"", |cursor| cursor.text().map(Cow::Borrowed)).ok()?;
    cursor.must(",\"op\":\"")?;
    let op = word(cursor.text()?, &Operation::ALL, Operation::as_str)?;
    cursor.must(",\"invoke_ns\":")?;
    let invoke_ns = cursor.number()?;
    cursor.must(",\"return_ns\":")?;
    let return_ns = if cursor.may("null") {
        None
    } else {
        Some(cursor.number().filter(|&return_ns| return_ns != u64::MAX)?)
    };
    cursor.must(",\"outcome\":\"")?;
    let outcome = word(cursor.text()?, &Outcome::ALL, Outcome::as_str)?;
    let reason =
        cursor.field(",\"reason\":\"", |cursor| word(cursor.text()?, &Reason::ALL, Reason::as_str)).ok()?;
    let status =
        cursor.field(",\"status\":\"", |cursor| word(cursor.text()?, &Status::ALL, Status::as_str)).ok()?;
    let generation = cursor.field(",\"generation\":", |cursor| NonZeroU64::new(cursor.number()?)).ok()?;
    let revision = cursor.field(",\"revision\":", |cursor| NonZeroU64::new(cursor.number()?)).ok()?;
    let message = cursor.field(",\"message\":\"", |cursor| cursor.text().map(Cow::Borrowed)).ok()?;
    cursor.must("}")?;
    let mut rest = line.as_bytes()[cursor.at..].iter();
    rest.all(|byte| b" \t\r\n".contains(byte)).then_some(Line {
        process,
        container,
        op,
        invoke_ns,
        return_ns,
        outcome,
        reason,
        status,
        generation,
        revision,
        message,
    })
}

/// A field is there and not of this shape.
struct Odd;

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Goes on past what may come next.
    #[inline]
    fn may(&mut self, expected: &str) -> bool {
        let is_there = self.text.as_bytes()[self.at..].starts_with(expected.as_bytes());
        if is_there {
            self.at += expected.len();
        }
        is_there
    }

    #[inline]
    fn must(&mut self, expected: &str) -> Option<()> {
        self.may(expected).then_some(())
    }

    /// A field that may be there.
    #[inline]
    fn field<T>(&mut self, key: &str, value: impl Fn(&mut Self) -> Option<T>) -> Result<Option<T>, Odd> {
        if self.may(key) { value(self).map(Some).ok_or(Odd) } else { Ok(None) }
    }

    /// The rest of a text without escapes, and its closing quote.
    #[inline]
    fn text(&mut self) -> Option<&'a str> {
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ')?;
        if rest[length] != b'"' {
            return None;
        }
        let text = self.text.get(self.at..self.at + length)?;
        self.at += length + 1;
        Some(text)
    }

    /// A whole number as JSON has them: no leading zero.
    #[inline]
    fn number(&mut self) -> Option<u64> {
        let rest = &self.text.as_bytes()[self.at..];
        let mut number = 0_u64;
        let mut length = 0;
        for digit in rest.iter().map(|byte| byte.wrapping_sub(b'0')).take_while(|&digit| digit <= 9) {
            length += 1;
            number = if length < 20 {
                number * 10 + u64::from(digit)
            } else {
                number.checked_mul(10)?.checked_add(u64::from(digit))?
            };
        }
        // What follows a number that is none of these is caught by what must come next.
        if length == 0 || (length > 1 && rest[0] == b'0') {
            return None;
        }
        self.at += length;
        Some(number)
    }
}

#[inline]
fn word<T: Copy>(text: &str, all: &[T], spelled: impl Fn(T) -> &'static str) -> Option<T> {
    all.iter().copied().find(|&known| spelled(known) == text)
}
