//! A sandbox with a real process tree behind it, so that what the metadata says can be compared with `/proc`.
//!
//! The tree is one session, and so one process group unless its members leave it. Its leader starts as a shell that
//! waits for a line on its standard input, stops itself, and becomes the command once it is let go:
//!
//! * A creator that is killed before it saved the metadata never writes the line. The shell reads the end of its
//!   input and ends: nothing is left that no metadata knows.
//! * The line is written after the save, and create returns when the shell has stopped itself.
//!
//! The session is its own because the kernel ends stopped processes whose creator ends, if they are of the same one
//! (SIGHUP and SIGCONT to an orphaned process group). Nothing here may signal a number without having asked whom it
//! means: it may be somebody else's by now, or always have been, in this pid namespace.

use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{kill, killpg};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Fate, Observed, Sandbox, SandboxRecord, Signal};
use crate::identity::{self, ProcessIdentity, Standing, View, all_pids, glance};
use crate::pauses::Pauses;
use crate::{ContainerId, Status};

/// What the leader does before it becomes the command.
const HOLD: &str =
    r#"read -r FLOCKWORK_SANDBOX || exit 0; export FLOCKWORK_SANDBOX; kill -STOP $$; exec "$@" </dev/null"#;

/// The variable by which what is left of a tree is known once its leader has ended: it holds the leader's identity, which
/// is the line that the shell waits for. The number alone may be another's group by then.
const MARK: &str = "FLOCKWORK_SANDBOX";

/// How long the system may take to stop or end a process before that is an error.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the shell may take from the line to its stop before it is stopped from outside.
const HOLD_PATIENCE: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(5) };

const LOOK_PAUSE_MIN: Duration = Duration::from_micros(50);
const LOOK_PAUSE_MAX: Duration = Duration::from_millis(2);

/// The program by which a process gets a session of its own was not started.
#[derive(Debug, thiserror::Error)]
#[error("setsid (from util-linux) was not started: {0}")]
struct NotStarted(#[source] io::Error);

/// A real process tree. Its checkpoints hold the command, not its memory: what is restored starts from the beginning.
#[derive(Debug)]
pub struct Process {
    command: Vec<String>,
    environment: Vec<(String, String)>,
    /// What this process started and has not yet seen the end of: to be waited for, lest zombies pile up.
    children: Mutex<Vec<Child>>,
}

/// What an image holds.
#[derive(Debug, Serialize, Deserialize)]
struct Image {
    command: Vec<String>,
}

impl Default for Process {
    /// A shell with a child that sleeps.
    fn default() -> Self {
        Self::new(["/bin/sh", "-c", "sleep 1000000 & wait"])
    }
}

impl Process {
    /// A sandbox that runs this command.
    pub fn new<S: Into<String>>(command: impl IntoIterator<Item = S>) -> Self {
        let command = command.into_iter().map(Into::into).collect();
        Self { command, environment: Vec::new(), children: Mutex::default() }
    }

    /// Gives every process of the tree a variable, by which it can be recognised later.
    #[must_use]
    pub fn environment(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    fn children(&self) -> MutexGuard<'_, Vec<Child>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for children that have ended. One of whom the system knows nothing is another process's: this one is a
    /// fork of its creator.
    fn reap(&self) {
        self.children().retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    /// Writes the line that the shell waits for, where this process made the sandbox.
    fn write_line(&self, process: ProcessIdentity) -> io::Result<()> {
        let mut children = self.children();
        let input =
            children.iter_mut().find(|child| child.id() == process.pid).and_then(|child| child.stdin.take());
        // In one piece: a shell that reads half of it would go on under another name.
        input.map_or(Ok(()), |mut input| input.write_all(format!("{process}\n").as_bytes()))
    }

    /// Ends every process of the group, and returns when it is so.
    fn end(&self, process: ProcessIdentity) -> io::Result<()> {
        // A number that none can have, whatever wrote it: there is nothing to end.
        if pid_of(process).is_ok() {
            let leads = leads_its_group(process)?;
            let has_ended = || {
                if leads { !process.is_alive() && !group_lives(process) } else { left_of(process).is_empty() }
            };
            send_to_group(process, Signal::SIGKILL)?;
            if !look_until(PATIENCE, has_ended) {
                return Err(timed_out(process, "does not end after SIGKILL"));
            }
        }
        self.reap();
        Ok(())
    }
}

impl Sandbox for Process {
    fn kind(&self) -> &'static str {
        "process"
    }

    fn create(&self, _id: &ContainerId, record: &mut SandboxRecord) -> io::Result<()> {
        self.reap();
        if View::here().is_none() {
            let why = format!("it would not be found again: {}", identity::FOREIGN_PROC);
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let child = Command::new("setsid")
            .args(["/bin/sh", "-c", HOLD, "flockwork-sandbox"])
            .args(&self.command)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), NotStarted(error)))?;
        record.process = ProcessIdentity::of(child.id());
        self.children().push(child);
        record
            .process
            .map(|_| ())
            .ok_or_else(|| io::Error::other("/proc does not show the process that was started"))
    }

    fn hold(&self, _id: &ContainerId, record: &SandboxRecord) -> io::Result<()> {
        let process = process_of(record)?;
        self.write_line(process)?;
        if !look_until(HOLD_PATIENCE, || is_settled(process)) {
            // It is beyond its own stop, because somebody let it go behind our back.
            send_to_group(process, Signal::SIGSTOP)?;
        }
        halted(process)
    }

    fn start(&self, _id: &ContainerId, record: &SandboxRecord) -> io::Result<()> {
        let process = process_of(record)?;
        halted(process)?;
        send_to_group(process, Signal::SIGCONT)
    }

    fn pause(&self, _id: &ContainerId, record: &SandboxRecord) -> io::Result<()> {
        let process = process_of(record)?;
        send_to_group(process, Signal::SIGSTOP)?;
        halted(process)
    }

    fn resume(&self, _id: &ContainerId, record: &SandboxRecord, to: Status) -> io::Result<()> {
        match to {
            Status::Running => send_to_group(process_of(record)?, Signal::SIGCONT),
            // It was held before its first instruction, and still is.
            _ => Ok(()),
        }
    }

    fn signal(&self, _id: &ContainerId, record: &SandboxRecord, signal: Signal) -> io::Result<Fate> {
        let process = process_of(record)?;
        match signal {
            Signal::SIGKILL => {
                self.end(process)?;
                return Ok(Fate::Ended);
            }
            Signal::SIGSTOP | Signal::SIGCONT | Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU => {
                let why = format!("{signal} would contradict its metadata; use pause and resume");
                return Err(io::Error::new(io::ErrorKind::Unsupported, why));
            }
            _ => (),
        }
        send(process, signal)?;
        self.reap();
        Ok(if process.is_alive() { Fate::Alive } else { Fate::Ended })
    }

    fn checkpoint(&self, _id: &ContainerId, _record: &SandboxRecord) -> io::Result<Box<RawValue>> {
        let image = Image { command: self.command.clone() };
        serde_json::value::to_raw_value(&image).map_err(io::Error::other)
    }

    fn restore(&self, _id: &ContainerId, record: &mut SandboxRecord, image: &RawValue) -> io::Result<()> {
        let image: Image = serde_json::from_str(image.get())?;
        if image.command != self.command {
            let why = format!(
                "the image is of the command {:?}, the container is of {:?}",
                image.command, self.command
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        halted(process_of(record)?)
    }

    fn destroy(&self, _id: &ContainerId, record: &SandboxRecord) -> io::Result<()> {
        record.process.map_or(Ok(()), |process| self.end(process))
    }

    fn probe(&self, _id: &ContainerId, record: &SandboxRecord) -> Observed {
        self.reap();
        let Some(process) = record.process else { return Observed::Dead };
        let mut observed = Observed::AsRecorded;
        // A stop may be on its way that somebody sent who was killed right after, or that the shell just sent itself: it
        // has arrived when this returns, so that nobody sees a held process that runs.
        look_until(PATIENCE, || {
            let has_arrived;
            (observed, has_arrived) = look(process);
            has_arrived
        });
        observed
    }
}

/// What a process is or is about to be, and whether it is so already.
fn look(process: ProcessIdentity) -> (Observed, bool) {
    match process.standing() {
        Standing::Ended | Standing::Replaced => (Observed::Dead, true),
        Standing::Lives(Some(b'T')) => (Observed::Halted, true),
        Standing::Lives(Some(_)) => {
            let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid));
            let heading = heading_in(&status.unwrap_or_default());
            // Whoever is told of a death waits for it.
            (heading, heading != Observed::Halted)
        }
        Standing::Lives(None) | Standing::Unknown => (Observed::AsRecorded, true),
    }
}

/// What a process is about to be that neither stands still nor has ended, by what `/proc/<pid>/status` says.
fn heading_in(status: &str) -> Observed {
    let pending = status
        .lines()
        .filter_map(|line| line.strip_prefix("SigPnd:").or_else(|| line.strip_prefix("ShdPnd:")))
        .filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .fold(0, std::ops::BitOr::bitor);
    let has = |signal: Signal| pending >> (signal as u32 - 1) & 1 == 1;
    if has(Signal::SIGKILL) {
        Observed::Dead
    } else if has(Signal::SIGSTOP) {
        Observed::Halted
    } else {
        Observed::Going
    }
}

/// The process that is recorded, where it can be told which that is.
fn process_of(record: &SandboxRecord) -> io::Result<ProcessIdentity> {
    let process = record
        .process
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the metadata names no process"))?;
    match process.standing() {
        Standing::Unknown => Err(cannot_be_told(process)),
        _ => Ok(process),
    }
}

/// The error for a process that may not be touched, as it cannot be told which it is.
#[cold]
fn cannot_be_told(process: ProcessIdentity) -> io::Error {
    let pid = process.pid;
    let why = match (View::here(), process.view) {
        (None, _) => format!("the fate of process {pid} is unknown: {}", identity::FOREIGN_PROC),
        (Some(here), Some(there)) if here.pid_namespace != there.pid_namespace => format!(
            "process {pid} belongs to the pid namespace {}, and this is {}: do it from there (nsenter --pid), or remove \
             the container's folder by hand if that namespace is gone",
            there.pid_namespace, here.pid_namespace
        ),
        (Some(here), Some(there)) if here.time_namespace != there.time_namespace => format!(
            "process {pid} was started in the time namespace {}, and this is {}: do it from there (nsenter --time)",
            there.time_namespace, here.time_namespace
        ),
        _ => format!("process {pid} cannot be examined: permission is missing, or no descriptors are left"),
    };
    io::Error::new(io::ErrorKind::Unsupported, why)
}

fn pid_of(process: ProcessIdentity) -> io::Result<Pid> {
    // 0 and 1 would be taken for "my own group" and "everybody".
    i32::try_from(process.pid).ok().filter(|pid| *pid > 1).map(Pid::from_raw).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{} is not a process number", process.pid))
    })
}

/// Signals the leader, if it lives: by a descriptor of it, which never means another, where such can be had.
fn send(process: ProcessIdentity, signal: Signal) -> io::Result<()> {
    pid_of(process)?;
    let leader = Member::of(process.pid);
    match process.standing() {
        // Whoever had the number when the descriptor was opened has it still.
        Standing::Lives(_) => leader.map_or(Ok(()), |leader| leader.send(signal)),
        Standing::Ended | Standing::Replaced => Ok(()),
        Standing::Unknown => Err(cannot_be_told(process)),
    }
}

/// Signals the whole group. One that is gone is left to whoever looks whether it lives.
fn send_to_group(process: ProcessIdentity, signal: Signal) -> io::Result<()> {
    let group = pid_of(process)?;
    if !leads_its_group(process)? {
        for member in left_of(process) {
            member.send(signal)?;
        }
        return Ok(());
    }
    match killpg(group, signal) {
        Ok(()) => Ok(()),
        // It has just been started, and leads no group yet: it gets the signal alone, as long as it is alone.
        Err(Errno::ESRCH) => send(process, signal),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether the leader has its number still, alive or as a zombie: then the group of that number is its own. A number is
/// free again once the leader has been reaped and the group is empty; it may mean a stranger's group afterwards, even one
/// whose leader has ended as well.
fn leads_its_group(process: ProcessIdentity) -> io::Result<bool> {
    match process.standing() {
        Standing::Lives(_) => Ok(true),
        Standing::Ended => Ok(glance(process.pid).is_some()),
        Standing::Replaced => Ok(false),
        Standing::Unknown => Err(cannot_be_told(process)),
    }
}

/// A process that was looked at; what is signalled is that one.
struct Member {
    pid: Pid,
    /// `None` on kernels that have none (before 5.3).
    pidfd: Option<OwnedFd>,
}

impl Member {
    fn of(pid: u32) -> Option<Self> {
        let number = rustix::process::Pid::from_raw(pid.cast_signed())?;
        let pidfd = pidfd_open(number, PidfdFlags::empty()).ok();
        Some(Self { pid: Pid::from_raw(number.as_raw_nonzero().get()), pidfd })
    }

    /// One that has ended needs no signal.
    fn send(&self, signal: Signal) -> io::Result<()> {
        let named = rustix::process::Signal::from_named_raw(signal as i32);
        let sent = match (&self.pidfd, named) {
            (Some(pidfd), Some(named)) => pidfd_send_signal(pidfd, named).map_err(io::Error::from),
            _ => kill(self.pid, signal).map_err(io::Error::from),
        };
        match sent {
            Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => Ok(()),
            sent => sent,
        }
    }
}

/// Living processes of the leader's group that carry its mark: what it left when it ended. Who has cleared its
/// environment is not known by it, and left alone.
fn left_of(process: ProcessIdentity) -> Vec<Member> {
    let mark = format!("{MARK}={process}");
    let is_left = |pid: &u32| {
        let in_group = glance(*pid).is_some_and(|glance| glance.group == process.pid && !glance.is_zombie());
        in_group && {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        }
    };
    // Looked at again once the descriptor is there: the number may have become another's in between.
    let member = |pid: u32| Member::of(pid).filter(|_| is_left(&pid));
    all_pids().filter(is_left).filter_map(member).collect()
}

/// Whether any process of the group lives. Zombies do not, but the system counts them as members.
fn group_lives(process: ProcessIdentity) -> bool {
    let Ok(group) = pid_of(process) else { return false };
    if killpg(group, None) == Err(Errno::ESRCH) {
        return false;
    }
    all_pids().filter_map(glance).any(|glance| glance.group == process.pid && !glance.is_zombie())
}

/// Whether the leader stands still, or has ended.
fn is_settled(process: ProcessIdentity) -> bool {
    matches!(process.standing(), Standing::Ended | Standing::Replaced | Standing::Lives(Some(b'T')))
}

/// Returns once the leader stands still.
fn halted(process: ProcessIdentity) -> io::Result<()> {
    match look_until(PATIENCE, || is_settled(process)) {
        true if process.is_alive() => Ok(()),
        true => Err(io::Error::other(format!("process {} has ended", process.pid))),
        false => Err(timed_out(process, "does not stop")),
    }
}

fn timed_out(process: ProcessIdentity, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("process {} {what} ({PATIENCE:?})", process.pid))
}

/// Looks again and again; `false` if it never was so.
fn look_until(patience: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let since = Instant::now();
    let mut pauses = Pauses::between(LOOK_PAUSE_MIN, LOOK_PAUSE_MAX);
    loop {
        if is_so() {
            return true;
        }
        if since.elapsed() > patience {
            return false;
        }
        std::thread::sleep(pauses.take());
    }
}

#[cfg(test)]
mod tests;
