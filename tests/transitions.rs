//! The whole transition table, on a real folder: every operation in every status, and what it leaves.

mod support;

use std::path::Path;

use flockwork::status::{Effect, Refusal};
use flockwork::{CreateRequest, Error, LockKind, Operation, Signal, Stamp, Status, Store, WritePolicy};
use support::{Scratch, id};

/// What an operation returned, as far as the table is concerned.
#[derive(Debug, PartialEq)]
enum Outcome {
    Saved(Stamp),
    Gone { generation: u64, revision: u64 },
    Nothing,
}

fn perform(scratch: &Scratch, operation: Operation, image: &Path) -> Result<Outcome, Error> {
    let id = id("c1");
    let container = scratch.store.container(&id);
    let saved = match operation {
        Operation::Create => scratch.store.create(&id, CreateRequest::default()),
        Operation::Start => container.start(),
        Operation::Restore => container.restore(image),
        Operation::Pause => container.pause(),
        Operation::Resume => container.resume(),
        Operation::Kill => container.kill(),
        Operation::Signal => container.signal(Signal::SIGWINCH),
        Operation::Checkpoint => container.checkpoint(&image.with_extension("new")),
        Operation::Wait => match container.wait(Some(std::time::Duration::ZERO)) {
            Err(Error::TimedOut { seen, .. }) => Ok(seen),
            result => result,
        },
        Operation::State => container.state().map(|metadata| metadata.stamp()),
        Operation::Load => scratch.store.load("c").map(|metadata| metadata.stamp()),
        Operation::List => return scratch.store.list().map(|_| Outcome::Nothing),
        Operation::Delete => {
            let gone = container.delete()?;
            return Ok(Outcome::Gone { generation: gone.generation, revision: gone.revision });
        }
        Operation::ForceDelete => {
            return Ok(container.force_delete()?.map_or(Outcome::Nothing, |gone| Outcome::Gone {
                generation: gone.generation,
                revision: gone.revision,
            }));
        }
    };
    saved.map(Outcome::Saved)
}

const SITUATIONS: [(Option<Status>, Option<Status>); 6] = [
    (None, None),
    (Some(Status::Created), None),
    (Some(Status::Running), None),
    (Some(Status::Paused), Some(Status::Created)),
    (Some(Status::Paused), Some(Status::Running)),
    (Some(Status::Stopped), None),
];

fn check(options: impl Fn() -> flockwork::StoreOptions) {
    let images = tempfile::tempdir().unwrap();
    let image = images.path().join("image");
    let donor = Scratch::new();
    donor.create(&id("donor"));
    donor.store.container(&id("donor")).checkpoint(&image).unwrap();
    for operation in Operation::ALL {
        for (status, paused_from) in SITUATIONS {
            let scratch = Scratch::with(options());
            if let Some(status) = status {
                scratch.create_as(&id("c1"), status, paused_from);
            }
            let before = scratch.snapshot();
            let stamp = status.map(|_| scratch.state(&id("c1")).stamp());
            let result = perform(&scratch, operation, &image);
            let case = format!("{operation} of {status:?} paused from {paused_from:?}: {result:?}");
            check_case(&scratch, operation, (status, paused_from), stamp, &result, &case);
            if result.is_err() || operation.transition().effect == Effect::Nothing {
                assert_eq!(scratch.snapshot(), before, "{case} changed something");
            }
        }
    }
}

fn check_case(
    scratch: &Scratch,
    operation: Operation,
    (status, paused_from): (Option<Status>, Option<Status>),
    stamp: Option<Stamp>,
    result: &Result<Outcome, Error>,
    case: &str,
) {
    let after = scratch.store.container(&id("c1")).state().ok();
    match operation.transition().apply(status) {
        Err(refusal) => {
            let error = result.as_ref().expect_err(case);
            assert_eq!(error.refusal(), Some(refusal), "{case}");
            assert_eq!(error.seen(), stamp.filter(|_| refusal != Refusal::Absent), "{case}");
        }
        Ok(effect) => {
            let outcome = result.as_ref().expect(case);
            let revision = stamp.map_or(0, |stamp| stamp.revision) + 1;
            let becomes = |status: Status| {
                let after = after.as_ref().expect(case).stamp();
                assert_eq!((after.status, after.revision), (status, revision), "{case}");
                assert_eq!(*outcome, Outcome::Saved(after), "{case}");
            };
            match effect {
                Effect::Creates(status) | Effect::Becomes(status) => becomes(status),
                Effect::Unpauses => becomes(paused_from.expect(case)),
                Effect::Nothing => {
                    let expected = match operation {
                        Operation::List | Operation::ForceDelete => Outcome::Nothing,
                        _ => Outcome::Saved(stamp.expect(case)),
                    };
                    assert_eq!(*outcome, expected, "{case}");
                }
                Effect::Removes => {
                    assert!(scratch.snapshot().is_empty(), "{case} left something");
                    let generation = stamp.expect(case).generation;
                    assert_eq!(*outcome, Outcome::Gone { generation, revision }, "{case}");
                }
            }
        }
    }
}

#[test]
fn every_operation_in_every_status_with_every_lock() {
    for kind in LockKind::ALL {
        check(|| Store::options().lock(kind));
    }
}

#[test]
fn every_operation_in_every_status_with_every_way_to_write_and_read() {
    for write in WritePolicy::ALL {
        for read in flockwork::ReadPolicy::ALL {
            check(|| Store::options().write(write).read(read).even_if_unsound());
        }
    }
}
