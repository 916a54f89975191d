//! GitHub Actions: an annotation per distinct finding, and a summary of the step in Markdown.
//!
//! The runner obeys every line that begins with `::` or holds `##[`, whoever wrote it. So what others wrote is escaped
//! inside of commands, and made harmless outside.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::cases::{Ending, Suite, suites};
use super::exit::Exit;
use super::human::verdict_words;
use super::{RunReport, ScenarioReport, ViolationReport, plain};
use crate::words::{grouped, plural};

/// GitHub shows ten annotations of a kind a step.
pub const ANNOTATIONS_MAX: usize = 10;
/// Longest message of an annotation: GitHub cuts off at 64 KiB.
const MESSAGE_BYTES_MAX: usize = 8 << 10;
/// GitHub refuses a step summary above 1 MiB.
pub const SUMMARY_BYTES_MAX: usize = 1 << 20;

/// The workflow commands: an annotation per distinct finding, at most [`ANNOTATIONS_MAX`], then how many more.
#[must_use]
pub fn annotations(report: &RunReport) -> String {
    let all = all_annotations(report);
    let mut text = String::new();
    let shown = if all.len() > ANNOTATIONS_MAX { ANNOTATIONS_MAX - 1 } else { all.len() };
    for annotation in &all[..shown] {
        text.push_str(&annotation.command());
    }
    if shown < all.len() {
        let more = plural((all.len() - shown) as u64, "more finding");
        let message = format!("and {more}: the step's summary and report.html have all of them");
        text.push_str(&Annotation { level: "error", title: "flockwork".into(), message }.command());
    }
    text
}

struct Annotation {
    level: &'static str,
    title: String,
    message: String,
}

impl Annotation {
    fn command(&self) -> String {
        let message = cut(&self.message, MESSAGE_BYTES_MAX);
        format!("::{} title={}::{}\n", self.level, property(&self.title), data(&message))
    }
}

fn all_annotations(report: &RunReport) -> Vec<Annotation> {
    let mut signatures = BTreeSet::new();
    let mut all = Vec::new();
    for scenario in &report.scenarios {
        let mut unexpected = scenario.violations.iter().filter(|violation| !violation.expected).peekable();
        let has_findings = unexpected.peek().is_some();
        let distinct = unexpected.filter(|violation| signatures.insert(violation.signature.clone()));
        all.extend(distinct.map(|violation| found(scenario, violation)));
        if !has_findings && scenario.exit != Exit::AsExpected {
            all.push(ended(scenario));
        }
    }
    all.extend(report.not_run.iter().map(|name| Annotation {
        level: "warning",
        title: format!("not run: {name}"),
        message: "the run ended before this scenario had its turn".into(),
    }));
    all
}

fn found(scenario: &ScenarioReport, violation: &ViolationReport) -> Annotation {
    let violation = violation.in_lives();
    let mut message = format!("{}\nrun it again: {}", violation.message, violation.reproduce);
    if let Some(rate) = violation.rate() {
        write!(message, "\n{rate}").expect("a String takes all");
    }
    for line in &violation.story {
        write!(message, "\n{line}").expect("a String takes all");
    }
    Annotation { level: "error", title: format!("{}: {}", scenario.name, violation.class), message }
}

/// A scenario that ended otherwise than it expects, and no violation says why.
fn ended(scenario: &ScenarioReport) -> Annotation {
    let level = if scenario.exit == Exit::Inconclusive { "warning" } else { "error" };
    let title = format!("{}: {}", scenario.name, scenario.verdict.as_str());
    Annotation { level, title, message: scenario.reasons.join("\n") }
}

/// The value of a command.
fn data(text: &str) -> String {
    plain::lines(text).replace('%', "%25").replace('\n', "%0A")
}

/// The value of a command's property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Text for the log, in which no line is a command.
#[must_use]
pub fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive(['\n', '\r']) {
        // The runner trims what counts as white space before it looks for the mark.
        if line.trim_start().starts_with("::") {
            shown.push_str("| ");
        }
        shown.push_str(&line.replace("##[", "## ["));
    }
    shown
}

/// The step's summary in Markdown, in at most this many bytes.
#[must_use]
pub fn summary(report: &RunReport, bytes_max: usize) -> String {
    let mut text = format!("## flockwork: {}\n\n", report.verdict.as_str());
    let scenarios = plural(report.scenarios.len() as u64, "scenario");
    writeln!(text, "{scenarios}, seed {}, exit code {}\n", report.seed, report.exit_code)
        .expect("a String takes all");
    let mut room = Room { text, bytes_max: bytes_max.saturating_sub(ROOM_FOR_END), left_out: 0 };
    room.add("| scenario | subject | work | time | verdict |\n|---|---|---:|---:|---|\n");
    for scenario in &report.scenarios {
        room.add(&row(scenario));
    }
    for name in &report.not_run {
        room.add(&format!("| {} | | | | not run |\n", markdown(name)));
    }
    for suite in &suites(report) {
        tell(&mut room, suite);
    }
    let Room { mut text, left_out, .. } = room;
    if left_out > 0 {
        writeln!(text, "\nand {} that had no room here", plural(left_out, "more entry"))
            .expect("a String takes all");
    }
    text
}

/// What the last line may take.
const ROOM_FOR_END: usize = 100;

struct Room {
    text: String,
    bytes_max: usize,
    left_out: u64,
}

impl Room {
    /// Adds an entry as a whole, or not at all.
    fn add(&mut self, entry: &str) {
        if self.left_out == 0 && self.text.len() + entry.len() <= self.bytes_max {
            self.text.push_str(entry);
        } else {
            self.left_out += 1;
        }
    }
}

fn row(scenario: &ScenarioReport) -> String {
    let work = match scenario.schedules {
        Some(schedules) => format!("{} schedules", grouped(schedules)),
        None => format!("{} operations", grouped(scenario.operations)),
    };
    let mark = if scenario.expected { "✅" } else { "❌" };
    format!(
        "| {} | {} | {work} | {:.1} s | {mark} {} |\n",
        markdown(&scenario.name),
        markdown(&scenario.subject),
        scenario.duration_s,
        markdown(&verdict_words(scenario)),
    )
}

fn tell(room: &mut Room, suite: &Suite) {
    let name = markdown(&suite.name);
    for case in &suite.cases {
        match &case.ending {
            Ending::Passed | Ending::Skipped(_) => {}
            Ending::Failed(failures) => {
                for failure in failures {
                    let (kind, detail) = (markdown(&failure.kind), block(&failure.detail));
                    room.add(&format!("\n### {name}: {kind}\n\n{detail}\n"));
                }
            }
            Ending::Inconclusive(why) => {
                room.add(&format!("\n### {name}: {} inconclusive\n\n{}\n", markdown(&case.name), block(why)));
            }
            Ending::Error(why) => room.add(&format!("\n### {name}: error\n\n{}\n", block(why))),
        }
    }
}

/// Preformatted text, as HTML: a fence of Markdown could be closed by what it holds.
fn block(text: &str) -> String {
    let text: Vec<String> = plain::lines(text).lines().map(markdown).collect();
    // An empty line would end the block of HTML.
    let lines = text.iter().map(|line| if line.trim().is_empty() { "&#32;" } else { line });
    format!("<pre>{}</pre>", lines.collect::<Vec<_>>().join("\n"))
}

/// Words for a cell or a heading: on one line, and nothing in them means anything to Markdown or HTML.
#[must_use]
pub fn markdown(text: &str) -> String {
    let mut shown = String::new();
    for c in plain::lines(text).chars() {
        match c {
            '\n' => shown.push(' '),
            '-' | '.' | '/' | ',' | ' ' | '=' => shown.push(c),
            c if c.is_ascii_punctuation() => {
                write!(shown, "&#{};", u32::from(c)).expect("a String takes all");
            }
            c => shown.push(c),
        }
    }
    shown
}

/// The beginning of a text, in at most so many bytes.
fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = (0..=bytes_max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{} …", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::cases::tests::{HOSTILE, run, scenario};

    fn many(count: usize) -> RunReport {
        let mut scenario = scenario("words", Exit::Violation);
        let one = scenario.violations[0].clone();
        scenario.violations = (0..count)
            .map(|number| ViolationReport { signature: format!("lost-update-{number}"), ..one.clone() })
            .collect();
        run(scenario)
    }

    #[test]
    fn each_distinct_finding_has_one_annotation_and_of_many_ten_are_shown() {
        for (count, shown) in [(1, 1), (10, 10), (11, 10), (500, 10)] {
            let text = annotations(&many(count));
            assert_eq!(text.lines().count(), shown, "{text}");
            assert!(text.lines().all(|line| line.starts_with("::error title=")), "{text}");
        }
        assert!(
            annotations(&many(500))
                .ends_with("and 491 more findings: the step's summary and report.html have all of them\n")
        );
        let mut twice = many(1);
        twice.scenarios.push(twice.scenarios[0].clone());
        assert_eq!(annotations(&twice).lines().count(), 1);
    }

    #[test]
    fn what_is_as_expected_has_none() {
        assert_eq!(annotations(&run(scenario("words", Exit::AsExpected))), "");
    }

    #[test]
    fn whatever_words_are_in_it_no_line_is_a_command_of_theirs() {
        let text = annotations(&run(scenario(HOSTILE, Exit::Violation)));
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("%0A::error::injected"), "the words stay, as data: {text}");
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
        let title = text.strip_prefix("::error title=").unwrap().split("::").next().unwrap();
        assert!(!title.contains([',', ':']), "{title}");
        let log = harmless(&format!("{HOSTILE}\n  ::warning::x\n\u{b}::stop-commands::y\r::add-mask::z"));
        let is_command = |line: &str| line.trim_start().starts_with("::") || line.contains("##[");
        assert!(!log.split(['\n', '\r']).any(is_command), "{log}");
    }

    #[test]
    fn a_summary_is_markdown_in_which_words_stay_words() {
        let text = summary(&run(scenario(HOSTILE, Exit::Violation)), SUMMARY_BYTES_MAX);
        assert!(!text.contains("<script") && !text.contains('\u{1b}') && !text.contains('`'), "{text}");
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(rows.len(), 3, "{text}");
        assert!(rows.iter().all(|row| row.matches('|').count() == 6), "{text}");
    }

    #[test]
    fn a_summary_keeps_within_its_limit_and_says_what_it_leaves_out() {
        let report = many(20_000);
        for bytes_max in [500, 10_000, SUMMARY_BYTES_MAX] {
            let text = summary(&report, bytes_max);
            assert!(text.len() <= bytes_max, "{} bytes of {bytes_max}", text.len());
            assert!(text.contains("that had no room here"));
        }
    }
}
