//! What a pause acts upon: one trait, one file per implementation.
//!
//! The library calls a sandbox only while it holds the container's exclusive lock (but for [`Sandbox::probe`], which
//! only looks). A sandbox must never touch the container's folder: what it wants to keep it puts into its
//! [`SandboxRecord`], which is saved with the operation that is under way.

mod inert;
mod process;

use std::fmt;
use std::io;

pub use nix::sys::signal::Signal;
use serde_json::value::RawValue;

pub use self::inert::Inert;
pub use self::process::Process;
pub use crate::metadata::SandboxRecord;
use crate::status::{Operation, Status};
use crate::{ContainerId, Metadata};

/// What a signal did to the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It lives on.
    Alive,
    /// The process has ended, and its exit was seen.
    Ended,
}

/// What can be seen of a sandbox from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// Nothing is there to be seen: it is as the metadata says.
    AsRecorded,
    /// It stands still: held before its first instruction, or paused.
    Halted,
    /// It runs: it neither stands still nor has ended.
    Going,
    /// It has ended, or there never was one.
    Dead,
}

impl Observed {
    /// Whether this is what the metadata says.
    pub(crate) fn agrees_with(self, status: Status) -> bool {
        match self {
            Self::AsRecorded => true,
            Self::Halted => matches!(status, Status::Created | Status::Paused),
            Self::Going => status == Status::Running,
            Self::Dead => status == Status::Stopped,
        }
    }
}

/// The thing in the container. A method that fails must have changed nothing.
pub trait Sandbox: fmt::Debug + Send + Sync {
    /// What images of this kind of sandbox are marked with.
    fn kind(&self) -> &'static str;

    /// The exclusive lock of this container was just taken: whatever follows, until [`leaving`](Self::leaving),
    /// happens while nobody else holds it. Called for refused operations too.
    fn entered(&self, _id: &ContainerId) {}

    /// The exclusive lock of this container is about to be given back.
    fn leaving(&self, _id: &ContainerId) {}

    /// A shared lock of this container was just taken by a reader; other readers may hold it too.
    fn entered_shared(&self, _id: &ContainerId) {}

    /// That shared lock is about to be given back.
    fn leaving_shared(&self, _id: &ContainerId) {}

    /// An operation is about to be saved: the last chance to change the record that is saved with it. The sandbox
    /// itself acts later, or (create) has acted already.
    fn annotate(
        &self,
        _id: &ContainerId,
        _operation: Operation,
        _record: &mut SandboxRecord,
    ) -> io::Result<()> {
        Ok(())
    }

    /// Makes the sandbox, so that it ends by itself if this process is killed before it calls [`hold`](Self::hold).
    fn create(&self, id: &ContainerId, record: &mut SandboxRecord) -> io::Result<()>;

    /// The metadata says "created" now: brings the sandbox to where it is held before its first instruction, and
    /// returns once it is there. Also called when it is found elsewhere later.
    fn hold(&self, id: &ContainerId, record: &SandboxRecord) -> io::Result<()>;

    /// Lets the sandbox go.
    fn start(&self, id: &ContainerId, record: &SandboxRecord) -> io::Result<()>;

    /// Makes it stand still.
    fn pause(&self, id: &ContainerId, record: &SandboxRecord) -> io::Result<()>;

    /// Undoes a pause; `to` is the status it was paused from. One that was held stays held.
    fn resume(&self, id: &ContainerId, record: &SandboxRecord, to: Status) -> io::Result<()>;

    /// Sends a signal. With SIGKILL it has ended when this returns.
    fn signal(&self, id: &ContainerId, record: &SandboxRecord, signal: Signal) -> io::Result<Fate>;

    /// What an image of the sandbox holds.
    fn checkpoint(&self, id: &ContainerId, record: &SandboxRecord) -> io::Result<Box<RawValue>>;

    /// Makes a held sandbox go on from an image once [`start`](Self::start) lets it go, which is called next.
    fn restore(&self, id: &ContainerId, record: &mut SandboxRecord, image: &RawValue) -> io::Result<()>;

    /// Removes the sandbox, whatever state it is in. One that is not there any more is no error.
    fn destroy(&self, id: &ContainerId, record: &SandboxRecord) -> io::Result<()>;

    /// Looks at the sandbox without changing it. May be called without the lock.
    fn probe(&self, id: &ContainerId, record: &SandboxRecord) -> Observed;
}

/// Makes a sandbox that lives be as its metadata says: what a killed operation did to it and never saved is undone.
pub(crate) fn reapply(sandbox: &dyn Sandbox, metadata: &Metadata) -> io::Result<()> {
    let Metadata { id, sandbox: record, .. } = metadata;
    match (metadata.status, metadata.paused_from) {
        (Status::Created, _) | (Status::Paused, Some(Status::Created)) => sandbox.hold(id, record),
        (Status::Paused, _) => sandbox.pause(id, record),
        (Status::Running, _) => sandbox.resume(id, record, Status::Running),
        (Status::Stopped, _) => sandbox.destroy(id, record),
    }
}
