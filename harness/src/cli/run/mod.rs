//! `flockwork run`: one scenario after the other, with evidence on disk before, and a report after.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

mod bench;
mod command;
mod crash;
mod explain;
mod explore;
mod race;
mod rounds;
mod watch;
pub(super) use race::{replay_plan, table as race_table};
mod stress;

use self::watch::Watch;
use super::args::RunArgs;
use super::deliver::deliver;
use super::failure::Failure;
use super::interrupt::Interrupt;
use super::merge::gather;
use super::output::{Output, say};
use super::page;
use super::request::{Keep, Resume, RunRequest, assignments};
use super::stand::{exit_of, words_of};
use crate::campaign::{Share, Split, Unit};
use crate::check::{CheckId, Examination, Upshot};
use crate::conduct;
use crate::engine::{Ended, EngineError};
use crate::ground::restore_left;
use crate::plan::Budget;
use crate::process::{self, Zygote};
use crate::report::exit::Exit;
use crate::report::human;
use crate::report::progress::Bar;
use crate::report::stored::{Stored, Summary};
use crate::report::unite::{Piece, unite};
use crate::report::verdict::{self, Verdict};
use crate::report::{
    CheckReport, CheckVerdict, RunReport, SCHEMA_VERSION, ScenarioReport, WorkReport, reproduce,
};
use crate::results::{Results, RunFolder, RunStatus, ScenarioRecord, Script};
use crate::scenario::{Kind, Override, Plan, Scenario, Work};
use crate::scratch::{self, Scratch};
use crate::words::{grouped, plural};

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
        .map_err(|error| Failure::new(Exit::HarnessFailed, format!("signals cannot be received: {error}")))?;
    clear_leftovers(&request.base, output);
    for note in &request.notes {
        output.remark(note);
    }
    say(&format!("seed: {}", request.seed));

    let units = request.campaign.units(request.shard);
    let Some(&unit) = units.first() else {
        let cases = plural(request.campaign.cases(), "case");
        let why = format!("nothing to run: shard {} has none of the {cases}", request.shard);
        return Err(Failure::new(Exit::NothingToRun, why));
    };
    if !request.shard.is_whole() {
        output.remark(&shared(request, &units));
    }
    let known = known(request)?;
    let watch = Watch::new(request.budget, units.len());
    let mut runner = Runner { zygote, request, results, interrupt, command_line, output, unit, watch };
    let (report, exit) = runner.run_all(&units, &known);
    deliver(&report, output, request.junit.as_deref(), exit)?;
    Ok(exit)
}

/// Gives a run no more than its share of the time. A number of operations is replaced by the time: nobody knows before
/// how long they take.
fn limit(plan: &mut Plan, share: Duration) {
    let share_ns = u64::try_from(share.as_nanos()).unwrap_or(u64::MAX);
    match plan {
        Plan::Stress(plan) => {
            plan.budget = Budget::DurationNs(match plan.budget {
                Budget::DurationNs(own_ns) => own_ns.min(share_ns),
                Budget::Operations(_) => share_ns,
            });
        }
        Plan::Command(plan) => {
            plan.budget = Budget::DurationNs(match plan.budget {
                Budget::DurationNs(own_ns) => own_ns.min(share_ns),
                Budget::Operations(_) => share_ns,
            });
        }
        Plan::Rounds(plan) => plan.budget.time_ns = plan.budget.time_ns.min(share_ns),
        Plan::Explore(plan) => plan.budget.time_ns = plan.budget.time_ns.min(share_ns),
        Plan::Race(plan) => plan.budget.time_ns = plan.budget.time_ns.min(share_ns),
        Plan::Crash(plan) => plan.race.budget.time_ns = plan.race.budget.time_ns.min(share_ns),
        // What a benchmark takes, its cells and rounds say.
        Plan::Bench(_) => {}
    }
}

/// What a shard does, in words, and what of it cannot be divided.
fn shared(request: &RunRequest, units: &[Unit]) -> String {
    let cases: u64 = units
        .iter()
        .map(|unit| if unit.parts.is_all() { 1 } else { unit.parts.numbers().count() as u64 })
        .sum();
    let whole: Vec<&str> = request
        .campaign
        .scenarios
        .iter()
        .filter(|entry| entry.split == Split::Whole)
        .map(|entry| entry.name.as_str())
        .collect();
    let whole = match whole.as_slice() {
        [] => String::new(),
        names => format!("; searched whole by one shard: {}", names.join(", ")),
    };
    let all = plural(request.campaign.cases(), "case");
    format!("shard {}: {} of {all}{whole}", request.shard, grouped(cases))
}

/// What the results folder has already of this campaign, where work is resumed.
fn known(request: &RunRequest) -> Result<Vec<(Unit, ScenarioReport)>, Failure> {
    if request.resume == Resume::No {
        return Ok(Vec::new());
    }
    let runs = gather(std::slice::from_ref(&request.results_dir))
        .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let known = runs.into_iter().filter_map(|stored| {
        let share = stored.run.share.filter(|_| stored.run.status == RunStatus::Complete)?;
        let is_ours = share.campaign == request.campaign && stored.run.version == env!("CARGO_PKG_VERSION");
        let Some(Stored::Scenario(report)) = stored.summary.filter(|_| is_ours) else { return None };
        // What did not run, or was stopped, is done again.
        let is_done = report.verdict != Verdict::Error && !report.interrupted;
        is_done.then_some((share.unit, *report))
    });
    Ok(known.collect())
}

/// Removes what runs left behind that were killed, and says so.
pub fn clear_leftovers(base: &Path, output: Output) {
    let killed = process::sweep().len() as u64;
    if killed > 0 {
        output.remark(&format!("ended {}, left behind by a killed run", plural(killed, "sandbox process")));
    }
    put_back_left(output);
    let leftovers = scratch::clear_leftovers(base).into_iter().chain(scratch::clear_registered());
    for leftover in leftovers {
        let path = leftover.path.display();
        match leftover.error {
            None => output.remark(&format!("cleared {path}, left behind by a killed run")),
            Some(error) => say(&format!("{path}, left behind by a killed run, cannot be cleared: {error}")),
        }
    }
}

/// Puts the user's own folders back in which a race in place was killed, and says so.
pub fn put_back_left(output: Output) {
    for restored in restore_left() {
        let folders: Vec<String> = restored.folders.iter().map(|path| path.display().to_string()).collect();
        let folders = folders.join(", ");
        match restored.error {
            None => output
                .remark(&format!("restored {folders} to its state before a race in place that was killed")),
            Some(error) => {
                say(&format!(
                    "{folders}, left behind by a killed race in place, cannot be restored: {error}"
                ));
            }
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
    /// What is run now.
    unit: Unit,
    /// How far the work has come.
    watch: Watch,
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
    fn run_all(&mut self, units: &[Unit], known: &[(Unit, ScenarioReport)]) -> (RunReport, Exit) {
        let mut scenarios = Vec::new();
        let mut not_run = Vec::new();
        let mut exit = Exit::AsExpected;
        for units in units.chunk_by(|one, other| one.scenario == other.scenario) {
            let scenario = &self.request.scenarios[units[0].scenario];
            let done = self.run_units(scenario, units, known);
            let pieces: Vec<Piece<'_>> =
                done.iter().map(|(unit, report)| Piece { unit: *unit, report }).collect();
            if done.len() < units.len() {
                not_run.push(scenario.name.clone());
                exit = exit.and(Exit::Inconclusive);
            }
            if let Some(report) = unite(&pieces) {
                exit = exit.and(report.exit);
                scenarios.push(report);
            }
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

    /// Runs the units of a scenario, but for those that are known; fewer where the user stops it.
    fn run_units(
        &mut self,
        scenario: &Scenario,
        units: &[Unit],
        known: &[(Unit, ScenarioReport)],
    ) -> Vec<(Unit, ScenarioReport)> {
        let mut done = Vec::new();
        for &unit in units {
            if let Some(before) = known.iter().find(|(before, _)| *before == unit) {
                self.output.remark(&format!("{}: done before, with seed {}", scenario.name, unit.seed));
                self.watch.skip();
                done.push(before.clone());
            } else if !self.interrupt.is_set() && self.watch.ended.is_none() {
                self.unit = unit;
                let begun = Instant::now();
                let report = self.run_one(scenario);
                self.watch.spend(begun.elapsed(), &report);
                self.watch.learn(&report, self.request.end);
                if let Some(why) = &self.watch.ended {
                    self.output.remark(why);
                }
                done.push((unit, report));
            }
        }
        done
    }

    /// What a run is of the campaign.
    fn share(&self) -> Share {
        let request = self.request;
        Share { campaign: request.campaign.clone(), shard: request.shard, unit: self.unit }
    }

    fn run_one(&mut self, scenario: &Scenario) -> ScenarioReport {
        let budget = match &scenario.work {
            Work::Stress(stress) => stress.budget,
            Work::Command(command) => command.plan.budget,
            Work::Rounds(rounds) => Budget::Operations(rounds.budget.rounds * rounds.together.len() as u64),
            Work::Explore(explore) => Budget::DurationNs(explore.budget.time_ns),
            // It has a bar of its own.
            Work::Bench(_) => Budget::Operations(0),
            Work::Crash(crash) => Budget::DurationNs(crash.race.budget.time_ns),
            Work::Race(race) => match race.budget.executions {
                Some(executions) => Budget::Operations(executions),
                None => Budget::DurationNs(race.budget.time_ns),
            },
        };
        let bar = Bar::start(&scenario.name, budget, self.output.talk);
        let report = match scenario.work {
            Work::Bench(_) => self.measured(scenario),
            Work::Stress(_)
            | Work::Command(_)
            | Work::Rounds(_)
            | Work::Explore(_)
            | Work::Race(_)
            | Work::Crash(_) => self.try_one(scenario, &bar),
        };
        let report = report.unwrap_or_else(|not_run| did_not_run(scenario, not_run));
        bar.finish(&report, &human::verdict_words(&report));
        report
    }

    fn try_one(&mut self, scenario: &Scenario, bar: &Bar) -> Result<ScenarioReport, NotRun> {
        let scratch = self.scratch(scenario)?;
        let mut plan = scenario.plan(&scratch.root(), self.unit.seed);
        if let Plan::Explore(plan) = &mut plan {
            plan.parts = self.unit.parts;
        }
        if let Some(share) = self.watch.share() {
            limit(&mut plan, share);
        }
        let overrides = assignments(&self.request.overrides, scenario.kind());
        let record = ScenarioRecord::new(&scenario.name, &scenario.text, overrides);
        let folder = self
            .results
            .start(self.command_line, self.unit.seed, record, &scratch.root(), Some(self.share()))
            .map_err(NotRun::harness)?;
        let report = self.judged(scenario, &plan, (&folder, &scratch), bar).unwrap_or_else(|error| {
            let report = did_not_run(scenario, NotRun::of(&*error));
            ScenarioReport { results: Some(folder.path().to_owned()), ..report }
        });
        let path = folder.path().to_owned();
        folder.finish(&Summary::new(self.unit.seed, &report)).map_err(NotRun::harness)?;
        // The evidence lies there; that a page cannot be made of it is no reason to call the run failed.
        if !report.violations.is_empty()
            && let Err(error) = page::write(&path)
        {
            say(&format!("{}: report.html cannot be written: {error}", scenario.name));
        }
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
            (Plan::Command(plan), Work::Command(stress)) => {
                self.commanded((scenario, stress), plan, (folder, scratch), bar)
            }
            (Plan::Rounds(plan), _) => self.played(scenario, plan, folder, bar),
            (Plan::Explore(plan), _) => self.explored(scenario, plan, folder, bar),
            (Plan::Race(plan), _) => self.raced(scenario, plan, (folder, scratch), bar),
            (Plan::Crash(plan), _) => self.crashed(scenario, plan, (folder, scratch), bar),
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
        let payload_bytes = match scenario.plan(&probe.root(), self.unit.seed) {
            Plan::Stress(plan) => plan.payload_bytes,
            Plan::Explore(plan) => plan.payload_bytes,
            Plan::Bench(_) => 0,
            Plan::Command(_) | Plan::Rounds(_) | Plan::Race(_) | Plan::Crash(_) => return Ok(probe),
        };
        conduct::stress::preflight(&scenario.subject, payload_bytes, &probe.root()).map_err(unsupported)?;
        Scratch::create(base).map_err(no_folder)
    }

    /// The command that runs a scenario again.
    fn reproduce(&self, scenario: &Scenario) -> String {
        let request = self.request;
        if let Some(command) = &request.reproduce {
            return command.clone();
        }
        let overrides = self.overrides(scenario);
        reproduce::command(&scenario.argument, self.unit.seed, &overrides, request.root.as_deref())
    }

    /// The script that does so wherever a finding has gone.
    fn script(&self, scenario: &Scenario, message: &str) -> Script {
        let (seed, overrides) = (self.unit.seed, self.overrides(scenario));
        let about = (scenario.name.as_str(), scenario.text.as_str());
        reproduce::of_scenario(message, about, seed, &overrides, self.request.root.as_deref())
    }

    /// What the command line sets for a scenario. Alone, it would not take what is for others.
    fn overrides(&self, scenario: &Scenario) -> Vec<Override> {
        let kind = scenario.kind();
        self.request.overrides.iter().filter(|set| set.concerns(kind)).cloned().collect()
    }
}

fn did_not_run(scenario: &Scenario, not_run: NotRun) -> ScenarioReport {
    let why = match not_run.exit {
        Exit::Usage => scenario.located(&not_run.why),
        _ => not_run.why,
    };
    ScenarioReport {
        name: scenario.name.clone(),
        work: WorkReport::nothing(scenario.kind()),
        subject: scenario.subject_words(),
        verdict: Verdict::Error,
        expected: false,
        reasons: vec![why],
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
        ended: Ended::Completed,
        shortfalls: Vec::new(),
        violations: Vec::new(),
        violations_total: 0,
        checks: Vec::new(),
        reach: None,
        rounds: None,
        results: None,
        exit: not_run.exit,
    }
}

fn report_check(name: CheckId, examination: &Examination) -> CheckReport {
    let (verdict, not_applicable) = match examination.upshot() {
        Upshot::Violation => (CheckVerdict::Violation, None),
        Upshot::Inconclusive(_) => (CheckVerdict::Inconclusive, None),
        Upshot::NotApplicable(why) => {
            (CheckVerdict::NotApplicable, Some(why.unwrap_or("there was nothing to judge")))
        }
        Upshot::Clean => (CheckVerdict::Clean, None),
    };
    CheckReport {
        name,
        verdict,
        examined: examination.examined,
        violations_total: examination.violations_total.max(examination.violations.len() as u64),
        inconclusive: examination.inconclusive.clone(),
        not_applicable: not_applicable.map(str::to_owned),
    }
}
