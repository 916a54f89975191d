//! The tracees: the processes of one executor, forked by its fork server, let go and stopped one at a time.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::error::{ControlError, Result};
use super::foresee::{self, Recording};
use super::fork_server::{ForkMessage, ForkRequest, ForkServerTask};
use super::mail;
use super::record;
use super::tracee::{self, Arrival, Tracee, Watchdog};
use crate::books::deed::Deed;
use crate::engine::ServerTask;
use crate::evidence;
use crate::evidence::{Exit, ExitHow};
use crate::plan::{self, ExplorePlan};
use crate::process::attention::Deadline;
use crate::process::procfs;
use crate::process::region::{Layout, Region};
use crate::process::sys::seccomp::Reply;
use crate::process::{Channel, Marker, Zygote, lifeline, overlap};
use crate::subject::Request;

/// How long a forked process may take to be ready.
const READY_MAX: Duration = Duration::from_secs(20);

/// All processes of an executor.
#[derive(Debug)]
pub(super) struct Tracees {
    line: Channel,
    pub region: Arc<Region>,
    members: Vec<Option<Tracee>>,
    /// The pid of the examiner.
    attendant: Option<u32>,
    watchdog: Watchdog,
    /// How many requests the examiner had: no two of its payloads are alike.
    sequence: u64,
    /// Longest that a process may run between two stops.
    pub step_ns: u64,
    /// How many times a process was waited for.
    pub stops: u64,
}

/// Whether a process had to be forked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forked {
    /// It was there.
    Before,
    /// It is new.
    Now,
}

impl Tracees {
    /// Has a fork server raised for a plan. One process more than the plan has is kept for setup and examination.
    pub fn raise(zygote: &Zygote, plan: &ExplorePlan, root: &Path, processor: Option<usize>) -> Result<Self> {
        let processes = plan.processes.len();
        let layout = Layout {
            workers: processes as u32 + 1,
            auditors: 0,
            containers: plan.containers.len() as u32,
            worker_entries: 0,
            auditor_entries: 0,
            examiner_entries: 0,
            holds_per_entry: 0,
        };
        let region = Region::create(layout)?;
        let (ours, theirs) = Channel::pair()?;
        let task = ForkServerTask {
            subject: plan.subject.clone().with_workers(processes as u32),
            root: root.to_owned(),
            containers: plan.containers.clone(),
            payload_bytes: plan.payload_bytes,
            layout,
            marker: Marker::next().to_string(),
            processor,
        };
        zygote.order(&ServerTask::ForkServer(Box::new(task)), &region)?;
        zygote.hand_over(theirs.as_fd())?;
        drop(theirs);
        let tracees = Self {
            line: ours,
            region: Arc::new(region),
            members: (0..processes).map(|_| None).collect(),
            attendant: None,
            watchdog: Watchdog::start(plan.step_ns)?,
            sequence: 0,
            step_ns: plan.step_ns,
            stops: 0,
        };
        match tracees.message()? {
            ForkMessage::Raised(_) => Ok(tracees),
            other => Err(ControlError::ForkServer(format!("the fork server said {other:?}"))),
        }
    }

    /// Whether steps are as fast as the kernel can make them; none where no process is there to ask about.
    pub fn wakes_in_step(&self) -> Option<bool> {
        self.members.iter().flatten().next().map(|tracee| tracee.wakes_in_step)
    }

    /// Whether a process is there at this number.
    pub fn is_there(&self, process: usize) -> bool {
        self.members[process].is_some()
    }

    /// Whether the process that just died had run for too long.
    pub fn was_runaway(&self) -> bool {
        self.watchdog.rest()
    }

    /// Has the examiner perform operations, one after the other and without control.
    pub fn ask(&mut self, calls: &[plan::Call]) -> Result<Vec<evidence::Reply>> {
        let mut replies = Vec::with_capacity(calls.len());
        while replies.len() < calls.len() {
            let rest = &calls[replies.len()..];
            replies.extend(self.ask_some(&rest[..rest.len().min(mail::REQUESTS_MAX)])?);
        }
        Ok(replies)
    }

    /// The replies to the first of these, and at least to one: where it does not answer, the others are to be asked again.
    fn ask_some(&mut self, calls: &[plan::Call]) -> Result<Vec<evidence::Reply>> {
        let examiner = self.examiner();
        let pid = match self.attendant {
            Some(pid) => pid,
            None => *self.attendant.insert(self.fork(examiner)?),
        };
        let number = |(sequence, call): (u64, &plan::Call)| Request {
            operation: call.operation,
            container: call.container,
            sequence,
        };
        let requests: Vec<Request> = (self.sequence + 1..).zip(calls).map(number).collect();
        let region = Arc::clone(&self.region);
        let header = region.header(examiner as u32);
        mail::lay_requests(&region, examiner as u32, &requests);
        mail::ask(header);
        let step = Duration::from_nanos(self.step_ns);
        let (mut deadline, mut answered) = (Deadline::after(step), 0);
        let mut answers = Vec::new();
        let lost = loop {
            match mail::await_answers(header, Duration::from_millis(20)) {
                mail::Heard::Answers => break None,
                mail::Heard::Some => {
                    answers.extend(mail::take_answers(&region, examiner as u32));
                    (deadline, answered) = (Deadline::after(step), 0);
                    mail::go_on(header);
                }
                mail::Heard::Nothing(bytes) => {
                    if bytes != answered {
                        (deadline, answered) = (Deadline::after(step), bytes);
                    }
                    let is_late = deadline.is_over();
                    if is_late {
                        _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
                    }
                    if is_late || !procfs::lives(pid) {
                        break Some(self.no_attendant(pid, is_late)?);
                    }
                }
            }
        };
        answers.extend(mail::take_answers(&region, examiner as u32));
        let mut replies: Vec<_> = answers.into_iter().map(evidence::Reply::Answered).collect();
        if replies.len() < calls.len() {
            replies.push(lost.ok_or(ControlError::Lost { process: examiner + 1 })?);
        }
        self.sequence += replies.len() as u64;
        Ok(replies)
    }

    /// The examiner did not answer: it is dead now, and another one is forked when it is needed.
    fn no_attendant(&mut self, pid: u32, is_late: bool) -> Result<evidence::Reply> {
        self.attendant = None;
        let how = self.wait_for(pid)?;
        let examiner = self.examiner() as u32;
        overlap::clear_process(&self.region, examiner);
        Ok(evidence::Reply::Silent(match lifeline::take_words(self.region.header(examiner)) {
            _ if is_late => "no answer in time".to_owned(),
            Some(words) => format!("the process that tried it died: {words}"),
            None => format!("the process that tried it ended with {how}"),
        }))
    }

    /// The process at this number, which must be there.
    pub fn tracee(&self, process: usize) -> &Tracee {
        self.members[process].as_ref().expect("whoever takes a step is there")
    }

    /// Answers the call at which a process stands.
    pub fn answer(&mut self, process: usize, reply: Reply) -> Result<()> {
        let tracee = self.members[process].as_mut().expect("whoever is answered is there");
        self.watchdog.watch(tracee.pid);
        Ok(tracee.answer(reply)?)
    }

    /// Waits until a process stands again, or is dead.
    pub fn arrive(&mut self, process: usize) -> Result<Arrival> {
        let tracee = self.members[process].as_mut().expect("whoever is awaited is there");
        self.stops += 1;
        let arrival = tracee.arrive()?;
        if matches!(arrival, Arrival::Stopped(_)) && self.watchdog.rest() {
            // It stopped just as it was killed for not doing so.
            return Ok(Arrival::Dead);
        }
        Ok(arrival)
    }

    /// Has a process that waits for a request meet the controller so many times, and nothing else.
    pub fn round_trips(&mut self, process: usize, count: u64) -> Result<()> {
        let tracee = self.members[process].as_mut().expect("whoever is met is there");
        for _ in 0..count {
            tracee.answer(Reply::Value(mail::AGAIN))?;
            if matches!(tracee.arrive()?, Arrival::Dead) {
                return Err(ControlError::ForkServer(format!("process {} died as it was met", tracee.pid)));
            }
        }
        Ok(())
    }

    /// Has a process forked at this number, if nobody is there, and brings it to where it waits for a request.
    pub fn start(&mut self, process: usize) -> Result<Forked> {
        if self.members[process].is_some() {
            return Ok(Forked::Before);
        }
        let pid = self.fork(process)?;
        let header = self.region.header(process as u32);
        let mut deadline = Deadline::after(READY_MAX);
        let listener = loop {
            if let Some(listener) = mail::await_listener(header, Duration::from_millis(50)) {
                break listener;
            }
            if !procfs::lives(pid) || deadline.is_over() {
                return Err(self.stillborn(process, pid)?);
            }
        };
        let seized = Tracee::seize(pid, listener);
        if seized.is_err() {
            // Without a controller it would stand at its first stop for ever.
            _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            self.wait_for(pid)?;
        }
        self.members[process] = Some(seized.map_err(|error| {
            if tracee::is_unsupported(&error) {
                let why = format!("processes cannot be controlled on this machine: {error}");
                return ControlError::Unsupported(why);
            }
            ControlError::from(error)
        })?);
        self.welcome(process)?;
        Ok(Forked::Now)
    }

    /// A process that was forked and came to no listener: it is reaped, and its words are told.
    fn stillborn(&self, process: usize, pid: u32) -> Result<ControlError> {
        _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
        let code = self.wait_for(pid)?;
        let words = lifeline::take_words(self.region.header(process as u32));
        let words = words.unwrap_or_else(|| format!("process {pid} did not start"));
        Ok(if code == lifeline::UNSUPPORTED {
            ControlError::Unsupported(words)
        } else {
            ControlError::ForkServer(words)
        })
    }

    fn fork(&self, process: usize) -> Result<u32> {
        self.line.send(&ForkRequest::Fork(process as u32), None)?;
        match self.message()? {
            ForkMessage::Forked(pid) => Ok(pid),
            other => {
                Err(ControlError::ForkServer(format!("the fork server was to fork, and said {other:?}")))
            }
        }
    }

    fn wait_for(&self, pid: u32) -> Result<i32> {
        self.line.send(&ForkRequest::Reap(pid), None)?;
        match self.message()? {
            ForkMessage::Reaped(how) => Ok(how),
            other => {
                let what = format!("process {pid} was to be reaped, and the fork server said {other:?}");
                Err(ControlError::ForkServer(what))
            }
        }
    }

    /// From the first meeting to the second: the process opens the subject.
    fn welcome(&mut self, process: usize) -> Result<()> {
        let mut meetings = 0;
        loop {
            match self.arrive(process)? {
                Arrival::Dead => {
                    let exit = self.reap(process)?;
                    let words = exit.last_words.unwrap_or_else(|| format!("{:?}", exit.how));
                    return Err(ControlError::ForkServer(words));
                }
                Arrival::Stopped(stop) => {
                    match foresee::decode(&stop, self.tracee(process).memory, Recording::Lengths) {
                        Ok(Deed::Ready) if meetings > 0 => return Ok(()),
                        Ok(Deed::Ready) => {
                            meetings += 1;
                            self.answer(process, Reply::Value(mail::PERFORM))?;
                        }
                        Ok(_) => self.answer(process, Reply::Continue)?,
                        Err(what) => {
                            let operation = "the opening of the subject".into();
                            return Err(ControlError::Escape { process: process + 1, what, operation });
                        }
                    }
                }
            }
        }
    }

    /// Kills a process, and waits until it is dead.
    pub fn kill(&mut self, process: usize) -> Result<()> {
        if let Some(tracee) = self.members[process].as_mut() {
            tracee.kill()?;
        }
        Ok(())
    }

    /// Reaps a dead process.
    pub fn reap(&mut self, process: usize) -> Result<Exit> {
        self.watchdog.rest();
        let tracee = self.members[process].take().expect("whoever is reaped was there");
        tracee.is_dead(Duration::from_secs(10))?;
        let how = self.wait_for(tracee.pid)?;
        overlap::clear_process(&self.region, process as u32);
        let last_words = lifeline::take_words(self.region.header(process as u32));
        if how == lifeline::HARNESS_PANICKED {
            let what = lifeline::harness_panicked(record::number(process), last_words.as_deref());
            return Err(ControlError::ForkServer(what));
        }
        let how = if how < 0 { ExitHow::Signal(-how) } else { ExitHow::Code(how) };
        Ok(Exit {
            process: record::number(process),
            pid: tracee.pid,
            how,
            killed_ns: None,
            reaped_ns: 0,
            last_words,
        })
    }

    fn message(&self) -> Result<ForkMessage> {
        match self.line.receive::<ForkMessage>()? {
            Some((ForkMessage::Failed(why), _)) => Err(ControlError::ForkServer(why)),
            Some((message, _)) => Ok(message),
            None => Err(ControlError::ForkServer("the fork server is gone".into())),
        }
    }

    /// The number of the process that sets up and examines.
    pub fn examiner(&self) -> usize {
        self.members.len()
    }

    /// Whoever has a pid.
    pub fn pids(&self) -> Vec<Option<u32>> {
        self.members.iter().map(|tracee| tracee.as_ref().map(|tracee| tracee.pid)).collect()
    }
}
