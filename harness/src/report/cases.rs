//! A run as test suites: a suite per scenario, a case per check, and one for what the scenario expects as a whole.
//!
//! Formats that know only passed and failed are made from this, so that they agree with each other and with the exit
//! code: some case fails, or is inconclusive, exactly where the run does not end with 0.

use std::fmt::Write;
use std::time::Duration;

use super::exit::Exit;
use super::{CheckReport, CheckVerdict, RunReport, ScenarioReport, ViolationReport};

/// A scenario's cases.
#[derive(Clone, Debug, PartialEq)]
pub struct Suite {
    /// The scenario's name.
    pub name: String,
    /// How long it ran.
    pub time: Duration,
    /// What may be told beside it.
    pub properties: Vec<(&'static str, String)>,
    /// The cases of the suite, in the order of the report.
    pub cases: Vec<Case>,
}

/// One thing that held or did not.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The check's name, or that of what else was looked at.
    pub name: String,
    /// Whether the case passed, and what went wrong otherwise.
    pub ending: Ending,
    /// What is told where it did not fail: violations that were expected.
    pub notes: Vec<String>,
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// What the case demands holds.
    Passed,
    /// It says nothing, and need not: why.
    Skipped(String),
    /// It does not hold.
    Failed(Vec<Failure>),
    /// It could not be decided: why.
    Inconclusive(String),
    /// It did not run: why.
    Error(String),
}

/// One reason why a case does not hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// A word for it: a class of violation, where it is one.
    pub kind: String,
    /// What happened, in one sentence.
    pub message: String,
    /// All that helps to understand it, on as many lines as that takes.
    pub detail: String,
}

/// The case that says whether a scenario ended as it expects.
pub const EXPECTATION: &str = "expectation";

/// The suites of a run.
#[must_use]
pub fn suites(report: &RunReport) -> Vec<Suite> {
    report.scenarios.iter().map(suite).chain(report.not_run.iter().map(|name| not_run(name))).collect()
}

fn suite(scenario: &ScenarioReport) -> Suite {
    let mut cases: Vec<Case> = scenario.checks.iter().map(|check| judged(scenario, check)).collect();
    cases.push(expectation(scenario));
    Suite {
        name: scenario.name.clone(),
        time: Duration::try_from_secs_f64(scenario.duration_s).unwrap_or_default(),
        properties: properties(scenario),
        cases,
    }
}

fn not_run(name: &str) -> Suite {
    let ending = Ending::Inconclusive("it was not run".into());
    Suite {
        name: name.to_owned(),
        time: Duration::ZERO,
        properties: Vec::new(),
        cases: vec![Case { name: EXPECTATION.into(), ending, notes: Vec::new() }],
    }
}

fn properties(scenario: &ScenarioReport) -> Vec<(&'static str, String)> {
    let known = [
        ("kind", Some(scenario.work.kind().as_str().to_owned())),
        ("subject", Some(scenario.subject.clone())),
        ("verdict", Some(scenario.verdict.as_str().to_owned())),
        ("operations", Some(scenario.operations.to_string())),
        ("schedules", scenario.schedules.map(|count| count.to_string())),
        ("results", scenario.results.as_ref().map(|path| path.display().to_string())),
    ];
    known.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn judged(scenario: &ScenarioReport, check: &CheckReport) -> Case {
    let class = check.name.class();
    let own: Vec<&ViolationReport> =
        scenario.violations.iter().filter(|violation| violation.class == class).collect();
    let unexpected: Vec<Failure> =
        own.iter().filter(|violation| !violation.expected).map(|violation| failure(violation)).collect();
    let notes = own
        .iter()
        .filter(|violation| violation.expected)
        .map(|violation| format!("expected {}: {}", violation.class, violation.message))
        .collect();
    let ending = match (check.verdict, &check.inconclusive) {
        _ if !unexpected.is_empty() => Ending::Failed(unexpected),
        // Its class may appear here, so nothing that would be unexpected can have been missed.
        (CheckVerdict::Inconclusive, Some(why)) if scenario.expect.covers(class) => {
            Ending::Skipped(format!("inconclusive, which the scenario allows: {why}"))
        }
        (CheckVerdict::Inconclusive, why) => Ending::Inconclusive(why.clone().unwrap_or_default()),
        (CheckVerdict::NotApplicable, _) => Ending::Skipped("not applicable: it had nothing to judge".into()),
        (CheckVerdict::Clean | CheckVerdict::Violation, _) => Ending::Passed,
    };
    Case { name: check.name.to_string(), ending, notes }
}

/// What no check of its own tells: an expected violation that is missing, too little reach, a run that failed.
fn expectation(scenario: &ScenarioReport) -> Case {
    let told: Vec<bool> = scenario
        .violations
        .iter()
        .map(|violation| scenario.checks.iter().any(|check| check.name.class() == violation.class))
        .collect();
    let mut failures: Vec<Failure> = scenario
        .violations
        .iter()
        .zip(told)
        .filter(|(violation, is_told)| !violation.expected && !is_told)
        .map(|(violation, _)| failure(violation))
        .collect();
    let reasons = scenario.reasons.join("\n");
    let ending = match scenario.exit {
        Exit::AsExpected => Ending::Passed,
        Exit::Inconclusive => Ending::Inconclusive(reasons),
        Exit::Violation | Exit::ThresholdExceeded => {
            let kind = if scenario.exit == Exit::Violation { "violation" } else { "threshold" };
            let detail = format!("{reasons}{}", again(scenario));
            let message = scenario.reasons.first().cloned().unwrap_or_else(|| kind.to_owned());
            failures.insert(0, Failure { kind: kind.into(), message, detail });
            Ending::Failed(failures)
        }
        Exit::HarnessFailed | Exit::Usage | Exit::NothingToRun | Exit::Unsupported | Exit::Diverged => {
            Ending::Error(reasons)
        }
    };
    Case { name: EXPECTATION.into(), ending, notes: Vec::new() }
}

fn again(scenario: &ScenarioReport) -> String {
    let first = scenario.violations.first();
    first.map(|violation| format!("\n\nrun it again: {}", violation.reproduce)).unwrap_or_default()
}

fn failure(violation: &ViolationReport) -> Failure {
    let violation = violation.in_lives();
    let mut detail = format!("{}\n\nrun it again: {}\n", violation.message, violation.reproduce);
    let mut tell = |words: std::fmt::Arguments<'_>| detail.write_fmt(words).expect("a String takes all");
    if let Some(finding) = &violation.finding {
        tell(format_args!("finding: {}\n", finding.display()));
    }
    if let Some(explained) = &violation.explained {
        tell(format_args!("{explained}\n"));
    }
    if let Some(rate) = violation.rate() {
        tell(format_args!("{rate}\n"));
    }
    if !violation.story.is_empty() {
        tell(format_args!("\n{}\n", violation.story.join("\n")));
    }
    Failure { kind: violation.class.to_string(), message: violation.message.clone(), detail }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::check::CheckId;
    use crate::report::verdict::Verdict;
    use crate::report::{SCHEMA_VERSION, WorkReport};
    use crate::scenario::Expect;
    use crate::violation::Class;

    /// What somebody could put into a name or a message to break out of a format.
    pub const HOSTILE: &str = "<script>alert(1)</script> ]]> & \"quoted\" 'single'\n::error::injected\n##[error]old \
                               \u{1b}[31mred\u{1b}[0m \u{0} \u{7} | `tick` %0A,x:y --> \u{202e}";

    /// A scenario that found one thing, with these words everywhere.
    pub fn scenario(words: &str, exit: Exit) -> ScenarioReport {
        let check = |name, verdict| CheckReport {
            name: CheckId::Of(name),
            verdict,
            examined: 3,
            violations_total: 1,
            inconclusive: (verdict == CheckVerdict::Inconclusive).then(|| words.to_owned()),
            not_applicable: (verdict == CheckVerdict::NotApplicable).then(|| words.to_owned()),
        };
        ScenarioReport {
            name: words.to_owned(),
            work: WorkReport::Stress,
            subject: words.to_owned(),
            verdict: Verdict::Violation,
            expected: exit == Exit::AsExpected,
            reasons: if exit == Exit::AsExpected { vec![] } else { vec![words.to_owned()] },
            expect: Expect { violations: vec![], also: vec![Class::TornRead] },
            operations: 9,
            failed: 0,
            first_failure: Some(words.to_owned()),
            duration_s: 1.5,
            startup_s: Some(0.1),
            processes: 2,
            kills: Some(0),
            handoff_ratio: Some(0.5),
            schedules: None,
            interrupted: false,
            ended: crate::engine::Ended::Completed,
            shortfalls: vec![],
            violations: vec![ViolationReport {
                class: Class::LostUpdate,
                signature: "lost-update-01234567".into(),
                message: words.to_owned(),
                container: Some(words.to_owned()),
                expected: exit == Exit::AsExpected,
                finding: Some("results/x/findings/lost-update-01234567".into()),
                reproduce: format!("flockwork run '{words}'"),
                control: None,
                reproduction: crate::report::Reproduction {
                    times: 1,
                    of: 1,
                    tries: crate::report::Tries::Runs,
                },
                explained: Some(words.to_owned()),
                story: vec![words.to_owned()],
                lives: crate::report::lives::Lives::default(),
            }],
            violations_total: 1,
            checks: vec![
                check(Class::LostUpdate, CheckVerdict::Violation),
                check(Class::TornRead, CheckVerdict::Inconclusive),
                check(Class::Leftover, CheckVerdict::NotApplicable),
                check(Class::Deadlock, CheckVerdict::Clean),
            ],
            reach: None,
            rounds: None,
            results: Some("results/x".into()),
            exit,
        }
    }

    /// A run of one scenario.
    pub fn run(scenario: ScenarioReport) -> RunReport {
        RunReport {
            schema_version: SCHEMA_VERSION,
            seed: 7,
            verdict: scenario.verdict,
            exit_code: scenario.exit.code(),
            interrupted: false,
            scenarios: vec![scenario],
            not_run: vec![],
        }
    }

    fn ending<'s>(suite: &'s Suite, name: &str) -> &'s Ending {
        &suite.cases.iter().find(|case| case.name == name).expect(name).ending
    }

    #[test]
    fn each_check_is_a_case_that_says_what_it_is_worth() {
        let suite = &suites(&run(scenario("words", Exit::Violation)))[0];
        let Ending::Failed(failures) = ending(suite, "lost-update") else { panic!("{suite:?}") };
        assert!(failures[0].detail.contains("run it again: flockwork run 'words'"), "{failures:?}");
        assert!(failures[0].detail.contains("\nshowed in 1 of 1 runs\n"), "{failures:?}");
        assert!(matches!(ending(suite, "torn-read"), Ending::Skipped(why) if why.contains("inconclusive")));
        assert!(matches!(ending(suite, "leftover"), Ending::Skipped(why) if why.contains("not applicable")));
        assert_eq!(ending(suite, "deadlock"), &Ending::Passed);
        assert!(matches!(ending(suite, EXPECTATION), Ending::Failed(_)));
    }

    #[test]
    fn what_is_expected_passes_and_is_told() {
        let suite = &suites(&run(scenario("words", Exit::AsExpected)))[0];
        let case = &suite.cases[0];
        assert_eq!((&case.ending, case.notes.len()), (&Ending::Passed, 1));
        assert_eq!(ending(suite, EXPECTATION), &Ending::Passed);
    }

    #[test]
    fn a_case_fails_exactly_where_the_run_does() {
        for exit in Exit::ALL {
            let suite = &suites(&run(scenario("words", exit)))[0];
            let bad = |case: &Case| !matches!(case.ending, Ending::Passed | Ending::Skipped(_));
            assert_eq!(suite.cases.iter().any(bad), exit != Exit::AsExpected, "{exit:?}");
        }
    }

    #[test]
    fn a_scenario_that_was_not_run_is_told() {
        let report = RunReport { not_run: vec!["late".into()], ..run(scenario("words", Exit::AsExpected)) };
        let suites = suites(&report);
        assert!(matches!(ending(&suites[1], EXPECTATION), Ending::Inconclusive(_)));
    }

    #[test]
    fn a_doubt_that_the_scenario_does_not_allow_is_inconclusive() {
        let base = scenario("words", Exit::Inconclusive);
        let doubtful = ScenarioReport { expect: Expect::default(), ..base };
        let suite = &suites(&run(doubtful))[0];
        assert!(matches!(ending(suite, "torn-read"), Ending::Inconclusive(_)));
    }
}
