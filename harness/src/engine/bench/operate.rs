//! Work on containers: the subject takes its locks itself, and tells at the door.

use std::sync::Arc;

use flockwork::{Operation, Wait};

use super::clock::Clock;
use super::door::TimedDoor;
use super::job::{Job, Performed, Timing};
use crate::history::{Outcome, Reason};
use crate::plan::bench::{BenchSubject, Operations, Task};
use crate::plan::{GvisorCommit, LibraryPlan, Replica, SandboxKind, SubjectPlan};
use crate::subject::{Request, Session};

/// The subject of a task that operates on containers.
pub(super) fn subject_of(task: &Task) -> Option<SubjectPlan> {
    let Task::Operate { subject, lock, read, write, .. } = task else { return None };
    Some(match subject {
        BenchSubject::Library => SubjectPlan::Library(LibraryPlan {
            lock: *lock,
            wait: Wait::Block,
            read: *read,
            write: *write,
            sandbox: SandboxKind::Inert,
        }),
        BenchSubject::Gvisor2018 => {
            SubjectPlan::Replica { replica: Replica::Gvisor(GvisorCommit::Of2018), fail_create: None }
        }
    })
}

/// Payload that each save carries: the replica writes its own, the library keeps the one that the container was made with.
pub(super) fn saved_payload_bytes(subject: BenchSubject, payload_bytes: u32) -> u32 {
    match subject {
        BenchSubject::Library => 0,
        BenchSubject::Gvisor2018 => payload_bytes,
    }
}

/// Operates on containers.
pub(super) struct Operate {
    pub session: Box<dyn Session>,
    pub subject: BenchSubject,
    pub door: Arc<TimedDoor>,
    pub operations: Operations,
    /// For each container, whether this process believes it to be paused. Others pause it too: then the next attempt is
    /// refused, and the one after that is not.
    pub paused: Vec<bool>,
    pub sequence: u64,
}

impl Operate {
    fn operation(&self, container: u32) -> Operation {
        let is_write = match self.operations {
            Operations::Read => false,
            Operations::Pause => true,
            Operations::Mixed { reads } => self.sequence.is_multiple_of(u64::from(reads) + 1),
        };
        match (is_write, self.paused[container as usize]) {
            (false, _) => Operation::State,
            (true, false) => Operation::Pause,
            (true, true) => Operation::Resume,
        }
    }
}

impl Job for Operate {
    fn perform(&mut self, clock: &impl Clock, container: u32, _timing: Timing) -> Result<Performed, String> {
        let operation = self.operation(container);
        let answer = self.session.perform(&Request { operation, container, sequence: self.sequence });
        let done_ns = clock.now_ns();
        self.sequence += 1;
        let is_read = operation == Operation::State;
        let is_refused = match self.subject {
            BenchSubject::Library => {
                answer.outcome == Outcome::Refused && answer.reason == Some(Reason::Status)
            }
            // Its pause locks the wrong file, so that others may find the metadata cut: its bug, not this benchmark's.
            BenchSubject::Gvisor2018 => answer.outcome != Outcome::Ok,
        };
        if answer.outcome != Outcome::Ok && !is_refused {
            let why = answer.message.unwrap_or_else(|| "without a word".into());
            return Err(format!(
                "{operation} of container {} ended as {}: {why}",
                container + 1,
                answer.outcome
            ));
        }
        if !is_read {
            let paused = &mut self.paused[container as usize];
            *paused = !*paused;
        }
        Ok(Performed { held_ns: self.door.take(), done_ns, is_read, is_refused })
    }
}
