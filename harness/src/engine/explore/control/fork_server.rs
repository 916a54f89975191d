//! The fork server: a small process without threads that forks controlled processes, and reaps them.
//!
//! The controller lives in the harness, which has threads and must not fork. The zygote forks one fork server for each
//! exploration that goes on side by side, and the fork server forks on demand. When the controller goes, so does the
//! fork server, and with it everybody whom it forked.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::{mail, tracee};
use crate::plan::SubjectPlan;
use crate::process::overlap::{Identity, OverlapDetector};
use crate::process::region::{Layout, Region};
use crate::process::sys::{self, Forked, seccomp};
use crate::process::{Channel, lifeline};
use crate::subject::{Builder, Seat, Session, Subject};
use crate::tracee::filter;

/// What fork servers are called in lists of processes.
pub(crate) const NAME: &str = "fw-forkserver";

/// Asks the zygote to fork a fork server, which then forks the processes of an exploration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ForkServerTask {
    pub subject: SubjectPlan,
    pub root: std::path::PathBuf,
    pub containers: Vec<String>,
    pub payload_bytes: u32,
    pub layout: Layout,
    pub marker: String,
    /// The processor on which all of it runs.
    pub processor: Option<usize>,
}

/// What a controller asks of its fork server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ForkRequest {
    /// Fork the process of this number, which nobody is at present.
    Fork(u32),
    /// Wait for this child to end; it is as good as dead.
    Reap(u32),
}

/// What the fork server answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ForkMessage {
    /// The subject is built; the fork server's pid.
    Raised(u32),
    /// The pid of the process that was forked.
    Forked(u32),
    /// How the child ended: its exit code, or the negative of the signal.
    Reaped(i32),
    /// It could not be done.
    Failed(String),
}

/// The zygote's part: forks a fork server, with a channel to the controller that comes behind the task.
pub(crate) fn raise(
    channel: &Channel,
    task: ForkServerTask,
    memory: OwnedFd,
    build: Builder,
) -> io::Result<()> {
    reap_fork_servers();
    let Some(((), Some(line))) = channel.receive::<()>()? else {
        return Err(io::Error::other("a task for a fork server came without its channel"));
    };
    let zygote = nix::unistd::getpid();
    match sys::fork()? {
        Forked::Parent(_) => Ok(()),
        Forked::Child => {
            sys::close_parents_copy(channel.as_fd());
            let line = Channel::from(line);
            let attend = || lifeline::tie_to(zygote).and_then(|()| be(&line, task, memory, build));
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(attend)).map_or(
                lifeline::PANICKED,
                |lived| {
                    // Where the controller is gone, nobody is left to be told.
                    lived.map_or_else(
                        |error| {
                            _ = line.send(&ForkMessage::Failed(error.to_string()), None);
                            1
                        },
                        |()| 0,
                    )
                },
            );
            sys::exit_now(code)
        }
    }
}

/// Reaps the fork servers whose controllers have gone. Nothing else is the zygote's child between two tasks.
fn reap_fork_servers() {
    use nix::sys::wait::WaitPidFlag;
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            break;
        }
    }
}

/// What the processes of one exploration share.
struct ForkContext {
    task: ForkServerTask,
    region: Arc<Region>,
    subject: Box<dyn Subject>,
    containers: Arc<[String]>,
    fork_server: Pid,
}

impl ForkContext {
    /// Opens the subject, in the process that will use it.
    fn open(&self, identity: Identity) -> Result<Box<dyn Session + '_>, String> {
        let seat = Seat {
            root: self.task.root.clone(),
            process: identity.process,
            containers: Arc::clone(&self.containers),
            payload_bytes: self.task.payload_bytes,
            marker: self.task.marker.clone(),
            watch: Arc::new(OverlapDetector::new(Arc::clone(&self.region), identity, 0..=0)),
        };
        self.subject.open(seat).map_err(|error| format!("cannot open the subject: {error}"))
    }
}

/// The life of the process that sets up and examines, when all others stand still: it needs no control.
fn attend(context: &ForkContext, identity: Identity) -> Result<i32, String> {
    let header = context.region.header(identity.process);
    let mut session = context.open(identity)?;
    loop {
        mail::await_requests(header);
        let requests = mail::take_requests(&context.region, identity.process);
        let mut answers = mail::Answers::begin(&context.region, identity.process);
        for request in &requests {
            answers.add(session.perform(request));
        }
        mail::say_answered(header);
    }
}

/// The fork server's life.
fn be(line: &Channel, task: ForkServerTask, memory: OwnedFd, build: Builder) -> io::Result<()> {
    lifeline::call_oneself(NAME);
    if let Some(processor) = task.processor {
        let mut set = CpuSet::new();
        set.set(processor)?;
        sched_setaffinity(Pid::from_raw(0), &set)?;
    }
    let context = ForkContext {
        region: Arc::new(Region::attach(memory, task.layout)?),
        subject: build(&task.subject).map_err(io::Error::other)?,
        containers: task.containers.clone().into(),
        fork_server: nix::unistd::getpid(),
        task,
    };
    line.send(&ForkMessage::Raised(context.fork_server.as_raw().cast_unsigned()), None)?;
    let mut children = Vec::new();
    let served = serve(line, &context, &mut children);
    for child in children {
        _ = kill(child, Signal::SIGKILL);
        _ = waitpid(child, None);
    }
    served
}

/// Does as the controller wishes, until it is gone.
fn serve(line: &Channel, context: &ForkContext, children: &mut Vec<Pid>) -> io::Result<()> {
    let mut incarnations = 0;
    while let Some((request, _)) = line.receive::<ForkRequest>()? {
        let message = match request {
            ForkRequest::Fork(process) => {
                incarnations += 1;
                let identity = Identity { process, incarnation: incarnations };
                start(line, context, identity).map(|child| {
                    children.push(child);
                    ForkMessage::Forked(child.as_raw().cast_unsigned())
                })
            }
            ForkRequest::Reap(pid) => reap(Pid::from_raw(pid.cast_signed())).map(|how| {
                children.retain(|child| child.as_raw().cast_unsigned() != pid);
                ForkMessage::Reaped(how)
            }),
        };
        line.send(&message.unwrap_or_else(|error| ForkMessage::Failed(error.to_string())), None)?;
    }
    Ok(())
}

fn start(line: &Channel, context: &ForkContext, identity: Identity) -> io::Result<Pid> {
    let header = context.region.header(identity.process);
    mail::forget_listener(header);
    mail::clear_bell(header);
    match sys::fork()? {
        Forked::Parent(child) => Ok(child),
        Forked::Child => {
            sys::close_parents_copy(line.as_fd());
            lifeline::live(&context.region, identity.process, || {
                work(context, identity).unwrap_or_else(|words| {
                    lifeline::leave_words(header, &words);
                    lifeline::UNOPENED
                })
            })
        }
    }
}

fn reap(child: Pid) -> io::Result<i32> {
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, code)) => return Ok(code),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(-(signal as i32)),
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A controlled process's life; gives back its exit code.
fn work(context: &ForkContext, identity: Identity) -> Result<i32, String> {
    let process = identity.process;
    let header = context.region.header(process);
    lifeline::tie_to(context.fork_server)
        .map_err(|error| format!("cannot be tied to the fork_server: {error}"))?;
    lifeline::call_oneself(&format!("fw-p{}", process + 1));
    // A subject that reads from the terminal would wait where nobody sees it.
    File::open("/dev/null")
        .and_then(|null| Ok(nix::unistd::dup2_stdin(null)?))
        .map_err(|error| error.to_string())?;
    if process + 1 == context.task.layout.examiner() {
        return attend(context, identity);
    }
    let listener = match seccomp::install(&filter::program(None)) {
        Ok(listener) => listener,
        Err(error) => {
            let words = format!("processes cannot be controlled on this machine: {}", tracee::told(&error));
            if tracee::is_unsupported(&error) {
                lifeline::leave_words(header, &words);
                return Ok(lifeline::UNSUPPORTED);
            }
            return Err(words);
        }
    };
    mail::announce_listener(header, listener.as_raw_fd());
    // The controller takes a copy, and only then answers: the first stop comes later than that.
    let ready = || seccomp::rendezvous(mail::READY).map_err(|error| format!("no controller: {error}"));
    if i64::from(ready()?) == mail::LEAVE {
        return Ok(0);
    }
    // As long as this process has a copy of its own listener, its death does not end it.
    drop(listener);
    let mut session = context.open(identity)?;
    loop {
        match i64::from(ready()?) {
            mail::PERFORM => {
                let answer = session.perform(&mail::take_request(header));
                mail::lay_answer(&context.region, process, answer);
            }
            mail::AGAIN => {}
            _ => return Ok(0),
        }
    }
}
