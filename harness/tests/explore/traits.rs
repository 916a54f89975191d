//! What a subject says of itself decides what is done with it, and which checks apply; nothing is guessed.

use std::sync::atomic::AtomicBool;

use flockwork_harness::check::{Examination, Upshot};
use flockwork_harness::engine::explore;
use flockwork_harness::plan::ExplorePlan;
use flockwork_harness::plan::schedule::{Fault, Injected};
use flockwork_harness::process::Zygote;

use crate::Case;
use crate::cases::open;
use crate::real;
use crate::script::{Action, Manner, Script, plan_as};
use crate::tidy::assert_nobody_left;

pub const ALL: &[Case] = &[
    ("what_starts_processes_is_not_explored", what_starts_processes_is_not_explored),
    ("only_faults_that_fit_are_injected", only_faults_that_fit_are_injected),
    ("a_check_that_needs_what_there_is_not_says_so", a_check_that_needs_what_there_is_not_says_so),
];

fn plan(root: &std::path::Path, manner: Manner, faults: Vec<Fault>) -> ExplorePlan {
    let setup: Script = vec![open(0, "a", "write create"), Action::Write(0, "first".into())];
    let look: Script = vec![Action::Stat("a".into())];
    let subject = plan_as(manner, &[setup.clone(), look.clone()]);
    ExplorePlan { subject, faults, ..real::plan(root.to_owned(), &setup, &[look]) }
}

fn refusal(zygote: &mut Zygote, manner: Manner, faults: Vec<Fault>) -> String {
    let folder = real::folder();
    let plan = plan(folder.path(), manner, faults);
    let refused = explore::run(zygote, &plan, &AtomicBool::new(false), &()).expect_err("it does not fit");
    assert_nobody_left(zygote);
    refused.to_string()
}

fn what_starts_processes_is_not_explored(zygote: &mut Zygote) {
    let why = refusal(zygote, Manner::StartsProcesses, Vec::new());
    assert!(why.contains("starts processes of its own"), "{why}");
}

fn only_faults_that_fit_are_injected(zygote: &mut Zygote) {
    let why = refusal(zygote, Manner::CannotBeKilled, vec![Fault::Error(Injected::NoSpace), Fault::Kill]);
    assert!(why.contains("explore.faults: kill does not fit the subject"), "{why}");
    let folder = real::folder();
    let fits = plan(folder.path(), Manner::CannotBeKilled, vec![Fault::Error(Injected::NoSpace)]);
    explore::run(zygote, &fits, &AtomicBool::new(false), &()).expect("what fits is explored");
    let whole = plan(folder.path(), Manner::Usual, vec![Fault::Kill]);
    let run = explore::run(zygote, &whole, &AtomicBool::new(false), &()).expect("so is a kill elsewhere");
    assert!(run.faulted > 0, "{run:?}");
    assert_nobody_left(zygote);
}

fn a_check_that_needs_what_there_is_not_says_so(zygote: &mut Zygote) {
    let folder = real::folder();
    let plan = plan(folder.path(), Manner::HasNoForceDelete, Vec::new());
    let run = explore::run(zygote, &plan, &AtomicBool::new(false), &()).expect("an exploration");
    let upshot = |name: &str| {
        let found = run.examinations.iter().find(|(check, _)| check.as_str() == name);
        found.map(|(_, examination): &(_, Examination)| examination.upshot())
    };
    let lacking = |why| Some(Upshot::NotApplicable(Some(why)));
    assert_eq!(upshot("unrecoverable"), lacking("the subject has no force-delete"));
    assert_eq!(upshot("lost-update"), lacking("the subject's answers have no generation and revision"));
    assert_eq!(upshot("lock-overlap"), lacking("the subject does not say when it holds a container's lock"));
    assert_nobody_left(zygote);
}
