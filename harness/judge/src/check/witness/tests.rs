//! Handmade histories that must fail the witness check, and some that must pass it.

use flockwork::Operation::{
    Create, Delete, ForceDelete, Kill, Pause, Resume, Signal, Start, State as Read, Wait,
};
use flockwork::Status::{Created, Paused, Running, Stopped};

use super::super::fixture::{Case, Saw, absent, answer, killed, ok, refused};
use super::*;
use crate::evidence::ProcessState;
use crate::history::{Outcome, Reason, Record};

/// Created and started, by 4 µs.
fn started() -> Vec<Record> {
    vec![ok(0, Create, 1..=2).saw(Created, 1, 1), ok(0, Start, 3..=4).saw(Running, 1, 2)]
}

fn then(records: impl IntoIterator<Item = Record>) -> Case {
    let mut all = started();
    all.extend(records);
    Case::of(all)
}

#[test]
fn two_pauses_of_one_running_container_fail() {
    let message = then([ok(1, Pause, 5..=8).saw(Paused, 1, 3), ok(2, Pause, 6..=9).saw(Paused, 1, 4)])
        .must_fail(&Witness);
    assert!(
        message
            .contains("p2's pause succeeded, but must be refused: the container was paused (from running)"),
        "{message}"
    );
    assert!(message.contains("p1 pause (0.004–0.007 ms): ok, paused, generation 1 revision 3"), "{message}");
    let tied = [ok(1, Pause, 5..=8).saw(Paused, 1, 3), ok(2, Pause, 6..=9).saw(Paused, 1, 3)];
    assert!(then(tied).must_fail(&Witness).contains("several operations claim"));
}

#[test]
fn saves_of_one_revision_pass_only_in_a_legal_order() {
    let tied = [ok(1, Resume, 5..=8).saw(Running, 1, 3), ok(2, Pause, 6..=9).saw(Paused, 1, 3)];
    then(tied).must_pass(&Witness);
    let crowd = (1..=6).map(|process| ok(process, Pause, 5..=8).saw(Paused, 1, 3));
    then(crowd).must_fail(&Witness);
}

#[test]
fn a_read_of_the_past_fails() {
    let message = then([ok(1, Read, 5..=6).saw(Created, 1, 1)]).must_fail(&Witness);
    assert!(message.contains("was invoked only after it had returned"), "{message}");
    then([ok(1, Read, 2..=6).saw(Created, 1, 1)]).must_pass(&Witness);
}

#[test]
fn equal_times_are_concurrent() {
    then([ok(1, Pause, 7..=9).saw(Paused, 1, 3), ok(2, Read, 5..=7).saw(Paused, 1, 3)]).must_pass(&Witness);
    then([ok(1, Pause, 8..=9).saw(Paused, 1, 3), ok(2, Read, 5..=7).saw(Paused, 1, 3)]).must_fail(&Witness);
}

#[test]
fn a_missing_save_needs_a_killed_operation_that_fits() {
    let resumed = ok(1, Resume, 9..=10).saw(Running, 1, 4);
    assert!(then([resumed]).must_fail(&Witness).contains("a revision is missing"));
    then([killed(2, Pause, 5..=6), resumed]).must_pass(&Witness);
    // In time it must be, and legal there; and one operation acts once.
    then([killed(2, Pause, 11..=12), resumed]).must_fail(&Witness);
    then([killed(2, Start, 5..=6), resumed]).must_fail(&Witness);
    let again = ok(1, Resume, 11..=12).saw(Running, 1, 6);
    then([killed(2, Pause, 5..=20), resumed, again]).must_fail(&Witness);
    then([killed(2, Pause, 5..=20), killed(3, Pause, 5..=20), resumed, again]).must_pass(&Witness);
}

#[test]
fn a_new_generation_needs_a_delete() {
    let anew = ok(1, Create, 9..=10).saw(Created, 2, 1);
    assert!(then([anew]).must_fail(&Witness).contains("nobody deleted the one before"));
    then([ok(2, ForceDelete, 5..=6).stamped(1, 3), anew]).must_pass(&Witness);
    then([killed(2, ForceDelete, 5..=6), anew]).must_pass(&Witness);
    then([killed(2, Delete, 5..=6), anew]).must_fail(&Witness);
    then([killed(2, Delete, 5..=6), killed(3, Kill, 5..=6), anew]).must_pass(&Witness);
}

#[test]
fn a_generation_needs_a_create() {
    let paused = ok(1, Pause, 9..=10).saw(Paused, 1, 2);
    assert!(Case::of([paused]).must_fail(&Witness).contains("nobody created that generation"));
    Case::of([killed(0, Create, 1..=2), paused]).must_pass(&Witness);
}

#[test]
fn a_deleted_generation_seen_again_fails() {
    let gone = ok(1, ForceDelete, 5..=9).stamped(1, 3);
    assert!(
        then([gone, ok(2, Read, 6..=8).saw(Running, 1, 3)]).must_fail(&Witness).contains("had been deleted")
    );
    then([gone, ok(2, Read, 6..=8).saw(Running, 1, 2)]).must_pass(&Witness);
}

#[test]
fn absence_is_only_seen_in_a_gap() {
    assert!(
        then([refused(1, Pause, 5..=6, Reason::Absent)])
            .must_fail(&Witness)
            .contains("it existed all the while")
    );
    then([refused(1, Pause, 2..=6, Reason::Absent)]).must_pass(&Witness);
    let gap = |span| {
        then([
            ok(0, ForceDelete, 5..=6).stamped(1, 3),
            refused(1, Pause, span, Reason::Absent),
            ok(2, Create, 5..=20).saw(Created, 2, 1),
            ok(3, Read, 14..=16).saw(Created, 2, 1),
        ])
    };
    // The create can wait until 16, no longer.
    gap(15..=18).must_pass(&Witness);
    gap(17..=18).must_fail(&Witness);
}

#[test]
fn a_dead_sandbox_is_noticed_after_a_killed_kill_or_with_real_processes() {
    let stopped = ok(1, Read, 9..=10).saw(Stopped, 1, 3);
    then([stopped]).must_fail(&Witness);
    then([killed(2, Kill, 5..=6), stopped]).must_pass(&Witness);
    then([killed(2, ForceDelete, 5..=6), stopped]).must_pass(&Witness);
    // One that answered removed the container or found it absent, though it does not say which: it never stops at half.
    then([ok(2, ForceDelete, 5..=6), stopped]).must_fail(&Witness);
    let mut real = then([stopped]).quiet(absent(), &[]);
    real.quiet.containers[0].process = Ok(ProcessState::Dead);
    real.must_pass(&Witness);
    // With nothing behind the containers, only the operation itself can have saved it, and in time.
    let late = [ok(1, Read, 7..=8).saw(Running, 1, 2), stopped];
    then(late.into_iter().chain([killed(2, Kill, 5..=6)])).must_pass(&Witness);
    let inert = then(late.into_iter().chain([killed(2, Kill, 5..=6)]));
    inert.quiet(answer(Outcome::Ok, None, Some(Running)), &[]).must_fail(&Witness);
}

#[test]
fn the_status_seen_tells_what_a_signal_did() {
    then([ok(1, Signal, 5..=6).saw(Running, 1, 2)]).must_pass(&Witness);
    then([ok(1, Signal, 5..=6).saw(Stopped, 1, 3), ok(2, Wait, 5..=9).saw(Stopped, 1, 3)])
        .must_pass(&Witness);
    then([ok(2, Wait, 5..=9).saw(Running, 1, 2)]).must_fail(&Witness);
}

#[test]
fn operations_without_tokens_are_inconclusive_never_clean() {
    let examination = then([ok(1, Pause, 5..=6)]).examine(&Witness);
    assert_eq!(examination.violations, []);
    assert!(examination.inconclusive.is_some_and(|why| why.contains("needs a search")));
}

#[test]
fn a_refusal_without_tokens_needs_its_moment() {
    then([refused(1, Start, 5..=6, Reason::Status)]).must_pass(&Witness);
    then([refused(1, Create, 2..=6, Reason::Exists)]).must_pass(&Witness);
    then([refused(1, Start, 0..=1, Reason::Status)]).must_fail(&Witness);
}

#[test]
fn a_long_life_with_many_killed_operations_needs_no_long_search() {
    let mut records = started();
    let mut revision = 2;
    for number in 0..20_000_u64 {
        let at = 5 + number * 4;
        records.push(killed(1, Pause, at..=at + 1));
        revision += 2;
        records.push(ok(3, Resume, at + 2..=at + 3).saw(Running, 1, revision));
    }
    Case::of(records).must_pass(&Witness);
}

#[test]
fn what_begins_in_another_status_or_by_another_model_is_left_to_a_search() {
    let mut case = Case::of([ok(0, Create, 1..=2).saw(Created, 1, 1)]);
    case.must_pass(&Witness);
    case.history.set_initial(0, Some(Running));
    let why = case.examine(&Witness).inconclusive.expect("undecided");
    assert!(why.contains("c1: it is running at the start"), "{why}");
    case.history.set_initial(0, None);
    case.history.model = Some(Builtin::Oci);
    let why = case.examine(&Witness).inconclusive.expect("undecided");
    assert!(why.contains("model oci needs a search"), "{why}");
}
