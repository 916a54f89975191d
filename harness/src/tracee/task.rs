//! One task of a tree, as the kernel shows it: its process, its working folder, its descriptors.

use std::cell::OnceCell;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::errno::Errno;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::descriptors::Descriptors;
use super::signals::Lost;
use crate::books::deed::{Known, Told};
use crate::books::prediction::Prediction;
use crate::process::procfs;
use crate::process::sys::seccomp::Notification;

/// A task: a thread of one of the tree's processes.
#[derive(Debug)]
pub(crate) struct Task {
    pub tid: u32,
    /// Its process.
    pub pid: u32,
    /// The pid of its process as it knows it itself.
    pub own_pid: u32,
    /// A descriptor of its process, from when it is first asked for.
    pub handle: OnceCell<Arc<OwnedFd>>,
    /// How many tasks of the tree were heard of before it.
    pub number: usize,
    /// Its working folder, where that is known.
    pub folder: Option<String>,
    /// What its descriptors are open on, as far as that is known.
    pub open: Descriptors,
    /// The call at which it is held.
    pub held: Option<Held>,
    /// The call at which it was held before a signal took that away.
    pub lost: Option<Lost>,
    /// Whether it has taken a step since it last slept.
    pub has_looked: bool,
    /// Whether somebody has changed since what it may have looked at.
    pub is_stale: bool,
}

/// A call at which a task is held.
#[derive(Debug)]
pub(crate) struct Held {
    pub stop: Notification,
    pub told: Told,
    pub known: Known,
    pub prediction: Prediction,
    /// How many steps had been taken when it stopped.
    pub since: usize,
    /// When it would go on by itself, on the tree's own clock.
    pub until_ns: Option<u64>,
}

impl Task {
    /// Of the process with this pid, which knows itself by that one.
    pub fn new(tid: u32, [pid, own_pid]: [u32; 2], number: usize, open: Descriptors) -> Self {
        Self {
            tid,
            pid,
            own_pid,
            handle: OnceCell::new(),
            number,
            folder: None,
            open,
            held: None,
            lost: None,
            has_looked: false,
            is_stale: false,
        }
    }

    /// A copy of one of its descriptors, of the same open file description.
    pub fn descriptor(&self, number: i32) -> io::Result<OwnedFd> {
        if number < 0 {
            return Err(Errno::EBADF.into());
        }
        let handle = if let Some(known) = self.handle.get() {
            known
        } else {
            let new = Arc::new(handle(self.pid)?);
            self.handle.get_or_init(|| new)
        };
        Ok(pidfd_getfd(handle, number, PidfdGetfdFlags::empty())?)
    }
}

/// A descriptor of a process.
pub(crate) fn handle(pid: u32) -> io::Result<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// What `/proc` tells of a process's numbers in such a field, as the process knows it itself.
pub(crate) fn innermost(pid: u32, field: &str) -> Option<u32> {
    let status = procfs::record(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_ascii_whitespace().next_back()?.parse().ok()
}

/// The process of a task: its pid here, and in its own namespace.
pub(crate) fn process_of(tid: u32) -> Option<[u32; 2]> {
    let status = procfs::record(format!("/proc/{tid}/status")).ok()?;
    let last = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next_back()?.parse().ok()
    };
    let pid = last("Tgid:")?;
    Some([pid, last("NStgid:").unwrap_or(pid)])
}

/// Whether a process, and whoever it starts, is known to itself by the numbers that it has here.
pub(crate) fn has_own_numbers(pid: u32) -> bool {
    let Ok(status) = procfs::record(format!("/proc/{pid}/status")) else { return false };
    let numbers = status.lines().find_map(|line| line.strip_prefix("NStgid:"));
    numbers.is_none_or(|numbers| numbers.split_ascii_whitespace().count() == 1)
}

/// How many threads a process has.
pub(crate) fn threads(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

/// What `/proc` says of a descriptor beside what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Information {
    /// Whether it holds a lock of its open file description by `flock`.
    pub flock: bool,
    /// Whether it holds one by `fcntl`.
    pub ofd: bool,
    /// How it is open: flags of `open`.
    pub flags: i32,
    /// The process that it stands for.
    pub process: Option<u32>,
}

impl Information {
    /// Of the text of `/proc/<pid>/fdinfo/<number>`.
    pub fn read(text: &str) -> Self {
        let mut information = Self::default();
        for line in text.lines() {
            if let Some(lock) = line.strip_prefix("lock:") {
                information.flock |= lock.contains(" FLOCK ");
                information.ofd |= lock.contains(" OFDLCK ");
            } else if let Some(flags) = line.strip_prefix("flags:") {
                information.flags = i32::from_str_radix(flags.trim(), 8).unwrap_or(0);
            } else if let Some(pid) = line.strip_prefix("Pid:") {
                information.process = pid.trim().parse().ok();
            }
        }
        information
    }
}

/// What is said of a descriptor; nothing where it is not open.
pub(crate) fn information(task: u32, fd: i32) -> Option<Information> {
    Some(Information::read(&procfs::record(format!("/proc/{task}/fdinfo/{fd}")).ok()?))
}

/// The numbers of a process's descriptors.
pub(crate) fn descriptors(task: u32) -> Vec<i32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{task}/fd")) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}
