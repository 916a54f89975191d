//! The ground: folders with the containers that rounds are about, made before the first round and shared by cells that
//! may share them.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flockwork::lock::measured::Place;
use flockwork::{CreateRequest, LockKind, Operation, RawValue, Store};

use super::operate::{saved_payload_bytes, subject_of};
use super::worker::container_ids;
use crate::engine::EngineError;
use crate::history::Outcome;
use crate::plan::bench::{BenchLock, BenchSubject, CellPlan, Task};
use crate::subject::payload::{Spec, Stamp};
use crate::subject::{self, Request, Seat, Watch};

/// The names of this many containers: `c1`, `c2`, …
pub(super) fn names(count: u32) -> Vec<String> {
    (1..=count).map(|number| format!("c{number}")).collect()
}

/// What decides whether two cells may share a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kind {
    root: usize,
    /// Its locks are links where those of all other backends are files.
    has_links: bool,
    /// Whose containers there are, and the size of their metadata's payload.
    containers: Option<(BenchSubject, u32)>,
    /// Of a cell that shares its folder with no other: its processes and objects.
    own: Option<(u32, u32)>,
}

impl Kind {
    fn of(cell: &CellPlan) -> Self {
        let (has_links, containers) = match &cell.task {
            Task::Command(_) => (false, None),
            Task::Bare { lock, .. } => (*lock == BenchLock::Library(LockKind::Lockfile), None),
            Task::Operate { subject, lock, payload_bytes, .. } => {
                (*lock == LockKind::Lockfile, Some((*subject, *payload_bytes)))
            }
        };
        // What commands leave behind is another cell's matter.
        let own = matches!(cell.task, Task::Command(_)).then_some((cell.processes, cell.containers));
        Self { root: cell.root, has_links, containers, own }
    }
}

/// A folder, and how many containers were made in it.
#[derive(Clone, Debug)]
struct Field {
    folder: PathBuf,
    containers: u32,
}

/// All folders of a run.
#[derive(Debug)]
pub(super) struct Ground<'p> {
    roots: &'p [PathBuf],
    fields: HashMap<Kind, Field>,
    made: u32,
}

impl<'p> Ground<'p> {
    pub fn new(roots: &'p [PathBuf]) -> Self {
        Self { roots, fields: HashMap::new(), made: 0 }
    }

    /// The folder for a cell, with all its containers.
    pub fn folder(&mut self, cell: &CellPlan) -> Result<PathBuf, EngineError> {
        let kind = Kind::of(cell);
        let field = match self.fields.get(&kind) {
            Some(field) => field.clone(),
            None => self.fresh_field(cell.root)?,
        };
        let done = Field { containers: field.containers.max(cell.containers), ..field.clone() };
        make(cell, &field).inspect_err(|_| self.abandon(cell))?;
        self.fields.insert(kind, done);
        Ok(field.folder)
    }

    /// Never uses a cell's folder again: somebody died in it.
    pub fn abandon(&mut self, cell: &CellPlan) {
        self.fields.remove(&Kind::of(cell));
    }

    fn fresh_field(&mut self, root: usize) -> Result<Field, EngineError> {
        self.made += 1;
        let folder = self.roots[root].join(format!("f{}", self.made));
        fs::create_dir(&folder).map_err(|error| refused(&folder, &error))?;
        Ok(Field { folder, containers: 0 })
    }
}

/// Makes the containers that are missing.
fn make(cell: &CellPlan, field: &Field) -> Result<(), EngineError> {
    let names = names(cell.containers);
    let missing = &names[(field.containers as usize).min(names.len())..];
    match &cell.task {
        Task::Command(task) if field.containers == 0 => super::command::set_up(task, &field.folder),
        Task::Command(_) => Ok(()),
        Task::Bare { lock, .. } => {
            if let BenchLock::Library(kind) = lock {
                Place::open(&field.folder, *kind).map_err(|error| unsupported(&error))?;
            }
            for name in missing {
                let folder = field.folder.join(name);
                fs::create_dir(&folder).map_err(|error| refused(&folder, &error))?;
            }
            Ok(())
        }
        Task::Operate { subject: BenchSubject::Library, lock, payload_bytes, .. } => {
            create(&field.folder, *lock, *payload_bytes, missing)
        }
        Task::Operate { subject, payload_bytes, .. } => {
            let payload_bytes = saved_payload_bytes(*subject, *payload_bytes);
            perform_creates(&cell.task, &field.folder, payload_bytes, missing)
        }
    }
}

fn create(folder: &Path, lock: LockKind, payload_bytes: u32, names: &[String]) -> Result<(), EngineError> {
    let store = Store::options().lock(lock).open(folder).map_err(|error| unsupported(&error))?;
    for (id, sequence) in container_ids(names).map_err(EngineError::Failed)?.iter().zip(0..) {
        let mut request = CreateRequest::default();
        if payload_bytes > 0 {
            request.spec = spec(sequence, payload_bytes)?;
        }
        store.create(id, request).map_err(|error| unsupported(&error))?;
        store.container(id).start().map_err(|error| unsupported(&error))?;
    }
    Ok(())
}

fn spec(sequence: u64, payload_bytes: u32) -> Result<Box<RawValue>, EngineError> {
    let spec = Spec::new(Stamp { writer: 0, sequence }, payload_bytes);
    serde_json::value::to_raw_value(&spec).map_err(|error| EngineError::Failed(error.to_string()))
}

fn perform_creates(
    task: &Task,
    folder: &Path,
    payload_bytes: u32,
    names: &[String],
) -> Result<(), EngineError> {
    let Some(plan) = subject_of(task) else { return Ok(()) };
    let seat = Seat {
        root: folder.to_owned(),
        process: 0,
        containers: Arc::from(names),
        payload_bytes,
        marker: String::new(),
        watch: Arc::new(Unwatched),
    };
    let subject = subject::build(&plan).map_err(EngineError::Failed)?;
    let mut session = subject.open(seat).map_err(EngineError::Unsupported)?;
    let requests = (0..names.len() as u32).flat_map(|container| {
        // In 2018 a container that was not started could not be paused.
        let request = |operation| Request { operation, container, sequence: u64::from(container) };
        [Operation::Create, Operation::Start].map(request)
    });
    for request in requests {
        let answer = session.perform(&request);
        if answer.outcome != Outcome::Ok {
            let why = answer.message.unwrap_or_else(|| answer.outcome.to_string());
            let folder = folder.display();
            return Err(EngineError::Unsupported(format!("cannot make containers in {folder}: {why}")));
        }
    }
    Ok(())
}

/// Nobody looks while the containers are made.
#[derive(Debug)]
struct Unwatched;

impl Watch for Unwatched {
    fn enter(&self, _container: u32) {}
    fn leave(&self, _container: u32) {}
}

/// In an empty folder nothing but the machine can refuse to make a container.
fn unsupported(error: &flockwork::Error) -> EngineError {
    EngineError::Unsupported(format!("{error}; give another folder with --root"))
}

fn refused(folder: &Path, error: &io::Error) -> EngineError {
    EngineError::Unsupported(format!(
        "cannot make {}: {error}; give another folder with --root",
        folder.display()
    ))
}
