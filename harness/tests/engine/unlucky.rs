//! Runs in which the harness itself is at fault, or the machine: neither is ever the subject's.

use std::sync::atomic::AtomicBool;

use flockwork_harness::engine::EngineError;
use flockwork_harness::engine::stress::run;
use flockwork_harness::history::Outcome;
use flockwork_harness::process::Zygote;

use super::Case;
use super::cases::setting;

pub const ALL: &[Case] = &[
    ("a_panic_in_the_harnesss_own_frames_is_no_finding", a_panic_in_the_harnesss_own_frames_is_no_finding),
    ("what_the_machine_lacked_is_counted_by_its_number", what_the_machine_lacked_is_counted_by_its_number),
];

/// The subject names a container that is not there, and what the harness has for it panics: the run has no outcome.
fn a_panic_in_the_harnesss_own_frames_is_no_finding(zygote: &mut Zygote) {
    for fresh in [false, true] {
        let mut setting = setting("oversteps");
        setting.plan.fresh_processes = fresh;
        let ended = run(zygote, &setting.plan, &AtomicBool::new(false), &());
        let Err(error @ EngineError::Failed(_)) = ended else { panic!("the run had an outcome: {ended:?}") };
        let told = error.to_string();
        assert!(told.contains("process 1 panicked in the harness itself"), "{told}");
        assert!(told.contains("src/process/") && told.contains("a bug of flockwork"), "{told}");
    }
}

fn what_the_machine_lacked_is_counted_by_its_number(zygote: &mut Zygote) {
    let setting = setting("starves");
    let seen = run(zygote, &setting.plan, &AtomicBool::new(false), &()).expect("a run");
    let told = seen.lacks.told();
    assert!(told.len() == 1 && told[0].contains("EMFILE"), "{told:?}");
    // Each tenth operation of each of the four workers, where it is no list.
    let failed = seen.history.records.iter().filter(|record| record.outcome == Outcome::Failed).count();
    assert!((100..=200).contains(&failed), "{failed}");
    assert!(told[0].starts_with(&format!("{failed} operations failed")), "{told:?}");
    assert!(told[0].contains("Too many open files"), "{told:?}");
}
