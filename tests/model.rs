//! Random sequences of operations against a model of five lines.

mod support;

use flockwork::status::{Effect, Refusal};
use flockwork::{CreateRequest, Error, Operation, Signal, Stamp, Status};
use proptest::prelude::*;
use support::{Scratch, id};

/// A container as the model knows it: status, what it was paused from, and revision.
type Model = Option<(Status, Option<Status>, u64)>;

/// The five lines: what an operation makes of a container.
fn step(model: Model, operation: Operation) -> Result<Model, Refusal> {
    let (status, paused_from, revision) = model.map_or((None, None, 0), |(s, p, r)| (Some(s), p, r));
    Ok(match operation.transition().apply(status)? {
        Effect::Creates(next) => Some((next, None, 1)),
        Effect::Becomes(next) => Some((next, status.filter(|_| next == Status::Paused), revision + 1)),
        Effect::Unpauses => paused_from.map(|next| (next, None, revision + 1)),
        Effect::Nothing => model,
        Effect::Removes => None,
    })
}

fn perform(scratch: &Scratch, operation: Operation) -> Result<Option<Stamp>, Error> {
    let id = id("c1");
    let container = scratch.store.container(&id);
    match operation {
        Operation::Create => scratch.store.create(&id, CreateRequest::default()).map(Some),
        Operation::Start => container.start().map(Some),
        Operation::Pause => container.pause().map(Some),
        Operation::Resume => container.resume().map(Some),
        Operation::Kill => container.kill().map(Some),
        Operation::Signal => container.signal(Signal::SIGCHLD).map(Some),
        Operation::Load => scratch.store.load("c1").map(|metadata| Some(metadata.stamp())),
        Operation::List => scratch.store.list().map(|_| None),
        Operation::Delete => container.delete().map(|_| None),
        Operation::ForceDelete => container.force_delete().map(|_| None),
        _ => container.state().map(|metadata| Some(metadata.stamp())),
    }
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    // Images and waits are left to the test of the table: here they would be read as a state.
    let but = [Operation::Restore, Operation::Checkpoint, Operation::Wait];
    let usable: Vec<_> = Operation::ALL.into_iter().filter(|operation| !but.contains(operation)).collect();
    proptest::collection::vec(proptest::sample::select(usable), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_library_does_what_the_model_says(operations in operations()) {
        let scratch = Scratch::new();
        let mut model: Model = None;
        let mut generation = 0;
        for operation in operations {
            let result = perform(&scratch, operation);
            match step(model, operation) {
                Ok(next) => {
                    let stamp = result.expect("the model permits it");
                    if let (Some(stamp), Some((status, _, revision))) = (stamp, next) {
                        prop_assert_eq!((stamp.status, stamp.revision), (status, revision));
                        if operation == Operation::Create {
                            prop_assert!(stamp.generation > generation);
                            generation = stamp.generation;
                        }
                        prop_assert_eq!(stamp.generation, generation);
                    }
                    model = next;
                }
                Err(refusal) => prop_assert_eq!(result.expect_err("the model forbids it").refusal(), Some(refusal)),
            }
            let listed = scratch.store.list().unwrap();
            prop_assert_eq!(listed.ids.len(), usize::from(model.is_some()));
        }
    }
}
