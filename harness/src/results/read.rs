//! Reads what runs left. Others may have written it, cut it, or written it with a newer flockwork: each is an error that
//! says which file, where, and what was expected.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{RunRecord, SCHEMA_VERSION};

/// Nobody writes a larger one; what is larger is some other file.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// A file of a run that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}", path = path.display())]
pub struct ReadError {
    /// The file that could not be read.
    pub path: PathBuf,
    /// Why, and what was expected.
    pub why: String,
}

impl ReadError {
    /// About a file.
    #[must_use]
    pub fn new(path: &Path, why: impl Into<String>) -> Self {
        Self { path: path.to_owned(), why: why.into() }
    }
}

/// Only as much as every version of a format has.
#[derive(Deserialize)]
struct Head {
    schema_version: Option<u32>,
}

/// Reads a JSON file that says its version; `None` where there is no such file. A file without a version is of version 1.
pub fn versioned<T: DeserializeOwned>(path: &Path, version: u32) -> Result<Option<T>, ReadError> {
    let bytes = match bytes(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ReadError::new(path, format!("cannot be read: {error}"))),
    };
    let wrong = |error: &serde_json::Error| {
        let why = if error.classify() == serde_json::error::Category::Eof {
            format!("it is truncated: it ends at line {} column {}", error.line(), error.column())
        } else {
            format!("flockwork did not write it: {error}")
        };
        ReadError::new(path, why)
    };
    let head: Head = serde_json::from_slice(&bytes).map_err(|error| wrong(&error))?;
    let found = head.schema_version.unwrap_or(1);
    if found != version {
        let age = if found > version { "a newer flockwork wrote it" } else { "an older flockwork wrote it" };
        let why = format!("it has schema version {found}, and this flockwork reads {version}: {age}");
        return Err(ReadError::new(path, why));
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| wrong(&error))
}

/// `run.json` of a run's folder.
pub fn run_record(folder: &Path) -> Result<RunRecord, ReadError> {
    let path = folder.join("run.json");
    versioned(&path, SCHEMA_VERSION)?
        .ok_or_else(|| ReadError::new(&path, "no such file; expected the folder of a run"))
}

/// Bytes, as a file may be cut within a letter.
fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {} MiB", FILE_BYTES_MAX >> 20)));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: impl AsRef<[u8]>) -> Result<Option<RunRecord>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        fs::write(&path, text).unwrap();
        versioned(&path, 1).map_err(|error| error.why)
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let folder = tempfile::tempdir().unwrap();
        assert!(versioned::<RunRecord>(&folder.path().join("absent.json"), 1).unwrap().is_none());
        for (text, told) in [
            ("{\"schema_version\": 1, \"sta", "it is truncated: it ends at line 1 column 26"),
            ("{\"schema_version\": 2}", "schema version 2, and this flockwork reads 1: a newer"),
            ("{\"schema_version\": 1}", "missing field `status`"),
            ("[1]", "flockwork did not write it"),
        ] {
            let why = of(text).unwrap_err();
            assert!(why.contains(told), "{why}");
        }
        // Within a letter.
        let why = of(&"{\"schema_version\": 1, \"status\": \"·".as_bytes()[..33]).unwrap_err();
        assert!(why.contains("it is truncated"), "{why}");
    }
}
