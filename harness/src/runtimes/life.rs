//! A container's life, one command after the other: whether a runtime works here at all, and what it does to a container of
//! each status when nobody disturbs it.

use std::time::{Duration, Instant};

use flockwork::{Operation, Status};
use flockwork_judge::answer::Answer;

use super::{Host, HostError, answer};
use crate::history::Outcome;

/// How often a create that must succeed is tried.
const CREATES_MAX: u32 = 3;
/// How long a container may take to be seen stopped once it was killed.
const STOP_MAX: Duration = Duration::from_secs(5);

/// What leads a container to a status; nothing: it stays absent.
#[must_use]
pub const fn way_to(status: Option<Status>) -> &'static [Operation] {
    match status {
        None => &[],
        Some(Status::Created) => &[Operation::Create],
        Some(Status::Running) => &[Operation::Create, Operation::Start],
        Some(Status::Paused) => &[Operation::Create, Operation::Start, Operation::Pause],
        Some(Status::Stopped) => &[Operation::Create, Operation::Start, Operation::Kill],
    }
}

/// Creates, starts, kills and deletes a container, and says what went wrong.
pub fn try_life(host: &mut Host, id: &str) -> Result<(), HostError> {
    let tried = live(host, id);
    // Whatever came of it, nothing of it stays.
    host.clear(id)?;
    tried
}

fn live(host: &mut Host, id: &str) -> Result<(), HostError> {
    host.bundles.write(id)?;
    let steps = [
        (Operation::Create, Some(Status::Created)),
        (Operation::Start, Some(Status::Running)),
        (Operation::Kill, Some(Status::Stopped)),
        (Operation::Delete, None),
    ];
    for (operation, then) in steps {
        succeed(host, operation, id)?;
        let seen = settle(host, id, then)?;
        let is_right = match then {
            Some(status) => seen.status == Some(status),
            None => seen.outcome == Outcome::Refused,
        };
        if !is_right {
            let runtime = host.runtime;
            return Err(HostError::Lacking(format!(
                "{runtime} does not work here: after {operation}, state reports {}",
                words(&seen)
            )));
        }
    }
    Ok(())
}

/// Performs an operation that must succeed. A create that fails is tried again, once its id is deleted: youki seals a copy of its
/// own program, and now and then the kernel refuses that (`EBUSY`).
pub fn succeed(host: &mut Host, operation: Operation, id: &str) -> Result<(), HostError> {
    let mut tries = if operation == Operation::Create { CREATES_MAX } else { 1 };
    let (done, told) = loop {
        let done = host.perform(operation, id)?;
        let told = answer::read(host.runtime, operation, &done);
        if told.outcome == Outcome::Ok {
            return Ok(());
        }
        tries -= 1;
        if tries == 0 || told.outcome != Outcome::Failed {
            break (done, told);
        }
        let _ = host.perform(Operation::ForceDelete, id)?;
    };
    let runtime = host.runtime;
    let why = match done.waiting {
        Some(waiting) => format!("it did not end within {:?}: {waiting}", host.limit()),
        None => words(&told),
    };
    Err(HostError::Lacking(format!("{runtime} {operation}, by itself, does not succeed here: {why}")))
}

/// What `state` tells of a container, once it tells this status or has had its time: a kill takes effect when it likes.
pub fn settle(host: &mut Host, id: &str, awaited: Option<Status>) -> Result<Answer, HostError> {
    let until = Instant::now() + STOP_MAX;
    loop {
        let done = host.perform(Operation::State, id)?;
        let seen = answer::read(host.runtime, Operation::State, &done);
        if awaited != Some(Status::Stopped) || seen.status == awaited || Instant::now() > until {
            return Ok(seen);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// An answer in words.
#[must_use]
pub fn words(answer: &Answer) -> String {
    crate::evidence::Reply::from(answer.clone()).to_string()
}

/// Performs an operation on a fresh container of a status, and gives back what it answered and what became of the
/// container.
pub fn perform_on(
    host: &mut Host,
    id: &str,
    status: Option<Status>,
    operation: Operation,
) -> Result<(Answer, Answer), HostError> {
    host.bundles.write(id)?;
    for step in way_to(status) {
        succeed(host, *step, id)?;
    }
    if status == Some(Status::Stopped) {
        settle(host, id, status)?;
    }
    let done = host.perform(operation, id)?;
    let told = answer::read(host.runtime, operation, &done);
    let is_kill = operation == Operation::Kill && told.outcome == Outcome::Ok;
    let after = settle(host, id, is_kill.then_some(Status::Stopped))?;
    let _ = host.perform(Operation::ForceDelete, id)?;
    host.clear(id)?;
    Ok((told, after))
}
