//! Containers as what commands share: the commands are operations of a runtime, and what they leave is what `state` tells and
//! what is still there when the runtime itself has deleted everything by force.
//!
//! The ground between executions is the runtime's own delete and setup. Whatever a delete leaves is seen, and is part of what
//! the execution came to; then it is removed, so that no execution begins with what another left.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flockwork::{ContainerId, Operation, Status};

use super::error::RaceError;
use super::expected::Difference;
use super::orders::Step;
use super::outcome::{Done, Ending, Output, Who};
use super::sheet::Place;
use crate::history::{Outcome, Reason};
use crate::plan::Call;
use crate::plan::race::RacePlan;
use crate::plan::rounds::OciPlan;
use crate::process::Zygote;
use crate::process::attention::Deadline;
use crate::process::procfs;
use crate::process::spawner;
use crate::runtimes::clean::Among;
use crate::runtimes::{self, Host, HostError, Runtime, answer, cgroup, clean, host, life};
use crate::subject::Answer;
use crate::violation::Class;
use crate::words::nearest;

/// How long a kill that was acknowledged may take to be seen.
const STOP_MAX: Duration = Duration::from_millis(500);
/// How long what a deleted container left may take to be gone: long, as it counts against the runtime, on a busy machine too.
const GRACE: Duration = Duration::from_secs(3);
/// How long to wait before either is tried again.
const AGAIN: Duration = Duration::from_millis(100);
/// How often a delete by force is tried, and a create: one may fail that comes too early, and say so.
const TRIES_MAX: u32 = 3;

/// What is told of a command that fell over.
const FALLEN: &str = "fell over: ";
/// What is told of metadata that a command could not read.
const TORN: &str = "read metadata that is empty or cut";
/// What is told of a container that cannot be deleted.
const UNDELETABLE: &str = "delete --force does not succeed";
/// What is told of an id that cannot be used any more.
const UNUSABLE: &str = "create does not succeed any more";

/// The operations of a plan, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Calls {
    /// The containers' names.
    names: Vec<String>,
    setup: Vec<Call>,
    processes: Vec<Vec<Call>>,
}

impl Calls {
    /// Reads the commands of a plan as operations.
    pub fn read(plan: &RacePlan) -> Result<Self, RaceError> {
        let mut names = Vec::new();
        let mut all = |texts: &[String]| -> Result<Vec<Call>, RaceError> {
            texts.iter().map(|text| call(text, &mut names)).collect()
        };
        let setup = all(&plan.setup)?;
        let processes: Vec<Vec<Call>> =
            plan.processes.iter().map(|texts| all(texts)).collect::<Result<_, _>>()?;
        let kills_first =
            |calls: &&Vec<Call>| calls.iter().rev().skip(1).any(|call| call.operation == Operation::Kill);
        if processes.iter().any(|calls| kills_first(&calls)) {
            return Err(RaceError::Usage(
                "a kill returns before the container has stopped, so the result of a command after it in the same process is uncertain: make it the last command of its process"
                    .into(),
            ));
        }
        Ok(Self { names, setup, processes })
    }

    /// Whether several commands that run at once kill a container.
    fn is_killed_twice(&self, container: u32) -> bool {
        let kills = |call: &&Call| call.operation == Operation::Kill && call.container == container;
        self.processes.iter().flatten().filter(kills).count() > 1
    }
}

/// One operation on one container.
fn call(text: &str, names: &mut Vec<String>) -> Result<Call, RaceError> {
    let wrong = |why: String| RaceError::Usage(format!("{text:?}: {why}"));
    let words: Vec<&str> = text.split_whitespace().collect();
    let known = || Runtime::operations().map(Operation::as_str).collect::<Vec<_>>();
    let word = words.first().copied().unwrap_or_default();
    let Some(operation) = Runtime::operations().find(|operation| operation.as_str() == word) else {
        let near =
            nearest(word, known()).map(|near| format!("; the nearest is {near:?}")).unwrap_or_default();
        return Err(wrong(format!("the operations are {}{near}", known().join(", "))));
    };
    let [_, name] = words[..] else {
        return Err(wrong(format!("expected an operation and one container, such as \"{operation} c1\"")));
    };
    ContainerId::new(name).map_err(|error| wrong(error.to_string()))?;
    let index = names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    });
    Ok(Call { operation, container: index as u32 })
}

/// What was seen when all commands had ended.
#[derive(Clone, Debug, Default)]
struct Looked {
    /// What `state` tells of each container.
    state: String,
    /// What is wrong with what stays once all is deleted by force; nothing where all is well.
    after: String,
    /// What the runtime said to that.
    said: String,
}

/// Containers of one runtime.
#[derive(Debug)]
pub(crate) struct Containers {
    /// Gone once it was closed.
    host: Option<Host>,
    calls: Calls,
    /// The containers' ids, in the order of their names.
    ids: Vec<String>,
    /// Whether an id must be fit for use after what was done to it.
    tries_again: bool,
    /// What was seen of the execution at hand, where somebody looked already.
    looked: Option<Looked>,
    /// Whether nothing is left of the last execution.
    is_clean: bool,
    /// Whether the setup has ever succeeded.
    was_set_up: bool,
}

impl Containers {
    /// Finds the runtime, and takes one container through its life. `root` is that of a temporary folder whose name nothing
    /// else has.
    pub fn open(zygote: &Zygote, plan: &RacePlan, oci: &OciPlan, root: &Path) -> Result<Self, RaceError> {
        let mut all = Self::beside(zygote, plan, oci, root)?;
        all.host_mut().version().map_err(refused)?;
        life::try_life(all.host_mut(), "try").map_err(refused)?;
        all.was_set_up = false;
        Ok(all)
    }

    /// The same of a runtime that was tried already, and set up.
    pub fn beside(zygote: &Zygote, plan: &RacePlan, oci: &OciPlan, root: &Path) -> Result<Self, RaceError> {
        let calls = Calls::read(plan)?;
        let oci = OciPlan { time_limit_ns: plan.time_limit_ns, ..oci.clone() };
        let host = Host::open(zygote, &oci, root).map_err(refused)?;
        // A root is private, and so are its ids.
        let ids = calls.names.clone();
        let tries_again = !plan.faults.is_empty();
        Ok(Self { host: Some(host), calls, ids, tries_again, looked: None, is_clean: true, was_set_up: true })
    }

    /// Where the runtime's commands run.
    pub fn host(&self) -> &Host {
        self.host.as_ref().expect("it is closed last")
    }

    fn host_mut(&mut self) -> &mut Host {
        self.host.as_mut().expect("it is closed last")
    }

    /// The runtime's command of each operation: the words of each process's.
    pub fn words(&self) -> Vec<Vec<Vec<String>>> {
        let words = |call: &Call| self.host().words(call.operation, &self.ids[call.container as usize]);
        self.calls.processes.iter().map(|calls| calls.iter().map(words).collect()).collect()
    }

    /// Removes what the last execution left, and prepares the containers anew.
    pub fn put_back(&mut self) -> Result<(), RaceError> {
        self.looked = None;
        if !self.is_clean {
            self.clear()?;
        }
        self.is_clean = false;
        let host = self.host.as_mut().expect("it is closed last");
        for id in &self.ids {
            host.bundles.write(id).map_err(|error| refused(error.into()))?;
        }
        for call in &self.calls.setup {
            let id = &self.ids[call.container as usize];
            let told = life::succeed(host, call.operation, id);
            let told = told.and_then(|()| match call.operation {
                Operation::Kill => life::settle(host, id, Some(Status::Stopped)).map(drop),
                _ => Ok(()),
            });
            told.map_err(|error| match error {
                error @ (HostError::Io(_) | HostError::Exhausted(_)) => refused(error),
                error if self.was_set_up => {
                    RaceError::Refused(format!("the setup does not succeed every time: {error}"))
                }
                error => RaceError::Usage(format!("--setup: {error}")),
            })?;
        }
        self.was_set_up = true;
        Ok(())
    }

    /// Waits until a kill that succeeded has taken effect, so that a sequential order has one result.
    pub fn settle(&mut self, (process, index): Step, done: &Done) -> Result<(), RaceError> {
        let call = self.calls.processes[process][index];
        if call.operation == Operation::Kill && done.ending == Ending::Exited(0) {
            self.await_death(call.container)?;
        }
        Ok(())
    }

    fn await_death(&mut self, container: u32) -> Result<(), RaceError> {
        let mut deadline = Deadline::after(STOP_MAX);
        loop {
            let (told, _) = self.attempt(Operation::State, container)?;
            let is_over = told.outcome != Outcome::Ok || told.status == Some(Status::Stopped);
            if is_over || deadline.is_over() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Performs an operation, and gives back what it answered and what the command came to.
    fn attempt(
        &mut self,
        operation: Operation,
        container: u32,
    ) -> Result<(Answer, runtimes::Done), RaceError> {
        let host = self.host.as_mut().expect("it is closed last");
        let done = host.perform(operation, &self.ids[container as usize]).map_err(refused)?;
        Ok((answer::read(host.runtime, operation, &done), done))
    }

    /// Looks at what all commands left, and has the runtime delete it. What they started may still live: whoever held it must
    /// not end it before, and must let it go on.
    pub fn look(&mut self) -> Result<(), RaceError> {
        let mut looked = Looked::default();
        for container in 0..self.ids.len() as u32 {
            let calls = self.calls.processes.iter().flatten();
            let kills = |call: &Call| call.operation == Operation::Kill && call.container == container;
            if calls.clone().any(kills) {
                self.await_death(container)?;
            }
            let (told, done) = self.attempt(Operation::State, container)?;
            let name = &self.calls.names[container as usize];
            writeln!(looked.state, "{name}: {}", status(&told, &done)).expect("a String takes all");
            if told.outcome != Outcome::Ok {
                looked.said.push_str(&done.stderr);
            }
        }
        for container in 0..self.ids.len() as u32 {
            self.must_succeed(Operation::ForceDelete, container, UNDELETABLE, &mut looked)?;
        }
        let stays = self.stays();
        self.is_clean = stays.is_empty();
        looked.after.push_str(&stays);
        if self.tries_again {
            for container in 0..self.ids.len() as u32 {
                self.must_succeed(Operation::Create, container, UNUSABLE, &mut looked)?;
                self.must_succeed(Operation::ForceDelete, container, UNDELETABLE, &mut looked)?;
            }
            self.is_clean &= self.stays().is_empty();
        }
        self.looked = Some(looked);
        Ok(())
    }

    /// Tries an operation that must succeed, several times; tells where it does not. What a create left that failed is deleted
    /// before the next.
    fn must_succeed(
        &mut self,
        operation: Operation,
        container: u32,
        otherwise: &str,
        looked: &mut Looked,
    ) -> Result<(), RaceError> {
        for time in 1..=TRIES_MAX {
            let (told, done) = self.attempt(operation, container)?;
            if told.outcome == Outcome::Ok {
                return Ok(());
            }
            if time == TRIES_MAX {
                let name = &self.calls.names[container as usize];
                writeln!(looked.after, "{name}: {otherwise}").expect("a String takes all");
                looked.said.push_str(&done.stderr);
                looked.said.extend(done.waiting);
                return Ok(());
            }
            if operation == Operation::Create {
                self.attempt(Operation::ForceDelete, container)?;
            }
            std::thread::sleep(AGAIN);
        }
        Ok(())
    }

    /// What is still there of all containers once it has had its time, a line each.
    fn stays(&self) -> String {
        let mut deadline = Deadline::after(GRACE);
        loop {
            let text = self.seen();
            if text.is_empty() || deadline.is_over() {
                return text;
            }
            std::thread::sleep(Duration::from_millis(1));
            // As long as that sees somebody it need not be looked at everything.
            while clean::sees_any(&self.host().ground) && !deadline.is_over() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// What is there of all containers now, a line each.
    fn seen(&self) -> String {
        let host = self.host();
        let mut text = String::new();
        for (name, id) in self.calls.names.iter().zip(&self.ids) {
            for file in host.files_of(id) {
                writeln!(text, "{name}: stays: {}", file.replace(id.as_str(), name))
                    .expect("a String takes all");
            }
            if !cgroup::of(&host.ground, Some(id)).is_empty() {
                writeln!(text, "{name}: stays: its cgroup").expect("a String takes all");
            }
        }
        let processes = clean::processes(&host.ground, None, Among::OurOwn);
        let mut names: Vec<String> = processes.into_iter().filter_map(procfs::name).collect();
        names.sort();
        for name in names {
            writeln!(text, "stays: the process {name}").expect("a String takes all");
        }
        text
    }

    /// Ends and removes all that is left, whoever made it.
    fn clear(&mut self) -> Result<(), RaceError> {
        let host = self.host();
        let left = clean::away(&host.ground, None);
        for id in &self.ids {
            host.clear(id).map_err(refused)?;
        }
        must_be_gone(&left)
    }

    /// What was seen of the execution at hand: what tells the state, and what comes after.
    pub fn told(&mut self) -> Result<(Done, Done), RaceError> {
        if self.looked.is_none() {
            self.look()?;
        }
        let looked = self.looked.take().unwrap_or_default();
        let done = |text: &str, said: &str| Done {
            ending: Ending::Exited(0),
            stdout: output(text),
            stderr: output(said),
        };
        Ok((done(&looked.state, ""), done(&looked.after, &looked.said)))
    }

    /// A command as it is compared: how it ended, and of what it printed what means the same in every execution. That the
    /// machine lacked something is an error.
    pub fn normalise(&self, (process, index): Step, done: &mut Done) -> Result<(), RaceError> {
        let ending = match done.ending {
            Ending::Exited(code) => spawner::Status::Exited(code),
            Ending::Signaled(signal) => spawner::Status::Signaled(signal),
            Ending::NotStarted(_) | Ending::Killed | Ending::TimedOut | Ending::Skipped => return Ok(()),
        };
        let text = |output: &Output| String::from_utf8_lossy(&output.text).into_owned();
        let Call { operation, container } = self.calls.processes[process][index];
        let ended = runtimes::Done {
            pid: 0,
            begun_ns: 0,
            ended_ns: 0,
            ending: Some(ending),
            stdout: text(&done.stdout),
            stderr: text(&done.stderr),
            is_killed: false,
            waiting: None,
        };
        let runtime = self.host().runtime;
        if let Some(said) = answer::lacking(&ended) {
            return Err(refused(HostError::exhausted(runtime, &said)));
        }
        let told = answer::read(runtime, operation, &ended);
        let fallen = answer::fallen(&ended);
        let is_too_late = match (told.outcome, told.reason) {
            (Outcome::Refused, Some(Reason::Status)) => true,
            (Outcome::Failed, Some(Reason::Other)) => fallen.is_none(),
            _ => false,
        };
        if operation == Operation::Kill && is_too_late && self.calls.is_killed_twice(container) {
            // A kill takes effect after it has returned. Another that comes before succeeds as well, and one that comes meanwhile may
            // find nobody who answers.
            done.ending = Ending::Exited(0);
        }
        let word = match fallen {
            Some(fallen) => format!("{FALLEN}{fallen}\n"),
            None if told.reason == Some(Reason::Corrupt) => format!("{TORN}\n"),
            None => told.status.map(|status| format!("{status}\n")).unwrap_or_default(),
        };
        done.stdout = output(&word);
        Ok(())
    }

    /// Ends all that could still run, and tells what cannot be removed.
    pub fn close(&mut self) -> Result<(), RaceError> {
        let left = self.host.take().map(Host::close).unwrap_or_default();
        must_be_gone(&left)
    }
}

fn must_be_gone(left: &clean::Left) -> Result<(), RaceError> {
    if left.is_empty() {
        return Ok(());
    }
    Err(RaceError::Failed(format!("what containers left cannot be removed: {left:?}")))
}

impl Drop for Containers {
    fn drop(&mut self) {
        // An error is on its way already, or all was closed.
        _ = self.close();
    }
}

/// What `state` told, in words that are the same in every execution.
fn status(told: &Answer, done: &runtimes::Done) -> String {
    match (told.status, told.outcome, told.reason) {
        (Some(status), ..) => status.to_string(),
        (None, Outcome::Ok, _) => "creating".into(),
        (None, Outcome::Refused, Some(Reason::Absent)) => "absent".into(),
        (None, _, Some(Reason::Corrupt)) => TORN.into(),
        _ if done.waiting.is_some() => "state does not end".into(),
        _ => "state does not succeed".into(),
    }
}

fn output(text: &str) -> Output {
    Output { text: text.as_bytes().into(), bytes: text.len() as u64 }
}

/// The class of an execution that differs so from all orders, where what differs says more than that.
pub(super) fn class_of(differences: &[Difference]) -> Option<Class> {
    let found = |words: &str| {
        differences
            .iter()
            .any(|difference| difference.found.as_ref().is_some_and(|text| text.contains(words)))
    };
    let only_after =
        differences.iter().all(|difference| matches!(difference.place, Place::Stdout(Who::Then(_))));
    match () {
        () if found(FALLEN) => Some(Class::SubjectCrash),
        () if found(TORN) => Some(Class::TornRead),
        () if only_after && (found(UNDELETABLE) || found(UNUSABLE)) => Some(Class::Unrecoverable),
        () if only_after => Some(Class::Leftover),
        () => None,
    }
}

/// The namespace that the runtime's commands need: as its host has it.
pub(super) fn binds(runtime: Runtime) -> Result<Vec<spawner::Bind>, RaceError> {
    host::binds(runtime).map_err(refused)
}

/// Where a program of the runtime lies, and what it finds in its environment.
pub(super) fn program(host: &Host) -> (PathBuf, Vec<(String, String)>) {
    (host.program.clone(), host.environment.clone())
}

fn refused(error: HostError) -> RaceError {
    match error {
        HostError::Io(error) => RaceError::Failed(error.to_string()),
        error => RaceError::Unsupported(error.to_string()),
    }
}
