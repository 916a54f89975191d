//! The harness's own sandbox: it watches from inside the lock, and signs each save with a payload. What is really
//! behind the containers is one of the library's.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flockwork::sandbox::{Fate, Inert, Observed, Process};
use flockwork::{ContainerId, Operation, RawValue, Sandbox, SandboxRecord, Signal, Status};

use crate::plan::SandboxKind;
use crate::process::marker::Marker;
use crate::subject::payload::{Spec, Stamp};
use crate::subject::{Seat, Watch};

/// Whether this machine has what it needs: that it has not is no fault of the library's.
pub fn check(kind: SandboxKind) -> Result<(), String> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let is_here = || std::env::split_paths(&folders).any(|folder| folder.join("setsid").is_file());
    match kind {
        SandboxKind::Process if !is_here() => {
            Err("sandbox = \"process\" needs setsid (from util-linux), which is not on PATH".to_owned())
        }
        SandboxKind::Inert | SandboxKind::Process => Ok(()),
    }
}

/// The library's sandbox of this kind; its processes carry the run's marker.
pub fn sandbox(kind: SandboxKind, marker: &str) -> Arc<dyn Sandbox> {
    match kind {
        SandboxKind::Inert => Arc::new(Inert),
        SandboxKind::Process => Arc::new(Process::default().environment(Marker::VARIABLE, marker)),
    }
}

/// Watches, signs, and leaves the rest to the sandbox behind it.
#[derive(Debug)]
pub struct Watched {
    behind: Arc<dyn Sandbox>,
    watch: Arc<dyn Watch>,
    numbers: HashMap<ContainerId, u32>,
    writer: u32,
    payload_bytes: u32,
    sequence: AtomicU64,
}

impl Watched {
    pub fn new(behind: Arc<dyn Sandbox>, seat: &Seat, ids: &[ContainerId]) -> Self {
        let numbers = ids.iter().cloned().zip(0..).collect();
        Self {
            behind,
            watch: Arc::clone(&seat.watch),
            numbers,
            writer: seat.process,
            payload_bytes: seat.payload_bytes,
            sequence: AtomicU64::new(0),
        }
    }

    /// The request that saves from here on belong to.
    pub fn set_sequence(&self, sequence: u64) {
        self.sequence.store(sequence, Ordering::Relaxed);
    }

    /// The signed JSON of this request's save; `None` where the run carries no payload.
    pub fn signature(&self) -> Option<io::Result<Box<RawValue>>> {
        let stamp = Stamp { writer: self.writer, sequence: self.sequence.load(Ordering::Relaxed) };
        (self.payload_bytes > 0).then(|| {
            serde_json::value::to_raw_value(&Spec::new(stamp, self.payload_bytes)).map_err(io::Error::other)
        })
    }
}

impl Sandbox for Watched {
    fn kind(&self) -> &'static str {
        self.behind.kind()
    }

    fn entered(&self, id: &ContainerId) {
        if let Some(&container) = self.numbers.get(id) {
            self.watch.enter(container);
        }
    }

    fn leaving(&self, id: &ContainerId) {
        if let Some(&container) = self.numbers.get(id) {
            self.watch.leave(container);
        }
    }

    fn entered_shared(&self, id: &ContainerId) {
        if let Some(&container) = self.numbers.get(id) {
            self.watch.enter_shared(container);
        }
    }

    fn leaving_shared(&self, id: &ContainerId) {
        if let Some(&container) = self.numbers.get(id) {
            self.watch.leave_shared(container);
        }
    }

    fn annotate(&self, id: &ContainerId, operation: Operation, record: &mut SandboxRecord) -> io::Result<()> {
        self.behind.annotate(id, operation, record)?;
        if let Some(signature) = self.signature() {
            record.data = Some(signature?);
        }
        Ok(())
    }

    fn create(&self, id: &ContainerId, record: &mut SandboxRecord) -> io::Result<()> {
        self.behind.create(id, record)
    }

    fn hold(&self, id: &ContainerId, record: &SandboxRecord) -> io::Result<()> {
        self.behind.hold(id, record)
    }

    fn start(&self, id: &ContainerId, record: &SandboxRecord) -> io::Result<()> {
        self.behind.start(id, record)
    }

    fn pause(&self, id: &ContainerId, record: &SandboxRecord) -> io::Result<()> {
        self.behind.pause(id, record)
    }

    fn resume(&self, id: &ContainerId, record: &SandboxRecord, to: Status) -> io::Result<()> {
        self.behind.resume(id, record, to)
    }

    fn signal(&self, id: &ContainerId, record: &SandboxRecord, signal: Signal) -> io::Result<Fate> {
        self.behind.signal(id, record, signal)
    }

    fn checkpoint(&self, id: &ContainerId, record: &SandboxRecord) -> io::Result<Box<RawValue>> {
        self.behind.checkpoint(id, record)
    }

    fn restore(&self, id: &ContainerId, record: &mut SandboxRecord, image: &RawValue) -> io::Result<()> {
        self.behind.restore(id, record, image)
    }

    fn destroy(&self, id: &ContainerId, record: &SandboxRecord) -> io::Result<()> {
        self.behind.destroy(id, record)
    }

    fn probe(&self, id: &ContainerId, record: &SandboxRecord) -> Observed {
        self.behind.probe(id, record)
    }
}
