//! The operations.

use std::fs;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use flockwork::status::{Effect, Refusal};
use flockwork::{Operation, Status};
use rustix::fs::FlockOperation;

use super::files::{Files, Lock, Metadata, is_corrupt};
use crate::history::{Outcome, Reason};
use crate::plan::Rule;
use crate::subject::payload::{Spec, Stamp};
use crate::subject::{Answer, Request, Seat, Session, Watch};

/// A worker's use of the replica.
#[derive(Debug)]
pub struct Rules {
    seat: Seat,
    off: Option<Rule>,
}

/// The exclusive lock, under watch until it is given back.
struct Held<'a> {
    _lock: Lock,
    watched: Option<(&'a dyn Watch, u32)>,
}

impl Held<'_> {
    /// The lock is about to be given back.
    fn leave(&mut self) {
        if let Some((watch, container)) = self.watched.take() {
            watch.leave(container);
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Rules {
    pub fn new(seat: Seat, off: Option<Rule>) -> Self {
        Self { seat, off }
    }

    fn files(&self, container: u32) -> Files {
        Files::new(&self.seat.root, &self.seat.containers[container as usize], self.off)
    }

    fn held(&self, container: u32, lock: Lock) -> Held<'_> {
        let watch = &*self.seat.watch;
        watch.enter(container);
        Held { _lock: lock, watched: Some((watch, container)) }
    }

    fn spec(&self, sequence: u64) -> Spec {
        Spec::new(Stamp { writer: self.seat.process, sequence }, self.seat.payload_bytes)
    }

    fn attempt(&self, request: &Request) -> io::Result<Answer> {
        match request.operation {
            Operation::Create => self.create(request),
            Operation::List => self.list(),
            Operation::State | Operation::Load => self.look(request),
            _ => self.change(request),
        }
    }

    fn create(&self, request: &Request) -> io::Result<Answer> {
        let files = self.files(request.container);
        let mut held = self.held(request.container, files.lock_new()?);
        if let Some(found) = files.read()? {
            files.clear();
            return Ok(refused(Refusal::Exists, Some(&found)));
        }
        let made = Metadata {
            id: self.seat.containers[request.container as usize].clone(),
            status: Status::Created,
            paused_from: None,
            generation: realtime_ns(),
            revision: 1,
            spec: self.spec(request.sequence),
        };
        files.save(&made).and_then(|()| files.sync()).inspect_err(|_| {
            if self.off != Some(Rule::CleanCreate) {
                let _ = remove(&files, Some(&mut held));
            }
        })?;
        Ok(saw(&made))
    }

    fn look(&self, request: &Request) -> io::Result<Answer> {
        let files = self.files(request.container);
        let Some(_lock) = files.lock(FlockOperation::LockShared)? else {
            return Ok(refused(Refusal::Absent, None));
        };
        Ok(files.read()?.map_or_else(|| refused(Refusal::Absent, None), |found| saw(&found)))
    }

    /// Read, check, act, save: as one, under the lock.
    fn change(&self, request: &Request) -> io::Result<Answer> {
        let Request { operation, container, .. } = *request;
        let files = self.files(container);
        let early = if self.off == Some(Rule::FreshStatus) { files.read()? } else { None };
        let is_unlocked =
            self.off == Some(Rule::LockedDelete) && operation.transition().effect == Effect::Removes;
        let mut held = None;
        if !is_unlocked {
            let Some(lock) = files.lock(FlockOperation::LockExclusive)? else {
                return Ok(absent(operation));
            };
            held = Some(self.held(container, lock));
        }
        let found = if early.is_some() { early } else { files.read()? };
        let Some(mut found) = found else {
            if held.is_some() {
                remove(&files, held.as_mut())?;
            }
            return Ok(absent(operation));
        };
        let effect = match operation.transition().apply(Some(found.status)) {
            Ok(effect) => effect,
            Err(refusal) => {
                files.clear();
                return Ok(refused(refusal, Some(&found)));
            }
        };
        if self.off == Some(Rule::LockedSave) {
            drop(held.take());
        }
        if effect == Effect::Removes {
            remove(&files, held.as_mut())?;
            return Ok(Answer { status: None, revision: Some(found.revision + 1), ..saw(&found) });
        }
        self.carry_out(effect, &files, &mut found, request.sequence)
    }

    fn carry_out(
        &self,
        effect: Effect,
        files: &Files,
        found: &mut Metadata,
        sequence: u64,
    ) -> io::Result<Answer> {
        let to = match effect {
            Effect::Becomes(status) | Effect::Creates(status) => status,
            Effect::Unpauses => found.paused_from.unwrap_or(Status::Running),
            Effect::Nothing | Effect::Removes => return Ok(saw(found)),
        };
        found.paused_from = (to == Status::Paused).then_some(found.status);
        found.status = to;
        found.revision += 1;
        found.spec = self.spec(sequence);
        files.save(found)?;
        Ok(saw(found))
    }

    fn list(&self) -> io::Result<Answer> {
        for entry in fs::read_dir(&self.seat.root)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                let name = entry.file_name();
                let files = Files::new(&self.seat.root, &name.to_string_lossy(), self.off);
                if !files.exists()? {
                    files.clear_ghost();
                }
            }
        }
        Ok(done())
    }
}

impl Session for Rules {
    fn perform(&mut self, request: &Request) -> Answer {
        self.attempt(request).unwrap_or_else(|error| failed(&error))
    }

    fn audit(&mut self, container: u32) -> Answer {
        match self.files(container).read() {
            Ok(found) => found.as_ref().map_or_else(done, saw),
            Err(error) => failed(&error),
        }
    }
}

/// Removes the container, and gives its lock back on the way.
fn remove(files: &Files, held: Option<&mut Held<'_>>) -> io::Result<()> {
    files.remove_metadata()?;
    if let Some(held) = held {
        held.leave();
    }
    files.remove_rest();
    Ok(())
}

const fn done() -> Answer {
    Answer::done()
}

fn saw(found: &Metadata) -> Answer {
    let Metadata { status, generation, revision, .. } = *found;
    Answer { status: Some(status), generation: Some(generation), revision: Some(revision), ..done() }
}

fn refused(refusal: Refusal, found: Option<&Metadata>) -> Answer {
    let reason = match refusal {
        Refusal::Exists => Reason::Exists,
        Refusal::Absent => Reason::Absent,
        Refusal::Status => Reason::Status,
    };
    Answer { outcome: Outcome::Refused, reason: Some(reason), ..found.map_or_else(done, saw) }
}

/// The answer about a container that is absent: to delete it by force is no error.
fn absent(operation: Operation) -> Answer {
    operation.transition().apply(None).map_or_else(|refusal| refused(refusal, None), |_| done())
}

fn failed(error: &io::Error) -> Answer {
    let reason = if is_corrupt(error) { Reason::Corrupt } else { Reason::Io };
    Answer::failed_by(reason, error)
}

fn realtime_ns() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    u64::try_from(since_epoch.as_nanos()).expect("the clock is before 2554")
}
