//! Where words go: data to stdout, all else to stderr. A reader that has gone away is no error.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};

use super::args::{Color, Common, FormatArg};
use super::failure::Failure;
use crate::report::exit::Exit;
use crate::report::fold::fold;
use crate::report::github::harmless;
use crate::report::human::Detail;
use crate::report::interleaving::terminal_width;
use crate::report::plain;
use crate::report::progress::Talk;

/// How to report, for commands that only people and programs read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Tables and sentences.
    Human,
    /// One JSON document on stdout.
    Json,
}

/// A format of a CI server, for commands that end with a verdict on scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ci {
    /// A `JUnit` document, beside whatever else is shown.
    Junit,
    /// Annotations that GitHub shows beside the code and in the job's summary.
    Github,
}

impl Ci {
    /// As it is asked for.
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Junit => "--format junit",
            Self::Github => "--format github",
        }
    }
}

/// In which format, in which colours and how much is told.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// How to report.
    pub format: Format,
    /// The CI server that is reported to, where one is.
    pub ci: Option<Ci>,
    /// How much to report.
    pub detail: Detail,
    /// How much to show while a run lasts.
    pub talk: Talk,
}

impl Output {
    /// What the common flags mean. Colours are decided here, for the whole process.
    #[must_use]
    pub fn new(common: Common) -> Self {
        let choice = match common.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        choice.write_global();
        Self {
            format: if common.format == FormatArg::Json { Format::Json } else { Format::Human },
            ci: match common.format {
                FormatArg::Human | FormatArg::Json => None,
                FormatArg::Junit => Some(Ci::Junit),
                FormatArg::Github => Some(Ci::Github),
            },
            detail: match (common.verbose, common.quiet) {
                (true, _) => Detail::Full,
                (false, true) => Detail::Brief,
                (false, false) => Detail::Normal,
            },
            talk: if common.quiet { Talk::Quiet } else { Talk::Normal },
        }
    }

    /// Says something on stderr, unless the user wants quiet.
    pub fn remark(self, words: &str) {
        if self.talk == Talk::Normal {
            say(words);
        }
    }
}

/// Says something on stderr. Nobody is left to tell when that fails. GitHub's runner obeys commands there as well, so no
/// line is one.
pub fn say(words: &str) {
    let words = harmless(&plain::framed(words));
    let is_terminal = io::stderr().is_terminal();
    let _ = writeln!(anstream::stderr(), "{}", fitted(&words, is_terminal));
}

/// Text for people: on a terminal no line is wider than that.
pub fn print_words(text: &str) -> Result<(), Failure> {
    print(&fitted(text, io::stdout().is_terminal()))
}

/// How wide stdout is, where it is a terminal.
pub fn room() -> Option<u16> {
    io::stdout().is_terminal().then(terminal_width)
}

fn fitted(text: &str, is_terminal: bool) -> Cow<'_, str> {
    if is_terminal { Cow::Owned(fold(text, terminal_width())) } else { Cow::Borrowed(text) }
}

/// Writes words to stdout, without their colours where they are not wanted, and without what a terminal would obey.
pub fn print(text: &str) -> Result<(), Failure> {
    print_data(&plain::framed(text))
}

/// Writes data to stdout, as it is.
pub fn print_data(text: &str) -> Result<(), Failure> {
    let stdout = io::stdout();
    // Asked of the raw stream: the lock hides whether it is a terminal from nobody, but let it be plain.
    let choice = AutoStream::choice(&stdout);
    let mut stream = AutoStream::new(stdout.lock(), choice);
    match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::HarnessFailed, format!("stdout cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes one JSON document to stdout.
pub fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::new(Exit::HarnessFailed, format!("the report is no JSON: {error}")))?;
    text.push('\n');
    print_data(&plain::json(&text))
}
