//! Each operation on a container of each status, alone: what a runtime does must be what its profile says.
//!
//! What deviates even alone is no race. It is named here, and told in docs/findings/conformance.md.

use flockwork::{Operation, Status};
use flockwork_harness::evidence::Reply;
use flockwork_harness::history::Outcome;
use flockwork_harness::model::Seen;
use flockwork_harness::model::table::ILLEGAL;
use flockwork_harness::process::Zygote;
use flockwork_harness::runtimes::{Runtime, life, profile};
use flockwork_harness::subject::Answer;

use super::{Place, is_set, is_usable};

/// What a runtime does alone that no model can have: the versions tested fail, or destroy what they refuse to touch.
const KNOWN: &[(Runtime, Option<Status>, Operation)] = &[
    (Runtime::Runsc, Some(Status::Created), Operation::Create),
    (Runtime::Runsc, Some(Status::Running), Operation::Create),
    (Runtime::Runsc, Some(Status::Paused), Operation::Create),
    (Runtime::Runsc, Some(Status::Stopped), Operation::Create),
    (Runtime::Runsc, Some(Status::Created), Operation::Pause),
    (Runtime::Runsc, Some(Status::Paused), Operation::ForceDelete),
];

pub fn hold(zygote: &Zygote, runtime: Runtime) {
    if !is_usable(runtime) {
        return;
    }
    if runtime == Runtime::Runsc && !is_set("FLOCKWORK_LONG") {
        println!("skipped: runsc takes two seconds to delete a container: FLOCKWORK_LONG=1 waits for it");
        return;
    }
    let place = Place::new();
    let mut host = place.host(zygote, runtime);
    let statuses = std::iter::once(None).chain(Status::ALL.map(Some));
    let mut wrong = Vec::new();
    let mut number = 0;
    for status in statuses {
        for operation in Runtime::operations() {
            number += 1;
            let id = format!("fw{}-p{number}", std::process::id());
            let (told, after) =
                life::perform_on(&mut host, &id, status, operation).expect("the way there works");
            let known = KNOWN.contains(&(runtime, status, operation));
            if let Some(why) = differs(runtime, status, operation, (&told, &after))
                && !known
            {
                wrong.push(why);
            }
        }
    }
    let left = host.close();
    assert!(left.is_empty(), "{left:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// How what happened differs from the profile, if it does.
fn differs(
    runtime: Runtime,
    status: Option<Status>,
    operation: Operation,
    (told, after): (&Answer, &Answer),
) -> Option<String> {
    let model = profile::model(runtime);
    // Of those that look alike the last: paused from running.
    let from = model.states_of(status).last().expect("a state of the model");
    let next = |operation, answer: &Answer, from: u8| {
        let seen = Seen { operation, outcome: answer.outcome, reason: answer.reason, status: answer.status };
        model.table().row(seen)[from as usize]
    };
    let reached = next(operation, told, from);
    let is_right = told.outcome != Outcome::Failed
        && reached != ILLEGAL
        && next(Operation::State, after, reached) != ILLEGAL;
    let words = |answer: &Answer| Reply::from(answer.clone()).to_string();
    (!is_right).then(|| {
        let status = status.map_or("absent", Status::as_str);
        format!(
            "{runtime}: {operation} of a container that was {status}: {}; then state: {} {:?}",
            words(told),
            words(after),
            after.status
        )
    })
}
