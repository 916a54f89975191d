//! JUnit XML, as CI servers read it: a suite per scenario, a case per check, the command that runs it again in the
//! failure.
//!
//! JUnit knows no "inconclusive": it is an error of that type, since it must not pass. What had nothing to judge is
//! skipped.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::RunReport;
use super::cases::{Case, Ending, Failure, Suite, suites};

/// The report as a `JUnit` document: a suite a scenario, a case a check.
#[must_use]
pub fn show(report: &RunReport) -> String {
    of_suites(&suites(report), report.seed)
}

/// The document of any suites.
#[must_use]
pub fn of_suites(suites: &[Suite], seed: u64) -> String {
    let mut document = Report::new("flockwork");
    let mut whole = Duration::ZERO;
    for suite in suites {
        whole += suite.time;
        document.add_test_suite(test_suite(suite, seed));
    }
    document.set_time(whole);
    super::plain::xml(&document.to_string().expect("a String takes all"))
}

fn test_suite(suite: &Suite, seed: u64) -> TestSuite {
    let mut shown = TestSuite::new(&*suite.name);
    shown.set_time(suite.time);
    shown.add_property(("seed", &*seed.to_string()));
    for (name, value) in &suite.properties {
        shown.add_property((*name, &**value));
    }
    for case in &suite.cases {
        shown.add_test_case(test_case(suite, case));
    }
    shown
}

fn test_case(suite: &Suite, case: &Case) -> TestCase {
    let mut shown = TestCase::new(&*case.name, status(&case.ending));
    shown.set_classname(&*suite.name);
    if !case.notes.is_empty() {
        shown.set_system_out(case.notes.join("\n"));
    }
    shown
}

fn status(ending: &Ending) -> TestCaseStatus {
    let error = |kind: &str, why: &str| {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_type(kind).set_message(first_line(why)).set_description(why);
        status
    };
    match ending {
        Ending::Passed => TestCaseStatus::success(),
        Ending::Skipped(why) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(first_line(why));
            status
        }
        Ending::Failed(failures) => failed(failures),
        Ending::Inconclusive(why) => error("inconclusive", why),
        Ending::Error(why) => error("error", why),
    }
}

/// JUnit has room for one failure a case: the first gives its name, and all are told.
fn failed(failures: &[Failure]) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    if let Some(first) = failures.first() {
        status.set_type(&*first.kind).set_message(first_line(&first.message));
    }
    let details: Vec<&str> = failures.iter().map(|failure| failure.detail.trim_end()).collect();
    status.set_description(details.join("\n\n"));
    status
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::cases::tests::{HOSTILE, run, scenario};
    use crate::report::exit::Exit;

    #[test]
    fn it_says_what_failed_and_how_to_run_it_again() {
        let text = show(&run(scenario("words", Exit::Violation)));
        let document = roxmltree::Document::parse(&text).expect(&text);
        let root = document.root_element();
        assert_eq!((root.attribute("failures"), root.attribute("tests")), (Some("2"), Some("5")), "{text}");
        let suite = root.children().find(|node| node.has_tag_name("testsuite")).unwrap();
        assert_eq!((suite.attribute("name"), suite.attribute("skipped")), (Some("words"), Some("2")));
        let failure = document.descendants().find(|node| node.has_tag_name("failure")).unwrap();
        assert_eq!(failure.attribute("type"), Some("lost-update"));
        assert!(failure.text().unwrap().contains("run it again: flockwork run 'words'"), "{text}");
        assert_eq!(document.descendants().filter(|node| node.has_tag_name("skipped")).count(), 2);
    }

    #[test]
    fn inconclusive_is_an_error_of_that_type() {
        let text = show(&run(scenario("words", Exit::Inconclusive)));
        let document = roxmltree::Document::parse(&text).expect(&text);
        let errors: Vec<_> = document.descendants().filter(|node| node.has_tag_name("error")).collect();
        assert!(errors.iter().all(|error| error.attribute("type") == Some("inconclusive")), "{text}");
        assert!(!errors.is_empty());
    }

    #[test]
    fn whatever_words_are_in_it_stay_words() {
        for exit in Exit::ALL {
            let text = show(&run(scenario(HOSTILE, exit)));
            let document = roxmltree::Document::parse(&text).expect(&text);
            assert!(document.descendants().all(|node| !node.has_tag_name("script")), "{text}");
            let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
            assert!(!text.contains(control), "{text:?}");
            let suite = document.descendants().find(|node| node.has_tag_name("testsuite")).unwrap();
            assert!(suite.attribute("name").unwrap().contains("<script>alert(1)</script> ]]>"));
        }
    }
}
