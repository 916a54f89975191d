//! One run of a scenario of the built-in suite on a subject of choice, and what it showed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use flockwork_harness::check;
use flockwork_harness::engine::StressRun;
use flockwork_harness::engine::stress::run;
use flockwork_harness::history::{History, Record};
use flockwork_harness::plan::{LibraryPlan, StressPlan, SubjectPlan};
use flockwork_harness::process::Zygote;
use flockwork_harness::scenario::{BUILTIN, Plan, Scenario, find};
use flockwork_harness::violation::{Class, Violation};

use super::explored;

/// The scenario of this name, from the built-in suite, or of this path.
pub fn scenario(name: impl AsRef<Path>) -> Scenario {
    let name = name.as_ref();
    let found = find(&[name.into()]).unwrap_or_else(|error| panic!("{}: {error}", name.display()));
    let [found] = &found[..] else { panic!("{} names {} scenarios", name.display(), found.len()) };
    Scenario::parse(found, &[]).unwrap_or_else(|problems| panic!("{}: {problems:?}", name.display()))
}

/// Names of all scenarios in `scenarios/history/`.
pub fn names() -> Vec<&'static str> {
    BUILTIN
        .iter()
        .filter(|builtin| builtin.path.starts_with("history/"))
        .map(flockwork_harness::scenario::Builtin::name)
        .collect()
}

/// The same operations on another replica.
pub fn on_replica(scenario: &Scenario, other: &str) -> Scenario {
    let SubjectPlan::Replica { fail_create, .. } = scenario.subject else {
        panic!("{}: no replica", scenario.name)
    };
    let subject = SubjectPlan::Replica { replica: other.parse().expect("a replica"), fail_create };
    Scenario { subject, ..scenario.clone() }
}

/// The same operations on the library. It has no creates that fail.
pub fn on_library(scenario: &Scenario) -> Scenario {
    Scenario { subject: SubjectPlan::Library(LibraryPlan::default()), ..scenario.clone() }
}

/// What a run showed.
#[derive(Debug)]
pub struct Sighting {
    /// Of each class the first: operations that had returned by then, and nanoseconds since the first was invoked.
    pub first: BTreeMap<Class, (usize, u64)>,
    /// What the checks said, in words.
    pub words: Vec<String>,
    /// What the checks could not decide.
    pub doubts: Vec<String>,
}

/// Runs it.
pub fn sight(zygote: &mut Zygote, scenario: &Scenario, seed: u64) -> Sighting {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    match scenario.plan(&root, seed) {
        Plan::Stress(plan) => {
            let ran = run(zygote, &plan, &AtomicBool::new(false), &()).expect("a run");
            judge(&plan, &ran)
        }
        Plan::Bench(_) | Plan::Command(_) | Plan::Rounds(_) | Plan::Race(_) | Plan::Crash(_) => {
            unreachable!("a known bug is stressed or explored")
        }
        Plan::Explore(_) => explored::sight(&explored::explore(zygote, scenario, |plan| plan.seed = seed)),
    }
}

fn judge(plan: &StressPlan, ran: &StressRun) -> Sighting {
    let evidence = ran.evidence(plan.starvation_ns);
    let mut sighting = Sighting { first: BTreeMap::new(), words: Vec::new(), doubts: Vec::new() };
    let records = &ran.history.records;
    let start_ns = records.iter().map(|record| record.invoke_ns).min().unwrap_or(0);
    // What the examiner does when all is quiet is no part of the run.
    let is_of_workers = |record: &&Record| record.process < plan.processes + plan.auditors;
    let returns_ns = records.iter().filter(is_of_workers).map(Record::deadline_ns).collect::<Vec<_>>();
    let end_ns = returns_ns.iter().copied().max().unwrap_or(start_ns);
    for (name, examination) in check::examine_all(&evidence) {
        sighting.doubts.extend(examination.inconclusive.map(|why| format!("{name}: {why}")));
        for violation in examination.violations {
            let at_ns = shown_ns(&violation, &ran.history).unwrap_or(end_ns).min(end_ns);
            let operations = returns_ns.iter().filter(|&&returned_ns| returned_ns <= at_ns).count();
            let first = sighting.first.entry(violation.class).or_insert((operations, at_ns - start_ns));
            *first = (*first).min((operations, at_ns - start_ns));
            sighting.words.push(violation.message);
        }
    }
    sighting
}

/// When all operations that show it had returned; of what only the files left behind show, there is no such time.
fn shown_ns(violation: &Violation, history: &History) -> Option<u64> {
    violation.records.iter().map(|&index| history.records[index].deadline_ns()).max()
}
