//! Words that others wrote, for a terminal or a log: names, messages and texts of files may hold what a terminal obeys
//! or what turns the direction of a line. It is shown, never sent.

use std::borrow::Cow;
use std::fmt::Write;

use super::{RunReport, ScenarioReport, ViolationReport};

/// On one line.
#[must_use]
pub fn one_line(text: &str) -> Cow<'_, str> {
    shown(text, is_odd)
}

/// On as many lines as it has.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    shown(text, |c| c != '\n' && is_odd(c))
}

fn is_odd(c: char) -> bool {
    c.is_control() || turns_direction(c)
}

/// Characters that turn the direction of text, and with it what a line seems to say.
const fn turns_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn shown(text: &str, is_odd: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_odd) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\t' if is_odd(c) => shown.push(' '),
            c if is_odd(c) => write!(shown, "{}", c.escape_default()).expect("a String takes all"),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
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
    fn a_report_for_people_has_no_escape_but_its_own() {
        for detail in [Detail::Normal, Detail::Full] {
            let text = human::run(&run(scenario(HOSTILE, Exit::Violation)), detail);
            let own = anstream::adapter::strip_str(&text).to_string();
            assert!(text.contains("\\u{1b}[31mred"), "{text}");
            assert!(!own.contains(|c: char| c != '\n' && is_odd(c)), "{own:?}");
            assert!(!text.contains("\u{1b}[31mred"), "{text:?}");
        }
    }
}
