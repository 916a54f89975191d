//! One schedulable process: a tree of tasks, the command at work, and the step that it is about to take.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use rustc_hash::FxHashMap;

use super::fork_server::Template;
use super::settings::{Command, Ending, Planned};
use super::still::{self, Waiting};
use super::task::{Held, Task, has_own_numbers};
use super::tasks::Choice;
use super::timers::Timer;
use super::vain::LOOKS_TOLD;
use super::watched::Watched;
use crate::books::deed::Known;
use crate::books::prediction::world;
use crate::explore::step::{Access, Footprint, Object, Step};
use crate::plan::schedule::Fault;
use crate::process::slot::Slot;
use crate::process::sys::seccomp::Notification;

/// How many sleeps in a row may end at once, where nothing was looked at before them.
const IDLE_SLEEPS_MAX: u32 = 100;

/// How far a tree has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A command of it is at work.
    Running,
    /// All its commands are over.
    Over,
    /// It was killed.
    Dead,
}

/// What a tree came upon while it was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A task stopped.
    Stop,
    /// The root has ended.
    End,
    /// Nothing.
    Nothing,
}

/// A tree of tasks.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Tree {
    pub slot: Slot,
    /// The word that calls carry which are not to stop.
    pub pass: u64,
    pub phase: Phase,
    /// The command at work, and what all of them came to.
    pub command: usize,
    pub commands: Vec<Command>,
    /// The command's first process, and a descriptor of it.
    pub root: Option<(u32, Arc<OwnedFd>)>,
    pub tasks: Vec<Task>,
    /// Calls that send a signal to others of the tree, the end of a child among them: they wait until these may hear of it.
    pub leaving: Vec<(Notification, Known)>,
    /// How many tasks were heard of.
    pub heard: usize,
    /// The pids and tasks that were heard of in this execution, those that are gone among them.
    pub pids: Vec<u32>,
    /// Whether there ever was more than one task.
    pub is_many: bool,
    /// Whether somebody of it may share descriptors with another: a thread, or a child that was started so.
    pub shares: bool,
    /// Whether one of its open files may have several descriptors: copies by `dup` and its like, or a child's.
    pub copies: bool,
    /// The processes that started a child in this execution. Whoever is not among them has none.
    pub starters: Vec<u32>,
    /// How many children and threads were started in this execution.
    pub starts: usize,
    /// Whether a command was asked for whose first process is not known yet.
    pub starting: bool,
    /// Whether somebody did not die who was to.
    pub lingers: bool,
    /// Whether its processes are known to themselves by the numbers that they have here, but for clones.
    pub has_own_numbers: bool,
    /// Whether it opened a FIFO or a socket that lies in a state folder.
    pub has_channel: bool,
    /// What held sleeps have taken so far.
    pub slept_ns: u64,
    /// The tasks that are not held, and wait in the kernel.
    pub waiting: Vec<u32>,
    /// What is read at most steps.
    pub watched: Watched,
    /// Those who were waited for, in vain, as nobody could go on. How often a task has run is a part of how it waits, so
    /// whoever is found here has slept ever since. A task that wakes another has done so before it stands still itself; what
    /// was on its way with nobody to be seen would have come.
    outlasted: Waiting,
    /// The task whose call is the next step.
    pub chosen: Option<u32>,
    /// The next step.
    pub step: Option<Step>,
    /// The label of the step, without its number.
    pub plain: Arc<str>,
    /// Where tasks are explored: whose turn it may be, by places.
    pub choices: Vec<Option<Choice>>,
    /// The last step that it took.
    pub last: Option<Arc<str>>,
    /// The fault that will meet it at the next step.
    pub fault: Option<Fault>,
    /// How many steps it took of each label.
    taken: FxHashMap<Arc<str>, u32>,
    /// What it looked at since it last slept or began.
    pub seen: Vec<(Object, Access)>,
    /// Whether another changed any of that since.
    pub is_stale: bool,
    /// The steps that it took since it last slept or began, without their numbers, and those before that.
    rounds: [Vec<Arc<str>>; 2],
    /// How often it did the same as before, and then slept again, as nobody else could go on.
    pub looks_in_vain: u32,
    /// How often it slept in a row without having looked at anything.
    pub idle_sleeps: u32,
    /// How many steps had been taken when another took its last.
    witnessed: usize,
    /// Whether its command has taken a step.
    pub has_begun: bool,
    /// Whether one of its command's processes was killed.
    pub is_hit: bool,
    /// Whether its command's first process was killed alone, and what it started goes on.
    pub outlives: bool,
    /// Timers that its processes set.
    pub timers: Vec<Timer>,
    /// How many signals they sent since the last step.
    pub timer_signals: u32,
    /// Since when somebody of it has been running who has not stood still.
    pub runs_since: Instant,
    /// What stands ready to be cloned, a command each.
    pub templates: Vec<Template>,
    output: [File; 2],
    marks: [u64; 2],
}

impl Tree {
    pub fn new(slot: Slot, pass: u64, output: [&Path; 2]) -> io::Result<Self> {
        let has_own_numbers = has_own_numbers(slot.pid);
        let [stdout, stderr] = output.map(|path| File::options().read(true).write(true).open(path));
        Ok(Self {
            slot,
            pass,
            phase: Phase::Over,
            command: 0,
            commands: Vec::new(),
            root: None,
            tasks: Vec::new(),
            leaving: Vec::new(),
            heard: 0,
            pids: Vec::new(),
            is_many: false,
            shares: false,
            copies: false,
            starters: Vec::new(),
            starts: 0,
            starting: false,
            lingers: false,
            has_own_numbers,
            has_channel: false,
            slept_ns: 0,
            waiting: Vec::new(),
            watched: Watched::default(),
            outlasted: Vec::new(),
            chosen: None,
            step: None,
            plain: Arc::from(""),
            choices: Vec::new(),
            last: None,
            fault: None,
            taken: FxHashMap::default(),
            seen: Vec::new(),
            is_stale: false,
            rounds: [Vec::new(), Vec::new()],
            looks_in_vain: 0,
            idle_sleeps: 0,
            witnessed: 0,
            has_begun: false,
            is_hit: false,
            outlives: false,
            timers: Vec::new(),
            timer_signals: 0,
            runs_since: Instant::now(),
            templates: Vec::new(),
            output: [stdout?, stderr?],
            marks: [0; 2],
        })
    }

    /// A new execution begins.
    pub fn begin(&mut self, commands: usize) -> io::Result<()> {
        let not_begun = || Command {
            ending: Ending::NotBegun,
            stdout: Vec::new(),
            stderr: Vec::new(),
            invoked: None,
            returned: None,
        };
        self.commands = std::iter::repeat_with(not_begun).take(commands).collect();
        self.phase = if commands == 0 { Phase::Over } else { Phase::Running };
        self.command = 0;
        self.tasks.clear();
        self.leaving.clear();
        self.pids.clear();
        self.timers.clear();
        self.timer_signals = 0;
        (self.heard, self.is_many, self.has_channel, self.slept_ns) = (0, false, false, 0);
        self.shares = false;
        self.copies = false;
        self.starters.clear();
        self.starts = 0;
        self.waiting.clear();
        self.watched = Watched::default();
        self.outlasted.clear();
        self.choices.clear();
        self.taken.clear();
        self.seen.clear();
        (self.is_stale, self.has_begun, self.witnessed) = (false, false, 0);
        self.rounds.iter_mut().for_each(Vec::clear);
        (self.looks_in_vain, self.idle_sleeps) = (0, 0);
        (self.is_hit, self.outlives) = (false, false);
        (self.chosen, self.step, self.last, self.fault) = (None, None, None, None);
        for output in &self.output {
            output.set_len(0)?;
        }
        self.marks = [0; 2];
        Ok(())
    }

    /// Whether a stop is of a template, whose call was interrupted and is made again.
    pub fn stopped_again(&mut self, stop: &Notification) -> bool {
        let template = self.templates.iter_mut().find(|template| template.pid == stop.task);
        template.map(|template| template.stop = *stop).is_some()
    }

    pub fn task(&mut self, tid: u32) -> Option<&mut Task> {
        self.tasks.iter_mut().find(|task| task.tid == tid)
    }

    pub fn held(&self, tid: u32) -> Option<&Held> {
        self.tasks.iter().find(|task| task.tid == tid)?.held.as_ref()
    }

    /// Whether a pid or a task is of this tree, or was in this execution: that it is gone is what others may see.
    pub fn has(&self, pid: u32) -> bool {
        self.pids.contains(&pid)
    }

    /// Its command has begun, in this process.
    pub fn has_root(&mut self, pid: u32, handle: OwnedFd) {
        self.root = Some((pid, Arc::new(handle)));
        self.starting = false;
    }

    /// A task starts a child or a thread, with these flags.
    pub fn starts(&mut self, tid: u32, flags: u64) {
        self.is_many = true;
        self.starts += 1;
        if flags & libc::CLONE_THREAD as u64 == 0 {
            // A thread has the same descriptors.
            self.copies = true;
            let pid = self.task(tid).map_or(tid, |task| task.pid);
            self.starters.push(pid);
        }
        self.shares |= flags & (libc::CLONE_FILES | libc::CLONE_THREAD) as u64 != 0;
        for task in &mut self.tasks {
            if self.shares {
                task.open.give_up();
            } else if task.tid != tid {
                // One that is gone may give its number to whoever is started.
                task.open.forget();
            }
        }
    }

    /// Whether nobody of it can do anything before a call is answered: known without a look.
    pub fn is_held(&self) -> bool {
        !self.is_many && self.root.is_some() && self.tasks.len() == 1 && self.tasks[0].held.is_some()
    }

    /// Whether tasks of it wait in the kernel, and may go on.
    pub fn waits(&self) -> bool {
        self.is_live() && !self.waiting.is_empty()
    }

    /// These were waited for in vain.
    pub fn outlast(&mut self, waiting: Waiting) {
        self.outlasted = waiting;
    }

    /// Whether everybody was waited for in vain who waits so, and has no limit after which he goes on by himself.
    pub fn is_outlasted(&self, waiting: &[(u32, String)]) -> bool {
        waiting.iter().all(|one| self.outlasted.contains(one) && !still::has_limit(&one.1))
    }

    /// Whether a task waits to send a signal to others of the tree.
    pub fn is_kept(&self, tid: u32) -> bool {
        self.leaving.iter().any(|(stop, _)| stop.task == tid)
    }

    /// Whether any of its tasks is held.
    pub fn holds_any(&self) -> bool {
        self.tasks.iter().any(|task| task.held.is_some())
    }

    /// Waits a while for something to happen.
    pub fn hear(&self, at_most: Duration) -> io::Result<Heard> {
        let root = self.root.as_ref().map(|(_, handle)| PollFd::new(handle.as_fd(), PollFlags::POLLIN));
        let mut polled = [Some(PollFd::new(self.slot.listener.as_fd(), PollFlags::POLLIN)), root];
        let count = if polled[1].is_some() { 2 } else { 1 };
        let mut polled: Vec<PollFd<'_>> = polled.iter_mut().take(count).filter_map(Option::take).collect();
        match ppoll(&mut polled, Some(TimeSpec::from_duration(at_most)), None) {
            Ok(0) | Err(Errno::EINTR) => return Ok(Heard::Nothing),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = |at: usize| polled.get(at).and_then(PollFd::any).unwrap_or(false);
        Ok(match (ready(0), ready(1)) {
            (true, _) => Heard::Stop,
            (_, true) => Heard::End,
            _ => Heard::Nothing,
        })
    }

    /// What the command printed since it began.
    pub fn take_output(&mut self) -> io::Result<[Vec<u8>; 2]> {
        let mut taken = [Vec::new(), Vec::new()];
        for ((output, mark), taken) in self.output.iter().zip(&mut self.marks).zip(&mut taken) {
            let length = output.metadata()?.len();
            let mut bytes = vec![0; length.saturating_sub(*mark) as usize];
            output.read_exact_at(&mut bytes, *mark)?;
            *mark = length;
            *taken = bytes;
        }
        Ok(taken)
    }

    /// How many of its commands are over.
    pub fn ended(&self) -> usize {
        match self.phase {
            Phase::Running => self.command,
            Phase::Over | Phase::Dead => self.commands.len(),
        }
    }

    /// Whether it has more to do.
    pub fn is_live(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Puts a step before it.
    pub fn foresee(&mut self, tid: Option<u32>, label: &str, of: impl FnOnce(Arc<str>) -> Step) {
        self.plain = label.into();
        let label = match self.taken.get(label) {
            None => Arc::clone(&self.plain),
            Some(count) => format!("{label} #{}", count + 1).into(),
        };
        self.chosen = tid;
        self.step = Some(of(label));
    }

    /// The step has been taken.
    pub fn took(&mut self, step: &Step, slept: bool) {
        self.last = Some(Arc::clone(&step.label));
        self.timer_signals = 0;
        *self.taken.entry(Arc::clone(&self.plain)).or_insert(0) += 1;
        self.has_begun = true;
        self.looked(step, slept);
    }

    /// What a step means for what it waits for.
    pub fn looked(&mut self, step: &Step, slept: bool) {
        if slept {
            self.seen.clear();
            self.is_stale = false;
            self.rounds.swap(0, 1);
            self.rounds[0].clear();
        } else {
            self.idle_sleeps = 0;
            self.rounds[0].push(Arc::clone(&self.plain));
            let world = world();
            self.seen.extend(step.footprint.touches().iter().filter(|(object, _)| *object != world));
        }
    }

    /// Whether it does again what it did before it last slept: it waits for something, and sees the same until another changes that.
    pub fn goes_round(&self) -> bool {
        let [this, before] = &self.rounds;
        if this.is_empty() { self.sleeps_on() } else { before.ends_with(this) }
    }

    /// Whether it sleeps again and again, and looks at nothing in between.
    pub const fn sleeps_on(&self) -> bool {
        self.idle_sleeps >= IDLE_SLEEPS_MAX
    }

    /// The steps that it took since it last slept, without their numbers, where it took the same before that.
    pub fn round(&self) -> Option<&[Arc<str>]> {
        let [this, before] = &self.rounds;
        (this == before).then_some(this)
    }

    /// Whether another has taken a step since a task of it was held.
    pub fn is_behind(&self, tid: u32) -> bool {
        self.held(tid).is_some_and(|held| held.since < self.witnessed)
    }

    /// Another took a step, after which so many had been taken.
    pub fn witness(&mut self, footprint: &Footprint, depth: usize) {
        self.witnessed = depth;
        if self.has_seen(footprint) {
            (self.is_stale, self.looks_in_vain) = (true, 0);
        }
    }

    /// Whether it looked at anything that a step changes, since it last slept or began.
    pub fn has_seen(&self, footprint: &Footprint) -> bool {
        let mut changed = footprint.touches().iter().filter(|(_, access)| *access != Access::Read);
        changed.any(|(object, access)| {
            self.seen.iter().any(|(seen, how)| seen == object && how.conflicts(*access))
        })
    }

    /// A sleep of it ends, as nobody else can go on: whether it looked in vain before that, once more.
    pub fn count_look(&mut self) {
        self.looks_in_vain = if self.round().is_some() { self.looks_in_vain + 1 } else { 0 };
    }

    /// Whether it has looked in vain as often as is told.
    pub const fn is_in_vain(&self) -> bool {
        self.looks_in_vain >= LOOKS_TOLD
    }
}

/// The fault that is planned for a process at a label.
pub(crate) fn planned_for(planned: &[Planned], process: usize, label: &str) -> Option<Fault> {
    let fits = |planned: &&Planned| planned.process == process && *planned.label == *label;
    planned.iter().find(fits).map(|planned| planned.fault)
}
