//! The files of one container: its lock, its metadata, and how they are removed.

use std::fmt::Display;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use flockwork::Status;
use rustix::fs::{FlockOperation, flock};
use rustix::io::retry_on_intr;
use serde::{Deserialize, Serialize};

use crate::plan::Rule;
use crate::subject::payload::Spec;

const TEMPORARY: &str = "meta.json.tmp";

/// What `meta.json` holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Metadata {
    pub id: String,
    pub status: Status,
    pub paused_from: Option<Status>,
    pub generation: u64,
    pub revision: u64,
    pub spec: Spec,
}

/// A lock that is held; it is given back by the close.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "it is held, and dropped")] File);

/// The files of one container.
#[derive(Clone, Debug)]
pub struct Files {
    pub folder: PathBuf,
    metadata: PathBuf,
    lock: PathBuf,
    temporary: PathBuf,
    off: Option<Rule>,
}

impl Files {
    pub fn new(root: &Path, id: &str, off: Option<Rule>) -> Self {
        let folder = root.join(id);
        let temporary = if off == Some(Rule::OwnTemporary) { root } else { &folder }.join(TEMPORARY);
        let (metadata, lock) = (folder.join("meta.json"), folder.join("meta.lock"));
        Self { folder, metadata, lock, temporary, off }
    }

    /// Makes the folder, and takes the lock in it.
    pub fn lock_new(&self) -> io::Result<Lock> {
        loop {
            match DirBuilder::new().mode(0o711).create(&self.folder) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            let mut options = OpenOptions::new();
            match self.acquire(options.read(true).write(true).create(true), FlockOperation::LockExclusive) {
                Ok(None) => {}
                Ok(Some(lock)) => return Ok(lock),
                Err(error) => {
                    // An empty folder is one that no container is in.
                    let _ = fs::remove_dir(&self.folder);
                    return Err(error);
                }
            }
        }
    }

    /// Takes the lock of a container that is there; `None` where there is none.
    pub fn lock(&self, operation: FlockOperation) -> io::Result<Option<Lock>> {
        self.acquire(OpenOptions::new().read(true), operation)
    }

    fn acquire(&self, options: &OpenOptions, operation: FlockOperation) -> io::Result<Option<Lock>> {
        loop {
            let file = match options.clone().mode(0o600).open(&self.lock) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                file => file?,
            };
            retry_on_intr(|| flock(&file, operation))?;
            if self.off == Some(Rule::Recheck) || self.is_in_place(&file)? {
                return Ok(Some(Lock(file)));
            }
        }
    }

    fn is_in_place(&self, file: &File) -> io::Result<bool> {
        let locked = file.metadata()?;
        match fs::metadata(&self.lock) {
            Ok(there) => Ok((there.dev(), there.ino()) == (locked.dev(), locked.ino())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub fn exists(&self) -> io::Result<bool> {
        self.metadata.try_exists()
    }

    /// The metadata; `None` where the container is absent.
    pub fn read(&self) -> io::Result<Option<Metadata>> {
        let bytes = match fs::read(&self.metadata) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        let found: Metadata = serde_json::from_slice(&bytes).map_err(corrupt)?;
        found.spec.verify().map_err(corrupt)?;
        match self.folder.file_name() {
            Some(name) if name == found.id.as_str() => Ok(Some(found)),
            _ => Err(corrupt(format!("it is the metadata of {}", found.id))),
        }
    }

    /// Replaces the metadata as a whole.
    pub fn save(&self, metadata: &Metadata) -> io::Result<()> {
        let bytes = serde_json::to_vec(metadata).expect("metadata can be serialized");
        let mut file = self.make_temporary()?;
        let written = file.write_all(&bytes);
        drop(file);
        written.and_then(|()| fs::rename(&self.temporary, &self.metadata)).inspect_err(|_| {
            let _ = fs::remove_file(&self.temporary);
        })
    }

    fn make_temporary(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o640);
        loop {
            match options.open(&self.temporary) {
                Err(error)
                    if error.kind() == ErrorKind::AlreadyExists
                        && self.off != Some(Rule::ClearedLeftovers) =>
                {
                    gone(fs::remove_file(&self.temporary))?;
                }
                file => return file,
            }
        }
    }

    /// Makes the names in the folder durable.
    pub fn sync(&self) -> io::Result<()> {
        let folder = File::open(&self.folder)?;
        Ok(retry_on_intr(|| rustix::fs::fsync(&folder))?)
    }

    /// What a holder that changes nothing clears.
    pub fn clear(&self) {
        if self.off != Some(Rule::ClearedLeftovers) {
            let _ = fs::remove_file(&self.temporary);
        }
    }

    /// Makes the container absent.
    pub fn remove_metadata(&self) -> io::Result<()> {
        gone(fs::remove_file(&self.metadata))?;
        self.clear();
        Ok(())
    }

    /// Removes the rest. The unlink of the lock file is what gives the lock back.
    pub fn remove_rest(&self) {
        let _ = fs::remove_file(&self.lock);
        let _ = fs::remove_dir(&self.folder);
    }

    /// Removes what is left of a container that is gone, unless somebody is at it.
    pub fn clear_ghost(&self) {
        if self.off == Some(Rule::ClearedLeftovers) {
            return;
        }
        match self.lock(FlockOperation::NonBlockingLockExclusive) {
            Ok(Some(_lock)) if matches!(self.exists(), Ok(false)) => {
                if self.remove_metadata().is_ok() {
                    self.remove_rest();
                }
            }
            Ok(None) => drop(fs::remove_dir(&self.folder)),
            Ok(_) | Err(_) => {}
        }
    }
}

fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn corrupt(why: impl Display) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("{why}"))
}

/// Whether the metadata was not what a save writes, rather than the file not to be had.
pub fn is_corrupt(error: &io::Error) -> bool {
    error.raw_os_error().is_none() && error.kind() == ErrorKind::InvalidData
}
