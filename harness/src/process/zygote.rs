//! The zygote: a small single-threaded process, forked before any thread exists, from which all others are forked.
//!
//! The harness itself has threads by the time it runs anything, and a process with threads must not fork: locks held by
//! other threads would stay locked for ever in the child. The zygote never starts a thread. It also reaps what its
//! workers leave behind, and dies with the harness.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use rustix::process::{Resource, Rlimit};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::channel::Channel;
use super::lifeline;
use super::region::Region;
use super::sys::{self, Forked};
use crate::plan::SubjectPlan;
use crate::subject::Subject;

/// Builds the subject of a plan, in the zygote.
pub type Builder = fn(&SubjectPlan) -> Result<Box<dyn Subject>, String>;

/// The harness's hold on its zygote. When it is dropped, the zygote ends, and with it all that it forked.
#[derive(Debug)]
pub struct Zygote {
    channel: Option<Channel>,
    pid: Pid,
    build: Builder,
}

impl Zygote {
    /// Forks the zygote. Call it first thing in `main`, before anything starts a thread: with threads it is an error.
    pub fn fork() -> io::Result<Self> {
        Self::fork_with(crate::subject::build)
    }

    /// Forks a zygote that builds its subjects in another way: for tests with subjects of their own.
    pub fn fork_with(build: Builder) -> io::Result<Self> {
        let threads = fs::read_dir("/proc/self/task")?.count();
        if threads != 1 {
            let why = format!("the zygote must be forked before any thread starts, and there are {threads}");
            return Err(io::Error::other(why));
        }
        let (ours, theirs) = Channel::pair()?;
        let harness = nix::unistd::getpid();
        match sys::fork()? {
            Forked::Parent(pid) => Ok(Self { channel: Some(ours), pid, build }),
            Forked::Child => {
                drop(ours);
                sys::exit_now(be_zygote(&theirs, harness, build));
            }
        }
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().cast_unsigned()
    }

    /// How it builds its subjects: whoever looks at a subject from outside builds it in the same way.
    pub(crate) fn builder(&self) -> Builder {
        self.build
    }

    /// Sends an order, with the region it is about.
    pub(crate) fn order<T: Serialize>(&self, order: &T, region: &Region) -> io::Result<()> {
        let memory = region.memory();
        self.channel()?.send(order, Some(memory.as_fd()))
    }

    /// Sends another descriptor on behind an order.
    pub(crate) fn hand_over(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        self.channel()?.send(&(), Some(descriptor))
    }

    /// Sends an order, with the line over which it is answered.
    pub(crate) fn order_over<T: Serialize>(&self, order: &T, line: BorrowedFd<'_>) -> io::Result<()> {
        self.channel()?.send(order, Some(line))
    }

    /// Waits a while for a report.
    pub(crate) fn report<T: DeserializeOwned>(&self, at_most: Duration) -> io::Result<Option<T>> {
        let channel = self.channel()?;
        if !channel.wait(at_most)? {
            return Ok(None);
        }
        match channel.receive()? {
            Some((report, _)) => Ok(Some(report)),
            None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the zygote is gone")),
        }
    }

    fn channel(&self) -> io::Result<&Channel> {
        self.channel.as_ref().ok_or_else(|| io::Error::other("the zygote is gone"))
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        // It takes the end of the channel for the end of its work.
        self.channel = None;
        _ = waitpid(self.pid, None);
    }
}

/// The zygote's life; gives back its exit code.
fn be_zygote(channel: &Channel, harness: Pid, build: Builder) -> i32 {
    let life = || {
        settle(harness)?;
        crate::engine::serve(channel, build)
    };
    match catch_unwind(AssertUnwindSafe(life)) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => {
            eprintln!("flockwork: zygote: {error}");
            1
        }
        Err(_) => lifeline::PANICKED,
    }
}

/// Makes the forked process fit to be the zygote.
fn settle(harness: Pid) -> io::Result<()> {
    lifeline::tie_to(harness)?;
    lifeline::call_oneself("fw-zygote");
    // A group of its own: Ctrl-C at the terminal goes to the harness, which ends the run cleanly. To ignore the signal
    // instead would be inherited by every program that a subject starts.
    nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    nix::sys::prctl::set_child_subreaper(true)?;
    // Think times are in microseconds; the kernel's default slack is fifty of them.
    nix::sys::prctl::set_timerslack(1)?;
    // A subject that crashes is reported; a core file would only fill the disk.
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // What a subject prints must not end up in the harness's data, and what is typed is not for it.
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    nix::unistd::dup2_stdout(io::stderr())?;
    Ok(())
}
