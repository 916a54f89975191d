//! The zygote's side of a stress run: starts the workers, watches over it, and has the place examined when all is quiet.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::thread::futex;

use super::auditor::audit;
use super::context::RunContext;
use super::examine;
use super::killer::Killer;
use super::limits::quota;
use super::pause::is_over;
use super::stillness::{self, Pulse};
use super::wire::{Departure, Finished, Recording, Report, Stillness, StressTask};
use super::worker::{END_FULL, END_STALL, END_STOP, work};
use super::workers::Workers;
use crate::engine::Ended;
use crate::plan::Budget;
use crate::process::Channel;
use crate::process::attention::{Attention, Deadline};
use crate::process::clock::now_ns;
use crate::process::region::Control;
use crate::subject::Builder;

/// How often the zygote looks around when nothing calls it.
const TICK_NS: u64 = 20_000_000;
/// How long everybody may take to finish the operation at hand when the run is over.
const GRACE_NS: u64 = 1_000_000_000;
/// Least time to open the subject, whatever the plan's stall time.
const OPEN_NS_MIN: u64 = 10_000_000_000;

/// Runs an order and reports; an error means that the zygote can go on no more.
pub(crate) fn supervise(
    channel: &Channel,
    order: StressTask,
    memory: OwnedFd,
    build: Builder,
) -> io::Result<()> {
    let finished = RunContext::prepare(order, memory, build).and_then(|context| {
        let finished = run(&context, channel);
        examine::tidy(&context);
        finished.map_err(|error| error.to_string())
    });
    channel.send(&finished.map_or_else(Report::Failed, Report::Finished), None)
}

fn run(context: &RunContext, channel: &Channel) -> io::Result<Finished> {
    let mut workers = Workers::new(context, channel)?;
    let finished = start(&mut workers).and_then(|()| Shift::new(&mut workers).watch_over());
    if finished.is_err() {
        workers.kill_all();
        workers.wait_until_gone(0..context.order.layout.slots())?;
    }
    finished
}

/// Forks everybody, and lets them go together.
fn start(workers: &mut Workers<'_>) -> io::Result<()> {
    let layout = workers.context.order.layout;
    for process in 0..layout.examiner() {
        let forked = if process < layout.workers {
            workers.start(process, &work)
        } else {
            workers.start(process, &audit)
        };
        forked.map_err(|error| {
            let all = layout.examiner();
            let limits = "see ulimit -u, /proc/sys/kernel/pid_max and the control group's pids.max";
            io::Error::other(format!("cannot fork process {} of {all}: {error}; {limits}", process + 1))
        })?;
    }
    let control = workers.context.region.control();
    let patience_ns = workers.context.plan().stall_ns.max(OPEN_NS_MIN);
    let mut deadline = Deadline::after(Duration::from_nanos(patience_ns));
    while control.ready.load(Ordering::Acquire) < layout.examiner() {
        if let Some(departure) = workers.wait(500_000)?.first() {
            return Err(io::Error::other(early_departure(departure)));
        }
        if deadline.is_over() {
            let waiting = stillness::describe(workers).waiting.join("; ");
            let seconds = patience_ns / 1_000_000_000;
            return Err(io::Error::other(format!("the subject did not open within {seconds} s: {waiting}")));
        }
    }
    let deadline_ns = match workers.context.plan().budget {
        Budget::Operations(_) => u64::MAX,
        Budget::DurationNs(duration_ns) => now_ns().saturating_add(duration_ns),
    };
    control.deadline_ns.store(deadline_ns, Ordering::Release);
    control.go.store(1, Ordering::Release);
    futex::wake(&control.go, futex::Flags::empty(), i32::MAX.cast_unsigned())?;
    Ok(())
}

fn early_departure(departure: &Departure) -> String {
    let Departure { process, how, last_words, .. } = departure;
    match last_words {
        Some(words) => format!("process {process} ended before the run began: {words}"),
        None if *how < 0 => format!("process {process} died of signal {} before the run began", -how),
        None => format!("process {process} exited with code {how} before the run began"),
    }
}

/// Watches over a run from its start until all is quiet.
struct Shift<'c, 's> {
    workers: &'c mut Workers<'s>,
    /// The time that was seen to pass, by which a stall is told.
    attention: Attention,
    pulse: Pulse,
    killer: Option<Killer>,
    /// When the run was over for those who are left.
    over_ns: Option<u64>,
    stall: Option<Stillness>,
    kills: u64,
}

impl<'c, 's> Shift<'c, 's> {
    fn new(workers: &'c mut Workers<'s>) -> Self {
        let now_ns = now_ns();
        let mut attention = Attention::begin();
        let plan = workers.context.plan();
        Self {
            pulse: Pulse::new(attention.now_ns()),
            attention,
            killer: plan.kill_every_ns.map(|every_ns| Killer::new(every_ns, plan.seed, now_ns)),
            workers,
            over_ns: None,
            stall: None,
            kills: 0,
        }
    }

    fn control(&self) -> &'s Control {
        self.workers.context.region.control()
    }

    fn watch_over(mut self) -> io::Result<Finished> {
        let layout = self.workers.context.order.layout;
        while !self.workers.all_gone(0..layout.workers) {
            let now_ns = now_ns();
            let due_in_ns = self.killer.as_ref().map_or(u64::MAX, |killer| killer.due_in_ns(now_ns));
            for departure in self.workers.wait(due_in_ns.min(TICK_NS))? {
                self.replace(&departure)?;
            }
            self.look_around()?;
        }
        self.control().workers_left.store(1, Ordering::Release);
        self.dismiss_auditors()?;
        let ended = match self.control().end.load(Ordering::Acquire) {
            END_STOP => Ended::Interrupted,
            END_FULL => Ended::LogFull,
            END_STALL => Ended::Stalled,
            _ => Ended::Completed,
        };
        let observations = match self.workers.context.order.recording {
            Recording::Full => examine::oversee(self.workers)?,
            Recording::Off => Vec::new(),
        };
        Ok(Finished { ended, stall: self.stall, kills: self.kills, observations })
    }

    /// A killed worker is replaced while there is work left. One that ended by itself is not: what it did is an observation.
    fn replace(&mut self, departure: &Departure) -> io::Result<()> {
        let context = self.workers.context;
        let process = departure.process;
        if !departure.was_killed() || process >= context.plan().processes || is_over(self.control()) {
            return Ok(());
        }
        let deadline_ns = self.control().deadline_ns.load(Ordering::Relaxed);
        self.kills += u64::from(departure.killed_ns.is_some_and(|killed_ns| killed_ns < deadline_ns));
        let begun = context.region.header(process).published.load(Ordering::Acquire);
        let work_left =
            begun < quota(context.plan().budget, context.plan().processes, process) && now_ns() < deadline_ns;
        if work_left && !self.workers.has_finished(process) {
            self.workers.start(process, &work)?;
        }
        Ok(())
    }

    fn look_around(&mut self) -> io::Result<()> {
        let now_ns = now_ns();
        let seen_ns = self.attention.now_ns();
        let still_ns = seen_ns - self.pulse.feel(self.workers.context, seen_ns);
        let deadline_ns = self.control().deadline_ns.load(Ordering::Relaxed);
        if is_over(self.control()) {
            let over_ns = *self.over_ns.get_or_insert(now_ns);
            if now_ns > over_ns + GRACE_NS {
                self.workers.kill_all();
                // Killed, they have their time to die, and no more.
                self.workers.wait_until_gone(0..self.workers.context.order.layout.workers)?;
            }
        } else if still_ns > stillness::patience_ns(self.workers) {
            self.stall = Some(stillness::describe(self.workers));
            self.control().end.store(END_STALL, Ordering::Release);
            self.workers.kill_all();
        } else if now_ns > deadline_ns.saturating_add(GRACE_NS) && still_ns < GRACE_NS {
            // Only the slow are left. Where nobody has got anywhere for longer than that it may be a deadlock, which
            // the end of the time must not hide: then the stall time decides, or the first operation that ends.
            self.workers.kill_all();
        } else if let Some(killer) = &mut self.killer
            && now_ns < deadline_ns
        {
            killer.strike(self.workers, now_ns);
        }
        Ok(())
    }

    fn dismiss_auditors(&mut self) -> io::Result<()> {
        let layout = self.workers.context.order.layout;
        let auditors = layout.workers..layout.examiner();
        let mut deadline = Deadline::after(Duration::from_nanos(GRACE_NS));
        while !self.workers.all_gone(auditors.clone()) && !deadline.is_over() {
            self.workers.wait(TICK_NS)?;
        }
        self.workers.kill_all();
        self.workers.wait_until_gone(auditors)?;
        Ok(())
    }
}
