//! `bench.json` read back, whoever wrote it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{BenchRecord, SCHEMA_VERSION};

/// What a benchmark leaves in its run's folder.
pub const FILE_NAME: &str = "bench.json";
const COMPRESSED_NAME: &str = "bench.json.zst";
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// More than any record: the largest grid makes less than half of it.
const BYTES_MAX: u64 = 1 << 28;
/// What a double holds exactly.
const ACQUISITIONS_MAX: u64 = 1 << 53;

/// A record that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is nothing to read.
    #[error("{path}: {source}")]
    Io {
        /// What was to be read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder without a record.
    #[error(
        "{0}: no {FILE_NAME} in this folder, so no benchmark ran there; expected a {FILE_NAME} or the results folder of a benchmark"
    )]
    NoRecord(PathBuf),
    /// It is cut short.
    #[error("{path}: the file is truncated at line {line}, column {column}; measure again")]
    Cut {
        /// The file that ends early.
        path: PathBuf,
        /// The line at which the file ends.
        line: usize,
        /// Where in this line.
        column: usize,
    },
    /// It is no record.
    #[error("{path}: not a record of a benchmark: {what}")]
    Malformed {
        /// The file that is no record.
        path: PathBuf,
        /// What does not fit, and where.
        what: String,
    },
    /// Another version of the format.
    #[error(
        "{path}: schema version {found}, and this flockwork reads version {SCHEMA_VERSION}: measure again, or use the flockwork that wrote it"
    )]
    Version {
        /// The file that another version wrote.
        path: PathBuf,
        /// The schema version that it says it has.
        found: u64,
    },
}

/// Reads a record: a `bench.json`, plain or compressed by zstd, or the folder of a run that has one.
pub fn read(path: &Path) -> Result<BenchRecord, ReadError> {
    let file = file_of(path)?;
    let failed = |source| ReadError::Io { path: file.clone(), source };
    let bytes = fs::File::open(&file).and_then(bounded).map_err(failed)?;
    let bytes = if bytes.starts_with(&ZSTD_MAGIC) { decompressed(&bytes).map_err(failed)? } else { bytes };
    parse(&file, &bytes)
}

fn file_of(path: &Path) -> Result<PathBuf, ReadError> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let candidates = [FILE_NAME, COMPRESSED_NAME].map(|name| path.join(name));
    candidates.into_iter().find(|file| file.exists()).ok_or_else(|| ReadError::NoRecord(path.to_owned()))
}

fn decompressed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    bounded(zstd::Decoder::new(bytes)?)
}

/// Reads to the end, but no more than a record of a run can hold: whoever wrote the file, memory is bounded.
pub fn bounded(input: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(input, BYTES_MAX + 1), &mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        let what = format!("larger than {} MiB, too large for the record of a run", BYTES_MAX >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    Ok(bytes)
}

/// Only what every version has.
#[derive(Deserialize)]
struct Header {
    schema_version: u64,
}

/// Reads a record from its text; the path is for messages.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<BenchRecord, ReadError> {
    let told = |error: serde_json::Error| match error.classify() {
        serde_json::error::Category::Eof => {
            ReadError::Cut { path: path.to_owned(), line: error.line(), column: error.column() }
        }
        _ => ReadError::Malformed { path: path.to_owned(), what: error.to_string() },
    };
    // The version first: what follows may have another form.
    let header: Header = serde_json::from_slice(bytes).map_err(told)?;
    if header.schema_version != u64::from(SCHEMA_VERSION) {
        return Err(ReadError::Version { path: path.to_owned(), found: header.schema_version });
    }
    let record: BenchRecord = serde_json::from_slice(bytes).map_err(told)?;
    consistent(&record).map_err(|what| ReadError::Malformed { path: path.to_owned(), what })?;
    Ok(record)
}

/// What the types do not say.
fn consistent(record: &BenchRecord) -> Result<(), String> {
    let mut points: Vec<_> = record.cells.iter().map(|cell| &cell.point).collect();
    points.sort_unstable();
    let mut pairs = points.iter().zip(points.iter().skip(1));
    if let Some((twice, _)) = pairs.find(|(one, other)| one == other) {
        return Err(format!("two cells are at {twice}"));
    }
    for cell in &record.cells {
        for round in &cell.rounds {
            let sum = round.shares.iter().try_fold(0_u64, |sum, share| sum.checked_add(*share));
            if sum.is_none_or(|sum| sum > ACQUISITIONS_MAX) {
                return Err(format!("{}: more acquisitions than any machine makes", cell.point));
            }
            let matrix = &round.handoff_matrix;
            let is_square = matrix.iter().all(|row| row.len() == matrix.len());
            if !matrix.is_empty() && (!is_square || matrix.len() != round.shares.len()) {
                return Err(format!("{}: the handoff matrix is not one of its processes", cell.point));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod bounds {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_is_larger_than_any_record_is_not_held() {
        let error = bounded(io::repeat(b' ')).expect_err("endless");
        assert!(error.to_string().contains("larger than 256 MiB"), "{error}");
        assert_eq!(bounded(io::repeat(b' ').take(1000)).expect("small").len(), 1000);
    }
}
