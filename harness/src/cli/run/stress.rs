//! Stress scenarios: runs one, writes its evidence, and puts its report together from what its run and its checks gave.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::explain::{Explanation, Explanations};
use super::explore::control_report;
use super::{Keep, Runner, report_check};
use crate::conduct::stress::{self, Trial};
use crate::engine::stress::left_beside;
use crate::engine::{Ended, StressRun};
use crate::finding::Finding;
use crate::history::Outcome;
use crate::plan::StressPlan;
use crate::report::lives::Lives;
use crate::report::progress::Bar;
use crate::report::{ReachReport, Reproduction, ScenarioReport, Tries, ViolationReport, WorkReport, story};
use crate::results::{HOLDS_PART_FILE, RunFolder, Script};
use crate::scenario::{Scenario, Stress, describe_subject};
use crate::violation::Violation;

/// How many violations of one class become findings.
const FINDINGS_PER_CLASS: usize = 4;

impl Runner<'_> {
    /// Runs a stress scenario and reports it.
    pub(super) fn stressed(
        &mut self,
        (scenario, stress): (&Scenario, &Stress),
        plan: &StressPlan,
        folder: &RunFolder,
        bar: &Bar,
    ) -> Result<ScenarioReport, Box<dyn std::error::Error>> {
        let stop = self.interrupt.flag();
        let judged = (&scenario.expect, stress);
        let trial = stress::run(&mut self.zygote, judged, plan, stop, bar, || bar.judging())?;
        if self.request.keep == Keep::All || !trial.judgement.expected {
            folder.write_history(&trial.run.history)?;
            if let Ok(holds) = &trial.run.holds {
                folder.write_holds(holds)?;
            }
        }
        let violations = trial.violations();
        let sought = (&scenario.expect, plan);
        let explanations = self.explanations(sought, &trial.run.history, &violations, bar);
        Ok(self.evidence(scenario, plan, &trial, folder, explanations)?)
    }

    /// Writes the evidence, and reports what it shows.
    fn evidence(
        &self,
        scenario: &Scenario,
        plan: &StressPlan,
        trial: &Trial,
        folder: &RunFolder,
        mut explanations: Explanations,
    ) -> io::Result<ScenarioReport> {
        let reproduce = (self.reproduce(scenario), |message: &str| self.script(scenario, message));
        let violations = first_of_each_class(trial.violations())
            .into_iter()
            .map(|violation| {
                let explanation = explanations.remove(&violation.class);
                report_violation(scenario, trial, folder, (violation, explanation), &reproduce)
            })
            .collect::<io::Result<_>>()?;
        let report = report(scenario, plan, trial, folder, violations);
        if self.request.keep == Keep::All || !trial.judgement.expected {
            let findings: BTreeSet<_> =
                report.violations.iter().filter_map(|violation| violation.finding.as_deref()).collect();
            folder.write_state(&left_beside(&plan.root), &Vec::from_iter(findings))?;
        }
        Ok(report)
    }
}

fn report(
    scenario: &Scenario,
    plan: &StressPlan,
    trial: &Trial,
    folder: &RunFolder,
    violations: Vec<ViolationReport>,
) -> ScenarioReport {
    let checks =
        trial.examinations.iter().map(|(check, examination)| report_check(*check, examination)).collect();
    let run = &trial.run;
    ScenarioReport {
        name: scenario.name.clone(),
        work: WorkReport::Stress,
        subject: describe_subject(&scenario.subject),
        verdict: trial.judgement.verdict,
        expected: trial.judgement.expected,
        reasons: trial.judgement.reasons.clone(),
        expect: scenario.expect.clone(),
        operations: operations(plan, run),
        failed: run.history.records.iter().filter(|record| record.outcome == Outcome::Failed).count() as u64,
        first_failure: stress::first_failure(&run.history).map(str::to_owned),
        duration_s: run.duration_ns as f64 / 1e9,
        startup_s: Some(run.startup_ns as f64 / 1e9),
        processes: scenario.processes(),
        kills: Some(run.kills),
        handoff_ratio: Some(trial.reach.handoff_ratio),
        schedules: None,
        interrupted: run.ended == Ended::Interrupted,
        ended: run.ended,
        shortfalls: trial.shortfalls.clone(),
        violations,
        violations_total: trial.violations_total(),
        checks,
        reach: Some(ReachReport::from(&trial.reach)),
        rounds: None,
        results: Some(folder.path().to_owned()),
        exit: trial.judgement.exit,
    }
}

/// Operations of workers and auditors; what the examiner does when all is quiet is no part of the run.
fn operations(plan: &StressPlan, run: &StressRun) -> u64 {
    let examiner = plan.processes + plan.auditors;
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

fn texts<'t>(message: &'t str, story: &'t [String]) -> impl Iterator<Item = &'t str> {
    std::iter::once(message).chain(story.iter().map(String::as_str))
}

/// Leaves a finding in the folder, and reports it.
fn report_violation(
    scenario: &Scenario,
    trial: &Trial,
    folder: &RunFolder,
    (violation, explanation): (&Violation, Option<Explanation>),
    (reproduce, script): &(String, impl Fn(&str) -> Script),
) -> io::Result<ViolationReport> {
    let history = &trial.run.history;
    let mut finding = Finding::of(history, violation, &describe_subject(&scenario.subject));
    let found = explanation.as_ref().and_then(|explanation| explanation.found.as_ref());
    let control = found.map(|(simplest, number)| {
        finding.exploration = Some(simplest.exploration());
        control_report(&finding, simplest, *number)
    });
    let story = story::tell(&finding);
    let lives = Lives::of(history, violation.container, texts(&violation.message, &story));
    let folder = folder.write_finding(&finding, history, &script(&lives.tell(&finding.message)))?;
    if let (Ok(holds), Some((from_ns, to_ns))) = (&trial.run.holds, finding.span_ns(history)) {
        holds.within(from_ns, to_ns).write_file(&folder.join(HOLDS_PART_FILE))?;
    }
    Ok(ViolationReport {
        lives,
        class: violation.class,
        message: violation.message.clone(),
        expected: scenario.expect.covers(violation.class),
        finding: Some(folder),
        reproduce: reproduce.clone(),
        control,
        reproduction: Reproduction { times: 1, of: 1, tries: Tries::Runs },
        explained: explanation.map(|explanation| explanation.words),
        story,
        signature: finding.signature,
        container: finding.container,
    })
}
