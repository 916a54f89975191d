//! Serving a tree: from the moment that one of its tasks is let go until all of them stand still again.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::descriptors::Descriptors;
use super::fork_server::is_start_of_clone;
use super::machine::{Machine, Result};
use super::settings::{Ending, TraceeError};
use super::still::{self, Look};
use super::task::{Task, handle, process_of};
use super::tree::{Heard, Phase};
use super::watched::Glance;
use crate::books::deed::Deed;
use crate::process::procfs;
use crate::process::spawner::Status;
use crate::process::sys::seccomp::{Notification, Reply};

/// How long to wait for a stop before looking whether there can be one.
pub(super) const SOON: Duration = Duration::from_millis(1);
/// How long somebody who was let go is waited for before anybody is looked at: most stop again within that, and a look costs
/// more than a stop does.
const BRIEFLY: Duration = Duration::from_micros(300);
/// Between two looks that must see the same.
const BETWEEN_LOOKS: Duration = Duration::from_micros(50);

/// How long somebody has been running whom nobody stopped.
#[derive(Default)]
struct Busy {
    since: Option<Instant>,
    has_waited: bool,
    /// How long all of the tree had been on a processor when they had been waited for once.
    ran_ns: Option<u64>,
}

/// What a tree came to.
enum Next {
    Stop(Notification),
    End,
    /// Everybody stands still.
    Still,
    /// Somebody runs on and on, and others wait to send it a signal.
    Runs,
}

impl Machine {
    /// Has the next command of a process started.
    pub(super) fn start_command(&mut self, process: usize) -> Result<()> {
        let command = self.trees[process].command;
        (self.trees[process].has_begun, self.trees[process].is_hit) = (false, false);
        if !self.begins_late(command) {
            self.trees[process].commands[0].invoked = Some(0);
        }
        self.run.spans.insert((process, command), (self.run.begun.elapsed(), None));
        self.trees[process].starting = true;
        if self.forks.by_clone {
            return self.start_clone(process, command);
        }
        self.trees[process].slot.ask_run(command as u32);
        // Where its fork does not carry the pass, the slot stops once; the command may stop before the slot can tell its pid.
        let mut early = Vec::new();
        let begun = loop {
            if let Some(report) = self.trees[process].slot.report(Duration::ZERO) {
                break report;
            }
            match self.trees[process].hear(SOON)? {
                Heard::Stop => match self.receive(process)? {
                    Some(stop) if stop.task == self.trees[process].slot.pid => {
                        self.answer(process, &stop, Reply::Continue)?;
                    }
                    Some(stop) => early.push(stop),
                    None => {}
                },
                Heard::End | Heard::Nothing => self.check_time(process)?,
            }
            if !early.is_empty() {
                // It was started, so the slot is about to tell.
                self.trees[process].slot.report(SOON);
            }
        };
        match begun {
            Ok(pid) => {
                if self.real_time && self.trees[process].slot.class_error().is_some() {
                    self.real_time = false;
                }
                self.trees[process].has_root(pid, handle(pid)?);
                self.trees[process].pids.push(pid);
                self.watch(process);
                for stop in early {
                    self.on_stop(process, stop)?;
                }
                Ok(())
            }
            Err(error) => self.next_command(process, Ending::NotStarted(error.to_string())),
        }
    }

    /// Whether a command begins with its first step.
    pub(super) const fn begins_late(&self, command: usize) -> bool {
        command > 0 || self.options.begins_late
    }

    /// A command is over: it ends so, and the next one is started.
    fn next_command(&mut self, process: usize, ending: Ending) -> Result<()> {
        self.close_command(process, ending)?;
        let tree = &mut self.trees[process];
        if tree.command + 1 < tree.commands.len() {
            tree.command += 1;
            return self.start_command(process);
        }
        tree.phase = Phase::Over;
        Ok(())
    }

    /// Writes down what the command at work came to.
    pub(super) fn close_command(&mut self, process: usize, ending: Ending) -> Result<()> {
        let depth = self.run.depth;
        let tree = &mut self.trees[process];
        let ending = match ending {
            // It may have ended by itself, but not as it would have.
            Ending::Status(_) if tree.is_hit => Ending::Killed,
            ending => ending,
        };
        let [stdout, stderr] = tree.take_output()?;
        if let Some((_, ended)) = self.run.spans.get_mut(&(process, tree.command)) {
            *ended = (ending != Ending::Unfinished).then(|| self.run.begun.elapsed());
        }
        if let Some(command) = tree.commands.get_mut(tree.command) {
            command.returned = (ending != Ending::Unfinished).then_some(depth);
            (command.ending, command.stdout, command.stderr) = (ending, stdout, stderr);
        }
        Ok(())
    }

    /// Serves a process until all of its tasks stand still, and says what it is about to do.
    pub(super) fn settle(&mut self, process: usize) -> Result<()> {
        // Somebody was let go before, or has just been started.
        let mut goes_on = true;
        self.trees[process].runs_since = Instant::now();
        loop {
            match self.next(process, goes_on)? {
                Next::Stop(stop) => {
                    self.send_overdue(process)?;
                    // Whoever makes call after call that concerns nobody never stands still.
                    self.check_time(process)?;
                    self.on_stop(process, stop)?;
                    goes_on = self.trees[process].held(stop.task).is_none();
                    self.leave_the_restless(process)?;
                }
                Next::End => {
                    self.on_end(process)?;
                    goes_on = false;
                }
                Next::Runs => goes_on = self.let_one_leave_beside(process)?,
                Next::Still
                    if self.let_the_ready_go(process)?
                        || self.let_one_leave(process, false)?
                        || (self.trees[process].is_many && self.interrupt(process)?) =>
                {
                    goes_on = true;
                }
                Next::Still => break,
            }
        }
        self.rest();
        self.choose(process);
        Ok(())
    }

    /// What a process comes to; `goes_on` where somebody of it was let go last, and not held.
    fn next(&mut self, process: usize, mut goes_on: bool) -> Result<Next> {
        let mut before = None;
        let mut busy = Busy::default();
        loop {
            let tree = &self.trees[process];
            if tree.is_held() || (tree.root.is_none() && tree.phase != Phase::Running && !tree.is_many) {
                return Ok(Next::Still);
            }
            let at_most = match () {
                () if self.real_time || before.is_some() => Duration::ZERO,
                () if !tree.is_many => SOON,
                () if std::mem::take(&mut goes_on) => BRIEFLY,
                () => Duration::ZERO,
            };
            match tree.hear(at_most)? {
                Heard::Stop => match self.receive(process)? {
                    Some(stop) => return Ok(Next::Stop(stop)),
                    None => continue,
                },
                Heard::End => return Ok(Next::End),
                Heard::Nothing => {}
            }
            let was_real_time = self.real_time;
            let seen = if was_real_time {
                self.glance(process)
            } else {
                match self.look(process) {
                    Look::Calm(seen) if before.as_ref() == Some(&seen) => {
                        Glance::Calm(seen.into_iter().map(|(tid, _)| tid).collect())
                    }
                    Look::Calm(seen) => {
                        before = Some(seen);
                        std::thread::sleep(BETWEEN_LOOKS);
                        continue;
                    }
                    Look::Busy => Glance::Busy,
                }
            };
            self.doubt();
            if was_real_time && !self.real_time {
                // Whoever lost the class may have run since.
                continue;
            }
            let tree = &self.trees[process];
            match seen {
                Glance::Calm(waiting) => {
                    // Whoever stopped between the two looks is heard of now.
                    if tree.hear(Duration::ZERO)? == Heard::Nothing {
                        self.trees[process].waiting = waiting;
                        return Ok(Next::Still);
                    }
                }
                // What it does in between is no call that could be interrupted.
                Glance::Busy if busy.has_waited && !tree.leaving.is_empty() => return Ok(Next::Runs),
                Glance::Busy => {
                    before = None;
                    self.wait_for_the_busy(process, &mut busy)?;
                }
            }
        }
    }

    /// Looks at all tasks of a tree that are not held.
    pub(super) fn look(&self, process: usize) -> Look {
        let tree = &self.trees[process];
        let is_held = |tid| tree.held(tid).is_some() || tree.is_kept(tid);
        still::look(&self.family(process), self.threads_of(process), is_held)
    }

    /// The same where commands are in the class `SCHED_FIFO`: one look that keeps open what it reads.
    fn glance(&mut self, process: usize) -> Glance {
        let mut watched = std::mem::take(&mut self.trees[process].watched);
        let family = self.family_by(process, |pid| watched.children(pid));
        let tree = &self.trees[process];
        let is_held = |tid| tree.held(tid).is_some() || tree.is_kept(tid);
        let seen = watched.glance(&family, self.threads_of(process), tree.starts, is_held);
        watched.keep_children_of(tree.slot.pid, &family);
        self.trees[process].watched = watched;
        seen
    }

    /// Somebody runs: waits for a stop, for no longer than is allowed.
    fn wait_for_the_busy(&mut self, process: usize, busy: &mut Busy) -> Result<()> {
        let ran = |machine: &Self| machine.family(process).into_iter().map(procfs::ran_ns).sum::<u64>();
        let limit = self.options.step_limit;
        let since = *busy.since.get_or_insert_with(Instant::now);
        // Most stop before anybody needs to know.
        if busy.has_waited && busy.ran_ns.is_none() {
            busy.ran_ns = Some(ran(self));
        }
        self.trees[process].hear(SOON)?;
        busy.has_waited = true;
        self.send_overdue(process)?;
        if since.elapsed() > limit
            && let Some(ran_before) = busy.ran_ns
            && ran(self).saturating_sub(ran_before) > limit.as_nanos() as u64
        {
            return Err(TraceeError::Runaway {
                process: process + 1,
                command: self.line(process),
                seconds: limit.as_secs_f64(),
                last: self.trees[process].last.as_deref().unwrap_or("its start").to_owned(),
            });
        }
        self.check_time(process)
    }

    /// An execution may take only so long.
    pub(super) fn check_time(&self, process: usize) -> Result<()> {
        if self.run.begun.elapsed() <= self.options.time_limit {
            return Ok(());
        }
        let tree = &self.trees[process];
        let at = tree.last.as_deref().unwrap_or("the start");
        Err(TraceeError::TooSlow {
            seconds: self.options.time_limit.as_secs_f64(),
            at: format!("p{} ({}), after {at}", process + 1, self.line(process)),
        })
    }

    /// The next stop of a process; none where the task was killed before it was heard.
    pub(super) fn receive(&mut self, process: usize) -> Result<Option<Notification>> {
        match self.trees[process].slot.listener.receive() {
            Ok(stop) => {
                self.run.stops += 1;
                Ok(Some(stop))
            }
            Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::ENOENT | Errno::EINTR) => Ok(None),
                _ => Err(error.into()),
            },
        }
    }

    /// Answers a stop; whether it was still there to be answered. One whose task was killed or interrupted is not.
    pub(super) fn answer(&mut self, process: usize, stop: &Notification, reply: Reply) -> Result<bool> {
        self.watch(process);
        match self.trees[process].slot.listener.answer(stop.id, reply) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            // A kernel that has been asked to close a descriptor that it still needs says so.
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A task stopped.
    pub(super) fn on_stop(&mut self, process: usize, stop: Notification) -> Result<()> {
        let tree = &mut self.trees[process];
        if stop.task == tree.slot.pid {
            self.answer(process, &stop, Reply::Continue)?;
            return Ok(());
        }
        if tree.stopped_again(&stop) {
            return Ok(());
        }
        if is_start_of_clone(&stop) {
            self.answer(process, &stop, Reply::Continue)?;
            return Ok(());
        }
        if let Some(reply) = self.tell_clone(process, &stop) {
            self.answer(process, &stop, reply)?;
            return Ok(());
        }
        if self.trees[process].task(stop.task).is_some() {
            self.note_lost(process, &stop);
        } else {
            self.hear_of(process, stop.task);
        }
        self.foresee(process, stop)
    }

    /// The pid of a task's process, here and as the process knows it itself.
    fn numbers_of(&self, process: usize, tid: u32) -> [u32; 2] {
        let tree = &self.trees[process];
        // Threads are started by calls that stop, and namespaces are not entered.
        let is_known = !tree.shares && !self.options.allow_uncontrolled;
        let of_clone = || {
            let root = tree.root.as_ref().is_some_and(|(root, _)| *root == tid);
            tree.templates.get(tree.command).filter(|_| root).map(|template| template.own_pid)
        };
        let own = if self.forks.by_clone { of_clone() } else { tree.has_own_numbers.then_some(tid) };
        match own.filter(|_| is_known) {
            Some(own) => [tid, own],
            None => process_of(tid).unwrap_or([tid, tid]),
        }
    }

    /// A task that was not heard of before.
    pub(super) fn hear_of(&mut self, process: usize, tid: u32) {
        let numbers = self.numbers_of(process, tid);
        let folder = self.first_folder(process, tid);
        let tree = &mut self.trees[process];
        let number = tree.heard;
        tree.heard += 1;
        tree.is_many |= number > 0;
        let open = Descriptors::new(!tree.shares && !self.options.allow_uncontrolled);
        let mut task = Task::new(tid, numbers, number, open);
        task.folder = folder;
        if let Some((_, handle)) = tree.root.as_ref().filter(|(root, _)| *root == task.pid) {
            task.handle.set(Arc::clone(handle)).expect("it is new");
        }
        // A thread other than the first is told to others by its number here, in clones as well: nobody signals one of those.
        tree.pids.extend([if task.pid == tid { task.own_pid } else { tid }, task.own_pid]);
        let is_new = !tree.tasks.iter().any(|known| known.pid == task.pid);
        // The first process of a namespace has the same number every time, which other names may contain.
        if is_new && task.own_pid != 1 {
            let called = match number {
                0 => format!("PID{}", process + 1),
                _ => format!("PID{}.{number}", process + 1),
            };
            self.paths.names.know(task.own_pid, called);
            // Paths that contain the number read otherwise from now on.
            self.trees.iter_mut().flat_map(|tree| &mut tree.tasks).for_each(|task| task.open.forget());
        }
        self.trees[process].tasks.push(task);
    }

    /// The root of a command has ended.
    pub(super) fn on_end(&mut self, process: usize) -> Result<()> {
        let tree = &mut self.trees[process];
        let Some((root, _)) = tree.root.take() else { return Ok(()) };
        tree.tasks.retain(|task| task.pid != root);
        let status = tree.slot.reap(root)?;
        self.note_orphans();
        let tree = &mut self.trees[process];
        let is_many = tree.is_many;
        let is_alone = !is_many || self.family(process).is_empty();
        let tree = &mut self.trees[process];
        if is_alone {
            tree.tasks.clear();
            tree.is_many = false;
            // All that it held is gone with it; where it did not exit by itself, that was part of its last step.
            self.fell |= self.locks.has_any(process);
            self.locks.forget(process);
        } else if matches!(status, Status::Signaled(_)) {
            self.recount_locks(process);
        }
        self.next_command(process, Ending::Status(status))
    }

    /// Lets those go on who wait for a descriptor that is ready by now; whether there were any.
    fn let_the_ready_go(&mut self, process: usize) -> Result<bool> {
        let ready: Vec<Notification> = self.trees[process]
            .tasks
            .iter()
            .filter_map(|task| {
                let held = task.held.as_ref()?;
                let Deed::Await(waited, _) = &held.told else { return None };
                super::behalf::is_ready(task, waited).then_some(held.stop)
            })
            .collect();
        for stop in &ready {
            if let Some(task) = self.trees[process].task(stop.task) {
                task.held = None;
            }
            self.answer(process, stop, Reply::Continue)?;
        }
        Ok(!ready.is_empty())
    }

    /// What a process is executing, for messages.
    pub(super) fn program(&self, process: usize, tid: u32) -> String {
        let words = fs::read(format!("/proc/{tid}/cmdline")).unwrap_or_default();
        let words: Vec<String> = words
            .split(|&byte| byte == 0)
            .filter(|word| !word.is_empty())
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        if words.is_empty() { self.line(process) } else { words.join(" ") }
    }

    /// A call that cannot be foreseen, and that programs do without where the kernel does not have it.
    pub(super) fn not_there(&mut self, name: &'static str) -> Reply {
        self.run.left.absent.insert(name);
        Reply::Error(Errno::ENOSYS)
    }

    /// A call that cannot be foreseen: it is refused, or let through and noted where that is wanted.
    pub(super) fn refuse(&mut self, process: usize, tid: u32, call: &str, why: &str) -> Result<()> {
        if self.options.allow_uncontrolled {
            *self.run.left.uncontrolled.entry(format!("{call} {why}")).or_insert(0) += 1;
            return Ok(());
        }
        Err(TraceeError::Refused {
            process: process + 1,
            command: self.program(process, tid),
            call: call.to_owned(),
            why: why.to_owned(),
        })
    }

    /// An error of the harness.
    pub(super) fn broken<T>(why: impl Into<String>) -> Result<T> {
        Err(io::Error::other(why.into()).into())
    }
}
