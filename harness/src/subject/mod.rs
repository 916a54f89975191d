//! Subjects: what is tested. One trait, one file per implementation.
//!
//! A subject is built in the harness, crosses a fork, and is opened by each worker for itself: nothing opened before
//! the fork may be used after it.

pub mod command;
pub mod library;
pub mod payload;
pub mod replica;
mod traits;

use std::path::{Path, PathBuf};

use flockwork::Operation;
pub use flockwork_judge::answer::Answer;
pub use traits::{Root, Traits};

use crate::plan::SubjectPlan;
pub use crate::process::overlap::Watch;

/// Builds the subject of a plan, in the zygote.
pub type Builder = fn(&SubjectPlan) -> Result<Box<dyn Subject>, String>;

/// One request to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What the session is asked to do.
    pub operation: Operation,
    /// On which container: index into [`Seat::containers`]; without meaning for `list`.
    pub container: u32,
    /// Number of this request among the worker's: with the worker's number it derives the payload of the save.
    pub sequence: u64,
}

/// Where a worker sits: all that a session needs to know of the run.
#[derive(Clone, Debug)]
pub struct Seat {
    /// The subject's root folder.
    pub root: PathBuf,
    /// The worker's number.
    pub process: u32,
    /// The containers' names; a request tells a container by its index.
    pub containers: std::sync::Arc<[String]>,
    /// Size of the payload of each save, in bytes; see [`payload`].
    pub payload_bytes: u32,
    /// A word that marks processes started by this run, for `FLOCKWORK_RUN` in their environment.
    pub marker: String,
    /// Is told of each critical section as it is entered and left.
    pub watch: std::sync::Arc<dyn Watch>,
}

/// Whose a file is, by its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This container's.
    Container(String),
    /// The subject's own, whatever containers exist (a root-wide lock, a counter).
    Root,
    /// Nobody's: a file that is there by mistake.
    Nobody,
}

/// Something that keeps containers: it is built before the fork, and opened by each worker after it.
pub trait Subject: Send + Sync {
    /// Opens the subject for one worker, in the worker.
    fn open(&self, seat: Seat) -> Result<Box<dyn Session>, String>;

    /// What it can do, and what can be seen of it.
    fn traits(&self) -> Traits;

    /// Whose a path below the root is (relative to the root).
    fn owner(&self, relative: &Path) -> Owner;

    /// The file with a container's metadata, relative to the root.
    fn metadata_path(&self, container: &str) -> PathBuf;
}

/// One worker's use of the subject.
pub trait Session {
    /// Performs one operation, to its end.
    fn perform(&mut self, request: &Request) -> Answer;

    /// Reads the container's metadata without any lock, and judges whether it is whole (parsable, one save's payload).
    ///
    /// An absent container is `ok` without status.
    fn audit(&mut self, container: u32) -> Answer;
}

/// Builds the subject of a plan; the error says which choice does not fit, and what would.
pub fn build(plan: &SubjectPlan) -> Result<Box<dyn Subject>, String> {
    match plan {
        SubjectPlan::Library(plan) => Ok(library::build(plan)),
        SubjectPlan::Replica { replica, fail_create } => Ok(replica::build(*replica, *fail_create)),
        SubjectPlan::Oci(oci) => Err(format!(
            "{} runs only by its commands: give the scenario [rounds], or kind = \"race\" with [race]",
            oci.runtime
        )),
        SubjectPlan::Custom { word } => {
            Err(format!("{word:?} is the subject of another program, and is not known here"))
        }
    }
}
