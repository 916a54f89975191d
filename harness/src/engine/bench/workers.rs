//! The workers of one round: forks its processes, and reaps them.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::wire::{Departure, How};
use super::worker::{RoundContext, work};
use crate::process::sys::{self, Forked};
use crate::process::{Channel, children, lifeline};

/// The processes of one round.
pub(super) struct Workers<'s> {
    context: &'s RoundContext,
    channel: &'s Channel,
    signals: SignalFd,
    zygote: Pid,
    members: Vec<Option<Pid>>,
    /// Those that did not work to the end.
    pub departures: Vec<Departure>,
    killing: bool,
}

impl<'s> Workers<'s> {
    pub fn new(context: &'s RoundContext, channel: &'s Channel) -> io::Result<Self> {
        let signals = children::watch()?;
        let zygote = nix::unistd::getpid();
        Ok(Self {
            context,
            channel,
            signals,
            zygote,
            members: Vec::new(),
            departures: Vec::new(),
            killing: false,
        })
    }

    /// Forks the next process.
    pub fn start(&mut self) -> io::Result<()> {
        let process = self.members.len() as u32;
        match sys::fork()? {
            Forked::Child => {
                sys::close_parents_copy(self.channel.as_fd());
                sys::close_parents_copy(self.signals.as_fd());
                let region = self.context.arena.region();
                lifeline::live(region, process, || {
                    let tied = lifeline::tie_to(self.zygote).and_then(|()| lifeline::unblock_signals());
                    if let Err(error) = tied {
                        let words = format!("cannot set the process up: {error}");
                        lifeline::leave_words(region.header(process), &words);
                        return lifeline::UNOPENED;
                    }
                    lifeline::call_oneself(&format!("fw-{process}"));
                    work(self.context, process)
                })
            }
            Forked::Parent(pid) => {
                self.members.push(Some(pid));
                Ok(())
            }
        }
    }

    /// How many are left.
    pub fn left(&self) -> usize {
        self.members.iter().flatten().count()
    }

    /// Sends SIGKILL to everybody who is left.
    pub fn kill_all(&mut self) {
        self.killing = true;
        for pid in self.members.iter().flatten() {
            _ = kill(*pid, Signal::SIGKILL);
        }
    }

    /// Waits for a process to end, for the harness to go, or for the time to pass.
    pub fn wait(&mut self, at_most: Duration) -> io::Result<()> {
        children::wait(&self.signals, self.channel, at_most)?;
        self.reap()
    }

    fn reap(&mut self) -> io::Result<()> {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, 0)) => self.reaped(pid, |_, _| None),
                Ok(WaitStatus::Exited(pid, code)) => {
                    self.reaped(pid, |context, process| {
                        let header = context.arena.region().header(process);
                        Some(How::Code(code, lifeline::take_words(header)))
                    });
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) => {
                    let is_ours = self.killing && signal == Signal::SIGKILL;
                    let how = if is_ours { How::Stuck } else { How::Signal(signal as i32) };
                    self.reaped(pid, |_, _| Some(how));
                }
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn reaped(&mut self, pid: Pid, how: impl FnOnce(&RoundContext, u32) -> Option<How>) {
        let Some(process) = self.members.iter().position(|member| *member == Some(pid)) else { return };
        self.members[process] = None;
        let process = process as u32;
        if let Some(how) = how(self.context, process) {
            let pid = pid.as_raw().cast_unsigned();
            self.departures.push(Departure { process, pid, how });
        }
    }

    /// How many have opened what they need.
    pub fn ready(&self) -> usize {
        self.context.arena.region().control().ready.load(Ordering::Acquire) as usize
    }
}
