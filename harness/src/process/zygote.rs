//! The zygote: a small single-threaded process, forked before any thread exists, from which all others are forked.
//!
//! The harness itself has threads by the time it runs anything, and a process with threads must not fork: locks held by
//! other threads would stay locked for ever in the child. The zygote never starts a thread. It also reaps what its
//! workers leave behind, and dies with its parent, the warden, which dies when the harness does.

use std::any::Any;
use std::fmt::Debug;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use flockwork::{ProcessIdentity, View};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use rustix::process::{Resource, Rlimit};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::attention::Deadline;
use super::channel::Channel;
use super::region::Region;
use super::sys::{self, Forked};
use super::warden;
use super::{lifeline, procfs, spawner};

/// How long a harness that was killed may take to be seen dead.
const DEATH_MAX: Duration = Duration::from_secs(5);

/// What a zygote is for: it is handed to it, and here nobody knows more of it.
pub(crate) trait Server: Any + Debug + Send + Sync {
    /// Serves orders until the other end of the channel is closed; in the zygote, which has one thread.
    fn serve(&self, channel: &Channel) -> io::Result<()>;

    /// Clears what a harness that has ended had on disk; in the warden.
    fn clear(&self);
}

/// What the harness may ask of its zygote: to fork a spawner of commands, or what its server is for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Request<T> {
    /// Fork a spawner; the descriptor is the line over which it is talked to.
    Spawner(Box<spawner::Settings>),
    /// What the zygote's server is to do.
    Server(T),
}

/// The harness's hold on its zygote. When it is dropped, the zygote ends, and with it all that it forked.
#[derive(Debug)]
pub struct Zygote {
    channel: Option<Channel>,
    pid: Pid,
    /// Its parent, and our child.
    warden: Pid,
    server: Box<dyn Server>,
}

impl Zygote {
    /// Forks a zygote with this server. With threads it is an error.
    pub(crate) fn fork_for(server: Box<dyn Server>) -> io::Result<Self> {
        if View::here().is_none() {
            return Err(procfs::no_view());
        }
        let threads = fs::read_dir("/proc/self/task")?.count();
        if threads != 1 {
            let why = format!("the zygote must be forked before any thread starts, and there are {threads}");
            return Err(io::Error::other(why));
        }
        // A write beyond the limit of a file's size (ulimit -f) is to fail, and be told; not to end whoever writes.
        sys::ignore(Signal::SIGXFSZ)?;
        let (ours, theirs) = Channel::pair()?;
        let harness = nix::unistd::getpid();
        match sys::fork()? {
            Forked::Parent(warden) => {
                drop(theirs);
                match ours.receive::<Result<i32, String>>()? {
                    Some((Ok(pid), _)) => {
                        Ok(Self { channel: Some(ours), pid: Pid::from_raw(pid), warden, server })
                    }
                    Some((Err(why), _)) => Err(io::Error::other(why)),
                    None => Err(io::Error::other("the warden ended before it had forked the zygote")),
                }
            }
            Forked::Child => {
                drop(ours);
                sys::exit_now(be_warden(theirs, harness, &*server));
            }
        }
    }

    /// The process number of the zygote.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().cast_unsigned()
    }

    /// Its server, if it is of this kind.
    pub(crate) fn server<S: Server>(&self) -> Option<&S> {
        let server: &dyn Any = &*self.server;
        server.downcast_ref()
    }

    /// Sends an order to its server, with the region it is about.
    pub(crate) fn order<T: Serialize>(&self, order: &T, region: &Region) -> io::Result<()> {
        let memory = region.memory();
        self.channel()?.send(&Request::Server(order), Some(memory.as_fd()))
    }

    /// Has it fork a spawner, with the line over which that is talked to.
    pub(crate) fn order_spawner(&self, settings: spawner::Settings, line: BorrowedFd<'_>) -> io::Result<()> {
        self.channel()?.send(&Request::<()>::Spawner(Box::new(settings)), Some(line))
    }

    /// Sends another descriptor on behind an order.
    pub(crate) fn hand_over(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        self.channel()?.send(&(), Some(descriptor))
    }

    /// Sends an order to its server, with the line over which it is answered.
    pub(crate) fn order_over<T: Serialize>(&self, order: &T, line: BorrowedFd<'_>) -> io::Result<()> {
        self.channel()?.send(&Request::Server(order), Some(line))
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
        _ = waitpid(self.warden, None);
    }
}

/// The warden's life; gives back its exit code.
fn be_warden(channel: Channel, harness: Pid, server: &dyn Server) -> i32 {
    // What is signalled to it is not for the zygote, and what it blocks is not blocked there.
    let fork_zygote = || {
        let mask = SigSet::thread_get_mask()?;
        warden::settle()?;
        let listener = warden::Listener::new(harness)?;
        let owner = ProcessIdentity::of(harness.as_raw().cast_unsigned());
        let warden = nix::unistd::getpid();
        match sys::fork()? {
            Forked::Parent(zygote) => Ok((listener, owner, zygote)),
            Forked::Child => {
                let unblocked = mask.thread_set_mask().map_err(io::Error::from);
                sys::exit_now(be_zygote(&channel, warden, server, unblocked))
            }
        }
    };
    let begun: io::Result<_> = fork_zygote();
    let told = begun.as_ref().map(|(.., zygote)| zygote.as_raw()).map_err(ToString::to_string);
    let is_told = channel.send(&told, None).is_ok();
    drop(channel);
    match begun {
        Ok((listener, owner, zygote)) if is_told => {
            warden::watch(&listener, zygote, || clear_after(owner, server))
        }
        _ => 1,
    }
}

/// Clears what a harness that has ended had on disk.
fn clear_after(owner: Option<ProcessIdentity>, server: &dyn Server) {
    let mut deadline = Deadline::after(DEATH_MAX);
    // It is told of its end a moment before that can be seen.
    while owner.is_some_and(ProcessIdentity::is_alive) && !deadline.is_over() {
        std::thread::sleep(Duration::from_millis(1));
    }
    server.clear();
}

/// The zygote's life; gives back its exit code.
fn be_zygote(channel: &Channel, warden: Pid, server: &dyn Server, unblocked: io::Result<()>) -> i32 {
    let life = || {
        unblocked?;
        settle(warden)?;
        server.serve(channel)
    };
    match catch_unwind(AssertUnwindSafe(life)) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => {
            eprintln!("flockwork: zygote: {}", flockwork::printable(&error.to_string()));
            1
        }
        Err(_) => lifeline::PANICKED,
    }
}

/// Makes the forked process fit to be the zygote.
fn settle(warden: Pid) -> io::Result<()> {
    lifeline::tie_to(warden)?;
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
