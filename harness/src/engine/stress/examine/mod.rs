//! The examination: what lay in the root after the run, and what could still be done with it.
//!
//! The examiner is a process like the workers, for it calls the subject, and the subject may panic, hang or crash. It
//! goes through a fixed row of steps and writes each observation down at once; where it does not get on, the zygote kills
//! it and lets another go on behind the step that was too much.

mod files;
mod oversee;
mod process;
mod quiet;
mod tidy;

use std::fs::File;
use std::io::{self, Write};

use flockwork::Operation;
use serde::{Deserialize, Serialize};

pub(super) use oversee::oversee;
pub(super) use quiet::quiet_from;
pub(super) use tidy::tidy;

pub(crate) use self::files::{copy_tree, left_beside, remains, sort};
use super::context::Post;
use super::wire::WireAnswer;
use crate::engine::NO_FORCE_DELETE;
use crate::evidence::ProcessState;
use crate::process::log::Writer;
use crate::subject::{Answer, Request, Session, Traits};

/// One step of the examination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Ask the subject for its containers.
    List,
    /// Ask for a container's state, and look at its process.
    State(u32),
    /// Note whose each file is.
    Files,
    /// Copy the root, as it was left.
    Copy,
    /// Delete a container by force.
    Delete(u32),
    /// Create it anew.
    Create(u32),
    /// Delete it by force once more.
    DeleteAgain(u32),
    /// Note which files are left.
    Remains,
    /// Note which processes are left.
    Processes,
}

impl Step {
    /// The step of this number; `None` behind the last.
    fn number(number: u32, containers: u32) -> Option<Self> {
        let states = 1..=containers;
        let recovery = containers + 3..4 * containers + 3;
        if number == 0 {
            return Some(Self::List);
        }
        if states.contains(&number) {
            return Some(Self::State(number - 1));
        }
        if recovery.contains(&number) {
            let (container, part) = ((number - recovery.start) / 3, (number - recovery.start) % 3);
            return Some([Self::Delete, Self::Create, Self::DeleteAgain][part as usize](container));
        }
        if number < recovery.start {
            return Some(if number == containers + 1 { Self::Files } else { Self::Copy });
        }
        let number = number - recovery.end;
        [Self::Remains, Self::Processes].get(number as usize).copied()
    }
}

/// What one step found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Observation {
    step: u32,
    found: Found,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Found {
    Answer(WireAnswer),
    State(WireAnswer, Option<Doing>),
    Files(files::Sorted),
    Names(Vec<String>),
    Done,
    /// It took too long, or the examiner ended.
    Nothing(String),
    /// The subject has no such thing.
    Lacking(String),
}

/// [`ProcessState`], as it crosses to the harness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Doing {
    Running,
    Stopped,
    Dead,
}

impl From<Doing> for ProcessState {
    fn from(doing: Doing) -> Self {
        match doing {
            Doing::Running => Self::Running,
            Doing::Stopped => Self::Held,
            Doing::Dead => Self::Dead,
        }
    }
}

/// The examiner's life, from this step on; gives back its exit code.
fn examine(post: &Post<'_>, first: u32, observations: &File) -> i32 {
    let mut session = match post.open() {
        Ok(session) => session,
        Err(code) => return code,
    };
    let traits = post.context.subject.traits();
    let mut examiner = Examiner { post, session: session.as_mut(), traits, sequence: u64::from(first) };
    let containers = post.plan().containers;
    for number in first.. {
        let Some(step) = Step::number(number, containers) else { break };
        let observation = Observation { step: number, found: examiner.take(step) };
        if write_line(observations, &observation).is_err() {
            return 1;
        }
    }
    0
}

fn write_line(mut to: &File, observation: &Observation) -> io::Result<()> {
    let mut line = serde_json::to_vec(observation)?;
    line.push(b'\n');
    to.write_all(&line)
}

struct Examiner<'e> {
    post: &'e Post<'e>,
    session: &'e mut dyn Session,
    traits: Traits,
    sequence: u64,
}

impl Examiner<'_> {
    fn take(&mut self, step: Step) -> Found {
        let plan = self.post.plan();
        let subject = self.post.context.subject.as_ref();
        match step {
            Step::List => Found::Answer(self.ask_on_record(Operation::List, 0).into()),
            Step::State(container) => {
                let answer = self.ask_on_record(Operation::State, container);
                let metadata = subject.metadata_path(&self.post.context.containers[container as usize]);
                Found::State(answer.into(), process::of_metadata(&plan.root.join(metadata)))
            }
            Step::Files => Found::Files(sort(&plan.root, subject, &self.post.context.containers)),
            Step::Copy => match files::copy_left(&plan.root) {
                Ok(()) => Found::Done,
                Err(error) => Found::Nothing(format!("cannot copy the root: {error}")),
            },
            Step::Delete(_) | Step::Create(_) | Step::DeleteAgain(_) | Step::Remains
                if !self.traits.has(Operation::ForceDelete) =>
            {
                Found::Lacking(NO_FORCE_DELETE.to_owned())
            }
            Step::Delete(container) | Step::DeleteAgain(container) => {
                Found::Answer(self.ask(Operation::ForceDelete, container).into())
            }
            Step::Create(container) => Found::Answer(self.ask(Operation::Create, container).into()),
            Step::Remains => Found::Names(remains(&plan.root, subject)),
            Step::Processes => Found::Names(process::left(self.post.context)),
        }
    }

    fn request(&mut self, operation: Operation, container: u32) -> Request {
        self.sequence += 1;
        Request { operation, container, sequence: self.sequence }
    }

    fn ask(&mut self, operation: Operation, container: u32) -> Answer {
        let request = self.request(operation, container);
        self.session.perform(&request)
    }

    /// Asks, and records it as an operation of the history.
    fn ask_on_record(&mut self, operation: Operation, container: u32) -> Answer {
        use crate::process::log::Recorder;
        let request = self.request(operation, container);
        let mut writer = Writer::new(&self.post.context.region, self.post.identity.process);
        let object = (operation != Operation::List).then_some(container);
        writer.invoked(operation, object);
        let answer = self.session.perform(&request);
        writer.returned(operation, &answer);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_follow_each_other_without_gap() {
        let steps = (0..).map_while(|number| Step::number(number, 2)).collect::<Vec<_>>();
        let expected = [
            Step::List,
            Step::State(0),
            Step::State(1),
            Step::Files,
            Step::Copy,
            Step::Delete(0),
            Step::Create(0),
            Step::DeleteAgain(0),
            Step::Delete(1),
            Step::Create(1),
            Step::DeleteAgain(1),
            Step::Remains,
            Step::Processes,
        ];
        assert_eq!(steps, expected);
    }
}
