//! Findings on disk: `findings/<signature>/` holds what shows one violation.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{RunFolder, SCHEMA_VERSION, sha256_hex};
use crate::violation::Violation;

#[derive(Serialize)]
struct FindingRecord<'a> {
    schema_version: u32,
    signature: &'a str,
    class: &'static str,
    container: Option<&'a str>,
    message: &'a str,
    operations: &'a [String],
    reproduce: &'a str,
}

/// Names the same mistake in every run: the class, and the message without its numbers.
#[must_use]
pub fn signature(violation: &Violation) -> String {
    let mut shape = String::from(violation.class.as_str());
    for part in violation.message.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty()) {
        shape.push('#');
        shape.push_str(part);
    }
    format!("{}-{}", violation.class, &sha256_hex(&shape)[..12])
}

impl RunFolder {
    /// Writes a finding, once for each signature, and says where it lies.
    pub fn write_finding(
        &self,
        violation: &Violation,
        container: Option<&str>,
        operations: &[String],
        reproduce: &str,
    ) -> io::Result<PathBuf> {
        let signature = signature(violation);
        let folder = self.path().join("findings").join(&signature);
        if folder.join("finding.json").is_file() {
            return Ok(folder);
        }
        fs::create_dir_all(&folder)?;
        let record = FindingRecord {
            schema_version: SCHEMA_VERSION,
            signature: &signature,
            class: violation.class.as_str(),
            container,
            message: &violation.message,
            operations,
            reproduce,
        };
        self.write_json(Path::new("findings").join(&signature).join("finding.json"), &record)?;
        Ok(folder)
    }
}
