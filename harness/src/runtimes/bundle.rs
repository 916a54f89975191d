//! The bundle that every container is made of: a root filesystem with a static busybox and nothing else, shared and
//! read-only, and a config.json for each id, written by us.
//!
//! No terminal, no network, no limits: what is left out cannot be the cause of what is found. The container's process
//! sleeps, and names the ground in its arguments and its environment, so that it is found again by whoever looks.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::find::on_path;
use crate::process::Marker;

/// How often a container's process wakes up, in seconds: never, as long as a run lasts.
const SLEEP_S: &str = "1000000";

/// What the containers of a ground are made of.
#[derive(Debug)]
pub struct Bundles {
    /// The root filesystem.
    rootfs: PathBuf,
    /// Where the bundles lie, one a container.
    folder: PathBuf,
    /// The name of the ground, which is in the arguments, in the environment and in the cgroup of all its processes.
    ground: String,
}

impl Bundles {
    /// Makes the root filesystem below a folder. The error says what is missing.
    pub fn make(folder: &Path, ground: &str) -> io::Result<Self> {
        let rootfs = folder.join("rootfs");
        for inner in ["bin", "dev", "proc", "sys", "tmp"] {
            DirBuilder::new().recursive(true).mode(0o755).create(rootfs.join(inner))?;
        }
        let busybox = busybox()?;
        fs::copy(&busybox, rootfs.join("bin/busybox"))?;
        fs::set_permissions(rootfs.join("bin/busybox"), fs::Permissions::from_mode(0o755))?;
        fs::write(rootfs.join(ground), "")?;
        let bundles = folder.join("bundles");
        fs::create_dir_all(&bundles)?;
        Ok(Self { rootfs, folder: bundles, ground: ground.to_owned() })
    }

    /// Writes the bundle of an id, and gives back its folder.
    pub fn write(&self, id: &str) -> io::Result<PathBuf> {
        let bundle = self.path(id);
        fs::create_dir_all(&bundle)?;
        fs::write(bundle.join("config.json"), self.config(id).to_string())?;
        Ok(bundle)
    }

    /// Removes the bundle of an id.
    pub fn remove(&self, id: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.path(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Where the bundle of an id lies.
    #[must_use]
    pub fn path(&self, id: &str) -> PathBuf {
        self.folder.join(id)
    }

    fn config(&self, id: &str) -> Value {
        let namespaces = ["pid", "mount", "ipc", "uts"].map(|kind| json!({ "type": kind }));
        json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false,
                "user": { "uid": 0, "gid": 0 },
                // It waits for an empty file to grow whose name is the ground's: sleep takes numbers only.
                "args": ["/bin/busybox", "tail", "-s", SLEEP_S, "-f", format!("/{}", self.ground)],
                "env": ["PATH=/bin", format!("{}={}", Marker::VARIABLE, self.ground)],
                "cwd": "/",
            },
            "root": { "path": self.rootfs, "readonly": true },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
            ],
            "linux": {
                "cgroupsPath": format!("/{}/{id}", self.ground),
                "namespaces": namespaces,
            },
        })
    }
}

/// A busybox that needs no other file.
fn busybox() -> io::Result<PathBuf> {
    on_path("busybox").filter(|program| is_static(program)).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            "no static busybox is on PATH, which root filesystems need: install busybox-static",
        )
    })
}

/// Whether an ELF file names no interpreter.
fn is_static(program: &Path) -> bool {
    const INTERPRETER: u32 = 3;
    let Ok(bytes) = fs::read(program) else { return false };
    let number = |at: usize, size: usize| {
        let field = bytes.get(at..at + size)?;
        Some(field.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)))
    };
    if bytes.get(..5) != Some(b"\x7fELF\x02") {
        return false;
    }
    let (Some(table), Some(size), Some(count)) = (number(0x20, 8), number(0x36, 2), number(0x38, 2)) else {
        return false;
    };
    let kind = |entry: u64| number((table + entry * size) as usize, 4);
    (0..count).all(|entry| kind(entry).is_some_and(|kind| kind != u64::from(INTERPRETER)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_is_not_taken_for_a_static_program() {
        let own = std::env::current_exe().unwrap();
        let script = tempfile::NamedTempFile::new().unwrap();
        fs::write(script.path(), "#!/bin/sh\n").unwrap();
        assert!(!is_static(script.path()));
        // The tests themselves are linked dynamically wherever glibc is.
        if cfg!(target_env = "gnu") {
            assert!(!is_static(&own));
        }
    }

    #[test]
    fn every_process_of_a_container_can_be_found_by_the_name_of_the_ground() {
        let bundles = Bundles { rootfs: "/r".into(), folder: "/b".into(), ground: "flockwork-ground".into() };
        let config = bundles.config("fw1c1");
        let process = &config["process"];
        assert!(process["args"].to_string().contains("flockwork-ground"));
        assert!(process["env"].to_string().contains("FLOCKWORK_RUN=flockwork-ground"));
        assert_eq!(config["linux"]["cgroupsPath"], "/flockwork-ground/fw1c1");
        assert_eq!(process["terminal"], false);
    }
}
