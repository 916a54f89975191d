//! What a system call is to the controller.
//!
//! A call is harmless (each group says why), foreseen (the controller knows what it will touch), absent (it fails as on
//! a kernel that lacks it, which programs expect and have another way for), or refused by name.

use crate::process::sys::seccomp::RENDEZVOUS;

/// What a call is to the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// It goes on without a stop.
    Harmless(Harmless),
    /// It stops, and what it touches is foreseen.
    Foreseen,
    /// Whether it stops depends on an argument.
    Sometimes(&'static Test),
    /// It stops, and fails with `ENOSYS`: programs have another way.
    Absent,
    /// It stops, and the program is refused.
    Refused(Refusal),
}

/// Why calls of a group concern nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harmless {
    /// They arrange the caller's own memory. Memory that is shared through a file is seen when the file is mapped.
    Memory,
    /// They tell or change who the caller is, or take rights away from it.
    Identity,
    /// They say how the caller takes its own signals, or wait for one. Whoever sends one is seen.
    Signals,
    /// They tell the time, or make timers of the caller's own. Timers that are set are noted: whoever waits may be waiting for
    /// one.
    Clocks,
    /// They tell how the caller is scheduled, or say how soon it would like to run.
    Scheduling,
    /// They let threads of one program meet: what waits here waits for its own tree.
    Threads,
    /// They tell of the machine, or give it hints. Free space is left out of account, like times.
    Machine,
    /// They join tasks of one tree. Whom a socket is connected to, and what it passes, is seen.
    Plumbing,
    /// They wait for children, which are of the caller's tree.
    Children,
    /// They set up watches. What is watched is seen when it is named.
    Watches,
}

/// Why a call cannot be allowed under control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// System V shared memory, semaphores and messages, and POSIX message queues.
    SharedMemory,
    /// Mounts, namespaces and roots.
    Paths,
    /// Another process's memory, registers or descriptors.
    Others,
    /// What belongs to the whole machine.
    MachineChanged,
}

impl Refusal {
    /// In words that follow the call's name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::SharedMemory => "shares memory, semaphores or messages beside files",
            Self::Paths => "changes what paths mean",
            Self::Others => "reaches into another process",
            Self::MachineChanged => "changes the machine",
        }
    }
}

/// A call that stops depending on one argument (its lower half).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Test {
    /// Which argument, from 0.
    pub argument: u32,
    /// The bits of it that count.
    pub mask: u32,
    /// The values that are told apart.
    pub values: &'static [u32],
    /// What happens with them.
    pub listed: Listed,
}

/// What the values of a [`Test`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// With one of these it stops, and else it passes.
    Stop,
    /// With one of these it passes, and else it stops.
    Pass,
}

/// Commands of `fcntl` that are about the caller's descriptors alone.
pub(super) const FCNTL: Test = Test {
    argument: 1,
    mask: u32::MAX,
    values: &[
        libc::F_GETFD as u32,
        libc::F_SETFD as u32,
        libc::F_GETFL as u32,
        libc::F_SETFL as u32,
        libc::F_GETPIPE_SZ as u32,
        libc::F_SETPIPE_SZ as u32,
        libc::F_GETOWN as u32,
        libc::F_GET_SEALS as u32,
    ],
    listed: Listed::Pass,
};

/// Requests of `ioctl` that are about terminals and flags of a descriptor: those that programs make often.
pub(super) const IOCTL: Test = Test {
    argument: 1,
    mask: u32::MAX,
    values: &[
        libc::TCGETS as u32,
        libc::TIOCGWINSZ as u32,
        libc::TIOCGPGRP as u32,
        libc::FIONBIO as u32,
        libc::FIOCLEX as u32,
        libc::FIONCLEX as u32,
    ],
    listed: Listed::Pass,
};

/// Seeks that look at the file.
pub(super) const LSEEK: Test = Test {
    argument: 2,
    mask: u32::MAX,
    values: &[libc::SEEK_END as u32, libc::SEEK_DATA as u32, libc::SEEK_HOLE as u32],
    listed: Listed::Stop,
};

/// Maps of files.
pub(super) const MMAP: Test = Test {
    argument: 3,
    mask: libc::MAP_ANONYMOUS as u32,
    values: &[libc::MAP_ANONYMOUS as u32],
    listed: Listed::Pass,
};

/// The meeting with the controller, and what would hide a process from it.
pub(super) const PRCTL: Test = Test {
    argument: 0,
    mask: u32::MAX,
    values: &[RENDEZVOUS as u32, libc::PR_SET_DUMPABLE as u32],
    listed: Listed::Stop,
};

/// Limits of another process than the caller's own.
pub(super) const PRLIMIT: Test = Test { argument: 0, mask: u32::MAX, values: &[0], listed: Listed::Pass };
