//! The supervisor: prepares the state, forks the processes of each round, puts the state back, and clears away what is left.
//!
//! It has one thread, is forked from the zygote for one run, and is the reaper of all that the run's commands leave behind.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::thread::futex;

use super::context::CommandContext;
use super::wire::{CommandsTask, Finished, Report};
use super::{auditor, delay, look, worker};
use crate::ground::{Folders, Ground};
use crate::plan::Budget;
use crate::plan::command::Line;
use crate::process::attention::Deadline;
use crate::process::clock::{self, now_ns};
use crate::process::launch::{self, Ending};
use crate::process::procfs;
use crate::process::region::Region;
use crate::process::spawner::namespace;
use crate::process::sys::{self, Forked};
use crate::process::{Channel, lifeline};

/// How long what a command left in the background may take to end by itself, in nanoseconds.
pub(super) const GRACE_NS: u64 = 200_000_000;

/// The zygote's part: forks a supervisor that talks over this line.
pub(crate) fn raise(channel: &Channel, line: OwnedFd) -> io::Result<()> {
    // Supervisors of runs that are over.
    while sys::child::reap().is_ok_and(|reaped| reaped.is_some()) {}
    let zygote = nix::unistd::getpid();
    match sys::fork()? {
        Forked::Parent(_) => Ok(()),
        Forked::Child => {
            sys::close_parents_copy(channel.as_fd());
            let line = Channel::from(line);
            let code = match catch_unwind(AssertUnwindSafe(|| be(&line, zygote))) {
                Ok(Ok(())) => 0,
                Ok(Err(error)) => {
                    _ = line.send(&Report::Failed(error.to_string()), None);
                    1
                }
                Err(_) => lifeline::PANICKED,
            };
            sys::exit_now(code)
        }
    }
}

fn be(line: &Channel, zygote: Pid) -> io::Result<()> {
    lifeline::tie_to(zygote)?;
    lifeline::restore_signals()?;
    lifeline::call_oneself("fw-supervisor");
    // No terminal: a command that asks for one is told that there is none, rather than stopped.
    nix::unistd::setsid()?;
    nix::sys::prctl::set_child_subreaper(true)?;
    // Commands are to run with the slack that everybody has; the zygote's is for think times.
    nix::sys::prctl::set_timerslack(50_000)?;
    let Some((order, Some(memory))) = line.receive::<CommandsTask>()? else { return Ok(()) };
    if !order.binds.is_empty()
        && let Err(error) = namespace::enter(&order.binds)
    {
        return line.send(&Report::NoNamespace(error.to_string()), None);
    }
    let region = Region::attach(memory, order.layout)?;
    let mut context = match CommandContext::new(order, region) {
        Ok(context) => context,
        Err(why) => return line.send(&Report::Usage(why), None),
    };
    let unperturbed = delay::make_ready(&mut context);
    let report = match conduct(&context, line) {
        Ok(finished) => Report::Finished(Finished { unperturbed, ..finished }),
        Err(Stopped::Usage(why)) => Report::Usage(why),
        Err(Stopped::Io(error)) => Report::Failed(error.to_string()),
    };
    clear_away(0, &mut BTreeMap::new());
    line.send(&report, None)
}

/// Why a run cannot go on.
enum Stopped {
    Usage(String),
    Io(io::Error),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<crate::ground::GroundError> for Stopped {
    fn from(error: crate::ground::GroundError) -> Self {
        Self::Usage(error.to_string())
    }
}

fn conduct(context: &CommandContext, line: &Channel) -> Result<Finished, Stopped> {
    let plan = &context.plan;
    let mut ground = Folders::new([(context.places.state.clone(), context.places.kept.clone())]);
    alone(context, &plan.setup, "subject.setup")?;
    ground.settle()?;
    // What setup left at work needs the state as it is.
    let touched = if left_below().is_empty() {
        let touched = look::touched(context)?;
        clear_away(0, &mut BTreeMap::new());
        ground.put_back()?;
        touched
    } else {
        BTreeSet::new()
    };
    let control = context.region.control();
    let deadline_ns = match plan.budget {
        Budget::DurationNs(ns) => now_ns().saturating_add(ns),
        Budget::Operations(_) => u64::MAX,
    };
    control.deadline_ns.store(deadline_ns, Ordering::Release);
    let mut finished = Finished { touched, ..Finished::default() };
    let mut strays = BTreeMap::new();
    while !is_enough(context, finished.rounds) {
        if finished.rounds > 0 {
            ground.put_back()?;
        }
        alone(context, &plan.round_setup, "subject.round_setup")?;
        let started_ns = round(context, finished.rounds, line)?;
        if finished.rounds == 0 {
            finished.started_ns = started_ns;
        }
        finished.rounds += 1;
        alone(context, &plan.round_teardown, "subject.round_teardown")?;
        if plan.round.is_some() || !plan.round_teardown.is_empty() {
            clear_away(GRACE_NS, &mut strays);
        }
    }
    alone(context, &plan.teardown, "subject.teardown")?;
    clear_away(GRACE_NS, &mut strays);
    finished.strays = strays.into_iter().collect();
    Ok(finished)
}

/// Whether there is no further round.
fn is_enough(context: &CommandContext, rounds: u64) -> bool {
    let plan = &context.plan;
    let is_through = match (plan.round, plan.budget) {
        (None, _) => rounds > 0,
        (Some(each), Budget::Operations(all)) => {
            rounds.saturating_mul(each).saturating_mul(u64::from(plan.processes)) >= all
        }
        (Some(_), Budget::DurationNs(_)) => false,
    };
    is_through || rounds > 0 && context.is_over() || context.region.control().end.load(Ordering::Relaxed) != 0
}

/// Runs commands one after the other, each of which must end with exit code 0.
fn alone(context: &CommandContext, lines: &[Line], whose: &str) -> Result<(), Stopped> {
    for line in lines {
        let done = context.run_alone(line, None, whose)?;
        let said = [&done.stderr, &done.stdout].map(|text| String::from_utf8_lossy(text).trim().to_owned());
        let said = said.into_iter().find(|said| !said.is_empty());
        let said = said.map(|said| format!("; it said: {said}")).unwrap_or_default();
        let ended = match &done.ending {
            Ending::Exited(0) => continue,
            Ending::Exited(code) => format!("exit code {code}"),
            Ending::Signaled(signal) => format!("died of {}", worker::signal_name(*signal)),
            Ending::TimedOut => format!("did not end in time: {}", done.waiting.join("; ")),
            Ending::TooMuch => "wrote too much".into(),
            Ending::Killed => "killed".into(),
            Ending::NotStarted(_, why) => format!("not started: {why}"),
        };
        return Err(Stopped::Usage(format!("{whose}: {}: {ended}{said}", line.text)));
    }
    Ok(())
}

/// Forks the processes of a round, lets all go at once, and waits until all have ended; gives back when they went.
fn round(context: &CommandContext, number: u64, line: &Channel) -> Result<u64, Stopped> {
    let control = context.region.control();
    let plan = &context.plan;
    control.go.store(0, Ordering::Release);
    control.ready.store(0, Ordering::Release);
    control.workers_left.store(0, Ordering::Release);
    let mut members = BTreeMap::new();
    for process in 0..plan.processes + plan.auditors {
        members.insert(hire(context, number, process, line)?, process);
    }
    while control.ready.load(Ordering::Acquire) < plan.processes + plan.auditors {
        if control.end.load(Ordering::Relaxed) != 0 {
            break;
        }
        clock::wait_ns(20_000);
        if let Some((pid, process)) = members.iter().find(|(pid, _)| is_dead(**pid)) {
            return Err(ended_badly(*pid, *process, "before it began"));
        }
    }
    let started_ns = now_ns();
    control.go.store(1, Ordering::Release);
    _ = futex::wake(&control.go, futex::Flags::empty(), u32::MAX);
    let mut workers = plan.processes;
    while !members.is_empty() {
        let status = waitpid(None, None).map_err(io::Error::from)?;
        let Some(pid) = status.pid() else { continue };
        // What commands have left behind ends here as well.
        let Some(process) = members.remove(&pid.as_raw()) else { continue };
        if !matches!(status, WaitStatus::Exited(_, 0)) {
            let words = lifeline::take_words(context.region.header(process)).unwrap_or_default();
            return Err(io::Error::other(format!(
                "process {process} of the run ended badly: {status:?} {words}"
            ))
            .into());
        }
        if process < plan.processes {
            workers -= 1;
            if workers == 0 {
                control.workers_left.store(1, Ordering::Release);
            }
        }
    }
    Ok(started_ns)
}

fn is_dead(pid: i32) -> bool {
    !procfs::lives(pid.cast_unsigned())
}

fn ended_badly(pid: i32, process: u32, when: &str) -> Stopped {
    io::Error::other(format!("process {process} of the run (pid {pid}) ended {when}")).into()
}

/// Forks one process of a round.
fn hire(context: &CommandContext, number: u64, process: u32, line: &Channel) -> io::Result<i32> {
    let supervisor = nix::unistd::getpid();
    match sys::fork()? {
        Forked::Parent(pid) => Ok(pid.as_raw()),
        Forked::Child => {
            sys::close_parents_copy(line.as_fd());
            lifeline::live(&context.region, process, || {
                let work = || -> io::Result<()> {
                    lifeline::tie_to(supervisor)?;
                    nix::sys::prctl::set_child_subreaper(true)?;
                    lifeline::call_oneself(if process < context.plan.processes {
                        "fw-worker"
                    } else {
                        "fw-auditor"
                    });
                    if process < context.plan.processes {
                        let mut worker = worker::Worker::new(context, number, process)?;
                        wait_at_barrier(context);
                        worker.work()
                    } else {
                        wait_at_barrier(context);
                        auditor::work(context, number, process)
                    }
                };
                match work() {
                    Ok(()) => 0,
                    Err(error) => {
                        lifeline::leave_words(context.region.header(process), &error.to_string());
                        1
                    }
                }
            })
        }
    }
}

fn wait_at_barrier(context: &CommandContext) {
    let control = context.region.control();
    control.ready.fetch_add(1, Ordering::AcqRel);
    while control.go.load(Ordering::Acquire) == 0 && control.end.load(Ordering::Relaxed) == 0 {
        // Woken, interrupted or too late to sleep: in every case, look again.
        let at_most = rustix::event::Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        _ = futex::wait(&control.go, futex::Flags::empty(), 0, Some(&at_most));
    }
}

/// What commands left at work below this process.
fn left_below() -> Vec<u32> {
    launch::reap();
    let own = nix::unistd::getpid().as_raw().cast_unsigned();
    procfs::children(own).into_iter().filter(|pid| !is_dead(pid.cast_signed())).collect()
}

/// Lets what is left below this process end by itself for a time, and then kills it; what had to be killed is counted by name.
fn clear_away(grace_ns: u64, strays: &mut BTreeMap<String, u64>) {
    let mut deadline = Deadline::after(Duration::from_nanos(grace_ns));
    loop {
        let left = left_below();
        if left.is_empty() {
            return;
        }
        if deadline.is_over() {
            for pid in left {
                *strays.entry(procfs::name(pid).unwrap_or_else(|| "?".into())).or_default() += 1;
                // A child of one's own: its number is its own until it is reaped.
                _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            }
        }
        clock::wait_ns(1_000_000);
    }
}
