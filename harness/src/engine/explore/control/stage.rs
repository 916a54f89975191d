//! The stage: real processes under control, and the folder that they share. It runs one execution after the other, each
//! from the state after setup.

use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::call::{self, Ask, Call, LockKind, Mode};
use super::inmate::{self, Arrival, Inmate, Watchdog};
use super::locks::{Holding, Locks};
use super::mail;
use super::nursery::{NurseryOrder, Tidings, Wish};
use super::places::{Inode, Places};
use super::predict::{self, Effect, Prediction, Scene};
use super::record::{self, Recorder};
use super::snapshot::{Digest, Snapshot};
use super::stand::{Next, Planned, Stand};
use crate::engine::explore::follow::{self, Observer};
use crate::engine::explore::machine::{Chooser, End, Execution, Pick, Point};
use crate::engine::explore::schedule::{Fault, Line, Schedule};
use crate::engine::explore::step::{Event, Footprint, Mask, Step};
use crate::engine::stress::no_answer;
use crate::engine::{EngineError, Order};
use crate::evidence::{Exit, ExitHow};
use crate::plan::{self, ExplorePlan};
use crate::process::clock::now_ns;
use crate::process::procfs::Stat;
use crate::process::region::{Layout, Region};
use crate::process::sys::seccomp::Reply;
use crate::process::{Channel, Marker, Zygote, lifeline, witness};
use crate::subject::{Answer, Request};

/// How long a forked process may take to be ready.
const READY_NS_MAX: u64 = 20_000_000_000;

/// Why an execution could not be run: never the subject's fault, unless it does what cannot be controlled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
    /// The machine or the harness.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A process does something that cannot be controlled.
    #[error("p{process} {what} in {operation}: such a subject cannot be explored")]
    Escape {
        /// Who, counted from 1.
        process: usize,
        /// What.
        what: &'static str,
        /// During which operation.
        operation: String,
    },
    /// A process ran on without a system call.
    #[error(
        "p{process} (pid {pid}) ran for {seconds} s without a system call after {last}; set explore.step_limit to allow more"
    )]
    Runaway {
        /// Who, counted from 1.
        process: usize,
        /// Its pid.
        pid: u32,
        /// How long it was allowed.
        seconds: f64,
        /// Its last step.
        last: String,
    },
    /// The nursery said so.
    #[error("{0}")]
    Nursery(String),
    /// The kernel, or whoever restricts it, lets no process be controlled.
    #[error("{0}")]
    Unsupported(String),
}

impl From<StageError> for EngineError {
    fn from(error: StageError) -> Self {
        match error {
            StageError::Unsupported(why) => Self::Unsupported(why),
            other => Self::Failed(other.to_string()),
        }
    }
}

type Result<T, E = StageError> = std::result::Result<T, E>;

/// What an execution left: enough to judge it by.
#[derive(Debug)]
pub(crate) struct Left {
    pub recorder: Recorder,
    pub schedule: Schedule,
    /// Steps at which a fault met somebody.
    pub faults: u64,
    /// Points at which somebody waited for a lock.
    pub blocked: u64,
    /// Every step that was about to be taken and the faults that it could meet, by process.
    pub chances: Vec<(usize, Arc<str>, predict::Faults)>,
    /// Who waits for whom, where nobody could go on.
    pub stall: Option<Vec<String>>,
}

/// Processes under control.
#[derive(Debug)]
pub(crate) struct Control {
    line: Channel,
    region: Arc<Region>,
    inmates: Vec<Option<Inmate>>,
    /// The pid of the examiner.
    attendant: Option<u32>,
    stands: Vec<Stand>,
    places: Places,
    locks: Locks,
    snapshot: Option<Snapshot>,
    written: HashSet<Inode>,
    is_changed: bool,
    watchdog: Watchdog,
    sequence: u64,
    /// What the end of a process touched that ended by itself, within the step at hand.
    fell: Option<Footprint>,
    planned: Vec<Planned>,
    recorder: Recorder,
    pub root: PathBuf,
    containers: Vec<String>,
    step_ns: u64,
    steps_max: usize,
}

impl Control {
    /// Has a nursery raised for a plan. One process more than the plan has is kept for setup and examination.
    pub fn open(
        zygote: &Zygote,
        plan: &ExplorePlan,
        root: PathBuf,
        processor: Option<usize>,
    ) -> Result<Self> {
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
            root: root.clone(),
            containers: plan.containers.clone(),
            payload_bytes: plan.payload_bytes,
            layout,
            marker: Marker::next().to_string(),
            processor,
        };
        zygote.order(&Order::Nursery(Box::new(order)), &region)?;
        zygote.hand_over(theirs.as_fd())?;
        drop(theirs);
        let control = Self {
            places: Places::new(&root)?,
            line: ours,
            region: Arc::new(region),
            inmates: (0..processes).map(|_| None).collect(),
            attendant: None,
            stands: Vec::new(),
            locks: Locks::default(),
            snapshot: None,
            written: HashSet::new(),
            is_changed: false,
            watchdog: Watchdog::start()?,
            sequence: 0,
            fell: None,
            planned: Vec::new(),
            recorder: Recorder::default(),
            root,
            containers: plan.containers.clone(),
            step_ns: plan.step_ns,
            steps_max: plan.steps_max,
        };
        match control.tidings()? {
            Tidings::Raised(_) => Ok(control),
            other => Err(StageError::Nursery(format!("the nursery said {other:?}"))),
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

    /// Whether steps are as fast as the kernel can make them; none where no process is there to ask about.
    pub fn wakes_in_step(&self) -> Option<bool> {
        self.inmates.iter().flatten().next().map(|inmate| inmate.wakes_in_step)
    }

    /// The state that every execution starts from is the present one.
    pub fn remember(&mut self) -> Result<()> {
        self.snapshot = Some(Snapshot::take(&self.root)?);
        Ok(())
    }

    /// Puts the folder back to the state that every execution starts from.
    pub fn restore(&mut self) -> Result<()> {
        if let Some(snapshot) = self.snapshot.as_mut().filter(|_| self.is_changed) {
            snapshot.restore(&self.written)?;
        }
        self.written.clear();
        self.is_changed = false;
        Ok(())
    }

    /// Numbers for what lies in the folder.
    pub fn digest(&self) -> Result<Digest> {
        match self.snapshot.as_ref() {
            Some(snapshot) => Ok(snapshot.digest(&self.written)?),
            None => Ok(Digest::default()),
        }
    }

    /// Has the examiner perform an operation, without control.
    pub fn ask(&mut self, call: plan::Call) -> Result<Answer> {
        let examiner = self.examiner();
        let pid = match self.attendant {
            Some(pid) => pid,
            None => *self.attendant.insert(self.fork(examiner)?),
        };
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.distrust();
        }
        self.is_changed = true;
        let request = self.next_request(call);
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
        Ok(mail::take_answer(&self.region, examiner as u32).unwrap_or_else(|| no_answer("no answer")))
    }

    /// The examiner did not answer: it is dead now, and another one is forked when it is needed.
    fn no_attendant(&mut self, pid: u32, is_late: bool) -> Result<Answer> {
        self.attendant = None;
        let how = self.reap(pid)?;
        let examiner = self.examiner() as u32;
        witness::clear_process(&self.region, examiner);
        Ok(no_answer(match lifeline::take_words(self.region.header(examiner)) {
            _ if is_late => "no answer in time".to_owned(),
            Some(words) => format!("the examiner ended: {words}"),
            None => format!("the examiner ended with {how}"),
        }))
    }

    /// Runs one execution of these programs from the state after setup.
    pub fn run(
        &mut self,
        programs: &[Vec<plan::Call>],
        planned: &[Planned],
        recorder: Recorder,
        chooser: &mut dyn Chooser,
        observer: &mut dyn Observer,
    ) -> Result<Execution<Left>> {
        let run = self.run_to_its_end(programs, planned, recorder, chooser, observer);
        if run.is_err() {
            self.leave_nobody();
        }
        run
    }

    /// Ends everybody: where they stand is not known.
    fn leave_nobody(&mut self) {
        for process in 0..self.inmates.len() {
            if self.inmates[process].is_some() {
                // There is an error to tell already.
                _ = self.kill(process).and_then(|()| self.bury(process));
            }
        }
    }

    fn run_to_its_end(
        &mut self,
        programs: &[Vec<plan::Call>],
        planned: &[Planned],
        recorder: Recorder,
        chooser: &mut dyn Chooser,
        observer: &mut dyn Observer,
    ) -> Result<Execution<Left>> {
        self.begin(programs, planned, recorder)?;
        let mut course = Course::default();
        let end = loop {
            let enabled = self.enabled();
            course.enabled.push(enabled);
            if !self.stands.iter().any(Stand::is_live) {
                break End::Completed;
            }
            if enabled.is_empty() {
                course.stall = Some(self.who_waits_for_whom());
                break End::Deadlock;
            }
            if course.events.len() >= self.steps_max {
                break End::TooLong;
            }
            self.count_waiting(enabled, &mut course);
            let pending: Vec<Option<Step>> = self.stands.iter().map(|stand| stand.step.clone()).collect();
            let last = course.events.last().map(|event| event.process);
            let point = Point { depth: course.events.len(), enabled, pending: &pending, last };
            let Pick::Step(process) = chooser.choose(&point) else { break End::Abandoned };
            if observer.looks_on() {
                let pids = self.pids();
                let depth = point.depth;
                let root = &self.root;
                observer.before(&follow::Scene {
                    depth,
                    next: process,
                    pending: &pending,
                    enabled,
                    pids: &pids,
                    root,
                });
            }
            let event = self.take(process, &mut course)?;
            chooser.happened(&event);
            course.events.push(event);
        };
        let pending = self.stands.iter().map(|stand| stand.step.clone()).collect();
        self.finish(end, course.events.len())?;
        let left = Left {
            recorder: std::mem::take(&mut self.recorder),
            schedule: Schedule { lines: course.lines },
            faults: course.faults,
            blocked: course.blocked,
            chances: course.chances,
            stall: course.stall,
        };
        Ok(Execution { events: course.events, enabled: course.enabled, pending, end, outcome: left })
    }

    /// Brings everybody to the first step.
    fn begin(&mut self, programs: &[Vec<plan::Call>], planned: &[Planned], recorder: Recorder) -> Result<()> {
        if programs.len() > self.inmates.len() {
            let (programs, processes) = (programs.len(), self.inmates.len());
            let why = format!("{programs} programs are more than the exploration has processes: {processes}");
            return Err(StageError::Io(io::Error::new(io::ErrorKind::InvalidInput, why)));
        }
        self.restore()?;
        self.locks.clear();
        self.places.begin();
        self.planned = planned.to_vec();
        self.recorder = recorder;
        self.stands = programs.iter().cloned().map(Stand::new).collect();
        for word in self.region.words() {
            word.0.store(0, Ordering::Relaxed);
        }
        self.region.control().overlaps.store(0, Ordering::Relaxed);
        for process in 0..programs.len() {
            self.hire(process)?;
            self.invoke(process, 0)?;
        }
        Ok(())
    }

    /// Ends what an execution left unfinished: nobody may hold anything when the next begins.
    fn finish(&mut self, end: End, depth: usize) -> Result<()> {
        for process in 0..self.stands.len() {
            if self.stands[process].is_live() {
                if let Some(call) = self.stands[process].operation() {
                    let invoked = self.stands[process].invoked;
                    self.recorder.unknown(
                        process,
                        call,
                        invoked.unwrap_or(depth),
                        depth,
                        end == End::Deadlock,
                    );
                }
                self.kill(process)?;
                self.bury(process)?;
            }
        }
        Ok(())
    }

    /// Who can take a step.
    fn enabled(&self) -> Mask {
        let can = |stand: &Stand| match (&stand.next, stand.fault) {
            (Next::Over | Next::Dead, _) => false,
            (_, Some(Fault::Kill | Fault::Error(_))) | (Next::Return(_), _) => true,
            (Next::Call(call), _) => match &call.1.effect {
                Effect::Take(wanted, Ask::Wait) => self.locks.is_free(wanted),
                Effect::Sleep => stand.is_stale,
                _ => true,
            },
        };
        let able = self.stands.iter().enumerate().filter(|(_, stand)| can(stand));
        able.fold(Mask::default(), |mask, (process, _)| mask.with(process))
    }

    fn count_waiting(&self, enabled: Mask, course: &mut Course) {
        let waits = |(process, stand): &(usize, &Stand)| stand.is_live() && !enabled.has(*process);
        course.blocked += self.stands.iter().enumerate().filter(waits).count() as u64;
    }

    fn who_waits_for_whom(&self) -> Vec<String> {
        let mut chain = Vec::new();
        for (process, stand) in self.stands.iter().enumerate().filter(|(_, stand)| stand.is_live()) {
            let Next::Call(call) = &stand.next else { continue };
            let label = stand.step.as_ref().map_or("", |step| &step.label);
            let why = match &call.1.effect {
                Effect::Take(wanted, _) => {
                    let holders: Vec<String> =
                        self.locks.in_the_way(wanted).map(|held| format!("p{}", held.process + 1)).collect();
                    format!("waits at {label}, held by {}", holders.join(" and "))
                }
                _ => format!(
                    "waits at {label} for a change to what it looked at, and nobody is left to make one"
                ),
            };
            chain.push(format!("p{} {why}", process + 1));
        }
        chain
    }

    /// Lets a process take its step, and waits until it stands again.
    fn take(&mut self, process: usize, course: &mut Course) -> Result<Event> {
        let depth = course.events.len();
        let stand = &mut self.stands[process];
        let step = stand.step.take().expect("whoever is enabled has a step");
        let fault = stand.fault.take();
        stand.invoked.get_or_insert(depth);
        stand.took(&step);
        let next = std::mem::replace(&mut stand.next, Next::Over);
        course.note(process, &step, fault, &next);
        match (next, fault) {
            (_, Some(Fault::Kill)) => self.die(process, depth)?,
            (Next::Return(answer), _) => self.returned(process, depth, &answer)?,
            (Next::Call(call), fault) => self.go(process, depth, *call, fault)?,
            (Next::Over | Next::Dead, _) => unreachable!("whoever is over is not enabled"),
        }
        self.recorder.overlapped(&self.region, depth);
        let step = match self.fell.take() {
            Some(fall) if fault.is_none() => step.and(&fall),
            _ => step,
        };
        self.tell_the_others(process, &step.footprint)?;
        Ok(Event { process, step })
    }

    /// What others foresaw may have changed.
    fn tell_the_others(&mut self, actor: usize, footprint: &Footprint) -> Result<()> {
        for process in (0..self.stands.len()).filter(|process| *process != actor) {
            let stand = &mut self.stands[process];
            stand.witness(footprint);
            let conflicts = stand.step.as_ref().is_some_and(|step| step.footprint.conflicts(footprint));
            if conflicts && matches!(stand.next, Next::Call(_)) {
                let Next::Call(call) = std::mem::replace(&mut stand.next, Next::Over) else { continue };
                let prediction = self.predict(process, &call.0)?;
                self.place(process, call.0, prediction);
            }
        }
        Ok(())
    }

    /// Lets a process go on from a call.
    fn go(
        &mut self,
        process: usize,
        depth: usize,
        (call, prediction): (Call, Prediction),
        fault: Option<Fault>,
    ) -> Result<()> {
        match fault {
            Some(Fault::Error(error)) => {
                self.answer(process, Reply::Error(error.errno()))?;
                return self.advance(process, depth);
            }
            Some(Fault::ShortWrite) => {
                self.note_change(&prediction);
                let written = self.write_half(process, &call)?;
                self.answer(process, Reply::Value(written))?;
                return self.advance(process, depth);
            }
            Some(Fault::ShortWriteKill) => {
                self.note_change(&prediction);
                self.write_half(process, &call)?;
                return self.die(process, depth);
            }
            Some(Fault::Kill) | None => {}
        }
        self.note_change(&prediction);
        if let Effect::GiveUp(given) = &prediction.effect {
            // The call itself is still to come.
            self.give_up(process, given)?;
            self.foresee(process, call)?;
            return Ok(());
        }
        let reply = self.apply(process, prediction.effect.clone())?;
        self.answer(process, reply)?;
        self.advance(process, depth)
    }

    fn note_change(&mut self, prediction: &Prediction) {
        self.is_changed |= prediction.changes;
        self.written.extend(prediction.writes);
    }

    /// Keeps the books for a step; gives back how the call is answered.
    fn apply(&mut self, process: usize, effect: Effect) -> Result<Reply> {
        match effect {
            Effect::None | Effect::Exit | Effect::GiveUp(_) => {}
            Effect::Take(wanted, ask) => {
                if ask == Ask::Wait && wanted.kind != LockKind::Posix {
                    self.take_for(process, &wanted)?;
                    self.locks.take(wanted);
                    return Ok(Reply::Value(0));
                }
                self.locks.take(wanted);
            }
            Effect::LetGo(given) => self.let_go(&given),
            Effect::Close(fd, given) => {
                self.let_go(&given);
                self.places.forget(process, fd);
            }
            Effect::CloseSome => self.places.forget_all(process),
            Effect::Sleep => return Ok(Reply::Value(0)),
        }
        Ok(Reply::Continue)
    }

    fn let_go(&mut self, given: &[Holding]) {
        for given in given {
            self.locks.let_go(given);
        }
    }

    /// Gives a lock up for a process that stands before the call which begins with that.
    fn give_up(&mut self, process: usize, given: &Holding) -> Result<()> {
        let copy = self.inmate(process).descriptor(given.fd)?;
        rustix::fs::flock(&copy, rustix::fs::FlockOperation::Unlock).map_err(io::Error::from)?;
        self.locks.let_go(given);
        Ok(())
    }

    /// Takes a lock on a copy of the process's descriptor: of the same open file description, so it is the process's.
    /// Nothing ever waits for a lock in the kernel.
    fn take_for(&self, process: usize, wanted: &Holding) -> Result<()> {
        let copy = self.inmate(process).descriptor(wanted.fd)?;
        let taken = match wanted.kind {
            LockKind::Flock => {
                let operation = match wanted.mode {
                    Mode::Shared => rustix::fs::FlockOperation::NonBlockingLockShared,
                    Mode::Exclusive => rustix::fs::FlockOperation::NonBlockingLockExclusive,
                };
                rustix::fs::flock(&copy, operation).map_err(io::Error::from)
            }
            LockKind::Ofd | LockKind::Posix => {
                let length =
                    if wanted.range.end == i64::MAX { 0 } else { wanted.range.end - wanted.range.start };
                let kind = if wanted.mode == Mode::Shared { libc::F_RDLCK } else { libc::F_WRLCK };
                let lock = libc::flock {
                    l_type: kind as i16,
                    l_whence: libc::SEEK_SET as i16,
                    l_start: wanted.range.start,
                    l_len: length,
                    l_pid: 0,
                };
                nix::fcntl::fcntl(copy.as_fd(), nix::fcntl::FcntlArg::F_OFD_SETLK(&lock))
                    .map(drop)
                    .map_err(io::Error::from)
            }
        };
        taken.map_err(|error| {
            let why = format!(
                "a lock that nobody under control holds cannot be had ({error}): is it held from outside?"
            );
            StageError::Io(io::Error::other(why))
        })
    }

    /// Writes the first half of what a call would write, through a copy of the process's descriptor.
    fn write_half(&self, process: usize, call: &Call) -> Result<i64> {
        let Call::Write { fd, bytes, buffer: Some(buffer), offset } = call else { return Ok(0) };
        let inmate = self.inmate(process);
        let mut half = vec![0; (*bytes / 2).max(1) as usize];
        let read = call::read_memory(inmate.pid, *buffer, &mut half);
        let copy = inmate.descriptor(*fd)?;
        let written = match offset {
            Some(offset) => rustix::io::pwrite(&copy, &half[..read], offset.cast_unsigned()),
            None => rustix::io::write(&copy, &half[..read]),
        };
        Ok(written.map_err(io::Error::from)?.cast_signed() as i64)
    }

    /// The process is killed where it stands.
    fn die(&mut self, process: usize, depth: usize) -> Result<()> {
        let stand = &self.stands[process];
        if let Some(call) = stand.operation() {
            // Even if it had its answer already, nobody heard it.
            self.recorder.unknown(process, call, stand.invoked.unwrap_or(depth), depth, false);
        }
        self.kill(process)?;
        let mut exit = self.bury(process)?;
        exit.killed_ns = Some(self.recorder.time(depth));
        exit.reaped_ns = self.recorder.time(depth);
        self.recorder.exits.push(exit);
        self.stands[process].next = Next::Dead;
        Ok(())
    }

    /// An operation returns; the next one is invoked.
    fn returned(&mut self, process: usize, depth: usize, answer: &Answer) -> Result<()> {
        let stand = &mut self.stands[process];
        let call = stand.operation().expect("it returns from an operation");
        self.recorder.returned(process, call, stand.invoked.unwrap_or(depth), depth, answer);
        stand.at += 1;
        let at = stand.at;
        self.invoke(process, at)
    }

    /// Invokes the operation of this index, and brings the process to its first step; does nothing behind the last.
    fn invoke(&mut self, process: usize, at: usize) -> Result<()> {
        let stand = &mut self.stands[process];
        stand.invoked = None;
        stand.seen.clear();
        stand.is_stale = false;
        let Some(call) = stand.program.get(at).copied() else {
            stand.next = Next::Over;
            return Ok(());
        };
        self.request(process, call)?;
        self.advance(process, 0)
    }

    fn request(&mut self, process: usize, call: plan::Call) -> Result<()> {
        let request = self.next_request(call);
        mail::lay_request(self.region.header(process as u32), &request);
        self.answer(process, Reply::Value(mail::PERFORM))
    }

    fn next_request(&mut self, call: plan::Call) -> Request {
        self.sequence += 1;
        Request { operation: call.operation, container: call.container, sequence: self.sequence }
    }

    /// Waits until the process stands before a step that concerns others.
    fn advance(&mut self, process: usize, depth: usize) -> Result<()> {
        loop {
            let stop = match self.arrive(process)? {
                Arrival::Stopped(stop) => stop,
                Arrival::Dead => return self.crashed(process, depth),
            };
            match call::decode(&stop) {
                Call::Ready => {
                    self.about_to_return(process);
                    return Ok(());
                }
                Call::Escape(what) => return Err(self.escape(process, what)),
                call => {
                    if self.foresee(process, call)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Looks ahead; `false`, and the process goes on, where what it does concerns nobody.
    fn foresee(&mut self, process: usize, call: Call) -> Result<bool> {
        let prediction = self.predict(process, &call)?;
        if prediction.is_private() {
            let reply = self.apply(process, prediction.effect)?;
            self.answer(process, reply)?;
            return Ok(false);
        }
        self.place(process, call, prediction);
        Ok(true)
    }

    fn predict(&mut self, process: usize, call: &Call) -> Result<Prediction> {
        let pids = self.pids();
        let inmate = self.inmates[process].as_ref().expect("whoever stops is there");
        let mut scene = Scene {
            process,
            inmate,
            places: &mut self.places,
            locks: &mut self.locks,
            seen: &self.stands[process].seen,
            pids: &pids,
        };
        predict::predict(call, &mut scene).map_err(|what| self.escape(process, what))
    }

    /// Puts a predicted call before a process as its next step.
    fn place(&mut self, process: usize, call: Call, prediction: Prediction) {
        let kill = self.footprint_of_kill(process);
        self.stands[process].foresee(process, call, prediction, &self.planned, &kill);
    }

    fn about_to_return(&mut self, process: usize) {
        let missing = || no_answer("no answer");
        let answer = mail::take_answer(&self.region, process as u32).unwrap_or_else(missing);
        let call = self.stands[process].operation().expect("it performs one");
        let words = self.words(call);
        let kill = self.footprint_of_kill(process);
        self.stands[process].return_with(process, answer, &words, &self.planned, &kill);
    }

    fn words(&self, call: plan::Call) -> String {
        call.words(&self.containers)
    }

    fn footprint_of_kill(&self, process: usize) -> Footprint {
        Footprint::of(predict::killed(process, &self.locks))
    }

    /// It ended without being asked to.
    fn crashed(&mut self, process: usize, depth: usize) -> Result<()> {
        if self.watchdog.rest() {
            let last =
                self.stands[process].last.as_ref().map_or_else(|| "its start".into(), ToString::to_string);
            let pid = self.inmates[process].as_ref().map_or(0, |inmate| inmate.pid);
            self.bury(process)?;
            return Err(StageError::Runaway {
                process: process + 1,
                pid,
                seconds: self.step_ns as f64 / 1e9,
                last,
            });
        }
        let stand = &self.stands[process];
        if let Some(call) = stand.operation() {
            self.recorder.unknown(process, call, stand.invoked.unwrap_or(depth), depth, false);
        }
        self.fell = Some(self.footprint_of_kill(process));
        let mut exit = self.bury(process)?;
        exit.reaped_ns = self.recorder.time(depth);
        self.recorder.exits.push(exit);
        self.stands[process].next = Next::Dead;
        Ok(())
    }

    fn escape(&self, process: usize, what: &'static str) -> StageError {
        let operation = self.stands.get(process).and_then(Stand::operation);
        let operation = operation.map_or_else(|| "setup".into(), |call| self.words(call));
        StageError::Escape { process: process + 1, what, operation }
    }

    fn inmate(&self, process: usize) -> &Inmate {
        self.inmates[process].as_ref().expect("whoever takes a step is there")
    }

    fn answer(&mut self, process: usize, reply: Reply) -> Result<()> {
        let until_ns = now_ns() + self.step_ns;
        let inmate = self.inmates[process].as_mut().expect("whoever is answered is there");
        self.watchdog.watch(inmate.pid, until_ns);
        Ok(inmate.answer(reply)?)
    }

    fn arrive(&mut self, process: usize) -> Result<Arrival> {
        let inmate = self.inmates[process].as_mut().expect("whoever is awaited is there");
        let arrival = inmate.arrive()?;
        if matches!(arrival, Arrival::Stopped(_)) && self.watchdog.rest() {
            // It stopped just as it was killed for not doing so.
            return Ok(Arrival::Dead);
        }
        Ok(arrival)
    }

    /// Has a process forked at this number, if nobody is there, and brings it to where it waits for a request.
    fn hire(&mut self, process: usize) -> Result<()> {
        if self.inmates[process].is_some() {
            return Ok(());
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
        self.places.forget_all(process);
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
        self.welcome(process)
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
                Arrival::Stopped(stop) => match call::decode(&stop) {
                    Call::Ready if meetings > 0 => return Ok(()),
                    Call::Ready => {
                        meetings += 1;
                        self.answer(process, Reply::Value(mail::PERFORM))?;
                    }
                    Call::Escape(what) => return Err(self.escape(process, what)),
                    _ => self.answer(process, Reply::Continue)?,
                },
            }
        }
    }

    fn kill(&mut self, process: usize) -> Result<()> {
        if let Some(inmate) = self.inmates[process].as_mut() {
            inmate.kill()?;
        }
        Ok(())
    }

    /// Reaps a dead process, and forgets what it held.
    fn bury(&mut self, process: usize) -> Result<Exit> {
        self.watchdog.rest();
        let inmate = self.inmates[process].take().expect("whoever is buried was there");
        inmate.is_dead(Duration::from_secs(10))?;
        let how = self.reap(inmate.pid)?;
        self.locks.forget(process);
        self.places.forget_all(process);
        witness::clear_process(&self.region, process as u32);
        let how = if how < 0 { ExitHow::Signal(-how) } else { ExitHow::Code(how) };
        let last_words = lifeline::take_words(self.region.header(process as u32));
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
}

/// What an execution came to so far.
#[derive(Debug, Default)]
struct Course {
    events: Vec<Event>,
    enabled: Vec<Mask>,
    lines: Vec<Line>,
    faults: u64,
    blocked: u64,
    chances: Vec<(usize, Arc<str>, predict::Faults)>,
    stall: Option<Vec<String>>,
}

impl Course {
    fn note(&mut self, process: usize, step: &Step, fault: Option<Fault>, next: &Next) {
        self.lines.push(Line { process, label: step.label.to_string(), fault });
        self.faults += u64::from(fault.is_some());
        let faults = match next {
            Next::Call(call) => call.1.faults,
            _ => predict::Faults::default(),
        };
        self.chances.push((process, Arc::clone(&step.label), faults));
    }
}
