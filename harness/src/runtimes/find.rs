//! Where a runtime's program is: on PATH, or where the user says.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Runtime;

/// A runtime's program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The runtime that was looked for.
    pub runtime: Runtime,
    /// The program, as an absolute path.
    pub program: PathBuf,
}

/// A runtime has no program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// It is nowhere on PATH.
    #[error(
        "{0} is not on PATH: install it (`just runtimes` does), or say where it is with path = \"/…/{0}\""
    )]
    NotOnPath(Runtime),
    /// It is not where the user says.
    #[error("{0} is not there")]
    NotThere(PathBuf),
    /// What is there cannot be run.
    #[error("{0} is not a program: expected an executable file")]
    NotExecutable(PathBuf),
}

/// Finds the program. System folders count as on PATH: runtimes live in sbin, which not everybody's PATH has.
pub fn find(runtime: Runtime, path: Option<&Path>) -> Result<Found, FindError> {
    let program = match path {
        Some(path) => {
            let path = std::path::absolute(path).map_err(|_| FindError::NotThere(path.to_owned()))?;
            if !path.exists() {
                return Err(FindError::NotThere(path));
            }
            if !is_program(&path) {
                return Err(FindError::NotExecutable(path));
            }
            path
        }
        None => on_path(runtime.as_str()).ok_or(FindError::NotOnPath(runtime))?,
    };
    Ok(Found { runtime, program })
}

/// The first program of this name on PATH, or in a folder of the system.
#[must_use]
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let folders = env::split_paths(&path).filter(|folder| folder.is_absolute()).chain(system);
    folders.map(|folder| folder.join(name)).find(|program| is_program(program))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_told_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("runc");
        assert_eq!(find(Runtime::Runc, Some(&absent)), Err(FindError::NotThere(absent.clone())));
        fs::write(&absent, "#!/bin/sh\n").unwrap();
        assert_eq!(find(Runtime::Runc, Some(&absent)), Err(FindError::NotExecutable(absent.clone())));
        fs::set_permissions(&absent, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find(Runtime::Runc, Some(&absent)), Ok(Found { runtime: Runtime::Runc, program: absent }));
        assert_eq!(find(Runtime::Crun, Some(folder.path())).unwrap_err().to_string(), {
            format!("{} is not a program: expected an executable file", folder.path().display())
        });
    }
}
