//! What was measured, kept in a file as soon as it is known, so that a measurement that is cut off goes on where it was.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::flockwork::Raced;

/// Where measurements add up; `FLOCKWORK_FIELD_LOG` overrides it.
const LOG: &str = "../target/field.jsonl";

/// All measurements until now.
pub struct Log {
    file: File,
    known: BTreeMap<String, Raced>,
}

/// A line of the file.
#[derive(Deserialize, Serialize)]
struct Line<W, R> {
    /// What was measured: program, how, seed.
    what: W,
    /// What it came to.
    raced: R,
}

impl Log {
    /// Reads what is there. A line that was cut off is measured again.
    pub fn open() -> Self {
        let path = std::env::var_os("FLOCKWORK_FIELD_LOG")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(LOG), PathBuf::from);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line<String, Raced>>(line).ok());
        let known = lines.map(|line| (line.what, line.raced)).collect();
        let opened = OpenOptions::new().create(true).append(true).open(&path);
        let mut file = opened.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n").expect("written");
        }
        Self { file, known }
    }

    /// What a measurement came to: as it is known, or measured now.
    pub fn measured(&mut self, what: &str, measure: impl FnOnce() -> Raced) -> &Raced {
        if !self.known.contains_key(what) {
            let raced = measure();
            let mut line = serde_json::to_vec(&Line { what, raced: &raced }).expect("it is data");
            line.push(b'\n');
            self.file.write_all(&line).expect("written");
            self.known.insert(what.to_owned(), raced);
        }
        &self.known[what]
    }
}
