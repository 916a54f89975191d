//! The workers: forks a run's processes, sends them signals, and reaps them.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::context::{Post, RunContext};
use super::fresh;
use super::wire::{Departure, Report};
use crate::process::attention::Deadline;
use crate::process::clock::now_ns;
use crate::process::overlap::{Identity, clear_all};
use crate::process::procfs::Stat;
use crate::process::sys::{self, Forked};
use crate::process::{Channel, children, lifeline};

/// How long a process may take to die of SIGKILL before the harness gives it up.
const DEATH_MAX: Duration = Duration::from_secs(10);

/// What a process does with its life; gives back its exit code.
pub(super) type Life<'l> = &'l dyn Fn(&Post<'_>) -> i32;

/// Who sits at one number.
#[derive(Clone, Debug)]
enum Member {
    Vacant,
    Living {
        pid: Pid,
        incarnation: u32,
        killed_ns: Option<u64>,
    },
    /// It is reaped, but a fresh process that acts for it is not.
    Acting {
        child: Pid,
        departure: Departure,
    },
}

/// All processes of a run.
pub(super) struct Workers<'s> {
    pub context: &'s RunContext,
    channel: &'s Channel,
    signals: SignalFd,
    members: Vec<Member>,
    incarnations: u32,
}

impl<'s> Workers<'s> {
    pub fn new(context: &'s RunContext, channel: &'s Channel) -> io::Result<Self> {
        let signals = children::watch()?;
        let members = vec![Member::Vacant; context.order.layout.slots() as usize];
        Ok(Self { context, channel, signals, members, incarnations: 0 })
    }

    /// Forks a process for a number at which nobody sits.
    pub fn start(&mut self, process: u32, life: Life<'_>) -> io::Result<()> {
        self.incarnations += 1;
        let identity = Identity { process, incarnation: self.incarnations };
        let post = Post { context: self.context, identity };
        match sys::fork()? {
            Forked::Child => {
                sys::close_parents_copy(self.channel.as_fd());
                sys::close_parents_copy(self.signals.as_fd());
                lifeline::live(&self.context.region, process, || {
                    let tied =
                        lifeline::tie_to(self.context.zygote).and_then(|()| lifeline::unblock_signals());
                    if let Err(error) = tied {
                        lifeline::leave_words(post.header(), &format!("cannot set the process up: {error}"));
                        return lifeline::UNOPENED;
                    }
                    lifeline::call_oneself(&format!("fw-{process}"));
                    life(&post)
                })
            }
            Forked::Parent(pid) => {
                self.members[process as usize] =
                    Member::Living { pid, incarnation: identity.incarnation, killed_ns: None };
                Ok(())
            }
        }
    }

    /// Everybody who has not been reaped, and lived when last seen: number and pid.
    pub fn living(&self) -> impl Iterator<Item = (u32, Pid)> + '_ {
        self.members.iter().zip(0..).filter_map(|(member, process)| match member {
            Member::Living { pid, .. } => Some((process, *pid)),
            Member::Vacant | Member::Acting { .. } => None,
        })
    }

    /// Those who live and have not been sent SIGKILL.
    pub fn unharmed(&self) -> impl Iterator<Item = u32> + '_ {
        self.members.iter().zip(0..).filter_map(|(member, process)| match member {
            Member::Living { killed_ns: None, .. } => Some(process),
            _ => None,
        })
    }

    /// Whether nobody sits at any of these numbers.
    pub fn all_gone(&self, mut processes: std::ops::Range<u32>) -> bool {
        processes.all(|process| matches!(self.members[process as usize], Member::Vacant))
    }

    /// Whether a worker has done all it should.
    pub fn has_finished(&self, process: u32) -> bool {
        self.context.region.header(process).finished_ns.load(Ordering::Acquire) != 0
    }

    /// Sends SIGKILL, once.
    pub fn kill(&mut self, process: u32) {
        if let Member::Living { pid, incarnation, killed_ns: killed_ns @ None } =
            &mut self.members[process as usize]
        {
            // Stamped, and said, before the signal: nobody may see the effect and not the cause.
            *killed_ns = Some(now_ns());
            self.context.region.header(process).killed_incarnation.store(*incarnation, Ordering::Release);
            _ = kill(*pid, Signal::SIGKILL);
        }
    }

    /// Sends SIGKILL to everybody.
    pub fn kill_all(&mut self) {
        for process in self.unharmed().collect::<Vec<_>>() {
            self.kill(process);
        }
    }

    /// Waits for a process to end, for the harness to go, or for the time to pass; gives back who ended.
    pub fn wait(&mut self, at_most_ns: u64) -> io::Result<Vec<Departure>> {
        children::wait(&self.signals, self.channel, Duration::from_nanos(at_most_ns))?;
        self.reap()
    }

    /// Waits until nobody is left at these numbers; gives back who ended meanwhile.
    pub fn wait_until_gone(&mut self, processes: std::ops::Range<u32>) -> io::Result<Vec<Departure>> {
        let mut deadline = Deadline::after(DEATH_MAX);
        let mut departures = Vec::new();
        while !self.all_gone(processes.clone()) {
            departures.extend(self.wait(20_000_000)?);
            if deadline.is_over() {
                let left = self.living().map(|(process, pid)| format!("process {process} (pid {pid})"));
                let left = left.collect::<Vec<_>>().join(", ");
                return Err(io::Error::other(format!("does not die of SIGKILL: {left}")));
            }
        }
        Ok(departures)
    }

    fn reap(&mut self) -> io::Result<Vec<Departure>> {
        let mut departures = Vec::new();
        loop {
            let (pid, how) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, code),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, -(signal as i32)),
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => break,
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            if let Some(departure) = self.reaped(pid, how) {
                departure.is_the_subjects()?;
                self.close_books(&departure);
                self.channel.send(&Report::Departed(departure.clone()), None)?;
                departures.push(departure);
            }
        }
        Ok(departures)
    }

    /// Takes note of a reaped process; gives back whose departure that completes. Others are orphans of the subject.
    fn reaped(&mut self, pid: Pid, how: i32) -> Option<Departure> {
        let reaped_ns = now_ns();
        let is_pid = |member: &Member| match member {
            Member::Living { pid: own, .. } => *own == pid,
            Member::Acting { child, .. } => *child == pid,
            Member::Vacant => false,
        };
        let process = self.members.iter().position(is_pid)?;
        let header = self.context.region.header(process as u32);
        let departure = match std::mem::replace(&mut self.members[process], Member::Vacant) {
            Member::Vacant => return None,
            Member::Acting { departure, .. } => return Some(Departure { reaped_ns, ..departure }),
            Member::Living { incarnation, killed_ns, .. } => Departure {
                process: process as u32,
                incarnation,
                pid: pid.as_raw().cast_unsigned(),
                how,
                killed_ns,
                reaped_ns,
                last_words: lifeline::take_words(header).filter(|_| how != 0),
            },
        };
        if let Some(child) = fresh::take_child(header)
            && Stat::of(child.as_raw().cast_unsigned())
                .is_some_and(|stat| stat.parent == self.context.zygote.as_raw().cast_unsigned())
        {
            // It is our child now, and as good as dead; but it may still act until it is.
            _ = kill(child, Signal::SIGKILL);
            self.members[process] = Member::Acting { child, departure };
            return None;
        }
        Some(departure)
    }

    /// Whatever the process left open is closed: it can no longer act.
    fn close_books(&self, departure: &Departure) {
        let region = &self.context.region;
        clear_all(region, departure.identity());
        let published = region.header(departure.process).published.load(Ordering::Acquire);
        let last = published.checked_sub(1).map(|index| &region.entries(departure.process)[index as usize]);
        if let Some(entry) = last.filter(|entry| entry.return_ns().is_none()) {
            entry.close_unknown(departure.reaped_ns);
        }
        if departure.is_crash() {
            region.control().crashes.fetch_add(1, Ordering::Relaxed);
        }
    }
}
