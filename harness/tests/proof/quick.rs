//! What every test run proves: little of the table, from every status.

use flockwork::Operation::{Create, Delete, ForceDelete, Pause, State};
use flockwork_harness::process::Zygote;

use super::explore::{self, Sum};
use super::spaces::{Case, DEFAULT, Faults, STATUSES, Setting, Space};

fn must_be_clean(zygote: &mut Zygote, setting: Setting, faults: Faults, cases: Vec<Case>) -> Sum {
    let space = Space { setting, faults, programs: "some", cases, preemptions_max: None };
    let sum = explore::space(zygote, &space, |_| ());
    assert!(sum.is_clean(), "{}: {:?}\n{}", space.name(), sum.partial, sum.broken.join("\n"));
    assert_eq!(sum.repeated, sum.schedules, "{}: every schedule is run once more", space.name());
    // Processes that never met prove nothing.
    assert!(sum.blocked > 0, "{}: nobody ever waited for a lock", space.name());
    sum
}

pub fn pairs(zygote: &mut Zygote) {
    for status in STATUSES {
        let cases = vec![Case::new(status, &[&[Create], &[ForceDelete]])];
        must_be_clean(zygote, DEFAULT, Faults::None, cases);
    }
}

pub fn faults(zygote: &mut Zygote) {
    for faults in [Faults::Kill, Faults::Errors] {
        let cases = vec![Case::new(STATUSES[2], &[&[Pause], &[State]])];
        let sum = must_be_clean(zygote, DEFAULT, faults, cases);
        assert!(sum.faulted > 20, "{} faults", sum.faulted);
    }
}

pub fn backends(zygote: &mut Zygote) {
    for lock in ["ofd", "posix", "lockfile"] {
        let cases = vec![Case::new(STATUSES[1], &[&[Create], &[Delete]])];
        must_be_clean(zygote, Setting { lock, ..DEFAULT }, Faults::None, cases);
    }
}
