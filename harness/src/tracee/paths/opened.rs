//! What a task has open under a number, looked at without its knowing.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};

use crate::books::places::Inode;
use crate::process::procfs;
use crate::tracee::task::{Information, Task, information};

/// Folders of `/proc` that show this process's own descriptors.
#[derive(Debug)]
pub(crate) struct OwnEntries {
    links: OwnedFd,
    information: OwnedFd,
}

impl OwnEntries {
    /// Of the calling process: one that it forks has others.
    pub fn open() -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = |path| openat(rustix::fs::CWD, path, flags, Mode::empty());
        Ok(Self { links: open("/proc/self/fd")?, information: open("/proc/self/fdinfo")? })
    }
}

/// An open descriptor of a task.
#[derive(Debug)]
pub(crate) enum Opened {
    /// A copy, of the same open file description. To look at one costs less than a look at the task's entry, which the kernel makes
    /// anew for every process and number.
    Copy(OwnedFd),
    /// Its entry in `/proc`, where no copy can be had.
    Entry(String),
}

impl Opened {
    /// Of a task that stands still.
    pub fn of(task: &Task, fd: i32) -> Self {
        task.descriptor(fd).map_or_else(|_| Self::by_entry(task.tid, fd), Self::Copy)
    }

    /// Of a process that need not be known.
    pub fn by_entry(pid: u32, fd: i32) -> Self {
        Self::Entry(format!("/proc/{pid}/fd/{fd}"))
    }

    /// The path that the kernel shows, or what else it is; nothing where it is not open.
    pub fn path(&self, own: &OwnEntries) -> Option<String> {
        match self {
            Self::Copy(copy) => {
                let link = readlinkat(&own.links, copy.as_raw_fd().to_string(), Vec::new()).ok()?;
                Some(link.to_string_lossy().into_owned())
            }
            Self::Entry(entry) => Some(fs::read_link(entry).ok()?.to_string_lossy().into_owned()),
        }
    }

    pub fn stat(&self) -> Option<Stat> {
        match self {
            Self::Copy(copy) => fstat(copy).ok(),
            Self::Entry(entry) => statat(rustix::fs::CWD, entry.as_str(), AtFlags::empty()).ok(),
        }
    }

    /// What its file description is like, and which locks it holds; that it is closed on exec is told of an entry alone.
    pub fn information(&self, task: &Task, fd: i32, own: &OwnEntries) -> Option<Information> {
        let Self::Copy(copy) = self else { return information(task.tid, fd) };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = openat(&own.information, copy.as_raw_fd().to_string(), flags, Mode::empty()).ok()?;
        Some(Information::read(&procfs::first_page(&File::from(file)).ok()?))
    }

    pub fn inode(&self) -> Option<Inode> {
        self.stat().map(|stat| (stat.st_dev, stat.st_ino))
    }
}
