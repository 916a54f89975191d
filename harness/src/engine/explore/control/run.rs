//! Control: real processes under control, and the folder that they share. It runs one execution after the other, each
//! from the state after setup.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use super::course::Course;
use super::error::{ControlError, Result};
use super::foresee::{Change, Foreseen};
use super::ground::{Ground, Restored};
use super::journal::Journal;
use super::left::Left;
use super::places::{Opened, Places};
use super::record::HistoryBuilder;
use super::snapshot::Digest;
use super::stand::{Next, Planned, Stand};
use super::tracees::{Forked, Tracees};
use crate::books::deed::{Ask, Deed, Fd, LockKind};
use crate::books::locks::{Holding, Locks};
use crate::books::prediction::Effect;
use crate::disk::Image;
use crate::evidence::{self, Exit};
use crate::explore::machine::{Chooser, End, Execution, Pick, Point};
use crate::explore::observe::{self, Observer};
use crate::explore::step::{Event, Footprint, Mask, Step};
use crate::plan::schedule::Fault;
use crate::plan::{self, ExplorePlan};
use crate::power::folders;
use crate::process::Zygote;
use crate::process::sys::seccomp::Reply;
use crate::subject::Answer;
use crate::tracee::behalf;

/// The number of each program's first request: higher than any of the setup's, so that no two payloads are alike.
pub(crate) const FIRST_SEQUENCE: u64 = 1_000_000;

/// The processes of one lane under control: it lets one after the other take a step, and puts the folder back.
#[derive(Debug)]
pub(crate) struct Control {
    pub(super) tracees: Tracees,
    pub(super) stands: Vec<Stand>,
    pub(super) places: Places,
    pub(super) locks: Locks,
    pub(super) ground: Ground,
    /// What is done to the folder, where that is to be known.
    pub(super) journal: Option<Journal>,
    pub(super) pids: Vec<Option<u32>>,
    /// What the end of a process touched that ended by itself, within the step at hand.
    pub(super) fell: Option<Footprint>,
    pub(super) planned: Vec<Planned>,
    pub(super) recorder: HistoryBuilder,
    pub root: PathBuf,
    pub(super) containers: Vec<String>,
    steps_max: usize,
}

impl Control {
    /// Has a fork server raised for a plan, whose subject has a folder beside the root where `beside` says what it is
    /// called. One process more than the plan has is kept for setup and examination.
    pub fn open(
        zygote: &Zygote,
        plan: &ExplorePlan,
        root: PathBuf,
        processor: Option<usize>,
        beside: Option<&str>,
    ) -> Result<Self> {
        Ok(Self {
            places: Places::new(&root, beside)?,
            tracees: Tracees::raise(zygote, plan, &root, processor)?,
            stands: Vec::new(),
            locks: Locks::default(),
            ground: Ground::default(),
            journal: None,
            pids: Vec::new(),
            fell: None,
            planned: Vec::new(),
            recorder: HistoryBuilder::default(),
            root,
            containers: plan.containers.clone(),
            steps_max: plan.steps_max,
        })
    }

    /// The number of the process that sets up and examines.
    pub fn examiner(&self) -> usize {
        self.tracees.examiner()
    }

    /// Has the examiner perform operations, one after the other and without control: what it writes is not seen.
    pub fn ask(&mut self, calls: &[plan::Call]) -> Result<Vec<evidence::Reply>> {
        self.ground.distrust();
        self.places.forget_everywhere();
        self.tracees.ask(calls)
    }

    /// The pid of each process that is there.
    pub fn pids(&self) -> Vec<Option<u32>> {
        self.tracees.pids()
    }

    /// Whether steps are as fast as the kernel can make them; none where no process is there to ask about.
    pub fn wakes_in_step(&self) -> Option<bool> {
        self.tracees.wakes_in_step()
    }

    /// The state that every execution starts from is the present one. What its files hold under the keys that are called
    /// volatile decides nothing.
    pub fn remember(&mut self, volatile: &'static [&'static str]) -> Result<()> {
        self.ground = Ground::take(&self.root, self.places.images(), volatile)?;
        self.places.forget_everywhere();
        Ok(())
    }

    /// Puts the folder back to the state that every execution starts from.
    pub fn restore(&mut self) -> Result<()> {
        match self.ground.restore()? {
            Restored::Entries(entries) => self.places.forget_restored(&entries),
            Restored::Anything => self.places.forget_everywhere(),
        }
        Ok(())
    }

    /// Lays an image out in the folder, in the place of whatever lies there: what a power loss left.
    pub fn lay(&mut self, image: &Image) -> Result<()> {
        self.places.forget_everywhere();
        self.ground.clear(&self.root)?;
        Ok(folders::lay_anew(image, &self.root)?)
    }

    /// Numbers for what lies in the folder.
    pub fn digest(&self) -> Result<Digest> {
        Ok(self.ground.digest()?)
    }

    /// How many times a process was waited for so far.
    pub fn stops(&self) -> u64 {
        self.tracees.stops
    }

    /// Has the first process, which waits for a request, meet the controller so many times, and nothing else.
    pub fn round_trips(&mut self, count: u64) -> Result<()> {
        self.tracees.round_trips(0, count)
    }

    /// Runs one execution of these programs from the state after setup.
    pub fn run(
        &mut self,
        programs: &[Vec<plan::Call>],
        planned: &[Planned],
        recorder: HistoryBuilder,
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
        for process in 0..self.tracees.examiner() {
            if self.tracees.is_there(process) {
                // There is an error to tell already.
                _ = self.tracees.kill(process).and_then(|()| self.reap(process));
            }
        }
    }

    fn run_to_its_end(
        &mut self,
        programs: &[Vec<plan::Call>],
        planned: &[Planned],
        recorder: HistoryBuilder,
        chooser: &mut dyn Chooser,
        observer: &mut dyn Observer,
    ) -> Result<Execution<Left>> {
        self.begin(programs, planned, recorder)?;
        let mut course = Course::default();
        let mut pending: Vec<Option<Step>> = Vec::new();
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
            pending.clear();
            pending.extend(self.stands.iter().map(|stand| stand.step.clone()));
            let last = course.events.last().map(|event| event.process);
            let point = Point {
                depth: course.events.len(),
                enabled,
                pending: &pending,
                last,
                processes: pending.len(),
            };
            let Pick::Step(process) = chooser.choose(&point) else { break End::Abandoned };
            if observer.looks_on() {
                let pids = self.tracees.pids();
                let depth = point.depth;
                let root = &self.root;
                observer.before(&observe::Scene {
                    depth,
                    next: process,
                    pending: &pending,
                    enabled,
                    pids: &pids,
                    held: &self.locks.held(),
                    root,
                });
            }
            let event = self.take(process, &mut course)?;
            chooser.happened(&event);
            course.events.push(event);
        };
        let pending: Vec<_> = self.stands.iter().map(|stand| stand.step.clone()).collect();
        self.finish(end, course.events.len())?;
        let left = Left {
            recorder: std::mem::take(&mut self.recorder),
            faults: course.faults,
            blocked: course.blocked,
            chances: course.chances,
            stall: course.stall,
            entered: self.sections().map(|sections| sections.load(Ordering::Relaxed)).sum(),
        };
        let processes = pending.len();
        Ok(Execution {
            events: course.events,
            enabled: course.enabled,
            pending,
            processes,
            end,
            outcome: left,
        })
    }

    /// Brings everybody to the first step.
    fn begin(
        &mut self,
        programs: &[Vec<plan::Call>],
        planned: &[Planned],
        recorder: HistoryBuilder,
    ) -> Result<()> {
        if programs.len() > self.tracees.examiner() {
            let (programs, processes) = (programs.len(), self.tracees.examiner());
            let why = format!("{programs} programs are more than the exploration has processes: {processes}");
            return Err(ControlError::from(io::Error::new(io::ErrorKind::InvalidInput, why)));
        }
        self.restore()?;
        self.locks.clear();
        self.places.begin();
        self.journal.iter_mut().for_each(|journal| *journal = Journal::default());
        self.planned = planned.to_vec();
        self.recorder = recorder;
        self.stands = programs.iter().cloned().map(Stand::new).collect();
        for word in self.tracees.region.words() {
            word.0.store(0, Ordering::Relaxed);
        }
        self.tracees.region.control().overlaps.store(0, Ordering::Relaxed);
        self.sections().for_each(|sections| sections.store(0, Ordering::Relaxed));
        for process in 0..programs.len() {
            if self.tracees.start(process)? == Forked::Now {
                self.places.forget_all(process);
            }
        }
        self.pids = self.tracees.pids();
        self.places.know(&self.pids);
        for process in 0..programs.len() {
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
                self.tracees.kill(process)?;
                self.reap(process)?;
            }
        }
        Ok(())
    }

    /// How many critical sections each program's process entered.
    fn sections(&self) -> impl Iterator<Item = &AtomicU64> {
        self.tracees.region.headers()[..self.tracees.examiner()].iter().map(|header| &header.sections)
    }

    /// Who can take a step.
    fn enabled(&self) -> Mask {
        let can = |stand: &Stand| match (&stand.next, stand.fault) {
            (Next::Over | Next::Dead, _) => false,
            (_, Some(Fault::Kill | Fault::Error(_))) | (Next::Return(_), _) => true,
            (Next::Call(call), _) => match &call.prediction.effect {
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

    /// Lets a process take its step, and waits until it stands again.
    fn take(&mut self, process: usize, course: &mut Course) -> Result<Event> {
        let depth = course.events.len();
        if let Some(journal) = &mut self.journal {
            journal.step = depth;
        }
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
        self.recorder.overlapped(&self.tracees.region, depth);
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
                let call = self.predict(process, call.told)?;
                self.place(process, call);
            }
        }
        Ok(())
    }

    /// Lets a process go on from a call.
    fn go(&mut self, process: usize, depth: usize, call: Foreseen, fault: Option<Fault>) -> Result<()> {
        match fault {
            Some(Fault::Error(error)) => {
                self.tracees.answer(process, Reply::Error(error.errno()))?;
                return self.advance(process, depth);
            }
            Some(Fault::ShortWrite) => {
                self.note_change(&call);
                let written = self.write_half(process, &call)?;
                self.tracees.answer(process, Reply::Value(written))?;
                return self.advance(process, depth);
            }
            Some(Fault::ShortWriteKill) => {
                self.note_change(&call);
                self.write_half(process, &call)?;
                return self.die(process, depth);
            }
            Some(Fault::Kill | Fault::KillOne) | None => {}
        }
        self.note_change(&call);
        if let (Effect::GiveUp(given), Deed::Lock { file, .. }) = (&call.prediction.effect, &call.told) {
            // The call itself is still to come.
            behalf::give_up(self.tracees.tracee(process).descriptor(file.0)?)?;
            self.locks.let_go(given);
            self.foresee(process, call.told)?;
            return Ok(());
        }
        let reply = self.apply(process, call)?;
        self.tracees.answer(process, reply)?;
        self.advance(process, depth)
    }

    /// Writes the first half of what a call would write; gives back how many bytes that were.
    fn write_half(&self, process: usize, call: &Foreseen) -> Result<i64> {
        let Deed::Write(Fd(fd), writing) = &call.told else { return Ok(0) };
        let tracee = self.tracees.tracee(process);
        Ok(behalf::write_half(tracee.descriptor(*fd)?, tracee.memory, writing)?)
    }

    fn note_change(&mut self, call: &Foreseen) {
        self.ground.note(call);
        match call.change {
            Change::Nothing => {}
            Change::Told => self.places.forget_entries(&call.prediction.entries, &call.prediction.touches),
            Change::Anything => self.places.forget_everywhere(),
        }
    }

    /// Keeps the books for a step; gives back how the call is answered.
    pub(super) fn apply(&mut self, process: usize, call: Foreseen) -> Result<Reply> {
        if self.journal.is_some() {
            self.journal(process, &call.told, call.known.clone())?;
        }
        match (&call.told, &call.known) {
            (_, Deed::Open(Some(place), _)) => {
                if let Some(opened) = Opened::at(place) {
                    self.places.note_opened(process, opened);
                }
            }
            (Deed::Close(fd) | Deed::Replace { to: fd, .. }, _) => self.places.forget(process, fd.0),
            (Deed::CloseRange(..), _) => self.places.forget_all(process),
            _ => {}
        }
        match call.prediction.effect {
            Effect::None | Effect::GiveUp(_) => {}
            Effect::Take(wanted, ask) => {
                self.locks.take(wanted);
                if let (Ask::Wait, Deed::Lock { file, kind, .. }) = (ask, &call.told)
                    && *kind != LockKind::Posix
                {
                    behalf::take(self.tracees.tracee(process).descriptor(file.0)?, &wanted)?;
                    return Ok(Reply::Value(0));
                }
            }
            Effect::LetGo(given) => self.let_go(&given),
            Effect::Sleep => return Ok(Reply::Value(0)),
        }
        Ok(Reply::Continue)
    }

    fn let_go(&mut self, given: &[Holding]) {
        for given in given {
            self.locks.let_go(given);
        }
    }

    /// Reaps a dead process, and forgets what it held.
    pub(super) fn reap(&mut self, process: usize) -> Result<Exit> {
        let exit = self.tracees.reap(process)?;
        self.locks.forget(process);
        self.places.forget_all(process);
        if let Some(pid) = self.pids.get_mut(process) {
            *pid = None;
        }
        Ok(exit)
    }

    /// The process is killed where it stands.
    fn die(&mut self, process: usize, depth: usize) -> Result<()> {
        let stand = &self.stands[process];
        if let Some(call) = stand.operation() {
            // Even if it had its answer already, nobody heard it.
            self.recorder.unknown(process, call, stand.invoked.unwrap_or(depth), depth, false);
        }
        self.tracees.kill(process)?;
        let mut exit = self.reap(process)?;
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
}
