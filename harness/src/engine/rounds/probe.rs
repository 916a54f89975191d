//! The probe: what is there when all is quiet, and whether what is there can be used, deleted and made anew.
//!
//! First it only looks: what `state` tells, what the process and the freezer do, which files lie there. Then it deletes by
//! force, and looks for what stays; then it creates the id anew and deletes that.

use std::time::{Duration, Instant};

use flockwork::{Operation, Status};

use super::play::{examiner, push};
use super::{Round, takes_its_time};
use crate::evidence::{Observed, ProcessState, Quiet, QuietContainer, Recovery, Reply, Unobserved};
use crate::history::{Outcome, Record};
use crate::plan::rounds::RoundsPlan;
use crate::process::clock::now_ns;
use crate::process::procfs::{self, Stat};
use crate::runtimes::{Done, Host, HostError, answer, cgroup};
use crate::subject::Answer;

/// How long a kill that was acknowledged may take to be seen.
const STOP_MAX: Duration = Duration::from_millis(500);
/// How long what a deleted container left may take to be gone.
const GRACE: Duration = Duration::from_secs(1);

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

/// Looks at each container, and tries what can be done with it.
pub(super) fn probe(
    host: &mut Host,
    plan: &RoundsPlan,
    ids: &[String],
    round: &mut Round,
) -> Result<(), HostError> {
    let mut states = Vec::new();
    for (container, id) in (0..).zip(ids) {
        await_death(host, container, id, round)?;
    }
    close_open(plan, round);
    for (container, id) in (0..).zip(ids) {
        let invoke_ns = now_ns();
        let done = host.perform(Operation::State, id)?;
        let told = answer::read(host.runtime, Operation::State, &done);
        let mut record = Record::invoked(examiner(plan), Some(container), Operation::State, invoke_ns);
        if told.outcome != Outcome::Unknown {
            record.set_return_ns(Some(now_ns()));
            push(&mut round.history, record, told.clone());
        }
        let process = process(host, id, &told, &done);
        states.push((reply(&done, told), process, host.files_of(id)));
    }
    let (mut processes, mut remains) = (Vec::new(), Vec::new());
    let mut containers = Vec::new();
    for (id, (state, process, files)) in ids.iter().zip(states) {
        let container = containers.len() as u32;
        let mut look = Look { host, round, examiner: examiner(plan), container, id };
        let recovery = look.recover(&mut processes, &mut remains)?;
        containers.push(QuietContainer {
            state: Ok(state),
            files: Ok(files),
            process,
            recovery: Ok(recovery),
        });
    }
    round.quiet = Quiet {
        containers,
        strays: Ok(Vec::new()),
        remains: Ok(remains),
        processes: Ok(processes),
        list: Err(NO_LIST),
    };
    Ok(())
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
    let until = Instant::now() + STOP_MAX;
    loop {
        let done = host.perform(Operation::State, id)?;
        let told = answer::read(host.runtime, Operation::State, &done);
        let is_over = told.outcome != Outcome::Ok || told.status == Some(Status::Stopped);
        if is_over || Instant::now() > until {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(2));
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
    Ok(if is_held { ProcessState::Stopped } else { ProcessState::Running })
}

/// How often a delete by force is tried, and a create: one may fail that comes too early, and say so.
const TRIES_MAX: u32 = 3;

/// A container that is tried.
struct Look<'l> {
    host: &'l mut Host,
    round: &'l mut Round,
    examiner: u32,
    container: u32,
    id: &'l str,
}

impl Look<'_> {
    /// Deletes by force, creates anew, deletes that; notes what stays.
    fn recover(
        &mut self,
        processes: &mut Vec<String>,
        remains: &mut Vec<String>,
    ) -> Result<Recovery, HostError> {
        let delete = self.delete()?;
        let (left, files) = self.host.left_of(self.id, GRACE);
        let cgroups = left.cgroups.iter().map(|path| format!("the cgroup {}", path.display()));
        remains.extend(files.into_iter().chain(cgroups));
        processes.extend(left.processes);
        let create = self.create()?;
        let delete_again = self.delete()?;
        Ok(Recovery { delete, create, delete_again })
    }

    /// Deletes by force, once more where that did not succeed.
    fn delete(&mut self) -> Result<Reply, HostError> {
        for _ in 1..TRIES_MAX {
            let reply = self.attempt(Operation::ForceDelete)?;
            if reply.answer().is_none_or(|answer| answer.outcome == Outcome::Ok) {
                return Ok(reply);
            }
            std::thread::sleep(GRACE / 10);
        }
        self.attempt(Operation::ForceDelete)
    }

    /// Creates, once more where that did not succeed: what the one that failed left is deleted before.
    fn create(&mut self) -> Result<Reply, HostError> {
        for _ in 1..TRIES_MAX {
            let reply = self.attempt(Operation::Create)?;
            if reply.answer().is_none_or(|answer| answer.outcome == Outcome::Ok) {
                return Ok(reply);
            }
            self.delete()?;
            std::thread::sleep(GRACE / 10);
        }
        self.attempt(Operation::Create)
    }

    fn attempt(&mut self, operation: Operation) -> Result<Reply, HostError> {
        let invoke_ns = now_ns();
        let done = self.host.perform(operation, self.id)?;
        let told = answer::read(self.host.runtime, operation, &done);
        if told.outcome == Outcome::Failed {
            // It changes nothing, and is not to be lost.
            let mut record = Record::invoked(self.examiner, Some(self.container), operation, invoke_ns);
            record.set_return_ns(Some(now_ns()));
            push(&mut self.round.history, record, told.clone());
        }
        Ok(reply(&done, told))
    }
}
