//! A pair of scenarios/field: a program with one fault and its corrected twin, as its `pair.json` tells.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use tempfile::TempDir;

use super::program;

/// What `pair.json` says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The name of the folder.
    #[serde(skip)]
    pub name: String,
    /// The kind of fault.
    pub kind: String,
    /// What the programs are written in.
    pub language: String,
    /// The programs without which they cannot be built or run.
    pub needs: Vec<String>,
    /// The command that makes `tool`; none for a script.
    pub build: Option<String>,
    /// Public reports: `owner/repository#number`, or `@commit`.
    pub reports: Vec<String>,
    /// Whether the programs can be controlled.
    #[serde(default = "can_be")]
    pub controlled: bool,
    /// What to race.
    pub races: Vec<Race>,
}

const fn can_be() -> bool {
    true
}

/// Commands that are raced against each other.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Race {
    /// Commands that run before.
    #[serde(default)]
    pub setup: Vec<String>,
    /// Each process with its commands.
    pub processes: Vec<Vec<String>>,
    /// Commands that run after.
    #[serde(default)]
    pub then: Vec<String>,
    /// The shortest interleaving that goes wrong, as steps (see `held`); none where no order of calls shows it.
    #[serde(default)]
    pub shown: Vec<String>,
    /// What it takes for the fault to show.
    pub by: By,
    /// The class of the finding.
    pub found: String,
}

/// What it takes for a fault to show.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// An order of the commands' steps.
    Race,
    /// A kill as well.
    Kill,
    /// A power loss: no order of steps shows it.
    Crash,
}

/// Which of the two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The one with the fault.
    Broken,
    /// Its corrected twin.
    Fixed,
}

impl Variant {
    /// The name of its folder.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Fixed => "fixed",
        }
    }
}

/// The folder of all pairs.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/field")
}

/// The names of all pairs, in order.
pub fn names() -> BTreeSet<String> {
    let entries = fs::read_dir(folder()).expect("scenarios/field is there");
    let folders = entries.map(|entry| entry.expect("readable")).filter(|entry| entry.path().is_dir());
    folders.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect()
}

impl Pair {
    /// Reads the pair of that name.
    pub fn read(name: &str) -> Self {
        let path = folder().join(name).join("pair.json");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let pair: Self =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { name: name.to_owned(), ..pair }
    }

    /// Whether the test must do without it, as this machine lacks a program that it or the test needs; said aloud, and a
    /// failure where all must be there.
    pub fn is_skipped(&self, test: &str, needs: &[&str]) -> bool {
        let needs = self.needs.iter().map(String::as_str).chain(needs.iter().copied());
        let lacks: Vec<&str> = needs.filter(|program| !is_installed(program)).collect();
        if lacks.is_empty() {
            return false;
        }
        let (name, lacks) = (&self.name, lacks.join(", "));
        assert!(std::env::var_os("FLOCKWORK_REQUIRE_ALL").is_none(), "{test}: {name} needs {lacks}");
        eprintln!("{test}: skipped {name}, which needs {lacks}");
        true
    }

    /// The scenario that stresses it, with a model that says what is right; none where only a power loss shows the fault.
    pub fn stress(&self) -> Option<PathBuf> {
        let path = folder().join(&self.name).join("stress.toml");
        path.is_file().then(|| path.canonicalize().expect("it is there"))
    }

    /// One of its programs, built in a folder of its own with an empty `state` beside it.
    pub fn build(&self, variant: Variant) -> TempDir {
        let place = tempfile::tempdir().expect("a temporary folder");
        let source = folder().join(&self.name).join(variant.as_str());
        for entry in fs::read_dir(&source).unwrap_or_else(|error| panic!("{}: {error}", source.display())) {
            let entry = entry.expect("readable");
            program::copy(&entry.path(), &place.path().join(entry.file_name()));
        }
        if let Some(build) = &self.build {
            let output =
                Command::new("sh").args(["-c", build]).current_dir(place.path()).output().expect("sh runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{} {}: {build}\n{said}", self.name, variant.as_str());
        }
        fs::create_dir(place.path().join("state")).expect("made");
        place
    }
}

/// Whether a program is there, by its path or on the `PATH`.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    program.starts_with('/') && Path::new(program).exists()
        || std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
