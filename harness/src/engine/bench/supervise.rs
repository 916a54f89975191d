//! The zygote's side of a round: forks the workers, lets them go together, and waits until they are done.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flockwork::lock::measured::Place;
use nix::sys::resource::UsageWho;
use rustix::thread::futex;

use super::meter::cpu_ns;
use super::operate::subject_of;
use super::wire::{BenchTask, Finished, Report};
use super::worker::{RoundContext, container_ids, make_room_for_descriptors};
use super::workers::Workers;
use crate::plan::bench::{BenchLock, Descriptor, Task, Waiting};
use crate::process::Channel;
use crate::process::arena::Arena;
use crate::process::attention::Deadline;
use crate::process::clock::now_ns;
use crate::subject::Builder;

/// How often to look around when nobody calls.
const TICK: Duration = Duration::from_millis(20);
/// How long everybody may take to open what they need.
const OPEN_MAX: Duration = Duration::from_secs(60);
/// How long everybody may take to finish the operation at hand.
const GRACE_NS: u64 = 5_000_000_000;
/// How long a process may take to die of SIGKILL.
const DEATH_MAX: Duration = Duration::from_secs(10);

/// Runs a round and reports; an error means that the zygote can go on no more.
pub(crate) fn supervise(
    channel: &Channel,
    order: BenchTask,
    memory: OwnedFd,
    build: Builder,
) -> io::Result<()> {
    let before_ns = cpu_ns(UsageWho::RUSAGE_SELF) + cpu_ns(UsageWho::RUSAGE_CHILDREN);
    let ran = prepare(order, memory, build).and_then(|context| {
        let mut workers = Workers::new(&context, channel).map_err(|error| error.to_string())?;
        let ran = run(&context, &mut workers).map_err(|error| error.to_string());
        if ran.is_err() {
            workers.kill_all();
            wait_until_gone(&mut workers, DEATH_MAX).map_err(|error| error.to_string())?;
        }
        let after_ns = cpu_ns(UsageWho::RUSAGE_SELF) + cpu_ns(UsageWho::RUSAGE_CHILDREN);
        ran.map(|()| Finished { departures: workers.departures, cpu_ns: after_ns - before_ns })
    });
    channel.send(&ran.map_or_else(Report::Failed, Report::Finished), None)
}

fn prepare(order: BenchTask, memory: OwnedFd, build: Builder) -> Result<RoundContext, String> {
    let arena =
        Arena::attach(memory, order.size).map_err(|error| format!("cannot map the arena: {error}"))?;
    let names: Arc<[String]> = super::ground::names(order.cell.containers).into();
    let subject = subject_of(&order.cell.task).map(|plan| build(&plan)).transpose()?;
    let mut context = RoundContext { order, arena: Arc::new(arena), subject, names, inherited: Vec::new() };
    context.inherited = inherited(&context)?;
    Ok(context)
}

/// Opens lock files before the fork, where a plan wants that mistake to be made.
fn inherited(context: &RoundContext) -> Result<Vec<std::fs::File>, String> {
    let Task::Bare { lock: BenchLock::Library(kind), descriptor: Descriptor::Inherited, .. } =
        context.order.cell.task
    else {
        return Ok(Vec::new());
    };
    make_room_for_descriptors(context.names.len())?;
    let place = Place::open(&context.order.folder, kind).map_err(|error| error.to_string())?;
    let open = |id| place.lock_of(id, kind).open().map_err(|error| error.to_string());
    container_ids(&context.names)?.iter().map(open).collect()
}

fn run(context: &RoundContext, workers: &mut Workers<'_>) -> io::Result<()> {
    let processes = context.order.cell.processes;
    for process in 0..processes {
        workers.start().map_err(|error| {
            let limits = "see ulimit -u, /proc/sys/kernel/pid_max and the control group's pids.max";
            io::Error::other(format!("cannot fork process {} of {processes}: {error}; {limits}", process + 1))
        })?;
    }
    let control = context.arena.region().control();
    let mut deadline = Deadline::after(OPEN_MAX);
    while workers.ready() < processes as usize && workers.departures.is_empty() {
        workers.wait(Duration::from_micros(500))?;
        if deadline.is_over() {
            return Err(io::Error::other("not all processes got ready within a minute"));
        }
    }
    let begin_ns = now_ns() + context.order.warm_up_ns;
    let end_ns = begin_ns + context.order.duration_ns;
    context.arena.times().set(begin_ns, end_ns);
    if !workers.departures.is_empty() {
        control.end.store(1, Ordering::Release);
    }
    control.go.store(1, Ordering::Release);
    _ = futex::wake(&control.go, futex::Flags::empty(), i32::MAX.cast_unsigned());
    watch_over(context, workers, end_ns)
}

fn watch_over(context: &RoundContext, workers: &mut Workers<'_>, end_ns: u64) -> io::Result<()> {
    let control = context.arena.region().control();
    let mut over_ns = end_ns;
    while workers.left() > 0 {
        workers.wait(TICK)?;
        let is_stopped = control.end.load(Ordering::Acquire) != 0;
        if is_stopped || !workers.departures.is_empty() {
            control.end.store(1, Ordering::Release);
            over_ns = over_ns.min(now_ns());
        }
        if now_ns() > over_ns + GRACE_NS + pause_ns_max(&context.order.cell.task) {
            workers.kill_all();
            return wait_until_gone(workers, DEATH_MAX);
        }
    }
    Ok(())
}

/// The longest that a worker may sleep before it tries again.
fn pause_ns_max(task: &Task) -> u64 {
    match task {
        Task::Bare { wait: Waiting::Poll(ns) | Waiting::BackOff(_, ns), .. } => *ns,
        Task::Command(task) => task.time_limit_ns,
        _ => 0,
    }
}

fn wait_until_gone(workers: &mut Workers<'_>, at_most: Duration) -> io::Result<()> {
    let mut deadline = Deadline::after(at_most);
    while workers.left() > 0 {
        workers.wait(TICK)?;
        if deadline.is_over() {
            return Err(io::Error::other(format!("{} processes do not die of SIGKILL", workers.left())));
        }
    }
    Ok(())
}
