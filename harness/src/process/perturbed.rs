//! A command whose calls are held back one by one: it runs under a filter of seccomp, and whoever started it answers each call
//! when its time has come. Nothing is changed of any call.
//!
//! What a command leaves behind stays under the filter, and must be answered for as long as it is there.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use rustix::thread::futex;

use super::attention::{Attention, Deadline};
use super::clock::now_ns;
use super::sys::seccomp::{self, Instruction, Listener, Notification, Reply};
use super::sys::{self, Forked, Mapping};

/// How long a child may take until it stands under its filter.
const READY: Duration = Duration::from_secs(20);

/// Says by how many nanoseconds a call is delayed; none: it goes on at once.
pub(crate) type Decide = dyn FnMut(&Notification) -> Option<u64>;

/// Holds calls of commands back.
pub struct Perturber {
    filter: Vec<Instruction>,
    decide: Box<Decide>,
    /// Whose calls are answered: the command's at work, and those of what others left behind.
    listeners: Vec<Listener>,
    held: Vec<Held>,
    /// By how much calls of the command at work were delayed.
    delayed_ns: u64,
    /// Whether a signal interrupted a call of the command at work before that was let go.
    interrupted: bool,
    /// The time that was seen to pass.
    attention: Attention,
    /// When anything was called last, or a call was let go, as it was seen.
    last_ns: u64,
}

/// A call that is held back.
struct Held {
    until_ns: u64,
    listener: usize,
    id: u64,
}

impl fmt::Debug for Perturber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Perturber").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

/// The number of the child's listener + 1, a futex; [`u32::MAX`] where there will never be one.
const LISTENER: usize = 0;
/// The number of the error for which the child did not become the command; 0 for none.
const ERROR: usize = 1;
/// How many bytes a child tells these in.
const BYTES: usize = 64;

/// What a child tells in shared memory: under its filter, every call of it must be answered.
#[derive(Debug)]
struct Words(Mapping);

impl Words {
    fn new() -> io::Result<Self> {
        let memory = rustix::fs::memfd_create("flockwork-filter", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&memory, BYTES as u64)?;
        Ok(Self(Mapping::of(memory, BYTES)?))
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        &self.0.view::<AtomicU32>(0, 2)[at]
    }

    fn ring_listener(&self, value: u32) {
        self.word(LISTENER).store(value, Ordering::Release);
        // The parent may not wait yet.
        _ = futex::wake(self.word(LISTENER), futex::Flags::empty(), 1);
    }

    fn fail(&self, error: &io::Error) {
        let errno = error.raw_os_error().unwrap_or(libc::EIO).cast_unsigned();
        self.word(ERROR).store(errno, Ordering::Release);
    }

    fn error(&self) -> Option<io::Error> {
        match self.word(ERROR).load(Ordering::Acquire) {
            0 => None,
            errno => Some(io::Error::from_raw_os_error(errno.cast_signed())),
        }
    }

    /// The number of the child's listener, once it is there.
    fn listener(&self) -> io::Result<i32> {
        let mut deadline = Deadline::after(READY);
        let a_while = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        while !deadline.is_over() {
            match self.word(LISTENER).load(Ordering::Acquire) {
                0 => _ = futex::wait(self.word(LISTENER), futex::Flags::empty(), 0, Some(&a_while)),
                u32::MAX => return Err(self.error().unwrap_or_else(|| io::ErrorKind::Unsupported.into())),
                number => return Ok((number - 1).cast_signed()),
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "a child does not come under its filter"))
    }
}

/// A child that is about to become a command.
#[derive(Debug)]
pub(crate) struct Starting {
    pub pid: u32,
    words: Words,
}

impl Starting {
    /// Why it did not become the command, once it has ended; nothing where it did.
    pub fn failure(&self) -> Option<io::Error> {
        self.words.error()
    }
}

impl Perturber {
    /// Commands run under this filter; `decide` says what is done to a call that it stops.
    pub(crate) fn new(filter: Vec<Instruction>, decide: Box<Decide>) -> Self {
        let mut attention = Attention::begin();
        let last_ns = attention.now_ns();
        Self {
            filter,
            decide,
            listeners: Vec::new(),
            held: Vec::new(),
            delayed_ns: 0,
            interrupted: false,
            attention,
            last_ns,
        }
    }

    /// By how much calls of the command at work were delayed so far, in nanoseconds.
    pub(crate) const fn delayed_ns(&self) -> u64 {
        self.delayed_ns
    }

    /// How long nothing has been called, in nanoseconds: whoever still calls, or is held back, is slow and does not hang.
    pub(crate) fn quiet_ns(&mut self) -> u64 {
        if self.held.is_empty() { self.attention.now_ns() - self.last_ns } else { 0 }
    }

    /// Whether calls of the command at work may have failed that never do: a signal interrupted one before it was let go, or a
    /// task was killed. What comes of that is no fault of the command's own.
    pub(crate) fn was_interrupted(&self) -> bool {
        self.interrupted || self.listeners.iter().any(Listener::has_missed)
    }

    /// Starts a command under the filter. The caller must have one thread.
    pub(crate) fn start(&mut self, mut command: Command) -> io::Result<Starting> {
        (self.delayed_ns, self.last_ns, self.interrupted) = (0, self.attention.now_ns(), false);
        self.listeners.iter().for_each(Listener::start_over);
        let words = Words::new()?;
        match sys::fork()? {
            Forked::Parent(child) => {
                let listener = words.listener().and_then(|number| take(child, number));
                match listener {
                    Ok(listener) => {
                        self.listeners.push(listener);
                        Ok(Starting { pid: child.as_raw().cast_unsigned(), words })
                    }
                    Err(error) => {
                        // It may have ended by itself.
                        _ = kill(child, Signal::SIGKILL);
                        _ = waitpid(child, None);
                        Err(error)
                    }
                }
            }
            Forked::Child => {
                match seccomp::install_uninterrupted(&self.filter) {
                    Ok((listener, _)) => {
                        words.ring_listener(listener.as_raw_fd().cast_unsigned() + 1);
                        words.fail(&command.exec());
                    }
                    Err(error) => {
                        words.fail(&error);
                        words.ring_listener(u32::MAX);
                    }
                }
                sys::exit_now(127)
            }
        }
    }

    /// What is to be waited for besides.
    pub(crate) fn polled(&self) -> impl Iterator<Item = PollFd<'_>> {
        self.listeners.iter().map(|listener| PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN))
    }

    /// When the next call is to be let go.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        self.held.iter().map(|held| held.until_ns).min()
    }

    /// Answers calls whose time has come, and takes what was stopped since.
    pub(crate) fn serve(&mut self) -> io::Result<()> {
        let mut gone = Vec::new();
        for at in 0..self.listeners.len() {
            loop {
                let mut polled = [PollFd::from_borrowed_fd(self.listeners[at].as_fd(), PollFlags::IN)];
                let now = Timespec { tv_sec: 0, tv_nsec: 0 };
                _ = poll(&mut polled, Some(&now));
                let seen = polled[0].revents();
                if seen.contains(PollFlags::IN) {
                    self.take(at)?;
                } else {
                    if seen.contains(PollFlags::HUP) {
                        gone.push(at);
                    }
                    break;
                }
            }
        }
        let seen_ns = self.attention.now_ns();
        let now_ns = now_ns();
        let (due, held): (Vec<Held>, Vec<Held>) =
            std::mem::take(&mut self.held).into_iter().partition(|held| held.until_ns <= now_ns);
        self.held = held;
        if !due.is_empty() {
            self.last_ns = seen_ns;
        }
        for held in &due {
            answer(&self.listeners[held.listener], held.id)?;
        }
        for at in gone.into_iter().rev() {
            self.listeners.remove(at);
            self.held.retain(|held| held.listener != at);
            for held in self.held.iter_mut().filter(|held| held.listener > at) {
                held.listener -= 1;
            }
        }
        Ok(())
    }

    fn take(&mut self, at: usize) -> io::Result<()> {
        self.last_ns = self.attention.now_ns();
        let stop = match self.listeners[at].receive() {
            Ok(stop) => stop,
            // It was killed meanwhile, or interrupted.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => return Ok(()),
            Err(error) => return Err(error),
        };
        match (self.decide)(&stop) {
            None => answer(&self.listeners[at], stop.id),
            Some(delay_ns) => {
                if at + 1 == self.listeners.len() {
                    self.delayed_ns = self.delayed_ns.saturating_add(delay_ns);
                }
                self.held.push(Held { until_ns: now_ns() + delay_ns, listener: at, id: stop.id });
                Ok(())
            }
        }
    }

    /// Answers for what commands left behind until that is gone, or for so long.
    pub(crate) fn serve_the_left(&mut self, at_most_ns: u64) -> io::Result<()> {
        let until_ns = now_ns() + at_most_ns;
        loop {
            self.serve()?;
            let now_ns = now_ns();
            if self.listeners.is_empty() || now_ns >= until_ns {
                return Ok(());
            }
            let next_ns = self.next_ns().unwrap_or(until_ns).min(until_ns).saturating_sub(now_ns);
            let mut polled: Vec<PollFd<'_>> = self.polled().collect();
            let wait = Timespec { tv_sec: 0, tv_nsec: next_ns.min(20_000_000).cast_signed() };
            _ = poll(&mut polled, Some(&wait));
        }
    }
}

/// Takes the listener with this number from a child.
fn take(child: Pid, number: i32) -> io::Result<Listener> {
    let child = rustix::process::Pid::from_raw(child.as_raw()).ok_or(io::ErrorKind::InvalidInput)?;
    let handle = pidfd_open(child, PidfdFlags::empty())?;
    Ok(Listener::from_fd(pidfd_getfd(&handle, number, PidfdGetfdFlags::empty())?))
}

fn answer(listener: &Listener, id: u64) -> io::Result<()> {
    match listener.answer(id, Reply::Continue) {
        // It was killed meanwhile, or interrupted; a kernel that closes a descriptor for it says the other.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINPROGRESS)) => Ok(()),
        answered => answered,
    }
}

/// Whether commands can be run under such a filter; else why not. The caller must have one thread.
pub(crate) fn try_it(filter: &[Instruction]) -> io::Result<()> {
    let mut perturber = Perturber::new(filter.to_vec(), Box::new(|_| None));
    let starting = perturber.start(Command::new("/bin/true"))?;
    perturber.serve_the_left(READY.as_nanos() as u64)?;
    waitpid(Pid::from_raw(starting.pid.cast_signed()), None)?;
    match starting.failure() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
