//! Crashes: runs one, writes its evidence, and puts its report together.

use super::{NotRun, Runner, did_not_run};
use crate::crash::tell::story;
use crate::crash::{self, CrashRun, Discovery};
use crate::engine::Ended;
use crate::finding::Finding;
use crate::plan::crash::CrashPlan;
use crate::plan::race::RacePlan;
use crate::report::crash::{CrashReport, shortfalls};
use crate::report::progress::Bar;
use crate::report::reproduce::from_folder;
use crate::report::verdict::{Case, judge};
use crate::report::{Reproduction, ScenarioReport, ViolationReport, WorkReport};
use crate::results::RunFolder;
use crate::scenario::{Scenario, Work};
use crate::scratch::Scratch;

impl Runner<'_> {
    /// Runs a crash and reports it.
    pub(super) fn crashed(
        &mut self,
        scenario: &Scenario,
        plan: &CrashPlan,
        (folder, scratch): (&RunFolder, &Scratch),
        bar: &Bar,
    ) -> Result<ScenarioReport, Box<dyn std::error::Error>> {
        let results = self.results.base().canonicalize()?;
        let base = self.request.base.canonicalize()?;
        let scratch = scratch.root();
        let mine = scratch.parent().map_or(base, std::path::Path::to_owned);
        let race = RacePlan { leaves_out: vec![results, mine], ..plan.race.clone() };
        let plan = CrashPlan { race, ..plan.clone() };
        let run = match crash::run(&self.zygote, &plan, &scratch, self.interrupt.flag(), bar) {
            Ok(run) => run,
            Err(error) => {
                let report = did_not_run(scenario, super::race::not_run(&error));
                return Ok(ScenarioReport { results: Some(folder.path().to_owned()), ..report });
            }
        };
        let violations = run
            .discoveries
            .iter()
            .map(|discovery| self.keep_crash(scenario, &plan, &run, discovery, folder))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(report(scenario, &plan, &run, violations, folder))
    }

    fn keep_crash(
        &self,
        scenario: &Scenario,
        plan: &CrashPlan,
        run: &CrashRun,
        discovery: &Discovery,
        folder: &RunFolder,
    ) -> std::io::Result<ViolationReport> {
        let Work::Crash(crash) = &scenario.work else { unreachable!("a crash's plan is of a crash") };
        let finding = Finding::of_crash(plan, crash, discovery, &scenario.subject_words());
        let story = story(discovery);
        let command = self.reproduce(scenario);
        let script = from_folder(&finding.message, &std::env::current_dir()?, &command).text;
        let told = format!("{}: {}\n\n{}\n", finding.class, finding.message, story.join("\n"));
        let path = folder.write_crash_finding(&finding, run, discovery, (&told, &script))?;
        Ok(ViolationReport {
            class: finding.class,
            signature: finding.signature,
            message: finding.message,
            container: None,
            expected: scenario.expect.covers(finding.class),
            reproduce: command,
            finding: Some(path),
            control: None,
            explained: None,
            reproduction: Reproduction::default(),
            story,
            lives: crate::report::lives::Lives::default(),
        })
    }
}

fn report(
    scenario: &Scenario,
    plan: &CrashPlan,
    run: &CrashRun,
    violations: Vec<ViolationReport>,
    folder: &RunFolder,
) -> ScenarioReport {
    let examined = run.kills.unwrap_or(0) + run.power.as_ref().map_or(0, |power| power.states);
    let case = Case {
        expect: &scenario.expect,
        seen: violations.iter().map(|violation| violation.class).collect(),
        doubts: Vec::new(),
        shortfalls: shortfalls(plan, run),
        examined,
        ended: run.ended,
    };
    let judgement = judge(&case);
    ScenarioReport {
        work: WorkReport::Crash { crash: Some(CrashReport::of(run)) },
        verdict: judgement.verdict,
        expected: judgement.expected,
        reasons: judgement.reasons,
        shortfalls: shortfalls(plan, run),
        operations: examined,
        kills: run.kills,
        duration_s: run.duration_ns as f64 / 1e9,
        interrupted: run.ended == Ended::Interrupted,
        violations_total: violations.len() as u64,
        violations,
        results: Some(folder.path().to_owned()),
        exit: judgement.exit,
        ..did_not_run(scenario, NotRun { exit: judgement.exit, why: String::new() })
    }
}
