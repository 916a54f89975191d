//! A container's metadata, as `meta.json` holds it.
//!
//! This module is pure: it turns bytes into values and back, and never opens a file. What it does not know it keeps:
//! `spec` byte for byte, and fields of a newer version through a load and a save.

mod wire;

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::identity::ProcessIdentity;
use crate::{ContainerId, Error, Result, Status};

/// The version of the format that this build writes, and the newest it reads.
pub const FORMAT_VERSION: u64 = 1;

/// The most bytes `meta.json` may have. What is larger was not written by this library, and is not read.
pub const MAX_METADATA_BYTES: u64 = 16 << 20;

/// Everything that is known of a container.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Metadata {
    /// The container that the file is about.
    pub id: ContainerId,
    /// What is to be run: any JSON, kept byte for byte.
    pub spec: Box<RawValue>,
    /// The folder that the spec was found in.
    pub bundle: PathBuf,
    /// When the container was created.
    pub created_at: UnixNanos,
    /// The user who created the container.
    pub owner: String,
    /// Where it is in its life.
    pub status: Status,
    /// What it was before it was paused; only a paused container has it.
    pub paused_from: Option<Status>,
    /// What the sandbox needs to find its process again.
    pub sandbox: SandboxRecord,
    /// Which life of the id this is: greater than that of every earlier one.
    pub generation: u64,
    /// Which save of this life this is: 1 at create, and one more at each save.
    pub revision: u64,
    /// Fields that this build does not know, in the order in which they were read.
    unknown: Vec<(String, Box<RawValue>)>,
}

/// Which save of which life of an id: two histories can be ordered by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp {
    /// The life of the id: greater than that of every earlier one.
    pub generation: u64,
    /// The number of the save within its life: 1 at create, one more at each save.
    pub revision: u64,
    /// The status that was saved.
    pub status: Status,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, generation {}, revision {}", self.status, self.generation, self.revision)
    }
}

/// Which life a delete ended. Its revision is the one after the last save's, so that it is ordered behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tombstone {
    /// The generation that the delete ended.
    pub generation: u64,
    /// The last save's revision, and one more.
    pub revision: u64,
}

/// A time, as nanoseconds since 1970-01-01 00:00 UTC: that is how `meta.json` spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixNanos(pub u64);

impl UnixNanos {
    /// The time now, by a clock that people may set: it orders nothing.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    /// The time as the standard library has it.
    #[must_use]
    pub fn to_system_time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.0)
    }
}

/// What the sandbox keeps in the metadata, saved together with everything else.
#[derive(Clone, Debug, Default)]
pub struct SandboxRecord {
    /// The process behind the container, if there is one.
    pub process: Option<ProcessIdentity>,
    /// Whatever else the sandbox's implementation wants to find again.
    pub data: Option<Box<RawValue>>,
    /// Fields that this build does not know.
    unknown: Vec<(String, Box<RawValue>)>,
}

/// What a new container is made of.
#[derive(Clone, Debug)]
pub struct CreateRequest {
    /// What is to be run: any JSON.
    pub spec: Box<RawValue>,
    /// The folder that the spec was found in.
    pub bundle: PathBuf,
    /// Who creates the container.
    pub owner: String,
}

impl Default for CreateRequest {
    /// An empty spec, of nobody.
    fn default() -> Self {
        Self {
            spec: RawValue::from_string("{}".to_owned()).expect("it is JSON"),
            bundle: PathBuf::new(),
            owner: String::new(),
        }
    }
}

impl CreateRequest {
    /// A request with this spec.
    ///
    /// ```
    /// let request = flockwork::CreateRequest::with_spec(&serde_json::json!({"command": ["sleep", "1"]}))?;
    /// assert_eq!(request.spec.get(), r#"{"command":["sleep","1"]}"#);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn with_spec<T: Serialize + ?Sized>(spec: &T) -> Result<Self, serde_json::Error> {
        Ok(Self { spec: serde_json::value::to_raw_value(spec)?, ..Self::default() })
    }
}

impl Metadata {
    /// A new container, before its first save.
    pub(crate) fn new(id: ContainerId, request: CreateRequest, generation: u64) -> Self {
        Self {
            id,
            spec: request.spec,
            bundle: request.bundle,
            created_at: UnixNanos::now(),
            owner: request.owner,
            status: Status::Created,
            paused_from: None,
            sandbox: SandboxRecord::default(),
            generation,
            revision: 1,
            unknown: Vec::new(),
        }
    }

    /// Which save this is.
    #[must_use]
    pub const fn stamp(&self) -> Stamp {
        Stamp { generation: self.generation, revision: self.revision, status: self.status }
    }

    /// What is recorded of a delete.
    pub(crate) const fn tombstone(&self) -> Tombstone {
        Tombstone { generation: self.generation, revision: self.revision + 1 }
    }

    /// Gives the container a status, as the next save.
    pub(crate) fn become_status(&mut self, status: Status) {
        self.paused_from = (status == Status::Paused).then_some(self.status);
        self.status = status;
        self.revision += 1;
    }

    /// Reads `meta.json`. The error says what is wrong with it, and where.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// What `meta.json` holds.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        // Room for everything but the spec; one that is too small only costs a copy.
        let mut bytes = Vec::with_capacity(512 + self.spec.get().len());
        serde_json::to_writer(&mut bytes, self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads the metadata of the container `id` from the bytes of the file `path`.
    pub(crate) fn of_container(
        id: &ContainerId,
        bytes: &[u8],
        path: impl FnOnce() -> PathBuf,
    ) -> Result<Self> {
        match Self::from_json(bytes) {
            Ok(metadata) if metadata.id == *id => Ok(metadata),
            Ok(metadata) => Err(Error::corrupt(
                path(),
                format_args!("it belongs to container {}; {WAY_OUT}", metadata.id),
            )),
            Err(error) if bytes.is_empty() => {
                Err(Error::corrupt(path(), format_args!("it is empty ({error}); {WAY_OUT}")))
            }
            Err(error) => Err(Error::corrupt(path(), format_args!("{error}; {WAY_OUT}"))),
        }
    }
}

/// What a person does about a corrupt file.
pub(crate) const WAY_OUT: &str = "delete the container with force";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_is_called_so_and_what_is_cut_is_not() {
        let id: ContainerId = "c1".parse().unwrap();
        let why = |bytes: &[u8]| {
            let path = || PathBuf::from("meta.json");
            Metadata::of_container(&id, bytes, path).unwrap_err().to_string()
        };
        assert!(why(b"").contains("it is empty"), "{}", why(b""));
        assert!(!why(b"{").contains("it is empty"), "{}", why(b"{"));
    }

    #[test]
    fn stamps_and_times_are_told_as_they_are() {
        let stamp = Stamp { generation: 3, revision: 7, status: Status::Paused };
        assert_eq!(stamp.to_string(), "paused, generation 3, revision 7");
        let time = UnixNanos(1_500_000_000).to_system_time();
        assert_eq!(time.duration_since(UNIX_EPOCH).unwrap(), Duration::from_millis(1_500));
    }
}
