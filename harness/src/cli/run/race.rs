//! Races: runs one, writes its evidence, and puts its report together.

use std::path::Path;

use super::Runner;
use crate::engine::Ended;
use crate::finding::Finding;
use crate::plan::race::RacePlan;
use crate::race::tell::story;
use crate::race::{self, Discovery, RaceError, RaceRun};
use crate::report::exit::Exit;
use crate::report::progress::Bar;
use crate::report::race::{RaceReport, shortfalls};
use crate::report::verdict::{Case, judge};
use crate::report::{ScenarioReport, ViolationReport, WorkReport};
use crate::results::RunFolder;
use crate::results::scratch::Scratch;
use crate::scenario::Scenario;

use super::{NotRun, did_not_run};

impl Runner<'_> {
    /// Runs a race and reports it.
    pub(super) fn raced(
        &mut self,
        scenario: &Scenario,
        plan: &RacePlan,
        (folder, scratch): (&RunFolder, &Scratch),
        bar: &Bar,
    ) -> Result<ScenarioReport, Box<dyn std::error::Error>> {
        let results = self.results.base().canonicalize()?;
        let base = self.request.base.canonicalize()?;
        let scratch = scratch.root();
        let mine = scratch.parent().map_or(base, Path::to_owned);
        let plan = RacePlan { leaves_out: vec![results, mine], ..plan.clone() };
        let raced = race::run(&self.zygote, &plan, &scratch, self.interrupt.flag(), bar);
        let run = match raced {
            Ok(run) => run,
            Err(error) => {
                let not_run = not_run(&error);
                let report = did_not_run(scenario, not_run);
                return Ok(ScenarioReport { results: Some(folder.path().to_owned()), ..report });
            }
        };
        let violations = run
            .discoveries
            .iter()
            .map(|discovery| self.keep_race(scenario, &plan, &run, discovery, folder))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(report(scenario, &plan, &run, violations, folder))
    }

    fn keep_race(
        &self,
        scenario: &Scenario,
        plan: &RacePlan,
        run: &RaceRun,
        discovery: &Discovery,
        folder: &RunFolder,
    ) -> std::io::Result<ViolationReport> {
        let finding = Finding::of_race(plan, discovery, &scenario.subject_words());
        let story = story(plan, discovery);
        let command = self.reproduce(scenario);
        let here = std::env::current_dir()?;
        let script = format!(
            "#!/bin/sh\n# {}\n# Runs the race again, with the same seed.\ncd {} && exec {command} \"$@\"\n",
            finding.message.lines().next().unwrap_or_default(),
            crate::report::reproduce::quoted(&here.display().to_string()),
        );
        let told = format!("{}: {}\n\n{}\n", finding.class, finding.message, story.join("\n"));
        let path = folder.write_race_finding(&finding, run, discovery, (&told, &script))?;
        Ok(ViolationReport {
            class: finding.class,
            signature: finding.signature,
            message: finding.message,
            container: None,
            expected: scenario.expect.covers(finding.class),
            reproduce: command,
            finding: Some(path),
            control: None,
            explained: seen_again(discovery),
            story,
        })
    }
}

fn seen_again(discovery: &Discovery) -> Option<String> {
    let again = discovery.again;
    if discovery.number == 0 {
        return None;
    }
    let number = discovery.number;
    Some(match again.times {
        0 => format!("found by execution {number}, running freely"),
        times => {
            format!(
                "found by execution {number}, running freely; it showed again in {} of {times} more",
                again.shown
            )
        }
    })
}

fn not_run(error: &RaceError) -> NotRun {
    let exit = match error {
        RaceError::Usage(_) => Exit::Usage,
        RaceError::Unsupported(_) => Exit::Unsupported,
        RaceError::Refused(_) => Exit::Inconclusive,
        RaceError::Failed(_) => Exit::HarnessFailed,
    };
    NotRun { exit, why: error.to_string() }
}

fn report(
    scenario: &Scenario,
    plan: &RacePlan,
    run: &RaceRun,
    violations: Vec<ViolationReport>,
    folder: &RunFolder,
) -> ScenarioReport {
    let case = Case {
        expect: &scenario.expect,
        seen: violations.iter().map(|violation| violation.class).collect(),
        doubts: Vec::new(),
        shortfalls: shortfalls(plan, run),
        examined: run.executions + violations.len() as u64,
        ended: run.ended,
    };
    let judgement = judge(&case);
    ScenarioReport {
        work: WorkReport::Race { race: Some(RaceReport::from(run)) },
        verdict: judgement.verdict,
        expected: judgement.expected,
        reasons: judgement.reasons,
        operations: run.executions * plan.processes.iter().map(Vec::len).sum::<usize>() as u64,
        duration_s: run.duration_ns as f64 / 1e9,
        interrupted: run.ended == Ended::Interrupted,
        violations_total: violations.len() as u64,
        violations,
        results: Some(folder.path().to_owned()),
        exit: judgement.exit,
        ..did_not_run(scenario, NotRun { exit: judgement.exit, why: String::new() })
    }
}
