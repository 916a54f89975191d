//! Puts a scenario's report together from what its run and its checks gave.

use std::collections::BTreeMap;
use std::io;

use super::pipeline::{self, Trial};
use crate::check::Examination;
use crate::engine::{Ended, StressRun};
use crate::finding::Finding;
use crate::history::Outcome;
use crate::report::{CheckReport, ReachReport, ScenarioReport, ViolationReport, story};
use crate::results::RunFolder;
use crate::scenario::{Scenario, describe_subject};
use crate::violation::Violation;

/// How many violations of one class become findings.
const FINDINGS_PER_CLASS: usize = 4;

/// Reports a scenario, and leaves its findings in the folder.
pub fn scenario(
    scenario: &Scenario,
    trial: &Trial,
    folder: &RunFolder,
    reproduce: &str,
) -> io::Result<ScenarioReport> {
    let violations = first_of_each_class(trial.violations())
        .into_iter()
        .map(|violation| report_violation(scenario, trial, folder, violation, reproduce))
        .collect::<io::Result<_>>()?;
    let checks =
        trial.examinations.iter().map(|(name, examination)| report_check(name, examination)).collect();
    let run = &trial.run;
    Ok(ScenarioReport {
        name: scenario.name.clone(),
        kind: scenario.kind.as_str(),
        subject: describe_subject(&scenario.subject),
        verdict: trial.judgement.verdict,
        expected: trial.judgement.expected,
        reasons: trial.judgement.reasons.clone(),
        expect: scenario.expect.clone(),
        operations: operations(scenario, run),
        failed: run.history.records.iter().filter(|record| record.outcome == Outcome::Failed).count() as u64,
        first_failure: pipeline::first_failure(&run.history).map(str::to_owned),
        duration_s: run.duration_ns as f64 / 1e9,
        startup_s: run.startup_ns as f64 / 1e9,
        processes: scenario.stress.processes,
        kills: run.kills,
        handoff_ratio: Some(trial.reach.handoff_ratio),
        schedules: None,
        interrupted: run.ended == Ended::Interrupted,
        violations,
        violations_total: trial.violations_total(),
        checks,
        reach: ReachReport::from(&trial.reach),
        results: Some(folder.path().to_owned()),
        exit: trial.judgement.exit,
    })
}

/// Operations of workers and auditors; what the examiner does when all is quiet is no part of the run.
fn operations(scenario: &Scenario, run: &StressRun) -> u64 {
    let examiner = scenario.stress.processes + scenario.stress.auditors;
    run.history.records.iter().filter(|record| record.process < examiner).count() as u64
}

/// A finding costs a walk through the history, and the tenth of a class says what the first said.
fn first_of_each_class(mut violations: Vec<&Violation>) -> Vec<&Violation> {
    let mut counts = BTreeMap::new();
    violations.retain(|violation| {
        let count: &mut usize = counts.entry(violation.class).or_default();
        *count += 1;
        *count <= FINDINGS_PER_CLASS
    });
    violations
}

fn report_violation(
    scenario: &Scenario,
    trial: &Trial,
    folder: &RunFolder,
    violation: &Violation,
    reproduce: &str,
) -> io::Result<ViolationReport> {
    let history = &trial.run.history;
    let finding = Finding::of(history, violation, &describe_subject(&scenario.subject));
    let folder = folder.write_finding(&finding, history, reproduce)?;
    let expect = &scenario.expect;
    Ok(ViolationReport {
        class: violation.class,
        message: violation.message.clone(),
        expected: expect.violations.contains(&violation.class) || expect.also.contains(&violation.class),
        finding: Some(folder),
        reproduce: reproduce.to_owned(),
        story: story::tell(&finding),
        signature: finding.signature,
        container: finding.container,
    })
}

fn report_check(name: &'static str, examination: &Examination) -> CheckReport {
    let verdict = match examination {
        Examination { violations, .. } if !violations.is_empty() => "violation",
        Examination { inconclusive: Some(_), .. } => "inconclusive",
        Examination { examined: 0, .. } => "not-applicable",
        _ => "clean",
    };
    CheckReport {
        name,
        verdict,
        examined: examination.examined,
        violations_total: examination.violations_total.max(examination.violations.len() as u64),
        inconclusive: examination.inconclusive.clone(),
    }
}
