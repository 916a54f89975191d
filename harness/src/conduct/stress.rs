//! The pipeline of one scenario: engine → history → checks → verdict. No file of the results is touched here.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use flockwork::Operation;

use crate::check::{self, CheckId, Examination};
use crate::engine::{EngineError, Progress, StressRun, stress};
use crate::evidence::Exit;
use crate::history::{History, Outcome};
use crate::plan::{StressPlan, SubjectPlan};
use crate::process::Zygote;
use crate::reach::Reach;
use crate::report::verdict::{Judgement, judge};
use crate::scenario::{Expect, Stress};
use crate::subject::{self, Seat, Watch};
use crate::violation::Violation;

/// What a scenario came to.
#[derive(Debug)]
pub struct Trial {
    /// What the engine saw.
    pub run: StressRun,
    /// How much the processes met.
    pub reach: Reach,
    /// What each check found, by its name.
    pub examinations: Vec<(CheckId, Examination)>,
    /// Why it may have been too little to show what there is.
    pub shortfalls: Vec<String>,
    /// Whether the scenario ended as it expects, and why.
    pub judgement: Judgement,
}

impl Trial {
    /// The violations, the gravest classes first.
    #[must_use]
    pub fn violations(&self) -> Vec<&Violation> {
        super::gravest_first(&self.examinations)
    }

    /// How many violations there were, beyond those kept.
    #[must_use]
    pub fn violations_total(&self) -> u64 {
        let total =
            |examination: &Examination| examination.violations_total.max(examination.violations.len() as u64);
        self.examinations.iter().map(|(_, examination)| total(examination)).sum()
    }
}

/// Runs a stress scenario and judges it by what it expects. `judging` is called between the two.
pub fn run(
    zygote: &mut Zygote,
    (expect, stress): (&Expect, &Stress),
    plan: &StressPlan,
    stop: &AtomicBool,
    progress: &dyn Progress,
    judging: impl FnOnce(),
) -> Result<Trial, EngineError> {
    let run = stress::run(zygote, plan, stop, progress)?;
    judging();
    let examinations = check::examine_all(&run.evidence(plan.starvation_ns));
    let reach = Reach::of(&run.history);
    let shortfalls: Vec<String> = low_handoff(&reach, stress.handoff_min)
        .into_iter()
        .chain(nothing_tried(&run, &reach))
        .chain(nobody_killed(plan, &run))
        .chain(auditors_missed(plan, &run))
        .chain(run.lacks.told())
        .collect();
    let judgement = judge(&super::case(expect, &examinations, shortfalls.clone(), run.ended));
    Ok(Trial { run, reach, examinations, shortfalls, judgement })
}

fn low_handoff(reach: &Reach, handoff_min: f64) -> Option<String> {
    let ratio = reach.handoff_ratio;
    (ratio < handoff_min).then(|| {
        format!(
            "handoff ratio {ratio:.3} is under the minimum of {handoff_min:.3}: the processes hardly met; \
             use more think time, more processes or fewer containers"
        )
    })
}

/// Containers are absent at the start: where no create succeeded, nothing that follows was tried.
fn nothing_tried(run: &StressRun, reach: &Reach) -> Option<String> {
    let has_created = reach.counts.get(&(Operation::Create, Outcome::Ok)).is_some_and(|&count| count > 0);
    (!has_created).then(|| match first_failure(&run.history) {
        Some(why) => format!("no create succeeded, so nothing was tried; the first failure: {why}"),
        None => "no create succeeded, so nothing was tried; give create a weight in the mix".into(),
    })
}

/// A run that is to kill its workers and kills none shows nothing of what a kill leaves.
fn nobody_killed(plan: &StressPlan, run: &StressRun) -> Option<String> {
    (plan.kill_every_ns.is_some() && run.kills == 0).then(|| {
        "no worker was killed, though kill_every asks for it: let the run last longer, or kill more often"
            .into()
    })
}

/// Auditors end by themselves once the workers have. One that does not saw less than it should.
fn auditors_missed(plan: &StressPlan, run: &StressRun) -> Vec<String> {
    let auditors = plan.processes..plan.processes + plan.auditors;
    let killed = run.exits.iter().filter(|exit| auditors.contains(&exit.process) && exit.killed_ns.is_some());
    let killed = killed.map(|exit| {
        let Exit { process, pid, .. } = exit;
        format!("auditor p{process} (pid {pid}) did not end by itself and was killed: its observations are missing")
    });
    killed.collect()
}

/// What the subject said at the first operation that failed.
#[must_use]
pub fn first_failure(history: &History) -> Option<&str> {
    let failed = history.records.iter().filter(|record| record.outcome == Outcome::Failed);
    let first = failed.min_by_key(|record| record.invoke_ns)?;
    Some(history.message(first).unwrap_or("without a word"))
}

/// Opens the subject once in an empty root, where nothing but the machine or the filesystem can refuse it.
pub fn preflight(subject: &SubjectPlan, payload_bytes: u32, root: &Path) -> Result<(), String> {
    let seat = Seat {
        root: root.to_owned(),
        process: 0,
        containers: Arc::from(["c1".to_owned()]),
        payload_bytes,
        marker: "preflight".into(),
        watch: Arc::new(Unwatched),
    };
    subject::build(subject)?.open(seat).map(drop)
}

/// A watch that ignores critical sections: for sessions that are opened only to see whether they open.
#[derive(Debug)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn enter(&self, _container: u32) {}
    fn leave(&self, _container: u32) {}
}
