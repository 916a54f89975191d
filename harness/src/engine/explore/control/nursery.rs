//! The nursery: a small process without threads that forks controlled processes, and reaps them.
//!
//! The controller lives in the harness, which has threads and must not fork. The zygote forks one nursery for each
//! exploration that goes on side by side, and the nursery forks on demand. When the controller goes, so does the
//! nursery, and with it everybody whom it forked.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::{inmate, mail};
use crate::plan::SubjectPlan;
use crate::process::region::{Layout, Region};
use crate::process::sys::{self, Forked, seccomp};
use crate::process::witness::{Identity, Witness};
use crate::process::{Builder, Channel, lifeline};
use crate::subject::{Seat, Session, Subject};
use crate::tracee::filter;

/// What nurseries are called in lists of processes.
pub(crate) const NAME: &str = "fw-nursery";

/// Be a nursery for this.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NurseryOrder {
    pub subject: SubjectPlan,
    pub root: std::path::PathBuf,
    pub containers: Vec<String>,
    pub payload_bytes: u32,
    pub layout: Layout,
    pub marker: String,
    /// The processor on which all of it runs.
    pub processor: Option<usize>,
}

/// What a controller asks of its nursery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Wish {
    /// Fork the process of this number, which nobody is at present.
    Hire(u32),
    /// Wait for this child to end; it is as good as dead.
    Bury(u32),
}

/// What the nursery answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Tidings {
    /// The subject is built; the nursery's pid.
    Raised(u32),
    /// The pid of the process that was forked.
    Hired(u32),
    /// How the child ended: its exit code, or the negative of the signal.
    Buried(i32),
    /// It could not be done.
    Failed(String),
}

/// The zygote's part: forks a nursery, with a channel to the controller that comes behind the order.
pub(crate) fn raise(
    channel: &Channel,
    order: NurseryOrder,
    memory: OwnedFd,
    build: Builder,
) -> io::Result<()> {
    reap_nurseries();
    let Some(((), Some(line))) = channel.receive::<()>()? else {
        return Err(io::Error::other("an order for a nursery came without its channel"));
    };
    let zygote = nix::unistd::getpid();
    match sys::fork()? {
        Forked::Parent(_) => Ok(()),
        Forked::Child => {
            sys::close_parents_copy(channel.as_fd());
            let line = Channel::from(line);
            let attend = || lifeline::tie_to(zygote).and_then(|()| be(&line, order, memory, build));
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(attend)).map_or(
                lifeline::PANICKED,
                |lived| {
                    // Where the controller is gone, nobody is left to be told.
                    lived.map_or_else(
                        |error| {
                            _ = line.send(&Tidings::Failed(error.to_string()), None);
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

/// Reaps the nurseries whose controllers have gone. Nothing else is the zygote's child between two orders.
fn reap_nurseries() {
    use nix::sys::wait::WaitPidFlag;
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            break;
        }
    }
}

/// What the processes of one exploration share.
struct Site {
    order: NurseryOrder,
    region: Arc<Region>,
    subject: Box<dyn Subject>,
    containers: Arc<[String]>,
    nursery: Pid,
}

impl Site {
    /// Opens the subject, in the process that will use it.
    fn open(&self, identity: Identity) -> Result<Box<dyn Session + '_>, String> {
        let seat = Seat {
            root: self.order.root.clone(),
            process: identity.process,
            containers: Arc::clone(&self.containers),
            payload_bytes: self.order.payload_bytes,
            marker: self.order.marker.clone(),
            watch: Arc::new(Witness::new(Arc::clone(&self.region), identity, 0..=0)),
        };
        self.subject.open(seat).map_err(|error| format!("cannot open the subject: {error}"))
    }
}

/// The life of the process that sets up and examines, when all others stand still: it needs no control.
fn attend(site: &Site, identity: Identity) -> Result<i32, String> {
    let header = site.region.header(identity.process);
    let mut session = site.open(identity)?;
    loop {
        let answer = session.perform(&mail::await_request(header));
        mail::lay_answer(&site.region, identity.process, answer);
        mail::say_answered(header);
    }
}

/// The nursery's life.
fn be(line: &Channel, order: NurseryOrder, memory: OwnedFd, build: Builder) -> io::Result<()> {
    lifeline::call_oneself(NAME);
    if let Some(processor) = order.processor {
        let mut set = CpuSet::new();
        set.set(processor)?;
        sched_setaffinity(Pid::from_raw(0), &set)?;
    }
    let site = Site {
        region: Arc::new(Region::attach(memory, order.layout)?),
        subject: build(&order.subject).map_err(io::Error::other)?,
        containers: order.containers.clone().into(),
        nursery: nix::unistd::getpid(),
        order,
    };
    line.send(&Tidings::Raised(site.nursery.as_raw().cast_unsigned()), None)?;
    let mut children = Vec::new();
    let served = serve(line, &site, &mut children);
    for child in children {
        _ = kill(child, Signal::SIGKILL);
        _ = waitpid(child, None);
    }
    served
}

/// Does as the controller wishes, until it is gone.
fn serve(line: &Channel, site: &Site, children: &mut Vec<Pid>) -> io::Result<()> {
    let mut incarnations = 0;
    while let Some((wish, _)) = line.receive::<Wish>()? {
        let tidings = match wish {
            Wish::Hire(process) => {
                incarnations += 1;
                let identity = Identity { process, incarnation: incarnations };
                hire(line, site, identity).map(|child| {
                    children.push(child);
                    Tidings::Hired(child.as_raw().cast_unsigned())
                })
            }
            Wish::Bury(pid) => bury(Pid::from_raw(pid.cast_signed())).map(|how| {
                children.retain(|child| child.as_raw().cast_unsigned() != pid);
                Tidings::Buried(how)
            }),
        };
        line.send(&tidings.unwrap_or_else(|error| Tidings::Failed(error.to_string())), None)?;
    }
    Ok(())
}

fn hire(line: &Channel, site: &Site, identity: Identity) -> io::Result<Pid> {
    let header = site.region.header(identity.process);
    mail::forget_listener(header);
    mail::clear_bell(header);
    match sys::fork()? {
        Forked::Parent(child) => Ok(child),
        Forked::Child => {
            sys::close_parents_copy(line.as_fd());
            lifeline::live(&site.region, identity.process, || {
                work(site, identity).unwrap_or_else(|words| {
                    lifeline::leave_words(header, &words);
                    lifeline::UNOPENED
                })
            })
        }
    }
}

fn bury(child: Pid) -> io::Result<i32> {
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
fn work(site: &Site, identity: Identity) -> Result<i32, String> {
    let process = identity.process;
    let header = site.region.header(process);
    lifeline::tie_to(site.nursery).map_err(|error| format!("cannot be tied to the nursery: {error}"))?;
    lifeline::call_oneself(&format!("fw-p{}", process + 1));
    // A subject that reads from the terminal would wait where nobody sees it.
    File::open("/dev/null")
        .and_then(|null| Ok(nix::unistd::dup2_stdin(null)?))
        .map_err(|error| error.to_string())?;
    if process + 1 == site.order.layout.examiner() {
        return attend(site, identity);
    }
    let listener = match seccomp::install(&filter::program(None)) {
        Ok(listener) => listener,
        Err(error) => {
            let words = format!("this machine lets no process be controlled: {}", inmate::told(&error));
            if inmate::is_unsupported(&error) {
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
    let mut session = site.open(identity)?;
    loop {
        match i64::from(ready()?) {
            mail::PERFORM => {
                let answer = session.perform(&mail::take_request(header));
                mail::lay_answer(&site.region, process, answer);
            }
            mail::AGAIN => {}
            _ => return Ok(0),
        }
    }
}
