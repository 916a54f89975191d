//! One controlled process, seen from the controller: where it stopped, and how it is let go.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::process::attention::Attention;
use crate::process::clock::now_ns;
use crate::process::procfs;
use crate::process::sys::seccomp::{Listener, Notification, Reply};
use crate::tracee::memory::Memory;

/// How long a process may take to die of SIGKILL.
const DEATH: Duration = Duration::from_secs(10);
/// How long is waited for what shows in a moment.
const SOON: Duration = Duration::from_millis(1);

/// A process that stops at its system calls until it is told to go on.
#[derive(Debug)]
pub(super) struct Tracee {
    pub pid: u32,
    handle: OwnedFd,
    listener: Listener,
    stop: Option<Notification>,
    pub memory: Memory,
    /// Whether the kernel wakes it as soon as it is answered.
    pub wakes_in_step: bool,
}

/// What a process did once it was let go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arrival {
    /// It stopped at a call.
    Stopped(Notification),
    /// The process has ended, and its pidfd says so.
    Dead,
}

impl Tracee {
    /// Takes control of a process that has announced its listener.
    pub fn seize(pid: u32, listener: i32) -> io::Result<Self> {
        let raw = rustix::process::Pid::from_raw(pid.cast_signed()).ok_or(io::ErrorKind::InvalidInput)?;
        let handle = pidfd_open(raw, PidfdFlags::empty())?;
        let listener = Listener::from_fd(pidfd_getfd(&handle, listener, PidfdGetfdFlags::empty())?);
        // Without it everything works, and takes longer.
        let wakes_in_step = listener.wake_in_step().is_ok();
        Ok(Self { pid, handle, listener, stop: None, memory: Memory::of(pid)?, wakes_in_step })
    }

    /// A copy of one of its descriptors, of the same open file description.
    pub fn descriptor(&self, number: i32) -> io::Result<OwnedFd> {
        Ok(pidfd_getfd(&self.handle, number, PidfdGetfdFlags::empty())?)
    }

    /// Waits for it to stop or to end.
    pub fn arrive(&mut self) -> io::Result<Arrival> {
        let mut missed = None;
        loop {
            if !ends_with_its_last_process() && self.is_dead_before_it_stops()? {
                return Ok(Arrival::Dead);
            }
            match self.listener.receive() {
                Ok(stop) => {
                    self.stop = Some(stop);
                    return Ok(Arrival::Stopped(stop));
                }
                Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                    Some(Errno::EINTR) => {}
                    // It was killed between its stop and now, or nobody is left who could stop; or a signal interrupted
                    // it, and it stops again.
                    Some(Errno::ENOENT) if self.is_dead(SOON)? => return Ok(Arrival::Dead),
                    Some(Errno::ENOENT) if missed.get_or_insert_with(Instant::now).elapsed() < DEATH => {}
                    _ => return Err(error),
                },
            }
        }
    }

    /// For kernels on which to wait for a dead process's stop never ends.
    fn is_dead_before_it_stops(&self) -> io::Result<bool> {
        loop {
            let mut polled = [
                PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.handle.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut polled, PollTimeout::NONE) {
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    let has_stopped =
                        polled[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN));
                    return Ok(!has_stopped);
                }
            }
        }
    }

    /// Answers the call at which it stands. One that was killed meanwhile is found dead when it is waited for.
    pub fn answer(&mut self, reply: Reply) -> io::Result<()> {
        let Some(mut stop) = self.stop.take() else { return Ok(()) };
        loop {
            match self.listener.answer(stop.id, reply) {
                Err(error) if error.raw_os_error() == Some(Errno::ENOENT as i32) => {
                    let Some(again) = self.again(&stop)? else { return Ok(()) };
                    stop = again;
                }
                answered => return answered,
            }
        }
    }

    /// The call at which it stood, made again: whoever attaches to a process, stops or freezes it interrupts its call, and the
    /// kernel has it make the same one once it goes on. `None`: it is dead.
    fn again(&self, stood: &Notification) -> io::Result<Option<Notification>> {
        loop {
            let mut polled = [
                PollFd::new(self.handle.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut polled, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
                Ok(_) => {}
            }
            let [has_died, has_stopped] = polled
                .map(|polled| polled.revents().is_some_and(|events| events.contains(PollFlags::POLLIN)));
            if has_died {
                return Ok(None);
            }
            if !has_stopped {
                // Nobody is left who could stop: its death shows in a moment.
                std::thread::sleep(SOON);
                continue;
            }
            match self.listener.receive() {
                Ok(stop) if (stop.number, stop.args) == (stood.number, stood.args) => return Ok(Some(stop)),
                Ok(stop) => {
                    let (pid, found, stood) = (self.pid, stop.number, stood.number);
                    let why =
                        format!("process {pid} was interrupted in call {stood}, and made call {found} then");
                    return Err(io::Error::other(why));
                }
                Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                    Some(Errno::EINTR | Errno::ENOENT) => {}
                    _ => return Err(error),
                },
            }
        }
    }

    /// Whether it ends within a while: all its descriptors and locks are gone then.
    pub fn is_dead(&self, at_most: Duration) -> io::Result<bool> {
        let mut polled = [PollFd::new(self.handle.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(at_most).unwrap_or(PollTimeout::MAX);
        match poll(&mut polled, timeout) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Kills it, and waits until it is dead.
    pub fn kill(&mut self) -> io::Result<()> {
        _ = kill(Pid::from_raw(self.pid.cast_signed()), Signal::SIGKILL);
        if self.is_dead(DEATH)? {
            return Ok(());
        }
        Err(io::Error::other(format!("process {} does not die of SIGKILL", self.pid)))
    }
}

/// Whether this error, of a call that control rests on, says that the kernel does not have it, or that somebody forbids
/// it.
pub(super) fn is_unsupported(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::ENOSYS | Errno::EINVAL | Errno::EPERM | Errno::EACCES | Errno::EBUSY))
}

/// The error of a filter that could not be installed, with what it means.
pub(super) fn told(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EBUSY) => format!("{error}: something else controls it already"),
        Some(Errno::ENOSYS | Errno::EINVAL) => format!("{error}: seccomp offers no user notification"),
        _ => error.to_string(),
    }
}

/// Whether the kernel tells who waits for a stop that all who could stop have ended: since 6.11.
fn ends_with_its_last_process() -> bool {
    static ANSWER: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
        let system = rustix::system::uname();
        let release = system.release().to_string_lossy();
        let mut numbers = release.split('.').map_while(|number| number.parse::<u32>().ok());
        (numbers.next(), numbers.next()) >= (Some(6), Some(11))
    });
    *ANSWER
}

/// Kills a process that runs too long without a stop: by its own time on a processor where it runs, so that a busy
/// machine is not taken for a busy process.
#[derive(Debug)]
pub(super) struct Watchdog {
    shared: Arc<Watched>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Watched {
    /// The process that runs; 0 for none.
    pid: AtomicU32,
    since_ns: AtomicU64,
    fired: AtomicBool,
    over: AtomicBool,
}

impl Watchdog {
    const ROUND: Duration = Duration::from_millis(50);

    /// With this longest time, in nanoseconds, from one stop to the next.
    pub fn start(limit_ns: u64) -> io::Result<Self> {
        let shared = Arc::new(Watched::default());
        let watched = Arc::clone(&shared);
        let watch = move || watched.watch(limit_ns);
        let thread = std::thread::Builder::new().name("fw-watchdog".into()).spawn(watch)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// A process runs from now on.
    pub fn watch(&self, pid: u32) {
        self.shared.since_ns.store(now_ns(), Ordering::Relaxed);
        self.shared.pid.store(pid, Ordering::Release);
    }

    /// It stands again; whether it had to be killed.
    pub fn rest(&self) -> bool {
        self.shared.pid.store(0, Ordering::Release);
        self.shared.fired.swap(false, Ordering::AcqRel)
    }
}

impl Watched {
    fn watch(&self, limit_ns: u64) {
        let mut late = None;
        let mut attention = Attention::begin();
        while !self.over.load(Ordering::Relaxed) {
            std::thread::park_timeout(Watchdog::ROUND);
            let (pid, since_ns) = (self.pid.load(Ordering::Acquire), self.since_ns.load(Ordering::Relaxed));
            let since_ns = since_ns.max(attention.awake_since_ns());
            if pid == 0 || now_ns() < since_ns.saturating_add(limit_ns) {
                continue;
            }
            let late = Late::of(&mut late, pid, since_ns);
            if late.is_stuck(limit_ns) {
                // It is not reaped before its controller has seen it dead, so the pid is still its own.
                self.fired.store(true, Ordering::Release);
                _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            }
        }
    }
}

/// A process that did not stop in time.
struct Late {
    pid: u32,
    since_ns: u64,
    /// Its time on a processor when it was first found late.
    ran_ns: u64,
}

impl Late {
    fn of(known: &mut Option<Self>, pid: u32, since_ns: u64) -> &Self {
        let same = known.take_if(|late| late.pid == pid && late.since_ns == since_ns);
        known.insert(same.unwrap_or_else(|| Self { pid, since_ns, ran_ns: procfs::ran_ns(pid) }))
    }

    /// Whether the delay is its own: it runs and runs, or waits in the kernel for something else than its controller,
    /// which may be late itself.
    fn is_stuck(&self, limit_ns: u64) -> bool {
        match procfs::Stat::of(self.pid) {
            None => false,
            Some(stat) if stat.state == 'R' => procfs::ran_ns(self.pid) - self.ran_ns >= limit_ns,
            Some(_) => !procfs::wait_channel(self.pid).is_some_and(|channel| channel.contains("seccomp")),
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            _ = thread.join();
        }
    }
}
