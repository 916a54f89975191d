//! The spawner's life: it starts commands, tells how they end, and lets nothing outlive the harness.
//!
//! It has one thread and is the reaper of all that its commands start and leave. When the harness is gone, its channel
//! ends; then the spawner kills everything that it is the ancestor of, and ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, killpg};
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;

use super::words::{
    Ended, NotStarted, Settings, SpawnerMessage, SpawnerOrder, Start, Started, Status, Stray, Unready,
};
use super::{guard, namespace, nest};
use crate::process::attention::Deadline;
use crate::process::clock::now_ns;
use crate::process::procfs;
use crate::process::slot::{self, SlotSettings};
use crate::process::sys::{self, Forked, child, seccomp};
use crate::process::{Channel, Marker, children, lifeline};

/// What spawners are called in lists of processes.
const NAME: &str = "fw-spawner";

/// The zygote's part: forks a spawner that talks over this line.
pub(crate) fn raise(channel: &Channel, settings: &Settings, line: OwnedFd) -> io::Result<()> {
    // Spawners of runs that are over.
    while child::reap().is_ok_and(|reaped| reaped.is_some()) {}
    match sys::fork()? {
        Forked::Parent(_) => Ok(()),
        Forked::Child => {
            sys::close_parents_copy(channel.as_fd());
            let line = Channel::from(line);
            let work = || be(&line, settings);
            let code = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
                Ok(Ok(())) => 0,
                Ok(Err(_)) => 1,
                Err(_) => lifeline::PANICKED,
            };
            sys::exit_now(code)
        }
    }
}

fn be(line: &Channel, settings: &Settings) -> io::Result<()> {
    lifeline::call_oneself(NAME);
    lifeline::restore_signals()?;
    let (watch, listener) = match make_ready(settings) {
        Ok(ready) => ready,
        Err(why) => return line.send(&SpawnerMessage::Unready(why), None),
    };
    let pid = nix::unistd::getpid().as_raw().cast_unsigned();
    line.send(&SpawnerMessage::Ready(pid), listener.as_ref().map(AsFd::as_fd))?;
    // Whoever is under a filter must not keep its own listener alive: its end would go unheard.
    drop(listener);
    let mut spawner =
        Spawner { line, settings, watch, running: BTreeMap::new(), alone: None, is_guarded: false };
    let served = spawner.serve();
    spawner.kill_all()?;
    served
}

fn make_ready(settings: &Settings) -> Result<(SignalFd, Option<OwnedFd>), Unready> {
    let other = |error: io::Error| Unready::Other(error.to_string());
    // No terminal: a command that asks for one is told that there is none, rather than stopped.
    nix::unistd::setsid().map_err(|error| other(error.into()))?;
    nix::sys::prctl::set_child_subreaper(true).map_err(|error| other(error.into()))?;
    // Commands are to run with the slack that everybody has; the zygote's is for think times.
    nix::sys::prctl::set_timerslack(50_000).map_err(|error| other(error.into()))?;
    sys::note_signals().map_err(other)?;
    let watch = children::watch().map_err(other)?;
    if let Some(processor) = settings.processor {
        let mut set = CpuSet::new();
        set.set(processor)
            .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set))
            .map_err(|error| other(error.into()))?;
    }
    namespace::join(settings.network).map_err(|error| Unready::Namespace(error.to_string()))?;
    if !settings.binds.is_empty() {
        namespace::enter(&settings.binds).map_err(|error| Unready::Namespace(error.to_string()))?;
    }
    let listener = match &settings.filter {
        None => None,
        Some(filter) => {
            let filter: Vec<_> =
                filter.iter().map(|&(code, jt, jf, k)| seccomp::Instruction { code, jt, jf, k }).collect();
            Some(seccomp::install(&filter).map_err(|error| Unready::Filter(error.to_string()))?)
        }
    };
    Ok((watch, listener))
}

/// The state of a spawner that is at work.
struct Spawner<'s> {
    line: &'s Channel,
    settings: &'s Settings,
    watch: SignalFd,
    /// Commands that have not ended: their slots by their pids.
    running: BTreeMap<u32, u32>,
    /// The one after which everything is to settle.
    alone: Option<Alone>,
    /// Whether commands are kept from signalling everybody.
    is_guarded: bool,
}

/// A command after which everything is to settle.
struct Alone {
    slot: u32,
    grace: Duration,
    kill: bool,
}

/// What was found as children were reaped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Children {
    Some,
    /// There are none: nothing that was started is there, nor anything that it left behind.
    None,
}

/// What there is to do.
struct Ready {
    order: bool,
    child: bool,
}

impl Spawner<'_> {
    /// Until the harness is gone.
    fn serve(&mut self) -> io::Result<()> {
        loop {
            let ready = self.wait(None)?;
            if ready.child || sys::has_noted_signal() {
                self.reap()?;
            }
            if ready.order {
                let Some((order, memory)) = self.line.receive::<SpawnerOrder>()? else { return Ok(()) };
                self.fulfil(order, memory)?;
            }
        }
    }

    fn wait(&self, at_most: Option<Duration>) -> io::Result<Ready> {
        let mut polled = [
            PollFd::new(self.line.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.watch.as_fd(), PollFlags::POLLIN),
        ];
        // Rounded up: a wait of less than a millisecond must not become none.
        let timeout = at_most.map_or(PollTimeout::NONE, |at_most| {
            PollTimeout::try_from(at_most + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut polled, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [order, child] = polled.map(|polled| polled.any().unwrap_or(true));
        Ok(Ready { order, child })
    }

    fn fulfil(&mut self, order: SpawnerOrder, memory: Option<OwnedFd>) -> io::Result<()> {
        match order {
            SpawnerOrder::Start(starts) => {
                self.guard();
                let started = starts.iter().map(|start| self.start(start)).collect();
                self.line.send(&SpawnerMessage::Started(started), None)?;
                // Whoever ended while signals were let in was not heard of.
                self.reap().map(drop)
            }
            SpawnerOrder::Run { start, grace_ns, kill } => {
                self.guard();
                self.alone = Some(Alone { slot: start.slot, grace: Duration::from_nanos(grace_ns), kill });
                if let Err(error) = self.start(&start) {
                    self.alone = None;
                    self.line.send(&SpawnerMessage::Ran(Err(error)), None)?;
                }
                self.reap().map(drop)
            }
            SpawnerOrder::Pid { slot } => self.line.send(&SpawnerMessage::Pid(self.pid_of(slot)), None),
            SpawnerOrder::Signal { slot, signal } => {
                let pid = self.pid_of(slot);
                if let (Some(pid), Ok(signal)) = (pid, Signal::try_from(signal)) {
                    // The leader is our child and not reaped, so that its number is nobody else's, and a group of that
                    // number is its own. Where it has just been forked and is not in its group yet, it gets the signal
                    // alone.
                    let pid = Pid::from_raw(pid.cast_signed());
                    if killpg(pid, signal).is_err() {
                        _ = kill(pid, signal);
                    }
                }
                Ok(())
            }
            SpawnerOrder::Settle { grace_ns, kill } => {
                let strays = self.settle(Duration::from_nanos(grace_ns), kill)?;
                self.line.send(&SpawnerMessage::Settled(strays), None)
            }
            SpawnerOrder::Slot(settings) => {
                let forked = memory.ok_or_else(|| io::Error::other("a slot needs memory"));
                let forked = forked.and_then(|memory| self.fork_slot(&settings, memory));
                self.line.send(&SpawnerMessage::Slot(forked.map_err(|error| error.to_string())), None)
            }
            SpawnerOrder::Nest => {
                let made = nest::make(self.line.as_fd()).map_err(|error| error.to_string());
                self.line.send(&SpawnerMessage::Nest(made), None)
            }
            SpawnerOrder::Clear => {
                let strays = self.strays();
                self.kill_all()?;
                self.line.send(&SpawnerMessage::Settled(strays), None)
            }
        }
    }

    /// Commands are about to run freely: what is under control is guarded by its controller.
    fn guard(&mut self) {
        if !std::mem::replace(&mut self.is_guarded, true) && self.settings.filter.is_none() {
            guard::against_signals_for_all();
        }
    }

    fn pid_of(&self, slot: u32) -> Option<u32> {
        self.running.iter().find(|(_, running)| **running == slot).map(|(pid, _)| *pid)
    }

    fn fork_slot(&self, settings: &SlotSettings, memory: OwnedFd) -> io::Result<u32> {
        let spawner = nix::unistd::getpid();
        match sys::fork()? {
            Forked::Parent(slot) => Ok(slot.as_raw().cast_unsigned()),
            Forked::Child => {
                sys::close_parents_copy(self.line.as_fd());
                slot::live(settings, memory, spawner)
            }
        }
    }

    fn start(&mut self, start: &Start) -> Result<Started, NotStarted> {
        let spawned = self
            .spawn(start)
            .map_err(|error| NotStarted { errno: error.raw_os_error(), message: error.to_string() })?;
        self.running.insert(spawned, start.slot);
        Ok(Started { pid: spawned, at_ns: now_ns() })
    }

    fn spawn(&self, start: &Start) -> io::Result<u32> {
        let (name, arguments) = start.words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let stdin = match &start.stdin {
            Some(path) => Stdio::from(File::open(path)?),
            None => Stdio::null(),
        };
        let mut command = Command::new(&start.program);
        command
            .arg0(name)
            .args(arguments)
            .env(Marker::VARIABLE, &self.settings.marker)
            .envs(self.settings.environment.iter().map(|(name, value)| (name, value)))
            .envs(start.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&start.folder)
            .stdin(stdin)
            .stdout(File::create(&start.stdout)?)
            .stderr(File::create(&start.stderr)?)
            .process_group(0);
        // This process hears of its children by a descriptor, with SIGCHLD blocked. A command that inherited that would not
        // hear of its own: `wait` of a shell would never return.
        let own = SigSet::empty().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        let spawned = command.spawn();
        own.thread_set_mask()?;
        // The handle is not needed: all children are reaped in one place.
        Ok(spawned?.id())
    }

    /// Reaps whoever has ended, and tells of commands.
    fn reap(&mut self) -> io::Result<Children> {
        if let Some(signal) = sys::noted_signal() {
            self.line.send(&SpawnerMessage::Signalled(signal), None)?;
        }
        while matches!(self.watch.read_signal(), Ok(Some(_))) {}
        let mut alone = None;
        let children = loop {
            let reaped = match child::reap() {
                Ok(Some(reaped)) => reaped,
                Ok(None) => break Children::Some,
                Err(error) if error.raw_os_error() == Some(libc::ECHILD) => break Children::None,
                Err(error) => return Err(error),
            };
            if self.is_guarded && reaped.signal == Some(libc::SIGSYS) {
                self.line.send(&SpawnerMessage::Signalled(libc::SIGSYS), None)?;
            }
            let Some(slot) = self.running.remove(&reaped.pid) else { continue };
            let status = match (reaped.code, reaped.signal) {
                (Some(code), _) => Status::Exited(code),
                (None, signal) => Status::Signaled(signal.unwrap_or(0)),
            };
            let processor_ns = u64::try_from(reaped.processor.as_nanos()).unwrap_or(u64::MAX);
            let at_ns = now_ns();
            let memory_bytes_max = reaped.memory_bytes_max;
            let ended = Ended { slot, status, at_ns, processor_ns, memory_bytes_max };
            match self.alone.take_if(|alone| alone.slot == slot) {
                Some(settling) => alone = Some((ended, settling)),
                None => self.line.send(&SpawnerMessage::Ended(ended), None)?,
            }
        };
        let Some((ended, Alone { grace, kill, .. })) = alone else { return Ok(children) };
        if children == Children::None {
            self.line.send(&SpawnerMessage::Ran(Ok(ended)), None)?;
            return Ok(children);
        }
        self.line.send(&SpawnerMessage::Ended(ended), None)?;
        let strays = self.settle(grace, kill)?;
        self.line.send(&SpawnerMessage::Settled(strays), None)?;
        Ok(Children::Some)
    }

    /// What commands left behind: children of this process that are no commands, and what these started.
    fn strays(&self) -> Vec<Stray> {
        let own = nix::unistd::getpid().as_raw().cast_unsigned();
        let mut strays: Vec<u32> =
            procfs::children(own).into_iter().filter(|pid| !self.running.contains_key(pid)).collect();
        let mut at = 0;
        while let Some(&pid) = strays.get(at) {
            strays.extend(procfs::children(pid));
            at += 1;
        }
        let is_alive = |pid: &u32| procfs::lives(*pid);
        let stray = |pid| Stray { pid, name: procfs::name(pid).unwrap_or_else(|| "?".into()) };
        strays.into_iter().filter(is_alive).map(stray).collect()
    }

    fn settle(&mut self, grace: Duration, kill: bool) -> io::Result<Vec<Stray>> {
        let mut deadline = Deadline::after(grace);
        loop {
            let children = self.reap()?;
            let strays = if children == Children::None { Vec::new() } else { self.strays() };
            if strays.is_empty() {
                return Ok(strays);
            }
            let left = deadline.left();
            if left.is_zero() {
                if kill {
                    self.kill_strays()?;
                }
                return Ok(strays);
            }
            // A stray's own children end unheard: hence not too long.
            let ready = self.wait(Some(left.min(Duration::from_millis(5))))?;
            if ready.order && self.is_left() {
                return Ok(strays);
            }
        }
    }

    /// Whether the harness is gone.
    fn is_left(&self) -> bool {
        let mut polled = [PollFd::new(self.line.as_fd(), PollFlags::empty())];
        poll(&mut polled, PollTimeout::ZERO).is_ok() && polled[0].any().unwrap_or(true)
    }

    fn kill_strays(&mut self) -> io::Result<()> {
        let own = nix::unistd::getpid().as_raw().cast_unsigned();
        loop {
            // Whoever is killed leaves its children to this process: no process hides behind another for long. Of children of
            // one's own no pid can be reused before they are reaped here.
            let strays: Vec<u32> =
                procfs::children(own).into_iter().filter(|pid| !self.running.contains_key(pid)).collect();
            if strays.is_empty() {
                return Ok(());
            }
            for pid in strays {
                _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            }
            self.wait(Some(Duration::from_millis(1)))?;
            self.reap()?;
        }
    }

    /// Kills and reaps all that this process is the ancestor of.
    fn kill_all(&mut self) -> io::Result<()> {
        while !self.running.is_empty() {
            for &pid in self.running.keys() {
                _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            }
            let mut polled = [PollFd::new(self.watch.as_fd(), PollFlags::POLLIN)];
            _ = poll(&mut polled, PollTimeout::from(10_u8));
            // Nobody may be left to be told.
            if let Err(error) = self.reap()
                && self.running.is_empty()
            {
                return self.kill_strays().and(Err(error));
            }
        }
        self.kill_strays()
    }
}
