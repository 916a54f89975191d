//! Runs one command to its end, from a process that has one thread and is the reaper of all below it.
//!
//! Between the two readings of the clock lies as little as can be: a `posix_spawn` and a wait. Outputs go to files in
//! memory, so that no command ever waits for whoever reads them.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpgid};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::process::{PidfdFlags, pidfd_open};

use super::attention::{Attention, Deadline};
use super::clock::{self, now_ns};
use super::hang;
use super::perturbed::{Perturber, Starting};
use super::procfs;

/// So much of an output is kept.
const KEPT_BYTES: u64 = 1 << 20;
/// A command that writes more than this is stopped.
pub const OUTPUT_BYTES_MAX: u64 = 64 << 20;
/// How often outputs are looked at while a command runs, in nanoseconds.
const LOOK_NS: u64 = 20_000_000;
/// So many times its limit a command may take that is held back and still calls.
const SLOW: u64 = 4;
/// How long a killed process may take to be gone, in nanoseconds.
const DEATH_MAX: Duration = Duration::from_secs(10);

/// A command to run.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// The program, as an absolute path.
    pub program: &'a Path,
    /// What the program is told to be called, and its arguments.
    pub words: &'a [String],
    /// Variables that it finds set, besides those of the caller.
    pub environment: &'a [(String, String)],
    /// Where it starts; none: where the caller is.
    pub folder: Option<&'a Path>,
    /// What it reads on stdin; none: nothing.
    pub stdin: Option<&'a [u8]>,
    /// How long it may take, in nanoseconds.
    pub limit_ns: u64,
    /// When it is killed as a fault, in nanoseconds after its start.
    pub kill_ns: Option<u64>,
    /// What holds its calls back; none: nothing does.
    pub perturber: Option<&'a RefCell<Perturber>>,
    /// What it is called where it is told that it does not end.
    pub who: &'a str,
    /// Folders in which a lock that it waits for may lie.
    pub folders: &'a [PathBuf],
    /// Not 0 once nothing is to go on: then it is killed.
    pub end: Option<&'a AtomicU32>,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It exited with this code.
    Exited(i32),
    /// By this signal, which nobody here sent.
    Signaled(i32),
    /// It was killed as a fault.
    Killed,
    /// It had not ended when its time was over, and was killed.
    TimedOut,
    /// It wrote more than is borne, and was killed.
    TooMuch,
    /// It could not be started: the error's number, and what the system said.
    NotStarted(Option<i32>, String),
}

impl Ending {
    fn of(status: WaitStatus) -> Self {
        match status {
            WaitStatus::Exited(_, code) => Self::Exited(code),
            WaitStatus::Signaled(_, signal, _) => Self::Signaled(signal as i32),
            // Nobody asks to hear of anything else.
            _ => Self::Signaled(0),
        }
    }
}

/// A command that was run.
#[derive(Clone, Debug)]
pub struct Done {
    /// When it was about to be started.
    pub begun_ns: u64,
    /// When it had ended.
    pub ended_ns: u64,
    /// How the command's process ended.
    pub ending: Ending,
    /// What it wrote to stdout, as much as is kept.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr, likewise.
    pub stderr: Vec<u8>,
    /// What it waited for, where it did not end in time.
    pub waiting: Vec<String>,
    /// Where it was killed: whether nothing that it started can still act.
    pub is_over: bool,
}

/// Runs a command to its end. The caller must be a subreaper without threads.
pub fn run(launch: &Launch<'_>) -> io::Result<Done> {
    let (stdout, stderr) = (memory()?, memory()?);
    let command = command(launch, &stdout, &stderr)?;
    let begun_ns = now_ns();
    let child = match start(launch, command) {
        Ok(child) => child,
        Err(error) => {
            let ending = Ending::NotStarted(error.raw_os_error(), error.to_string());
            let (stdout, stderr) = (Vec::new(), Vec::new());
            let waiting = Vec::new();
            return Ok(Done { begun_ns, ended_ns: now_ns(), ending, stdout, stderr, waiting, is_over: true });
        }
    };
    let mut vigil = Vigil { launch, child, begun_ns, outputs: [&stdout, &stderr], waiting: Vec::new() };
    let (ending, ended_ns, is_over) = vigil.keep()?;
    let waiting = vigil.waiting;
    let (stdout, stderr) = (read(stdout)?, read(stderr)?);
    Ok(Done { begun_ns, ended_ns, ending, stdout, stderr, waiting, is_over })
}

/// A command that was started.
struct Child {
    pid: Pid,
    /// Where it tells why it did not become the command, where it stands under a filter.
    starting: Option<Starting>,
}

impl Child {
    fn wait(&self) -> io::Result<WaitStatus> {
        Ok(waitpid(self.pid, None)?)
    }
}

fn start(launch: &Launch<'_>, mut command: Command) -> io::Result<Child> {
    let of = |pid: u32, starting| Child { pid: Pid::from_raw(pid.cast_signed()), starting };
    match launch.perturber {
        None => Ok(of(command.spawn()?.id(), None)),
        Some(perturber) => {
            let starting = perturber.borrow_mut().start(command)?;
            Ok(of(starting.pid, Some(starting)))
        }
    }
}

fn command(launch: &Launch<'_>, stdout: &File, stderr: &File) -> io::Result<Command> {
    let (name, arguments) = launch.words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let stdin = match launch.stdin {
        None => Stdio::null(),
        Some(bytes) => {
            let mut file = memory()?;
            file.write_all(bytes)?;
            file.seek(SeekFrom::Start(0))?;
            file.into()
        }
    };
    let mut command = Command::new(launch.program);
    command
        .arg0(name)
        .args(arguments)
        .envs(launch.environment.iter().map(|(name, value)| (name, value)))
        .stdin(stdin)
        .stdout(stdout.try_clone()?)
        .stderr(stderr.try_clone()?)
        .process_group(0);
    if let Some(folder) = launch.folder {
        command.current_dir(folder);
    }
    Ok(command)
}

fn memory() -> io::Result<File> {
    Ok(File::from(rustix::fs::memfd_create("flockwork-output", MemfdFlags::CLOEXEC)?))
}

fn read(mut file: File) -> io::Result<Vec<u8>> {
    let bytes = file.metadata()?.len().min(KEPT_BYTES);
    let mut text = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0));
    if bytes > 0 {
        file.seek(SeekFrom::Start(0))?;
        file.take(bytes).read_to_end(&mut text)?;
    }
    Ok(text)
}

/// Waits for a command, and does to it what is to be done.
struct Vigil<'a> {
    launch: &'a Launch<'a>,
    child: Child,
    begun_ns: u64,
    outputs: [&'a File; 2],
    waiting: Vec<String>,
}

impl Vigil<'_> {
    fn keep(&mut self) -> io::Result<(Ending, u64, bool)> {
        let group = self.child.pid;
        let number = rustix::process::Pid::from_raw(group.as_raw()).ok_or(io::ErrorKind::InvalidData)?;
        let handle = pidfd_open(number, PidfdFlags::empty())?;
        let mut attention = Attention::begin();
        loop {
            let delayed_ns = self.serve()?;
            // What it was held back for is no time of its own, up to as much again.
            let limit_ns = self.launch.limit_ns + delayed_ns.min(self.launch.limit_ns);
            let since_ns = now_ns() - self.begun_ns;
            let seen_ns = attention.now_ns() - self.begun_ns;
            let due = |at_ns: Option<u64>| at_ns.is_some_and(|at_ns| since_ns >= at_ns);
            let is_ended = self.launch.end.is_some_and(|end| end.load(Ordering::Relaxed) != 0);
            let fault = match () {
                () if due(self.launch.kill_ns) || is_ended && since_ns > LOOK_NS => Some(Ending::Killed),
                () if seen_ns >= limit_ns && self.is_quiet() => Some(Ending::TimedOut),
                // It still calls, so that it is no hang, but it is not waited for either.
                () if seen_ns >= limit_ns.saturating_mul(SLOW) => Some(Ending::Killed),
                () if self.writes_too_much()? => Some(Ending::TooMuch),
                () => None,
            };
            if let Some(ending) = fault {
                return self.put_down(group, ending);
            }
            // A limit that is over is looked at again in a while.
            let next = [self.launch.kill_ns, Some(limit_ns).filter(|limit_ns| seen_ns < *limit_ns)];
            let next_ns = next.into_iter().flatten().map(|at_ns| at_ns.saturating_sub(since_ns)).min();
            if self.wait(&handle, next_ns.unwrap_or(LOOK_NS).min(LOOK_NS))? {
                let status = self.child.wait()?;
                let ended_ns = now_ns();
                let ending = match self.child.starting.as_ref().and_then(Starting::failure) {
                    Some(error) => Ending::NotStarted(error.raw_os_error(), error.to_string()),
                    None => Ending::of(status),
                };
                return Ok((ending, ended_ns, true));
            }
        }
    }

    /// Waits for its end, for so long at most; whether it has come.
    fn wait(&self, handle: &OwnedFd, at_most_ns: u64) -> io::Result<bool> {
        let perturber = self.launch.perturber.map(RefCell::borrow);
        let next_ns = perturber.as_ref().and_then(|perturber| perturber.next_ns());
        let wait_ns = next_ns.map_or(at_most_ns, |at_ns| at_ns.saturating_sub(now_ns()).min(at_most_ns));
        let wait = Timespec { tv_sec: 0, tv_nsec: wait_ns.cast_signed() };
        let mut polled = vec![PollFd::new(handle, PollFlags::IN)];
        polled.extend(perturber.iter().flat_map(|perturber| perturber.polled()));
        match poll(&mut polled, Some(&wait)) {
            Ok(_) => Ok(polled[0].revents().contains(PollFlags::IN)),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it may be called hung: it is held back by nobody here, and called nothing for long; nor was it led astray.
    fn is_quiet(&self) -> bool {
        let Some(perturber) = self.launch.perturber else { return true };
        let mut perturber = perturber.borrow_mut();
        !perturber.was_interrupted() && perturber.quiet_ns() >= self.launch.limit_ns / 2
    }

    /// Answers calls that are held back; by how much they were delayed so far.
    fn serve(&self) -> io::Result<u64> {
        let Some(perturber) = self.launch.perturber else { return Ok(0) };
        let mut perturber = perturber.borrow_mut();
        perturber.serve()?;
        Ok(perturber.delayed_ns())
    }

    fn writes_too_much(&self) -> io::Result<bool> {
        let bytes = self.outputs.iter().map(|file| file.metadata().map(|about| about.len()));
        Ok(bytes.sum::<io::Result<u64>>()? > OUTPUT_BYTES_MAX)
    }

    /// Kills the command and its group, and waits until nothing of them is left.
    fn put_down(&mut self, group: Pid, ending: Ending) -> io::Result<(Ending, u64, bool)> {
        if ending == Ending::TimedOut {
            let own = nix::unistd::getpid().as_raw().cast_unsigned();
            let commands = [(self.launch.who.to_owned(), group.as_raw().cast_unsigned())];
            self.waiting = hang::told(&commands, own, self.launch.folders);
        }
        // Its leader is not reaped, so the group is its own; where it has just been forked, it is not in it yet.
        if killpg(group, Signal::SIGKILL).is_err() {
            _ = kill(group, Signal::SIGKILL);
        }
        let group_is_gone = await_group(group);
        let status = self.child.wait()?;
        // It may have ended by itself before the signal came.
        let is_killed = matches!(status, WaitStatus::Signaled(_, Signal::SIGKILL, _));
        let ended_ns = now_ns();
        let is_over = group_is_gone && !has_children();
        let ending = if is_killed { ending } else { Ending::of(status) };
        Ok((ending, ended_ns, is_over))
    }
}

/// Reaps all of a killed group but its leader, whose number must stay taken; whether nothing is left.
fn await_group(leader: Pid) -> bool {
    let mut deadline = Deadline::after(DEATH_MAX);
    let own = nix::unistd::getpid().as_raw().cast_unsigned();
    loop {
        // What the dead have left comes to this process, some of it only when its parent has died.
        let members = procfs::children(own).into_iter().map(|pid| Pid::from_raw(pid.cast_signed()));
        let mut members =
            members.filter(|pid| *pid != leader && getpgid(Some(*pid)) == Ok(leader)).peekable();
        let leader_is_dead = !procfs::lives(leader.as_raw().cast_unsigned());
        if members.peek().is_none() && leader_is_dead {
            return true;
        }
        members.for_each(|pid| _ = waitpid(pid, Some(WaitPidFlag::WNOHANG)));
        if deadline.is_over() {
            return false;
        }
        clock::wait_ns(50_000);
    }
}

/// Whether anybody below the calling process lives. Whoever has ended is reaped.
fn has_children() -> bool {
    reap();
    let own = nix::unistd::getpid().as_raw().cast_unsigned();
    !procfs::children(own).is_empty()
}

/// Reaps whoever has ended and is nobody else's.
pub fn reap() {
    while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive)
    {
    }
}
