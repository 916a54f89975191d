//! Statuses, operations, and the one transition table that the operations, the harness's model and the
//! documentation share.
//!
//! This module is pure: it never touches a file, a process or a clock.

use crate::words::words;

words! {
    /// Where a container is in its life. A container without `meta.json` has no status: it is absent.
    #[derive(PartialOrd, Ord)]
    pub enum Status, "status" {
        /// Its sandbox exists and is held before its first instruction.
        Created = "created",
        /// Its sandbox runs.
        Running = "running",
        /// Its sandbox is stopped by `pause` and goes on with `resume`.
        Paused = "paused",
        /// Its sandbox has ended.
        Stopped = "stopped",
    }
}

words! {
    /// One call on a container.
    #[derive(PartialOrd, Ord)]
    pub enum Operation, "operation" {
        /// Makes the container.
        Create = "create",
        /// Lets the sandbox go.
        Start = "start",
        /// Starts from an image that a checkpoint wrote.
        Restore = "restore",
        /// Stops the sandbox for a while.
        Pause = "pause",
        /// Undoes a pause.
        Resume = "resume",
        /// Ends the sandbox with SIGKILL.
        Kill = "kill",
        /// Sends the sandbox a signal that does not end it.
        Signal = "signal",
        /// Writes an image of the sandbox.
        Checkpoint = "checkpoint",
        /// Returns once the container is stopped.
        Wait = "wait",
        /// Reads the metadata.
        State = "state",
        /// Finds a container by id or unique prefix, and reads its metadata.
        Load = "load",
        /// Names every container of a root.
        List = "list",
        /// Removes a container that does not run.
        Delete = "delete",
        /// Removes a container whatever its status; an absent one is no error.
        ForceDelete = "force-delete",
    }
}

impl Operation {
    /// The operation's row of [`TRANSITIONS`].
    #[must_use]
    pub fn transition(self) -> &'static Transition {
        // The table is ordered as ALL is; a test holds the two together.
        &TRANSITIONS[self as usize]
    }
}

/// What a permitted operation makes of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The container comes into being with this status, generation new, revision 1.
    Creates(Status),
    /// The container has this status from now on, and its revision grows by one.
    Becomes(Status),
    /// The container has the status again that it was paused from, and its revision grows by one.
    Unpauses,
    /// The status stays what it was.
    Nothing,
    /// The container is absent from now on.
    Removes,
}

/// What an operation gets where its status column does not permit it, or the container is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The container exists already.
    Exists,
    /// The container is absent.
    Absent,
    /// The container's status forbids the operation.
    Status,
}

/// One row of the transition table: from which statuses an operation is permitted, and what it does.
#[derive(Clone, Copy, Debug)]
pub struct Transition {
    /// The operation that the row of the table is about.
    pub operation: Operation,
    /// The statuses it is permitted in.
    pub from: &'static [Status],
    /// Whether it is permitted (create) or succeeds without effect (force delete) on an absent container.
    pub absent_permitted: bool,
    /// What it does where it is permitted.
    pub effect: Effect,
}

use Status::{Created, Paused, Running, Stopped};

/// The transition table: one row an operation, in the order of [`Operation::ALL`].
///
/// `list` is about a root, not about one container: it is permitted everywhere and changes nothing.
pub const TRANSITIONS: [Transition; 14] = [
    row(Operation::Create, &[], true, Effect::Creates(Created)),
    row(Operation::Start, &[Created], false, Effect::Becomes(Running)),
    row(Operation::Restore, &[Created], false, Effect::Becomes(Running)),
    row(Operation::Pause, &[Created, Running], false, Effect::Becomes(Paused)),
    row(Operation::Resume, &[Paused], false, Effect::Unpauses),
    row(Operation::Kill, &[Created, Running, Paused], false, Effect::Becomes(Stopped)),
    row(Operation::Signal, &[Created, Running, Paused], false, Effect::Nothing),
    row(Operation::Checkpoint, &[Created, Running, Paused], false, Effect::Nothing),
    row(Operation::Wait, &Status::ALL, false, Effect::Nothing),
    row(Operation::State, &Status::ALL, false, Effect::Nothing),
    row(Operation::Load, &Status::ALL, false, Effect::Nothing),
    row(Operation::List, &Status::ALL, true, Effect::Nothing),
    row(Operation::Delete, &[Created, Stopped], false, Effect::Removes),
    row(Operation::ForceDelete, &Status::ALL, true, Effect::Removes),
];

const fn row(
    operation: Operation,
    from: &'static [Status],
    absent_permitted: bool,
    effect: Effect,
) -> Transition {
    Transition { operation, from, absent_permitted, effect }
}

impl Transition {
    /// Whether the operation is permitted on a container of this status (`None`: absent), and what it does there.
    pub fn apply(&self, status: Option<Status>) -> Result<Effect, Refusal> {
        match (self.effect, status) {
            (Effect::Creates(_), Some(_)) => Err(Refusal::Exists),
            (effect @ Effect::Creates(_), None) => Ok(effect),
            (_, None) if self.absent_permitted => Ok(Effect::Nothing),
            (_, None) => Err(Refusal::Absent),
            (effect, Some(status)) if self.from.contains(&status) => Ok(effect),
            (_, Some(_)) => Err(Refusal::Status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_ordered_as_the_operations_are() {
        for operation in Operation::ALL {
            assert_eq!(operation.transition().operation, operation);
            assert_eq!(operation.as_str().parse(), Ok(operation));
        }
    }
}
