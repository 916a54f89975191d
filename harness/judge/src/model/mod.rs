//! Models: the legal behaviours of one container, as a small state and one step function.
//!
//! `runsc`, by which the library's own runs are judged, owns no table: what an operation may do and what it makes of the container is read from
//! [`flockwork::status::TRANSITIONS`], so that the library and its judge cannot drift apart. Other models
//! are written as [`rules`]; `runsc` is among them, and a test holds the two together. No model looks at times, tokens
//! or files; ordering operations is the checks' work.

mod builtin;
mod compile;
pub mod document;
mod load;
pub mod object;
pub mod rules;
pub mod table;

use std::fmt;

pub use builtin::Builtin;
pub use compile::{Model, Unsound};
use flockwork::status::{Effect, Refusal};
use flockwork::{Operation, Status};
pub use load::{LoadError, load, load_any, parse};
use strum::{EnumCount, VariantArray};

use crate::history::{Outcome, Reason, Record};
use crate::words::every;

/// A model, whatever it is of.
#[derive(Clone, Debug, PartialEq)]
pub enum AnyModel {
    /// Containers, by a table of statuses.
    Table(Model),
    /// Objects that hold values.
    Object(object::ObjectModel),
}

impl AnyModel {
    /// What the model is called in reports: a built-in's own word, or its file's name without `.toml`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Table(model) => model.name(),
            Self::Object(model) => &model.name,
        }
    }
}

/// What a container is, as far as the legality of the next operation depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, EnumCount, VariantArray)]
pub enum State {
    /// There is none.
    #[default]
    Absent,
    /// Made, and not yet started.
    Created,
    /// Its process runs.
    Running,
    /// Paused, and a resume makes it created again.
    PausedFromCreated,
    /// Paused, and a resume makes it running again.
    PausedFromRunning,
    /// Its process has ended; what is left is to delete it.
    Stopped,
}

impl State {
    /// All states of the runsc model, absence included, by number.
    pub const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// The status that an operation sees; `None`: absent.
    #[must_use]
    pub const fn status(self) -> Option<Status> {
        match self {
            Self::Absent => None,
            Self::Created => Some(Status::Created),
            Self::Running => Some(Status::Running),
            Self::PausedFromCreated | Self::PausedFromRunning => Some(Status::Paused),
            Self::Stopped => Some(Status::Stopped),
        }
    }

    /// What the effect makes of this state.
    fn after(self, effect: Effect) -> Self {
        match effect {
            Effect::Nothing => self,
            Effect::Removes => Self::Absent,
            Effect::Unpauses if self == Self::PausedFromCreated => Self::Created,
            Effect::Unpauses => Self::Running,
            Effect::Creates(status) | Effect::Becomes(status) => match status {
                Status::Created => Self::Created,
                Status::Running => Self::Running,
                Status::Stopped => Self::Stopped,
                Status::Paused if self == Self::Created => Self::PausedFromCreated,
                Status::Paused => Self::PausedFromRunning,
            },
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PausedFromCreated => "paused (from created)",
            Self::PausedFromRunning => "paused (from running)",
            _ => self.status().map_or("absent", Status::as_str),
        })
    }
}

/// What an operation told of itself, as far as the model judges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which operation was done.
    pub operation: Operation,
    /// Whether it succeeded, was refused, failed, or nobody knows.
    pub outcome: Outcome,
    /// Why it was refused.
    pub reason: Option<Reason>,
    /// The status it saw or left.
    pub status: Option<Status>,
}

impl From<&Record> for Seen {
    fn from(record: &Record) -> Self {
        Self {
            operation: record.operation,
            outcome: record.outcome,
            reason: record.reason,
            status: record.status,
        }
    }
}

/// Why an operation cannot have ended as it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Illegal {
    /// It succeeded where it must be refused.
    Succeeded(Operation, State),
    /// It was refused where it must succeed.
    WronglyRefused(Operation, State),
    /// It was refused for a reason that does not hold.
    WrongReason(Operation, State),
    /// It saw or left another status than it must.
    WrongStatus(Operation, State, Status),
}

impl fmt::Display for Illegal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Succeeded(operation, state) => {
                write!(f, "{operation} succeeded, but must be refused: the container was {state}")
            }
            Self::WronglyRefused(operation, state) => {
                write!(f, "{operation} was refused, but must succeed: the container was {state}")
            }
            Self::WrongReason(operation, state) => {
                write!(
                    f,
                    "{operation} was refused for a reason that does not hold: the container was {state}"
                )
            }
            Self::WrongStatus(operation, state, status) => {
                write!(f, "{operation} reported {status}, but the container was {state}")
            }
        }
    }
}

/// The state that follows from `state` by an operation that ended as `seen`, or why it cannot have ended so.
///
/// `list` is not about one container, and failed operations change nothing: both leave the state. So does an unknown
/// outcome; what it may have done is told by [`acts`].
pub fn step(state: State, seen: Seen) -> Result<State, Illegal> {
    let operation = seen.operation;
    if operation == Operation::List {
        return Ok(state);
    }
    match (seen.outcome, operation.transition().apply(state.status())) {
        (Outcome::Failed | Outcome::Unknown, _) => Ok(state),
        (Outcome::Ok, Ok(effect)) => succeed(state, seen, effect),
        (Outcome::Ok, Err(_)) => Err(Illegal::Succeeded(operation, state)),
        // A prefix that fits several ids says nothing of this container.
        (Outcome::Refused, _) if seen.reason == Some(Reason::Ambiguous) => Ok(state),
        (Outcome::Refused, Ok(_)) => Err(Illegal::WronglyRefused(operation, state)),
        (Outcome::Refused, Err(refusal)) => refuse(state, seen, refusal),
    }
}

fn succeed(state: State, seen: Seen, effect: Effect) -> Result<State, Illegal> {
    let wrong = |after: State| match seen.status {
        Some(status) if after.status() != Some(status) => {
            Err(Illegal::WrongStatus(seen.operation, after, status))
        }
        _ => Ok(after),
    };
    match (seen.operation, effect) {
        // What a delete reports is what it removed; whether it counts a sandbox it just ended is its own affair.
        (_, Effect::Removes) => Ok(State::Absent),
        // A signal may end the sandbox; the status it left tells.
        (Operation::Signal, _) if seen.status == Some(Status::Stopped) => Ok(State::Stopped),
        (Operation::Wait, _) if state != State::Stopped => Err(Illegal::Succeeded(Operation::Wait, state)),
        _ => wrong(state.after(effect)),
    }
}

fn refuse(state: State, seen: Seen, refusal: Refusal) -> Result<State, Illegal> {
    let holds = match seen.reason {
        None => true,
        Some(Reason::Exists) => refusal == Refusal::Exists,
        Some(Reason::Absent) => refusal == Refusal::Absent,
        Some(Reason::Status) => refusal == Refusal::Status,
        Some(_) => false,
    };
    match seen.status {
        _ if !holds => Err(Illegal::WrongReason(seen.operation, state)),
        Some(status) if state.status() != Some(status) => {
            Err(Illegal::WrongStatus(seen.operation, state, status))
        }
        _ => Ok(state),
    }
}

/// How a subject that keeps to the model answers an operation, and the state that follows. A signal ends nothing here,
/// and a wait for what has not stopped, which would not return, is told as refused for the status.
///
/// ```
/// use flockwork::Operation;
/// use flockwork_judge::model::{Seen, State, answer, step};
///
/// let (seen, next) = answer(State::Running, Operation::Pause);
/// assert_eq!(next, State::PausedFromRunning);
/// assert_eq!(step(State::Running, seen), Ok(next));
/// ```
#[must_use]
pub fn answer(state: State, operation: Operation) -> (Seen, State) {
    let ok = Seen { operation, outcome: Outcome::Ok, reason: None, status: None };
    if let Ok(next) = step(state, ok) {
        return (ok, next);
    }
    let reason = match (operation, state) {
        (Operation::Create, _) => Reason::Exists,
        (_, State::Absent) => Reason::Absent,
        _ => Reason::Status,
    };
    (Seen { outcome: Outcome::Refused, reason: Some(reason), ..ok }, state)
}

/// What an operation makes of the state if it acts on it, where that is a change: for operations that never answered.
#[must_use]
pub fn acts(state: State, operation: Operation) -> Option<State> {
    let effect = operation.transition().apply(state.status()).ok()?;
    match (operation, effect) {
        (Operation::Signal, _) => Some(State::Stopped),
        (_, Effect::Nothing) => None,
        _ => Some(state.after(effect)),
    }
}

/// Whether an operation that ended so saved or removed the container's metadata, as far as the subject tells.
#[must_use]
pub fn changes(seen: Seen) -> bool {
    seen.outcome == Outcome::Ok
        && match seen.operation.transition().effect {
            Effect::Nothing => {
                // A signal is not permitted on a stopped container: where it left one, it stopped it.
                seen.operation == Operation::Signal && seen.status == Some(Status::Stopped)
            }
            Effect::Creates(_) | Effect::Becomes(_) | Effect::Unpauses | Effect::Removes => true,
        }
}

/// Whether an operation can change a container at all.
#[must_use]
pub fn can_change(operation: Operation) -> bool {
    operation == Operation::Signal || operation.transition().effect != Effect::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(operation: Operation) -> Seen {
        Seen { operation, outcome: Outcome::Ok, reason: None, status: None }
    }

    fn refused(operation: Operation, reason: Reason) -> Seen {
        Seen { operation, outcome: Outcome::Refused, reason: Some(reason), status: None }
    }

    #[test]
    fn a_life_is_legal_from_create_to_delete() {
        let life = [
            (Operation::Create, State::Created),
            (Operation::Pause, State::PausedFromCreated),
            (Operation::Resume, State::Created),
            (Operation::Start, State::Running),
            (Operation::Pause, State::PausedFromRunning),
            (Operation::Resume, State::Running),
            (Operation::Signal, State::Running),
            (Operation::Kill, State::Stopped),
            (Operation::Wait, State::Stopped),
            (Operation::Delete, State::Absent),
            (Operation::ForceDelete, State::Absent),
        ];
        let mut state = State::Absent;
        for (operation, after) in life {
            state = step(state, ok(operation)).expect("legal");
            assert_eq!(state, after, "after {operation}");
        }
    }

    #[test]
    fn success_and_refusal_exclude_each_other_everywhere() {
        for state in State::ALL {
            for operation in Operation::ALL {
                if matches!(operation, Operation::List | Operation::Wait) {
                    continue;
                }
                let refusals = [Reason::Exists, Reason::Absent, Reason::Status];
                let refusals =
                    refusals.iter().filter(|&&reason| step(state, refused(operation, reason)).is_ok());
                let successes = usize::from(step(state, ok(operation)).is_ok());
                assert_eq!(successes + refusals.count(), 1, "{operation} of a container that is {state}");
            }
        }
    }

    #[test]
    fn what_keeps_to_the_model_is_legal() {
        for state in State::ALL {
            for operation in Operation::ALL.into_iter().filter(|&operation| operation != Operation::Wait) {
                let (seen, next) = answer(state, operation);
                assert_eq!(step(state, seen), Ok(next), "{operation} of a container that is {state}");
            }
        }
    }

    #[test]
    fn the_status_seen_decides() {
        let seen = Seen { status: Some(Status::Running), ..ok(Operation::State) };
        assert_eq!(step(State::Running, seen), Ok(State::Running));
        assert_eq!(
            step(State::Stopped, seen),
            Err(Illegal::WrongStatus(Operation::State, State::Stopped, Status::Running))
        );
        let ended = Seen { status: Some(Status::Stopped), ..ok(Operation::Signal) };
        assert_eq!(step(State::PausedFromRunning, ended), Ok(State::Stopped));
        assert!(changes(ended) && !changes(ok(Operation::Signal)));
        assert!(step(State::Stopped, ended).is_err());
        assert!(step(State::Running, ok(Operation::Wait)).is_err());
    }

    #[test]
    fn what_never_answered_may_have_acted_only_where_the_table_permits() {
        assert_eq!(acts(State::Running, Operation::Delete), None);
        assert_eq!(acts(State::Running, Operation::ForceDelete), Some(State::Absent));
        assert_eq!(acts(State::Absent, Operation::ForceDelete), None);
        assert_eq!(acts(State::PausedFromCreated, Operation::Resume), Some(State::Created));
        assert_eq!(acts(State::Running, Operation::Signal), Some(State::Stopped));
        assert_eq!(acts(State::Running, Operation::State), None);
    }
}
