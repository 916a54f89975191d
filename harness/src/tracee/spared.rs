//! Whom calls may not reach: processes that are not under control, and those of the harness before all others.
//!
//! A command finds a parent that is no part of what is tested: the process under which flockwork starts commands. Signals for that
//! one, or for everybody, would end the run, or what runs beside it. They are refused by name, and if they could reach the harness,
//! also where what cannot be foreseen is let through: a command that is answered otherwise than it would be shows nothing.

use std::fs;
use std::io::ErrorKind;

use super::machine::{Machine, Result};
use super::sent::group_of;
use super::settings::TraceeError;
use super::task::{information, process_of};
use crate::books::deed::{Deed, Target, Told};
use crate::process::Marker;
use crate::process::procfs::{self, Stat};
use crate::process::spawner::OWN_PARENT;
use crate::process::sys::seccomp::{Notification, Reply};

/// Whom a call may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reaches {
    Process(u32),
    Group(u32),
    Everybody,
}

/// Who is not to be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spared {
    /// The process that started the command.
    Parent,
    /// Another one of the harness.
    Harness,
    /// Everybody, the harness among them.
    Everybody,
    /// One that is not under control, and none of the harness.
    Outside(u32),
}

impl Machine {
    /// Whether a call would reach somebody who is not under control; how it is answered then. It goes on its way otherwise.
    pub(super) fn spare(
        &mut self,
        process: usize,
        stop: &Notification,
        told: &Told,
    ) -> Result<Option<Reply>> {
        let Some(reaches) = self.reaches(process, stop, told) else { return Ok(None) };
        let spared = match reaches {
            Reaches::Process(pid) => self.spared(process, pid),
            Reaches::Group(group) => {
                let members = procfs::pids().into_iter().filter(|pid| group_of(*pid) == Some(group));
                let spared: Vec<Spared> = members.filter_map(|pid| self.spared(process, pid)).collect();
                let is_own = |spared: &&Spared| !matches!(spared, Spared::Outside(_));
                spared.iter().find(is_own).or(spared.first()).copied()
            }
            Reaches::Everybody => Some(Spared::Everybody),
        };
        let Some(spared) = spared else { return Ok(None) };
        let does = match stop.number {
            libc::SYS_prlimit64 => "sets limits of",
            _ if matches!(told, Deed::Signal(..) | Deed::SignalBy(..)) => "signals",
            _ => "reaches into",
        };
        let why = match spared {
            Spared::Parent => {
                format!("{does} the process that started it, which is flockwork's own: {OWN_PARENT}")
            }
            Spared::Harness => format!("{does} a process of flockwork: {OWN_PARENT}"),
            Spared::Everybody => format!(
                "{does} every process there is, those of flockwork among them: name those that are meant, by their pids or by \
                 their group"
            ),
            Spared::Outside(pid) => {
                let name = procfs::name(pid).unwrap_or_else(|| "?".into());
                format!(
                    "{does} {name} ({pid}), which is not under control: have the command start it, or leave that call out"
                )
            }
        };
        let call = super::table::of(stop.number).map_or("a call", |call| call.name);
        if let Spared::Outside(_) = spared {
            self.refuse(process, stop.task, call, &why)?;
            return Ok(Some(Reply::Continue));
        }
        Err(TraceeError::Harmful {
            process: process + 1,
            command: self.program(process, stop.task),
            call: call.to_owned(),
            why,
        })
    }

    /// Whom a call may reach of those who are not of the caller's own process.
    fn reaches(&self, process: usize, stop: &Notification, told: &Told) -> Option<Reaches> {
        let argument = |index: usize| stop.args[index] as i32;
        let number = |pid: i32| u32::try_from(pid).ok().filter(|pid| *pid > 0);
        match told {
            Deed::Signal(_, 0) | Deed::SignalBy(_, 0) => None,
            Deed::Signal(Target::Task(pid), _) => Some(Reaches::Process(number(*pid)?)),
            Deed::Signal(Target::Group(0), _) => {
                group_of(self.pid_of(process, stop.task)).map(Reaches::Group)
            }
            Deed::Signal(Target::Group(group), _) => Some(Reaches::Group(number(*group)?)),
            Deed::Signal(Target::All, _) => Some(Reaches::Everybody),
            Deed::SignalBy(fd, _) => {
                const PROCESS_GROUP: u64 = 1 << 2;
                let pid = information(stop.task, fd.0)?.process?;
                let is_group = stop.args[3] & PROCESS_GROUP != 0;
                if is_group { group_of(pid).map(Reaches::Group) } else { Some(Reaches::Process(pid)) }
            }
            _ => match stop.number {
                libc::SYS_ptrace if argument(0) != 0 => Some(Reaches::Process(number(argument(1))?)),
                libc::SYS_process_vm_readv | libc::SYS_process_vm_writev => {
                    Some(Reaches::Process(number(argument(0))?))
                }
                libc::SYS_prlimit64 if stop.args[2] != 0 => Some(Reaches::Process(number(argument(0))?)),
                libc::SYS_pidfd_getfd | libc::SYS_process_madvise | libc::SYS_process_mrelease => {
                    Some(Reaches::Process(information(stop.task, argument(0))?.process?))
                }
                _ => None,
            },
        }
    }

    fn pid_of(&self, process: usize, tid: u32) -> u32 {
        self.trees[process].tasks.iter().find(|task| task.tid == tid).map_or(tid, |task| task.pid)
    }

    /// Why a process is not to be reached by one under control; nothing where it may be, or is not there.
    fn spared(&self, process: usize, pid: u32) -> Option<Spared> {
        if self.trees[process].has(pid) {
            return None;
        }
        let is_controlled = |one: usize| {
            self.trees[one].has(pid)
                || self.family(one).into_iter().any(|member| {
                    member == pid || process_of(member).is_some_and(|[here, own]| here == pid || own == pid)
                })
        };
        if (0..self.trees.len()).any(is_controlled) {
            return None;
        }
        if self.forks.by_clone && pid != self.trees[process].slot.pid {
            // From where clones are nobody else can be reached, but for the first process, which is another one there.
            return (pid == 1).then_some(Spared::Outside(pid));
        }
        let [pid, _] = process_of(pid)?;
        // A thread that is not its process's first.
        if (0..self.trees.len()).any(|one| self.family(one).contains(&pid)) {
            return None;
        }
        if pid == self.trees[process].slot.pid {
            return Some(Spared::Parent);
        }
        // What was started for the commands beforehand is theirs, though nobody holds it: a container that was set up.
        if self.was_set_up(pid) {
            return None;
        }
        // Nor is anybody harmed who is about to end, or a thread of the kernel: neither has a program, or an environment.
        if fs::read_link(format!("/proc/{pid}/exe")).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return None;
        }
        Some(if is_of_the_harness(pid) { Spared::Harness } else { Spared::Outside(pid) })
    }

    /// Whether a process carries the marker: in its environment, or, as the init of runc has another until its start, in the
    /// name of its control group.
    fn was_set_up(&self, pid: u32) -> bool {
        procfs::environment(pid, Marker::VARIABLE).is_some_and(|marker| marker == self.marker)
            || procfs::is_in_cgroup(pid, &self.marker)
    }
}

/// Whether a process is this one, or descends from it.
fn is_of_the_harness(pid: u32) -> bool {
    let own = std::process::id();
    std::iter::successors(Some(pid), |pid| Some(Stat::of(*pid)?.parent).filter(|parent| *parent > 0))
        .any(|pid| pid == own)
}
