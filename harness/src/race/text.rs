//! Texts that are compared although they differ from run to run: what differs between equal runs becomes a wildcard at
//! its place.
//!
//! A text is read as words (letters, digits and underscores) and what stands between them. Where equal runs have the same
//! form, the words that differ become wildcards; where a line has another form each time, the part of it that differs becomes
//! a gap. A time or a number with a point is one thing: where a part of it differs, all of it may. Texts whose number of lines
//! differs between equal runs cannot be learnt.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use regex::bytes::Regex;
use similar::{Algorithm, DiffOp, capture_diff_slices};

/// Texts longer than this are compared as they are.
const LEARNT_BYTES_MAX: usize = 1 << 18;
/// How a wildcard is shown, and a gap.
pub const WILDCARD: &str = "*";

/// What a text must be.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// The bytes are the same in every run: exactly these.
    Same(Arc<[u8]>),
    /// This, but for wildcards and gaps.
    Learnt(Box<Learnt>),
}

/// A text with wildcards.
#[derive(Clone, Debug)]
pub struct Learnt {
    pieces: Vec<Piece>,
    matcher: Regex,
}

/// A part of a text with wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// A word, or what stands between words, as it is.
    Literal(Vec<u8>),
    /// Any one word.
    Word,
    /// Anything on one line, or nothing.
    Gap,
}

/// Why equal runs cannot be learnt from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unlearnt {
    /// The number of lines differs.
    #[error("the number of lines differs from run to run")]
    Lines,
    /// Its lines are the same, in another order.
    #[error("its lines come in another order from run to run")]
    Order,
    /// There is hardly anything that stays the same.
    #[error("almost nothing in it stays the same from run to run")]
    Wild,
    /// It is no text.
    #[error("it is not text, and differs from run to run")]
    Binary,
    /// It is too long.
    #[error("it is long, and differs from run to run")]
    Long,
}

impl Pattern {
    /// What must be exactly so.
    #[must_use]
    pub fn same(text: &[u8]) -> Self {
        Self::Same(text.into())
    }

    /// The same, made to allow for what another, equal run gave.
    pub fn learn(&self, text: &[u8]) -> Result<Self, Unlearnt> {
        if self.matches(text) {
            return Ok(self.clone());
        }
        let pieces = match self {
            Self::Same(known) => {
                if is_binary(known) || is_binary(text) {
                    return Err(Unlearnt::Binary);
                }
                if known.len().max(text.len()) > LEARNT_BYTES_MAX {
                    return Err(Unlearnt::Long);
                }
                pieces(known)
            }
            Self::Learnt(learnt) => learnt.pieces.clone(),
        };
        let merged = merge(&pieces, text).map_err(|why| match self {
            Self::Same(known) if why == Unlearnt::Lines && has_lines_of(known, text) => Unlearnt::Order,
            _ => why,
        })?;
        let matcher = matcher(&merged).ok_or(Unlearnt::Long)?;
        let learnt = Self::Learnt(Box::new(Learnt { pieces: merged, matcher }));
        // What does not match what it was learnt from would cry wolf for ever.
        if learnt.matches(text) { Ok(learnt) } else { Err(Unlearnt::Wild) }
    }

    /// Whether a text is as it must be.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Same(known) => **known == *text,
            Self::Learnt(learnt) => learnt.matcher.is_match(text),
        }
    }

    /// What stands at the wildcards of a text that matches.
    #[must_use]
    pub fn bound<'t>(&self, text: &'t [u8]) -> Vec<&'t [u8]> {
        let Self::Learnt(learnt) = self else { return Vec::new() };
        let Some(found) = learnt.matcher.captures(text) else { return Vec::new() };
        found.iter().skip(1).map(|part| part.map_or(&b""[..], |part| part.as_bytes())).collect()
    }

    /// The text, with `*` for what may be anything.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Same(known) => String::from_utf8_lossy(known).into_owned(),
            Self::Learnt(learnt) => {
                let shown = learnt.pieces.iter().map(|piece| match piece {
                    Piece::Literal(text) => String::from_utf8_lossy(text).into_owned(),
                    Piece::Word | Piece::Gap => WILDCARD.to_owned(),
                });
                shown.collect()
            }
        }
    }

    /// The lines that have wildcards, as they are shown.
    #[must_use]
    pub fn masked(&self) -> Vec<String> {
        match self {
            Self::Same(_) => Vec::new(),
            Self::Learnt(learnt) => {
                let lines = learnt.pieces.split(|piece| *piece == Piece::Literal(b"\n".to_vec()));
                let masked =
                    lines.filter(|line| line.iter().any(|piece| !matches!(piece, Piece::Literal(_))));
                masked
                    .map(|line| {
                        let line =
                            Self::Learnt(Box::new(Learnt { pieces: line.to_vec(), ..(**learnt).clone() }));
                        line.shown()
                    })
                    .collect()
            }
        }
    }
}

/// Whether these bytes are no text.
#[must_use]
pub fn is_binary(text: &[u8]) -> bool {
    text.contains(&0) || std::str::from_utf8(text).is_err()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// The words of a text.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    tokens(text).into_iter().filter(|token| token.first().is_some_and(|byte| is_word(*byte)))
}

/// Words, and single bytes between them.
fn tokens(text: &[u8]) -> Vec<&[u8]> {
    text.chunk_by(|one, other| is_word(*one) && is_word(*other)).collect()
}

fn pieces(text: &[u8]) -> Vec<Piece> {
    tokens(text).into_iter().map(|token| Piece::Literal(token.to_vec())).collect()
}

fn is_word_piece(piece: &Piece) -> bool {
    match piece {
        Piece::Literal(text) => text.first().is_some_and(|byte| is_word(*byte)),
        Piece::Word => true,
        Piece::Gap => false,
    }
}

/// Pieces that match both.
fn merge(known: &[Piece], text: &[u8]) -> Result<Vec<Piece>, Unlearnt> {
    let new = pieces(text);
    let mut merged = Vec::new();
    for operation in capture_diff_slices(Algorithm::Myers, &keys(known), &keys(&new)) {
        match operation {
            DiffOp::Equal { old_index, len, .. } => {
                merged.extend_from_slice(&known[old_index..old_index + len]);
            }
            DiffOp::Delete { old_index, old_len, .. } => {
                replace(&known[old_index..old_index + old_len], &[], &mut merged)?;
            }
            DiffOp::Insert { new_index, new_len, .. } => {
                replace(&[], &new[new_index..new_index + new_len], &mut merged)?;
            }
            DiffOp::Replace { old_index, old_len, new_index, new_len } => replace(
                &known[old_index..old_index + old_len],
                &new[new_index..new_index + new_len],
                &mut merged,
            )?,
        }
    }
    widen(&mut merged, known);
    let is_fixed_word = |piece: &Piece| matches!(piece, Piece::Literal(text) if is_word(text[0]));
    let gaps = merged.iter().filter(|piece| **piece == Piece::Gap).count();
    if gaps > 0 && !merged.iter().any(is_fixed_word) {
        return Err(Unlearnt::Wild);
    }
    Ok(merged)
}

/// Pieces as they are compared: a wildcard is like no word of the other text, so that it is replaced by what stands there.
fn keys(pieces: &[Piece]) -> Vec<&[u8]> {
    pieces.iter().map(key).collect()
}

fn key(piece: &Piece) -> &[u8] {
    match piece {
        Piece::Literal(text) => text,
        Piece::Word => b"\0word",
        Piece::Gap => b"\0gap",
    }
}

/// Whether two texts have the same lines, in whatever order.
fn has_lines_of(one: &[u8], other: &[u8]) -> bool {
    let [one, other] = [one, other].map(|text| {
        let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        lines.sort_unstable();
        lines
    });
    one == other
}

fn replace(old: &[Piece], new: &[Piece], merged: &mut Vec<Piece>) -> Result<(), Unlearnt> {
    let is_break = |piece: &&Piece| **piece == Piece::Literal(b"\n".to_vec());
    if old.iter().filter(is_break).count() != new.iter().filter(is_break).count() {
        return Err(Unlearnt::Lines);
    }
    // Of one form: word for word.
    let is_like =
        |(one, other): (&Piece, &Piece)| one == other || (is_word_piece(one) && is_word_piece(other));
    if old.len() == new.len() && old.iter().zip(new).all(is_like) {
        merged.extend(
            old.iter().zip(new).map(|(one, other)| if one == other { one.clone() } else { Piece::Word }),
        );
        return Ok(());
    }
    let lines = old.split(|piece| is_break(&piece)).zip(new.split(|piece| is_break(&piece)));
    for (number, (old, new)) in lines.enumerate() {
        if number > 0 {
            merged.push(Piece::Literal(b"\n".to_vec()));
        }
        if old == new {
            merged.extend_from_slice(old);
        } else if merged.last() != Some(&Piece::Gap) {
            merged.push(Piece::Gap);
        }
    }
    Ok(())
}

/// Times, dates and numbers with a point: where a part of one is a wildcard, all its words are.
fn widen(merged: &mut [Piece], known: &[Piece]) {
    static ONE_THING: LazyLock<Regex> = LazyLock::new(|| {
        let date = r"\d{4}[-/]\d\d[-/]\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)?";
        let time = r"\d\d?:\d\d:\d\d(?:[.,]\d+)?";
        let number = r"\d+\.\d+";
        Regex::new(&format!("{date}|{time}|{number}")).expect("a constant")
    });
    if merged.len() != known.len() {
        return;
    }
    // As it was known: wildcards of earlier runs stand for something of the same form, which cannot be seen any more.
    let mut text = Vec::new();
    let mut at: Vec<usize> = Vec::new();
    for (index, piece) in known.iter().enumerate() {
        let literal: &[u8] = match piece {
            Piece::Literal(literal) => literal,
            Piece::Word => b"00",
            Piece::Gap => b"\n",
        };
        text.extend_from_slice(literal);
        at.extend(std::iter::repeat_n(index, literal.len()));
    }
    for found in ONE_THING.find_iter(&text) {
        let span: Range<usize> = at[found.start()]..at[found.end() - 1] + 1;
        if merged[span.clone()].contains(&Piece::Word) {
            for piece in &mut merged[span] {
                if is_word_piece(piece) {
                    *piece = Piece::Word;
                }
            }
        }
    }
}

fn matcher(pieces: &[Piece]) -> Option<Regex> {
    let mut expression = String::from(r"\A(?-u)");
    for piece in pieces {
        match piece {
            Piece::Literal(text) => {
                let text = std::str::from_utf8(text).ok()?;
                expression.push_str(&regex::escape(text));
            }
            Piece::Word => expression.push_str(r"([0-9A-Za-z_\x80-\xff]+)"),
            Piece::Gap => expression.push_str(r"([^\n]*?)"),
        }
    }
    expression.push_str(r"\z");
    regex::bytes::RegexBuilder::new(&expression).size_limit(64 << 20).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(texts: &[&str]) -> Result<Pattern, Unlearnt> {
        let first = Pattern::same(texts[0].as_bytes());
        texts[1..].iter().try_fold(first, |pattern, text| pattern.learn(text.as_bytes()))
    }

    #[test]
    fn what_differs_becomes_a_wildcard_at_its_place() {
        let pattern = learn(&["pid 12 has x=3", "pid 97 has x=3", "pid 5 has x=3"]).unwrap();
        assert_eq!(pattern.shown(), "pid * has x=3");
        assert!(pattern.matches(b"pid 123456 has x=3") && !pattern.matches(b"pid 12 has x=4"));
        assert!(!pattern.matches(b"pid 1 2 has x=3") && !pattern.matches(b"pid 12 has x=3\n"));
        assert_eq!(pattern.bound(b"pid 123 has x=3"), [b"123"]);
        assert_eq!(pattern.masked(), ["pid * has x=3"]);
    }

    #[test]
    fn what_is_the_same_each_time_stays() {
        let pattern = learn(&["ä b\n", "ä b\n"]).unwrap();
        assert!(matches!(pattern, Pattern::Same(_)) && pattern.masked().is_empty());
        assert!(pattern.matches("ä b\n".as_bytes()) && !pattern.matches(b"a b\n"));
    }

    #[test]
    fn times_are_one_thing() {
        let pattern = learn(&["at 2026-11-25 23:59:01 n 7", "at 2026-11-25 23:59:02 n 7"]).unwrap();
        assert_eq!(pattern.shown(), "at *-*-* *:*:* n 7");
        assert!(
            pattern.matches(b"at 2026-11-26 00:00:00 n 7") && !pattern.matches(b"at 2026-11-26 00:00:00 n 8")
        );
        assert_eq!(learn(&["took 0.31s", "took 0.32s"]).unwrap().shown(), "took *.*");
        // Without a change nothing is known of it.
        assert!(!learn(&["at 23:59:01", "at 23:59:01"]).unwrap().matches(b"at 23:59:02"));
    }

    #[test]
    fn lines_of_another_form_have_gaps() {
        let pattern = learn(&["a\nin 1.5 s, done\nb", "in the end"]);
        assert_eq!(pattern.unwrap_err(), Unlearnt::Lines);
        assert_eq!(learn(&["1\n2\n3\n", "2\n1\n3\n"]).unwrap_err(), Unlearnt::Order);
        let pattern = learn(&["a\nkey qq+/x== end\nb", "a\nkey zz/ end\nb", "a\nkey end\nb"]).unwrap();
        assert!(pattern.matches(b"a\nkey 7//+ end\nb"), "{}", pattern.shown());
        assert!(!pattern.matches(b"a\nkey 7 END\nb") && !pattern.matches(b"a\nkey x\ny end\nb"));
    }

    #[test]
    fn what_is_wild_is_not_learnt() {
        assert_eq!(learn(&["q+/x==\n", "z/-\n"]).unwrap_err(), Unlearnt::Wild);
        assert_eq!(Pattern::same(b"\0a").learn(b"\0b").unwrap_err(), Unlearnt::Binary);
        let long = "x".repeat(LEARNT_BYTES_MAX + 1);
        assert_eq!(learn(&[&long, "y"]).unwrap_err(), Unlearnt::Long);
        // One word alone may be anything: a pid, a name that is drawn.
        assert!(learn(&["17\n", "1800\n"]).unwrap().matches(b"99\n"));
    }

    #[test]
    fn every_pattern_matches_all_that_it_was_learnt_from() {
        let texts = ["a 1 b 2\nc", "a 22 b\nc d", "x 1 b 2, 3\nc", "a\n", "a 1 b 2\n", ""];
        for one in texts {
            for other in texts {
                for third in texts {
                    if let Ok(pattern) = learn(&[one, other, third]) {
                        let all = [one, other, third].iter().all(|text| pattern.matches(text.as_bytes()));
                        assert!(all, "{one:?} {other:?} {third:?}: {}", pattern.shown());
                    }
                }
            }
        }
    }
}
