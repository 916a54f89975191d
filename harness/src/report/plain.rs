//! Words that others wrote, for a terminal or a log: names, messages and texts of files may hold what a terminal obeys
//! or what turns the direction of a line. It is shown, never sent.

//!
//! What is odd is decided in one place, [`flockwork::printable`]. [`one_line`] and [`lines`] are for words on their way into
//! an output; whatever goes to a terminal passes [`framed`] as well, in case somebody forgot.

use std::borrow::Cow;
use std::fmt::Write;

use flockwork::printable;

use super::{RunReport, ScenarioReport, ViolationReport};

/// The text without what a terminal would act on, and its line ends as spaces.
#[must_use]
pub fn one_line(text: &str) -> Cow<'_, str> {
    let spaced = text.replace('\t', " ");
    let shown = printable(&spaced).to_string();
    if shown == text { Cow::Borrowed(text) } else { Cow::Owned(shown) }
}

/// On as many lines as it has.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    let shown: Vec<Cow<'_, str>> = text.split('\n').map(one_line).collect();
    if shown.iter().all(|line| matches!(line, Cow::Borrowed(_))) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(shown.join("\n"))
}

/// A whole output for a terminal: of all that a terminal obeys, only the ends of lines, tabs, and colours and weights are
/// left. A text may so have another colour at worst; it hides nothing, and sets nothing.
#[must_use]
pub fn framed(text: &str) -> String {
    const ESCAPE: char = '\u{1b}';
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| matches!(c, ESCAPE | '\n' | '\t')) {
        shown.push_str(&printable(&rest[..at]).to_string());
        rest = &rest[at..];
        // The character itself, or the whole of a style.
        let kept = if rest.starts_with(ESCAPE) { style_bytes(rest) } else { 1 };
        if kept == 0 {
            shown.push_str(&printable(&rest[..1]).to_string());
        } else {
            shown.push_str(&rest[..kept]);
        }
        rest = &rest[kept.max(1)..];
    }
    shown + &printable(rest).to_string()
}

/// How long the style is that the text begins with; 0 where it begins with none of those that are our own.
fn style_bytes(text: &str) -> usize {
    let Some((codes, _)) = text.strip_prefix("\u{1b}[").and_then(|rest| rest.split_once('m')) else {
        return 0;
    };
    let is_own = |code: &str| {
        // Plain, bold, dim, italic, underlined, and the sixteen colours; not concealed, and no background.
        matches!(code.parse::<u8>(), Ok(0..=4 | 22..=24 | 30..=37 | 39 | 90..=97)) || code.is_empty()
    };
    if codes.len() <= 16 && codes.split(';').all(is_own) { "\u{1b}[".len() + codes.len() + 1 } else { 0 }
}

/// XML in which every odd character stands as a reference.
#[must_use]
pub fn xml(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let mut bytes = [0; 4];
        if matches!(c, '\n' | '\t' | '\r') || printable(c.encode_utf8(&mut bytes)).to_string().starts_with(c)
        {
            shown.push(c);
        } else {
            write!(shown, "&#x{:x};", u32::from(c)).expect("a String takes all");
        }
    }
    shown
}

/// JSON in which every odd character is escaped: those stand in its strings alone.
#[must_use]
pub fn json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let mut bytes = [0; 4];
        if c == '\n' || printable(c.encode_utf8(&mut bytes)).to_string().starts_with(c) {
            shown.push(c);
        } else {
            let mut units = [0; 2];
            shown.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    shown
}

/// A report whose words are safe to be printed.
#[must_use]
pub fn report(report: &RunReport) -> RunReport {
    RunReport {
        scenarios: report.scenarios.iter().map(scenario).collect(),
        not_run: report.not_run.iter().map(|name| one_line(name).into_owned()).collect(),
        ..report.clone()
    }
}

/// The same of one scenario.
#[must_use]
pub fn scenario(scenario: &ScenarioReport) -> ScenarioReport {
    let mut shown = scenario.clone();
    for name in [&mut shown.name, &mut shown.subject] {
        *name = one_line(name).into_owned();
    }
    for words in shown.reasons.iter_mut().chain(&mut shown.first_failure) {
        *words = lines(words).into_owned();
    }
    shown.violations = shown.violations.iter().map(violation).collect();
    for check in &mut shown.checks {
        for why in check.inconclusive.iter_mut().chain(&mut check.not_applicable) {
            *why = one_line(why).into_owned();
        }
    }
    shown
}

fn violation(violation: &ViolationReport) -> ViolationReport {
    let all = |words: &str| lines(words).into_owned();
    ViolationReport {
        message: all(&violation.message),
        container: violation.container.as_deref().map(|name| one_line(name).into_owned()),
        reproduce: one_line(&violation.reproduce).into_owned(),
        explained: violation.explained.as_deref().map(all),
        story: violation.story.iter().map(|line| one_line(line).into_owned()).collect(),
        ..violation.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::cases::tests::{HOSTILE, run, scenario};
    use crate::report::exit::Exit;
    use crate::report::human::{self, Detail};

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(one_line("a\u{1b}[31m\nb\u{202e}\tc"), "a\\u{1b}[31m\\nb\\u{202e} c");
        assert_eq!(lines("a\nb\r"), "a\nb\\r");
        assert!(matches!(one_line("plain äöü"), Cow::Borrowed(_)));
    }

    #[test]
    fn only_our_own_styles_pass() {
        for kept in ["a\tb\n", "\u{1b}[1mx\u{1b}[0m", "\u{1b}[1;31mx\u{1b}[m", "ü\u{1b}[90m"] {
            assert_eq!(framed(kept), kept);
        }
        for (sent, shown) in [
            ("\u{1b}[8mx", "\\u{1b}[8mx"),
            ("\u{1b}[1;8mx", "\\u{1b}[1;8mx"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{1b}]0;x\u{7}", "\\u{1b}]0;x\\u{7}"),
            ("\u{9b}31m\r\u{202e}", "\\u{9b}31m\\r\\u{202e}"),
            ("\u{1b}\u{1b}[1m", "\\u{1b}\u{1b}[1m"),
            ("\u{1b}[1", "\\u{1b}[1"),
        ] {
            assert_eq!(framed(sent), shown);
        }
    }

    #[test]
    fn json_says_the_same_without_what_a_terminal_obeys() {
        let words = "a\u{9b}2J \u{202e} \u{e0041} \u{7f} ü \u{1b}\n\t";
        let text = serde_json::to_string(words).unwrap();
        let shown = json(&text);
        assert_eq!(lines(&shown), shown);
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), words);
    }

    #[test]
    fn a_report_for_people_has_no_escape_but_its_own() {
        for detail in [Detail::Normal, Detail::Full] {
            let text = human::run(&run(scenario(HOSTILE, Exit::Violation)), detail);
            let own = anstream::adapter::strip_str(&text).to_string();
            assert!(text.contains("\\u{1b}[31mred"), "{text}");
            assert_eq!(lines(&own), own);
            assert!(!text.contains("\u{1b}[31mred"), "{text:?}");
        }
    }
}
