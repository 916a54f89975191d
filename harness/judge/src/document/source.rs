//! Where a text came from, and problems that point into it: file, line, column, the line itself and a caret.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A text somebody wrote: a scenario file, or one argument of the command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// What kind of text it is.
    pub kind: SourceKind,
    /// Path of the file, or the flag that the argument belongs to.
    pub name: String,
    /// The whole of it, as it was read.
    pub text: String,
}

/// What kind of text it is: files have lines, arguments have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A scenario file, or one of the built-in ones.
    File,
    /// An argument of the command line.
    Argument,
}

/// A stretch of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What the place lies in, shared by all places of a document.
    pub source: Arc<Source>,
    /// The bytes that it covers, counted from the start of the text.
    pub span: Range<usize>,
}

impl Place {
    /// The start of a source.
    #[must_use]
    pub fn start_of(source: &Arc<Source>) -> Self {
        Self { source: Arc::clone(source), span: 0..0 }
    }

    /// Whether it lies in an argument of the command line.
    #[must_use]
    pub fn is_argument(&self) -> bool {
        self.source.kind == SourceKind::Argument
    }
}

/// Something in a source that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    place: Place,
    message: String,
    help: Option<String>,
}

impl Problem {
    /// A problem at a place: what was expected, and what was found.
    #[must_use]
    pub fn new(place: &Place, message: impl Into<String>) -> Self {
        Self { place: place.clone(), message: message.into(), help: None }
    }

    /// Adds a way out.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The argument of the command line that is at fault, and why; `None`: a file is.
    #[must_use]
    pub fn argument(&self) -> Option<(&str, &str)> {
        self.place.is_argument().then_some((&self.place.source.text, &self.message))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = &*self.place.source;
        let spot = Spot::of(&source.text, &self.place.span);
        let gutter = match source.kind {
            SourceKind::File => {
                writeln!(f, "{}:{}:{}: {}", source.name, spot.line_number, spot.column, self.message)?;
                spot.line_number.to_string()
            }
            SourceKind::Argument => {
                writeln!(f, "{}: {}", source.name, self.message)?;
                String::new()
            }
        };
        let width = gutter.len();
        writeln!(f, " {:width$} |", "")?;
        let (line, indent, carets) = spot.excerpt();
        writeln!(f, " {gutter} | {line}")?;
        write!(f, " {:width$} | {:indent$}{}", "", "", "^".repeat(carets))?;
        if let Some(help) = &self.help {
            write!(f, "\n {:width$} = {help}", "")?;
        }
        Ok(())
    }
}

/// Line and column of a span, counted in characters from 1.
struct Spot<'a> {
    line_number: usize,
    column: usize,
    line: &'a str,
    carets: usize,
}

/// Most characters of a line that are quoted: a file of one long line is quoted around the place.
const QUOTED_MAX: usize = 160;

impl<'a> Spot<'a> {
    /// What is quoted of the line, how far the carets are indented, and how many they are.
    fn excerpt(&self) -> (String, usize, usize) {
        let at = self.column - 1;
        let length = self.line.chars().count();
        let from = if length > QUOTED_MAX { at.saturating_sub(QUOTED_MAX / 2) } else { 0 };
        let before = if from > 0 { "… " } else { "" };
        let after = if length > from + QUOTED_MAX { " …" } else { "" };
        let quoted: String = self.line.chars().skip(from).take(QUOTED_MAX).collect();
        let indent = before.chars().count() + at - from;
        let carets = self.carets.min(QUOTED_MAX - (at - from).min(QUOTED_MAX - 1));
        (format!("{before}{}{after}", quoted.replace('\t', " ")), indent, carets)
    }

    fn of(text: &'a str, span: &Range<usize>) -> Self {
        let start = char_start(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let end = char_start(text, span.end.clamp(start, line_end));
        Self {
            line_number: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            line: text[line_start..line_end].trim_end_matches('\r'),
            carets: text[start..end].chars().count().max(1),
        }
    }
}

/// Start of the character that a byte belongs to, within the text.
fn char_start(text: &str, byte: usize) -> usize {
    (0..=byte.min(text.len())).rev().find(|byte| text.is_char_boundary(*byte)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Arc<Source> {
        Arc::new(Source { kind: SourceKind::File, name: "a.toml".into(), text: text.into() })
    }

    #[test]
    fn a_problem_shows_its_line_with_a_caret() {
        let place = Place { source: file("about = \"\"\nprocesses = -1\n"), span: 23..25 };
        let shown = Problem::new(&place, "expected more").with_help("try 1").to_string();
        assert_eq!(
            shown,
            "a.toml:2:13: expected more\n   |\n 2 | processes = -1\n   |             ^^\n   = try 1"
        );
    }

    #[test]
    fn a_span_beyond_the_text_or_inside_a_character_is_no_panic() {
        for span in [0..0, 1..9, 90..91, 2..3] {
            let _ = Problem::new(&Place { source: file("äö\n"), span }, "odd").to_string();
        }
    }
}
