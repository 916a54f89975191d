//! How a template is made: a command is started and served until just before its first visible step, or before it makes
//! what a clone would not have or would share; then the code is put into it that clones come from.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::super::decode::{self, Recording};
use super::super::filter::is_not_cloned;
use super::super::foresee::Foreseen;
use super::super::machine::Machine;
use super::super::memory::{Memory, View};
use super::super::task::{handle, process_of};
use super::super::tree::Heard;
use super::{PATIENCE, SOON, Template, Unfit, guard};
use crate::books::deed::{Deed, Known, Mapping, Told};
use crate::process::sys::seccomp::{Notification, Reply};

impl Machine {
    /// Makes a template of each command.
    pub(super) fn make_templates(&mut self) -> Result<(), Unfit> {
        for process in 0..self.trees.len() {
            for command in 0..self.lines[process].len() {
                let made = self.make_template(process, command);
                let template = made.map_err(|why| {
                    // It is not ready, and nobody else knows of it.
                    _ = self.clear(process);
                    format!("p{} ({}): {why}", process + 1, self.lines[process][command])
                })?;
                let tree = &mut self.trees[process];
                tree.tasks.clear();
                (tree.heard, tree.is_many) = (0, false);
                tree.templates.push(template);
            }
        }
        Ok(())
    }

    fn make_template(&mut self, process: usize, command: usize) -> Result<Template, Unfit> {
        let outside = std::mem::take(&mut self.run.outside);
        let stop = self.bring_to_first_step(process, command);
        let outside = std::mem::replace(&mut self.run.outside, outside);
        let stop = stop?;
        let Some((pid, _)) = self.trees[process].root else { return Err("it is gone".into()) };
        let slot = self.trees[process].slot.pid;
        guard::check(pid, slot)?;
        #[cfg(target_arch = "x86_64")]
        let page = super::blob::implant(&stop, &self.trees[process].slot.listener)?;
        #[cfg(not(target_arch = "x86_64"))]
        let page = return Err("programs can be cloned on x86_64 only".into());
        let stop = self.hear_rendezvous(process, |task| task == pid)?;
        let stop = self.check_own(process, page, stop)?;
        let files = guard::files(pid, slot, |path| self.paths.is_within(path))?;
        let folder = guard::folder(pid, |path| self.paths.is_within(path))?;
        let stop = self.enter_nest(process, page, stop)?;
        let own_pid = process_of(pid).map_or(pid, |[_, own]| own);
        Memory(pid)
            .write(page + guard::STRUCTURE, &guard::clone_arguments(page, own_pid))
            .map_err(|error| format!("it cannot be written to: {error}"))?;
        let has_class = self.real_time;
        self.trees[process].root = None;
        let made = Instant::now();
        Ok(Template { pid, own_pid, stop, page, files, folder, outside, made, clones: 0, has_class })
    }

    /// Starts a command and serves it until it stands where it is to be cloned.
    fn bring_to_first_step(&mut self, process: usize, command: usize) -> Result<Notification, Unfit> {
        self.trees[process].tasks.clear();
        (self.trees[process].heard, self.trees[process].is_many) = (0, false);
        self.trees[process].starting = true;
        self.trees[process].slot.ask_run(command as u32);
        let begun = Instant::now();
        let mut first: Option<Notification> = None;
        loop {
            if self.trees[process].root.is_none()
                && let Some(report) = self.trees[process].slot.report(Duration::ZERO)
            {
                let pid = report.map_err(|error| format!("it cannot be started: {error}"))?;
                let root = handle(pid).map_err(|error| error.to_string())?;
                if self.real_time && self.trees[process].slot.class_error().is_some() {
                    self.real_time = false;
                }
                self.trees[process].has_root(pid, root);
                self.watch(process);
            }
            if let Some(stop) = first.filter(|_| self.trees[process].root.is_some()) {
                return Ok(stop);
            }
            if begun.elapsed() > PATIENCE.max(self.options.step_limit) {
                return Err("it does not reach a step".into());
            }
            let heard = self.trees[process].hear(SOON).map_err(|error| error.to_string())?;
            if heard == Heard::End {
                return Err("it ends before its first step".into());
            }
            if heard == Heard::Nothing {
                continue;
            }
            let told = |error: super::TraceeError| error.to_string();
            let Some(stop) = self.receive(process).map_err(told)? else { continue };
            if stop.task == self.trees[process].slot.pid {
                self.answer(process, &stop, Reply::Continue).map_err(told)?;
                continue;
            }
            if self.trees[process].task(stop.task).is_none() {
                self.hear_of(process, stop.task);
            }
            if first.is_some() || self.trees[process].tasks.len() > 1 {
                return Err("it has several threads before its first step".into());
            }
            match self.before_first_step(process, &stop).map_err(told)? {
                Some(reply) => _ = self.answer(process, &stop, reply).map_err(told)?,
                None => first = Some(stop),
            }
        }
    }

    /// How a call is answered that comes before the first step; none for one at which it is to be cloned.
    fn before_first_step(
        &mut self,
        process: usize,
        stop: &Notification,
    ) -> super::super::machine::Result<Option<Reply>> {
        let tid = stop.task;
        if let Some(reply) = self.tell_clone(process, stop) {
            return Ok(Some(reply));
        }
        let told = decode::decode(stop, Memory(tid), Recording::Lengths);
        if let Some(task) = self.trees[process].task(tid) {
            task.open.stopped(&told);
        }
        if is_not_cloned(stop.number) || is_for_clones(&told) {
            return Ok(None);
        }
        let touched = self.run.left.touched_outside.len();
        let outside = self.run.outside.clone();
        match self.judge(process, tid, &told)? {
            Foreseen::Reply(reply) => return Ok(Some(reply)),
            Foreseen::Perhaps(known) => {
                let is_for_clones = is_of_state(&known) || self.run.left.touched_outside.len() > touched;
                if !is_for_clones && self.predict(process, tid, &told, &known)?.is_private() {
                    self.go_on(process, tid, &known);
                    return Ok(Some(Reply::Continue));
                }
            }
        }
        // The clones make the call, and not the template.
        self.run.outside = outside;
        Ok(None)
    }

    /// What a fork does not hand on and only the task itself can tell of: what clones cannot have is refused, and what they can
    /// ask the kernel for again is written down.
    fn check_own(&mut self, process: usize, page: u64, stop: Notification) -> Result<Notification, Unfit> {
        let at = page + guard::STRUCTURE;
        let mut stop = stop;
        let mut ask = |call: [i64; 4]| {
            let [number, first, second, third] = call;
            Memory(stop.task).write(at, &[0; 32]).map_err(|error| error.to_string())?;
            stop = self.ask(process, page, &stop, [number, first, second, third, 0, 0, 0])?;
            match guard::result(&stop) {
                0 => Ok(View::of(Memory(stop.task)).words::<4>(at)),
                error => Err(format!("call {number} fails before its first step: error {}", -error)),
            }
        };
        let into = guard::signed(at);
        for which in [libc::ITIMER_REAL, libc::ITIMER_VIRTUAL, libc::ITIMER_PROF] {
            if ask([libc::SYS_getitimer, which.into(), into, 0])? != [0; 4] {
                return Err("it has a timer before its first step".into());
            }
        }
        let [signal, ..] = ask([libc::SYS_prctl, libc::PR_GET_PDEATHSIG.into(), into, 0])?;
        let [adopts, ..] = ask([libc::SYS_prctl, libc::PR_GET_CHILD_SUBREAPER.into(), into, 0])?;
        let [cleared, ..] = ask([libc::SYS_prctl, libc::PR_GET_TID_ADDRESS.into(), into, 0])?;
        let [robust, ..] = ask([libc::SYS_get_robust_list, 0, into, into + 8])?;
        let words = [robust, cleared, signal, adopts].map(u64::to_ne_bytes).concat();
        Memory(stop.task)
            .write(page + guard::HANDED_ON, &words)
            .map_err(|error| format!("it cannot be written to: {error}"))?;
        Ok(stop)
    }

    /// Has all that it starts from now on be in the namespace of clones.
    fn enter_nest(&mut self, process: usize, page: u64, stop: Notification) -> Result<Notification, Unfit> {
        let nest = self.nest().map_err(|error| format!("the kernel gives no pid namespace: {error}"))?;
        let number = self.trees[process]
            .slot
            .listener
            .give(stop.id, nest.as_fd(), None, true)
            .map_err(|error| format!("a descriptor cannot be given: {error}"))?;
        let kind = i64::from(libc::CLONE_NEWPID);
        let stop = self.ask(process, page, &stop, [libc::SYS_setns, number.into(), kind, 0, 0, 0, 0])?;
        let entered = guard::result(&stop);
        let stop = self.ask(process, page, &stop, [libc::SYS_close, number.into(), 0, 0, 0, 0, 0])?;
        if entered != 0 {
            let error = std::io::Error::from_raw_os_error(entered.unsigned_abs() as i32);
            return Err(format!("its clones cannot have its pid: {error}"));
        }
        Ok(stop)
    }
}

/// Whether a deed is for clones to do, whatever it is about.
fn is_for_clones(told: &Told) -> bool {
    matches!(
        told,
        Deed::Start(_)
            | Deed::Exit(_)
            | Deed::Sleep(_)
            | Deed::Await(..)
            | Deed::Signal(..)
            | Deed::SignalBy(..)
            | Deed::Lock { .. }
            | Deed::Unlock { .. }
            | Deed::QueryLock { .. }
            | Deed::Refused(..)
            | Deed::Watch(_)
            | Deed::Connect(_)
            | Deed::Bind(_)
            | Deed::SyncAll
            | Deed::Write(..)
            | Deed::Map(_, Mapping::SharedWritable)
            | Deed::Control(..)
    )
}

/// Whether a deed is about a state folder in any way.
fn is_of_state(known: &Known) -> bool {
    let is_any = std::cell::Cell::new(false);
    let _ = known.clone().map(
        |place, _| is_any.set(is_any.get() || place.is_some()),
        |file| is_any.set(is_any.get() || file.is_some()),
    );
    is_any.get()
}
