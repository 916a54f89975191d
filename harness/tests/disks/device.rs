//! A block device over the FUSE server: made in a mount namespace of its own, and gone when nobody uses it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::sys;

/// The folder that the namespace's own filesystem is mounted on: it is on every machine.
const ROOM: &str = "/mnt";

/// A disk whose writes are noted.
pub struct Device {
    block: File,
    /// Its path.
    pub path: String,
    commands: File,
    disk_path: PathBuf,
    server: Child,
    btrfs: Option<File>,
}

/// A server that waits for its disk to be mounted.
///
/// It starts before the namespace is entered, and stays outside: whoever leaves a namespace last unmounts what is in it, and
/// that must be served by somebody else.
pub struct Served {
    fuse: File,
    server: Child,
}

impl Served {
    /// Starts one for a disk of so many bytes.
    pub fn start(size: u64) -> io::Result<Self> {
        let fuse = OpenOptions::new().read(true).write(true).open("/dev/fuse")?;
        let server = Command::new(std::env::current_exe()?)
            .args(["serve", &size.to_string()])
            .stdin(Stdio::from(fuse.try_clone()?))
            .spawn()?;
        Ok(Self { fuse, server })
    }
}

/// Enters a mount namespace of the calling process's own, with an empty folder in memory.
pub fn enter() -> io::Result<()> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    mount(Some("flockwork"), ROOM, Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    for folder in ["fuse", "disk"] {
        fs::create_dir(Path::new(ROOM).join(folder))?;
    }
    Ok(())
}

/// Where a filesystem on the device is mounted.
pub fn mounted() -> PathBuf {
    Path::new(ROOM).join("disk")
}

impl Device {
    /// Mounts what a server of this binary serves.
    pub fn open(served: Served) -> io::Result<Self> {
        let Served { fuse, server } = served;
        let at = Path::new(ROOM).join("fuse");
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", fuse.as_raw_fd());
        mount(Some("flockwork"), &at, Some("fuse"), MsFlags::empty(), Some(options.as_str()))?;
        drop(fuse);
        let disk_path = at.join("disk");
        let commands = OpenOptions::new().read(true).write(true).open(at.join("commands"))?;
        let disk = OpenOptions::new().read(true).write(true).custom_flags(libc::O_DIRECT).open(&disk_path)?;
        let (block, path) = attach(&disk)?;
        let btrfs = OpenOptions::new().read(true).write(true).open("/dev/btrfs-control").ok();
        Ok(Self { block, path, commands, disk_path, server, btrfs })
    }

    /// The process that serves it.
    pub fn server(&self) -> u32 {
        self.server.id()
    }

    /// Has the server do something.
    pub fn command(&self, command: &str) -> io::Result<()> {
        self.commands.write_at(command.as_bytes(), 0).map(drop)
    }

    /// What the server noted.
    pub fn told(&self) -> io::Result<String> {
        self.command("tell")?;
        let mut text = String::new();
        let mut commands = File::open(self.disk_path.with_file_name("commands"))?;
        commands.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Unmounts what is mounted of it, and forgets what was cached.
    pub fn unmount(&self) -> io::Result<()> {
        umount2(&mounted(), MntFlags::empty())?;
        self.forget()
    }

    /// Nothing that is cached of the device is believed any more.
    pub fn forget(&self) -> io::Result<()> {
        sys::forget_cache(&self.block)?;
        if let Some(control) = &self.btrfs {
            sys::forget_btrfs(control, &self.path);
        }
        Ok(())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // Whatever is mounted goes with the namespace, the loop device with its last user, and the server with the mount.
        _ = umount2(&mounted(), MntFlags::MNT_DETACH);
        _ = umount2(&Path::new(ROOM).join("fuse"), MntFlags::MNT_DETACH);
        _ = self.server.kill();
        _ = self.server.wait();
    }
}

/// Puts the file behind a loop device. Somebody else may take the same one between the two calls.
fn attach(disk: &File) -> io::Result<(File, String)> {
    let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control")?;
    let mut last = None;
    for _ in 0..64 {
        let path = format!("/dev/loop{}", sys::free_loop(&control)?);
        let opened = OpenOptions::new().read(true).write(true).open(&path);
        match opened.and_then(|device| sys::attach(&device, disk).map(|()| device)) {
            Ok(device) => {
                fcntl(&device, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
                return Ok((device, path));
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::other("no loop device")))
}
