//! The crew: the processes of one stage, forked by its nursery, let go and stopped one at a time.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::call::{self, Call};
use super::error::{Result, StageError};
use super::inmate::{self, Arrival, Inmate, Watchdog};
use super::mail;
use super::nursery::{NurseryOrder, Tidings, Wish};
use super::record;
use crate::engine::Order;
use crate::evidence;
use crate::evidence::{Exit, ExitHow};
use crate::plan::{self, ExplorePlan};
use crate::process::clock::now_ns;
use crate::process::procfs::Stat;
use crate::process::region::{Layout, Region};
use crate::process::sys::seccomp::Reply;
use crate::process::{Channel, Marker, Zygote, lifeline, witness};
use crate::subject::Request;

/// How long a forked process may take to be ready.
const READY_NS_MAX: u64 = 20_000_000_000;

/// All processes of a stage.
#[derive(Debug)]
pub(super) struct Crew {
    line: Channel,
    pub region: Arc<Region>,
    inmates: Vec<Option<Inmate>>,
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
pub(super) enum Hired {
    /// It was there.
    Before,
    /// It is new.
    Now,
}

impl Crew {
    /// Has a nursery raised for a plan. One process more than the plan has is kept for setup and examination.
    pub fn raise(zygote: &Zygote, plan: &ExplorePlan, root: &Path, processor: Option<usize>) -> Result<Self> {
        let processes = plan.processes.len();
        let layout = Layout {
            workers: processes as u32 + 1,
            auditors: 0,
            containers: plan.containers.len() as u32,
            worker_entries: 0,
            auditor_entries: 0,
            examiner_entries: 0,
        };
        let region = Region::create(layout)?;
        let (ours, theirs) = Channel::pair()?;
        let order = NurseryOrder {
            subject: plan.subject.clone().with_workers(processes as u32),
            root: root.to_owned(),
            containers: plan.containers.clone(),
            payload_bytes: plan.payload_bytes,
            layout,
            marker: Marker::next().to_string(),
            processor,
        };
        zygote.order(&Order::Nursery(Box::new(order)), &region)?;
        zygote.hand_over(theirs.as_fd())?;
        drop(theirs);
        let crew = Self {
            line: ours,
            region: Arc::new(region),
            inmates: (0..processes).map(|_| None).collect(),
            attendant: None,
            watchdog: Watchdog::start(plan.step_ns)?,
            sequence: 0,
            step_ns: plan.step_ns,
            stops: 0,
        };
        match crew.tidings()? {
            Tidings::Raised(_) => Ok(crew),
            other => Err(StageError::Nursery(format!("the nursery said {other:?}"))),
        }
    }

    /// Whether steps are as fast as the kernel can make them; none where no process is there to ask about.
    pub fn wakes_in_step(&self) -> Option<bool> {
        self.inmates.iter().flatten().next().map(|inmate| inmate.wakes_in_step)
    }

    /// Whether a process is there at this number.
    pub fn is_there(&self, process: usize) -> bool {
        self.inmates[process].is_some()
    }

    /// Whether the process that just died had run for too long.
    pub fn was_runaway(&self) -> bool {
        self.watchdog.rest()
    }

    /// Has the examiner perform an operation, without control.
    pub fn ask(&mut self, call: plan::Call) -> Result<evidence::Reply> {
        let examiner = self.examiner();
        let pid = match self.attendant {
            Some(pid) => pid,
            None => *self.attendant.insert(self.fork(examiner)?),
        };
        self.sequence += 1;
        let request =
            Request { operation: call.operation, container: call.container, sequence: self.sequence };
        let header = self.region.header(examiner as u32);
        mail::lay_request(header, &request);
        mail::ask(header);
        let until_ns = now_ns() + self.step_ns;
        while !mail::await_answer(header, Duration::from_millis(20)) {
            let is_late = now_ns() > until_ns;
            if is_late {
                _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            }
            if is_late || Stat::of(pid).is_none_or(|stat| stat.is_dead()) {
                return self.no_attendant(pid, is_late);
            }
        }
        let answer = mail::take_answer(&self.region, examiner as u32);
        Ok(evidence::Reply::Answered(answer.ok_or(StageError::Lost { process: examiner + 1 })?))
    }

    /// The examiner did not answer: it is dead now, and another one is forked when it is needed.
    fn no_attendant(&mut self, pid: u32, is_late: bool) -> Result<evidence::Reply> {
        self.attendant = None;
        let how = self.reap(pid)?;
        let examiner = self.examiner() as u32;
        witness::clear_process(&self.region, examiner);
        Ok(evidence::Reply::Silent(match lifeline::take_words(self.region.header(examiner)) {
            _ if is_late => "no answer in time".to_owned(),
            Some(words) => format!("the examiner ended: {words}"),
            None => format!("the examiner ended with {how}"),
        }))
    }

    /// The process at this number, which must be there.
    pub fn inmate(&self, process: usize) -> &Inmate {
        self.inmates[process].as_ref().expect("whoever takes a step is there")
    }

    /// Answers the call at which a process stands.
    pub fn answer(&mut self, process: usize, reply: Reply) -> Result<()> {
        let inmate = self.inmates[process].as_mut().expect("whoever is answered is there");
        self.watchdog.watch(inmate.pid);
        Ok(inmate.answer(reply)?)
    }

    /// Waits until a process stands again, or is dead.
    pub fn arrive(&mut self, process: usize) -> Result<Arrival> {
        let inmate = self.inmates[process].as_mut().expect("whoever is awaited is there");
        self.stops += 1;
        let arrival = inmate.arrive()?;
        if matches!(arrival, Arrival::Stopped(_)) && self.watchdog.rest() {
            // It stopped just as it was killed for not doing so.
            return Ok(Arrival::Dead);
        }
        Ok(arrival)
    }

    /// Has a process that waits for a request meet the controller so many times, and nothing else.
    pub fn round_trips(&mut self, process: usize, count: u64) -> Result<()> {
        let inmate = self.inmates[process].as_mut().expect("whoever is met is there");
        for _ in 0..count {
            inmate.answer(Reply::Value(mail::AGAIN))?;
            if matches!(inmate.arrive()?, Arrival::Dead) {
                return Err(StageError::Nursery(format!("process {} died as it was met", inmate.pid)));
            }
        }
        Ok(())
    }

    /// Has a process forked at this number, if nobody is there, and brings it to where it waits for a request.
    pub fn hire(&mut self, process: usize) -> Result<Hired> {
        if self.inmates[process].is_some() {
            return Ok(Hired::Before);
        }
        let pid = self.fork(process)?;
        let header = self.region.header(process as u32);
        let until_ns = now_ns() + READY_NS_MAX;
        let listener = loop {
            if let Some(listener) = mail::await_listener(header, Duration::from_millis(100)) {
                break listener;
            }
            if Stat::of(pid).is_none_or(|stat| stat.is_dead()) || now_ns() > until_ns {
                return Err(self.stillborn(process, pid)?);
            }
        };
        let seized = Inmate::seize(pid, listener);
        if seized.is_err() {
            // Without a controller it would stand at its first stop for ever.
            _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            self.reap(pid)?;
        }
        self.inmates[process] = Some(seized.map_err(|error| {
            if inmate::is_unsupported(&error) {
                let why = format!("this machine lets no process be controlled: {error}");
                return StageError::Unsupported(why);
            }
            StageError::Io(error)
        })?);
        self.welcome(process)?;
        Ok(Hired::Now)
    }

    /// A process that was forked and came to no listener: it is reaped, and its words are told.
    fn stillborn(&self, process: usize, pid: u32) -> Result<StageError> {
        _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
        let code = self.reap(pid)?;
        let words = lifeline::take_words(self.region.header(process as u32));
        let words = words.unwrap_or_else(|| format!("process {pid} did not start"));
        Ok(if code == lifeline::UNSUPPORTED {
            StageError::Unsupported(words)
        } else {
            StageError::Nursery(words)
        })
    }

    fn fork(&self, process: usize) -> Result<u32> {
        self.line.send(&Wish::Hire(process as u32), None)?;
        match self.tidings()? {
            Tidings::Hired(pid) => Ok(pid),
            other => Err(StageError::Nursery(format!("the nursery was to fork, and said {other:?}"))),
        }
    }

    fn reap(&self, pid: u32) -> Result<i32> {
        self.line.send(&Wish::Bury(pid), None)?;
        match self.tidings()? {
            Tidings::Buried(how) => Ok(how),
            other => {
                let what = format!("process {pid} was to be reaped, and the nursery said {other:?}");
                Err(StageError::Nursery(what))
            }
        }
    }

    /// From the first meeting to the second: the process opens the subject.
    fn welcome(&mut self, process: usize) -> Result<()> {
        let mut meetings = 0;
        loop {
            match self.arrive(process)? {
                Arrival::Dead => {
                    let exit = self.bury(process)?;
                    let words = exit.last_words.unwrap_or_else(|| format!("{:?}", exit.how));
                    return Err(StageError::Nursery(words));
                }
                Arrival::Stopped(stop) => match call::decode(&stop, &self.inmate(process).memory) {
                    Call::Ready if meetings > 0 => return Ok(()),
                    Call::Ready => {
                        meetings += 1;
                        self.answer(process, Reply::Value(mail::PERFORM))?;
                    }
                    Call::Escape(what) => {
                        let operation = "the opening of the subject".into();
                        return Err(StageError::Escape { process: process + 1, what, operation });
                    }
                    _ => self.answer(process, Reply::Continue)?,
                },
            }
        }
    }

    /// Kills a process, and waits until it is dead.
    pub fn kill(&mut self, process: usize) -> Result<()> {
        if let Some(inmate) = self.inmates[process].as_mut() {
            inmate.kill()?;
        }
        Ok(())
    }

    /// Reaps a dead process.
    pub fn bury(&mut self, process: usize) -> Result<Exit> {
        self.watchdog.rest();
        let inmate = self.inmates[process].take().expect("whoever is buried was there");
        inmate.is_dead(Duration::from_secs(10))?;
        let how = self.reap(inmate.pid)?;
        witness::clear_process(&self.region, process as u32);
        let last_words = lifeline::take_words(self.region.header(process as u32));
        if how == lifeline::HARNESS_PANICKED {
            let what = lifeline::harness_panicked(record::number(process), last_words.as_deref());
            return Err(StageError::Nursery(what));
        }
        let how = if how < 0 { ExitHow::Signal(-how) } else { ExitHow::Code(how) };
        Ok(Exit {
            process: record::number(process),
            pid: inmate.pid,
            how,
            killed_ns: None,
            reaped_ns: 0,
            last_words,
        })
    }

    fn tidings(&self) -> Result<Tidings> {
        match self.line.receive::<Tidings>()? {
            Some((Tidings::Failed(why), _)) => Err(StageError::Nursery(why)),
            Some((tidings, _)) => Ok(tidings),
            None => Err(StageError::Nursery("the nursery is gone".into())),
        }
    }

    /// The number of the process that sets up and examines.
    pub fn examiner(&self) -> usize {
        self.inmates.len()
    }

    /// Whoever has a pid.
    pub fn pids(&self) -> Vec<Option<u32>> {
        self.inmates.iter().map(|inmate| inmate.as_ref().map(|inmate| inmate.pid)).collect()
    }
}
