//! One invocation of runsc: load, and then one method on what was loaded.
//!
//! The two are apart, as they are in the original. Between them lies the bug that outlived all others: the method acts
//! on a copy that may be old by then.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use flockwork::Operation;

use super::container::Container;
use super::container::RunscStatus::{self, Created, Paused, Running, Stopped};
use super::failure::{Failure, Seen, answer};
use super::protocol::Protocol;
use crate::plan::{FailCreate, FailCreateAt};
use crate::subject::payload::{Spec, Stamp};
use crate::subject::{Answer, Request, Seat, Session, Watch};

/// A worker's use of a replica.
#[derive(Debug)]
pub struct Runsc {
    protocol: &'static dyn Protocol,
    seat: Seat,
    indexes: HashMap<String, u32>,
    fail_create: Option<FailCreate>,
}

impl Runsc {
    pub fn new(protocol: &'static dyn Protocol, seat: Seat, fail_create: Option<FailCreate>) -> Self {
        let indexes = (0..).zip(seat.containers.iter()).map(|(index, name)| (name.clone(), index)).collect();
        Self { protocol, seat, indexes, fail_create }
    }

    /// One invocation, begun.
    pub fn invocation(&self, sequence: u64) -> Invocation<'_> {
        Invocation { runsc: self, stamp: Stamp { writer: self.seat.process, sequence } }
    }

    fn name(&self, container: u32) -> &str {
        &self.seat.containers[container as usize]
    }
}

impl Session for Runsc {
    fn perform(&mut self, request: &Request) -> Answer {
        let invocation = self.invocation(request.sequence);
        answer(match request.operation {
            Operation::List => invocation.list().map(|()| Seen::default()),
            operation => invocation.perform(operation, self.name(request.container)),
        })
    }

    fn audit(&mut self, container: u32) -> Answer {
        let path = self.seat.root.join(self.protocol.metadata_path(self.name(container)));
        answer(match fs::read(&path) {
            Ok(bytes) => judge(&path, &bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Seen::default()),
            Err(error) => Err(Failure::io("error reading container metadata file", path)(error)),
        })
    }
}

fn judge(path: &Path, bytes: &[u8]) -> Result<Seen, Failure> {
    let container: Container = serde_json::from_slice(bytes)
        .map_err(|error| Failure::Corrupt { path: path.to_owned(), why: error.to_string() })?;
    whole(path, &container)?;
    Ok(container.seen())
}

/// Proves that a copy is from one save. The original has no such check and would go on with what it got.
fn whole(path: &Path, container: &Container) -> Result<(), Failure> {
    container.spec.verify().map_err(|torn| Failure::Corrupt { path: path.to_owned(), why: torn.to_string() })
}

/// One invocation of runsc.
#[derive(Clone, Copy, Debug)]
pub struct Invocation<'a> {
    runsc: &'a Runsc,
    stamp: Stamp,
}

impl<'a> Invocation<'a> {
    /// The root folder.
    pub fn root(&self) -> &'a Path {
        &self.runsc.seat.root
    }

    /// The spec for this invocation's save: none makes more than one.
    pub fn spec(&self) -> Spec {
        Spec::new(self.stamp, self.runsc.seat.payload_bytes)
    }

    /// Fails, where this invocation is a create that is to fail here.
    pub fn fail_create(&self, at: FailCreateAt, id: &str) -> Result<(), Failure> {
        let Some(fail) = self.runsc.fail_create.filter(|fail| fail.at == at) else { return Ok(()) };
        if self.stamp.writer >= fail.workers || self.stamp.lot() >= fail.share {
            return Ok(());
        }
        Err(Failure::BadBundle(
            id.to_owned(),
            match at {
                FailCreateAt::Start => "error loading spec: the bundle is bad",
                FailCreateAt::End => "error writing pid file: no such folder",
            },
        ))
    }

    /// Marks, until it is dropped, that this process holds the container's lock.
    pub fn watch(&self, id: &str) -> Option<Watched<'a>> {
        let container = *self.runsc.indexes.get(id)?;
        let watch = &*self.runsc.seat.watch;
        watch.enter(container);
        Some(Watched { watch, container })
    }

    fn perform(&self, operation: Operation, id: &str) -> Result<Seen, Failure> {
        match operation {
            Operation::Create => self.runsc.protocol.create(self, id).map(|container| container.seen()),
            Operation::Kill | Operation::Wait => {
                Err(Failure::Unsupported(operation, self.runsc.protocol.name()))
            }
            Operation::ForceDelete => match self.load(id) {
                Err(Failure::Absent(_)) => Ok(Seen::default()),
                loaded => self.act(operation, loaded?),
            },
            _ => self.act(operation, self.load(id)?),
        }
    }

    /// The first half: reads the container.
    pub fn load(&self, id: &str) -> Result<Container, Failure> {
        self.runsc.protocol.load(self, id)
    }

    /// The second half: calls a method on what the first half read.
    pub fn act(&self, operation: Operation, container: Container) -> Result<Seen, Failure> {
        match operation {
            Operation::Start => self.change(container, "start", &[Created], Running),
            Operation::Restore => self.change(container, "restore", &[Created], Running),
            Operation::Pause => self.change(container, "pause", &[Created, Running], Paused),
            Operation::Resume => self.change(container, "resume", &[Paused], Running),
            Operation::Signal => container.require_status("running", &[Running]).map(|()| container.seen()),
            Operation::Checkpoint => {
                container.require_status("checkpoint", &[Created, Running, Paused]).map(|()| container.seen())
            }
            Operation::State | Operation::Load => self.whole(&container).map(|()| container.seen()),
            Operation::Delete if ![Created, Stopped].contains(&container.status) => {
                Err(Failure::Alive(container.seen()))
            }
            Operation::Delete | Operation::ForceDelete => self.destroy(container),
            Operation::Create | Operation::List | Operation::Kill | Operation::Wait => {
                unreachable!("{operation} is no method of a loaded container")
            }
        }
    }

    /// Start, restore, pause and resume: lock, look at the status of the copy, change it, save it.
    fn change(
        &self,
        mut container: Container,
        action: &'static str,
        from: &[RunscStatus],
        to: RunscStatus,
    ) -> Result<Seen, Failure> {
        let _held = self.runsc.protocol.lock_for_change(self, &container)?;
        container.require_status(action, from)?;
        container.change_status(to);
        container.revision += 1;
        container.spec = self.spec();
        self.runsc.protocol.save(&container)?;
        Ok(container.seen())
    }

    fn destroy(&self, container: Container) -> Result<Seen, Failure> {
        let left = Seen { status: None, revision: Some(container.revision + 1), ..container.seen() };
        self.runsc.protocol.destroy(self, container)?;
        Ok(left)
    }

    /// Names every container, and loads each: one that cannot be loaded ends it, unless the protocol leaves it out.
    fn list(&self) -> Result<(), Failure> {
        for id in self.runsc.protocol.list(self.root())? {
            self.runsc
                .protocol
                .load_listed(self, &id)
                .and_then(|container| container.map_or(Ok(()), |container| self.whole(&container)))
                .map_err(|source| Failure::Unlisted { id, source: Box::new(source) })?;
        }
        Ok(())
    }

    fn whole(&self, container: &Container) -> Result<(), Failure> {
        whole(&self.root().join(self.runsc.protocol.metadata_path(&container.id)), container)
    }
}

/// Marks that this process holds a container's lock; dropped before the lock is let go.
#[derive(Debug)]
pub struct Watched<'a> {
    watch: &'a dyn Watch,
    container: u32,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.watch.leave(self.container);
    }
}
