//! The filesystems: made, mounted, and made to commit without writing data first.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::mount::{MsFlags, mount};

use super::device::{Device, mounted};
use super::sys;

/// A filesystem as it is mounted, and the model that speaks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filesystem {
    /// The name of its model.
    pub model: &'static str,
    /// As the kernel names it.
    kind: &'static str,
    /// How it is mounted.
    options: &'static str,
    /// How large its disk is, in bytes.
    pub size: u64,
}

const MIB: u64 = 1 << 20;

/// Every filesystem that there is a model of.
pub const ALL: [Filesystem; 5] = [
    Filesystem { model: "ext4", kind: "ext4", options: "", size: 32 * MIB },
    Filesystem { model: "ext4-dioread-lock", kind: "ext4", options: "dioread_lock", size: 32 * MIB },
    Filesystem { model: "ext4-writeback", kind: "ext4", options: "data=writeback", size: 32 * MIB },
    Filesystem { model: "xfs", kind: "xfs", options: "", size: 32 * MIB },
    Filesystem { model: "btrfs", kind: "btrfs", options: "", size: 128 * MIB },
];

impl Filesystem {
    /// What makes one.
    pub fn maker(self) -> String {
        format!("mkfs.{}", self.kind)
    }

    /// Makes one on the device, with the file by which commits are asked for.
    pub fn make(self, device: &Device) -> io::Result<()> {
        let arguments: &[&str] = match self.kind {
            "ext4" => &["-q", "-F", "-b", "4096", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"],
            "xfs" => &["-q", "-f", "-K"],
            _ => &["-q", "-f", "-K", "-m", "single", "-d", "single"],
        };
        // So small an xfs is for tests alone, and asks for these to believe it.
        let output = Command::new(self.maker())
            .args(arguments)
            .arg(&device.path)
            .envs([("TEST_DIR", "1"), ("TEST_DEV", "1"), ("QA_CHECK_FS", "1")])
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(io::Error::other(format!("{}: {said}", self.maker())));
        }
        self.mount(device)?;
        fs::write(mounted().join("commit"), "")?;
        fs::create_dir(mounted().join("state"))?;
        fs::set_permissions(mounted().join("state"), fs::Permissions::from_mode(0o755))?;
        device.unmount()?;
        device.command("made")
    }

    /// Mounts it, as after a crash or as before.
    pub fn mount(self, device: &Device) -> io::Result<()> {
        let options = (!self.options.is_empty()).then_some(self.options);
        mount(Some(device.path.as_str()), &mounted(), Some(self.kind), MsFlags::MS_NOATIME, options)?;
        Ok(())
    }

    /// Writes what changed of its metadata, and no data that it need not write.
    pub fn commit(self, round: u32) -> io::Result<()> {
        let path = mounted().join("commit");
        let file = File::open(&path)?;
        if self.kind == "btrfs" {
            return sys::commit_btrfs(&file);
        }
        file.set_permissions(fs::Permissions::from_mode(0o600 | (round & 0o77)))?;
        file.sync_all()
    }
}

/// Whether a program is installed.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/sbin"].map(std::path::PathBuf::from);
    std::env::split_paths(&path).chain(usual).any(|folder| Path::new(&folder).join(program).is_file())
}
