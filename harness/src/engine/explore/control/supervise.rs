//! Supervision: a tracee is let go, stops, and is looked at, until it stands before a step that concerns others.

use std::borrow::Cow;

use super::error::{ControlError, Result};
use super::foresee::{self, Foreseen, Scene, killed};
use super::journal::touches_disk;
use super::mail;
use super::run::{Control, FIRST_SEQUENCE};
use super::stand::{Next, Stand};
use super::tracee::Arrival;
use crate::books::deed::{Deed, Told};
use crate::explore::step::Footprint;
use crate::plan;
use crate::process::sys::seccomp::Reply;
use crate::subject::Request;

impl Control {
    /// Invokes the operation of this index, and brings the process to its first step; does nothing behind the last.
    pub(super) fn invoke(&mut self, process: usize, at: usize) -> Result<()> {
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
        // The same in every execution: what is saved carries it, and must have the same length.
        let sequence = FIRST_SEQUENCE + self.stands[process].at as u64;
        let request = Request { operation: call.operation, container: call.container, sequence };
        mail::lay_request(self.tracees.region.header(process as u32), &request);
        self.tracees.answer(process, Reply::Value(mail::PERFORM))
    }

    /// Waits until the process stands before a step that concerns others.
    pub(super) fn advance(&mut self, process: usize, depth: usize) -> Result<()> {
        loop {
            let stop = match self.tracees.arrive(process)? {
                Arrival::Stopped(stop) => stop,
                Arrival::Dead => return self.crashed(process, depth),
            };
            let told = foresee::decode(&stop, self.tracees.tracee(process).memory, self.recording());
            match told.map_err(|what| self.escape(process, what))? {
                Deed::Ready => {
                    self.about_to_return(process)?;
                    return Ok(());
                }
                Deed::Nothing => self.tracees.answer(process, Reply::Continue)?,
                Deed::SyncAll => {
                    self.journal(process, &Deed::SyncAll, Deed::SyncAll)?;
                    self.tracees.answer(process, Reply::Continue)?;
                }
                // It waits for nothing: any pause of its own is one that the choice of who goes next makes anyhow.
                Deed::Sleep(_) | Deed::Await(..) if self.stands[process].seen.is_empty() => {
                    self.tracees.answer(process, Reply::Value(0))?;
                }
                told => {
                    if self.foresee(process, told)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Looks ahead; `false`, and the process goes on, where what it does concerns nobody.
    pub(super) fn foresee(&mut self, process: usize, told: Told) -> Result<bool> {
        let call = self.predict(process, told)?;
        if call.prediction.is_private() {
            let reply = self.apply(process, call)?;
            self.tracees.answer(process, reply)?;
            return Ok(false);
        }
        self.place(process, call);
        Ok(true)
    }

    pub(super) fn predict(&mut self, process: usize, told: Told) -> Result<Foreseen> {
        let tracee = self.tracees.tracee(process);
        let mut scene = Scene {
            process,
            tracee,
            places: &mut self.places,
            locks: &mut self.locks,
            seen: &self.stands[process].seen,
            pids: &self.pids,
        };
        scene.foresee(told).map_err(|what| self.escape(process, what))
    }

    /// Puts a predicted call before a process as its next step.
    pub(super) fn place(&mut self, process: usize, call: Foreseen) {
        let killed = || killed(process, &self.locks);
        let disk = self.journal.as_ref().and_then(|_| touches_disk(&call));
        self.stands[process].foresee(process, call, disk, &self.planned, killed);
    }

    fn about_to_return(&mut self, process: usize) -> Result<()> {
        let answer = mail::take_answer(&self.tracees.region, process as u32);
        let answer = answer.ok_or(ControlError::Lost { process: process + 1 })?;
        let call = self.stands[process].operation().expect("it performs one");
        let words = self.words(call);
        let killed = || killed(process, &self.locks);
        self.stands[process].return_with(process, answer, &words, &self.planned, killed);
        Ok(())
    }

    fn words(&self, call: plan::Call) -> String {
        call.words(&self.containers)
    }

    /// It ended without being asked to.
    fn crashed(&mut self, process: usize, depth: usize) -> Result<()> {
        if self.tracees.was_runaway() {
            let last =
                self.stands[process].last.as_ref().map_or_else(|| "its start".into(), ToString::to_string);
            let pid = self.tracees.tracee(process).pid;
            self.reap(process)?;
            return Err(ControlError::Runaway {
                process: process + 1,
                pid,
                seconds: self.tracees.step_ns as f64 / 1e9,
                last,
            });
        }
        let stand = &self.stands[process];
        if let Some(call) = stand.operation() {
            self.recorder.unknown(process, call, stand.invoked.unwrap_or(depth), depth, false);
        }
        self.fell = Some(Footprint::of(killed(process, &self.locks)));
        let mut exit = self.reap(process)?;
        exit.reaped_ns = self.recorder.time(depth);
        self.recorder.exits.push(exit);
        self.stands[process].next = Next::Dead;
        Ok(())
    }

    fn escape(&self, process: usize, what: Cow<'static, str>) -> ControlError {
        let operation = self.stands.get(process).and_then(Stand::operation);
        let operation = operation.map_or_else(|| "setup".into(), |call| self.words(call));
        ControlError::Escape { process: process + 1, what, operation }
    }
}
