//! Stress runs of commands: runs one, writes its evidence, and puts its report together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use super::{Keep, NotRun, Runner, did_not_run, report_check};
use crate::conduct::command::{self, CommandTrial};
use crate::engine::Ended;
use crate::engine::command::CommandRunError;
use crate::finding::Finding;
use crate::plan::command::{CommandPlan, Ends};
use crate::report::exit::Exit;
use crate::report::lives::Lives;
use crate::report::progress::Bar;
use crate::report::reproduce::from_folder;
use crate::report::{Reproduction, ScenarioReport, Tries, ViolationReport, WorkReport, story};
use crate::results::{RunFolder, write_script};
use crate::scenario::{CommandStress, Scenario};
use crate::scratch::Scratch;
use crate::violation::{Class, Violation};
use crate::words::grouped;

/// How many violations of one class become findings.
const FINDINGS_PER_CLASS: usize = 4;

impl Runner<'_> {
    /// Runs a scenario of commands and reports it.
    pub(super) fn commanded(
        &mut self,
        (scenario, stress): (&Scenario, &CommandStress),
        plan: &CommandPlan,
        (folder, scratch): (&RunFolder, &Scratch),
        bar: &Bar,
    ) -> Result<ScenarioReport, Box<dyn std::error::Error>> {
        let results = self.results.base().canonicalize()?;
        let base = self.request.base.canonicalize()?;
        let root = scratch.root();
        let mine = root.parent().map_or(base, std::path::Path::to_owned);
        let plan = CommandPlan { leaves_out: vec![results, mine], ..plan.clone() };
        let judged = (&scenario.expect, stress);
        let stop = self.interrupt.flag();
        let trial = match command::run(&self.zygote, judged, &plan, &root, stop, bar, || bar.judging()) {
            Ok(trial) => trial,
            Err(error) => {
                let report = did_not_run(scenario, not_run(&error));
                return Ok(ScenarioReport { results: Some(folder.path().to_owned()), ..report });
            }
        };
        if self.request.keep == Keep::All || !trial.judgement.expected {
            folder.write_lines(&trial.history)?;
        }
        let reproduce = self.reproduce(scenario);
        let mut violations = Vec::new();
        for violation in first_of_each_class(&trial) {
            violations.push(keep(scenario, &plan, &trial, violation, folder, &reproduce)?);
        }
        if !violations.is_empty() {
            let paths: BTreeSet<_> =
                violations.iter().filter_map(|violation| violation.finding.as_deref()).collect();
            let paths = Vec::from_iter(paths);
            folder.write_state(&root.join("state"), &paths)?;
        }
        if !trial.run.touched.is_empty() {
            let files = trial.run.touched.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            self.output.remark(&format!("also touched outside the state, so not restored: {files}"));
        }
        if let Some(why) = &trial.run.unperturbed {
            self.output.remark(&format!("calls could not be delayed, only the starts of commands: {why}"));
        }
        if !trial.run.strays.is_empty() && !plan.forbids_strays {
            let strays = trial.run.strays.iter().map(|(name, count)| format!("{name} ({})", times(*count)));
            let strays = strays.collect::<Vec<_>>().join(", ");
            self.output.remark(&format!("left running in the background by commands, and killed: {strays}"));
        }
        Ok(report(scenario, &trial, violations, folder))
    }
}

fn times(count: u64) -> String {
    if count == 1 { "once".into() } else { format!("{} times", grouped(count)) }
}

fn not_run(error: &CommandRunError) -> NotRun {
    let exit = match error {
        CommandRunError::Usage(_) => Exit::Usage,
        CommandRunError::Unsupported(_) => Exit::Unsupported,
        CommandRunError::Failed(_) => Exit::HarnessFailed,
    };
    NotRun { exit, why: error.to_string() }
}

fn first_of_each_class(trial: &CommandTrial) -> Vec<&Violation> {
    let mut counts = BTreeMap::<Class, usize>::new();
    let mut violations = trial.violations();
    violations.retain(|violation| {
        let count = counts.entry(violation.class).or_default();
        *count += 1;
        *count <= FINDINGS_PER_CLASS
    });
    violations
}

/// Leaves a finding in the folder, and reports it.
fn keep(
    scenario: &Scenario,
    plan: &CommandPlan,
    trial: &CommandTrial,
    violation: &Violation,
    folder: &RunFolder,
    reproduce: &str,
) -> io::Result<ViolationReport> {
    let finding = Finding::of_commands(plan, &trial.run.entries, violation, &scenario.subject_words());
    let path = folder.path().join("findings").join(&finding.signature);
    if !path.exists() {
        fs::create_dir_all(&path)?;
        finding.write_itself(&path)?;
        fs::write(
            path.join("history.jsonl"),
            command::part(scenario_model(scenario), plan, &trial.run.entries, violation),
        )?;
        write_script(&path, &from_folder(&finding.message, &std::env::current_dir()?, reproduce))?;
    }
    let object = violation.records.first().map(|&index| &trial.run.entries[index]);
    Ok(ViolationReport {
        class: violation.class,
        message: violation.message.clone(),
        expected: scenario.expect.covers(violation.class),
        finding: Some(path),
        reproduce: reproduce.to_owned(),
        control: None,
        reproduction: Reproduction { times: 1, of: 1, tries: Tries::Runs },
        explained: None,
        story: story::tell(&finding),
        signature: finding.signature,
        container: object.map(|entry| plan.objects[entry.object].clone()),
        lives: Lives::default(),
    })
}

fn scenario_model(scenario: &Scenario) -> &crate::model::AnyModel {
    let crate::scenario::Work::Command(stress) = &scenario.work else {
        unreachable!("a plan of commands is of a scenario of commands")
    };
    &stress.model
}

fn report(
    scenario: &Scenario,
    trial: &CommandTrial,
    violations: Vec<ViolationReport>,
    folder: &RunFolder,
) -> ScenarioReport {
    let run = &trial.run;
    let total = |examination: &crate::check::Examination| {
        examination.violations_total.max(examination.violations.len() as u64)
    };
    ScenarioReport {
        work: WorkReport::Stress,
        verdict: trial.judgement.verdict,
        expected: trial.judgement.expected,
        reasons: trial.judgement.reasons.clone(),
        operations: run.entries.len() as u64,
        failed: run.entries.iter().filter(|entry| entry.outcome == Ends::Failed).count() as u64,
        first_failure: command::first_failure(run).map(str::to_owned),
        duration_s: run.duration_ns as f64 / 1e9,
        startup_s: Some(run.startup_ns as f64 / 1e9),
        kills: Some(command::kills(run)),
        interrupted: run.ended == Ended::Interrupted,
        ended: run.ended,
        shortfalls: trial.shortfalls.clone(),
        violations,
        violations_total: trial.examinations.iter().map(|(_, examination)| total(examination)).sum(),
        checks: trial
            .examinations
            .iter()
            .map(|(check, examination)| report_check(*check, examination))
            .collect(),
        results: Some(folder.path().to_owned()),
        exit: trial.judgement.exit,
        ..did_not_run(scenario, NotRun { exit: trial.judgement.exit, why: String::new() })
    }
}
