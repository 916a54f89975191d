//! A sandbox with nothing behind it: for the pure speed of metadata, and for tests that need no process.

use std::io;

use serde_json::value::RawValue;

use super::{Fate, Observed, Sandbox, SandboxRecord, Signal};
use crate::{ContainerId, Status};

/// Nothing. Signals whose default action ends a process end it; others do nothing to it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inert;

impl Sandbox for Inert {
    fn kind(&self) -> &'static str {
        "inert"
    }

    fn create(&self, _id: &ContainerId, _record: &mut SandboxRecord) -> io::Result<()> {
        Ok(())
    }

    fn hold(&self, _id: &ContainerId, _record: &SandboxRecord) -> io::Result<()> {
        Ok(())
    }

    fn start(&self, _id: &ContainerId, _record: &SandboxRecord) -> io::Result<()> {
        Ok(())
    }

    fn pause(&self, _id: &ContainerId, _record: &SandboxRecord) -> io::Result<()> {
        Ok(())
    }

    fn resume(&self, _id: &ContainerId, _record: &SandboxRecord, _to: Status) -> io::Result<()> {
        Ok(())
    }

    fn signal(&self, _id: &ContainerId, _record: &SandboxRecord, signal: Signal) -> io::Result<Fate> {
        Ok(if ends_by_default(signal) { Fate::Ended } else { Fate::Alive })
    }

    fn checkpoint(&self, _id: &ContainerId, _record: &SandboxRecord) -> io::Result<Box<RawValue>> {
        RawValue::from_string("null".to_owned()).map_err(io::Error::other)
    }

    fn restore(&self, _id: &ContainerId, _record: &mut SandboxRecord, _image: &RawValue) -> io::Result<()> {
        Ok(())
    }

    fn destroy(&self, _id: &ContainerId, _record: &SandboxRecord) -> io::Result<()> {
        Ok(())
    }

    fn probe(&self, _id: &ContainerId, _record: &SandboxRecord) -> Observed {
        Observed::AsRecorded
    }
}

/// Whether the signal ends a process that does nothing about it (signal(7)).
const fn ends_by_default(signal: Signal) -> bool {
    !matches!(
        signal,
        Signal::SIGCHLD
            | Signal::SIGCONT
            | Signal::SIGSTOP
            | Signal::SIGTSTP
            | Signal::SIGTTIN
            | Signal::SIGTTOU
            | Signal::SIGURG
            | Signal::SIGWINCH
    )
}
