//! The layout of 2018: a folder for each container, with `meta.json` in it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::container::Container;
use super::container::RunscStatus::{Created, Running, Stopped};
use super::failure::Failure;
use super::files;
use crate::subject::Owner;

/// The file with the metadata, in the container's folder.
pub const METADATA: &str = "meta.json";

/// The file with a container's metadata, relative to the root.
pub fn metadata_path(id: &str) -> PathBuf {
    Path::new(id).join(METADATA)
}

/// Whatever lies in a folder, and the folder too, is of the container that the folder is named after.
pub fn owner(relative: &Path) -> Owner {
    match relative.components().next() {
        Some(first) => Owner::Container(first.as_os_str().to_string_lossy().into_owned()),
        None => Owner::Nobody,
    }
}

/// Names of all containers: whatever lies in the root.
pub fn list(root: &Path) -> Result<Vec<String>, Failure> {
    files::read_names(root).map_err(Failure::io("error reading root directory", root))
}

/// Full id of the container that an id or the beginning of one refers to.
///
/// That a folder of that name is there is enough; and where there is none, another container may be meant.
pub fn find(root: &Path, id: &str) -> Result<String, Failure> {
    if fs::metadata(root.join(id)).is_ok() {
        return Ok(id.to_owned());
    }
    let mut candidates = list(root)?.into_iter().filter(|name| name.starts_with(id));
    match (candidates.next(), candidates.next()) {
        (None, _) => Err(Failure::Absent(id.to_owned())),
        (Some(only), None) => Ok(only),
        (Some(first), Some(second)) => Err(Failure::Ambiguous { partial: id.to_owned(), first, second }),
    }
}

/// Reads and parses a container's metadata.
pub fn read(folder: &Path) -> Result<Container, Failure> {
    let path = folder.join(METADATA);
    let bytes = fs::read(&path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => Failure::Absent(folder.display().to_string()),
        _ => Failure::Io { doing: "error reading container metadata file", path: path.clone(), source },
    })?;
    serde_json::from_slice(&bytes).map_err(|error| Failure::Corrupt { path, why: error.to_string() })
}

/// Writes a container's metadata in place.
pub fn write(container: &Container) -> Result<(), Failure> {
    // First the whole text, then the file: so the file is empty for as short a time as in the original.
    let text = serde_json::to_vec(container).expect("metadata can be serialized");
    let path = container.root.join(METADATA);
    files::write_file(&path, &text).map_err(Failure::io("error writing container metadata", path))
}

/// Refuses a create where the path, by which the protocol tells that there is a container, is there.
pub fn require_missing(path: &Path, id: &str) -> Result<(), Failure> {
    match fs::metadata(path) {
        Ok(_) => Err(Failure::Exists(id.to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::io("error looking for existing container in", path)(error)),
    }
}

/// Stops the sandbox, removes the folder with all that is in it, and only then notes that the container is stopped.
///
/// # Panics
///
/// As the original does where the copy is paused, or was never created: the folder is gone by then.
pub fn destroy(mut container: Container) -> Result<(), Failure> {
    files::remove_all(&container.root)
        .map_err(Failure::io("error deleting container root directory", &container.root))?;
    container.stop(&[Created, Running, Stopped]);
    Ok(())
}
