//! `flockwork run`: one scenario after the other, with evidence on disk before, and a report after.

use std::io;
use std::path::Path;

mod bench;
mod explain;
mod explore;
mod race;
pub(super) use race::table as race_table;
mod stress;

use super::args::RunArgs;
use super::deliver::deliver;
use super::failure::Failure;
use super::interrupt::Interrupt;
use super::output::{Output, say};
use super::request::{Keep, RunRequest};
use super::stand::{exit_of, words_of};
use crate::check::{Examination, Upshot};
use crate::conduct;
use crate::engine::EngineError;
use crate::ground::restore_left;
use crate::plan::Budget;
use crate::process::{self, Zygote};
use crate::report::exit::Exit;
use crate::report::human;
use crate::report::progress::Bar;
use crate::report::stored::Summary;
use crate::report::verdict::{self, Verdict};
use crate::report::{
    CheckReport, CheckVerdict, RunReport, SCHEMA_VERSION, ScenarioReport, WorkReport, reproduce,
};
use crate::results::scratch::{self, Scratch};
use crate::results::{Results, RunFolder, ScenarioRecord};
use crate::scenario::{Kind, Plan, Scenario, Work};
use crate::words::plural;

/// Runs what the arguments ask for, and reports.
pub fn run(
    zygote: io::Result<Zygote>,
    args: RunArgs,
    command_line: &[String],
    output: Output,
) -> Result<Exit, Failure> {
    conduct(zygote, &RunRequest::new(args)?, command_line, output)
}

/// Runs what a request asks for, and reports.
pub fn conduct(
    zygote: io::Result<Zygote>,
    request: &RunRequest,
    command_line: &[String],
    output: Output,
) -> Result<Exit, Failure> {
    let results = Results::open(&request.results_dir)?;
    let zygote = zygote.map_err(|error| Failure::no_zygote(&error))?;
    let interrupt = Interrupt::listen()
        .map_err(|error| Failure::new(Exit::HarnessFailed, format!("signals cannot be heard: {error}")))?;
    clear_leftovers(&request.base, output);
    for note in &request.notes {
        output.remark(note);
    }
    say(&format!("seed: {}", request.seed));

    let mut runner = Runner { zygote, request, results, interrupt, command_line, output };
    let (report, exit) = runner.run_all();
    deliver(&report, output, request.junit.as_deref(), exit)?;
    Ok(exit)
}

/// Removes what runs left behind that were killed, and says so.
pub fn clear_leftovers(base: &Path, output: Output) {
    let killed = process::sweep().len() as u64;
    if killed > 0 {
        output.remark(&format!("ended {}, left by a run that was killed", plural(killed, "sandbox process")));
    }
    for restored in restore_left() {
        let folders: Vec<String> = restored.folders.iter().map(|path| path.display().to_string()).collect();
        let folders = folders.join(", ");
        match restored.error {
            None => output
                .remark(&format!("put back {folders}, as it was before a race in place that was killed")),
            Some(error) => say(&format!(
                "{folders}, left by a race in place that was killed, cannot be put back: {error}"
            )),
        }
    }
    let leftovers = scratch::clear_leftovers(base).into_iter().chain(scratch::clear_registered());
    for leftover in leftovers {
        let path = leftover.path.display();
        match leftover.error {
            None => output.remark(&format!("cleared {path}, left by a run that was killed")),
            Some(error) => say(&format!("{path}, left by a run that was killed, cannot be cleared: {error}")),
        }
    }
}

struct Runner<'a> {
    zygote: Zygote,
    request: &'a RunRequest,
    results: Results,
    interrupt: Interrupt,
    command_line: &'a [String],
    output: Output,
}

/// Why a scenario did not run.
struct NotRun {
    exit: Exit,
    why: String,
}

impl NotRun {
    fn harness(why: impl std::fmt::Display) -> Self {
        Self { exit: Exit::HarnessFailed, why: why.to_string() }
    }

    /// The engine's own failure, or that of the results.
    fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        match error.downcast_ref::<EngineError>() {
            Some(error) => Self { exit: exit_of(error), why: words_of(error) },
            None => Self { exit: Exit::HarnessFailed, why: error.to_string() },
        }
    }
}

impl Runner<'_> {
    fn run_all(&mut self) -> (RunReport, Exit) {
        let mut scenarios = Vec::new();
        let mut not_run = Vec::new();
        let mut exit = Exit::AsExpected;
        for scenario in &self.request.scenarios {
            if self.interrupt.is_set() {
                not_run.push(scenario.name.clone());
                exit = exit.and(Exit::Inconclusive);
                continue;
            }
            let report = self.run_one(scenario);
            exit = exit.and(report.exit);
            scenarios.push(report);
        }
        let report = RunReport {
            schema_version: SCHEMA_VERSION,
            seed: self.request.seed,
            verdict: verdict::of_exit(exit),
            exit_code: exit.code(),
            interrupted: self.interrupt.is_set(),
            scenarios,
            not_run,
        };
        (report, exit)
    }

    fn run_one(&mut self, scenario: &Scenario) -> ScenarioReport {
        let budget = match &scenario.work {
            Work::Stress(stress) => stress.budget,
            Work::Explore(explore) => Budget::DurationNs(explore.budget.time_ns),
            // It has a bar of its own.
            Work::Bench(_) => Budget::Operations(0),
            Work::Race(race) => match race.budget.executions {
                Some(executions) => Budget::Operations(executions),
                None => Budget::DurationNs(race.budget.time_ns),
            },
        };
        let bar = Bar::start(&scenario.name, budget, self.output.talk);
        let report = match scenario.work {
            Work::Bench(_) => self.measured(scenario),
            Work::Stress(_) | Work::Explore(_) | Work::Race(_) => self.try_one(scenario, &bar),
        };
        let report = report.unwrap_or_else(|not_run| did_not_run(scenario, not_run));
        bar.finish(&report, &human::verdict_words(&report));
        report
    }

    fn try_one(&mut self, scenario: &Scenario, bar: &Bar) -> Result<ScenarioReport, NotRun> {
        let scratch = self.scratch(scenario)?;
        let plan = scenario.plan(&scratch.root(), self.request.seed);
        let kind = scenario.kind();
        let overrides = &self.request.overrides;
        let overrides = overrides
            .iter()
            .filter(|set| set.concerns(kind))
            .filter_map(|set| set.assignment(kind).ok())
            .collect();
        let record = ScenarioRecord::new(&scenario.name, &scenario.text, overrides);
        let folder = self
            .results
            .start(self.command_line, self.request.seed, record, &scratch.root())
            .map_err(NotRun::harness)?;
        let report = self.judged(scenario, &plan, (&folder, &scratch), bar).unwrap_or_else(|error| {
            let report = did_not_run(scenario, NotRun::of(&*error));
            ScenarioReport { results: Some(folder.path().to_owned()), ..report }
        });
        folder.finish(&Summary::new(self.request.seed, &report)).map_err(NotRun::harness)?;
        if let Err(error) = scratch.remove() {
            say(&format!("the temporary folder of {} cannot be removed: {error}", scenario.name));
        }
        Ok(report)
    }

    fn judged(
        &mut self,
        scenario: &Scenario,
        plan: &Plan,
        (folder, scratch): (&RunFolder, &Scratch),
        bar: &Bar,
    ) -> Result<ScenarioReport, Box<dyn std::error::Error>> {
        match (plan, &scenario.work) {
            (Plan::Stress(plan), Work::Stress(stress)) => {
                self.stressed((scenario, stress), plan, folder, bar)
            }
            (Plan::Explore(plan), _) => self.explored(scenario, plan, folder, bar),
            (Plan::Race(plan), _) => self.raced(scenario, plan, (folder, scratch), bar),
            _ => unreachable!("a plan is of its scenario's kind"),
        }
    }

    /// The temporary folder of a scenario, on a filesystem that has what the subject needs.
    fn scratch(&self, scenario: &Scenario) -> Result<Scratch, NotRun> {
        let base = &self.request.base;
        let unsupported = |why: String| NotRun { exit: Exit::Unsupported, why };
        let no_folder = |error: io::Error| {
            unsupported(format!("no folder can be made below {}: {error}", base.display()))
        };
        let probe = Scratch::create(base).map_err(no_folder)?;
        let payload_bytes = match scenario.plan(&probe.root(), self.request.seed) {
            Plan::Stress(plan) => plan.payload_bytes,
            Plan::Explore(plan) => plan.payload_bytes,
            Plan::Bench(_) => 0,
            Plan::Race(_) => return Ok(probe),
        };
        conduct::stress::preflight(&scenario.subject, payload_bytes, &probe.root()).map_err(unsupported)?;
        Scratch::create(base).map_err(no_folder)
    }

    /// The command that runs a scenario again.
    fn reproduce(&self, scenario: &Scenario) -> String {
        let request = self.request;
        // Alone, it would not take what is for others.
        let kind = scenario.kind();
        let overrides: Vec<_> = request.overrides.iter().filter(|set| set.concerns(kind)).cloned().collect();
        if let Some(command) = &request.reproduce {
            return command.clone();
        }
        reproduce::command(&scenario.argument, request.seed, &overrides, request.root.as_deref())
    }
}

fn did_not_run(scenario: &Scenario, not_run: NotRun) -> ScenarioReport {
    ScenarioReport {
        name: scenario.name.clone(),
        work: WorkReport::nothing(scenario.kind()),
        subject: scenario.subject_words(),
        verdict: Verdict::Error,
        expected: false,
        reasons: vec![not_run.why],
        expect: scenario.expect.clone(),
        operations: 0,
        failed: 0,
        first_failure: None,
        duration_s: 0.0,
        startup_s: None,
        processes: scenario.processes(),
        kills: None,
        handoff_ratio: None,
        schedules: (scenario.kind() == Kind::Explore).then_some(0),
        interrupted: false,
        violations: Vec::new(),
        violations_total: 0,
        checks: Vec::new(),
        reach: None,
        results: None,
        exit: not_run.exit,
    }
}

fn report_check(name: &str, examination: &Examination) -> CheckReport {
    let (verdict, not_applicable) = match examination.upshot() {
        Upshot::Violation => (CheckVerdict::Violation, None),
        Upshot::Inconclusive(_) => (CheckVerdict::Inconclusive, None),
        Upshot::NotApplicable(why) => {
            (CheckVerdict::NotApplicable, Some(why.unwrap_or("there was nothing to judge")))
        }
        Upshot::Clean => (CheckVerdict::Clean, None),
    };
    CheckReport {
        name: name.to_owned(),
        verdict,
        examined: examination.examined,
        violations_total: examination.violations_total.max(examination.violations.len() as u64),
        inconclusive: examination.inconclusive.clone(),
        not_applicable: not_applicable.map(str::to_owned),
    }
}
