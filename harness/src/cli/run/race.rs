//! Races: runs one, writes its evidence, and puts its report together.

use std::path::Path;

use super::Runner;
use crate::cli::findings::{Watch, replay_words};
use crate::engine::Ended;
use crate::finding::load::{KeptRace, load_race};
use crate::finding::moments::{self, Moments};
use crate::finding::{Exploration, Finding};
use crate::history::History;
use crate::plan::race::RacePlan;
use crate::plan::schedule::Schedule;
use crate::race::tell::story;
use crate::race::{self, Discovery, RaceError, RaceRun, Seen};
use crate::report::exit::Exit;
use crate::report::interleaving::{Interleaving, Tables, terminal_width};
use crate::report::progress::Bar;
use crate::report::race::{RaceReport, shortfalls};
use crate::report::reproduce::{from_folder, of_schedule};
use crate::report::verdict::{Case, Verdict, judge};
use crate::report::{ControlReport, Reproduction, ScenarioReport, Tries, ViolationReport, WorkReport};
use crate::results::{RunFolder, write_whole};
use crate::scenario::{Scenario, Work};
use crate::scratch::Scratch;
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
        let script = match &control {
            Some(_) => of_schedule(&finding.message).text,
            None => from_folder(&finding.message, &std::env::current_dir()?, &command).text,
        };
        let table = control.as_ref().map(|control| control.table.whole.clone());
        let table = plain(&table.or_else(|| called(plan, discovery)).unwrap_or_default());
        let told = format!("{}: {}\n\n{}\n\n{table}", finding.class, finding.message, story.join("\n"));
        let path = folder.write_race_finding(&finding, run, discovery, (&told, &script))?;
        self.write_walk(plan, discovery, &path)?;
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
                tries: match discovery.seen {
                    Seen::Controlled(_) => Tries::Replays,
                    Seen::Free(_) | Seen::Sequential(_) => Tries::Executions,
                },
            },
            story,
            lives: crate::report::lives::Lives::default(),
        })
    }
}

impl Runner<'_> {
    /// Writes what somebody walks through: the steps, and what lay in the folder before each. Looking on takes a replay, so it
    /// is done for the first finding of a run; of the others the steps are enough.
    fn write_walk(&self, plan: &RacePlan, discovery: &Discovery, path: &Path) -> std::io::Result<()> {
        let Seen::Controlled(controlled) = &discovery.seen else { return Ok(()) };
        let is_first = path.parent().is_some_and(|all| all.read_dir().is_ok_and(|all| all.count() == 1));
        let moments = if is_first { self.watched(path) } else { None };
        let (schedule, class) = (&controlled.schedule, discovery.broken.class);
        let walk = interleaved(plan, schedule, controlled.preemptions, class, |table| table.walk(moments));
        write_whole(&path.join(moments::FILE_NAME), &serde_json::to_vec(&walk)?)
    }

    /// What lay in the folder before each step, where the schedule can be followed once more.
    fn watched(&self, path: &Path) -> Option<Moments> {
        let kept = load_race(path).ok()??;
        let control = kept.record.control.as_ref()?;
        let scratch = Scratch::create(&self.request.base).ok()?;
        let mut watch = Watch::default();
        let (plan, stop) = (replay_plan(&kept), self.interrupt.flag());
        let replayed =
            race::replay::replay(&self.zygote, &plan, &scratch.root(), control, 1, stop, &mut watch).ok()?;
        let is_whole = replayed.iter().all(|once| once.divergence.is_none() && once.broken.is_some());
        watch.moments().filter(|_| is_whole)
    }
}

/// The plan that follows a kept race again, from the state that it was found in.
pub(crate) fn replay_plan(kept: &KeptRace) -> RacePlan {
    let folders = kept.race.state.len().max(usize::from(kept.race.own_state));
    let before = |number: usize| {
        kept.folder.join(if folders == 1 { "before".to_owned() } else { format!("before{number}") })
    };
    let initial = (1..=folders).map(before).collect();
    RacePlan { initial: Some(initial), ..kept.race.plan(kept.record.seed, Vec::new()) }
}

fn seen_again(discovery: &Discovery) -> Option<String> {
    let (again, number) = (discovery.again, discovery.number);
    match discovery.seen {
        Seen::Sequential(_) => None,
        Seen::Free(_) => Some(format!(
            "found in execution {number} of a free run; reproduced in {} of {} more",
            again.shown, again.times
        )),
        Seen::Controlled(_) => Some(format!("reproduced in {} of {} replays", again.shown, again.times)),
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

/// The calls of a free execution as a table, in the order in which they began, where they were delayed.
fn called(plan: &RacePlan, discovery: &Discovery) -> Option<String> {
    let calls = discovery.seen.calls();
    let schedule = Schedule::taken(calls.iter().map(|call| (call.process, call.label.as_str())), &[]);
    (!calls.is_empty()).then(|| table(plan, &schedule, 0, discovery.broken.class).whole)
}

/// A schedule of a race as a table.
pub(crate) fn table(plan: &RacePlan, schedule: &Schedule, preemptions: u32, class: Class) -> Tables {
    interleaved(plan, schedule, preemptions, class, |table| table.tables(terminal_width()))
}

/// What is made of a race's schedule.
fn interleaved<T>(
    plan: &RacePlan,
    schedule: &Schedule,
    preemptions: u32,
    class: Class,
    make: impl FnOnce(Interleaving<'_>) -> T,
) -> T {
    let exploration = Exploration {
        subject: crate::scenario::default_subject(),
        setup: plan.setup.clone(),
        processes: plan.processes.clone(),
        schedule: schedule.as_read(),
        preemptions,
        also: Vec::new(),
        power: None,
        payload_bytes: 0,
        step_ns: plan.time_limit_ns,
        steps_max: schedule.lines.len(),
        seed: plan.seed,
        flockwork: env!("CARGO_PKG_VERSION").into(),
        kernel: String::new(),
    };
    let violation = Violation { class, container: None, message: String::new(), records: Vec::new() };
    let history = History::default();
    make(Interleaving { exploration: &exploration, history: &history, violation: &violation })
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
