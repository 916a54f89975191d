//! The probe: what is there when all is quiet, and whether what is there can be used, deleted and made anew.
//!
//! First it only looks: what `state` tells, what the process and the freezer do, which files lie there. Then it deletes by
//! force, and looks for what stays; then it creates the id anew and deletes that.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flockwork::{Operation, Status};

use super::play::{examiner, push};
use super::{Round, takes_its_time};
use crate::evidence::{Observed, ProcessState, Quiet, QuietContainer, Recovery, Reply, Unobserved};
use crate::history::{Outcome, Record};
use crate::plan::rounds::RoundsPlan;
use crate::process::attention::Deadline;
use crate::process::clock::now_ns;
use crate::process::procfs::{self, Stat};
use crate::runtimes::traces::{Seen, Traces};
use crate::runtimes::{Done, Host, HostError, answer, cgroup};
use crate::subject::Answer;

/// How long what was acknowledged may take to be seen of the process: that it was killed, or let go on.
const SETTLE_MAX: Duration = Duration::from_millis(500);
/// How long what a deleted container left may take to be gone.
const GRACE: Duration = Duration::from_secs(1);
/// What is gone within so much of that is waited for; other rounds are played until the rest of it is over.
const AT_ONCE: Duration = Duration::from_millis(20);
/// How often a delete by force is tried, and a create: one may fail that comes too early, and say so.
const TRIES_MAX: u32 = 3;
/// How long to wait before either is tried again.
const AGAIN: Duration = Duration::from_millis(100);
/// How long to wait before a process is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

const NO_LIST: Unobserved =
    Unobserved::lacking("the root is the harness's own, and is looked at without the runtime");
const SANDBOXED: Unobserved =
    Unobserved::lacking("the runtime gives the pid of a sandbox, which runs whatever the container does");
const NO_FREEZER: Unobserved = Unobserved::lacking("no freezer of the container was found");
const NOT_TOLD: Unobserved = Unobserved::lacking("the runtime named no process");

/// Nothing was looked at yet.
pub(super) fn nothing() -> Quiet {
    let not_yet = || Unobserved::Missed("the round was not looked at".into());
    Quiet {
        containers: Vec::new(),
        strays: Err(not_yet()),
        remains: Err(not_yet()),
        processes: Err(not_yet()),
        list: Err(NO_LIST),
    }
}

/// A round whose containers are looked at and tried, one after the other.
#[derive(Debug)]
pub(super) struct Probe {
    ids: Vec<String>,
    round: Round,
    examiner: u32,
    /// What was seen of those that were not tried yet.
    looks: VecDeque<Look>,
    containers: Vec<QuietContainer>,
    processes: Vec<String>,
    remains: Vec<String>,
    /// How the delete went of the container that is tried.
    deleted: Option<Reply>,
}

/// What was seen of a container before anything was done to it.
#[derive(Debug)]
struct Look {
    state: Reply,
    process: Observed<ProcessState>,
    files: Vec<String>,
}

impl Probe {
    /// Looks at each container, and changes nothing.
    pub fn begin(
        host: &mut Host,
        plan: &RoundsPlan,
        ids: Vec<String>,
        mut round: Round,
    ) -> Result<Self, HostError> {
        for (container, id) in (0..).zip(&ids) {
            await_death(host, container, id, &round)?;
        }
        close_open(plan, &mut round);
        let examiner = examiner(plan);
        let mut looks = VecDeque::new();
        for (container, id) in (0..).zip(&ids) {
            let invoke_ns = now_ns();
            let done = host.perform(Operation::State, id)?;
            let told = answer::read(host.runtime, Operation::State, &done);
            let mut record = Record::invoked(examiner, Some(container), Operation::State, invoke_ns);
            if told.outcome != Outcome::Unknown {
                record.set_return_ns(Some(now_ns()));
                push(&mut round.history, record, told.clone());
            }
            let process = settled(host, id, &told, &done);
            looks.push_back(Look { state: reply(&done, told), process, files: host.files_of(id) });
        }
        Ok(Self {
            ids,
            round,
            examiner,
            looks,
            containers: Vec::new(),
            processes: Vec::new(),
            remains: Vec::new(),
            deleted: None,
        })
    }

    /// Deletes and creates one container after the other; stops where something is still there of one that was deleted, for
    /// somebody to watch until it is gone or has had its time: with what he saw it goes on.
    pub fn go_on(&mut self, host: &mut Host, watched: Option<Seen>) -> Result<Option<Watch>, HostError> {
        if let Some(seen) = watched {
            self.recover(host, seen)?;
        }
        while !self.looks.is_empty() {
            self.deleted = Some(self.delete(host)?);
            let mut watch = Watch { traces: host.traces(self.id()), deadline: Deadline::after(GRACE) };
            let seen = watch.begin();
            if !seen.is_empty() {
                return Ok(Some(watch));
            }
            self.recover(host, seen)?;
        }
        Ok(None)
    }

    /// Removes all that is there of the round, whoever left it, and gives it back with all that was seen.
    pub fn end(mut self, host: &Host) -> Result<Round, HostError> {
        for id in &self.ids {
            // What stays is told when the ground is closed.
            let _ = host.clear(id)?;
        }
        self.round.quiet = Quiet {
            containers: self.containers,
            strays: Ok(Vec::new()),
            remains: Ok(self.remains),
            processes: Ok(self.processes),
            list: Err(NO_LIST),
        };
        Ok(self.round)
    }

    /// The id of the container that is tried.
    fn id(&self) -> &str {
        &self.ids[self.containers.len()]
    }

    /// Notes what stayed of the container that was deleted, creates it anew and deletes that.
    fn recover(&mut self, host: &mut Host, Seen { left, files }: Seen) -> Result<(), HostError> {
        let cgroups = left.cgroups.iter().map(|path| format!("the cgroup {}", path.display()));
        self.remains.extend(files.into_iter().chain(cgroups));
        self.processes.extend(left.processes);
        let create = self.create(host)?;
        let delete_again = self.delete(host)?;
        let (Some(look), Some(delete)) = (self.looks.pop_front(), self.deleted.take()) else { return Ok(()) };
        self.containers.push(QuietContainer {
            state: Ok(look.state),
            files: Ok(look.files),
            process: look.process,
            recovery: Ok(Recovery { delete, create, delete_again }),
        });
        Ok(())
    }

    /// Deletes by force, once more where that did not succeed.
    fn delete(&mut self, host: &mut Host) -> Result<Reply, HostError> {
        for _ in 1..TRIES_MAX {
            let reply = self.attempt(host, Operation::ForceDelete)?;
            if reply.answer().is_none_or(|answer| answer.outcome == Outcome::Ok) {
                return Ok(reply);
            }
            std::thread::sleep(AGAIN);
        }
        self.attempt(host, Operation::ForceDelete)
    }

    /// Creates, once more where that did not succeed: what the one that failed left is deleted before.
    fn create(&mut self, host: &mut Host) -> Result<Reply, HostError> {
        for _ in 1..TRIES_MAX {
            let reply = self.attempt(host, Operation::Create)?;
            if reply.answer().is_none_or(|answer| answer.outcome == Outcome::Ok) {
                return Ok(reply);
            }
            self.delete(host)?;
            std::thread::sleep(AGAIN);
        }
        self.attempt(host, Operation::Create)
    }

    fn attempt(&mut self, host: &mut Host, operation: Operation) -> Result<Reply, HostError> {
        let invoke_ns = now_ns();
        let done = host.perform(operation, self.id())?;
        let told = answer::read(host.runtime, operation, &done);
        if told.outcome == Outcome::Failed {
            // It changes nothing, and is not to be lost.
            let container = self.containers.len() as u32;
            let mut record = Record::invoked(self.examiner, Some(container), operation, invoke_ns);
            record.set_return_ns(Some(now_ns()));
            push(&mut self.round.history, record, told.clone());
        }
        Ok(reply(&done, told))
    }
}

/// What is watched until it is gone, or has had its time.
#[derive(Debug)]
pub(super) struct Watch {
    traces: Traces,
    deadline: Deadline,
}

impl Watch {
    /// What is there still of what is not gone at once.
    fn begin(&mut self) -> Seen {
        let begun = Instant::now();
        self.traces.watch(&mut self.deadline, || begun.elapsed() >= AT_ONCE)
    }

    /// What is there when the time is over; less where nobody wants to know it any more.
    pub fn end(mut self, is_forgotten: &AtomicBool) -> Seen {
        self.traces.watch(&mut self.deadline, || is_forgotten.load(Ordering::Relaxed))
    }
}

/// A kill takes effect when it likes: waits until the container has stopped, or is no longer what was killed.
fn await_death(host: &mut Host, container: u32, id: &str, round: &Round) -> Result<(), HostError> {
    let is_kill = |record: &&Record| {
        record.container() == Some(container)
            && takes_its_time(record.operation)
            && record.outcome == Outcome::Ok
    };
    if !round.history.records.iter().any(|record| is_kill(&record)) {
        return Ok(());
    }
    let mut deadline = Deadline::after(SETTLE_MAX);
    loop {
        let done = host.perform(Operation::State, id)?;
        let told = answer::read(host.runtime, Operation::State, &done);
        let is_over = told.outcome != Outcome::Ok || told.status == Some(Status::Stopped);
        if is_over || deadline.is_over() {
            return Ok(());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// What was killed, and what takes its time, could act until now. A command that hung may act for ever.
fn close_open(plan: &RoundsPlan, round: &mut Round) {
    let now_ns = now_ns();
    let workers = plan.together.len() as u32;
    let hung = round.stall.is_some();
    for record in &mut round.history.records {
        let is_late = takes_its_time(record.operation) && record.outcome == Outcome::Ok;
        let is_killed = record.outcome == Outcome::Unknown && !hung;
        if record.process < workers && (is_late || is_killed) {
            record.set_return_ns(Some(now_ns));
        }
    }
}

fn reply(done: &Done, told: Answer) -> Reply {
    match &done.waiting {
        Some(waiting) => Reply::Silent(format!("it did not end in time: {waiting}")),
        None => Reply::Answered(told),
    }
}

/// What the container's own process does, when it does what was told of it, or has had its time to.
fn settled(host: &Host, id: &str, told: &Answer, done: &Done) -> Observed<ProcessState> {
    let mut deadline = Deadline::after(SETTLE_MAX);
    loop {
        let seen = process(host, id, told, done);
        let is_at_odds =
            matches!((&seen, told.status), (Ok(seen), Some(status)) if !seen.agrees_with(status));
        if !is_at_odds || deadline.is_over() {
            return seen;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// What the container's own process does.
fn process(host: &Host, id: &str, told: &Answer, done: &Done) -> Observed<ProcessState> {
    if !host.runtime.shows_its_process() {
        return Err(SANDBOXED);
    }
    if told.status == Some(Status::Stopped) {
        // No pid is told of what has stopped: the cgroup says whether anything runs in it.
        let lives = cgroup::of(&host.ground, Some(id)).iter().any(|cgroup| !cgroup::pids(cgroup).is_empty());
        return Ok(if lives { ProcessState::Running } else { ProcessState::Dead });
    }
    let (Some(_), Some(pid)) = (told.status, answer::pid(&done.stdout)) else { return Err(NOT_TOLD) };
    let Some(stat) = Stat::of(pid).filter(|stat| !stat.is_dead()) else { return Ok(ProcessState::Dead) };
    let is_frozen = match cgroup::frozen(&host.ground, id) {
        // Its process may be held by a freezer that nobody found.
        None if told.status == Some(Status::Paused) => return Err(NO_FREEZER),
        frozen => frozen == Some(true),
    };
    // Until start lets it go, it is the runtime's own program that waits there.
    let Some(words) = procfs::command_line(pid) else { return Ok(ProcessState::Dead) };
    let is_started = words.iter().any(|word| *word == format!("/{}", host.ground));
    let is_held = is_frozen || !is_started || matches!(stat.state, 'T' | 't');
    Ok(if is_held { ProcessState::Held } else { ProcessState::Running })
}
