//! Explorations: runs one, shrinks what it finds, writes its evidence, and puts its report together.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Runner;
use crate::cli::findings::{self, Simplest};
use crate::cli::request::Keep;
use crate::conduct::explore::{self, Trial};
use crate::engine::Ended;
use crate::engine::explore::{Damage, Discovery, ExploreRun};
use crate::finding::Finding;
use crate::finding::moments::{self, Moments};
use crate::history::History;
use crate::plan::ExplorePlan;
use crate::power::steps;
use crate::report::guarantee::GuaranteeReport;
use crate::report::interleaving::{Interleaving, terminal_width};
use crate::report::lives::Lives;
use crate::report::power::{DamageReport, ExplorationPower};
use crate::report::progress::Bar;
use crate::report::reproduce;
use crate::report::{
    ControlReport, ExplorationReport, Reproduction, ScenarioReport, ViolationReport, WorkReport,
};
use crate::results::{RunFolder, write_whole};
use crate::scenario::{Expect, Scenario, describe_subject};
use crate::violation::{Class, Violation};

/// Longest that all shrinking of one scenario may take.
pub(super) const SHRINKING: Duration = Duration::from_secs(30);
/// Longest that the shrinking of one finding may take.
pub(super) const SHRINKING_ONE: Duration = Duration::from_secs(5);

impl Runner<'_> {
    /// Explores a scenario and reports it.
    pub(super) fn explored(
        &mut self,
        scenario: &Scenario,
        plan: &ExplorePlan,
        folder: &RunFolder,
        bar: &Bar,
    ) -> Result<ScenarioReport, Box<dyn std::error::Error>> {
        let stop = self.interrupt.flag();
        let trial = explore::run(&mut self.zygote, &scenario.expect, plan, stop, bar)?;
        if let Some(history) = self.to_keep(&trial) {
            folder.write_history(history)?;
        }
        bar.shrinking();
        let deadline = Instant::now() + SHRINKING;
        let mut violations: Vec<ViolationReport> = Vec::new();
        for (discovery, violation) in first_of_each_class(&trial.run) {
            let time = SHRINKING_ONE.min(deadline.saturating_duration_since(Instant::now()));
            let simplest = self.simplest(plan, discovery, violation.class, time);
            let watched =
                findings::watched(&self.zygote, &simplest, (&self.request.base, self.interrupt.flag()));
            let report = keep(scenario, discovery, (&simplest, watched), folder)?;
            // Different beginnings often shrink to one end.
            if violations.iter().all(|known| known.signature != report.signature) {
                violations.push(report);
            }
        }
        Ok(report(scenario, plan, &trial, violations, folder))
    }

    /// The history that is kept with the run: of what no check could decide, else of what broke a promise, else of the first
    /// execution, where histories are asked for.
    fn to_keep<'t>(&self, trial: &'t Trial) -> Option<&'t History> {
        let is_asked = self.request.keep == Keep::All || !trial.judgement.expected;
        let broken = trial.run.discoveries.first().map(|discovery| &discovery.history);
        let asked = || broken.or(trial.run.first.as_ref()).filter(|_| is_asked);
        trial.run.undecided.as_ref().or_else(asked)
    }

    pub(super) fn simplest(
        &mut self,
        plan: &ExplorePlan,
        discovery: &Discovery,
        class: Class,
        time: Duration,
    ) -> Simplest {
        let stop = self.interrupt.flag();
        findings::simplest(&mut self.zygote, plan, discovery, class, (&self.request.base, stop), time)
    }
}

/// Writes the finding of a schedule, and reports it.
fn keep(
    scenario: &Scenario,
    discovery: &Discovery,
    (simplest, (reproduction, moments)): (&Simplest, (Reproduction, Option<Moments>)),
    folder: &RunFolder,
) -> io::Result<ViolationReport> {
    let finding = simplest.finding(&describe_subject(&scenario.subject));
    let lives = Lives::of(&simplest.history, simplest.violation.container, [finding.message.as_str()]);
    let script = reproduce::of_schedule(&lives.tell(&finding.message));
    let path = folder.write_finding(&finding, &simplest.history, &script)?;
    write_walk(&path, &finding, simplest, moments)?;
    let report = violation_report(&scenario.expect, finding, simplest, discovery.number, path);
    Ok(ViolationReport { reproduction, ..report })
}

/// Writes what somebody walks through.
fn write_walk(
    folder: &Path,
    finding: &Finding,
    simplest: &Simplest,
    moments: Option<Moments>,
) -> io::Result<()> {
    let Some(exploration) = &finding.exploration else { return Ok(()) };
    let interleaving =
        Interleaving { exploration, history: &simplest.history, violation: &simplest.violation };
    write_whole(&folder.join(moments::FILE_NAME), &serde_json::to_vec(&interleaving.walk(moments))?)
}

/// Every class once, by the first schedule that showed it.
fn first_of_each_class(run: &ExploreRun) -> Vec<(&Discovery, &Violation)> {
    let mut first: Vec<(&Discovery, &Violation)> = Vec::new();
    for discovery in &run.discoveries {
        for violation in &discovery.violations {
            if first.iter().all(|(_, known)| known.class != violation.class) {
                first.push((discovery, violation));
            }
        }
    }
    first.sort_by_key(|(_, violation)| violation.class);
    first
}

/// The schedule of a finding, for a report.
pub(super) fn control_report(
    finding: &Finding,
    simplest: &Simplest,
    found_by_schedule: u64,
) -> ControlReport {
    let exploration = finding.exploration.as_ref().expect("it was seen under control");
    let (history, violation) = (&simplest.history, &simplest.violation);
    ControlReport {
        found_by_schedule,
        processes: exploration.processes.len(),
        operations: exploration.processes.iter().map(Vec::len).sum(),
        preemptions: exploration.preemptions,
        steps: exploration.schedule.lines.len(),
        minimal: simplest.is_minimal,
        table: Interleaving { exploration, history, violation }.tables(terminal_width()),
    }
}

fn violation_report(
    expect: &Expect,
    finding: Finding,
    simplest: &Simplest,
    found_by_schedule: u64,
    path: std::path::PathBuf,
) -> ViolationReport {
    let control = Some(control_report(&finding, simplest, found_by_schedule));
    ViolationReport {
        lives: Lives::of(&simplest.history, simplest.violation.container, [finding.message.as_str()]),
        class: finding.class,
        signature: finding.signature,
        message: finding.message,
        container: finding.container,
        expected: expect.covers(finding.class),
        reproduce: findings::replay_words(&path),
        finding: Some(path),
        control,
        reproduction: Reproduction::default(),
        explained: None,
        story: simplest.lost.as_deref().map(steps).unwrap_or_default(),
    }
}

fn damage_report(((file, damage), states): (&(String, Damage), &u64)) -> DamageReport {
    DamageReport { file: file.clone(), damage: *damage, states: *states }
}

fn report(
    scenario: &Scenario,
    plan: &ExplorePlan,
    trial: &Trial,
    violations: Vec<ViolationReport>,
    folder: &RunFolder,
) -> ScenarioReport {
    let run = &trial.run;
    let duration_s = run.duration_ns as f64 / 1e9;
    let all = run.schedules + run.redundant + run.repeated;
    let exploration = ExplorationReport {
        strategy: explore::describe_strategy(&plan.strategy),
        coverage: run.coverage.into(),
        redundant: run.redundant,
        naive: run.naive,
        faulted: run.faulted,
        repeated: run.repeated,
        guarantee: run.promised.map(GuaranteeReport::from),
        power: plan.power.as_ref().zip(run.power.as_ref()).map(|(power, told)| ExplorationPower {
            disk: power.disk.clone(),
            durable: power.is_durable,
            states: told.states,
            executions: told.executions,
            moments: told.moments,
            allowed: told.allowed,
            wrong: told.wrong,
            damages: told.damages.iter().map(damage_report).collect(),
            exhausted: !told.is_bounded && told.unjudged.is_none(),
        }),
        blocked: run.blocked,
        steps: run.steps,
        met: run.met,
        schedules_per_s: if duration_s > 0.0 { all as f64 / duration_s } else { 0.0 },
    };
    ScenarioReport {
        name: scenario.name.clone(),
        work: WorkReport::Explore { exploration: Some(exploration) },
        subject: describe_subject(&scenario.subject),
        verdict: trial.judgement.verdict,
        expected: trial.judgement.expected,
        reasons: trial.judgement.reasons.clone(),
        expect: scenario.expect.clone(),
        operations: run.operations,
        failed: run.answers.failed,
        first_failure: run.answers.first_failure.clone(),
        duration_s,
        startup_s: None,
        processes: scenario.processes(),
        kills: None,
        handoff_ratio: None,
        schedules: Some(run.schedules),
        interrupted: run.ended == Ended::Interrupted,
        ended: run.ended,
        shortfalls: trial.shortfalls.clone(),
        violations_total: explore::violations_total(run),
        violations,
        checks: run
            .examinations
            .iter()
            .map(|(check, examined)| super::report_check(*check, examined))
            .collect(),
        reach: None,
        rounds: None,
        results: Some(folder.path().to_owned()),
        exit: trial.judgement.exit,
    }
}
