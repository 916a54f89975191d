//! Rounds of a container runtime: plays them, writes their evidence, and puts their report together.

use std::io;

use super::{NotRun, Runner, did_not_run, report_check};
use crate::conduct::rounds::{self, RoundsTrial, Shown};
use crate::engine::Ended;
use crate::finding::Finding;
use crate::plan::rounds::RoundsPlan;
use crate::report::lives::Lives;
use crate::report::progress::Bar;
use crate::report::rounds::{Broken, RoundsReport};
use crate::report::{ReachReport, Reproduction, ScenarioReport, Tries, ViolationReport, story};
use crate::results::{RunFolder, Script};
use crate::runtimes::profile;
use crate::scenario::Scenario;

impl Runner<'_> {
    /// Plays rounds and reports them.
    pub(super) fn played(
        &mut self,
        scenario: &Scenario,
        plan: &RoundsPlan,
        folder: &RunFolder,
        bar: &Bar,
    ) -> Result<ScenarioReport, Box<dyn std::error::Error>> {
        let stop = self.interrupt.flag();
        let trial = rounds::run(&self.zygote, &scenario.expect, plan, stop, bar)?;
        let command = self.reproduce(scenario);
        let mut shown: Vec<&Shown> = trial.shown.iter().collect();
        shown.sort_by_key(|shown| (shown.violation.class, shown.round));
        let violations = shown
            .into_iter()
            .map(|shown| {
                let script = self.script(scenario, &shown.violation.message);
                keep(scenario, plan, &trial, shown, folder, (&command, &script))
            })
            .collect::<io::Result<Vec<_>>>()?;
        Ok(report(scenario, plan, &trial, violations, folder))
    }
}

/// Leaves a finding in the folder, with the model that it was judged by, and reports it.
fn keep(
    scenario: &Scenario,
    plan: &RoundsPlan,
    trial: &RoundsTrial,
    shown: &Shown,
    folder: &RunFolder,
    (command, script): (&str, &Script),
) -> io::Result<ViolationReport> {
    let Shown { violation, history, .. } = shown;
    let finding = Finding::of(history, violation, &scenario.subject_words());
    let path = folder.write_finding(&finding, history, script)?;
    std::fs::write(path.join("model.toml"), profile::text(plan.oci.runtime))?;
    let rounds = trial.classes.get(&violation.class).map_or(0, |(rounds, _)| *rounds);
    let of = u32::try_from(trial.run.rounds).unwrap_or(u32::MAX);
    Ok(ViolationReport {
        lives: Lives::default(),
        class: violation.class,
        message: violation.message.clone(),
        expected: scenario.expect.covers(violation.class),
        finding: Some(path),
        reproduce: command.to_owned(),
        control: None,
        reproduction: Reproduction {
            times: u32::try_from(rounds).unwrap_or(u32::MAX),
            of,
            tries: Tries::Rounds,
        },
        explained: None,
        story: story::tell(&finding),
        signature: finding.signature,
        container: finding.container,
    })
}

/// What the rounds came to in figures.
fn summed(trial: &RoundsTrial) -> RoundsReport {
    let broken = trial.classes.iter().map(|(class, &(rounds, first))| (*class, Broken { rounds, first }));
    RoundsReport {
        version: trial.run.version.clone(),
        rounds: trial.run.rounds,
        met: trial.run.met,
        reads: trial.run.reads,
        broken: broken.collect(),
    }
}

fn report(
    scenario: &Scenario,
    plan: &RoundsPlan,
    trial: &RoundsTrial,
    violations: Vec<ViolationReport>,
    folder: &RunFolder,
) -> ScenarioReport {
    let run = &trial.run;
    let failed = trial.counts.iter().filter(|((_, outcome), _)| *outcome == crate::history::Outcome::Failed);
    let violations_total =
        trial.examinations.iter().map(|(_, examination)| examination.violations_total).sum();
    ScenarioReport {
        verdict: trial.judgement.verdict,
        expected: trial.judgement.expected,
        reasons: trial.judgement.reasons.clone(),
        operations: run.commands,
        failed: failed.map(|(_, count)| count).sum(),
        first_failure: trial.first_failure.clone(),
        duration_s: run.duration_ns as f64 / 1e9,
        startup_s: Some(run.startup_ns as f64 / 1e9),
        kills: (plan.kill > 0.0).then_some(run.kills),
        interrupted: run.ended == Ended::Interrupted,
        ended: run.ended,
        shortfalls: trial.shortfalls.clone(),
        violations,
        violations_total,
        checks: trial
            .examinations
            .iter()
            .map(|(check, examination)| report_check(*check, examination))
            .collect(),
        reach: Some(ReachReport::from(&rounds::reach(trial))),
        rounds: Some(summed(trial)),
        results: Some(folder.path().to_owned()),
        exit: trial.judgement.exit,
        ..did_not_run(scenario, NotRun { exit: trial.judgement.exit, why: String::new() })
    }
}
