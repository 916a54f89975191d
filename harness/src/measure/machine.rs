//! What machine this is: facts that a result means little without.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Facts about the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Name and release of the kernel.
    pub kernel: String,
    /// The processor's architecture, as the compiler names it: `x86_64`.
    pub architecture: String,
    /// How many processors this process may use.
    pub processors: usize,
    /// What the processors call themselves, where they do.
    pub processor_model: Option<String>,
    /// Memory of the machine, in bytes.
    pub memory_bytes: u64,
}

impl Machine {
    /// Asks the kernel what machine this is.
    #[must_use]
    pub fn observe() -> Self {
        let name = rustix::system::uname();
        let memory = rustix::system::sysinfo();
        Self {
            kernel: format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy()),
            architecture: name.machine().to_string_lossy().into_owned(),
            processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            processor_model: processor_model(),
            #[expect(clippy::useless_conversion, reason = "the field is 32 bits wide on 32-bit machines")]
            memory_bytes: u64::from(memory.totalram) * u64::from(memory.mem_unit),
        }
    }
}

/// What the machine calls itself, where it does.
#[must_use]
pub fn host_name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    (!name.is_empty() && name != "(none)").then_some(name)
}

fn processor_model() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Facts about the filesystem that a folder lies on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filesystem {
    /// The folder that was asked about.
    pub path: PathBuf,
    /// Type: tmpfs, ext4, overlay, …
    pub kind: String,
    /// Space that is free for this user, in bytes.
    pub free_bytes: u64,
}

impl Filesystem {
    /// Asks the kernel about a folder.
    pub fn of(folder: &Path) -> std::io::Result<Self> {
        let path = folder.canonicalize()?;
        let space = rustix::fs::statvfs(&path)?;
        let mounts = fs::read("/proc/self/mountinfo")?;
        let kind = mount_kind(&mounts, &path).unwrap_or_else(|| "unknown".into());
        Ok(Self { path, kind, free_bytes: space.f_bavail.saturating_mul(space.f_frsize) })
    }
}

/// Type of the mount that a path lies on: the longest mount point that leads to it, the latest of equals.
fn mount_kind(mountinfo: &[u8], path: &Path) -> Option<String> {
    let mut best: Option<(usize, String)> = None;
    for line in mountinfo.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b' ');
        let Some(point) = fields.nth(4).map(unescaped) else { continue };
        let Some(kind) = fields.skip_while(|field| *field != b"-").nth(1) else { continue };
        let depth = point.components().count();
        if path.starts_with(&point) && best.as_ref().is_none_or(|(deepest, _)| depth >= *deepest) {
            best = Some((depth, String::from_utf8_lossy(kind).into_owned()));
        }
    }
    best.map(|(_, kind)| kind)
}

/// The kernel writes blanks, tabs, newlines and backslashes of mount points as octal numbers.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        let octal = (byte == b'\\').then(|| tail.get(..3)).flatten();
        let number = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(number.unwrap_or(byte));
        rest = if number.is_some() { &tail[3..] } else { tail };
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_and_latest_mount_counts() {
        let mounts = b"1 0 0:1 / / rw - ext4 /dev/a rw\n2 1 0:2 / /a\\040b rw shared:1 - tmpfs none rw\n\
                       3 1 0:3 / /a\\040b rw - xfs none rw\n4 1 0:4 / /abc rw - nfs none rw\n";
        assert_eq!(mount_kind(mounts, Path::new("/a b/c")).as_deref(), Some("xfs"));
        assert_eq!(mount_kind(mounts, Path::new("/ab")).as_deref(), Some("ext4"));
    }
}
