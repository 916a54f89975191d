//! Finds scenarios: files, whole folders, or the built-in suite by name.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::builtin::{BUILTIN, Builtin};
use crate::words::nearest;

/// A scenario is something a person wrote. What is larger is some other file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A scenario that was found and not yet parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What `flockwork run` takes to find it again.
    pub argument: PathBuf,
    /// The text of its file.
    pub text: String,
}

impl Found {
    /// Name of its file, without `.toml`.
    #[must_use]
    pub fn name(&self) -> String {
        let name = self.argument.file_name().unwrap_or(self.argument.as_os_str()).to_string_lossy();
        name.strip_suffix(".toml").unwrap_or(&name).to_owned()
    }

    /// How messages name it.
    #[must_use]
    pub fn shown(&self) -> String {
        let is_builtin = BUILTIN.iter().any(|builtin| Path::new(builtin.name()) == self.argument);
        let marker = if is_builtin { " (built-in)" } else { "" };
        format!("{}{marker}", self.argument.display())
    }
}

impl From<&Builtin> for Found {
    fn from(builtin: &Builtin) -> Self {
        Self { argument: builtin.name().into(), text: builtin.text.into() }
    }
}

/// A path that leads to no scenario.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// Neither a file nor a folder nor a built-in scenario.
    #[error("{path}: no such file or folder, and no built-in scenario of that name{hint}")]
    Absent {
        /// The path as it was typed.
        path: String,
        /// The nearest built-in name, where one is near.
        hint: String,
    },
    /// It is there and cannot be read as a text.
    #[error("{path}: cannot be read as a scenario: {why}")]
    Unreadable {
        /// The file or folder that could not be read, as it was given.
        path: String,
        /// What the system said.
        why: String,
    },
}

/// Finds the scenarios that paths lead to, in their order; without paths, the built-in suite.
pub fn find(paths: &[PathBuf]) -> Result<Vec<Found>, FindError> {
    if paths.is_empty() {
        return Ok(BUILTIN.iter().map(Found::from).collect());
    }
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let mut files = Vec::new();
            gather(path, &mut files).map_err(|error| unreadable(path, &error.to_string()))?;
            files.sort();
            for file in files {
                found.push(read(&file)?);
            }
        } else if path.symlink_metadata().is_ok() {
            found.push(read(path)?);
        } else {
            found.push(builtin(path)?);
        }
    }
    Ok(found)
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        // Not through symlinks: they can lead in circles.
        if entry.file_type()?.is_dir() {
            gather(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Found, FindError> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(path, &error.to_string()))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(path, &format!("it is larger than the limit of {FILE_BYTES_MAX} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
        unreadable(path, &format!("line {line} is not UTF-8"))
    })?;
    Ok(Found { argument: path.to_owned(), text })
}

fn unreadable(path: &Path, why: &str) -> FindError {
    FindError::Unreadable { path: path.display().to_string(), why: why.to_owned() }
}

fn builtin(path: &Path) -> Result<Found, FindError> {
    let name = path.to_string_lossy();
    let wanted = name.strip_suffix(".toml").unwrap_or(&name);
    if let Some(builtin) = BUILTIN.iter().find(|builtin| builtin.name() == wanted) {
        return Ok(builtin.into());
    }
    let hint = match nearest(wanted, BUILTIN.iter().map(Builtin::name)) {
        Some(near) => format!("; the nearest built-in one is {near:?}"),
        None => "; `flockwork list` names them".into(),
    };
    Err(FindError::Absent { path: name.into_owned(), hint })
}
