//! The container as runsc keeps it: its metadata in `meta.json`, and the table of its statuses.

use std::fmt;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use flockwork::Status;
use serde::{Deserialize, Serialize};

use super::failure::{Failure, Seen};
use crate::subject::payload::Spec;

/// A container's metadata. Serialized as the original's, with two more fields at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// The container's id, as the folder is called.
    pub id: String,
    /// The harness's spec, where the original has that of the OCI bundle.
    pub spec: Spec,
    /// Where the bundle is: nowhere.
    pub bundle_dir: String,
    /// The folder with the metadata: the root of runsc, and in it the id.
    pub root: PathBuf,
    /// Never set at these commits: Go's zero time.
    pub created_at: String,
    /// The user who created the container.
    pub owner: String,
    /// The status as it was when this copy was loaded.
    pub status: RunscStatus,
    /// Always 0: there is no gofer.
    pub gofer_pid: u32,
    /// There from create to destroy.
    pub sandbox: Option<Sandbox>,
    /// Instrumentation: when this life of the id began, in nanoseconds of `CLOCK_REALTIME`.
    pub generation: u64,
    /// Instrumentation: 1 at create, and at each save the loaded struct's plus one.
    pub revision: u64,
}

/// What the metadata says of the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// The sandbox's id: that of its first container.
    pub id: String,
    /// Always 0: no process stands behind it.
    pub pid: u32,
    /// Always empty: no process stands behind a replica's container.
    pub chroot: String,
}

/// A status as runsc writes it: an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
#[repr(u8)]
pub enum RunscStatus {
    /// Made, and not yet started.
    Created = 0,
    /// Being created: in memory only.
    Creating = 1,
    /// Its processes are stopped.
    Paused = 2,
    /// Its processes run.
    Running = 3,
    /// Stopped: in memory only.
    Stopped = 4,
}

use RunscStatus::{Created, Creating, Paused, Running, Stopped};

impl From<RunscStatus> for u8 {
    fn from(status: RunscStatus) -> Self {
        status as Self
    }
}

impl TryFrom<u8> for RunscStatus {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        [Created, Creating, Paused, Running, Stopped]
            .into_iter()
            .find(|status| u8::from(*status) == number)
            .ok_or_else(|| format!("there is no status {number}"))
    }
}

impl fmt::Display for RunscStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Created => "created",
            Creating => "creating",
            Paused => "paused",
            Running => "running",
            Stopped => "stopped",
        })
    }
}

impl Container {
    /// A container that is being created: nothing of it is on disk, and it has no sandbox yet.
    pub fn new(id: &str, root: PathBuf, spec: Spec) -> Self {
        Self {
            id: id.to_owned(),
            spec,
            bundle_dir: "/bundle".to_owned(),
            root,
            created_at: "0001-01-01T00:00:00Z".to_owned(),
            owner: std::env::var("USER").unwrap_or_default(),
            status: Creating,
            gofer_pid: 0,
            sandbox: None,
            generation: realtime_ns(),
            revision: 0,
        }
    }

    /// Gives it its sandbox, and makes it created.
    pub fn create_sandbox(&mut self) {
        self.sandbox = Some(Sandbox { id: self.id.clone(), pid: 0, chroot: String::new() });
        self.change_status(Created);
    }

    /// Refuses unless this copy, however old it is, has one of these statuses.
    pub fn require_status(&self, action: &'static str, statuses: &[RunscStatus]) -> Result<(), Failure> {
        if statuses.contains(&self.status) {
            return Ok(());
        }
        Err(Failure::Status { action, id: self.id.clone(), status: self.status, seen: self.seen() })
    }

    /// Changes the status in memory.
    ///
    /// # Panics
    ///
    /// As the original does, where its table of transitions does not have this one. One of its own methods runs into
    /// that: a pause of a created container, which the pause permits and the table does not, before it saves. To become
    /// stopped is [`Container::stop`]'s.
    pub fn change_status(&mut self, to: RunscStatus) {
        let from = self.status;
        let permitted = match to {
            Creating | Stopped => false,
            Created => from == Creating,
            Paused => from == Running,
            Running => from == Created || from == Paused,
        };
        assert!(permitted, "invalid state transition: {from} => {to}");
        assert!(self.sandbox.is_some(), "sandbox cannot be nil");
        self.status = to;
    }

    /// Becomes stopped, in memory.
    ///
    /// # Panics
    ///
    /// As the original does, where its table does not let this status become stopped. The table became wider with the
    /// years.
    pub fn stop(&mut self, from: &[RunscStatus]) {
        let status = self.status;
        assert!(from.contains(&status), "invalid state transition: {status} => {Stopped}");
        self.sandbox = None;
        self.status = Stopped;
    }

    /// What an operation saw that saw this copy.
    pub fn seen(&self) -> Seen {
        let status = match self.status {
            Created => Some(Status::Created),
            Creating => None,
            Paused => Some(Status::Paused),
            Running => Some(Status::Running),
            Stopped => Some(Status::Stopped),
        };
        Seen { status, generation: Some(self.generation), revision: Some(self.revision) }
    }
}

fn realtime_ns() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    u64::try_from(since_epoch.as_nanos()).expect("the clock is before 2554")
}
