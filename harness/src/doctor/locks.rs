//! Each lock backend of the library, tried by two processes: that one excludes the other is seen, not believed.
//!
//! The other process is this program again, as `flockwork hold-lock`: it says "held" once it is inside the lock, and
//! stays there until a line comes on its stdin, or until it is killed.

use std::fmt::Display;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use flockwork::sandbox::{Fate, Observed};
use flockwork::{
    ContainerId, CreateRequest, Error, LockKind, RawValue, Sandbox, SandboxRecord, Signal, Status, Store,
    Wait,
};

use super::Probe;
use crate::scratch::Scratch;

/// A lock that is free is had at once; this is for a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(10);
const ID: &str = "c1";
const HELD: &str = "held";

/// Tries every backend below `base`.
#[must_use]
pub fn examine(base: &Path) -> Vec<Probe> {
    LockKind::ALL
        .iter()
        .map(|kind| {
            Probe::needed(format!("lock {kind}"), try_backend(*kind, base).map_err(|why| why.to_string()))
        })
        .collect()
}

fn try_backend(kind: LockKind, base: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let scratch = Scratch::create(base)?;
    let root = scratch.root();
    let id: ContainerId = ID.parse()?;
    let impatient = Store::options().lock(kind).wait(Wait::Try).open(&root)?;
    let patient = Store::options().lock(kind).wait(Wait::Bounded(PATIENCE)).open(&root)?;
    patient.create(&id, CreateRequest::default())?;

    let holder = Holder::start(kind, &root)?;
    must_be_locked(impatient.container(&id).pause())?;
    holder.release()?;
    patient.container(&id).pause().map_err(|error| told("it was not free after the release", error))?;

    let holder = Holder::start(kind, &root)?;
    must_be_locked(impatient.container(&id).resume())?;
    holder.kill()?;
    patient
        .container(&id)
        .resume()
        .map_err(|error| told("it was not free after its holder was killed", error))?;
    scratch.remove()?;
    Ok("excludes another process; free after a release and after a kill".into())
}

fn must_be_locked<T>(tried: Result<T, Error>) -> Result<(), String> {
    match tried {
        Err(Error::Locked { .. }) => Ok(()),
        Err(error) => Err(told("with another process inside", error)),
        Ok(_) => Err("two processes were inside at once: it excludes nobody".into()),
    }
}

fn told(what: &str, error: impl Display) -> String {
    format!("{what}: {error}")
}

/// Another process that is inside the lock.
struct Holder {
    child: Child,
    stdin: ChildStdin,
}

impl Holder {
    fn start(kind: LockKind, root: &Path) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["hold-lock", kind.as_str()])
            .arg(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = child.stdout.take().expect("it is piped");
        let mut word = String::new();
        BufReader::new(stdout).read_line(&mut word)?;
        let holder = Self { child, stdin };
        if word.trim_end() == HELD {
            return Ok(holder);
        }
        holder.kill()?;
        Err(io::Error::other("the other process could not take it"))
    }

    fn release(mut self) -> io::Result<()> {
        self.stdin.write_all(b"\n")?;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("the other process: {status}"))) }
    }

    fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

/// The other process: reads the container's state, and stays inside the lock meanwhile.
pub fn hold(lock: &str, root: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let kind: LockKind = lock.parse()?;
    let id: ContainerId = ID.parse()?;
    let store = Store::options().lock(kind).sandbox(Arc::new(Slow)).open(root)?;
    // Any operation that takes the lock alone does; one that is refused leaves no trace.
    match store.create(&id, CreateRequest::default()) {
        Err(Error::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Err("the container should have been there".into()),
    }
}

/// Does nothing, and takes its time inside the lock.
#[derive(Debug)]
struct Slow;

impl Sandbox for Slow {
    fn kind(&self) -> &'static str {
        "inert"
    }

    fn entered(&self, _id: &ContainerId) {
        // Whoever started this process reads the one and writes the other; where it is gone, there is nobody to wait
        // for.
        let mut stdout = io::stdout();
        if writeln!(stdout, "{HELD}").and_then(|()| stdout.flush()).is_ok() {
            let _ = io::stdin().read_line(&mut String::new());
        }
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

    fn signal(&self, _id: &ContainerId, _record: &SandboxRecord, _signal: Signal) -> io::Result<Fate> {
        Ok(Fate::Alive)
    }

    fn checkpoint(&self, _id: &ContainerId, _record: &SandboxRecord) -> io::Result<Box<RawValue>> {
        Ok(RawValue::NULL.to_owned())
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
