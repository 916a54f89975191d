//! Races: runs one, writes its evidence, and puts its report together.

use std::path::Path;

use super::Runner;
use crate::cli::findings::replay_words;
use crate::engine::Ended;
use crate::finding::{Exploration, Finding};
use crate::history::History;
use crate::plan::race::RacePlan;
use crate::plan::schedule::Schedule;
use crate::race::tell::story;
use crate::race::{self, Discovery, RaceError, RaceRun, Seen};
use crate::report::exit::Exit;
use crate::report::interleaving::{Interleaving, terminal_width};
use crate::report::progress::Bar;
use crate::report::race::{RaceReport, shortfalls};
use crate::report::verdict::{Case, Verdict, judge};
use crate::report::{ControlReport, Reproduction, ScenarioReport, ViolationReport, WorkReport};
use crate::results::RunFolder;
use crate::results::scratch::Scratch;
use crate::scenario::{Scenario, Work};
use crate::violation::{Class, Violation};

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
                let report = did_not_run(scenario, not_run(&error));
                // Of commands that are refused nothing is known, and nobody is at fault.
                let is_refused = matches!(error, RaceError::Refused(_));
                let verdict = if is_refused { Verdict::Inconclusive } else { report.verdict };
                return Ok(ScenarioReport { verdict, results: Some(folder.path().to_owned()), ..report });
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
        let Work::Race(race) = &scenario.work else { unreachable!("a race's plan is of a race") };
        let plan = &match &discovery.seen {
            Seen::Controlled(controlled) => plan.only(&controlled.members),
            Seen::Free(_) | Seen::Sequential(_) => plan.clone(),
        };
        let finding = Finding::of_race(plan, race, discovery, &scenario.subject_words());
        let story = story(plan, discovery);
        let control = control_report(plan, discovery);
        let command = self.reproduce(scenario);
        let here = std::env::current_dir()?;
        let script = format!(
            "#!/bin/sh\n# {}\n# Runs the race again, with the same seed.\ncd {} && exec {command} \"$@\"\n",
            finding.message.lines().next().unwrap_or_default(),
            crate::report::reproduce::quoted(&here.display().to_string()),
        );
        let table = control.as_ref().map(|control| plain(&control.table)).unwrap_or_default();
        let told = format!("{}: {}\n\n{}\n\n{table}", finding.class, finding.message, story.join("\n"));
        let path = folder.write_race_finding(&finding, run, discovery, (&told, &script))?;
        Ok(ViolationReport {
            class: finding.class,
            signature: finding.signature,
            message: finding.message,
            container: None,
            expected: scenario.expect.covers(finding.class),
            reproduce: match &control {
                Some(_) => replay_words(&path),
                None => command,
            },
            finding: Some(path),
            control,
            explained: seen_again(discovery),
            reproduction: Reproduction {
                times: discovery.again.shown as u32,
                of: discovery.again.times as u32,
            },
            story,
            lives: crate::report::lives::Lives::default(),
        })
    }
}

fn seen_again(discovery: &Discovery) -> Option<String> {
    let (again, number) = (discovery.again, discovery.number);
    match discovery.seen {
        Seen::Sequential(_) => None,
        Seen::Free(_) => Some(format!(
            "found by execution {number}, running freely; it showed again in {} of {} more",
            again.shown, again.times
        )),
        Seen::Controlled(_) => {
            Some(format!("followed again {} times, it showed {} times", again.times, again.shown))
        }
    }
}

/// The schedule of a discovery under control.
fn control_report(plan: &RacePlan, discovery: &Discovery) -> Option<ControlReport> {
    let Seen::Controlled(controlled) = &discovery.seen else { return None };
    Some(ControlReport {
        found_by_schedule: discovery.number,
        processes: plan.processes.len(),
        operations: plan.processes.iter().map(Vec::len).sum(),
        preemptions: controlled.preemptions,
        steps: controlled.schedule.lines.len(),
        minimal: controlled.is_minimal,
        table: table(plan, &controlled.schedule, controlled.preemptions, discovery.broken.class),
    })
}

/// A schedule of a race as a table.
pub(crate) fn table(plan: &RacePlan, schedule: &Schedule, preemptions: u32, class: Class) -> String {
    let exploration = Exploration {
        subject: crate::scenario::default_subject(),
        setup: plan.setup.clone(),
        processes: plan.processes.clone(),
        schedule: schedule.clone(),
        preemptions,
        also: Vec::new(),
        payload_bytes: 0,
        step_ns: plan.time_limit_ns,
        steps_max: schedule.lines.len(),
        seed: plan.seed,
        flockwork: env!("CARGO_PKG_VERSION").into(),
        kernel: String::new(),
    };
    let violation = Violation { class, container: None, message: String::new(), records: Vec::new() };
    let history = History::default();
    Interleaving { exploration: &exploration, history: &history, violation: &violation }
        .table(terminal_width())
}

/// A table without its colours.
fn plain(table: &str) -> String {
    anstream::adapter::strip_str(table).to_string()
}

pub(super) fn not_run(error: &RaceError) -> NotRun {
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
        ended: run.ended,
        shortfalls: shortfalls(plan, run),
        violations_total: violations.len() as u64,
        violations,
        results: Some(folder.path().to_owned()),
        exit: judgement.exit,
        ..did_not_run(scenario, NotRun { exit: judgement.exit, why: String::new() })
    }
}
